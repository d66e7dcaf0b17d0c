#include <CLI/CLI.hpp>

#include "cli/children.h"

// howdah db: the databases of a server.

namespace howdah::cli {
namespace {

constexpr std::string_view kType = "databases";
constexpr Column kColumns[] = {
    {"Name", "name"}, {"Charset", "properties/charset"}, {"Collation", "properties/collation"}};

Result<Output> create(Session& session, const ChildOptions& options) {
    session.doing("create", "creating", "database " + options.name + options.of_server());
    HD_TRY(Arm* const arm, session.arm());
    Json properties = Json::object();
    if (!options.charset.empty()) properties["charset"] = options.charset;
    if (!options.collation.empty()) properties["collation"] = options.collation;
    HD_TRY(Json value, session.change_and_get("PUT", child_path(*arm, options, kType),
                                              {{"properties", properties}}, options.no_wait));
    return Output{std::move(value), kColumns};
}

Result<Output> list(Session& session, const ChildOptions& options) {
    session.doing("list", "listing", "databases" + options.of_server());
    return list_children(session, options, kType, kColumns);
}

Result<Output> show(Session& session, const ChildOptions& options) {
    session.doing("show", "showing", "database " + options.name + options.of_server());
    return show_child(session, options, kType, kColumns);
}

Result<Output> remove(Session& session, const ChildOptions& options) {
    session.doing("delete", "deleting", "database " + options.name + options.of_server());
    return delete_child(session, options, kType,
                        "Delete the database '" + options.name + "' and all its data?");
}

}  // namespace

void add_database(Commands& commands) {
    CLI::App& noun = commands.noun("db", "Databases of a server");
    auto options = std::make_shared<ChildOptions>();
    const auto verb = [&](const char* name, const char* about, bool one, auto action) -> CLI::App& {
        CLI::App& app = commands.verb(noun, name, about, [options, action](Session& session) {
            return action(session, *options);
        });
        app.add_option("-g,--resource-group", options->group, "Resource group")->required();
        app.add_option("-s,--server-name", options->server, "Server")->required();
        if (one) {
            app.add_option("-d,--database-name,-n,--name", options->name, "Database")->required();
        }
        return app;
    };
    CLI::App& create_verb = verb("create", "Create a database", true, create);
    create_verb.add_option("--charset", options->charset, "Character set (UTF8)");
    create_verb.add_option("--collation", options->collation, "Collation (en_US.utf8)");
    create_verb.add_flag("--no-wait", options->no_wait, "Do not wait for the end");
    verb("list", "List the databases", false, list);
    verb("show", "Show a database", true, show);
    CLI::App& delete_verb = verb("delete", "Delete a database", true, remove);
    delete_verb.add_flag("-y,--yes", options->yes, "Do not ask");
    delete_verb.add_flag("--no-wait", options->no_wait, "Do not wait for the end");
}

}  // namespace howdah::cli
