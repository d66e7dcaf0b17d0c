// howdahd: the control plane. This file is wiring: options, what is opened in which order, threads.

#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

#include "api/api.h"
#include "api/auth/token_trust.h"
#include "api/log_downloads.h"
#include "apps/etcd_arguments.h"
#include "apps/howdahd/all_in_one.h"
#include "apps/howdahd/home.h"
#include "apps/howdahd/issuers.h"
#include "apps/howdahd/options.h"
#include "apps/prove_option.h"
#include "apps/repository_option.h"
#include "base/log.h"
#include "base/text.h"
#include "control/fleet/fleet.h"
#include "control/fleet/joining.h"
#include "control/reconcile/reconciler.h"
#include "model/json.h"
#include "os/file.h"
#include "os/process.h"
#include "store/sqlite/sqlite_store.h"

namespace howdah::howdahd {
namespace {

constexpr int kReconcileThreads = 2;
constexpr unsigned kApiNetworkThreads = 2;
constexpr int kExitUsage = 2;
constexpr int kAgentsMax = 8;
/// How long the first report of this machine's agent is waited for before addresses are published.
constexpr Duration kReadyMax = std::chrono::seconds(60);
constexpr std::string_view kNoRepository = "none";
/// How often it is looked whether a key of tokens has to be made or removed.
constexpr Duration kRotationPause = std::chrono::seconds(15);
constexpr Duration kReadyPoll = std::chrono::milliseconds(20);

struct Options {
    MachineOptions machine;
    bool all_in_one = false;
    std::string address = "127.0.0.1";
    std::uint16_t api_port = 0;
    bool api_port_chosen = false;
    std::string location = "local";
    /// One agent for each, with a zone of its own or the same; each is a host.
    std::vector<std::string> agent_zones = {"1"};
    std::string dns_suffix = "postgres.database.howdah.local";
    SeveralMachines several;
    std::int64_t first_port = 20000;
    std::int64_t last_port = 29999;
    bool replace_token_keys = false;
    bool reset_administrator = false;
    std::string trusted_issuers;  ///< a file
    std::string repository;  ///< a folder or file, or kNoRepository; empty: a folder of the home
    double prove_every = kProveEveryDays;
    std::string log_level = "info";
};

/// A function that can be set after the server was started, because what it needs (the address) is
/// known only then.
template <typename Function>
class Late {
  public:
    void set(Function function) {
        const std::lock_guard lock(mutex_);
        function_ = std::make_shared<const Function>(std::move(function));
    }
    /// nullptr before that.
    std::shared_ptr<const Function> get() const {
        const std::lock_guard lock(mutex_);
        return function_;
    }

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<const Function> function_;  ///< guarded by mutex_
};

/// Answers 503 until it is set.
http::Handler handler_of(const Late<http::Handler>& late) {
    return [&late](http::Request request, http::Responder responder) {
        if (const auto handler = late.get()) (*handler)(std::move(request), std::move(responder));
    };
}

/// Starts a server on the wished port, else on the remembered one, else on any free one.
Result<std::unique_ptr<http::Server>> start_server(http::ServerOptions options, bool must_have_port,
                                                   std::uint16_t remembered,
                                                   const http::Handler& handler) {
    if (!must_have_port) options.port = remembered;
    auto started = http::Server::start(options, handler);
    if (started.ok() || must_have_port || remembered == 0) return started;
    log::warn("a remembered port is taken, another one is used",
              {{"port", remembered}, {"reason", started.error().describe()}});
    options.port = 0;
    return http::Server::start(options, handler);
}

class Daemon {
  public:
    explicit Daemon(Options options) : options_(std::move(options)), home_{options_.machine.home} {}

    Status run(const os::Fd& termination) {
        HD_CHECK(open());
        HD_CHECK(start_servers());
        HD_CHECK(start_api());
        start_threads();
        log::info("howdahd is up", {{"api", base_url_}, {"home", home_.root}});
        const Status status = loop(termination);
        log::info("howdahd stops; agents, gateways and servers go on");
        return status;
    }

  private:
    Status open() {
        HD_CHECK(home_.prepare(static_cast<int>(options_.agent_zones.size())));
        HD_TRY(auto lock, os::lock_as_daemon(home_.run() + "/howdahd.lock"));
        lock_.emplace(std::move(lock));
        HD_TRY(store_, store::open_sqlite_store(home_.control() + "/store.db", clock_));
        // A store that is in use has secrets that only its own key opens: a lost one is not
        // replaced.
        HD_TRY(const auto entries, store_->list("/", {.limit = 1}));
        HD_TRY(auto secrets, store::SecretBox::open(home_.control() + "/master.key",
                                                    /*create=*/entries.empty(), ids_));
        secrets_.emplace(std::move(secrets));
        const bool is_older = has_one_authority(home_);
        HD_TRY(auto authorities, open_authorities(home_, *secrets_, clock_.wall()));
        authorities_.emplace(std::move(authorities));
        for (const std::string& zone : options_.agent_zones) {
            const int number = static_cast<int>(agents_.size()) + 1;
            HD_TRY(const std::string host, host_id(home_, number, ids_));
            HD_TRY(const bool is_new, provide_agent_certificate(home_, authorities_->control_plane,
                                                                host, number, clock_.wall()));
            // An agent of that time does not ask for howdahd's name.
            agents_.push_back({.host_id = host, .zone = zone, .is_stale = is_new || is_older});
        }
        ports_ = load_ports(home_);
        return note_how_many_machines();
    }

    Status note_how_many_machines() {
        const SeveralMachines& several = options_.several;
        std::vector<std::string> arrangement = {several.address, several.gateway_source};
        append_etcd_options(arrangement, several.etcd);
        HD_TRY(const auto place, read_repository_option(repository()));
        arrangement.push_back(repository());
        if (options_.prove_every != kProveEveryDays)
            arrangement.push_back(fmt::format("{}", options_.prove_every));
        // Agents read its file when they begin.
        if (place.is_remote())
            arrangement.push_back(fmt::format(
                "{:x}", std::hash<std::string>()(os::read_file(repository()).value_or(""))));
        HD_TRY(is_rearranged_, note_arrangement(home_, join(arrangement, " ")));
        for (AllInOneOptions::Agent& each : agents_)
            each.is_stale = each.is_stale || is_rearranged_;
        return ok_status();
    }

    /// Both servers answer 503 until their handlers are set.
    Status start_servers() {
        HD_TRY(const auto certificate,
               authorities_->control_plane.issue(
                   control::howdahd_certificate({options_.address, options_.several.address}),
                   clock_.wall()));
        http::ServerOptions api{
            .address = options_.address,
            .port = options_.api_port,
            .certificate_pem = certificate.certificate_pem,
            .key_pem = certificate.key_pem.reveal(),
            .quick = [this](const http::Request& request) -> std::optional<http::Response> {
                const auto quick = quick_handler_.get();
                if (quick == nullptr) return std::nullopt;
                return (*quick)(request);
            },
            .network_threads = kApiNetworkThreads};
        HD_TRY(api_server_, start_server(api, options_.api_port_chosen && options_.api_port != 0,
                                         ports_.api, handler_of(api_handler_)));
        http::ServerOptions link{.address = link_address(),
                                 .certificate_pem = certificate.certificate_pem,
                                 .key_pem = certificate.key_pem.reveal(),
                                 .client_ca_pem = authorities_->control_plane.certificate_pem(),
                                 .workers = 2,
                                 .body_bytes_max = 8 << 20};
        HD_TRY(link_server_,
               start_server(link, false, ports_.agent_link, handler_of(link_handler_)));
        if (ports_.agent_link != 0 && ports_.agent_link != link_server_->port())
            for (AllInOneOptions::Agent& each : agents_) each.is_stale = true;
        ports_.api = api_server_->port();
        ports_.agent_link = link_server_->port();
        base_url_ = "https://" + options_.address + ":" + std::to_string(ports_.api);
        return save_ports(home_, ports_);
    }

    Status start_api() {
        HD_TRY(auto made, api::bootstrap(*store_, *secrets_, clock_, ids_));
        if (options_.reset_administrator) {
            HD_CHECK(api::reset_administrator(*store_, *secrets_, clock_, ids_));
            log::warn("the administrator has a new secret and owns everything again",
                      {{"client", made.client_id}});
            HD_TRY(made, api::bootstrap(*store_, *secrets_, clock_, ids_));
        }
        if (made.client_secret) {
            HD_CHECK(publish_credentials(home_, {.tenant_id = made.tenant_id,
                                                 .subscription_id = made.subscription_id,
                                                 .client_id = made.client_id,
                                                 .client_secret = *made.client_secret,
                                                 .api = base_url_}));
            HD_CHECK(api::bootstrap_delivered(*store_));
        } else {
            HD_CHECK(refresh_credentials(home_, base_url_));
        }
        if (options_.replace_token_keys) HD_CHECK(replace_token_keys());
        HD_TRY(signing_keys_, api::SigningKeys::open(*store_, *secrets_, clock_, ids_));
        HD_CHECK(open_issuers());
        operations_.emplace(*store_, clock_, ids_);
        joining_.emplace(control::Joining::Options{base_url_, agent_url(), options_.several.etcd},
                         *store_, *secrets_, authorities_->control_plane, clock_, ids_);
        api_.emplace(api::ApiContext{.store = *store_,
                                     .operations = *operations_,
                                     .secrets = *secrets_,
                                     .clock = clock_,
                                     .ids = ids_,
                                     .signing_keys = *signing_keys_,
                                     .tenant_id = made.tenant_id,
                                     .base_url = base_url_,
                                     .location = options_.location,
                                     .location_display_name = options_.location,
                                     .dns_suffix = options_.dns_suffix,
                                     .version = HOWDAH_VERSION,
                                     .foreign_issuers = foreign_issuers_.get(),
                                     .joining = &*joining_});
        certificates_.emplace(authorities_->servers);
        reconciler_.emplace(*store_, clock_, ids_, *secrets_, *certificates_,
                            control::ReconcilerOptions{.host_suffix = options_.dns_suffix,
                                                       .first_port = options_.first_port,
                                                       .last_port = options_.last_port});
        logs_.emplace(clock_, ids_, home_.control());
        fleet_.emplace(*store_, clock_, *secrets_, &*logs_, [this, tenant = made.tenant_id] {
            const std::string issuer = base_url_ + "/" + tenant + "/v2.0";
            return api::token_trust(*signing_keys_->current(), issuer, tenant);
        });
        downloads_.emplace(*store_, *secrets_, clock_, ids_,
                           [this](control::LogWanted wanted, control::LogDone done) {
                               fleet_->fetch_log(std::move(wanted), std::move(done));
                           });
        set_handlers();
        return ok_status();
    }

    void set_handlers() {
        api_handler_.set([this](http::Request request, http::Responder responder) {
            if (control::Joining::takes(request)) return responder.send(joining_->handle(request));
            if (!api::LogDownloads::takes(request)) return responder.send(api_->handle(request));
            // std::function wants what it holds to be copyable.
            auto shared = std::make_shared<http::Responder>(std::move(responder));
            downloads_->handle(
                request, [shared](http::Response response) { shared->send(std::move(response)); });
        });
        quick_handler_.set(
            [this](const http::Request& request) { return api_->handle_at_once(request); });
        link_handler_.set([this](http::Request request, http::Responder responder) {
            if (control::Joining::renews(request)) return responder.send(joining_->renew(request));
            fleet_->handle(std::move(request), std::move(responder));
        });
    }

    Status open_issuers() {
        HD_TRY(const auto sections, read_issuer_sections(options_.trusted_issuers));
        HD_TRY(auto issuers, api::trusted_issuers(sections, base_url_));
        for (const api::TrustedIssuer& each : issuers)
            log::info("an issuer of tokens is trusted",
                      {{"name", each.name}, {"issuer", each.url}});
        HD_TRY(foreign_issuers_, api::ForeignIssuers::open(std::move(issuers), *store_, clock_));
        return ok_status();
    }

    /// For a key that somebody else may know: every access token given so far is void.
    Status replace_token_keys() {
        HD_TRY(const auto first, api::SigningKeys::make_first(*secrets_, clock_.wall(), ids_));
        store::Transaction txn;
        txn.put(first.key, first.value);
        HD_CHECK(store_->commit(txn));
        log::warn("all keys of tokens were replaced, every access token is void");
        return ok_status();
    }

    void start_threads() {
        threads_.emplace_back([this](std::stop_token stop) { reconciler_->watch(stop); });
        for (int i = 0; i < kReconcileThreads; ++i) {
            threads_.emplace_back([this](std::stop_token stop) { reconciler_->work(stop); });
        }
        threads_.emplace_back([this](std::stop_token stop) { fleet_->run(stop); });
        threads_.emplace_back([this](std::stop_token stop) { api_->run_deployments(stop); });
        for (std::size_t i = 0; i < foreign_issuers_->count(); ++i)
            threads_.emplace_back(
                [this, i](std::stop_token stop) { foreign_issuers_->run(i, stop); });
    }

    /// Agents of other machines come here too.
    std::string link_address() const {
        return options_.several.address.empty() ? "127.0.0.1" : options_.several.address;
    }
    std::string agent_url() const {
        return "https://" + link_address() + ":" + std::to_string(ports_.agent_link);
    }

    /// The machines of a Howdah of several would each have another folder, and a server's members
    /// another part of its WAL.
    std::string repository() const {
        if (options_.repository == kNoRepository || !options_.several.address.empty()) return "";
        return options_.repository.empty() ? home_.root + "/backups" : options_.repository;
    }

    AllInOne make_all_in_one() {
        return AllInOne({.home = home_,
                         .several = options_.several,
                         .programs = options_.machine.programs,
                         .agents = agents_,
                         .agent_url = agent_url(),
                         .listening = options_.machine.listening,
                         .repository = repository(),
                         .prove_every = options_.prove_every,
                         .prepared_directories = options_.machine.pool_size,
                         .is_gateway_stale = is_rearranged_},
                        ports_.gateway);
    }

    /// Until SIGTERM or SIGINT: keeps agent and gateway alive, publishes where things answer.
    Status loop(const os::Fd& termination) {
        std::optional<AllInOne> beside;
        if (options_.all_in_one)
            beside.emplace(make_all_in_one());
        else
            HD_CHECK(publish_endpoints(home_, {.api = base_url_}));
        run_until(
            termination, clock_,
            [&](Instant now) {
                const Instant next = rotate_keys(now);
                return beside ? std::min(next, step_beside(*beside, now)) : next;
            },
            [&] { return beside ? beside->watch_fds() : std::vector<int>(); });
        return ok_status();
    }

    Instant step_beside(AllInOne& beside, Instant now) {
        const Instant next = beside.step(now);
        if (beside.gateway_port() == published_port_) return next;
        if (!is_ready(now)) return std::min(next, now + kReadyPoll);
        publish(beside.gateway_port());
        return next;
    }

    /// Makes and removes keys of tokens when their time has come; returns when to look again.
    Instant rotate_keys(Instant now) {
        if (now < next_rotation_) return next_rotation_;
        const Status status = signing_keys_->rotate();
        if (!status.ok())
            log::error("cannot change the keys that sign tokens",
                       {{"reason", status.error().describe()}});
        next_rotation_ = now + kRotationPause;
        return next_rotation_;
    }

    /// Whether a machine has said what it can do; without that no server can be made. A machine
    /// that never does is not waited for for ever.
    bool is_ready(Instant now) {
        if (ready_deadline_ == Instant{}) ready_deadline_ = now + kReadyMax;
        const auto hosts = store_->list("/host/", {.limit = kAgentsMax});
        return now > ready_deadline_ || (hosts.ok() && hosts->size() >= agents_.size());
    }

    void publish(std::uint16_t gateway_port) {
        ports_.gateway = gateway_port;
        Status status = save_ports(home_, ports_);
        if (status.ok()) {
            status = publish_endpoints(
                home_, {.api = base_url_,
                        .gateway_address = options_.machine.listening.gateway_address,
                        .gateway_port = gateway_port});
        }
        // Tried again in the next round, for instance when the disk has room again.
        if (status.ok())
            published_port_ = gateway_port;
        else
            log::error("cannot write where things answer", {{"reason", status.error().describe()}});
    }

    // In the order in which they are made; torn down the other way round, so that threads and
    // servers end before what they use.
    const Options options_;
    const Home home_;
    SystemClock clock_;
    SystemIdSource ids_;
    std::optional<os::FileLock> lock_;
    std::unique_ptr<store::Store> store_;
    std::optional<store::SecretBox> secrets_;
    std::optional<control::Authorities> authorities_;
    std::vector<AllInOneOptions::Agent> agents_;
    Ports ports_;
    bool is_rearranged_ = false;
    std::string base_url_;
    std::uint16_t published_port_ = 0;
    Instant ready_deadline_{};
    Instant next_rotation_{};
    std::unique_ptr<api::SigningKeys> signing_keys_;
    std::unique_ptr<api::ForeignIssuers> foreign_issuers_;
    std::optional<control::Operations> operations_;
    std::optional<control::Joining> joining_;
    std::optional<api::Api> api_;
    std::optional<control::AuthorityCertificates> certificates_;
    std::optional<control::Reconciler> reconciler_;
    std::optional<control::LogRelay> logs_;
    std::optional<control::Fleet> fleet_;
    std::optional<api::LogDownloads> downloads_;
    Late<http::Handler> api_handler_;
    Late<http::QuickHandler> quick_handler_;
    Late<http::Handler> link_handler_;
    std::unique_ptr<http::Server> api_server_;
    std::unique_ptr<http::Server> link_server_;
    std::vector<std::jthread> threads_;
};

/// Of this machine, and what makes it one of several.
void add_agent_options(CLI::App& app, Options& options) {
    app.add_option("--zone,--agent-zones", options.agent_zones,
                   "availability zone of this machine; several: that many agents run here, each a "
                   "host of its own, for servers with a standby (1,2)")
        ->delimiter(',')
        ->expected(1, kAgentsMax);
    app.add_option("--address", options.several.address,
                   "where other machines of this Howdah reach this one; needs --etcd")
        ->check(CLI::ValidIPV4);
    app.add_option("--gateway-source", options.several.gateway_source,
                   "a second address of this machine, for its gateway alone: PostgreSQL on other "
                   "machines lets in what comes from there (absent: --address)")
        ->check(CLI::ValidIPV4);
    add_etcd_options(app, options.several.etcd);
}

/// glibc would keep up to eight arenas a core, each with memory that its threads have freed.
constexpr int kArenasMax = 2;

int run(int argc, char** argv) {
    mallopt(M_ARENA_MAX, kArenasMax);
    Options options;
    CLI::App app{"howdahd: the control plane of Howdah"};
    app.set_version_flag("--version", HOWDAH_VERSION);
    app.set_config("--config", "", "read options from a TOML file");
    add_machine_options(app, options.machine);
    app.add_flag("--all-in-one", options.all_in_one, "run an agent and a gateway beside it");
    app.add_option("--api-address", options.address, "address of the API")->capture_default_str();
    auto* api_port = app.add_option("--api-port", options.api_port,
                                    "port of the API; 0 or absent: chosen once, then kept");
    add_agent_options(app, options);
    app.add_option("--location", options.location, "name of the Azure location")
        ->capture_default_str();
    app.add_option("--dns-suffix", options.dns_suffix, "servers are <name>.<suffix>")
        ->capture_default_str();
    app.add_option("--own-ports-first", options.first_port, "first own port of servers")
        ->check(CLI::Range(1, 65535));
    app.add_option("--own-ports-last", options.last_port, "last own port of servers")
        ->check(CLI::Range(1, 65535));
    app.add_flag("--replace-token-keys", options.replace_token_keys,
                 "at this start, replace the keys of tokens: all access tokens are void");
    app.add_flag("--reset-administrator", options.reset_administrator,
                 "at this start, give the administrator a new secret and the role Owner again");
    app.add_option("--trusted-issuers", options.trusted_issuers,
                   "TOML file of other issuers whose tokens are taken (docs/guide/issuers.md)");
    app.add_option("--repository", options.repository,
                   "where the servers' backups are kept: a folder, or a .toml file of a bucket or "
                   "container (docs/guide/backups.md); absent: 'backups' in the home; none: no "
                   "backups; never those of several machines");
    add_prove_option(app, options.prove_every);
    app.add_option("--log-level", options.log_level, "debug, info, warn or error")
        ->check(CLI::IsMember({"debug", "info", "warn", "error"}));
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        const int code = app.exit(problem);
        return code == 0 ? 0 : kExitUsage;
    }
    if (options.several.address.empty() != options.several.etcd.endpoints.empty()) {
        fputs("howdahd: --address and --etcd go together: give both or none\n", stderr);
        return kExitUsage;
    }
    options.api_port_chosen = api_port->count() > 0;
    options.machine.home = normal_home(options.machine.home);
    if (!options.repository.empty() && options.repository != kNoRepository)
        options.repository = normal_home(options.repository);
    log::init("howdahd", options.log_level == "debug"  ? log::Level::debug
                         : options.log_level == "info" ? log::Level::info
                         : options.log_level == "warn" ? log::Level::warn
                                                       : log::Level::error);
    const auto termination = os::termination_fd();
    if (!termination.ok()) {
        log::error("howdahd cannot start", {{"reason", termination.error().describe()}});
        return 1;
    }
    Daemon daemon(std::move(options));
    const Status status = daemon.run(*termination);
    if (!status.ok()) {
        log::error("howdahd cannot go on", {{"reason", status.error().describe()}});
        return 1;
    }
    return 0;
}

}  // namespace
}  // namespace howdah::howdahd

int main(int argc, char** argv) { return howdah::howdahd::run(argc, argv); }
