// howdah-host: makes a machine one of a Howdah that has several, and keeps its agent, gateway and
// pooler running. This file is wiring.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "apps/howdahd/all_in_one.h"
#include "apps/howdahd/home.h"
#include "apps/howdahd/options.h"
#include "base/log.h"
#include "base/text.h"
#include "control/fleet/joining.h"
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
    MachineOptions machine;
    std::string ticket;  ///< a file; "-": standard input; empty: it has joined
    std::string address;
    std::string gateway_source;
};

Result<model::JoinTicket> read_ticket(const std::string& path) {
    std::string text;
    if (path == "-") {
        char next = 0;
        while (text.size() < kTicketBytesMax && std::cin.get(next) && next != '\n') text += next;
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
    explicit Host(Options options) : options_(std::move(options)), home_{options_.machine.home} {}

    Status run(const os::Fd& termination) {
        HD_CHECK(home_.prepare(/*agents=*/1));
        HD_TRY(lock_, os::lock_as_daemon(home_.run() + "/howdah-host.lock"));
        HD_CHECK(os::make_folders(tls(), 0700));
        HD_CHECK(install_certificate());
        ports_ = load_ports(home_);
        if (!options_.ticket.empty()) HD_CHECK(join());
        HD_CHECK(load());
        log::info("howdah-host is up", {{"host", joined_.host}, {"home", home_.root}});
        loop(termination);
        log::info("howdah-host stops; agent, gateway and servers go on");
        return ok_status();
    }

  private:
    std::string tls() const { return home_.agent() + "/tls"; }
    std::string joined_path() const { return home_.root + "/joined.json"; }
    std::string issued_path() const { return tls() + "/agent.new.json"; }

    /// The last file that is written is what says that it has joined.
    Status join() {
        if (os::exists(joined_path()))
            return Error{ErrorCode::invalid_state,
                         "this machine has joined already (" + joined_path() + ")", "--ticket",
                         "Start it without --ticket."};
        HD_TRY(const model::JoinTicket ticket, read_ticket(options_.ticket));
        http::Client client(
            {.ca_pem = ticket.ca, .server_name = std::string(model::kControlPlaneName)});
        HD_TRY(const http::Response answer,
               client.call({.method = "POST",
                            .url = ticket.api_url + control::Joining::kPath,
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

    /// Key and certificate are two files of the agent's: in one of their own first, so that an end
    /// between the two leaves no pair that does not match.
    Status keep_certificate(const model::AgentCertificate& issued) {
        HD_CHECK(os::write_file_atomic(issued_path(), model::to_json(issued), 0600));
        return install_certificate();
    }

    Status install_certificate() {
        const auto text = os::read_file(issued_path(), 1 << 16);
        if (!text.ok() && text.error().code == ErrorCode::not_found) return ok_status();
        HD_CHECK(text);
        HD_TRY(const auto issued, model::from_json<model::AgentCertificate>(*text));
        HD_CHECK(os::write_file_atomic(tls() + "/agent.key", issued.key, 0600));
        HD_CHECK(os::write_file_atomic(tls() + "/agent.pem", issued.certificate, 0600));
        return os::remove_tree(issued_path());
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
                         .programs = options_.machine.programs,
                         .agents = {{joined_.host, joined_.zone, joined_.name}},
                         .agent_url = joined_.agent_url,
                         .listening = options_.machine.listening,
                         .prepared_directories = options_.machine.pool_size},
                        ports_.gateway);
    }

    /// A certificate that is about to end is replaced by the control plane. True if it was.
    Result<bool> renew() {
        HD_TRY(const std::string present, os::read_file(tls() + "/agent.pem", 1 << 16));
        HD_TRY(const Timestamp end, http::certificate_end(present));
        if (end - clock_.wall() > kRenewBefore) return false;
        HD_TRY(const std::string ca, os::read_file(tls() + "/ca.pem", 1 << 16));
        HD_TRY(const std::string key, os::read_file(tls() + "/agent.key", 1 << 16));
        http::Client client({.ca_pem = ca,
                             .server_name = std::string(model::kControlPlaneName),
                             .certificate_pem = present,
                             .key_pem = Secret(key)});
        HD_TRY(const http::Response answer,
               client.call({.method = "POST",
                            .url = joined_.agent_url + control::Joining::kRenewPath,
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

    void loop(const os::Fd& termination) {
        AllInOne programs = make_programs();
        run_until(
            termination, clock_,
            [&](Instant now) {
                const Instant next = programs.step(now);
                if (programs.gateway_port() != published_port_) publish(programs.gateway_port());
                return std::min(next, look_at_certificate(programs, now));
            },
            [&] { return programs.watch_fds(); });
    }

    void publish(std::uint16_t gateway_port) {
        ports_.gateway = gateway_port;
        Status status = save_ports(home_, ports_);
        if (status.ok())
            status = publish_endpoints(
                home_, {.gateway_address = options_.machine.listening.gateway_address,
                        .gateway_port = gateway_port});
        // Tried again in the next round, for instance when the disk has room again.
        if (status.ok())
            published_port_ = gateway_port;
        else
            log::error("cannot write where things answer", {{"reason", status.error().describe()}});
    }

    const Options options_;
    const Home home_;
    SystemClock clock_;
    std::optional<os::FileLock> lock_;
    model::JoinedHost joined_;
    Ports ports_;  ///< of the gateway alone
    std::uint16_t published_port_ = 0;
    Instant next_renewal_{};
};

int run(int argc, char** argv) {
    Options options;
    CLI::App app{"howdah-host: makes this machine one of a Howdah's, and runs its servers"};
    app.set_version_flag("--version", HOWDAH_VERSION);
    app.set_config("--config", "", "read options from a TOML file");
    add_machine_options(app, options.machine);
    auto* ticket = app.add_option(
        "--ticket", options.ticket,
        "join with the ticket of `howdah host add`: a file, or - for standard input");
    auto* address = app.add_option("--address", options.address,
                                   "with --ticket: where other machines reach this one")
                        ->check(CLI::ValidIPV4)
                        ->needs(ticket);
    ticket->needs(address);
    app.add_option("--gateway-source", options.gateway_source,
                   "with --ticket: a second address of this machine, for its gateway alone")
        ->check(CLI::ValidIPV4)
        ->needs(ticket);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        return app.exit(problem) == 0 ? 0 : kExitUsage;
    }
    options.machine.home = normal_home(options.machine.home);
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
