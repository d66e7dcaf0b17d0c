// The gateway program in front of a real PostgreSQL, with psql and pgbench as its clients.

#include <arpa/inet.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <future>
#include <random>
#include <thread>

#include "base/clock.h"
#include "http/certificates.h"
#include "integration/postgres_support.h"
#include "model/json.h"
#include "os/file.h"
#include "os/process.h"
#include "places.h"

namespace howdah::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kPatience = seconds(40);
#ifdef HOWDAH_SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

bool eventually(const std::function<bool()>& fact) {
    const SystemClock clock;
    const Instant deadline = clock.now() + kPatience;
    while (!fact()) {
        if (clock.now() >= deadline) return false;
        poll(nullptr, 0, 5);
    }
    return true;
}

std::uint16_t free_port() {
    const os::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(fd.get(), any, length), 0);
    EXPECT_EQ(getsockname(fd.get(), any, &length), 0);
    return ntohs(address.sin_port);
}

os::Fd connect_to(std::uint16_t port) {
    os::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    const timeval patience{20, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        fd.reset();
    return fd;
}

std::string ask(const std::string& path, const std::string& command) {
    const os::Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    const timeval patience{20, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return "";
    const std::string line = command + "\n";
    if (send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) return "";
    std::string reply;
    char buffer[4096];
    ssize_t count = 0;
    while ((count = recv(fd.get(), buffer, sizeof buffer, 0)) > 0)
        reply.append(buffer, static_cast<std::size_t>(count));
    return reply;
}

std::int64_t resident_kb(pid_t pid) {
    const auto text = os::read_file(fmt::format("/proc/{}/status", pid));
    if (!text.ok()) return 0;
    const std::size_t at = text->find("VmRSS:");
    return at == text->npos ? 0 : atoll(text->c_str() + at + 6);
}

/// A PostgreSQL of its own with TLS and SCRAM; the user "app" has the password "secret".
class Cluster {
  public:
    Cluster() {
        char pattern[] = "/tmp/howdah-gwtest-XXXXXX";
        folder_ = mkdtemp(pattern);
        port_ = free_port();
        if (os::is_root()) user_ = os::find_user("postgres").value();
        EXPECT_TRUE(os::write_file_atomic(file("password"), "secret\n").ok());
        make_certificate();
        own();
        run_as_user({engine_folder() + "/bin/initdb", "-D", file("data"), "-U", "app", "--no-sync",
                     "--pwfile=" + file("password"), "-A", "scram-sha-256"});
        std::string settings = os::read_file(file("data/postgresql.conf")).value();
        settings += fmt::format(
            "port={}\nlisten_addresses='127.0.0.1'\nunix_socket_directories=''\nssl=on\n"
            "ssl_cert_file='{}'\nssl_key_file='{}'\nfsync=off\nmax_connections=200\n",
            port_, file("server.pem"), file("server.key"));
        EXPECT_TRUE(os::write_file_atomic(file("data/postgresql.conf"), settings).ok());
        const std::string rules =
            os::read_file(file("data/pg_hba.conf")).value() +
            fmt::format("host all all {}/32 scram-sha-256\n", model::kGatewaySource);
        EXPECT_TRUE(os::write_file_atomic(file("data/pg_hba.conf"), rules).ok());
        own();
        start();
    }
    ~Cluster() {
        stop(SIGINT);
        EXPECT_TRUE(os::remove_tree(folder_).ok());
    }

    void start() {
        const auto pid =
            os::start_daemon({.arguments = {engine_folder() + "/bin/postgres", "-D", file("data")},
                              .environment = {},
                              .folder = file("data"),
                              .user = user_,
                              .log_path = file("log")});
        ASSERT_TRUE(pid.ok());
        pid_ = *pid;
        ASSERT_TRUE(eventually([this] {
            const auto text = os::read_file(file("data/postmaster.pid"));
            return text.ok() && text->find("ready") != text->npos;
        }));
    }
    void stop(int signal) {
        const auto process = os::ProcessHandle::open(pid_);
        ASSERT_TRUE(process.ok());
        EXPECT_TRUE(process->signal(signal).ok());
        EXPECT_TRUE(process->wait_exit(seconds(30)));
        os::reap({pid_});
    }
    std::uint16_t port() const { return port_; }
    pid_t pid() const { return pid_; }
    std::string file(const std::string& name) const { return folder_ + "/" + name; }

  private:
    void make_certificate() const {
        const Timestamp now = SystemClock().wall();
        const auto authority = http::CertificateAuthority::create("test", now).value();
        const auto leaf =
            authority
                .issue({.common_name = "one.db.test", .dns_names = {"one.db.test", "two.db.test"}},
                       now)
                .value();
        EXPECT_TRUE(os::write_file_atomic(file("ca.pem"), authority.certificate_pem(), 0644).ok());
        EXPECT_TRUE(os::write_file_atomic(file("server.pem"), leaf.certificate_pem).ok());
        EXPECT_TRUE(os::write_file_atomic(file("server.key"), leaf.key_pem.reveal()).ok());
    }
    void own() const {
        if (!user_) return;
        EXPECT_TRUE(os::change_owner_tree(folder_, user_->uid, user_->gid).ok());
    }
    void run_as_user(std::vector<std::string> arguments) const {
        const auto done = os::run({.arguments = std::move(arguments), .user = user_});
        ASSERT_TRUE(done.ok() && done->succeeded()) << done->error_output;
    }

    std::string folder_;
    std::uint16_t port_ = 0;
    std::optional<os::User> user_;
    pid_t pid_ = 0;
};

/// The gateway program with a folder of its own.
class GatewayProcess {
  public:
    explicit GatewayProcess(std::uint16_t wanted_port = 0, std::vector<std::string> extra = {})
        : port_(wanted_port), extra_(std::move(extra)) {
        char pattern[] = "/tmp/howdah-gwtest-XXXXXX";
        folder_ = mkdtemp(pattern);
        program_ = file("howdah-gateway");
        replace_program();
        start();
    }
    ~GatewayProcess() {
        end(SIGKILL);
        if (::testing::Test::HasFailure())
            fmt::print("{}\n", os::read_file(file("log")).value_or(""));
        EXPECT_TRUE(os::remove_tree(folder_).ok());
    }

    void start() {
        const auto pid = os::start_daemon({.arguments = arguments(),
                                           .environment = {},
                                           .folder = folder_,
                                           .log_path = file("log")});
        ASSERT_TRUE(pid.ok());
        pid_ = *pid;
        ASSERT_TRUE(eventually([this] {
            const auto status = read_status();
            return status && status->pid == pid_ && !ask(file("admin"), "stats").empty();
        })) << os::read_file(file("log")).value_or("");
        port_ = static_cast<std::uint16_t>(read_status()->port);
    }
    std::vector<std::string> arguments() const {
        std::vector<std::string> all = {program_,
                                        "--routes",
                                        file("routes.json"),
                                        "--port",
                                        std::to_string(port_),
                                        "--status-file",
                                        file("status"),
                                        "--admin",
                                        file("admin"),
                                        "--lock",
                                        file("lock"),
                                        "--drain-timeout",
                                        "30"};
        all.insert(all.end(), extra_.begin(), extra_.end());
        return all;
    }
    /// Sends the signal and waits for the end. True if it ended in time.
    bool end(int signal) {
        const auto process = os::ProcessHandle::open(pid_);
        if (!process.ok()) return true;
        (void)process->signal(signal);
        const bool ended = process->wait_exit(seconds(20));
        os::reap({pid_});
        return ended;
    }
    bool alive() const {
        const auto facts = os::process_facts(pid_);
        return facts && !facts->zombie;
    }
    /// Puts a program in place of the present one, as an installation does.
    void replace_program(const std::string& content = "") const {
        const std::string fresh = program_ + ".new";
        if (content.empty())
            std::filesystem::copy_file(test::bin_dir() + "/howdah-gateway", fresh);
        else
            EXPECT_TRUE(os::write_file_atomic(fresh, content, 0755).ok());
        std::filesystem::rename(fresh, program_);
    }
    void use(std::vector<model::Route> routes) {
        ++revision_;
        const model::RouteTable table{.revision = revision_, .routes = std::move(routes)};
        EXPECT_TRUE(os::write_file_atomic(file("routes.json"), model::to_json(table)).ok());
        EXPECT_TRUE(eventually([this] { return stats().table_revision == revision_; }));
    }
    model::GatewayStats stats() const {
        return model::from_json<model::GatewayStats>(ask(file("admin"), "stats"))
            .value_or(model::GatewayStats{});
    }
    model::GatewayServerStats server_stats(const std::string& id) const {
        for (const auto& each : stats().servers) {
            if (each.server_id == id) return each;
        }
        return {};
    }
    std::optional<model::GatewayStatus> read_status() const {
        const auto text = os::read_file(file("status"));
        if (!text.ok()) return std::nullopt;
        const auto status = model::from_json<model::GatewayStatus>(*text);
        return status.ok() ? std::optional(*status) : std::nullopt;
    }
    std::string log() const { return os::read_file(file("log")).value_or(""); }
    std::string file(const std::string& name) const { return folder_ + "/" + name; }
    std::uint16_t port() const { return port_; }
    pid_t pid() const { return pid_; }

  private:
    std::uint16_t port_;
    std::vector<std::string> extra_;
    std::string folder_;
    std::string program_;
    pid_t pid_ = 0;
    std::int64_t revision_ = 0;
};

class Gateway : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (!engine_folder().empty()) cluster_ = std::make_unique<Cluster>();
    }
    static void TearDownTestSuite() { cluster_.reset(); }
    void SetUp() override {
        if (!cluster_) GTEST_SKIP() << "PostgreSQL is not installed";
    }

    static model::Route route(const std::string& name) {
        return {.server_id = "/servers/" + name,
                .server_name = name,
                .host_names = {name + ".db.test"},
                .port = free_port(),
                .state = "open",
                .backend_port = cluster_->port(),
                .postmaster_pid = cluster_->pid(),
                .major = 15,
                .firewall_rules = {{.name = "host", .start_ip = "0.0.0.0", .end_ip = "0.0.0.0"}}};
    }
    static std::string conninfo(std::int64_t port, const std::string& ssl_mode,
                                const std::string& host = "one.db.test") {
        return fmt::format(
            "host={} hostaddr=127.0.0.1 port={} user=app dbname=postgres sslmode={} "
            "sslrootcert={}",
            host, port, ssl_mode, cluster_->file("ca.pem"));
    }
    static os::Command client(const std::string& program, std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), engine_folder() + "/bin/" + program);
        return {.arguments = std::move(arguments),
                .environment = {"PGPASSWORD=secret"},
                .timeout = seconds(120)};
    }
    static os::Finished psql(const std::string& conninfo, const std::string& sql) {
        return os::run(client("psql", {conninfo, "-XAtqc", sql})).value();
    }
    static std::future<os::Finished> in_background(os::Command command) {
        return std::async(std::launch::async,
                          [command = std::move(command)] { return os::run(command).value(); });
    }
    static void expect_answer(const std::string& conninfo) {
        const auto done = psql(conninfo, "SELECT 6 * 7");
        EXPECT_EQ(done.output, "42\n") << done.error_output;
    }

    static inline std::unique_ptr<Cluster> cluster_;
};

TEST_F(Gateway, tls_stays_end_to_end_through_both_ports) {
    GatewayProcess gateway;
    const model::Route one = route("one");
    gateway.use({one});
    for (const std::int64_t port : {std::int64_t{gateway.port()}, one.port}) {
        const auto done = psql(conninfo(port, "verify-full") + " channel_binding=require",
                               "SELECT ssl, inet_client_port() FROM pg_stat_ssl "
                               "WHERE pid = pg_backend_pid()");
        EXPECT_EQ(done.output.substr(0, 2), "t|") << done.error_output;
        const std::string backend_port = done.output.substr(2, done.output.find('\n') - 2);
        EXPECT_TRUE(eventually([&] {
            return gateway.log().find("\"backend_port\":" + backend_port + ",") !=
                   std::string::npos;
        })) << "the log joins the client with the port that PostgreSQL sees";
    }
    const auto wrong = psql(conninfo(gateway.port(), "verify-full", "two.db.test"), "SELECT 1");
    EXPECT_NE(wrong.error_output.find("unrecognized name"), std::string::npos);
}

TEST_F(Gateway, plain_connections_need_the_servers_leave) {
    GatewayProcess gateway;
    model::Route one = route("one");
    gateway.use({one});
    const auto refused = psql(conninfo(one.port, "disable"), "SELECT 1");
    EXPECT_NE(refused.error_output.find("FATAL:  the server requires TLS"), std::string::npos)
        << refused.error_output;
    const auto shared = psql(conninfo(gateway.port(), "disable"), "SELECT 1");
    EXPECT_NE(shared.error_output.find("HINT:  Use sslmode=require"), std::string::npos)
        << shared.error_output;
    one.require_tls = false;
    gateway.use({one});
    expect_answer(conninfo(one.port, "disable"));
    expect_answer(conninfo(one.port, "prefer"));
    one.firewall_rules.clear();
    gateway.use({one});
    const auto walled = psql(conninfo(one.port, "disable"), "SELECT 1");
    EXPECT_NE(walled.error_output.find("no firewall rule admits"), std::string::npos);
    const auto alert = psql(conninfo(gateway.port(), "require"), "SELECT 1");
    EXPECT_NE(alert.error_output.find("access denied"), std::string::npos) << alert.error_output;
}

TEST_F(Gateway, a_query_is_cancelled_through_both_ports) {
    GatewayProcess gateway;
    const model::Route one = route("one");
    // A second server that has nothing to do with it.
    model::Route two = route("two");
    two.postmaster_pid = 1;
    gateway.use({two, one});
    for (const std::int64_t port : {std::int64_t{gateway.port()}, one.port}) {
        const std::string output = gateway.file(fmt::format("psql-{}", port));
        const auto sleeper =
            os::start_daemon({.arguments = {engine_folder() + "/bin/psql",
                                            conninfo(port, "require") +
                                                fmt::format(" application_name=sleeper{}", port),
                                            "-XAtqc", "SELECT pg_sleep(100)"},
                              .environment = {"PGPASSWORD=secret"},
                              .log_path = output});
        ASSERT_TRUE(sleeper.ok());
        ASSERT_TRUE(eventually([&] {
            return psql(conninfo(one.port, "require"),
                        fmt::format("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
                                    "AND application_name = 'sleeper{}'",
                                    port))
                       .output == "1\n";
        }));
        const auto process = os::ProcessHandle::open(*sleeper);
        ASSERT_TRUE(process.ok());
        EXPECT_TRUE(process->signal(SIGINT).ok());
        EXPECT_TRUE(process->wait_exit(seconds(20)));
        os::reap({*sleeper});
        EXPECT_NE(os::read_file(output).value().find("canceling statement due to user request"),
                  std::string::npos);
    }
    EXPECT_EQ(gateway.server_stats("/servers/one").cancels, 2);
    EXPECT_EQ(gateway.server_stats("/servers/two").cancels, 0);
}

TEST_F(Gateway, clients_wait_through_a_restart) {
    GatewayProcess gateway;
    model::Route one = route("one");
    gateway.use({one});
    // Known to be coming: the route says hold.
    one.state = "hold";
    gateway.use({one});
    auto waiting = in_background(client(
        "psql", {conninfo(gateway.port(), "verify-full"), "-XAtqc", "SELECT 'after the restart'"}));
    ASSERT_TRUE(eventually([&] { return gateway.server_stats("/servers/one").held == 1; }));
    cluster_->stop(SIGINT);
    cluster_->start();
    one.state = "open";
    one.postmaster_pid = cluster_->pid();
    gateway.use({one});
    EXPECT_EQ(waiting.get().output, "after the restart\n");
    // Not known: the table still says open, of a postmaster that is no more.
    cluster_->stop(SIGINT);
    waiting = in_background(
        client("psql", {conninfo(one.port, "verify-full"), "-XAtqc", "SELECT 'after the crash'"}));
    ASSERT_TRUE(eventually([&] { return gateway.server_stats("/servers/one").held_total == 2; }));
    cluster_->start();
    EXPECT_EQ(gateway.server_stats("/servers/one").held, 1) << "it is not for the gateway to judge";
    one.postmaster_pid = cluster_->pid();
    gateway.use({one});
    const auto done = waiting.get();
    EXPECT_EQ(done.output, "after the crash\n") << done.error_output;
}

TEST_F(Gateway, an_upgrade_drops_nobody) {
    GatewayProcess gateway;
    const model::Route one = route("one");
    model::Route two = route("two");
    two.state = "hold";
    two.require_tls = false;
    gateway.use({one, two});
    ASSERT_TRUE(
        os::run(client("pgbench", {"-i", "-q", conninfo(gateway.port(), "require")}))->succeeded());
    auto steady = in_background(client("pgbench", {"-n", "-S", "-c", "8", "-j", "2", "-T", "8",
                                                   conninfo(gateway.port(), "require")}));
    auto coming = in_background(
        client("pgbench", {"-n", "-S", "-C", "-c", "2", "-T", "8", conninfo(one.port, "require")}));
    auto held = in_background(client(
        "psql", {conninfo(two.port, "disable", "two.db.test"), "-XAtqc", "SELECT 'was held'"}));
    // A client that has got its 'S' and says no more for now.
    const os::Fd beginner = connect_to(gateway.port());
    const char ssl_request[] = {0, 0, 0, 8, 4, '\xd2', 0x16, 0x2f};
    char answer = 0;
    ASSERT_EQ(send(beginner.get(), ssl_request, 8, 0), 8);
    ASSERT_EQ(recv(beginner.get(), &answer, 1, 0), 1);
    EXPECT_EQ(answer, 'S');
    ASSERT_TRUE(eventually([&] { return gateway.server_stats("/servers/two").held == 1; }));
    constexpr int kUpgrades = 12;
    const auto upgrade = [&](int number) {
        gateway.replace_program();
        EXPECT_NE(ask(gateway.file("admin"), "upgrade").find("\"upgraded\":true"),
                  std::string::npos);
        EXPECT_EQ(gateway.stats().upgrades, number);
        EXPECT_EQ(os::process_facts(gateway.pid())->executable, gateway.file("howdah-gateway"));
        poll(nullptr, 0, 50);  // lets the load go on for a moment
    };
    upgrade(1);
    upgrade(2);
    EXPECT_EQ(gateway.server_stats("/servers/two").held, 1);
    two.state = "open";
    gateway.use({one, two});
    const auto released = held.get();
    EXPECT_EQ(released.output, "was held\n") << released.error_output;
    // The beginner goes on in another program than it began with, and breaks the protocol there.
    ASSERT_EQ(send(beginner.get(), "no TLS", 6, 0), 6);
    char alert[7] = {};
    EXPECT_EQ(recv(beginner.get(), alert, sizeof alert, MSG_WAITALL), 7);
    EXPECT_EQ(alert[0], 21);
    for (int i = 3; i <= kUpgrades; ++i) upgrade(i);
    // A program that cannot take over is found out before anything stops.
    gateway.replace_program("#!/bin/sh\nexit 1\n");
    EXPECT_NE(ask(gateway.file("admin"), "upgrade").find("cannot take over"), std::string::npos);
    gateway.replace_program("not a program");
    EXPECT_NE(ask(gateway.file("admin"), "upgrade").find("code"), std::string::npos);
    gateway.replace_program();
    for (auto* const load : {&steady, &coming}) {
        const auto done = load->get();
        EXPECT_TRUE(done.succeeded()) << done.error_output;
        EXPECT_NE(done.output.find("number of failed transactions: 0 "), std::string::npos);
    }
    EXPECT_EQ(gateway.stats().upgrades, kUpgrades);
    EXPECT_TRUE(eventually([&] { return gateway.stats().sessions == 0; }));
    EXPECT_EQ(gateway.server_stats("/servers/one").active, 0);
    EXPECT_EQ(gateway.log().find("\"error\""), std::string::npos);
}

TEST_F(Gateway, an_upgrade_keeps_every_table_and_who_waits_for_a_first_answer) {
    const std::string second = cluster_->file("second-routes.json");
    GatewayProcess gateway(0, {"--routes", second});
    model::Route one = route("one");
    one.require_tls = false;
    one.term = 5;
    gateway.use({});
    const model::RouteTable table{.revision = 70, .routes = {one}};
    ASSERT_TRUE(os::write_file_atomic(second, model::to_json(table)).ok());
    ASSERT_TRUE(eventually([&] { return gateway.stats().tables.at(1).revision == 70; }));
    // The kernel goes on to take connections for a postmaster that does not run.
    ASSERT_EQ(kill(cluster_->pid(), SIGSTOP), 0);
    auto waiting = in_background(
        client("psql", {conninfo(one.port, "disable"), "-XAtqc", "SELECT 'was answered'"}));
    const auto is_answering = [&] {
        return ask(gateway.file("admin"), "sessions").find("\"answering\"") != std::string::npos;
    };
    EXPECT_TRUE(eventually(is_answering));
    EXPECT_TRUE(os::remove_tree(second).ok());
    EXPECT_NE(ask(gateway.file("admin"), "upgrade").find("\"upgraded\":true"), std::string::npos);
    EXPECT_TRUE(is_answering());
    const auto tables = gateway.stats().tables;
    EXPECT_EQ(kill(cluster_->pid(), SIGCONT), 0);
    ASSERT_EQ(tables.size(), 2U);
    EXPECT_EQ(tables[1].revision, 70);
    const auto done = waiting.get();
    EXPECT_EQ(done.output, "was answered\n") << done.error_output;
}

TEST_F(Gateway, ten_thousand_idle_clients_disturb_nobody) {
    constexpr rlim_t kDescriptors = 22'000;
    constexpr int kClients = 10'000;
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, kDescriptors);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    // Two descriptors for a session that relays, in the gateway as well as here.
    const int relaying = std::min(kClients, static_cast<int>(limit.rlim_cur) - kClients - 1200);
    if (relaying < 1000)
        GTEST_SKIP() << "only " << limit.rlim_cur << " open files are allowed (ulimit -Hn); "
                     << "raise it to " << kDescriptors;
    GatewayProcess gateway;
    model::Route one = route("one");
    model::Route idle = route("two");
    const os::Fd backend(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    any.sin_port = htons(static_cast<std::uint16_t>(idle.backend_port = free_port()));
    ASSERT_EQ(bind(backend.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
    ASSERT_EQ(listen(backend.get(), 4096), 0);
    idle.require_tls = false;
    gateway.use({one, idle});
    expect_answer(conninfo(gateway.port(), "verify-full"));
    const std::int64_t before = resident_kb(gateway.pid());

    const char startup[] = "\0\0\0\x12\0\3\0\0user\0app\0";
    std::vector<os::Fd> clients;
    std::vector<os::Fd> backends;
    for (int i = 0; i < relaying; ++i) {
        clients.push_back(connect_to(static_cast<std::uint16_t>(idle.port)));
        ASSERT_TRUE(clients.back().valid()) << strerror(errno);
        ASSERT_EQ(send(clients.back().get(), startup, sizeof startup, 0),
                  static_cast<ssize_t>(sizeof startup));
        backends.emplace_back(accept4(backend.get(), nullptr, nullptr, SOCK_CLOEXEC));
        ASSERT_TRUE(backends.back().valid()) << strerror(errno);
    }
    // The others have said nothing yet.
    for (int i = relaying; i < kClients; ++i) {
        clients.push_back(connect_to(gateway.port()));
        ASSERT_TRUE(clients.back().valid()) << strerror(errno);
    }
    ASSERT_TRUE(eventually([&] { return gateway.stats().sessions == kClients; }));
    const std::int64_t now = resident_kb(gateway.pid());
    fmt::print("resident with {} idle clients: {} kB, without: {} kB\n", kClients, now, before);
    EXPECT_LT(now - before, kSanitized ? 1 << 20 : 10 * 1024) << "about one kilobyte for each";
    expect_answer(conninfo(gateway.port(), "verify-full"));
    expect_answer(conninfo(one.port, "require"));
    clients.clear();
    backends.clear();
    EXPECT_TRUE(eventually([&] { return gateway.stats().sessions == 0; }));
}

TEST_F(Gateway, hostile_bytes_harm_nobody) {
    GatewayProcess gateway;
    model::Route one = route("one");
    one.require_tls = false;
    gateway.use({one});
    const unsigned seed = std::random_device()();
    std::mt19937 random(seed);
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const std::int64_t before = resident_kb(gateway.pid());
    const std::string beginnings[] = {"", std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8),
                                      "\x16\x03\x01", std::string("\0\0", 2),
                                      std::string("\0\0\x10\0\0\3\0\0", 8)};
    for (int i = 0; i < 600; ++i) {
        const os::Fd fd =
            connect_to(i % 2 == 0 ? gateway.port() : static_cast<std::uint16_t>(one.port));
        ASSERT_TRUE(fd.valid());
        std::string bytes = beginnings[random() % std::size(beginnings)];
        for (std::size_t left = random() % (i % 50 == 0 ? 300'000 : 2'000); left > 0; --left)
            bytes += static_cast<char>(random());
        (void)send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    expect_answer(conninfo(gateway.port(), "verify-full"));
    expect_answer(conninfo(one.port, "disable"));
    EXPECT_TRUE(eventually([&] { return gateway.stats().sessions == 0; }));
    EXPECT_LT(resident_kb(gateway.pid()) - before, kSanitized ? 1 << 20 : 8 * 1024);
    EXPECT_TRUE(gateway.alive());
}

TEST_F(Gateway, sigterm_lets_sessions_end_and_starts_no_more) {
    GatewayProcess gateway;
    gateway.use({route("one")});
    auto query = in_background(client("psql", {conninfo(gateway.port(), "require"), "-XAtqc",
                                               "SELECT pg_sleep(1), 'to its end'"}));
    ASSERT_TRUE(eventually([&] { return gateway.server_stats("/servers/one").active == 1; }));
    const std::string late = conninfo(gateway.port(), "require");
    EXPECT_TRUE(gateway.end(SIGTERM));
    EXPECT_EQ(query.get().output, "|to its end\n");
    EXPECT_NE(gateway.log().find("\"sessions_cut\":0"), std::string::npos);
    EXPECT_NE(psql(late, "SELECT 1").error_output.find("refused"), std::string::npos);
}

TEST_F(Gateway, one_folder_has_one_gateway_and_a_taken_port_is_passed_over) {
    GatewayProcess gateway;
    gateway.use({route("one")});
    const auto second = os::run({.arguments = gateway.arguments(), .environment = {}}).value();
    EXPECT_EQ(second.exit_code, 1);
    EXPECT_NE(second.error_output.find("another gateway runs"), std::string::npos);

    const GatewayProcess other(gateway.port(), {"--port-fallback"});
    EXPECT_NE(other.port(), gateway.port());
    EXPECT_EQ(other.read_status()->requested_port, gateway.port());
}

TEST_F(Gateway, killed_at_any_failpoint_it_serves_again_at_the_same_port) {
    for (const std::string failpoint : {"gateway.routes.loaded", "gateway.session.accepted"}) {
        GatewayProcess gateway;
        model::Route one = route("one");
        gateway.use({one});
        const std::uint16_t port = gateway.port();
        EXPECT_TRUE(gateway.end(SIGKILL));
        const std::string armed = gateway.file(failpoint);
        EXPECT_TRUE(os::write_file_atomic(armed, "").ok());
        const auto doomed =
            os::start_daemon({.arguments = gateway.arguments(),
                              .environment = {"HOWDAH_FAILPOINTS=" + gateway.file("")},
                              .log_path = gateway.file("log")});
        ASSERT_TRUE(doomed.ok());
        const auto process = os::ProcessHandle::open(*doomed);
        if (process.ok()) {
            if (failpoint == "gateway.session.accepted") {
                ASSERT_TRUE(eventually([&] { return connect_to(port).valid(); }));
            }
            EXPECT_TRUE(process->wait_exit(seconds(20))) << failpoint;
        }
        os::reap({*doomed});
        EXPECT_TRUE(os::exists(armed + ".hit")) << failpoint;
        gateway.start();
        expect_answer(conninfo(gateway.port(), "verify-full"));
        expect_answer(conninfo(one.port, "verify-full"));
    }
}

}  // namespace
}  // namespace howdah::test
