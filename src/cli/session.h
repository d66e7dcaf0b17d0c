#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/arm.h"
#include "cli/output.h"
#include "cli/profile.h"
#include "cli/world.h"

namespace howdah::cli {

/// The options that every command has.
struct CommonOptions {
    std::string output;
    std::string query;
    std::string subscription;
    bool only_show_errors = false;
};

/// One run of one command. Lives as long as run(); used by one thread.
class Session {
  public:
    explicit Session(World& w) : world(w), profiles(w) {}

    /// Says what is being done, for errors and the progress line:
    /// doing("create", "creating", "server orders") -> "cannot create server orders".
    void doing(std::string_view verb, std::string_view present, std::string_view what);

    /// The API, as the one who is logged in.
    Result<Arm*> arm();

    /// Begins a request and follows it to its end; with `no_wait` only begins it.
    Status change(std::string_view method, const std::string& path, const Json& body,
                  bool no_wait = false, std::string_view version = kPostgresVersion);
    /// The second half of change().
    Status follow(const Begun& begun, bool no_wait);
    /// The same for a PUT or PATCH; returns the resource as it is then.
    Result<Json> change_and_get(std::string_view method, const std::string& path, const Json& body,
                                bool no_wait = false, std::string_view version = kPostgresVersion);

    /// Asks on the terminal, unless `yes`. Error if the answer is not yes, or nobody can be asked.
    Status confirm(const std::string& question, bool yes);
    /// One line on standard error, unless only errors are wanted.
    void note(const std::string& text);

    World& world;
    ProfileStore profiles;
    CommonOptions common;
    std::string verb = "run the command";
    std::string present;

  private:
    std::optional<Arm> arm_;
};

using Action = std::function<Result<Output>(Session&)>;

/// The tree of nouns and verbs. The action of the verb that was given is kept in `chosen`.
struct Commands {
    CLI::App& root;
    CommonOptions& common;
    Action chosen;

    CLI::App& noun(const std::string& name, const std::string& what);
    CLI::App& noun(CLI::App& parent, const std::string& name, const std::string& what);
    /// `parent` is the root or a noun.
    CLI::App& verb(CLI::App& parent, const std::string& name, const std::string& what,
                   Action action);
};

/// A mistake in how the command was called (exit code 2).
Error usage_error(const std::string& option, const std::string& message,
                  const std::string& hint = {});

/// The content of a file that an option names ("-": standard input), without line ends at its end.
/// A mistake is one of usage.
Result<Secret> read_secret_file(World& world, const std::string& option, const std::string& path);

// One for each noun; src/cli/<noun>.cc.
void add_account(Commands& commands);
void add_cloud(Commands& commands);
void add_group(Commands& commands);
void add_server(Commands& commands);
void add_database(Commands& commands);
void add_firewall_rule(Commands& commands);
void add_parameter(Commands& commands);
void add_operation(Commands& commands);
void add_server_logs(Commands& commands);       ///< REQUIRES: add_server before
void add_backup(Commands& commands);            ///< REQUIRES: add_server before
void add_server_failovers(Commands& commands);  ///< REQUIRES: add_server before
void add_server_proofs(Commands& commands);
void add_server_replicas(Commands& commands);  ///< REQUIRES: add_server before
void add_directory(Commands& commands);
void add_role(Commands& commands);
void add_lock(Commands& commands);
void add_activity_log(Commands& commands);
void add_host(Commands& commands);
void add_completion(Commands& commands);

}  // namespace howdah::cli
