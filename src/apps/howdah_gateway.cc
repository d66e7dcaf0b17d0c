#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/log.h"
#include "gateway/gateway.h"

namespace {

using howdah::gateway::GatewayOptions;

/// Where this program lies, by the name it was started with: that is where a new one will be.
std::string program_path(const char* started_as) {
    const std::string name = started_as;
    if (name.starts_with("/")) return name;
    char folder[4096];
    if (name.find('/') != name.npos && getcwd(folder, sizeof folder) != nullptr)
        return std::string(folder) + "/" + name;
    const ssize_t length = readlink("/proc/self/exe", folder, sizeof folder);
    return length > 0 ? std::string(folder, static_cast<std::size_t>(length)) : name;
}

std::vector<std::string> program_arguments(int argc, char** argv) {
    std::vector<std::string> arguments = {program_path(argv[0])};
    for (int i = 1; i < argc; ++i) {
        const std::string each = argv[i];
        if (!each.starts_with("--resume-fd=")) arguments.push_back(each);
    }
    return arguments;
}

struct Arguments {
    GatewayOptions gateway;
    double drain_seconds = 5;
    std::string level = "info";
    std::int64_t check_handover = 0;
};

void describe(CLI::App& app, Arguments& to) {
    GatewayOptions& gateway = to.gateway;
    app.add_option("--routes", gateway.routes_paths,
                   "File with a route table, this machine's first; it is watched, and need not be "
                   "there yet. Several times: of the routes to one server the newest term counts")
        ->allow_extra_args(false);
    app.add_option("--address", gateway.address, "IP address to listen on; * for all");
    app.add_option("--source", gateway.source,
                   "IP address that connections to other machines come from");
    app.add_option("--port", gateway.port, "Port that all servers share, told apart by TLS name")
        ->check(CLI::Range(0, 65535));
    app.add_flag("--port-fallback", gateway.port_fallback, "Take another port if it is taken");
    app.add_option("--status-file", gateway.status_path, "Where to write pid and ports, as JSON");
    app.add_option("--admin", gateway.admin_path,
                   "Unix socket for stats, sessions, upgrade and drain");
    app.add_option("--lock", gateway.lock_path, "Lock file; holds the pid");
    app.add_option("--threads", gateway.threads, "Worker threads; 0: the cores, at most two")
        ->check(CLI::Range(0, 64));
    app.add_option("--sessions-max", gateway.limits.sessions_max, "Most sessions at a time")
        ->check(CLI::Range(1, 1'000'000));
    app.add_option("--held-max", gateway.limits.held_max,
                   "Most sessions that wait for their server at a time")
        ->check(CLI::Range(0, 1'000'000));
    app.add_option("--drain-timeout", to.drain_seconds,
                   "Seconds that sessions may go on after SIGTERM")
        ->check(CLI::Range(0, 86'400));
    app.add_option("--log-level", to.level, "Lowest level of log lines")
        ->check(CLI::IsMember({"debug", "info", "warn", "error"}));
    app.add_option("--resume-fd", gateway.resume_fd)->group("");
    app.add_option("--check-handover", to.check_handover)->group("");
}

howdah::log::Level level_from(const std::string& name) {
    using howdah::log::Level;
    if (name == "debug") return Level::debug;
    if (name == "warn") return Level::warn;
    return name == "error" ? Level::error : Level::info;
}

int serve(Arguments arguments) {
    auto signals = howdah::gateway::gateway_signals();
    const howdah::SystemClock clock;
    arguments.gateway.drain_timeout = std::chrono::duration_cast<howdah::Duration>(
        std::chrono::duration<double>(arguments.drain_seconds));
    if (!signals.ok()) {
        howdah::log::error("gateway cannot start", {{"error", signals.error().describe()}});
        return 1;
    }
    auto gateway = howdah::gateway::Gateway::start(std::move(arguments.gateway), clock);
    if (!gateway.ok()) {
        howdah::log::error("gateway cannot start", {{"error", gateway.error().describe()}});
        return 1;
    }
    (*gateway)->run(signals->get());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    // The workers allocate little; more arenas would only cost memory.
    mallopt(M_ARENA_MAX, 2);
    Arguments arguments;
    CLI::App app("The endpoint in front of PostgreSQL servers: passes TLS through, unread.",
                 "howdah-gateway");
    describe(app, arguments);
    CLI11_PARSE(app, argc, argv);
    if (arguments.check_handover != 0)
        return howdah::gateway::can_take_over(arguments.check_handover) ? 0 : 3;
    if (arguments.gateway.routes_paths.empty()) {
        std::fputs("howdah-gateway: --routes is missing\nTry --help.\n", stderr);
        return 2;
    }
    howdah::log::init("howdah-gateway", level_from(arguments.level));
    arguments.gateway.program = program_arguments(argc, argv);
    return serve(std::move(arguments));
}
