#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "os/file.h"

namespace howdah::agent {

/// Brings the files of extension_scripts() about below a configuration folder; those that are
/// right already cost a read each. `owner`: if the agent is root, root and the group of the
/// server's operating-system user, which reads the scripts and must not change them, as they run
/// with a superuser's rights.
Status write_extension_scripts(const std::string& config_folder,
                               const std::optional<os::Owner>& owner);

}  // namespace howdah::agent
