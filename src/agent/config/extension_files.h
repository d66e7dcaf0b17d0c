#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "os/process.h"

namespace howdah::agent {

/// Brings the files of extension_scripts() about below a configuration folder; those that are
/// right already cost a read each. `user`: whom they belong to, if the agent is root.
Status write_extension_scripts(const std::string& config_folder,
                               const std::optional<os::User>& user);

}  // namespace howdah::agent
