#include "os/server_users.h"

#include <fmt/core.h>

#include <thread>

#include "base/clock.h"
#include "os/file.h"
#include "os/ports.h"

namespace howdah::os {
namespace {

constexpr const char* kLockFile = "/run/howdah-users.lock";
constexpr Duration kTurnMax = std::chrono::seconds(20);
constexpr Duration kTurnPoll = std::chrono::milliseconds(10);

Status must_succeed(const Result<Finished>& finished, const std::string& what) {
    if (!finished.ok()) return finished.error().in(what);
    if (finished->succeeded()) return ok_status();
    return Error{ErrorCode::io, fmt::format("{} failed: {}", what, finished->describe())};
}

/// Of two who make the same user at once, useradd lets the second replace what the first has made,
/// with other numbers. Agents and poolers of all homes of this machine take turns.
Result<FileLock> lock_users() {
    const SystemClock clock;
    const Instant deadline = clock.now() + kTurnMax;
    for (;;) {
        auto lock = FileLock::try_lock(kLockFile);
        if (lock.ok() || lock.error().code != ErrorCode::conflict) return lock;
        if (clock.now() > deadline)
            return Error{ErrorCode::timeout, "other users are being made for too long", kLockFile,
                         "Look for a useradd or userdel that does not end."};
        std::this_thread::sleep_for(kTurnPoll);
    }
}

}  // namespace

Result<std::string> ServerUsers::create(const std::string& id) {
    if (!is_root()) return std::string();
    const std::string name = "howdah-" + id.substr(0, 8);
    if (find_user(name).ok()) return name;
    HD_TRY(const FileLock lock, lock_users());
    if (find_user(name).ok()) return name;
    HD_CHECK(must_succeed(
        run({.arguments = {"/usr/sbin/useradd", "--system", "--no-create-home", "--home-dir",
                           "/nonexistent", "--shell", "/usr/sbin/nologin", name}}),
        "making the user " + name));
    return name;
}

std::string ServerUsers::pooler_id(const std::string& server_id) {
    return fmt::format("p{:016x}", stable_hash(server_id));
}

Status ServerUsers::remove(const std::string& name) {
    if (name.empty() || !find_user(name).ok()) return ok_status();
    HD_TRY(const FileLock lock, lock_users());
    return must_succeed(run({.arguments = {"/usr/sbin/userdel", name}}),
                        "removing the user " + name);
}

Result<std::optional<User>> ServerUsers::find(const std::string& name) {
    if (name.empty()) return std::optional<User>();
    HD_TRY(const User user, find_user(name));
    return std::optional<User>(user);
}

}  // namespace howdah::os
