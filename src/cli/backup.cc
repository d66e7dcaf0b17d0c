#include <CLI/CLI.hpp>

#include "cli/children.h"

// howdah backup: what there is of a server's backups. howdah server restore: a new server with
// another one's data, as they were at a time.

namespace howdah::cli {
namespace {

constexpr std::string_view kType = "backups";
constexpr Column kColumns[] = {{"Name", "name"},
                               {"Type", "properties/backupType"},
                               {"Source", "properties/source"},
                               {"Completed", "properties/completedTime"},
                               {"Kind", "properties/howdah/kind"},
                               {"Database (bytes)", "properties/howdah/databaseBytes"},
                               {"Repository (bytes)", "properties/howdah/repositoryBytes"}};
constexpr Column kServerColumns[] = {{"Name", "name"},
                                     {"State", "properties/state"},
                                     {"Version", "properties/version"},
                                     {"Host", "properties/fullyQualifiedDomainName"}};

struct RestoreOptions {
    std::string group;
    std::string name;
    std::string source;  ///< name in the group, or id
    std::string time;
    bool no_wait = false;
};

/// The last time that can be restored, by what the server says of itself.
Result<std::string> latest(const Json& source) {
    const Json& spans = at(source, "properties/howdah/restorable");
    if (spans.is_array() && !spans.empty()) return text_at(spans.back(), "to");
    return Error{ErrorCode::invalid_state,
                 "the server cannot be restored yet: it has no backup",
                 {},
                 "wait a minute; howdah backup list shows when there is one"};
}

Result<Output> make(Session& session, const RestoreOptions& options, const std::string& location,
                    Json properties) {
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(Json value,
           session.change_and_get("PUT", arm->server(options.group, options.name),
                                  {{"location", location}, {"properties", std::move(properties)}},
                                  options.no_wait));
    session.note(
        "firewall rules and Microsoft Entra administrators do not come with the data: set "
        "them up anew");
    return Output{std::move(value), kServerColumns};
}

Result<Output> restore(Session& session, const RestoreOptions& options) {
    session.doing("restore", "restoring",
                  "server " + options.name + " from server " + options.source);
    HD_TRY(Arm* const arm, session.arm());
    const bool is_id = options.source.starts_with('/');
    const std::string source = is_id ? options.source : arm->server(options.group, options.source);
    HD_TRY(const Json before, arm->get(source));
    std::string time = options.time;
    if (time.empty()) {
        HD_TRY(time, latest(before));
    }
    return make(session, options, text_at(before, "location"),
                {{"createMode", "PointInTimeRestore"},
                 {"sourceServerResourceId", text_at(before, "id")},
                 {"pointInTimeUTC", time}});
}

/// The server is not there any more, so its group tells where it was.
Result<Output> revive(Session& session, const RestoreOptions& options) {
    session.doing("revive-dropped", "bringing back",
                  "server " + options.source + " as server " + options.name);
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const Json group, arm->get(arm->group(options.group), kResourcesVersion));
    const bool is_id = options.source.starts_with('/');
    Json properties = {{"createMode", "ReviveDropped"},
                       {"sourceServerResourceId",
                        is_id ? options.source : arm->server(options.group, options.source)}};
    if (!options.time.empty()) properties["pointInTimeUTC"] = options.time;
    return make(session, options, text_at(group, "location"), std::move(properties));
}

Result<Output> list(Session& session, const ChildOptions& options) {
    session.doing("list", "listing", "backups" + options.of_server());
    return list_children(session, options, kType, kColumns);
}

Result<Output> show(Session& session, const ChildOptions& options) {
    session.doing("show", "showing", "backup " + options.name + options.of_server());
    return show_child(session, options, kType, kColumns);
}

Result<Output> create(Session& session, const ChildOptions& options) {
    session.doing("create", "making", "backup " + options.name + options.of_server());
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(Json value, session.change_and_get("PUT", child_path(*arm, options, kType), nullptr,
                                              options.no_wait));
    return Output{std::move(value), kColumns};
}

Result<Output> drop(Session& session, const ChildOptions& options) {
    session.doing("delete", "deleting", "backup " + options.name + options.of_server());
    return delete_child(session, options, kType,
                        "Delete backup '" + options.name + "'" + options.of_server() + "?");
}

}  // namespace

void add_backup(Commands& commands) {
    CLI::App& noun = commands.noun("backup", "Backups of a server");
    auto child = std::make_shared<ChildOptions>();
    const auto verb = [&](const char* name, const char* about, auto action) -> CLI::App& {
        CLI::App& app = commands.verb(noun, name, about, [child, action](Session& session) {
            return action(session, *child);
        });
        app.add_option("-g,--resource-group", child->group, "Resource group")->required();
        app.add_option("-n,--name,-s,--server-name", child->server, "Server")->required();
        return app;
    };
    verb("list", "List the backups, the oldest first", list);
    const auto one = [&](const char* name, const char* about, auto action) -> CLI::App& {
        CLI::App& app = verb(name, about, action);
        app.add_option("-b,--backup-name", child->name, "Backup")->required();
        return app;
    };
    one("show", "Show a backup", show);
    one("create", "Make a backup that stays until it is deleted", create)
        .add_flag("--no-wait", child->no_wait, "Do not wait for the end");
    CLI::App& delete_verb = one("delete", "Delete a backup on demand", drop);
    delete_verb.add_flag("-y,--yes", child->yes, "Do not ask");
    delete_verb.add_flag("--no-wait", child->no_wait, "Do not wait for the end");

    auto options = std::make_shared<RestoreOptions>();
    const auto server_verb = [&](const char* name, const char* about, auto action) -> CLI::App& {
        CLI::App& app = commands.verb(
            *commands.root.get_subcommand("server"), name, about,
            [options, action](Session& session) { return action(session, *options); });
        app.add_option("-g,--resource-group", options->group, "Resource group")->required();
        app.add_option("-n,--name", options->name, "Name of the new server")->required();
        app.add_option("--source-server", options->source, "Name or id of the server")->required();
        app.add_option("--restore-time", options->time,
                       "Like 2026-11-23T04:05:06Z (the latest that can be restored)");
        app.add_flag("--no-wait", options->no_wait, "Do not wait for the end");
        return app;
    };
    server_verb("restore", "Make a new server with another one's data, as they were at a time",
                restore);
    server_verb("revive-dropped", "Bring a server back that was deleted in the last seven days",
                revive);
}

}  // namespace howdah::cli
