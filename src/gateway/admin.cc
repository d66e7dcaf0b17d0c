#include "gateway/admin.h"

#include <errno.h>
#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace howdah::gateway {

Status AdminServer::open() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path)
        return Error{ErrorCode::invalid_argument,
                     fmt::format("the admin socket's path '{}' is longer than {} bytes", path_,
                                 sizeof address.sun_path - 1),
                     "admin", "Choose a shorter path."};
    std::memcpy(address.sun_path, path_.data(), path_.size());
    listener_ = os::Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    unlink(path_.c_str());
    // Only this thread makes files, so the process-wide mask may change for a moment.
    const mode_t mask = umask(0177);
    const int bound =
        bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int error = errno;
    umask(mask);
    if (bound != 0 || listen(listener_.get(), static_cast<int>(kClientsMax)) != 0)
        return Error{ErrorCode::io, fmt::format("{}: {}", path_, strerror(error)), "admin"};
    return ok_status();
}

void AdminServer::resume(int listener, int client, const std::string& reply, Instant now) {
    listener_ = os::Fd(listener);
    if (client < 0) return;
    clients_.push_back({.fd = os::Fd(client), .since = now, .reply = reply, .answered = true});
}

void AdminServer::add_to(std::vector<pollfd>& polled) const {
    if (listener_.valid() && clients_.size() < kClientsMax)
        polled.push_back({listener_.get(), POLLIN, 0});
    for (const Client& client : clients_)
        polled.push_back(
            {client.fd.get(), static_cast<short>(client.answered ? POLLOUT : POLLIN), 0});
}

void AdminServer::step(Instant now) {
    while (listener_.valid() && clients_.size() < kClientsMax) {
        os::Fd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!fd.valid()) break;
        clients_.push_back({.fd = std::move(fd), .since = now});
    }
    for (auto it = clients_.begin(); it != clients_.end();) {
        const bool goes_on = step_client(*it) && now - it->since < kPatience;
        it = goes_on ? std::next(it) : clients_.erase(it);
    }
}

bool AdminServer::step_client(Client& client) {
    while (!client.answered) {
        char bytes[kCommandMax];
        const ssize_t count = recv(client.fd.get(), bytes, sizeof bytes, 0);
        if (count < 0) return errno == EAGAIN || errno == EINTR;
        if (count == 0) return false;
        client.command.append(bytes, static_cast<std::size_t>(count));
        const std::size_t end = client.command.find('\n');
        if (end == client.command.npos && client.command.size() > kCommandMax) return false;
        if (end == client.command.npos) continue;
        client.command.resize(end);
        client.reply = handler_(client.command, client.fd.get());
        client.answered = true;
    }
    while (!client.reply.empty()) {
        const ssize_t count =
            send(client.fd.get(), client.reply.data(), client.reply.size(), MSG_NOSIGNAL);
        if (count < 0) return errno == EAGAIN || errno == EINTR;
        client.reply.erase(0, static_cast<std::size_t>(count));
    }
    return false;
}

}  // namespace howdah::gateway
