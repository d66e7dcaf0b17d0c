#include "agent/config/extension_files.h"

#include "agent/config/render.h"
#include "os/file.h"

namespace howdah::agent {

Status write_extension_scripts(const std::string& config_folder,
                               const std::optional<os::User>& user) {
    bool changed = false;
    for (const auto& [name, content] : extension_scripts()) {
        const std::string path = config_folder + "/" + name;
        const auto present = os::read_file(path);
        if (present.ok() && *present == content) continue;
        HD_CHECK(os::make_folders(path.substr(0, path.rfind('/')), 0700));
        HD_CHECK(os::write_file_atomic(path, content, 0600));
        changed = true;
    }
    if (!changed || !user) return ok_status();
    return os::change_owner_tree(config_folder + "/extensions", user->uid, user->gid);
}

}  // namespace howdah::agent
