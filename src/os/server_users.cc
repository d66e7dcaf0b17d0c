#include "os/server_users.h"

#include <fmt/core.h>

#include "os/ports.h"

namespace howdah::os {
namespace {

Status must_succeed(const Result<Finished>& finished, const std::string& what) {
    if (!finished.ok()) return finished.error().in(what);
    if (finished->succeeded()) return ok_status();
    return Error{ErrorCode::io, fmt::format("{} failed: {}", what, finished->describe())};
}

}  // namespace

Result<std::string> ServerUsers::create(const std::string& id) {
    if (!is_root()) return std::string();
    const std::string name = "howdah-" + id.substr(0, 8);
    if (find_user(name).ok()) return name;
    const Status made = must_succeed(
        run({.arguments = {"/usr/sbin/useradd", "--system", "--no-create-home", "--home-dir",
                           "/nonexistent", "--shell", "/usr/sbin/nologin", name}}),
        "making the user " + name);
    if (made.ok() || find_user(name).ok()) return name;
    return made.error();
}

std::string ServerUsers::pooler_id(const std::string& server_id) {
    return fmt::format("p{:016x}", stable_hash(server_id));
}

Status ServerUsers::remove(const std::string& name) {
    if (name.empty() || !find_user(name).ok()) return ok_status();
    return must_succeed(run({.arguments = {"/usr/sbin/userdel", name}}),
                        "removing the user " + name);
}

Result<std::optional<User>> ServerUsers::find(const std::string& name) {
    if (name.empty()) return std::optional<User>();
    HD_TRY(const User user, find_user(name));
    return std::optional<User>(user);
}

}  // namespace howdah::os
