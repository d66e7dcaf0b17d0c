// howdah-fence: ends every primary whose agent has let its limit pass (agent/ha/fence.h). A process
// of its own, so that it goes on when the agent is killed or hangs. This file is wiring.

#include <poll.h>

#include <CLI/CLI.hpp>
#include <thread>

#include "agent/ha/fence.h"
#include "base/log.h"
#include "os/process.h"
#include "os/supervisor.h"

namespace howdah::agent {
namespace {

constexpr int kExitUsage = 2;

struct Options {
    std::string instances;
    std::string lock;
};

Status serve(const Options& options, const os::Fd& termination) {
    HD_TRY(const auto lock, os::lock_as_daemon(options.lock));
    const SystemClock clock;
    Fence fence(options.instances, clock);
    std::jthread thread([&](std::stop_token stop) {
        (void)os::go_first();
        fence.run(std::move(stop));
    });
    log::info("howdah-fence is up", {{"instances", options.instances}});
    pollfd fd{termination.get(), POLLIN, 0};
    while (poll(&fd, 1, -1) < 0) {
    }
    return ok_status();
}

int run(int argc, char** argv) {
    Options options;
    CLI::App app{"howdah-fence: ends primaries whose agent is silent"};
    app.set_version_flag("--version", HOWDAH_VERSION);
    app.add_option("--instances", options.instances, "folder of an agent's instances")->required();
    app.add_option("--lock", options.lock, "file that is locked while it runs")->required();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        return app.exit(problem) == 0 ? 0 : kExitUsage;
    }
    log::init("howdah-fence", log::Level::info);
    const auto termination = os::termination_fd();
    Status status = termination.ok() ? serve(options, *termination) : Status(termination.error());
    if (status.ok()) return 0;
    log::error("howdah-fence cannot go on", {{"reason", status.error().describe()}});
    return 1;
}

}  // namespace
}  // namespace howdah::agent

int main(int argc, char** argv) { return howdah::agent::run(argc, argv); }
