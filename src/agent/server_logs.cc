#include "agent/server_logs.h"

#include <algorithm>

#include "os/file.h"

namespace howdah::agent {
namespace {

constexpr std::size_t kAlwaysKept = 2;
constexpr std::size_t kNameBytesMax = 64;
constexpr std::string_view kPrefix = "postgresql-";

/// Oldest first.
Result<std::vector<std::string>> log_names(const std::string& folder) {
    HD_TRY(auto names, os::list_folder(folder));
    std::erase_if(names, [](const std::string& name) { return !is_log_name(name); });
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace

bool is_log_name(std::string_view name) {
    if (!name.starts_with(kPrefix) || name.size() > kNameBytesMax) return false;
    return std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    });
}

Result<std::vector<model::LogFile>> list_logs(const std::string& folder) {
    HD_TRY(auto names, log_names(folder));
    std::vector<model::LogFile> files;
    for (auto name = names.rbegin(); name != names.rend() && files.size() < kLogsListedMax;
         ++name) {
        const auto file = os::open_plain_file(folder, *name);
        if (!file.ok()) continue;
        files.push_back(
            {*name, file->bytes, format_iso8601(file->created), format_iso8601(file->modified)});
    }
    std::reverse(files.begin(), files.end());
    return files;
}

Status prune_logs(const std::string& folder, const LogBounds& bounds) {
    HD_TRY(auto names, log_names(folder));
    std::reverse(names.begin(), names.end());
    std::int64_t bytes = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const auto file = os::open_plain_file(folder, names[i]);
        if (file.ok()) bytes += file->bytes;
        const bool is_old = file.ok() && bounds.oldest && file->modified < *bounds.oldest;
        const bool fits = i < bounds.files_max && bytes <= bounds.bytes_max;
        if (i < kAlwaysKept || (fits && !is_old)) continue;
        HD_CHECK(os::remove_tree(folder + "/" + names[i]));
    }
    return ok_status();
}

}  // namespace howdah::agent
