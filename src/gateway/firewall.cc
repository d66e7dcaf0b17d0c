#include "gateway/firewall.h"

#include <fmt/core.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>
#include <optional>

namespace howdah::gateway {
namespace {

std::optional<std::uint32_t> parse_ipv4(const std::string& text) {
    const Result<Address> address = Address::parse(text, 0);
    if (!address.ok() || address->family() != AF_INET) return std::nullopt;
    return address->ipv4();
}

}  // namespace

HostAddresses HostAddresses::read() {
    ifaddrs* first = nullptr;
    if (getifaddrs(&first) != 0) return {};
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(first, &freeifaddrs);
    std::vector<Address> found;
    for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
        if (each->ifa_addr == nullptr) continue;
        const int family = each->ifa_addr->sa_family;
        if (family != AF_INET && family != AF_INET6) continue;
        found.emplace_back(each->ifa_addr);
    }
    return HostAddresses(std::move(found));
}

bool HostAddresses::contains(const Address& address) const {
    return address.is_loopback() ||
           std::any_of(addresses_.begin(), addresses_.end(),
                       [&](const Address& own) { return own.same_host(address); });
}

Firewall::Firewall(bool public_access, const std::vector<model::FirewallRule>& rules,
                   std::vector<std::string>& faults)
    : public_access_(public_access) {
    std::vector<Range> parsed;
    for (const model::FirewallRule& rule : rules) {
        const auto first = parse_ipv4(rule.start_ip);
        const auto last = parse_ipv4(rule.end_ip);
        if (!first || !last || *first > *last) {
            faults.push_back(fmt::format("firewall rule '{}': '{}' to '{}' is no range", rule.name,
                                         rule.start_ip, rule.end_ip));
        } else if (*first == 0 && *last == 0) {
            this_host_ = true;
        } else {
            parsed.push_back({*first, *last});
        }
    }
    std::sort(parsed.begin(), parsed.end(),
              [](const Range& a, const Range& b) { return a.first < b.first; });
    for (const Range& range : parsed) {
        if (!ranges_.empty() && range.first <= ranges_.back().last)
            ranges_.back().last = std::max(ranges_.back().last, range.last);
        else
            ranges_.push_back(range);
    }
}

bool Firewall::admits(const Address& client, const HostAddresses& host) const {
    if (!public_access_) return false;
    if (this_host_ && host.contains(client)) return true;
    std::uint32_t address = client.ipv4();
    if (!client.is_ipv4()) {
        if (!client.is_loopback()) return false;
        address = INADDR_LOOPBACK;
    }
    const auto next = std::upper_bound(
        ranges_.begin(), ranges_.end(), address,
        [](std::uint32_t value, const Range& range) { return value < range.first; });
    return next != ranges_.begin() && std::prev(next)->last >= address;
}

}  // namespace howdah::gateway
