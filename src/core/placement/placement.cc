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

}  // namespace

const HostView* choose_host(const model::ServerSpec& spec, const std::vector<HostView>& hosts) {
    const auto rank = [&](const HostView& host) {
        const bool is_asked_zone =
            !spec.availability_zone.empty() && host.report.zone == spec.availability_zone;
        return std::make_tuple(!is_asked_zone, -host.report.disk_free_gb, host.report.host);
    };
    const HostView* best = nullptr;
    for (const HostView& each : hosts)
        if (can_run(spec, each) && (best == nullptr || rank(each) < rank(*best))) best = &each;
    return best;
}

}  // namespace howdah::core
