#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>

#include "base/version.h"
#include "cli/session.h"

// The program: arguments in, exit code out. CLI11 throws; it does so in this file alone.

namespace howdah::cli {
namespace {

constexpr const char* kAbout =
    "Managed PostgreSQL on your own machines. Words and options are those of\n"
    "'az postgres flexible-server'.";
constexpr const char* kFooter =
    "Begin with:  howdah login --credentials FILE\n"
    "Help for a command:  howdah server create --help";

/// "az postgres flexible-server db create" -> "db create": a habit carries over.
std::vector<std::string> without_az_words(std::vector<std::string> arguments) {
    if (!arguments.empty() && arguments[0] == "az") arguments.erase(arguments.begin());
    if (arguments.size() > 1 && arguments[0] == "monitor" && arguments[1] == "activity-log")
        arguments.erase(arguments.begin());
    if (arguments.size() < 2 || arguments[0] != "postgres" || arguments[1] != "flexible-server") {
        return arguments;
    }
    arguments.erase(arguments.begin(), arguments.begin() + 2);
    for (const char* noun : {"db", "firewall-rule", "parameter"}) {
        if (!arguments.empty() && arguments[0] == noun) return arguments;
    }
    if (!arguments.empty() && arguments[0] == "server-logs") arguments[0] = "logs";
    arguments.insert(arguments.begin(), "server");
    return arguments;
}

Result<Format> format_of(const Session& session) {
    const std::string& name = session.common.output;
    if (name.empty()) return session.world.out_is_terminal ? Format::table : Format::json;
    if (name == "table") return Format::table;
    if (name == "json" || name == "jsonc") return Format::json;
    if (name == "tsv") return Format::tsv;
    if (name == "none") return Format::none;
    return usage_error("--output", "'" + name + "' is not a form of output",
                       "use one of: table, json, tsv, none");
}

/// The first word that is neither a noun nor a verb where it stands; "" if there is none. CLI11
/// alone would only miss the right one, and not name the wrong one.
std::string unknown_word(const CLI::App& app, const std::vector<std::string>& words) {
    const CLI::App* here = &app;
    for (const std::string& word : words) {
        const auto children = here->get_subcommands([](const CLI::App*) { return true; });
        if (children.empty() || word.starts_with("-")) return {};
        const auto found =
            std::find_if(children.begin(), children.end(),
                         [&](const CLI::App* child) { return child->get_name() == word; });
        if (found == children.end()) return word;
        here = *found;
    }
    return {};
}

int exit_code(const Error& error) {
    if (error.code == ErrorCode::not_found) return kExitNotFound;
    if (error.target.starts_with("-")) return kExitUsage;
    return kExitError;
}

/// What, why, what to do.
void complain(const Session& session, const Error& error) {
    std::ostream& err = session.world.err;
    err << "error: cannot " << session.verb << "\n  why: " << error.message << "\n";
    if (!error.target.empty()) err << "  where: " << error.target << "\n";
    if (!error.hint.empty()) err << "  what to do: " << error.hint << "\n";
    err << std::flush;
}

Status act(Session& session, const Action& action) {
    if (!session.common.query.empty()) {
        return usage_error("--query", "queries are not supported",
                           "use --output json, and take what you need with jq");
    }
    HD_TRY(const Format format, format_of(session));
    if (session.common.output.empty()) {
        session.common.output = format == Format::table ? "table" : "json";
    }
    HD_TRY(const Output output, action(session));
    session.world.out << render(output, format) << std::flush;
    if (!session.world.out) {
        return Error{ErrorCode::io, "the output cannot be written"};
    }
    return ok_status();
}

void add_version(Commands& commands) {
    commands.verb(commands.root, "version", "Show the version of this program",
                  [](Session&) -> Result<Output> {
                      static constexpr Column kColumns[] = {{"Howdah", "howdah"}};
                      return Output{{{"howdah", kVersion}}, kColumns};
                  });
}

}  // namespace

int run(const std::vector<std::string>& arguments, World& world) {
    Session session(world);
    CLI::App app(kAbout, "howdah");
    app.footer(kFooter);
    app.require_subcommand(1);
    app.set_version_flag("--version", std::string("howdah ") + kVersion);
    app.get_formatter()->column_width(36);
    Commands commands{app, session.common, {}};
    add_account(commands);
    add_cloud(commands);
    add_group(commands);
    add_server(commands);
    add_server_logs(commands);
    add_server_failovers(commands);
    add_backup(commands);
    add_server_proofs(commands);
    add_server_replicas(commands);
    add_database(commands);
    add_firewall_rule(commands);
    add_parameter(commands);
    add_operation(commands);
    add_directory(commands);
    add_role(commands);
    add_lock(commands);
    add_activity_log(commands);
    add_host(commands);
    add_version(commands);
    add_completion(commands);

    if (arguments.empty()) {
        world.out << app.help();
        return kExitOk;
    }
    std::vector<std::string> words = without_az_words(arguments);
    if (const std::string word = unknown_word(app, words); !word.empty()) {
        world.err << "error: the command is not right\n  why: there is no command '" << word
                  << "' here\n  what to do: add --help to see what there is\n";
        return kExitUsage;
    }
    std::reverse(words.begin(), words.end());
    try {
        app.parse(words);
    } catch (const CLI::ParseError& problem) {
        if (problem.get_exit_code() == 0) {
            app.exit(problem, world.out, world.err);
            return kExitOk;
        }
        world.err << "error: the command is not right\n  why: " << problem.what()
                  << "\n  what to do: add --help to see what it takes\n";
        return kExitUsage;
    }
    const Status status = act(session, commands.chosen);
    if (status.ok()) return kExitOk;
    complain(session, status.error());
    return exit_code(status.error());
}

}  // namespace howdah::cli
