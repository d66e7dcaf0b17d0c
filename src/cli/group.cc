#include <CLI/CLI.hpp>

#include "cli/session.h"
#include "cli/values.h"

// howdah group: resource groups.

namespace howdah::cli {
namespace {

constexpr Column kColumns[] = {
    {"Name", "name"}, {"Location", "location"}, {"Status", "properties/provisioningState"}};

struct GroupOptions {
    std::string name;
    std::string location;
    std::vector<std::string> tags;
    bool yes = false;
    bool no_wait = false;
};

Result<Output> create(Session& session, const GroupOptions& options) {
    session.doing("create", "creating", "resource group " + options.name);
    HD_TRY(Arm* const arm, session.arm());
    Json body = {{"location", options.location}};
    HD_TRY(const Json tags, tags_of(options.tags));
    if (!tags.empty()) body["tags"] = tags;
    HD_TRY(Json value,
           session.change_and_get("PUT", arm->group(options.name), body, false, kResourcesVersion));
    return Output{std::move(value), kColumns};
}

Result<Output> list(Session& session) {
    session.doing("list", "listing", "resource groups");
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(Json all, arm->list(arm->subscription() + "/resourceGroups", kResourcesVersion));
    return Output{std::move(all), kColumns};
}

Result<Output> show(Session& session, const GroupOptions& options) {
    session.doing("show", "showing", "resource group " + options.name);
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(Json value, arm->get(arm->group(options.name), kResourcesVersion));
    return Output{std::move(value), kColumns};
}

Result<Output> remove(Session& session, const GroupOptions& options) {
    session.doing("delete", "deleting", "resource group " + options.name);
    HD_TRY(Arm* const arm, session.arm());
    HD_CHECK(session.confirm(
        "Delete the resource group '" + options.name + "' and every server in it?", options.yes));
    HD_CHECK(session.change("DELETE", arm->group(options.name), Json(), options.no_wait,
                            kResourcesVersion));
    return Output{};
}

}  // namespace

void add_group(Commands& commands) {
    CLI::App& noun = commands.noun("group", "Resource groups: what belongs together");
    auto options = std::make_shared<GroupOptions>();
    const auto bind = [&](auto action) {
        return [options, action](Session& session) { return action(session, *options); };
    };
    const auto name = [&](CLI::App& app) {
        app.add_option("-n,--name,-g,--resource-group", options->name, "Name of the group")
            ->required();
    };
    CLI::App& create_verb =
        commands.verb(noun, "create", "Create a group, or change its tags", bind(create));
    name(create_verb);
    create_verb.add_option("-l,--location", options->location, "Location of the group")->required();
    create_verb.add_option("--tags", options->tags, "Tags: key=value ...");
    commands.verb(noun, "list", "List the groups", list);
    name(commands.verb(noun, "show", "Show a group", bind(show)));
    CLI::App& delete_verb =
        commands.verb(noun, "delete", "Delete a group and everything in it", bind(remove));
    name(delete_verb);
    delete_verb.add_flag("-y,--yes", options->yes, "Do not ask");
    delete_verb.add_flag("--no-wait", options->no_wait, "Do not wait for the end");
}

}  // namespace howdah::cli
