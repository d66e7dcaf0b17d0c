#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "cli/roles.h"
#include "cli/session.h"

// howdah lock: what keeps a subscription, a group or a resource from being changed or deleted.

namespace howdah::cli {
namespace {

constexpr Column kColumns[] = {
    {"Name", "name"}, {"Level", "level"}, {"Notes", "notes"}, {"Id", "id"}};

struct LockOptions {
    std::string name;
    std::string type;
    std::string notes;
    std::string group;
    std::string resource;
    std::string resource_type;
    std::vector<std::string> ids;
};

/// The path of the locks of what the options name: a resource, a group, or the subscription.
Result<std::string> locks_at(const Arm& arm, const LockOptions& options) {
    std::string scope = arm.subscription();
    if (!options.group.empty()) scope = arm.group(options.group);
    if (options.resource.starts_with("/")) {
        scope = options.resource;
    } else if (!options.resource.empty()) {
        const std::string& type = options.resource_type;
        const std::string full = type.find('/') == std::string::npos && !type.empty()
                                     ? "Microsoft.DBforPostgreSQL/" + type
                                     : type;
        if (options.group.empty() || full.empty())
            return usage_error("--resource", "it is not said which resource",
                               "add -g GROUP and --resource-type "
                               "Microsoft.DBforPostgreSQL/flexibleServers, or give its whole id");
        scope += "/providers/" + full + "/" + http::url_encode(options.resource);
    }
    return scope + "/providers/Microsoft.Authorization/locks";
}

Result<std::string> lock_path(const Arm& arm, const LockOptions& options) {
    if (options.name.empty())
        return usage_error("--name", "the name of the lock is not given", "add --name, or --ids");
    HD_TRY(const std::string locks, locks_at(arm, options));
    return locks + "/" + http::url_encode(options.name);
}

/// Of the options, or of each of --ids.
Result<std::vector<std::string>> lock_paths(const Arm& arm, const LockOptions& options) {
    if (!options.ids.empty()) return options.ids;
    HD_TRY(std::string path, lock_path(arm, options));
    return std::vector<std::string>{std::move(path)};
}

Result<Output> create(Session& session, const LockOptions& options) {
    session.doing("create", "creating", "lock " + options.name);
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const std::string path, lock_path(*arm, options));
    Json properties = {{"level", options.type}};
    if (!options.notes.empty()) properties["notes"] = options.notes;
    HD_TRY(const Begun begun, arm->begin("PUT", path, {{"properties", properties}}, kLocksVersion));
    return Output{flattened(begun.body), kColumns};
}

Result<Output> list(Session& session, const LockOptions& options) {
    session.doing("list", "listing", "locks");
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const std::string path, locks_at(*arm, options));
    HD_TRY(const Json all, arm->list(path, kLocksVersion));
    Json shown = Json::array();
    for (const Json& each : all) shown.push_back(flattened(each));
    return Output{std::move(shown), kColumns};
}

Result<Output> show(Session& session, const LockOptions& options) {
    session.doing("show", "showing", "lock " + options.name);
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const auto paths, lock_paths(*arm, options));
    Json shown = Json::array();
    for (const std::string& path : paths) {
        HD_TRY(const Json lock, arm->get(path, kLocksVersion));
        shown.push_back(flattened(lock));
    }
    return Output{shown.size() == 1 ? Json(shown[0]) : shown, kColumns};
}

Result<Output> remove(Session& session, const LockOptions& options) {
    session.doing("delete", "deleting", "lock " + options.name);
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const auto paths, lock_paths(*arm, options));
    for (const std::string& path : paths)
        HD_CHECK(arm->begin("DELETE", path, Json(), kLocksVersion));
    return Output{};
}

}  // namespace

void add_lock(Commands& commands) {
    CLI::App& noun = commands.noun("lock", "What must not be changed or deleted");
    auto options = std::make_shared<LockOptions>();
    const auto verb = [&](const char* name, const char* about, auto action) -> CLI::App& {
        CLI::App& app = commands.verb(noun, name, about, [options, action](Session& session) {
            return action(session, *options);
        });
        app.add_option("-g,--resource-group", options->group,
                       "Resource group (the whole subscription)");
        app.add_option("--resource,--resource-name", options->resource, "Name or id of a resource");
        app.add_option("--resource-type", options->resource_type, "Its type, if it is a name");
        return app;
    };
    const auto name = [&](CLI::App& app) {
        app.add_option("-n,--name", options->name, "Name of the lock");
    };
    const auto ids = [&](CLI::App& app) {
        name(app);
        app.add_option("--ids", options->ids, "Or ids of locks");
    };
    CLI::App& create_verb = verb("create", "Lock something", create);
    name(create_verb);
    create_verb.add_option("-t,--lock-type", options->type, "CanNotDelete or ReadOnly")->required();
    create_verb.add_option("--notes", options->notes, "Why");
    verb("list", "List the locks", list);
    ids(verb("show", "Show a lock", show));
    ids(verb("delete", "Take a lock away", remove));
}

}  // namespace howdah::cli
