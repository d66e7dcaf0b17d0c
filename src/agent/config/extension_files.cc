#include "agent/config/extension_files.h"

#include "agent/config/render.h"

namespace howdah::agent {
namespace {

/// Every folder from `top` to the one the file is in.
Status make_folders_above(const std::string& path, const std::string& top,
                          const std::optional<os::Owner>& owner) {
    for (std::size_t end = top.size(); end != std::string::npos; end = path.find('/', end + 1)) {
        const std::string folder = path.substr(0, end);
        if (os::exists(folder)) continue;
        HD_CHECK(os::make_folders(folder, owner ? 0750 : 0700));
        if (owner) HD_CHECK(os::change_owner(folder, *owner));
    }
    return ok_status();
}

}  // namespace

Status write_extension_scripts(const std::string& config_folder,
                               const std::optional<os::Owner>& owner) {
    const std::string top = config_folder + "/extensions";
    // Whoever owns a folder may put links into it.
    const auto present_owner = os::owner_of(top);
    if (owner && present_owner.ok() && !(*present_owner == *owner)) HD_CHECK(os::remove_tree(top));
    for (const auto& [name, content] : extension_scripts()) {
        const std::string path = config_folder + "/" + name;
        const auto present = os::read_file(path);
        if (present.ok() && *present == content) continue;
        HD_CHECK(make_folders_above(path, top, owner));
        HD_CHECK(os::replace_file(path, content, owner ? 0640 : 0600, owner));
    }
    return ok_status();
}

}  // namespace howdah::agent
