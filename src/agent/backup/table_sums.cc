#include "agent/backup/table_sums.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <thread>
#include <utility>

#include "agent/backup/superuser_session.h"
#include "agent/config/render.h"
#include "base/text.h"
#include "pg/connection.h"

namespace howdah::agent {
namespace {

using core::backup::TableChanges;
using core::backup::TableSum;

/// TRUNCATE is not counted, but makes a new file; a crash and a reset begin to count anew. What a
/// table's columns are, and how its enums are spelled, changes what its rows are written like.
#define HD_CHANGES                                                                              \
    "pg_catalog.hashtextextended(pg_catalog.concat_ws('/', "                                    \
    "pg_catalog.pg_stat_get_tuples_inserted(c.oid), "                                           \
    "pg_catalog.pg_stat_get_tuples_updated(c.oid), "                                            \
    "pg_catalog.pg_stat_get_tuples_deleted(c.oid), pg_catalog.pg_relation_filenode(c.oid), "    \
    "pg_catalog.pg_stat_get_db_stat_reset_time(d.oid), pg_catalog.pg_postmaster_start_time(), " \
    "(SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attnum, a.attname, a.atttypid, " \
    "a.attisdropped, a.xmin), ',' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a "           \
    "WHERE a.attrelid = c.oid), "                                                               \
    "(SELECT pg_catalog.string_agg(e.xmin::pg_catalog.text, ',' ORDER BY e.oid) "               \
    "FROM pg_catalog.pg_enum e)), 0)"
#define HD_NAME "pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)"
#define HD_TABLES                                                                           \
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace " \
    "JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database() "           \
    "WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.oid >= 16384 "

constexpr std::string_view kCount = "SELECT pg_catalog.count(*)" HD_TABLES;
/// Without a lock, which pg_table_size would wait for: of more than a gigabyte what VACUUM has
/// seen.
#define HD_BYTES(oid, pages)                                       \
    "greatest(" pages                                              \
    "::pg_catalog.int8 * 8192, coalesce((pg_catalog.pg_stat_file(" \
    "pg_catalog.pg_relation_filepath(" oid "), true)).size, 0))"
constexpr std::string_view kTables =
    "SELECT c.oid, " HD_NAME ", " HD_BYTES("c.oid", "c.relpages") " + coalesce((SELECT "
    HD_BYTES("t.oid", "t.relpages") " FROM pg_catalog.pg_class t "
    "WHERE t.oid = c.reltoastrelid), 0), " HD_CHANGES ", coalesce((SELECT "
    "t.oid::pg_catalog.regclass::pg_catalog.text FROM pg_catalog.pg_class t "
    "WHERE t.oid = c.reltoastrelid AND " HD_BYTES("t.oid", "t.relpages") " > 33554432), ''), "
    "c.relnatts > 64" HD_TABLES
    "ORDER BY 3, 2 LIMIT $1::pg_catalog.int8";
/// How wide the widest value is: chunks of 2 kB. A toast table has no functions of a customer's.
constexpr std::string_view kWidest = "SELECT coalesce(max(chunk_seq), 0) FROM {}";
constexpr std::int64_t kChunksMax = 2000;
constexpr std::string_view kChanges =
    "SELECT " HD_NAME ", " HD_CHANGES HD_TABLES "AND c.oid = ANY ($1::pg_catalog.oid[])";

#undef HD_BYTES
#undef HD_TABLES
#undef HD_NAME
#undef HD_CHANGES

/// A session counts when it is idle outside of a transaction, at most once a second.
constexpr std::string_view kUncounted =
    "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity "
    "WHERE pid <> pg_catalog.pg_backend_pid() AND xact_start >= $1::pg_catalog.timestamptz "
    // A procedure that commits begins a transaction anew each time. What began later cannot hold
    // back what was counted before.
    "AND least(xact_start, query_start) < pg_catalog.now() - '1.5 s'::pg_catalog.interval "
    "AND least(xact_start, query_start) < $2::pg_catalog.timestamptz + "
    "'2 s'::pg_catalog.interval "
    "AND backend_type NOT LIKE 'autovacuum%' AND backend_type <> 'walsender'";
/// Before PostgreSQL 15 an idle session may keep its counts for itself for ever.
constexpr std::string_view kCounts =
    "SELECT pg_catalog.bool_and(setting = 'on') AND "
    "pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 150000 "
    "FROM pg_catalog.pg_settings WHERE name IN ('track_counts', 'track_activities')";
constexpr std::string_view kNow = "SELECT pg_catalog.clock_timestamp()";
constexpr std::string_view kBytes =
    "SELECT pg_catalog.sum(pg_catalog.pg_database_size(oid)) FROM pg_catalog.pg_database";

/// Of rows in whatever order. No customer gains by rows of equal hashes: the copy is theirs.
class RowSum {
  public:
    void add(std::string_view row) {
        ++rows_;
        std::uint64_t a = 0xcbf29ce484222325ULL;
        std::uint64_t b = 0x9e3779b97f4a7c15ULL;
        for (const char c : row) {
            const auto byte = static_cast<unsigned char>(c);
            a = (a ^ byte) * 0x100000001b3ULL;
            b = (b + byte) * 0xff51afd7ed558ccdULL;
            b ^= b >> 29;
        }
        first_ += a ^ (a >> 32);
        second_ += b ^ (b >> 31);
    }
    std::int64_t rows() const { return rows_; }
    std::string text() const { return fmt::format("{:016x}{:016x}", first_, second_); }

  private:
    std::int64_t rows_ = 0;
    std::uint64_t first_ = 0;
    std::uint64_t second_ = 0;
};

Status check_wanted(const std::stop_token& stop) {
    if (!stop.stop_requested()) return ok_status();
    return Error{ErrorCode::cancelled, "the comparison was broken off"};
}

/// A table that has gone meanwhile, or that somebody has locked, is unread.
Status read_rows(pg::Connection& session, Duration within, const std::stop_token& stop,
                 TableSum& table) {
    RowSum sum;
    const Status read = session.copy_out(
        fmt::format("COPY {} TO STDOUT", table.table),
        [&](std::string_view line) { sum.add(line); }, within, stop);
    if (!read.ok()) {
        table.is_unread = true;
        return session.is_broken() ? read : ok_status();
    }
    table.rows = sum.rows();
    table.sum = sum.text();
    return ok_status();
}

/// What is left of the bounds of a comparison.
class Bounds {
  public:
    explicit Bounds(const SumsLimits& limits)
        : limits_(limits), end_(SystemClock().now() + limits.all_max) {}
    std::size_t tables() const { return limits_.tables_max - tables_; }
    /// How long a table may be read; zero: not at all.
    Duration take(std::int64_t bytes) {
        ++tables_;
        if (bytes > limits_.bytes_max - bytes_) return Duration::zero();
        bytes_ += bytes;
        return within();
    }
    Duration within() const {
        return std::clamp(end_ - SystemClock().now(), Duration::zero(), limits_.table_max);
    }

  private:
    const SumsLimits limits_;
    const Instant end_;
    std::int64_t bytes_ = 0;
    std::size_t tables_ = 0;
};

/// Of one database. A session that a table has broken is followed by another.
class Reader {
  public:
    Reader(const SumsSource& source, const std::string& database, const std::stop_token& stop)
        : source_(source), database_(database), stop_(stop) {}

    Status read_all(Bounds& bounds, TableSums& sums) {
        HD_TRY(auto session, superuser_session(source_, database_));
        HD_TRY(const pg::Rows count, session.query(kCount, {}, kListMax));
        HD_TRY(const std::int64_t total, parse_integer(count.at(0, 0), 0, INT64_MAX));
        HD_TRY(const pg::Rows tables,
               session.query(kTables, {std::to_string(bounds.tables())}, kListMax));
        Instant opened = SystemClock().now();
        std::int64_t seen = 0;
        for (const pg::Row& row : tables.rows) {
            TableSum table{.database = database_,
                           .table = row[1].value_or(""),
                           .oid = row[0].value_or(""),
                           .changes = row[3].value_or("")};
            HD_TRY(const auto bytes, parse_integer(row[2].value_or("0"), 0, INT64_MAX));
            const bool is_wide = is_too_wide(session, row[4].value_or(""), row[5] == "t");
            HD_CHECK(read(session, is_wide ? Duration::zero() : bounds.take(bytes), table));
            sums.tables.push_back(std::move(table));
            ++seen;
            if (SystemClock().now() - opened < kSessionMax) continue;
            // Whoever drops the database waits for us no longer than PostgreSQL has them wait.
            if (!reopen(session)) break;
            opened = SystemClock().now();
        }
        sums.beyond += std::max<std::int64_t>(total - seen, 0);
        return ok_status();
    }

    Status read_named(const std::vector<TableSum>& wanted, const Bounds& bounds, TableSums& sums) {
        HD_TRY(auto session, superuser_session(source_, database_));
        for (const TableSum& each : wanted) {
            if (each.database != database_ || each.is_unread) continue;
            TableSum table{.database = database_, .table = each.table};
            HD_CHECK(read(session, bounds.within(), table));
            if (bounds.within() <= Duration::zero())
                return Error{ErrorCode::unavailable, "the copy could not be read in time"};
            sums.tables.push_back(std::move(table));
        }
        return ok_status();
    }

  private:
    static constexpr Duration kListMax = std::chrono::minutes(5);
    static constexpr Duration kSessionMax = std::chrono::seconds(2);
    static constexpr Duration kGap = std::chrono::milliseconds(200);
    static constexpr Duration kWidestMax = std::chrono::seconds(20);

    /// False: the database has gone.
    bool reopen(pg::Connection& session) {
        { const pg::Connection old = std::move(session); }
        std::this_thread::sleep_for(kGap);
        auto again = superuser_session(source_, database_);
        if (again.ok()) session = std::move(*again);
        return again.ok();
    }

    /// A row is held as a whole by PostgreSQL, which has as much memory as the server, and by us.
    static bool is_too_wide(pg::Connection& session, const std::string& toast, bool is_of_many) {
        if (toast.empty()) return false;
        if (is_of_many || session.is_broken()) return true;
        const auto widest = session.query(fmt::format(kWidest, toast), {}, kWidestMax);
        return !widest.ok() ||
               parse_integer(widest->at(0, 0), 0, INT64_MAX).value_or(INT64_MAX) > kChunksMax;
    }

    Status read(pg::Connection& session, Duration within, TableSum& table) {
        HD_CHECK(check_wanted(stop_));
        table.is_unread = within <= Duration::zero();
        if (table.is_unread || read_rows(session, within, stop_, table).ok()) return ok_status();
        HD_TRY(session, superuser_session(source_, database_));
        return ok_status();
    }

    const SumsSource& source_;
    const std::string& database_;
    const std::stop_token& stop_;
};

}  // namespace

Result<TableSums> read_table_sums(const SumsSource& source, const SumsLimits& limits,
                                  const std::stop_token& stop) {
    HD_TRY(const auto databases, databases_of(source));
    TableSums sums{.databases = static_cast<std::int64_t>(databases.size())};
    Bounds bounds(limits);
    for (const std::string& each : databases)
        HD_CHECK(Reader(source, each, stop).read_all(bounds, sums));
    return sums;
}

Result<TableSums> read_same_tables(const SumsSource& copy, const TableSums& wanted,
                                   Duration all_max, const std::stop_token& stop) {
    HD_TRY(const auto databases, databases_of(copy));
    TableSums sums{.databases = static_cast<std::int64_t>(databases.size())};
    const Bounds bounds({.table_max = all_max, .all_max = all_max});
    for (const std::string& each : databases)
        HD_CHECK(Reader(copy, each, stop).read_named(wanted.tables, bounds, sums));
    return sums;
}

Result<std::optional<TableChanges>> read_table_changes(const SumsSource& source,
                                                       const TableSums& wanted,
                                                       const std::string& since,
                                                       const std::string& until,
                                                       const std::stop_token& stop) {
    TableChanges changes;
    std::map<std::string, std::string> oids;  // of each database, as PostgreSQL writes a list
    for (const TableSum& each : wanted.tables)
        oids[each.database] += (oids[each.database].empty() ? "{" : ",") + each.oid;
    for (const auto& [database, list] : oids) {
        HD_CHECK(check_wanted(stop));
        HD_TRY(auto session, superuser_session(source, database));
        HD_TRY(const pg::Rows counts, session.query(kCounts));
        if (counts.at(0, 0) != "t") return std::optional<TableChanges>();
        HD_TRY(const pg::Rows uncounted, session.query(kUncounted, {since, until}));
        if (uncounted.at(0, 0) != "0") return std::optional<TableChanges>();
        HD_TRY(const pg::Rows tables, session.query(kChanges, {list + "}"}));
        for (const pg::Row& row : tables.rows)
            changes[{database, row[0].value_or("")}] = row[1].value_or("");
    }
    return std::optional(std::move(changes));
}

Result<std::int64_t> read_bytes(const SumsSource& source) {
    HD_TRY(auto session, superuser_session(source, std::string(kMaintenanceDatabase)));
    HD_TRY(const pg::Rows bytes, session.query(kBytes, {}, std::chrono::minutes(2)));
    HD_TRY(const auto all, parse_integer(bytes.at(0, 0), 0, INT64_MAX));
    return std::int64_t{all};
}

Result<std::string> read_now(const SumsSource& source) {
    HD_TRY(auto session, superuser_session(source, std::string(kMaintenanceDatabase)));
    HD_TRY(const pg::Rows now, session.query(kNow));
    return now.at(0, 0);
}

}  // namespace howdah::agent
