#include "core/placement/placement.h"

#include <algorithm>
#include <tuple>

namespace howdah::core {
namespace {

bool can_run(const model::ServerSpec& spec, const HostView& host) {
    return !host.is_silent &&
           std::any_of(host.report.engines.begin(), host.report.engines.end(),
                       [&](const model::Engine& engine) { return engine.major == spec.version; });
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
    for (const HostView& each : hosts) {
        const std::string zone = zone_of(each.report);
        const bool is_asked_zone =
            spec.standby_availability_zone.empty() || zone == spec.standby_availability_zone;
        if (&each == primary || !can_run(spec, each) || each.report.disk_free_gb <= 0 ||
            !is_asked_zone || !is_right_distance(spec, zone_of(primary->report), zone))
            continue;
        const auto rank = [](const HostView& host) {
            return std::make_tuple(-host.report.disk_free_gb, host.report.host);
        };
        if (best == nullptr || rank(each) < rank(*best)) best = &each;
    }
    return best;
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
