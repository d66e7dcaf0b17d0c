#include "apps/howdahd/all_in_one.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "apps/etcd_arguments.h"
#include "base/log.h"
#include "model/json.h"
#include "os/file.h"

namespace howdah::howdahd {
namespace {

/// How often to look for the gateway's first word about its port.
constexpr Duration kStatusPoll = std::chrono::milliseconds(10);

/// How often to look whether there is a server whose connections are pooled.
constexpr Duration kPoolerLook = std::chrono::seconds(1);

/// Daemons inherit nothing but these: tests arm failpoints (base/failpoint.h) in all of them, and
/// tell sanitizers what to do.
constexpr const char* kInherited[] = {"HOWDAH_FAILPOINTS", "ASAN_OPTIONS", "LSAN_OPTIONS",
                                      "TSAN_OPTIONS", "UBSAN_OPTIONS"};

std::vector<std::string> daemon_environment() {
    std::vector<std::string> environment;
    for (const char* name : kInherited) {
        if (const char* value = getenv(name); value != nullptr)
            environment.push_back(std::string(name) + "=" + value);
    }
    return environment;
}

}  // namespace

AllInOne::AllInOne(AllInOneOptions options, std::uint16_t known_gateway_port)
    : options_(std::move(options)), gateway_({}), pooler_({}) {
    Listening& wished = options_.listening;
    const bool free_choice = wished.gateway_port == 0 || wished.gateway_port_may_differ;
    if (free_choice && known_gateway_port != 0) {
        wished.gateway_port = known_gateway_port;
        wished.gateway_port_may_differ = true;
    }
    if (wished.pooler_port == 0) wished.pooler_port_may_differ = true;
    gateway_ = os::Supervisor({.name = "howdah-gateway",
                               .daemon = gateway_daemon(),
                               .lock_path = options_.home.run() + "/gateway.lock"});
    pooler_ = os::Supervisor({.name = "howdah-pooler",
                              .daemon = pooler_daemon(),
                              .lock_path = options_.home.run() + "/pooler.lock"});
}

os::Daemon AllInOne::pooler_daemon() const {
    const Home& home = options_.home;
    std::vector<std::string> arguments = {options_.programs + "/howdah-pooler",
                                          "--home",
                                          home.root,
                                          "--gateway-program",
                                          options_.programs + "/howdah-gateway",
                                          "--address",
                                          options_.listening.gateway_address,
                                          "--port",
                                          std::to_string(options_.listening.pooler_port)};
    for (int i = 1; i <= static_cast<int>(options_.agents.size()); ++i) {
        arguments.emplace_back("--routes");
        arguments.push_back(home.routes(i));
    }
    if (options_.listening.pooler_port_may_differ) arguments.emplace_back("--port-fallback");
    return {.arguments = std::move(arguments),
            .environment = daemon_environment(),
            .log_path = home.log() + "/howdah-pooler.log"};
}

os::Daemon AllInOne::gateway_daemon() const {
    const Home& home = options_.home;
    std::vector<std::string> arguments = {options_.programs + "/howdah-gateway",
                                          "--address",
                                          options_.listening.gateway_address,
                                          "--port",
                                          std::to_string(options_.listening.gateway_port),
                                          "--admin",
                                          home.gateway() + "/gateway.sock",
                                          "--status-file",
                                          home.run() + "/gateway.json",
                                          "--lock",
                                          home.run() + "/gateway.lock"};
    for (int i = 1; i <= static_cast<int>(options_.agents.size()); ++i) {
        arguments.emplace_back("--routes");
        arguments.push_back(home.routes(i));
    }
    if (!options_.several.address.empty()) {
        const SeveralMachines& several = options_.several;
        arguments.insert(arguments.end(),
                         {"--routes", home.routes_of_others(), "--source", several.source()});
    }
    if (options_.listening.gateway_port_may_differ) arguments.emplace_back("--port-fallback");
    return {.arguments = std::move(arguments),
            .environment = daemon_environment(),
            .log_path = home.log() + "/howdah-gateway.log"};
}

os::Daemon AllInOne::agent_daemon(int number) const {
    const Home& home = options_.home;
    const AllInOneOptions::Agent& agent = options_.agents[static_cast<std::size_t>(number - 1)];
    const std::string tls = home.agent(number) + "/tls";
    std::vector<std::string> arguments = {options_.programs + "/howdah-agent",
                                          "--home",
                                          home.root,
                                          "--url",
                                          options_.agent_url,
                                          "--ca",
                                          tls + "/ca.pem",
                                          "--certificate",
                                          tls + "/agent.pem",
                                          "--key",
                                          tls + "/agent.key",
                                          "--host-id",
                                          agent.host_id,
                                          "--number",
                                          std::to_string(number),
                                          "--zone",
                                          agent.zone,
                                          "--gateway-address",
                                          options_.listening.gateway_address,
                                          "--gateway-port",
                                          std::to_string(gateway_port_),
                                          "--guard-folder",
                                          options_.programs,
                                          "--pool-size",
                                          std::to_string(options_.prepared_directories)};
    if (!agent.name.empty()) arguments.insert(arguments.end(), {"--host-name", agent.name});
    if (!options_.repository.empty())
        arguments.insert(arguments.end(), {"--repository", options_.repository, "--prove-every",
                                           fmt::format("{}", options_.prove_every)});
    const SeveralMachines& several = options_.several;
    if (!several.address.empty()) {
        arguments.insert(arguments.end(),
                         {"--address", several.address, "--gateway-source", several.source()});
        append_etcd_options(arguments, several.etcd);
    }
    return {.arguments = std::move(arguments),
            .environment = daemon_environment(),
            .log_path = home.log() + "/howdah-agent" + Home::suffix(number) + ".log"};
}

void AllInOne::read_gateway_status() {
    const auto text = os::read_file(options_.home.run() + "/gateway.json", 1 << 20);
    if (!text.ok()) return;
    const auto status = model::from_json<model::GatewayStatus>(*text);
    const auto pid = gateway_.pid();
    // A file that an earlier gateway left behind says nothing about this one.
    if (!status.ok() || !pid || status->pid != *pid) return;
    gateway_port_ = static_cast<std::uint16_t>(status->port);
}

/// From the first server on whose routes ask for it: who pools nothing needs no memory for it.
bool AllInOne::wants_pooler(Instant now) {
    if (is_pooler_wanted_ || now < pooler_look_) return is_pooler_wanted_;
    pooler_look_ = now + kPoolerLook;
    is_pooler_wanted_ = os::exists(options_.home.root + "/pooler");
    for (int i = 1; i <= static_cast<int>(options_.agents.size()) && !is_pooler_wanted_; ++i) {
        const auto text = os::read_file(options_.home.routes(i));
        is_pooler_wanted_ = text.ok() && text->find("\"pooling\":{") != text->npos;
    }
    return is_pooler_wanted_;
}

Instant AllInOne::step(Instant now) {
    Instant next = gateway_.step(now);
    if (std::exchange(options_.is_gateway_stale, false)) gateway_.restart();
    next = std::min(next, wants_pooler(now) ? pooler_.step(now) : pooler_look_);
    if (agents_.empty()) {
        read_gateway_status();
        if (gateway_port_ == 0) return std::min(next, now + kStatusPoll);
        for (int i = 1; i <= static_cast<int>(options_.agents.size()); ++i) {
            const std::string name = "agent" + Home::suffix(i);
            agents_.emplace_back(
                os::SupervisedDaemon{.name = "howdah-" + name,
                                     .daemon = agent_daemon(i),
                                     .lock_path = options_.home.run() + "/" + name + ".lock"});
        }
    }
    for (std::size_t i = 0; i < agents_.size(); ++i) {
        next = std::min(next, agents_[i].step(now));
        if (std::exchange(options_.agents[i].is_stale, false)) agents_[i].restart();
    }
    return next;
}

void AllInOne::restart_agents() {
    for (os::Supervisor& each : agents_) each.restart();
}

std::vector<int> AllInOne::watch_fds() const {
    std::vector<int> fds = {gateway_.watch_fd(), pooler_.watch_fd()};
    for (const os::Supervisor& each : agents_) fds.push_back(each.watch_fd());
    return fds;
}

void run_until(const os::Fd& termination, const Clock& clock,
               const std::function<Instant(Instant now)>& step,
               const std::function<std::vector<int>()>& watched) {
    std::vector<pollfd> fds;
    do {
        const Instant next = step(clock.now());
        fds = {{termination.get(), POLLIN, 0}};
        for (const int each : watched()) fds.push_back({each, POLLIN, 0});
        const auto pause = std::chrono::ceil<std::chrono::milliseconds>(next - clock.now());
        (void)poll(fds.data(), fds.size(),
                   static_cast<int>(std::clamp<long long>(pause.count(), 0, 60'000)));
    } while ((fds[0].revents & POLLIN) == 0);
}

}  // namespace howdah::howdahd
