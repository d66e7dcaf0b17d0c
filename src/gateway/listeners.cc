#include "gateway/listeners.h"

#include <errno.h>
#include <fmt/core.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>

#include "base/log.h"

namespace howdah::gateway {
namespace {

// A client that vanished without a word is noticed after two minutes.
constexpr int kKeepaliveIdleSeconds = 60;
constexpr int kKeepaliveIntervalSeconds = 10;
constexpr int kKeepaliveProbes = 6;

void set_option(int fd, int level, int name, int value) {
    setsockopt(fd, level, name, &value, sizeof value);
}

}  // namespace

Result<os::Fd> Listeners::listen_on(std::uint16_t port) const {
    HD_TRY(const Address address, Address::parse(address_, port));
    os::Fd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd.valid())
        return Error{ErrorCode::resource_exhausted, fmt::format("socket: {}", strerror(errno))};
    if (address.family() == AF_INET6)
        set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, address_ == "*" ? 0 : 1);
    set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    // Accepted sockets inherit these: no system call per connection.
    set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd.get(), SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleSeconds);
    set_option(fd.get(), IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveIntervalSeconds);
    set_option(fd.get(), IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes);
    if (bind(fd.get(), address.raw(), address.length()) != 0 || listen(fd.get(), kBacklog) != 0) {
        const bool taken = errno == EADDRINUSE;
        return Error{taken ? ErrorCode::conflict : ErrorCode::io,
                     fmt::format("{}:{}: {}", address_, port, strerror(errno)), "port",
                     taken ? "Stop what listens there, or choose another port." : ""};
    }
    return fd;
}

Status Listeners::open_shared(const SharedPort& port) {
    std::vector<std::int64_t> candidates;
    const bool free_choice = port.may_differ || port.wanted == 0;
    if (free_choice && port.earlier != 0) candidates.push_back(port.earlier);
    candidates.push_back(port.wanted);
    for (int step = 1; port.may_differ && step <= kFallbackPorts; ++step)
        candidates.push_back(port.wanted + step);
    if (port.may_differ) candidates.push_back(0);
    Error last;
    for (const std::int64_t candidate : candidates) {
        if (candidate > 65535) continue;
        auto fd = listen_on(static_cast<std::uint16_t>(candidate));
        if (!fd.ok()) {
            last = fd.error();
            if (last.code != ErrorCode::conflict) return last;
            continue;
        }
        shared_ = std::make_shared<os::Fd>(std::move(fd).value());
        shared_port_ = Address::local_of(shared_->get()).port();
        announce(*shared_, shared_port_, false);
        return ok_status();
    }
    return last;
}

void Listeners::announce(const os::Fd& fd, std::uint16_t port, bool own_port) const {
    for (Worker* worker : workers_)
        worker->add_listener({.fd = fd.get(), .port = port, .own_port = own_port});
}

void Listeners::withdraw(const std::shared_ptr<os::Fd>& fd) const {
    for (Worker* worker : workers_) {
        worker->remove_listener({.fd = fd->get()});
        // A worker may have the port's event in hand. The descriptor is closed, and its number used
        // anew, only when each worker has come past its current round and dropped this.
        worker->post([keep = fd](Worker&) {});
    }
}

bool Listeners::follow(const Routes& routes) {
    bool changed = false;
    for (auto it = own_.begin(); it != own_.end();) {
        const Route* route = routes.by_port(it->first);
        if (route != nullptr) {
            changed = changed || it->second.server_id != route->server_id;
            it->second.server_id = route->server_id;
            ++it;
            continue;
        }
        if (it->second.fd) withdraw(it->second.fd);
        it = own_.erase(it);
        changed = true;
    }
    for (const Route& route : routes.all()) {
        if (route.port == 0) continue;
        Port& port = own_[route.port];
        if (port.fd) continue;
        port.server_id = route.server_id;
        auto fd = listen_on(route.port);
        if (fd.ok()) {
            port.fd = std::make_shared<os::Fd>(std::move(fd).value());
            port.error.clear();
            announce(*port.fd, route.port, true);
            changed = true;
        } else if (port.error != fd.error().message) {
            port.error = fd.error().message;
            log::error("a server's own port cannot be opened",
                       {{"server", route.server_id}, {"error", port.error}});
            changed = true;
        }
    }
    return changed;
}

bool Listeners::has_failed() const {
    for (const auto& [number, port] : own_) {
        if (!port.fd) return true;
    }
    return false;
}

void Listeners::close_all() {
    if (shared_) withdraw(shared_);
    shared_.reset();
    for (const auto& [number, port] : own_) {
        if (port.fd) withdraw(port.fd);
    }
    own_.clear();
}

std::vector<model::GatewayPort> Listeners::ports() const {
    std::vector<model::GatewayPort> ports;
    for (const auto& [number, port] : own_)
        ports.push_back({.port = number, .server_id = port.server_id, .error = port.error});
    return ports;
}

void Listeners::write_state(StateWriter& out, std::vector<int>& fds) const {
    out.number(shared_port_);
    out.fd(shared_ ? shared_->get() : -1);
    if (shared_) fds.push_back(shared_->get());
    std::int64_t open = 0;
    for (const auto& [number, port] : own_) open += port.fd ? 1 : 0;
    out.number(open);
    for (const auto& [number, port] : own_) {
        if (!port.fd) continue;
        out.number(number);
        out.fd(port.fd->get());
        out.text(port.server_id);
        fds.push_back(port.fd->get());
    }
}

void Listeners::read_state(StateReader& in) {
    shared_port_ = static_cast<std::uint16_t>(in.number());
    const int shared = static_cast<int>(in.number());
    if (shared >= 0 && in.ok()) {
        shared_ = std::make_shared<os::Fd>(shared);
        announce(*shared_, shared_port_, false);
    }
    for (std::size_t left = in.count(); left > 0; --left) {
        const auto number = static_cast<std::uint16_t>(in.number());
        const int fd = static_cast<int>(in.number());
        const std::string server_id = in.text();
        if (!in.ok()) return;
        Port& port = own_[number];
        port.fd = std::make_shared<os::Fd>(fd);
        port.server_id = server_id;
        announce(*port.fd, number, true);
    }
}

}  // namespace howdah::gateway
