#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/records.h"

namespace howdah::agent {

/// What PostgreSQL may keep of its logs: whichever bound is reached first.
struct LogBounds {
    std::int64_t bytes_max = 1LL << 30;
    std::size_t files_max = 7 * 24 * 2;  ///< a week of hours, each cut in two
    std::optional<Timestamp> oldest;     ///< those that were last written before
};

/// "postgresql-2026-11-21_150000.json": a name that PostgreSQL gives here.
bool is_log_name(std::string_view name);

inline constexpr std::size_t kLogsListedMax = 400;

/// The log files of a folder, newest last, at most kLogsListedMax. Links and whatever else stands
/// there are left out.
Result<std::vector<model::LogFile>> list_logs(const std::string& folder);

/// Removes the oldest log files beyond the bounds, never the two newest, which PostgreSQL may be
/// writing (jsonlog has a file for what comes before the collector beside it). Files sort by name.
Status prune_logs(const std::string& folder, const LogBounds& bounds = {});

}  // namespace howdah::agent
