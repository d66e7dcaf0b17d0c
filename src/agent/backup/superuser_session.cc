#include "agent/backup/superuser_session.h"

#include "agent/config/render.h"

namespace howdah::agent {
namespace {

/// What a value is written like must not depend on what a database or a customer has set, and
/// nobody is to wait for us for long.
constexpr std::string_view kSettings =
    "SET ROLE NONE; SET search_path = pg_catalog; SET default_transaction_read_only = on; SET "
    "row_security = off; "
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601'; "
    "SET bytea_output = 'hex'; SET extra_float_digits = 1; SET lc_monetary = 'C'; "
    "SET xmlbinary = 'base64'; SET lock_timeout = '2s'; "
    "SET idle_in_transaction_session_timeout = 0; SET max_parallel_workers_per_gather = 0; "
    "SET synchronous_commit = 'local'; SET default_transaction_isolation = 'read committed'";

constexpr std::string_view kDatabases =
    "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate "
    // What an interrupted DROP has left takes no sessions.
    "AND datconnlimit <> -2 ORDER BY datname";

}  // namespace

Result<pg::Connection> superuser_session(const SumsSource& source, const std::string& database) {
    HD_TRY(auto session, pg::Connection::open({.host = source.socket_folder,
                                               .port = source.port,
                                               .database = database,
                                               .user = std::string(kSuperuser),
                                               .application_name = "howdah-agent"}));
    HD_CHECK(session.execute(kSettings));
    return session;
}

Result<std::vector<std::string>> databases_of(const SumsSource& source) {
    HD_TRY(auto session, superuser_session(source, std::string(kMaintenanceDatabase)));
    HD_TRY(const pg::Rows rows, session.query(kDatabases));
    std::vector<std::string> names;
    for (const pg::Row& row : rows.rows) names.push_back(row[0].value_or(""));
    return names;
}

}  // namespace howdah::agent
