#include "store/etcd_support.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "http/certificates.h"
#include "http/client.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/process.h"

namespace howdah::store {
namespace {

constexpr const char* kProgram = "/usr/bin/etcd";
constexpr const char* kEndsWithUs = "/usr/bin/setpriv";
constexpr std::chrono::seconds kPatience(30);
constexpr int kPauseMs = 5;

int free_port() {
    const os::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(fd.get(), raw, size), 0);
    EXPECT_EQ(getsockname(fd.get(), raw, &size), 0);
    return ntohs(address.sin_port);
}

std::string peer_url(int port) { return fmt::format("http://127.0.0.1:{}", port); }

}  // namespace

bool eventually(const std::function<bool()>& fact) {
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    while (!fact()) {
        if (std::chrono::steady_clock::now() > give_up) return false;
        poll(nullptr, 0, kPauseMs);
    }
    return true;
}

bool Etcd::is_installed() { return access(kProgram, X_OK) == 0 && access(kEndsWithUs, X_OK) == 0; }

Etcd::Etcd(const Settings& settings) : settings_(settings) {
    if (settings_.tls) make_certificates();
    for (int i = 0; i < settings_.members; ++i)
        members_.push_back({.client_port = free_port(), .peer_port = free_port()});
    for (int i = 0; i < settings_.members; ++i) start(i);
    wait_until_ready();
}

Etcd::~Etcd() {
    for (int i = 0; i < settings_.members; ++i) kill(i);
}

void Etcd::make_certificates() {
    const Timestamp now = SystemClock().wall();
    const auto authority = http::CertificateAuthority::create("etcd of a test", now).value();
    const auto write = [&](const std::string& name, const http::Certificate& certificate) {
        const auto& key = certificate.key_pem.reveal();
        HD_ASSERT(
            os::write_file_atomic(folder_.file(name + ".pem"), certificate.certificate_pem).ok(),
            "cannot write");
        HD_ASSERT(os::write_file_atomic(folder_.file(name + ".key"), key).ok(), "cannot write");
    };
    write("member", authority
                        .issue({.common_name = "member",
                                .dns_names = {"localhost"},
                                .ip_addresses = {"127.0.0.1"},
                                .server_and_client = true},
                               now)
                        .value());
    write("agent", authority.issue({.common_name = "agent", .client = true}, now).value());
    HD_ASSERT(os::write_file_atomic(folder_.file("ca.pem"), authority.certificate_pem()).ok(),
              "cannot write");
}

std::string Etcd::endpoint(int member) const {
    return fmt::format("{}://127.0.0.1:{}", settings_.tls ? "https" : "http",
                       members_[static_cast<std::size_t>(member)].client_port);
}

EtcdOptions Etcd::options() const {
    EtcdOptions options;
    for (int i = 0; i < settings_.members; ++i) options.endpoints.push_back(endpoint(i));
    if (settings_.tls) {
        options.ca_file = folder_.file("ca.pem");
        options.certificate_file = folder_.file("agent.pem");
        options.key_file = folder_.file("agent.key");
    }
    return options;
}

void Etcd::start(int member) {
    Member& own = members_[static_cast<std::size_t>(member)];
    std::vector<std::string> cluster;
    for (std::size_t i = 0; i < members_.size(); ++i)
        cluster.push_back(fmt::format("m{}={}", i, peer_url(members_[i].peer_port)));
    os::Daemon daemon{.arguments = {kEndsWithUs, "--pdeathsig", "KILL", kProgram},
                      .folder = folder_.file(""),
                      .log_path = folder_.file(fmt::format("log{}", member))};
    const std::vector<std::pair<std::string, std::string>> options = {
        {"name", fmt::format("m{}", member)},
        {"data-dir", folder_.file(fmt::format("data{}", member))},
        {"listen-client-urls", endpoint(member)},
        {"advertise-client-urls", endpoint(member)},
        {"listen-peer-urls", peer_url(own.peer_port)},
        {"initial-advertise-peer-urls", peer_url(own.peer_port)},
        {"initial-cluster", join(cluster, ",")},
        {"heartbeat-interval", "20"},
        {"election-timeout", "200"},
        {"max-request-bytes", "8388608"},
    };
    for (const auto& [name, value] : options)
        daemon.arguments.push_back(fmt::format("--{}={}", name, value));
    if (settings_.tls) {
        daemon.arguments.insert(daemon.arguments.end(),
                                {"--client-cert-auth", "--cert-file=" + folder_.file("member.pem"),
                                 "--key-file=" + folder_.file("member.key"),
                                 "--trusted-ca-file=" + folder_.file("ca.pem")});
    }
    own.pid = os::start_daemon(daemon).value();
}

void Etcd::kill(int member) {
    Member& own = members_[static_cast<std::size_t>(member)];
    if (own.pid == 0) return;
    const auto process = os::ProcessHandle::open(own.pid);
    if (process.ok()) {
        (void)process->signal(SIGKILL).ok();
        EXPECT_TRUE(process->wait_exit(kPatience));
    }
    os::reap({own.pid});
    own.pid = 0;
}

void Etcd::stop(int member) { ::kill(members_[static_cast<std::size_t>(member)].pid, SIGSTOP); }
void Etcd::go_on(int member) { ::kill(members_[static_cast<std::size_t>(member)].pid, SIGCONT); }

void Etcd::wipe(int member) {
    EXPECT_TRUE(os::remove_tree(folder_.file(fmt::format("data{}", member))).ok());
}

std::optional<std::string> Etcd::post(int member, const std::string& path,
                                      const std::string& body) {
    http::ClientOptions tls;
    if (settings_.tls) {
        tls.ca_pem = os::read_file(folder_.file("ca.pem")).value();
        tls.certificate_pem = os::read_file(folder_.file("agent.pem")).value();
        tls.key_pem = Secret(os::read_file(folder_.file("agent.key")).value());
    }
    auto answer = http::Client(std::move(tls))
                      .call({.method = "POST",
                             .url = endpoint(member) + path,
                             .body = body,
                             .timeout = std::chrono::seconds(1)});
    if (!answer.ok() || answer->status != 200) return std::nullopt;
    return std::move(answer->body);
}

/// Of the member itself or of whom it takes for the leader; empty if it does not say.
std::string Etcd::id_of_leader(int member, bool of_itself) {
    const auto status = post(member, "/v3/maintenance/status", "{}").value_or("");
    const std::string name = of_itself ? "\"member_id\":\"" : "\"leader\":\"";
    const std::size_t begin = status.find(name);
    if (begin == std::string::npos) return {};
    const std::string rest = status.substr(begin + name.size());
    return rest.substr(0, rest.find('"'));
}

int Etcd::leader() {
    int found = -1;
    EXPECT_TRUE(eventually([&] {
        for (int i = 0; i < settings_.members; ++i) {
            if (members_[static_cast<std::size_t>(i)].pid == 0) continue;
            const std::string leader = id_of_leader(i, false);
            if (!leader.empty() && leader == id_of_leader(i, true)) found = i;
        }
        return found >= 0;
    }));
    return found;
}

void Etcd::wait_until_ready() {
    const bool is_ready = eventually([&] {
        std::string agreed;
        for (int i = 0; i < settings_.members; ++i) {
            if (members_[static_cast<std::size_t>(i)].pid == 0) continue;
            const std::string leader = id_of_leader(i, false);
            if (leader.empty() || (!agreed.empty() && leader != agreed)) return false;
            agreed = leader;
        }
        return true;
    });
    HD_ASSERT(is_ready, os::read_file(folder_.file("log0")).value_or("etcd does not start"));
}

}  // namespace howdah::store
