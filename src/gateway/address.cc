#include "gateway/address.h"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <cstring>

namespace howdah::gateway {

Address::Address(const sockaddr* raw) {
    if (raw->sa_family == AF_INET) std::memcpy(&storage_.v4, raw, sizeof storage_.v4);
    if (raw->sa_family == AF_INET6) std::memcpy(&storage_.v6, raw, sizeof storage_.v6);
}

Result<Address> Address::parse(const std::string& text, std::int64_t port) {
    if (port < 0 || port > 65535)
        return Error{ErrorCode::invalid_argument, fmt::format("{} is no port", port)};
    Address address;
    if (inet_pton(AF_INET, text.c_str(), &address.storage_.v4.sin_addr) == 1) {
        address.storage_.any.sa_family = AF_INET;
    } else if (inet_pton(AF_INET6, text == "*" ? "::" : text.c_str(),
                         &address.storage_.v6.sin6_addr) == 1) {
        address.storage_.any.sa_family = AF_INET6;
    } else {
        return Error{ErrorCode::invalid_argument, fmt::format("'{}' is no IP address", text)};
    }
    return address.with_port(static_cast<std::uint16_t>(port));
}

Address Address::local_of(int fd) {
    Address address;
    socklen_t length = sizeof address.storage_;
    if (getsockname(fd, &address.storage_.any, &length) != 0) return {};
    return address;
}

Address Address::peer_of(int fd) {
    Address address;
    socklen_t length = sizeof address.storage_;
    if (getpeername(fd, &address.storage_.any, &length) != 0) return {};
    return address;
}

socklen_t Address::length() const {
    return family() == AF_INET ? sizeof storage_.v4 : sizeof storage_.v6;
}

std::uint16_t Address::port() const {
    return ntohs(family() == AF_INET ? storage_.v4.sin_port : storage_.v6.sin6_port);
}

Address Address::with_port(std::uint16_t port) const {
    Address other = *this;
    if (family() == AF_INET)
        other.storage_.v4.sin_port = htons(port);
    else
        other.storage_.v6.sin6_port = htons(port);
    return other;
}

std::string Address::text() const {
    char buffer[INET6_ADDRSTRLEN] = "";
    if (is_ipv4()) {
        const in_addr address{htonl(ipv4())};
        inet_ntop(AF_INET, &address, buffer, sizeof buffer);
    } else if (family() == AF_INET6) {
        inet_ntop(AF_INET6, &storage_.v6.sin6_addr, buffer, sizeof buffer);
    }
    return buffer;
}

bool Address::is_ipv4() const {
    return family() == AF_INET ||
           (family() == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&storage_.v6.sin6_addr));
}

std::uint32_t Address::ipv4() const {
    if (family() == AF_INET) return ntohl(storage_.v4.sin_addr.s_addr);
    if (!is_ipv4()) return 0;
    std::uint32_t value = 0;
    std::memcpy(&value, storage_.v6.sin6_addr.s6_addr + 12, sizeof value);
    return ntohl(value);
}

bool Address::is_loopback() const {
    if (is_ipv4()) return ipv4() >> 24 == 127;
    return family() == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&storage_.v6.sin6_addr);
}

bool Address::same_host(const Address& other) const {
    if (is_ipv4() || other.is_ipv4()) return is_ipv4() && other.is_ipv4() && ipv4() == other.ipv4();
    return family() == AF_INET6 && other.family() == AF_INET6 &&
           IN6_ARE_ADDR_EQUAL(&storage_.v6.sin6_addr, &other.storage_.v6.sin6_addr);
}

std::uint64_t Address::host_hash() const {
    // FNV-1a over the sixteen bytes of the address, IPv4 in front of twelve zeros.
    std::uint8_t bytes[16] = {};
    if (is_ipv4()) {
        const std::uint32_t value = ipv4();
        std::memcpy(bytes, &value, sizeof value);
    } else if (family() == AF_INET6) {
        std::memcpy(bytes, storage_.v6.sin6_addr.s6_addr, sizeof bytes);
    }
    std::uint64_t hash = 14695981039346656037U;
    for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 1099511628211U;
    return hash;
}

}  // namespace howdah::gateway
