#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "cli/children.h"

// howdah parameter: the settings of a server.

namespace howdah::cli {
namespace {

constexpr std::string_view kType = "configurations";
constexpr Column kColumns[] = {{"Name", "name"},
                               {"Value", "properties/value"},
                               {"Unit", "properties/unit"},
                               {"Default", "properties/defaultValue"},
                               {"Source", "properties/source"},
                               {"Dynamic", "properties/isDynamicConfig"},
                               {"Restart pending", "properties/isConfigPendingRestart"}};

Result<Output> list(Session& session, const ChildOptions& options) {
    session.doing("list", "listing", "parameters" + options.of_server());
    return list_children(session, options, kType, kColumns);
}

Result<Output> show(Session& session, const ChildOptions& options) {
    session.doing("show", "showing", "parameter " + options.name + options.of_server());
    return show_child(session, options, kType, kColumns);
}

Result<Output> assign(Session& session, const ChildOptions& options, const std::string& value,
                      const std::string& source) {
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(Json json,
           session.change_and_get("PATCH", child_path(*arm, options, kType),
                                  {{"properties", {{"value", value}, {"source", source}}}},
                                  options.no_wait));
    if (at(json, "properties/isConfigPendingRestart") == Json(true)) {
        session.note(fmt::format("it takes effect after: howdah server restart -g {} -n {}",
                                 options.group, options.server));
    }
    return Output{std::move(json), kColumns};
}

Result<Output> reset(Session& session, const ChildOptions& options) {
    session.doing("reset", "resetting", "parameter " + options.name + options.of_server());
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const Json now, arm->get(child_path(*arm, options, kType)));
    return assign(session, options, text_at(now, "properties/defaultValue"), "system-default");
}

struct SetOptions {
    ChildOptions child;
    bool has_value = false;
};

Result<Output> set(Session& session, const SetOptions& options) {
    // As az: without a value it is the default again.
    if (!options.has_value) return reset(session, options.child);
    session.doing("set", "setting", "parameter " + options.child.name + options.child.of_server());
    return assign(session, options.child, options.child.value,
                  options.child.source.empty() ? "user-override" : options.child.source);
}

}  // namespace

void add_parameter(Commands& commands) {
    CLI::App& noun = commands.noun("parameter", "Settings of a server");
    auto options = std::make_shared<SetOptions>();
    ChildOptions& child = options->child;
    const auto verb = [&](const char* name, const char* about, bool one,
                          const Action& action) -> CLI::App& {
        CLI::App& app = commands.verb(noun, name, about, action);
        app.add_option("-g,--resource-group", child.group, "Resource group")->required();
        app.add_option("-s,--server-name", child.server, "Server")->required();
        if (one) app.add_option("-n,--name", child.name, "Parameter")->required();
        return app;
    };
    verb("list", "List the parameters", false,
         [options](Session& session) { return list(session, options->child); });
    verb("show", "Show a parameter", true,
         [options](Session& session) { return show(session, options->child); });
    CLI::App& set_verb = verb("set", "Set a parameter", true,
                              [options](Session& session) { return set(session, *options); });
    set_verb.add_option("-v,--value", child.value, "Value (the default)")
        ->each([options](const std::string&) { options->has_value = true; });
    set_verb.add_option("--source", child.source, "user-override or system-default");
    set_verb.add_flag("--no-wait", child.no_wait, "Do not wait for the end");
    CLI::App& reset_verb =
        verb("reset", "Give a parameter its default again", true,
             [options](Session& session) { return reset(session, options->child); });
    reset_verb.add_flag("--no-wait", child.no_wait, "Do not wait for the end");
}

}  // namespace howdah::cli
