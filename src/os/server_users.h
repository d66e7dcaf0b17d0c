#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "os/process.h"

namespace howdah::os {

/// The operating-system user a server, or its pooler, runs under. As root each gets one of its own,
/// so that none can read another's files (RULES, Privileges); otherwise it is this process's user.
class ServerUsers {
  public:
    /// "howdah-<8 characters of id>" as root; "" otherwise. Repeatable, also by several at once.
    static Result<std::string> create(const std::string& id);
    /// What create() takes for the PgBouncer of a server: the same for all who ask. No server's own
    /// user has such a name, those are hexadecimal.
    static std::string pooler_id(const std::string& server_id);
    static Status remove(const std::string& name);  ///< fine if it is absent or ""
    static Result<std::optional<User>> find(const std::string& name);
};

}  // namespace howdah::os
