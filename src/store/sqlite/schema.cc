#include "store/sqlite/schema.h"

#include <fmt/core.h>

#include <iterator>

// The file. `entry` holds what is now, `history` what happened: one row per change, its sequence
// being revision * 1024 + position in the transaction. The store's revision is that of the newest
// history row, which is never compacted. Released migrations are never edited; add one instead.

namespace howdah::store {
namespace {

/// "Howd": the mark by which we know a file as ours.
constexpr std::int64_t kApplicationId = 0x486f7764;

constexpr const char* kMigrations[] = {
    // 1: entries and their history.
    R"(CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
       INSERT INTO schema_version VALUES (0);
       CREATE TABLE entry (
           key      TEXT NOT NULL PRIMARY KEY,
           value    TEXT NOT NULL,
           created  INTEGER NOT NULL,
           modified INTEGER NOT NULL) STRICT;
       CREATE TABLE history (
           sequence INTEGER PRIMARY KEY,
           key      TEXT NOT NULL,
           value    TEXT,
           created  INTEGER NOT NULL) STRICT;)",
    // 2: leases. An entry whose lease is 0 stays until it is removed.
    R"(CREATE TABLE lease (
           id              INTEGER PRIMARY KEY AUTOINCREMENT,
           time_to_live_ms INTEGER NOT NULL) STRICT;
       ALTER TABLE entry ADD COLUMN lease INTEGER NOT NULL DEFAULT 0;
       CREATE INDEX entry_lease ON entry (lease) WHERE lease <> 0;)",
};

Result<std::int64_t> current_version(Connection& connection) {
    HD_TRY(const std::int64_t application, connection.query_number("PRAGMA application_id"));
    HD_TRY(const std::int64_t tables,
           connection.query_number("SELECT count(*) FROM sqlite_schema"));
    if (tables == 0 && (application == 0 || application == kApplicationId)) return 0;
    if (application != kApplicationId) {
        return Error{ErrorCode::corrupt, "the file is a database of another program", "",
                     "name the store file of howdahd, or a file that does not exist yet"};
    }
    return connection.query_number("SELECT version FROM schema_version");
}

}  // namespace

std::int64_t newest_schema_version() { return static_cast<std::int64_t>(std::size(kMigrations)); }

Status migrate(Connection& connection, std::int64_t up_to) {
    HD_TRY(std::int64_t version, current_version(connection));
    if (version > newest_schema_version()) {
        return Error{ErrorCode::not_supported,
                     fmt::format("the store has schema version {}, this program knows {}", version,
                                 newest_schema_version()),
                     "", "run the newer howdahd that wrote it"};
    }
    for (; version < up_to; ++version) {
        HD_TRY(auto transaction, WriteTransaction::begin(connection));
        HD_CHECK(connection.execute(kMigrations[version]));
        HD_CHECK(connection.execute(fmt::format("PRAGMA application_id = {}", kApplicationId)));
        HD_CHECK(
            connection.execute(fmt::format("UPDATE schema_version SET version = {}", version + 1)));
        HD_CHECK(transaction.commit());
    }
    return {};
}

}  // namespace howdah::store
