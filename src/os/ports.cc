#include "os/ports.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "os/fd.h"

namespace howdah::os {
namespace {

constexpr int kTries = 32;
constexpr std::uint64_t kStep = 977;

}  // namespace

bool is_port_free(std::int64_t port) {
    const Fd socket_fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int one = 1;
    (void)setsockopt(socket_fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

std::uint64_t stable_hash(std::string_view text) {
    std::uint64_t hash = 1469598103934665603ULL;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    return hash;
}

std::int64_t find_free_port(std::string_view name, const PortRange& range) {
    const std::uint64_t seed = stable_hash(name);
    for (std::uint64_t i = 0; i < kTries; ++i) {
        const std::uint64_t place = (seed + kStep * i) % static_cast<std::uint64_t>(range.count);
        const std::int64_t port = range.first + static_cast<std::int64_t>(place);
        if (is_port_free(port)) return port;
    }
    return 0;
}

}  // namespace howdah::os
