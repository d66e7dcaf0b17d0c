#include "agent/prepared.h"

#include <fmt/core.h>

#include <algorithm>

#include "agent/config/extension_files.h"
#include "agent/config/render.h"
#include "agent/postmaster.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/text.h"
#include "os/file.h"
#include "os/server_users.h"

namespace howdah::agent {
namespace {

constexpr std::string_view kHalf = "half-";
constexpr std::string_view kReady = "ready-";
constexpr int kBackgroundNice = 10;
constexpr Duration kInitdbMax = std::chrono::minutes(5);

/// The locale of a new data directory: Azure's where the machine has it, else the C locale in
/// UTF-8.
std::string cluster_locale() {
    for (const std::string& name : find_collations()) {
        if (iequals(name, "en_US.utf8")) return name;
    }
    return "C.UTF-8";
}

std::string user_of(const std::string& folder) {
    return os::read_file(folder + "/user", 64).value_or("");
}

Status must_succeed(const Result<os::Finished>& finished, std::string_view what) {
    if (!finished.ok()) return finished.error().in(what);
    if (finished->succeeded()) return ok_status();
    return Error{ErrorCode::postgres, fmt::format("{} failed: {}", what, finished->describe())};
}

}  // namespace

Status PreparedPool::clean() {
    HD_CHECK(os::make_folders(layout_.prepared(), 0711));
    HD_TRY(const auto names, os::list_folder(layout_.prepared()));
    const SystemClock clock;
    for (const std::string& name : names) {
        if (!name.starts_with(kHalf)) continue;
        const std::string folder = layout_.prepared() + "/" + name;
        // A server that was only asked about its parameters may still run there.
        Postmaster postmaster({"", {folder, ""}, std::nullopt, {}}, clock);
        (void)postmaster.adopt();
        Status done = postmaster.stop();
        if (done.ok()) done = os::ServerUsers::remove(user_of(folder));
        if (done.ok()) done = os::remove_tree(folder);
        // Not worth refusing to serve: the next start of the agent tries again.
        if (done.ok())
            log::info("removed a half-made data directory", {{"folder", folder}});
        else
            log::warn("a half-made data directory cannot be removed",
                      {{"folder", folder}, {"reason", done.error().describe()}});
    }
    return ok_status();
}

std::size_t PreparedPool::count(const std::string& major) const {
    const auto names = os::list_folder(layout_.prepared());
    if (!names.ok()) return 0;
    const std::string prefix = fmt::format("{}{}-", kReady, major);
    return static_cast<std::size_t>(
        std::count_if(names->begin(), names->end(),
                      [&](const std::string& name) { return name.starts_with(prefix); }));
}

Status PreparedPool::make(const InstalledEngine& engine, bool is_background) {
    const std::string id = ids_.uuid();
    const std::string half = fmt::format("{}/{}{}", layout_.prepared(), kHalf, id);
    const Status built = build(engine, half, id, is_background);
    if (!built.ok()) {
        give_up(half);
        return built;
    }
    HD_FAILPOINT("agent.pool.half_prepared");
    return os::rename_synced(
        half, fmt::format("{}/{}{}-{}", layout_.prepared(), kReady, engine.major, id));
}

void PreparedPool::give_up(const std::string& half) {
    (void)os::ServerUsers::remove(user_of(half));
    (void)os::remove_tree(half);
}

/// All but the data.
Result<std::optional<os::User>> PreparedPool::make_folders(const std::string& folder,
                                                           const std::string& id) {
    const InstancePaths paths{folder, ""};
    HD_CHECK(os::make_folders(folder, 0711));
    // The name is on disk before the user exists, so that a crash leaves no user behind.
    HD_CHECK(
        os::write_file_atomic(folder + "/user", os::is_root() ? "howdah-" + id.substr(0, 8) : ""));
    HD_TRY(const std::string user_name, os::ServerUsers::create(id));
    HD_TRY(const std::optional<os::User> user, os::ServerUsers::find(user_name));
    HD_CHECK(os::make_folders(paths.log(), 0700));
    if (user) HD_CHECK(os::change_owner(paths.log(), {user->uid, user->gid}));
    // PostgreSQL reads its configuration and cannot change it.
    HD_CHECK(os::make_folders(paths.config(), user ? 0750 : 0700));
    std::optional<os::Owner> owner;
    if (user) owner = os::Owner{0, user->gid};
    if (owner) HD_CHECK(os::change_owner(paths.config(), *owner));
    HD_CHECK(write_extension_scripts(paths.config(), owner));
    return user;
}

Status PreparedPool::build(const InstalledEngine& engine, const std::string& folder,
                           const std::string& id, bool is_background) {
    const InstancePaths paths{folder, ""};
    HD_TRY(const std::optional<os::User> user, make_folders(folder, id));
    HD_CHECK(os::make_folders(paths.data(), 0700));
    if (user) HD_CHECK(os::change_owner(paths.data(), {user->uid, user->gid}));
    os::Command initdb{.arguments = {engine.programs + "/initdb", "--pgdata=" + paths.data(),
                                     "--username=" + std::string(kSuperuser), "--encoding=UTF8",
                                     "--locale=" + cluster_locale(), "--data-checksums",
                                     "--no-sync", "--auth-local=peer", "--auth-host=reject"},
                       .folder = folder,
                       .user = user,
                       .timeout = kInitdbMax};
    if (is_background) initdb.nice = kBackgroundNice;
    HD_CHECK(must_succeed(os::run(initdb), "initdb"));
    os::Command bootstrap{.arguments = {engine.programs + "/postgres", "--single", "-F", "-c",
                                        "exit_on_error=on", "-D", paths.data(), "postgres"},
                          .folder = folder,
                          .user = user,
                          .timeout = kInitdbMax};
    std::string script;
    for (const std::string& each :
         bootstrap_statements(static_cast<int>(*parse_integer(engine.major, 1, 99)))) {
        script += each + "\n";
    }
    bootstrap.input = Secret(std::move(script));
    if (is_background) bootstrap.nice = kBackgroundNice;
    HD_CHECK(must_succeed(os::run(bootstrap), "making Howdah's roles"));
    return os::sync_tree(folder);
}

Result<std::string> PreparedPool::claim_empty(const std::string& folder) {
    if (os::exists(folder)) return user_of(folder);
    const std::string id = ids_.uuid();
    const std::string half = fmt::format("{}/{}{}", layout_.prepared(), kHalf, id);
    const auto made = make_folders(half, id);
    Status done = made.ok() ? os::sync_tree(half) : Status(made.error());
    if (done.ok()) done = os::rename_synced(half, folder);
    if (done.ok()) return user_of(folder);
    give_up(half);
    return done.error();
}

Result<std::string> PreparedPool::claim(const InstalledEngine& engine, const std::string& folder) {
    if (os::exists(folder)) return user_of(folder);
    const std::lock_guard lock(mutex_);
    if (count(engine.major) == 0) {
        log::info("the pool of prepared data directories is empty, one is made now");
        HD_CHECK(make(engine, /*is_background=*/false));
    }
    HD_TRY(const auto names, os::list_folder(layout_.prepared()));
    const std::string prefix = fmt::format("{}{}-", kReady, engine.major);
    for (const std::string& name : names) {
        if (!name.starts_with(prefix)) continue;
        HD_CHECK(os::rename_synced(layout_.prepared() + "/" + name, folder));
        return user_of(folder);
    }
    return Error{ErrorCode::internal,
                 "a prepared data directory vanished from " + layout_.prepared()};
}

}  // namespace howdah::agent
