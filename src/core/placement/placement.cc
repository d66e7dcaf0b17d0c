#include "core/placement/placement.h"

#include <fmt/core.h>

#include <algorithm>
#include <tuple>

namespace howdah::core {
namespace {

const model::Engine* find_engine(const model::ServerSpec& spec, const HostView& host) {
    for (const model::Engine& each : host.report.engines)
        if (each.major == spec.version) return &each;
    return nullptr;
}

bool can_run(const model::ServerSpec& spec, const HostView& host) {
    return !host.is_silent && find_engine(spec, host) != nullptr;
}

const HostView* find_host(const std::vector<HostView>& hosts, const std::string& id) {
    for (const HostView& each : hosts)
        if (each.report.host == id) return &each;
    return nullptr;
}

bool is_right_distance(const model::ServerSpec& spec, const std::string& one,
                       const std::string& other) {
    return (spec.high_availability_mode == "ZoneRedundant") == (one != other);
}

/// Why a host cannot have the standby; empty: it can.
std::string obstacle(const model::ServerSpec& spec, const HostView& primary, const HostView& host) {
    if (host.is_silent) return "is not heard of";
    const model::Engine* engine = find_engine(spec, host);
    if (engine == nullptr) return fmt::format("has no PostgreSQL {}", spec.version);
    if (host.report.disk_free_gb <= 0) return "has no free disk";
    const std::string zone = zone_of(host.report);
    const std::string& asked = spec.standby_availability_zone;
    if (!asked.empty() && zone != asked) return fmt::format("is in zone {}, not {}", zone, asked);
    if (!is_right_distance(spec, zone_of(primary.report), zone))
        return fmt::format("is in zone {}, the primary's host in {}", zone,
                           zone_of(primary.report));
    const model::Engine* other = find_engine(spec, primary);
    const std::string sorts = other == nullptr ? "" : other->collation_version;
    // An index that another one has built would be searched in the wrong order.
    if (!sorts.empty() && !engine->collation_version.empty() && sorts != engine->collation_version)
        return fmt::format("sorts text by {}, the primary's host by {}", engine->collation_version,
                           sorts);
    return "";
}

}  // namespace

std::string zone_of(const model::HostReport& host) { return host.zone.empty() ? "1" : host.zone; }

bool wants_standby(const model::ServerSpec& spec) {
    return spec.high_availability_mode == "SameZone" ||
           spec.high_availability_mode == "ZoneRedundant";
}

const HostView* choose_host(const model::ServerSpec& spec, const std::vector<HostView>& hosts) {
    const auto rank = [&](const HostView& host) {
        const bool is_asked_zone =
            !spec.availability_zone.empty() && zone_of(host.report) == spec.availability_zone;
        const bool lacks_standby =
            wants_standby(spec) && choose_standby_host(spec, hosts, host.report.host) == nullptr;
        return std::make_tuple(!is_asked_zone, lacks_standby, -host.report.disk_free_gb,
                               host.report.host);
    };
    const HostView* best = nullptr;
    for (const HostView& each : hosts)
        if (can_run(spec, each) && (best == nullptr || rank(each) < rank(*best))) best = &each;
    return best;
}

const HostView* choose_standby_host(const model::ServerSpec& spec,
                                    const std::vector<HostView>& hosts,
                                    const std::string& primary_host) {
    const HostView* primary = find_host(hosts, primary_host);
    if (primary == nullptr) return nullptr;
    const HostView* best = nullptr;
    const auto rank = [](const HostView& host) {
        return std::make_tuple(-host.report.disk_free_gb, host.report.host);
    };
    for (const HostView& each : hosts) {
        if (&each == primary || !obstacle(spec, *primary, each).empty()) continue;
        if (best == nullptr || rank(each) < rank(*best)) best = &each;
    }
    return best;
}

std::string why_no_standby(const model::ServerSpec& spec, const std::vector<HostView>& hosts,
                           const std::string& primary_host) {
    const HostView* primary = find_host(hosts, primary_host);
    if (primary == nullptr) return "the primary's host is not known";
    std::string reasons;
    for (const HostView& each : hosts) {
        if (&each == primary) continue;
        const std::string& name = each.report.name.empty() ? each.report.host : each.report.name;
        reasons += fmt::format("{}host '{}' {}", reasons.empty() ? "" : "; ", name,
                               obstacle(spec, *primary, each));
    }
    return reasons.empty() ? "there is no other host" : reasons;
}

bool are_members_placed(const model::ServerSpec& spec, const std::vector<HostView>& hosts,
                        const std::string& primary_host, const std::string& standby_host) {
    const HostView* primary = find_host(hosts, primary_host);
    const HostView* standby = find_host(hosts, standby_host);
    if (primary == nullptr || standby == nullptr) return true;
    const std::string one = zone_of(primary->report);
    const std::string other = zone_of(standby->report);
    const std::string& asked = spec.standby_availability_zone;
    const bool is_asked_zone = asked.empty() || one == asked || other == asked;
    return is_asked_zone && is_right_distance(spec, one, other);
}

}  // namespace howdah::core
