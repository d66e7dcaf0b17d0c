#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "base/result.h"

namespace howdah::gateway {

/// An IPv4 or IPv6 address with a port, as the socket calls want it. IPv4-mapped IPv6 addresses are
/// kept as what the socket said, and compare and print as IPv4. A plain value.
class Address {
  public:
    Address() = default;
    /// REQUIRES: `raw` is of the family AF_INET or AF_INET6; any other gives an empty address.
    explicit Address(const sockaddr* raw);

    /// `text` is an IP address, not a name. "*" is every address of both families.
    static Result<Address> parse(const std::string& text, std::int64_t port);
    /// The near and far end of a connected socket.
    static Address local_of(int fd);
    static Address peer_of(int fd);

    const sockaddr* raw() const { return &storage_.any; }
    socklen_t length() const;
    int family() const { return storage_.any.sa_family; }
    std::uint16_t port() const;
    Address with_port(std::uint16_t port) const;
    /// "192.0.2.1", "2001:db8::1"; without the port.
    std::string text() const;

    /// In host order; true for IPv4 and IPv4-mapped IPv6. `ipv4` is 0 otherwise.
    bool is_ipv4() const;
    std::uint32_t ipv4() const;
    bool is_loopback() const;
    /// The same host, whatever the ports.
    bool same_host(const Address& other) const;
    /// A number that is equal for equal hosts.
    std::uint64_t host_hash() const;

  private:
    /// 28 bytes rather than the 128 of sockaddr_storage: there is one per session.
    union Storage {
        sockaddr any;
        sockaddr_in v4;
        sockaddr_in6 v6;
    };
    Storage storage_{.v6 = {}};
};

}  // namespace howdah::gateway
