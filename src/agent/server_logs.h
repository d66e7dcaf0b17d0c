#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace howdah::agent {

/// What PostgreSQL may keep of its logs: whichever bound is reached first.
struct LogBounds {
    std::int64_t bytes_max = 1LL << 30;
    std::size_t files_max = 7 * 24 * 2;  ///< a week of hours, each cut in two
};

/// Removes the oldest log files beyond the bounds, never the two newest, which PostgreSQL may be
/// writing (jsonlog has a file for what comes before the collector beside it). Files sort by name.
Status prune_logs(const std::string& folder, const LogBounds& bounds = {});

}  // namespace howdah::agent
