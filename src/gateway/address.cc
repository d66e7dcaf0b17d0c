#include "gateway/address.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>

#include <cstring>

namespace howdah::gateway {
namespace {

const sockaddr_in& as_ipv4(const sockaddr* raw) {
    return *reinterpret_cast<const sockaddr_in*>(raw);
}
const sockaddr_in6& as_ipv6(const sockaddr* raw) {
    return *reinterpret_cast<const sockaddr_in6*>(raw);
}

}  // namespace

Address::Address(const sockaddr_storage& storage, socklen_t length)
    : storage_(storage), length_(length) {}

Result<Address> Address::parse(const std::string& text, std::int64_t port) {
    if (port < 0 || port > 65535)
        return Error{ErrorCode::invalid_argument, fmt::format("{} is no port", port)};
    Address address;
    auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage_);
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage_);
    if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        address.length_ = sizeof v4;
    } else if (inet_pton(AF_INET6, text == "*" ? "::" : text.c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        address.length_ = sizeof v6;
    } else {
        return Error{ErrorCode::invalid_argument, fmt::format("'{}' is no IP address", text)};
    }
    return address.with_port(static_cast<std::uint16_t>(port));
}

Address Address::local_of(int fd) {
    Address address;
    address.length_ = sizeof address.storage_;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage_), &address.length_) != 0)
        return {};
    return address;
}

Address Address::peer_of(int fd) {
    Address address;
    address.length_ = sizeof address.storage_;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&address.storage_), &address.length_) != 0)
        return {};
    return address;
}

std::uint16_t Address::port() const {
    // Both families keep the port at the same place.
    return ntohs(as_ipv4(raw()).sin_port);
}

Address Address::with_port(std::uint16_t port) const {
    Address other = *this;
    reinterpret_cast<sockaddr_in&>(other.storage_).sin_port = htons(port);
    return other;
}

std::string Address::text() const {
    char buffer[INET6_ADDRSTRLEN] = "";
    if (is_ipv4()) {
        const in_addr address{htonl(ipv4())};
        inet_ntop(AF_INET, &address, buffer, sizeof buffer);
    } else if (family() == AF_INET6) {
        inet_ntop(AF_INET6, &as_ipv6(raw()).sin6_addr, buffer, sizeof buffer);
    }
    return buffer;
}

bool Address::is_ipv4() const {
    return family() == AF_INET ||
           (family() == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&as_ipv6(raw()).sin6_addr));
}

std::uint32_t Address::ipv4() const {
    if (family() == AF_INET) return ntohl(as_ipv4(raw()).sin_addr.s_addr);
    if (!is_ipv4()) return 0;
    std::uint32_t value = 0;
    std::memcpy(&value, as_ipv6(raw()).sin6_addr.s6_addr + 12, sizeof value);
    return ntohl(value);
}

bool Address::is_loopback() const {
    if (is_ipv4()) return ipv4() >> 24 == 127;
    return family() == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&as_ipv6(raw()).sin6_addr);
}

bool Address::same_host(const Address& other) const {
    if (is_ipv4() || other.is_ipv4()) return is_ipv4() && other.is_ipv4() && ipv4() == other.ipv4();
    return family() == AF_INET6 && other.family() == AF_INET6 &&
           IN6_ARE_ADDR_EQUAL(&as_ipv6(raw()).sin6_addr, &as_ipv6(other.raw()).sin6_addr);
}

std::uint64_t Address::host_hash() const {
    // FNV-1a over the sixteen bytes of the address, IPv4 in its mapped form.
    std::uint8_t bytes[16] = {};
    if (is_ipv4()) {
        const std::uint32_t value = ipv4();
        std::memcpy(bytes, &value, sizeof value);
    } else if (family() == AF_INET6) {
        std::memcpy(bytes, as_ipv6(raw()).sin6_addr.s6_addr, sizeof bytes);
    }
    std::uint64_t hash = 14695981039346656037U;
    for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 1099511628211U;
    return hash;
}

}  // namespace howdah::gateway
