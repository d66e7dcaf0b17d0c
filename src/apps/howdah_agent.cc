// howdah-agent: runs the PostgreSQL servers of one machine. This file is wiring.

#include <fmt/core.h>
#include <poll.h>

#include <CLI/CLI.hpp>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <mutex>
#include <thread>

#include "agent/agent.h"
#include "agent/backup/archive_door.h"
#include "agent/backup/backup_keeper.h"
#include "agent/neighbours.h"
#include "apps/etcd_arguments.h"
#include "apps/prove_option.h"
#include "apps/repository_option.h"
#include "base/log.h"
#include "os/file.h"
#include "os/process.h"
#include "os/supervisor.h"
#include "store/etcd/etcd_store.h"

namespace howdah::agent {
namespace {

/// A socket's path has at most 107 bytes: home, "/agent-99/s/", 8, "/.s.PGSQL.", 5.
constexpr std::size_t kHomeBytesMax = 107 - 12 - 8 - 10 - 5;
constexpr int kNumberMax = 99;
constexpr int kExitUsage = 2;
/// Whoever is in the middle of something after this is cut off: the next agent goes on there.
constexpr Duration kStopMax = std::chrono::seconds(5);

struct Options {
    std::string home;
    MachineOptions machine;
    LinkOptions link;
    std::string address;         ///< empty: there is this machine alone
    std::string gateway_source;  ///< empty: the address
    store::EtcdOptions etcd;
    int number = 1;
    std::string fence_program;  ///< empty: beside this one
    std::string repository;     ///< read_repository_option
    double prove_every = kProveEveryDays;
    int pool_size = 2;
    std::string log_level = "info";
};

/// How many threads still run.
struct Ending {
    std::mutex mutex;
    std::condition_variable changed;
    int running = 0;  ///< guarded by mutex
};

/// Processes are recognised by their folder, so it has one spelling only.
Result<std::string> real_home(const std::string& home) {
    HD_CHECK(os::make_folders(home, 0711));
    std::error_code failed;
    const auto real = std::filesystem::canonical(home, failed);
    if (failed) return Error{ErrorCode::io, "cannot find " + home + ": " + failed.message()};
    if (real.string().size() > kHomeBytesMax) {
        return Error{
            ErrorCode::invalid_argument,
            fmt::format("the path '{}' is longer than {} bytes, the sockets below it would "
                        "have no valid name",
                        real.string(), kHomeBytesMax),
            "--home", "Choose a shorter path."};
    }
    return real.string();
}

std::string beside_me(const char* program) {
    std::error_code problem;
    const auto path = std::filesystem::read_symlink("/proc/self/exe", problem);
    return (problem ? std::filesystem::path("/usr/bin") : path.parent_path()) / program;
}

std::optional<store::EtcdOptions> etcd_of(const Options& options) {
    if (options.etcd.endpoints.empty()) return std::nullopt;
    return options.etcd;
}

/// None: there is this machine alone.
Result<std::unique_ptr<store::Store>> open_neighbours_store(const Options& options,
                                                            const Clock& clock) {
    if (options.address.empty()) return std::unique_ptr<store::Store>();
    store::EtcdOptions etcd = options.etcd;
    etcd.prefix += "neighbours/";
    return store::open_etcd_store(etcd, clock);
}

/// Of all agents that may share this home.
std::vector<std::string> instance_folders(const Layout& layout) {
    std::vector<std::string> all;
    for (int number = 1; number <= kNumberMax; ++number) {
        const std::string suffix = number == 1 ? "" : "-" + std::to_string(number);
        all.push_back(Layout{layout.home, suffix}.instances());
    }
    return all;
}

Neighbours::Options neighbours_options(const Options& options) {
    const MachineOptions& machine = options.machine;
    return {.own = {machine.host_id, options.address, options.gateway_source, {}},
            .heard_path = machine.layout.heard(),
            .routes_path = machine.layout.routes_of_others()};
}

/// None: no backups are kept here.
Result<std::optional<ArchiveDoor>> open_door(const Machine& machine) {
    if (!machine.keeps_backups()) return std::optional<ArchiveDoor>();
    HD_CHECK(os::make_folders(machine.layout().sockets(), 0711));
    HD_TRY(ArchiveDoor door, ArchiveDoor::open(machine.layout().archive_socket()));
    return std::optional<ArchiveDoor>(std::move(door));
}

/// Until it is asked to end; then until all threads have, or not much longer.
void wait_for_end(const os::Fd& termination, std::vector<std::jthread>& threads, Ending& ending) {
    pollfd fd{termination.get(), POLLIN, 0};
    while (poll(&fd, 1, -1) < 0) {
    }
    log::info("howdah-agent stops; PostgreSQL goes on");
    for (std::jthread& each : threads) each.request_stop();
    std::unique_lock lock(ending.mutex);
    if (!ending.changed.wait_for(lock, kStopMax, [&] { return ending.running == 0; })) {
        log::info("howdah-agent does not wait for what it is doing");
        std::_Exit(0);
    }
}

Status serve(Options options, const os::Fd& termination) {
    HD_TRY(options.machine.layout.home, real_home(options.machine.layout.home));
    HD_TRY(const auto home_lock, os::lock_as_daemon(options.machine.layout.lock()));
    const SystemClock clock;
    SystemIdSource ids;
    HD_TRY(TokenLogins tokens, TokenLogins::open(options.machine.layout, clock));
    options.machine.token_port = tokens.port();
    HD_TRY(const auto store, open_neighbours_store(options, clock));
    std::optional<Neighbours> neighbours;
    if (store) neighbours.emplace(neighbours_options(options), *store);
    if (neighbours) neighbours->load();
    options.machine.neighbours = neighbours ? &*neighbours : nullptr;
    options.machine.repository = repository_of_option(options.repository);
    const Machine machine(options.machine);
    HD_TRY(Journal journal, Journal::open(machine.layout().journal()));
    MemberServices services({.layout = machine.layout(),
                             .node = options.machine.host_id,
                             .fence_program = options.fence_program,
                             .etcd = etcd_of(options)},
                            ids, clock);
    Agent* agent_of_all = nullptr;
    BackupKeeper keeper(
        {.repository = machine.options().repository,
         .used_path = machine.layout().used_repository(),
         .notes_folder = machine.layout().repository_notes(),
         .gone_folder = machine.layout().gone(),
         .instance_folders = instance_folders(machine.layout())},
        clock, [&](const std::string& incarnation) { agent_of_all->backups_changed(incarnation); });
    Agent agent(machine, options.link, std::move(journal), clock, ids, options.pool_size,
                Agent::kActionsMax, &tokens, &services, neighbours ? &*neighbours : nullptr,
                &keeper);
    agent_of_all = &agent;
    HD_CHECK(agent.load());
    Ending ending;
    std::optional<ArchiveDoor> door;
    HD_TRY(door, open_door(machine));
    std::vector<std::jthread> threads;
    const auto run = [&](std::function<void(std::stop_token)> loop) {
        ++ending.running;
        threads.emplace_back([&ending, loop = std::move(loop)](std::stop_token stop) {
            loop(std::move(stop));
            const std::lock_guard lock(ending.mutex);
            --ending.running;
            ending.changed.notify_all();
        });
    };
    for (const auto loop : {&Agent::work, &Agent::watch, &Agent::prepare, &Agent::pull,
                            &Agent::push, &Agent::send_logs, &Agent::check_tokens, &Agent::prove}) {
        run([&agent, loop](std::stop_token stop) { (agent.*loop)(std::move(stop)); });
    }
    if (neighbours) {
        run([&](std::stop_token stop) { neighbours->talk(std::move(stop)); });
        run([&](std::stop_token stop) {
            neighbours->listen(std::move(stop), [&] { agent.neighbours_changed(); });
        });
    }
    if (door) {
        run([&](std::stop_token stop) {
            keeper.run(stop, [&] { return agent.backup_servers(); });
        });
        run([&](std::stop_token stop) {
            door->run(stop, [&](const ArchiveQuestion& each) { return keeper.answer(each); });
        });
    }
    log::info("howdah-agent is up", {{"home", machine.layout().home}});
    wait_for_end(termination, threads, ending);
    return ok_status();
}

int run(int argc, char** argv) {
    Options options;
    CLI::App app{"howdah-agent: runs the PostgreSQL servers of one machine"};
    app.set_version_flag("--version", HOWDAH_VERSION);
    app.add_option("--home", options.machine.layout.home, "folder of all data")->required();
    app.add_option("--url", options.link.url, "where the control plane answers agents")->required();
    app.add_option("--ca", options.link.ca_path, "file of the certificate authority")->required();
    app.add_option("--certificate", options.link.certificate_path,
                   "file of the agent's certificate")
        ->required();
    app.add_option("--key", options.link.key_path, "file of its key")->required();
    app.add_option("--host-id", options.machine.host_id, "id of this machine")->required();
    app.add_option("--host-name", options.machine.host_name, "what people call this machine");
    app.add_option("--zone", options.machine.zone, "availability zone of this machine");
    app.add_option("--number", options.number,
                   "tells the agents of one home apart; each has a folder and routes of its own")
        ->check(CLI::Range(1, kNumberMax));
    app.add_option("--fence-program", options.fence_program,
                   "howdah-fence, which ends primaries when this agent is silent");
    app.add_option("--gateway-address", options.machine.gateway_address,
                   "where its gateway listens");
    app.add_option("--gateway-port", options.machine.gateway_port, "and on which port");
    app.add_option("--address", options.address,
                   "where other machines reach this one; needs --etcd")
        ->check(CLI::ValidIPV4);
    app.add_option("--gateway-source", options.gateway_source,
                   "where connections of this machine's gateway to others come from")
        ->check(CLI::ValidIPV4);
    add_etcd_options(app, options.etcd);
    app.add_option("--repository", options.repository,
                   "folder of the servers' backups, or a .toml file of a bucket; without it there "
                   "are none");
    add_prove_option(app, options.prove_every);
    app.add_option("--guard-folder", options.machine.guard_folder, "folder of howdah_guard-*.so");
    app.add_option("--pool-size", options.pool_size, "prepared data directories of each major")
        ->check(CLI::Range(0, Agent::kPoolMax));
    app.add_option("--log-level", options.log_level, "debug or info")
        ->check(CLI::IsMember({"debug", "info"}));
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        return app.exit(problem) == 0 ? 0 : kExitUsage;
    }
    log::init("howdah-agent", options.log_level == "debug" ? log::Level::debug : log::Level::info);
    if (options.address.empty() != options.etcd.endpoints.empty()) {
        log::error("howdah-agent cannot start",
                   {{"reason", "--address and --etcd go together: give both or none"}});
        return kExitUsage;
    }
    if (options.gateway_source.empty()) options.gateway_source = options.address;
    if (!options.address.empty()) options.machine.member_address = options.address;
    if (options.number > 1) options.machine.layout.suffix = "-" + std::to_string(options.number);
    if (options.fence_program.empty()) options.fence_program = beside_me("howdah-fence");
    options.machine.archive_program = beside_me("howdah-archive");
    options.machine.prove_every = duration_of_days(options.prove_every);
    const auto termination = os::termination_fd();
    Status status = termination.ok() ? serve(options, *termination) : Status(termination.error());
    if (status.ok()) return 0;
    log::error("howdah-agent cannot go on", {{"reason", status.error().describe()}});
    return 1;
}

}  // namespace
}  // namespace howdah::agent

int main(int argc, char** argv) { return howdah::agent::run(argc, argv); }
