#include <CLI/CLI.hpp>

#include "cli/children.h"

// howdah server replica: servers that follow another one, for readers.

namespace howdah::cli {
namespace {

constexpr std::string_view kType = "replicas";
constexpr Column kColumns[] = {{"Name", "name"},
                               {"Role", "properties/replicationRole"},
                               {"Replication", "properties/replica/replicationState"},
                               {"Lag (s)", "properties/howdah/replication/lagSeconds"},
                               {"Lag (bytes)", "properties/howdah/replication/lagBytes"},
                               {"State", "properties/state"},
                               {"Host", "properties/fullyQualifiedDomainName"}};

struct ReplicaOptions {
    ChildOptions child;  ///< `server`: the source, or the replica that is promoted
    std::string name;    ///< of the new replica
    std::string sku;
    std::string tier;
    std::string option = "Planned";
};

Result<Output> create(Session& session, const ReplicaOptions& options) {
    session.doing("create", "making", "read replica " + options.name + options.child.of_server());
    HD_TRY(Arm* const arm, session.arm());
    const bool is_id = options.child.server.starts_with('/');
    HD_TRY(const Json source,
           arm->get(is_id ? options.child.server
                          : arm->server(options.child.group, options.child.server)));
    Json body = {{"location", text_at(source, "location")},
                 {"properties",
                  {{"createMode", "Replica"}, {"sourceServerResourceId", text_at(source, "id")}}}};
    if (!options.sku.empty()) body["sku"]["name"] = options.sku;
    if (!options.tier.empty()) body["sku"]["tier"] = options.tier;
    HD_TRY(Json value, session.change_and_get("PUT", arm->server(options.child.group, options.name),
                                              body, options.child.no_wait));
    session.note("firewall rules do not come with the data: set them up anew");
    return Output{std::move(value), kColumns};
}

Result<Output> list(Session& session, const ReplicaOptions& options) {
    session.doing("list", "listing", "read replicas" + options.child.of_server());
    return list_children(session, options.child, kType, kColumns);
}

Result<Output> promote(Session& session, const ReplicaOptions& options) {
    session.doing("promote", "promoting", "read replica " + options.child.server);
    HD_TRY(Arm* const arm, session.arm());
    const Json replica = {
        {"role", "None"}, {"promoteMode", "Standalone"}, {"promoteOption", options.option}};
    HD_TRY(Json value,
           session.change_and_get("PATCH", arm->server(options.child.group, options.child.server),
                                  {{"properties", {{"replica", replica}}}}, options.child.no_wait));
    return Output{std::move(value), kColumns};
}

}  // namespace

void add_server_replicas(Commands& commands) {
    CLI::App& server = *commands.root.get_subcommand("server");
    CLI::App& noun = commands.noun(server, "replica", "Read replicas of a server");
    auto options = std::make_shared<ReplicaOptions>();
    const auto add = [&](const char* name, const char* about, auto action) -> CLI::App& {
        CLI::App& app = commands.verb(noun, name, about, [options, action](Session& session) {
            return action(session, *options);
        });
        app.add_option("-g,--resource-group", options->child.group, "Resource group")->required();
        return app;
    };
    CLI::App& create_verb = add("create", "Make a server that follows another one", create);
    create_verb.add_option("-n,--name", options->name, "Name of the new server")->required();
    create_verb.add_option("--source-server", options->child.server, "Name or id of the source")
        ->required();
    create_verb.add_option("--sku-name", options->sku, "Compute size (the source's)");
    create_verb.add_option("--tier", options->tier, "Tier (the source's)");
    create_verb.add_flag("--no-wait", options->child.no_wait, "Do not wait for the end");
    add("list", "List the read replicas of a server", list)
        .add_option("-n,--name", options->child.server, "The source")
        ->required();
    CLI::App& promote_verb = add("promote", "Make a read replica a server of its own", promote);
    promote_verb.add_option("-n,--name", options->child.server, "The read replica")->required();
    promote_verb
        .add_option("--promote-option", options->option,
                    "Planned: with all that its source has; Forced: with what it has")
        ->check(CLI::IsMember({"Planned", "Forced"}))
        ->capture_default_str();
    promote_verb.add_flag("--no-wait", options->child.no_wait, "Do not wait for the end");
}

}  // namespace howdah::cli
