#pragma once

#include <string>

#include "cli/session.h"

namespace howdah::cli {

/// The options of what belongs to a server: databases, firewall rules, parameters.
struct ChildOptions {
    std::string group;
    std::string server;
    std::string name;
    std::string charset;
    std::string collation;
    std::string start_ip;
    std::string end_ip;
    std::string value;
    std::string source;
    bool yes = false;
    bool no_wait = false;

    std::string of_server() const { return " of server " + server; }
};

/// "/subscriptions/.../flexibleServers/S/<type>[/<name>]".
std::string child_path(const Arm& arm, const ChildOptions& options, std::string_view type,
                       bool with_name = true);

/// GET of the child, or of all; DELETE after a question.
Result<Output> show_child(Session& session, const ChildOptions& options, std::string_view type,
                          std::span<const Column> columns);
Result<Output> list_children(Session& session, const ChildOptions& options, std::string_view type,
                             std::span<const Column> columns);
Result<Output> delete_child(Session& session, const ChildOptions& options, std::string_view type,
                            const std::string& question);

}  // namespace howdah::cli
