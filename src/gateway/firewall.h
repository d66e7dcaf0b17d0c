#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/address.h"
#include "model/records.h"

namespace howdah::gateway {

/// The addresses of this host's interfaces when it was read.
class HostAddresses {
  public:
    HostAddresses() = default;
    explicit HostAddresses(std::vector<Address> addresses) : addresses_(std::move(addresses)) {}
    static HostAddresses read();
    /// True for loopback and for the address of an interface.
    bool contains(const Address& address) const;

  private:
    std::vector<Address> addresses_;
};

/// Who may reach one server, as on Azure: nobody but whom a rule admits. A rule is a range of IPv4
/// addresses; the range 0.0.0.0 to 0.0.0.0 admits this host. ::1 is treated as 127.0.0.1; other
/// IPv6 clients match no range. Immutable, so thread-safe.
class Firewall {
  public:
    Firewall() = default;
    /// A rule that is no range is left out, and its fault is added to `faults`: what cannot be
    /// understood admits nobody.
    Firewall(bool public_access, const std::vector<model::FirewallRule>& rules,
             std::vector<std::string>& faults);

    bool admits(const Address& client, const HostAddresses& host) const;
    bool public_access() const { return public_access_; }

  private:
    struct Range {
        std::uint32_t first;
        std::uint32_t last;
    };

    bool public_access_ = false;
    bool this_host_ = false;
    std::vector<Range> ranges_;  ///< sorted, apart from each other
};

}  // namespace howdah::gateway
