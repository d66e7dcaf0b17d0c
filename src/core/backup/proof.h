#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "model/records.h"

/// Whether what was restored is what was there. Pure.
namespace howdah::core::backup {

/// The content of a table, as one session has read it.
struct TableSum {
    std::string database;
    std::string table;  ///< "schema.name", quoted as SQL has it
    std::string oid;    ///< on the server; empty: of a copy
    std::int64_t rows = 0;
    std::string sum;  ///< of all rows, in whatever order they were read
    /// Where it differs, the table may have been written to: what PostgreSQL has counted, and of
    /// which file. Read before the rows were.
    std::string changes;
    bool is_unread = false;  ///< too large, or locked; then rows and sum are nothing
};

/// Of each table, by database and name: what TableSum::changes is now.
using TableChanges = std::map<std::pair<std::string, std::string>, std::string>;

struct SumsComparison {
    std::int64_t same = 0;
    std::int64_t same_rows = 0;
    std::int64_t changed = 0;
    std::int64_t unread = 0;
    /// "database: schema.table: 3 rows instead of 4"
    std::vector<std::string> different;
};

/// `before`: of the server, read before the time that was restored to. `restored`: of the copy.
/// `after`: of the server, some seconds later than that time, when PostgreSQL has counted all of
/// it; empty: it could not be asked. A table that is not the same, and may have been written to
/// meanwhile, says nothing; equal sums are equal content whatever was counted.
SumsComparison compare(const std::vector<TableSum>& before, const std::vector<TableSum>& restored,
                       const TableChanges& after);

/// Of a proof that is whole but for it: proved: all that could be compared is the same, and that
/// was something; restored: it was restored and could be read, but nothing was compared; failed.
std::string_view outcome_of(const model::Proof& proof);

/// What the proofs say by now; none: there is none.
std::optional<model::ProofStatus> proof_status(const model::BackupReport& report);

/// How long ago a server's backups should have been tried; none: it is not due. `every`: zero:
/// never by itself. The first time is a day after its first backup, or after `every` if that is
/// less.
std::optional<Duration> proof_overdue(const model::BackupReport& report, Duration every,
                                      Timestamp now);

}  // namespace howdah::core::backup
