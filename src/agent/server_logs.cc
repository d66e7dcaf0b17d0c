#include "agent/server_logs.h"

#include <algorithm>
#include <filesystem>

#include "os/file.h"

namespace howdah::agent {
namespace {

constexpr std::size_t kAlwaysKept = 2;

}  // namespace

Status prune_logs(const std::string& folder, const LogBounds& bounds) {
    HD_TRY(auto names, os::list_folder(folder));
    std::erase_if(names, [](const std::string& name) { return !name.starts_with("postgresql-"); });
    std::sort(names.rbegin(), names.rend());
    std::int64_t bytes = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const std::string path = folder + "/" + names[i];
        std::error_code failed;
        const auto size = std::filesystem::file_size(path, failed);
        if (!failed) bytes += static_cast<std::int64_t>(size);
        if (i < kAlwaysKept || (i < bounds.files_max && bytes <= bounds.bytes_max)) continue;
        HD_CHECK(os::remove_tree(path));
    }
    return ok_status();
}

}  // namespace howdah::agent
