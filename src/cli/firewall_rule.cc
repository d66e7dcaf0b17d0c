#include <CLI/CLI.hpp>

#include "cli/children.h"

// howdah firewall-rule: who may connect to a server. az has named the options in two ways: the
// server by -n and the rule by -r, and later the server by -s and the rule by -n. Both work.

namespace howdah::cli {
namespace {

constexpr std::string_view kType = "firewallRules";
constexpr Column kColumns[] = {{"Name", "name"},
                               {"StartIpAddress", "properties/startIpAddress"},
                               {"EndIpAddress", "properties/endIpAddress"}};

/// As given; `name` is the server or the rule.
struct Given {
    ChildOptions options;
    std::string name;
    std::string rule;
};

Result<ChildOptions> understand(const Given& given, bool one) {
    ChildOptions options = given.options;
    options.name = given.rule;
    if (options.server.empty()) {
        options.server = given.name;
    } else if (options.name.empty()) {
        options.name = given.name;
    }
    if (options.server.empty()) return usage_error("--name", "the server is not given");
    if (one && options.name.empty()) return usage_error("--rule-name", "the rule is not given");
    return options;
}

Json body_of(const std::string& start, const std::string& end) {
    return {{"properties", {{"startIpAddress", start}, {"endIpAddress", end}}}};
}

Result<Output> create(Session& session, const ChildOptions& options) {
    session.doing("create", "creating", "firewall rule " + options.name + options.of_server());
    HD_TRY(Arm* const arm, session.arm());
    const std::string& start = options.start_ip.empty() ? options.end_ip : options.start_ip;
    const std::string& end = options.end_ip.empty() ? options.start_ip : options.end_ip;
    if (start.empty()) {
        return usage_error("--start-ip-address", "no address is given",
                           "add --start-ip-address, and --end-ip-address for a range");
    }
    HD_TRY(Json value, session.change_and_get("PUT", child_path(*arm, options, kType),
                                              body_of(start, end), options.no_wait));
    return Output{std::move(value), kColumns};
}

Result<Output> update(Session& session, const ChildOptions& options) {
    session.doing("update", "updating", "firewall rule " + options.name + options.of_server());
    HD_TRY(Arm* const arm, session.arm());
    const std::string path = child_path(*arm, options, kType);
    HD_TRY(const Json rule, arm->get(path));
    const std::string start =
        options.start_ip.empty() ? text_at(rule, "properties/startIpAddress") : options.start_ip;
    const std::string end =
        options.end_ip.empty() ? text_at(rule, "properties/endIpAddress") : options.end_ip;
    HD_TRY(Json value, session.change_and_get("PUT", path, body_of(start, end), options.no_wait));
    return Output{std::move(value), kColumns};
}

Result<Output> list(Session& session, const ChildOptions& options) {
    session.doing("list", "listing", "firewall rules" + options.of_server());
    return list_children(session, options, kType, kColumns);
}

Result<Output> show(Session& session, const ChildOptions& options) {
    session.doing("show", "showing", "firewall rule " + options.name + options.of_server());
    return show_child(session, options, kType, kColumns);
}

Result<Output> remove(Session& session, const ChildOptions& options) {
    session.doing("delete", "deleting", "firewall rule " + options.name + options.of_server());
    return delete_child(session, options, kType,
                        "Delete the firewall rule '" + options.name + "'?");
}

}  // namespace

void add_firewall_rule(Commands& commands) {
    CLI::App& noun = commands.noun("firewall-rule", "Who may connect to a server");
    auto given = std::make_shared<Given>();
    ChildOptions& options = given->options;
    const auto verb = [&](const char* name, const char* about, bool one, auto action) -> CLI::App& {
        CLI::App& app = commands.verb(
            noun, name, about, [given, one, action](Session& session) -> Result<Output> {
                HD_TRY(const ChildOptions understood, understand(*given, one));
                return action(session, understood);
            });
        app.add_option("-g,--resource-group", options.group, "Resource group")->required();
        app.add_option("-s,--server-name", options.server, "Server");
        app.add_option("-n,--name", given->name,
                       one ? "Server; with --server-name the rule" : "Server");
        if (one) app.add_option("-r,--rule-name", given->rule, "Rule");
        return app;
    };
    const auto addresses = [&](CLI::App& app) {
        app.add_option("--start-ip-address", options.start_ip,
                       "First IPv4 address; 0.0.0.0 alone means this host");
        app.add_option("--end-ip-address", options.end_ip, "Last IPv4 address (the first)");
        app.add_flag("--no-wait", options.no_wait, "Do not wait for the end");
    };
    addresses(verb("create", "Create a rule", true, create));
    addresses(verb("update", "Change a rule", true, update));
    verb("list", "List the rules", false, list);
    verb("show", "Show a rule", true, show);
    CLI::App& delete_verb = verb("delete", "Delete a rule", true, remove);
    delete_verb.add_flag("-y,--yes", options.yes, "Do not ask");
    delete_verb.add_flag("--no-wait", options.no_wait, "Do not wait for the end");
}

}  // namespace howdah::cli
