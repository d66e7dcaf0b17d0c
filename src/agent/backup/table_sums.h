#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/backup/superuser_session.h"
#include "base/clock.h"
#include "base/result.h"
#include "core/backup/proof.h"

/// What a PostgreSQL on this machine has in its tables, for a comparison with a copy of it
/// (docs/adr/0018-proofs.md). No code of a customer's runs: tables are read by COPY, which needs no
/// planner (to plan a SELECT, PostgreSQL evaluates the functions of a table's index expressions)
/// and refuses whatever is no table.
namespace howdah::agent {

struct SumsLimits {
    std::int64_t bytes_max = std::int64_t{10} << 30;
    std::size_t tables_max = 20000;
    /// Whoever alters the table waits so long for us, and everybody behind that one.
    Duration table_max = std::chrono::seconds(20);
    Duration all_max = std::chrono::hours(1);
};

struct TableSums {
    std::int64_t databases = 0;
    std::vector<core::backup::TableSum> tables;
    std::int64_t beyond = 0;  ///< tables that are not among them: there were too many
};

/// Every permanent table of every database that takes sessions, the smallest of each first. Sums
/// of one process can be compared, not those of different ones.
Result<TableSums> read_table_sums(const SumsSource& source, const SumsLimits& limits,
                                  const std::stop_token& stop);
/// Those of `wanted` that were read; one that is not there is unread.
Result<TableSums> read_same_tables(const SumsSource& copy, const TableSums& wanted,
                                   Duration all_max, const std::stop_token& stop);

/// What has been counted of those since. None: a transaction is open that may have committed
/// something before, of which PostgreSQL counts nothing yet, or nothing is counted at all. `since`:
/// as read_now() has it; `until`: the time that was restored to; idle sessions count within a
/// minute.
Result<std::optional<core::backup::TableChanges>> read_table_changes(const SumsSource& source,
                                                                     const TableSums& wanted,
                                                                     const std::string& since,
                                                                     const std::string& until,
                                                                     const std::stop_token& stop);

/// Of all databases.
Result<std::int64_t> read_bytes(const SumsSource& source);
/// By the server's own clock.
Result<std::string> read_now(const SumsSource& source);

}  // namespace howdah::agent
