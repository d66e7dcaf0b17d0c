// howdah-pooler: runs a PgBouncer for each server that wants its connections pooled, and a gateway
// in front of them (pooler/pooler.h). What it runs outlives it. This file is wiring.

#include <poll.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/log.h"
#include "os/process.h"
#include "os/supervisor.h"
#include "pooler/pooler.h"

namespace howdah::pooler {
namespace {

constexpr int kExitUsage = 2;

struct Arguments {
    std::string home;
    std::vector<std::string> routes;
    std::string gateway_program;
    std::string address = "127.0.0.1";
    int port = 6432;
    bool port_may_differ = false;
};

os::SupervisedDaemon gateway_of(const Arguments& arguments, const Places& places) {
    os::Daemon daemon{
        .arguments = {arguments.gateway_program, "--routes", places.routes(), "--address",
                      arguments.address, "--port", std::to_string(arguments.port), "--status-file",
                      places.gateway_status(), "--admin", places.folder() + "/gateway.sock",
                      "--lock", places.gateway_lock()},
        .environment = {},
        .log_path = places.log("howdah-gateway-pooled")};
    if (arguments.port_may_differ) daemon.arguments.emplace_back("--port-fallback");
    return {.name = "howdah-gateway of poolers",
            .daemon = std::move(daemon),
            .lock_path = places.gateway_lock()};
}

Status serve(const Arguments& arguments, const os::Fd& termination) {
    const Places places{arguments.home};
    HD_TRY(const auto lock, os::lock_as_daemon(places.lock()));
    const SystemClock clock;
    Pooler pooler({.home = arguments.home,
                   .routes_paths = arguments.routes,
                   .gateway = gateway_of(arguments, places)},
                  clock);
    HD_CHECK(pooler.begin());
    log::info("howdah-pooler is up", {{"home", arguments.home}});
    for (;;) {
        const Instant next = pooler.step();
        std::vector<pollfd> fds = {{termination.get(), POLLIN, 0}};
        for (const int each : pooler.watch_fds()) fds.push_back({each, POLLIN, 0});
        const auto pause = std::chrono::ceil<std::chrono::milliseconds>(next - clock.now());
        (void)poll(fds.data(), fds.size(),
                   static_cast<int>(std::clamp<long long>(pause.count(), 0, 60'000)));
        if ((fds[0].revents & POLLIN) != 0) return ok_status();
    }
}

int run(int argc, char** argv) {
    Arguments arguments;
    CLI::App app{"howdah-pooler: pools the connections of servers that ask for it"};
    app.set_version_flag("--version", HOWDAH_VERSION);
    app.add_option("--home", arguments.home, "folder of the installation")->required();
    app.add_option("--routes", arguments.routes, "an agent's route table; several times")
        ->required()
        ->allow_extra_args(false);
    app.add_option("--gateway-program", arguments.gateway_program, "howdah-gateway")->required();
    app.add_option("--address", arguments.address, "IP address that clients connect to");
    app.add_option("--port", arguments.port, "port that all pooled servers share")
        ->check(CLI::Range(0, 65535));
    app.add_flag("--port-fallback", arguments.port_may_differ, "take another port if it is taken");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        return app.exit(problem) == 0 ? 0 : kExitUsage;
    }
    log::init("howdah-pooler", log::Level::info);
    const auto termination = os::termination_fd();
    Status status = termination.ok() ? serve(arguments, *termination) : Status(termination.error());
    if (status.ok()) return 0;
    log::error("howdah-pooler cannot go on", {{"reason", status.error().describe()}});
    return 1;
}

}  // namespace
}  // namespace howdah::pooler

int main(int argc, char** argv) { return howdah::pooler::run(argc, argv); }
