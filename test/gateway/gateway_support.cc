#include "gateway/gateway_support.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "gateway/startup_packet.h"
#include "model/json.h"
#include "os/file.h"

namespace howdah::gateway::testing {
namespace {

using SteadyClock = std::chrono::steady_clock;

int milliseconds_until(SteadyClock::time_point deadline) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SteadyClock::now());
    return static_cast<int>(std::max<std::int64_t>(0, left.count()));
}

bool readable(int fd, SteadyClock::time_point deadline) {
    pollfd polled{fd, POLLIN, 0};
    return poll(&polled, 1, milliseconds_until(deadline)) > 0;
}

std::string big_endian_16(std::size_t value) {
    return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

std::string with_length_16(const std::string& text) { return big_endian_16(text.size()) + text; }

}  // namespace

bool eventually(const std::function<bool()>& fact) {
    const auto deadline = SteadyClock::now() + kPatience;
    while (!fact()) {
        if (SteadyClock::now() >= deadline) return false;
        std::this_thread::yield();
        poll(nullptr, 0, 1);
    }
    return true;
}

std::string big_endian_32(std::uint32_t value) {
    return big_endian_16(value >> 16) + big_endian_16(value & 0xffff);
}

std::string client_hello_message(const HelloOptions& options) {
    std::string extensions = std::string("\0\x2b", 2) + with_length_16(std::string("\x02\x03\x04"));
    if (!options.server_name.empty()) {
        const std::string entry = std::string(1, '\0') + with_length_16(options.server_name);
        extensions += std::string(2, '\0') + with_length_16(with_length_16(entry));
    }
    if (options.padding > 0)
        extensions += std::string("\0\x15", 2) + with_length_16(std::string(options.padding, '\0'));
    std::string body = "\x03\x03" + std::string(32, 'r');
    body += std::string(1, '\x20') + std::string(32, 's');
    body += with_length_16(std::string("\x13\x01\x13\x02", 4));
    body += std::string("\x01\x00", 2);
    body += with_length_16(extensions);
    return "\x01" + big_endian_32(static_cast<std::uint32_t>(body.size())).substr(1) + body;
}

std::string in_records(std::string_view message, std::size_t record_bytes) {
    std::string out;
    while (!message.empty()) {
        const std::string_view part = message.substr(0, record_bytes);
        out += "\x16\x03\x01" + with_length_16(std::string(part));
        message.remove_prefix(part.size());
    }
    return out;
}

std::string client_hello(const HelloOptions& options) {
    return in_records(client_hello_message(options), options.record_bytes);
}

std::string startup_message(std::uint32_t protocol) {
    using namespace std::string_literals;
    const std::string body = big_endian_32(protocol) + "user\0app\0database\0postgres\0\0"s;
    return big_endian_32(static_cast<std::uint32_t>(body.size() + 4)) + body;
}

std::string cancel_request(std::int32_t pid, std::string_view key) {
    return big_endian_32(static_cast<std::uint32_t>(12 + key.size())) + big_endian_32(80877102) +
           big_endian_32(static_cast<std::uint32_t>(pid)) + std::string(key);
}

std::string gss_request() { return big_endian_32(8) + big_endian_32(80877104); }

TempFolder::TempFolder() {
    char pattern[] = "/tmp/howdah-gateway-XXXXXX";
    path_ = mkdtemp(pattern) == nullptr ? "" : pattern;
    EXPECT_FALSE(path_.empty());
}
TempFolder::~TempFolder() { EXPECT_TRUE(os::remove_tree(path_).ok()); }

// -------------------------------------------------------------------------------------------------

Client::Client(std::uint16_t port, const std::string& address) {
    const Address target = Address::parse(address, port).value();
    fd_ = os::Fd(socket(target.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience{kPatience.count(), 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const int on = 1;
    setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd_.get(), target.raw(), target.length()) != 0) fd_.reset();
}

void Client::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (count <= 0) return;  // the gateway closed: what it says is read by the test
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
}

std::string Client::read(std::size_t count) {
    std::string bytes(count, '\0');
    std::size_t done = 0;
    while (done < count) {
        const ssize_t got = recv(fd_.get(), bytes.data() + done, count - done, 0);
        if (got <= 0) break;
        done += static_cast<std::size_t>(got);
    }
    bytes.resize(done);
    return bytes;
}

std::string Client::read_to_end() {
    std::string all;
    while (true) {
        const std::string part = read(1);
        if (part.empty()) return all;
        all += part;
    }
}

std::string Client::request_tls() {
    send(ssl_request());
    return read(1);
}

void Client::finish_writing() { shutdown(fd_.get(), SHUT_WR); }

void Client::reset() {
    const linger hard{1, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    fd_.reset();
}

std::uint16_t Client::local_port() const { return Address::local_of(fd_.get()).port(); }

std::string error_field(Client& client, char type) {
    const std::string error = client.read_to_end();
    if (error.empty() || error[0] != 'E') return "not an error: " + error;
    for (std::size_t at = 5; at < error.size() && error[at] != '\0';) {
        const std::string text = error.c_str() + at + 1;
        if (error[at] == type) return text;
        at += text.size() + 2;
    }
    return "";
}

void expect_relay(Client& client, std::string_view opening) {
    EXPECT_EQ(client.read(opening.size()), opening) << "the backend sends back what it got";
    client.send("ping");
    EXPECT_EQ(client.read(4), "ping");
}

// -------------------------------------------------------------------------------------------------

FakeBackend::FakeBackend(Options options) : options_(std::move(options)) {
    listener_ = os::Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const Address address = Address::parse("127.0.0.1", options_.port).value();
    EXPECT_EQ(bind(listener_.get(), address.raw(), address.length()), 0) << strerror(errno);
    EXPECT_EQ(listen(listener_.get(), 4096), 0);
    port_ = Address::local_of(listener_.get()).port();
    acceptor_ = std::jthread([this](const std::stop_token& stop) { accept_all(stop); });
}

FakeBackend::~FakeBackend() {
    acceptor_.request_stop();
    acceptor_.join();
    sessions_.clear();
}

void FakeBackend::accept_all(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        if (!readable(listener_.get(), SteadyClock::now() + std::chrono::milliseconds(20)))
            continue;
        const int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) continue;
        ++open_;
        const std::lock_guard lock(mutex_);
        const std::size_t index = received_.size();
        received_.emplace_back();
        ++connections_;
        sessions_.emplace_back(
            [this, fd, index](const std::stop_token& own) { serve(fd, index, own); });
    }
}

void FakeBackend::serve(int raw, std::size_t index, const std::stop_token& stop) {
    const os::Fd fd(raw);
    const int born = hang_ups_;
    bool first = true;
    while (!stop.stop_requested() && hang_ups_ == born) {
        if (!first && !options_.read) {
            poll(nullptr, 0, 5);
            continue;
        }
        if (!readable(fd.get(), SteadyClock::now() + std::chrono::milliseconds(5))) continue;
        char buffer[16384];
        ssize_t count = recv(fd.get(), buffer, first ? 8 : sizeof buffer, 0);
        if (count <= 0) break;
        if (first && options_.farewell && std::string_view(buffer, 8) != ssl_request())
            count += std::max<ssize_t>(0, recv(fd.get(), buffer + 8, sizeof buffer - 8, 0));
        const std::string_view bytes(buffer, static_cast<std::size_t>(count));
        if (first && bytes == ssl_request()) {
            first = false;
            if (options_.ssl_answer.empty()) break;
            ::send(fd.get(), options_.ssl_answer.data(), options_.ssl_answer.size(), MSG_NOSIGNAL);
            continue;
        }
        first = false;
        {
            const std::lock_guard lock(mutex_);
            received_[index] += bytes;
        }
        std::string_view rest = options_.echo ? bytes : std::string_view();
        if (options_.farewell) rest = *options_.farewell;
        while (!rest.empty()) {
            const ssize_t sent = ::send(fd.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
            if (sent <= 0) break;
            rest.remove_prefix(static_cast<std::size_t>(sent));
        }
        if (options_.farewell) break;
    }
    --open_;
}

std::vector<std::string> FakeBackend::received() const {
    const std::lock_guard lock(mutex_);
    return received_;
}

void FakeBackend::hang_up() {
    ++hang_ups_;
    EXPECT_TRUE(eventually([this] { return open_ == 0; }));
}

// -------------------------------------------------------------------------------------------------

TestGateway::TestGateway(GatewayOptions options) {
    options.port = 0;
    options.routes_paths.insert(options.routes_paths.begin(), folder() + "/routes.json");
    options.admin_path = folder() + "/admin.sock";
    if (options.threads == 0) options.threads = 2;
    auto gateway = Gateway::start(std::move(options), clock_);
    EXPECT_TRUE(gateway.ok());
    gateway_ = std::move(gateway).value();
    thread_ = std::jthread([this] { gateway_->run(-1); });
}

TestGateway::~TestGateway() {
    gateway_->request_stop();
    gateway_->request_stop();
    thread_.join();
}

void TestGateway::write_routes(const std::string& text) {
    EXPECT_TRUE(os::write_file_atomic(folder() + "/routes.json", text).ok());
}

void TestGateway::use(const std::vector<model::Route>& routes) {
    ++revision_;
    write_routes(model::to_json(model::RouteTable{.revision = revision_, .routes = routes}));
    EXPECT_TRUE(eventually([this] { return stats().table_revision == revision_; }));
}

std::string ask_admin(const std::string& path, const std::string& command) {
    const os::Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    const timeval patience{kPatience.count(), 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return "";
    const std::string line = command + "\n";
    EXPECT_EQ(send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(line.size()));
    std::string reply;
    char buffer[4096];
    ssize_t count = 0;
    while ((count = recv(fd.get(), buffer, sizeof buffer, 0)) > 0)
        reply.append(buffer, static_cast<std::size_t>(count));
    return reply;
}

std::string TestGateway::admin(const std::string& command) {
    return ask_admin(folder() + "/admin.sock", command);
}

model::GatewayStats TestGateway::stats() {
    return model::from_json<model::GatewayStats>(admin("stats")).value();
}

model::GatewayServerStats TestGateway::server_stats(const std::string& server_id) {
    for (const model::GatewayServerStats& each : stats().servers) {
        if (each.server_id == server_id) return each;
    }
    return {};
}

std::int64_t refusals(const std::vector<model::GatewayRefusals>& all, std::string_view reason) {
    for (const model::GatewayRefusals& each : all) {
        if (each.reason == reason) return each.count;
    }
    return 0;
}

model::Route route_to(const std::string& name, std::uint16_t backend_port) {
    return {
        .server_id = "/servers/" + name,
        .server_name = name,
        .host_names = {name + ".db.test"},
        .state = "open",
        .backend_port = backend_port,
        .major = 15,
        .firewall_rules = {{.name = "all", .start_ip = "0.0.0.0", .end_ip = "255.255.255.255"}}};
}

std::uint16_t free_port() {
    const os::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const Address any = Address::parse("127.0.0.1", 0).value();
    EXPECT_EQ(bind(fd.get(), any.raw(), any.length()), 0);
    return Address::local_of(fd.get()).port();
}

}  // namespace howdah::gateway::testing
