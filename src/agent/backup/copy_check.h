#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/backup/table_sums.h"

namespace howdah::agent {

struct CopyFindings {
    std::int64_t tables = 0;           ///< whose pages were read
    std::int64_t indexes = 0;          ///< B-trees that were compared with their tables
    std::int64_t unchecked = 0;        ///< of both: not in time, or a function of theirs failed
    std::vector<std::string> damages;  ///< "database: relation: what"; the first
};

/// Reads all of a restored copy by the functions of amcheck, each called from pg_catalog:
/// pg_amcheck itself would take those that it finds, which may be a customer's. REQUIRES: nobody
/// else uses the copy, and it is thrown away: what was prepared in it is rolled back, and amcheck
/// put into it. Errors: the copy does not answer any more.
/// What is not checked before `deadline` (of SystemClock) counts as unchecked.
Result<CopyFindings> check_copy(const SumsSource& copy, Duration relation_max, Instant deadline,
                                const std::stop_token& stop);

}  // namespace howdah::agent
