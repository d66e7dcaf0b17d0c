#include "core/plan/members_plan.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/error.h"

namespace howdah::core {
namespace {

using model::InstanceReport;
using model::ServerSpec;
using model::ServerStatus;

bool contains(const std::vector<std::string>& all, const std::string& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

bool is_primary(const InstanceReport& report) {
    return report.member && report.member->role == "primary";
}

/// By the primary's report, every commit waits for the standby.
bool is_in_sync(const ServerStatus& status, const std::vector<InstanceReport>& reports) {
    const InstanceReport* report = find_report(reports, status.host);
    return report != nullptr && is_primary(*report) && !status.standby_host.empty() &&
           contains(report->member->sync_hosts, status.standby_host);
}

/// The only standby goes, as its primary does without it.
void release_standby(ServerStatus& status, bool wants_another) {
    status.members.leaving.push_back({status.standby_host});
    status.standby_host.clear();
    status.members.is_built = false;
    status.members.is_primary_done = !wants_another;
    status.members.ensured.clear();
    status.members.standby_retries = 0;
    status.members.standby_retry_at.clear();
}

}  // namespace

MembersPhase members_phase(const ServerSpec& spec, const ServerStatus& status,
                           const std::vector<HostView>& hosts, bool is_settled) {
    const bool wants = wants_standby(spec);
    if (status.standby_host.empty()) {
        if (wants) return MembersPhase::build;
        const bool has_left =
            status.members.generation == spec.generation && status.members.is_primary_done;
        return has_left ? MembersPhase::leave : MembersPhase::single;
    }
    if (!wants) return MembersPhase::release;
    const bool stays =
        is_settled || are_members_placed(spec, hosts, status.host, status.standby_host);
    return stays ? MembersPhase::pair : MembersPhase::release;
}

std::vector<std::string> member_hosts(const ServerStatus& status, MembersPhase phase) {
    if (phase != MembersPhase::pair) return {};
    return {status.host, status.standby_host};
}

void begin_members_generation(ServerStatus& status, model::Generation generation) {
    model::MembersStatus& members = status.members;
    if (members.generation == generation) return;
    members = {.term = members.term,
               .is_built = members.is_built,
               .leaving = std::move(members.leaving),
               .generation = generation};
}

void follow_members(ServerStatus& status, const std::vector<InstanceReport>& reports) {
    const InstanceReport* newest = nullptr;
    for (const InstanceReport& each : reports) {
        const bool is_member = each.host == status.host || each.host == status.standby_host;
        if (!is_member || !is_primary(each) || each.member->term <= status.members.term) continue;
        if (newest == nullptr || each.member->term > newest->member->term) newest = &each;
    }
    if (newest == nullptr) return;
    status.members.term = newest->member->term;
    if (newest->host == status.standby_host) std::swap(status.host, status.standby_host);
}

void note_built(ServerStatus& status, const std::vector<InstanceReport>& reports) {
    if (!is_in_sync(status, reports)) return;
    // An older report may be about an earlier standby on that host.
    const bool is_news =
        find_report(reports, status.host)->observed_generation >= status.members.generation;
    if (status.members.is_primary_done && is_news) status.members.is_built = true;
}

void note_ensured(ServerStatus& status, MembersPhase phase, bool wants_another,
                  const std::string& host, bool as_primary) {
    if (!has_ensured(status, host)) status.members.ensured.push_back(host);
    if (!as_primary) return;
    if (phase != MembersPhase::release)
        status.members.is_primary_done = true;
    else if (host == status.host)
        release_standby(status, wants_another);
}

bool waits_for_leaving(const ServerStatus& status, const std::vector<HostView>& hosts) {
    return std::any_of(status.members.leaving.begin(), status.members.leaving.end(),
                       [&](const model::LeavingMember& each) {
                           return each.retries == 0 && !is_host_silent(hosts, each.host);
                       });
}

bool is_members_generation_in_force(const ServerSpec& spec, const ServerStatus& status,
                                    const std::vector<HostView>& hosts, MembersPhase phase) {
    const model::MembersStatus& members = status.members;
    if (members.generation != spec.generation || !members.is_primary_done) return false;
    if (phase == MembersPhase::leave) return !waits_for_leaving(status, hosts);
    if (phase != MembersPhase::pair) return false;
    if (spec.running && !members.is_built) return false;
    const bool gave_up = members.is_built && members.standby_retries > 0;
    return has_ensured(status, status.standby_host) || gave_up ||
           is_host_silent(hosts, status.standby_host);
}

bool is_host_silent(const std::vector<HostView>& hosts, const std::string& host) {
    return std::none_of(hosts.begin(), hosts.end(), [&](const HostView& each) {
        return each.report.host == host && !each.is_silent;
    });
}

bool has_ensured(const ServerStatus& status, const std::string& host) {
    return contains(status.members.ensured, host);
}

model::LeavingMember* find_leaving(ServerStatus& status, const std::string& host) {
    for (model::LeavingMember& each : status.members.leaving)
        if (each.host == host) return &each;
    return nullptr;
}

const InstanceReport* find_report(const std::vector<InstanceReport>& reports,
                                  const std::string& host) {
    for (const InstanceReport& each : reports)
        if (each.host == host) return &each;
    return nullptr;
}

const InstanceReport* primary_report(const ServerStatus& status,
                                     const std::vector<InstanceReport>& reports) {
    const InstanceReport* report = find_report(reports, status.host);
    if (report == nullptr || report->state == "following") return nullptr;
    // Before the first record and after the last one there is an instance, and no role.
    const bool may_be_single = status.standby_host.empty() || !status.members.is_built;
    const bool has_no_role = !report->member || report->member->role.empty();
    return is_primary(*report) || (has_no_role && may_be_single) ? report : nullptr;
}

std::vector<std::string> hosts_with_instances(const ServerStatus& status) {
    std::vector<std::string> hosts;
    if (!status.host.empty()) hosts.push_back(status.host);
    if (!status.standby_host.empty()) hosts.push_back(status.standby_host);
    for (const model::LeavingMember& each : status.members.leaving) hosts.push_back(each.host);
    return hosts;
}

void forget_instance(ServerStatus& status, const std::string& host, bool is_deletion) {
    std::erase_if(status.members.leaving,
                  [&](const model::LeavingMember& each) { return each.host == host; });
    if (!is_deletion) return;
    if (status.standby_host == host) status.standby_host.clear();
    if (status.host != host) return;
    status.host = std::move(status.standby_host);
    status.standby_host.clear();
}

std::string high_availability_state(const MembersView& view) {
    const ServerStatus& status = view.status;
    const bool is_leaving = !view.is_settled && !status.members.leaving.empty();
    if (!wants_standby(view.spec))
        return is_leaving || !status.standby_host.empty() ? "RemovingStandby" : "NotEnabled";
    if (status.standby_host.empty()) return is_leaving ? "RemovingStandby" : "CreatingStandby";
    if (view.is_failing_over) return "FailingOver";
    if (!status.members.is_built) return "CreatingStandby";
    const auto serves = [&](const std::string& host) {
        const InstanceReport* report = find_report(view.reports, host);
        // What is of an older term has been overtaken.
        return report != nullptr && report->member && report->member->serves &&
               report->member->term >= status.members.term;
    };
    if (view.spec.running && !serves(status.host) && !serves(status.standby_host))
        return "FailingOver";
    return is_in_sync(status, view.reports) ? "Healthy" : "ReplicatingData";
}

std::optional<model::Failure> failover_refusal(const ServerSpec& spec, const ServerStatus& status) {
    const auto refusal = [](std::string message, std::string hint) {
        return model::Failure{std::string(to_string(ErrorCode::invalid_state)), std::move(message),
                              std::move(hint)};
    };
    if (!wants_standby(spec))
        return refusal(
            fmt::format("the server '{}' is not highly available and cannot fail over", spec.name),
            "switch high availability on first, or restart without failover");
    if (!spec.running)
        return refusal(fmt::format("the server '{}' is stopped and cannot fail over", spec.name),
                       "start it first");
    if (status.high_availability_state != "Healthy")
        return refusal(fmt::format("the server '{}' cannot fail over while the state of its high "
                                   "availability is '{}'",
                                   spec.name, status.high_availability_state),
                       "wait until it is 'Healthy'");
    return std::nullopt;
}

}  // namespace howdah::core
