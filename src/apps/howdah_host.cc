// howdah-host: makes a machine one of a Howdah that has several, and keeps its agent, gateway and
// pooler running. This file is wiring.

#include <fmt/core.h>
#include <poll.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>

#include "apps/howdahd/all_in_one.h"
#include "apps/howdahd/home.h"
#include "base/log.h"
#include "base/text.h"
#include "http/client.h"
#include "model/json.h"
#include "os/file.h"
#include "os/process.h"

namespace howdah::howdahd {
namespace {

constexpr int kExitUsage = 2;
constexpr std::size_t kTicketBytesMax = 64 << 10;
constexpr auto kRenewBefore = std::chrono::days(30);
constexpr Duration kRenewalLook = std::chrono::hours(6);
constexpr Duration kJoinMax = std::chrono::seconds(30);

struct Options {
    std::string home;
    std::string programs;
    std::string ticket;  ///< a file; "-": standard input; empty: it has joined
    std::string address;
    std::string gateway_source;
    std::string gateway_address = "127.0.0.1";
    std::uint16_t gateway_port = 5432;
    std::uint16_t pooler_port = 6432;
    bool ports_chosen = false;
    int pool_size = 2;
};

std::string own_folder() {
    std::error_code problem;
    const auto path = std::filesystem::read_symlink("/proc/self/exe", problem);
    return problem ? "/usr/bin" : path.parent_path().string();
}

std::string default_home() {
    if (os::is_root()) return "/var/lib/howdah";
    const char* home = getenv("HOME");
    return std::string(home != nullptr ? home : "/tmp") + "/.local/share/howdah";
}

Result<model::JoinTicket> read_ticket(const std::string& path) {
    std::string text;
    if (path == "-") {
        std::getline(std::cin, text);
    } else {
        HD_TRY(text, os::read_file(path, kTicketBytesMax));
    }
    const auto json = base64url_decode(trim(text));
    const auto ticket = json.ok() ? model::from_json<model::JoinTicket>(*json)
                                  : Result<model::JoinTicket>(json.error());
    if (ticket.ok() && !ticket->api_url.empty() && !ticket->token.empty()) return *ticket;
    return Error{ErrorCode::invalid_argument, "that is no ticket", "--ticket",
                 "Give the whole word that `howdah host add` has printed."};
}

/// The machine as one that has joined.
class Host {
  public:
    explicit Host(Options options) : options_(std::move(options)), home_{options_.home} {}

    Status run(const os::Fd& termination) {
        HD_CHECK(home_.prepare(/*agents=*/1));
        HD_TRY(lock_, os::lock_as_daemon(home_.run() + "/howdah-host.lock"));
        HD_CHECK(os::make_folders(tls(), 0700));
        if (!options_.ticket.empty()) HD_CHECK(join());
        HD_CHECK(load());
        log::info("howdah-host is up", {{"host", joined_.host}, {"home", home_.root}});
        const Status status = loop(termination);
        log::info("howdah-host stops; agent, gateway and servers go on");
        return status;
    }

  private:
    std::string tls() const { return home_.agent() + "/tls"; }
    std::string joined_path() const { return home_.root + "/joined.json"; }

    /// The last file that is written is what says that it has joined.
    Status join() {
        if (os::exists(joined_path()))
            return Error{ErrorCode::invalid_state,
                         "this machine has joined already (" + joined_path() + ")", "--ticket",
                         "Start it without --ticket."};
        if (options_.address.empty())
            return Error{ErrorCode::invalid_argument,
                         "it is not said where other machines reach this one", "--address",
                         "Give an IPv4 address of this machine."};
        HD_TRY(const model::JoinTicket ticket, read_ticket(options_.ticket));
        http::Client client({.ca_pem = ticket.ca, .server_name = "howdahd"});
        HD_TRY(const http::Response answer,
               client.call({.method = "POST",
                            .url = ticket.api_url + "/howdah/v1/join",
                            .body = model::to_json(model::JoinRequest{ticket.token}),
                            .timeout = kJoinMax}));
        if (answer.status != 200) return refusal(answer);
        HD_TRY(model::JoinedHost joined, model::from_json<model::JoinedHost>(answer.body));
        joined.address = options_.address;
        joined.gateway_source = options_.gateway_source;
        HD_CHECK(keep_certificate({joined.certificate, joined.key}));
        const std::pair<const char*, std::string*> files[] = {
            {"/ca.pem", &joined.ca},
            {"/etcd-ca.pem", &joined.etcd_ca},
            {"/etcd.pem", &joined.etcd_certificate},
            {"/etcd.key", &joined.etcd_key}};
        for (const auto& [name, content] : files)
            if (!content->empty()) HD_CHECK(os::write_file_atomic(tls() + name, *content, 0600));
        joined.certificate.clear();
        joined.key.clear();
        joined.etcd_key.clear();
        HD_CHECK(os::write_file_atomic(joined_path(), model::to_json(joined), 0600));
        log::info("this machine has joined", {{"name", joined.name}, {"zone", joined.zone}});
        return ok_status();
    }

    static Error refusal(const http::Response& answer) {
        const auto failure = model::from_json<model::Failure>(answer.body);
        if (failure.ok() && !failure->message.empty())
            return {ErrorCode::permission_denied, failure->message, "--ticket", failure->hint};
        return {ErrorCode::unavailable, fmt::format("howdahd answers {}", answer.status)};
    }

    Status keep_certificate(const model::AgentCertificate& issued) {
        HD_CHECK(os::write_file_atomic(tls() + "/agent.key", issued.key, 0600));
        return os::write_file_atomic(tls() + "/agent.pem", issued.certificate, 0600);
    }

    Status load() {
        const auto text = os::read_file(joined_path(), 1 << 20);
        if (!text.ok() && text.error().code == ErrorCode::not_found)
            return Error{ErrorCode::invalid_state, "this machine has not joined a Howdah",
                         "--ticket",
                         "Get a ticket with `howdah host add NAME` and start this with --ticket."};
        HD_CHECK(text);
        HD_TRY(joined_, model::from_json<model::JoinedHost>(*text));
        return ok_status();
    }

    AllInOne make_programs() const {
        const auto file = [&](const char* name, const std::string& content) {
            return content.empty() ? std::string() : tls() + name;
        };
        store::EtcdOptions etcd;
        etcd.endpoints = joined_.etcd_endpoints;
        etcd.ca_file = file("/etcd-ca.pem", joined_.etcd_ca);
        etcd.certificate_file = file("/etcd.pem", joined_.etcd_certificate);
        etcd.key_file = file("/etcd.key", joined_.etcd_certificate);
        return AllInOne({.home = home_,
                         .several = {joined_.address, joined_.gateway_source, etcd},
                         .programs = options_.programs,
                         .agents = {{joined_.host, joined_.zone, joined_.name}},
                         .agent_url = joined_.agent_url,
                         .gateway_address = options_.gateway_address,
                         .gateway_port = options_.gateway_port,
                         .gateway_port_may_differ = !options_.ports_chosen,
                         .pooler_port = options_.pooler_port,
                         .pooler_port_may_differ = !options_.ports_chosen,
                         .prepared_directories = options_.pool_size},
                        /*known_gateway_port=*/0);
    }

    /// A certificate that is about to end is replaced by the control plane. True if it was.
    Result<bool> renew() {
        HD_TRY(const std::string present, os::read_file(tls() + "/agent.pem", 1 << 16));
        HD_TRY(const Timestamp end, http::certificate_end(present));
        if (end - clock_.wall() > kRenewBefore) return false;
        HD_TRY(const std::string ca, os::read_file(tls() + "/ca.pem", 1 << 16));
        HD_TRY(const std::string key, os::read_file(tls() + "/agent.key", 1 << 16));
        http::Client client({.ca_pem = ca,
                             .server_name = "howdahd",
                             .certificate_pem = present,
                             .key_pem = Secret(key)});
        HD_TRY(const http::Response answer,
               client.call({.method = "POST",
                            .url = joined_.agent_url + "/agent/v1/certificate",
                            .timeout = kJoinMax}));
        if (answer.status != 200) return refusal(answer);
        HD_TRY(const auto issued, model::from_json<model::AgentCertificate>(answer.body));
        HD_CHECK(keep_certificate(issued));
        return true;
    }

    Instant look_at_certificate(AllInOne& programs, Instant now) {
        if (now < next_renewal_) return next_renewal_;
        next_renewal_ = now + kRenewalLook;
        const auto renewed = renew();
        if (!renewed.ok())
            log::error("the agent's certificate cannot be renewed; it is tried again",
                       {{"reason", renewed.error().describe()}});
        else if (*renewed)
            programs.restart_agents();
        return next_renewal_;
    }

    Status loop(const os::Fd& termination) {
        AllInOne programs = make_programs();
        std::uint16_t published = 0;
        for (;;) {
            const Instant now = clock_.now();
            const Instant next = std::min(programs.step(now), look_at_certificate(programs, now));
            if (const std::uint16_t port = programs.gateway_port(); port != published) {
                HD_CHECK(publish_endpoints(
                    home_, {.gateway_address = options_.gateway_address, .gateway_port = port}));
                published = port;
            }
            std::vector<pollfd> fds = {{termination.get(), POLLIN, 0}};
            for (const int each : programs.watch_fds()) fds.push_back({each, POLLIN, 0});
            const auto pause = std::chrono::ceil<std::chrono::milliseconds>(next - clock_.now());
            (void)poll(fds.data(), fds.size(),
                       static_cast<int>(std::clamp<long long>(pause.count(), 0, 60'000)));
            if ((fds[0].revents & POLLIN) != 0) return ok_status();
        }
    }

    const Options options_;
    const Home home_;
    SystemClock clock_;
    std::optional<os::FileLock> lock_;
    model::JoinedHost joined_;
    Instant next_renewal_{};
};

int run(int argc, char** argv) {
    Options options;
    options.home = default_home();
    options.programs = own_folder();
    CLI::App app{"howdah-host: makes this machine one of a Howdah's, and runs its servers"};
    app.set_version_flag("--version", HOWDAH_VERSION);
    app.set_config("--config", "", "read options from a TOML file");
    app.add_option("--home", options.home, "folder of all data")->capture_default_str();
    app.add_option("--ticket", options.ticket,
                   "join with the ticket of `howdah host add`: a file, or - for standard input");
    app.add_option("--address", options.address, "where other machines reach this one; to join")
        ->check(CLI::ValidIPV4);
    app.add_option("--gateway-source", options.gateway_source,
                   "a second address of this machine, for its gateway alone; to join")
        ->check(CLI::ValidIPV4);
    app.add_option("--gateway-address", options.gateway_address, "address of the gateway")
        ->capture_default_str();
    const auto chosen = [&options](const std::string&) { options.ports_chosen = true; };
    app.add_option("--gateway-port", options.gateway_port, "port of the gateway; 0: any")
        ->each(chosen);
    app.add_option("--pooler-port", options.pooler_port, "port of pooled servers; 0: any")
        ->each(chosen);
    app.add_option("--programs", options.programs, "folder of the other programs");
    app.add_option("--pool-size", options.pool_size, "prepared data directories")
        ->check(CLI::Range(0, 64));
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        return app.exit(problem) == 0 ? 0 : kExitUsage;
    }
    std::error_code problem;
    options.home = std::filesystem::absolute(options.home, problem).lexically_normal().string();
    while (options.home.size() > 1 && options.home.back() == '/') options.home.pop_back();
    log::init("howdah-host", log::Level::info);
    const auto termination = os::termination_fd();
    Status status =
        termination.ok() ? Host(std::move(options)).run(*termination) : Status(termination.error());
    if (status.ok()) return 0;
    log::error("howdah-host cannot go on", {{"reason", status.error().describe()}});
    return 1;
}

}  // namespace
}  // namespace howdah::howdahd

int main(int argc, char** argv) { return howdah::howdahd::run(argc, argv); }
