#include "core/members_support.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/json.h"

namespace howdah::core {
namespace {

using model::ActionKind;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr const char* kServer =
    "/subscriptions/s/resourcegroups/g/providers/microsoft.dbforpostgresql/flexibleservers/pg1";
const std::vector<model::DatabaseStatus> kDatabases = {{"app", "UTF8", "C"},
                                                       {"postgres", "UTF8", "C"}};

model::Failure failure_of(ErrorCode code) { return {std::string(to_string(code)), "it broke", ""}; }

}  // namespace

MembersWorld::MembersWorld(std::uint64_t seed)
    : now(parse_iso8601("2026-11-21T12:00:00Z").value()), random_(seed) {
    view.server_key = kServer;
    view.free_port = 20001;
    for (const auto& [id, zone] : {std::pair("a", "1"), {"b", "2"}, {"c", "1"}}) {
        model::HostReport report;
        report.host = id;
        report.zone = zone;
        report.disk_free_gb = 100;
        report.engines.push_back({"15", "15.20"});
        view.hosts.push_back({report, false});
        hosts[id];
    }
}

// ---------------------------------------------------------------------------------------------
// The user

void MembersWorld::begin(const std::string& kind) {
    model::Operation operation;
    operation.id = last_operation = fmt::format("op{}", ++operations_);
    operation.kind = kind;
    operation.server_key = kServer;
    operation.incarnation = "inc1";
    operation.generation = kind == "FailoverServer" ? 0 : view.spec->generation;
    operation.start_time = format_iso8601(now);
    view.pending.push_back(operation);
}

void MembersWorld::create(const std::string& mode) {
    model::ServerSpec spec;
    spec.id = kServer;
    spec.name = "pg1";
    spec.version = "15";
    spec.sku = {"Standard_D2ds_v5", "GeneralPurpose"};
    spec.incarnation = "inc1";
    spec.high_availability_mode = mode;
    view.spec = spec;
    view.databases = {{std::string(kServer) + "/databases/app", "app", "UTF8", "C", ""}};
    begin("CreateServer");
}

void MembersWorld::change(const std::string& kind) {
    ++view.spec->generation;
    view.spec->parameters["work_mem"] = std::to_string(view.spec->generation);
    begin(kind);
}

void MembersWorld::set_mode(const std::string& mode) {
    view.spec->high_availability_mode = mode;
    change();
}

void MembersWorld::set_running(bool running) {
    view.spec->running = running;
    change(running ? "StartServer" : "StopServer");
}

void MembersWorld::fail_over(const std::string& how) {
    begin("FailoverServer");
    view.pending.back().failover = how;
}

void MembersWorld::remove() {
    view.spec->deleting = was_deletion_wanted = true;
    change("DeleteServer");
}

// ---------------------------------------------------------------------------------------------
// The planner

ServerDecision MembersWorld::decide() {
    ServerDecision decision = decide_server(view, now);
    judge(decision);
    carry_out(decision);
    return decision;
}

void MembersWorld::judge(const ServerDecision& decision) {
    if (!decision.removed_databases.empty() && !decision.remove_server)
        complaints.push_back("a database's record was dropped");
    std::set<std::string> founders;
    for (const model::Action& each : decision.put_actions) {
        if (each.instance && each.instance->is_founder) founders.insert(each.host);
        const auto is_same = [&](const model::Action& other) {
            return other.id == each.id && other.host == each.host;
        };
        if (std::any_of(view.actions.begin(), view.actions.end(), is_same) ||
            hosts.at(each.host).done.contains(each.id))
            complaints.push_back("an action was put twice: " + each.id);
    }
    if (founders.size() > 1) complaints.push_back("two founders");
    if (decision.remove_server && !was_deletion_wanted) complaints.push_back("records went");
}

void MembersWorld::carry_out(const ServerDecision& decision) {
    if (decision.status) view.status = decision.status;
    if (decision.restored_spec) view.spec = decision.restored_spec;
    if (decision.revisions) view.revisions = *decision.revisions;
    if (decision.issue_certificate) view.certificate_end = now + hours(24 * 825);
    for (const auto& each : decision.remove_actions)
        std::erase_if(view.actions, [&](const auto& action) {
            return action.id == each.id && action.host == each.host;
        });
    for (const auto& each : decision.put_actions) view.actions.push_back(each);
    for (const auto& each : decision.consumed_results)
        std::erase_if(view.results, [&](const auto& result) { return result.action_id == each; });
    for (const auto& each : decision.removed_databases)
        std::erase_if(view.databases, [&](const auto& d) { return d.id == each; });
    for (const auto& changed : decision.operations) {
        const auto is_it = [&](const auto& each) { return each.id == changed.id; };
        if (changed.end_time.empty()) {
            *std::find_if(view.pending.begin(), view.pending.end(), is_it) = changed;
            continue;
        }
        ended_operations[changed.id] = changed;
        std::erase_if(view.pending, is_it);
    }
    if (!decision.remove_server) return;
    is_deleted = true;
    view.spec.reset();
    view.status.reset();
    view.reports.clear();
    view.databases.clear();
}

std::string MembersWorld::condition(const std::string& type) const {
    for (const auto& each : view.status->conditions)
        if (each.type == type) return each.status + " " + each.reason;
    return "";
}

std::string MembersWorld::describe() const {
    std::string text = fmt::format("primary {} term {} record {} sync {}\n", primary, term,
                                   has_record, fmt::join(sync, ","));
    if (view.spec)
        text +=
            fmt::format("spec {} {} running {} deleting {}\n", view.spec->generation,
                        view.spec->high_availability_mode, view.spec->running, view.spec->deleting);
    if (view.status) text += model::to_json(*view.status) + "\n";
    for (const auto& each : view.actions)
        text += fmt::format("action {} on {} (done {})\n", each.id, each.host,
                            hosts.at(each.host).done.contains(each.id));
    for (const auto& each : view.results) text += "result " + model::to_json(each) + "\n";
    for (const auto& each : view.reports) text += "report " + model::to_json(each) + "\n";
    for (const auto& each : view.pending) text += "pending " + model::to_json(each) + "\n";
    for (const auto& each : complaints) text += "complaint: " + each + "\n";
    return text;
}

// ---------------------------------------------------------------------------------------------
// The machines

void MembersWorld::ensure(const std::string& id, const model::InstanceSpec& spec,
                          bool* as_primary) {
    FakeHost& host = hosts.at(id);
    host.spec = spec;
    *as_primary = false;
    const bool may_found = primary.empty() || primary == id;
    if (spec.member_hosts.empty()) {
        if (has_record && primary == id) has_record = false;  // it leaves, for good
        if (has_record || !may_found) return;
        sync.clear();
        primary = id;
        host.is_member = false;
        host.has_instance = host.has_all_data = *as_primary = true;
        return;
    }
    host.has_instance = host.is_member = true;
    if (has_record) {
        *as_primary = primary == id;
        return;
    }
    host.has_all_data = false;
    if (!spec.is_founder) return;
    if (!may_found) return complaints.push_back("another founder than who has the data: " + id);
    has_record = host.has_all_data = *as_primary = true;
    primary = id;
    ++term;
}

model::ActionResult MembersWorld::execute(const model::Action& action) {
    model::ActionResult result{action.id,   action.server_id,  action.incarnation,
                               action.kind, action.generation, std::nullopt};
    FakeHost& host = hosts.at(action.host);
    if (action.kind == ActionKind::ensure_instance) {
        ensure(action.host, *action.instance, &result.as_primary);
    } else if (action.kind == ActionKind::delete_instance) {
        if (primary == action.host && !was_deletion_wanted)
            complaints.push_back("the primary's instance was deleted on " + action.host);
        if (primary == action.host) {
            primary.clear();
            has_record = false;
        }
        sync.erase(action.host);
        host.has_instance = host.is_member = host.has_all_data = false;
    } else if (action.kind == ActionKind::fail_over) {
        const bool may = has_record && primary == action.host && sync.size() == 1;
        if (!may || !take_over(*sync.begin()))
            result.failure = failure_of(ErrorCode::invalid_state);
    }
    return result;
}

bool MembersWorld::work(const std::string& id, const std::optional<model::Failure>& failure) {
    FakeHost& host = hosts.at(id);
    if (!host.is_alive || !host.is_reachable) return false;
    for (const model::Action& each : view.actions) {
        if (each.host != id || host.done.contains(each.id)) continue;
        model::ActionResult result =
            failure ? model::ActionResult{each.id,   each.server_id,  each.incarnation,
                                          each.kind, each.generation, failure}
                    : execute(each);
        result.host = id;
        host.done.insert(each.id);
        host.results.push_back(std::move(result));
        return true;
    }
    return false;
}

model::InstanceReport MembersWorld::report_of(const std::string& id) const {
    const FakeHost& host = hosts.at(id);
    model::InstanceReport report;
    report.server_id = kServer;
    report.incarnation = "inc1";
    report.host = id;
    report.observed_generation = host.spec.generation;
    if (!host.has_instance) return report;
    const bool is_primary = primary == id && host.has_all_data;
    report.state = is_primary ? (host.spec.running ? "running" : "stopped") : "following";
    if (is_primary && is_fresh_primary) report.state = "starting";
    if (report.state == "running") report.databases = kDatabases;
    report.detail = is_primary ? "" : "12 GB of 80 GB";
    if (!host.is_member) return report;
    report.member = model::MemberReport{};
    if (!has_record) return report;
    report.member->term = term;
    report.member->primary_host = primary;
    report.member->role = is_primary ? "primary" : host.has_all_data ? "standby" : "";
    report.member->sync_hosts = {sync.begin(), sync.end()};
    report.member->serves = report.state == "running";
    return report;
}

/// As control/fleet does it: who has nothing to do with the server is not heard.
void MembersWorld::tell(const std::string& id) {
    FakeHost& host = hosts.at(id);
    if (!host.is_alive || !host.is_reachable) return;
    std::vector<std::string> ours;
    if (view.status) ours = hosts_with_instances(*view.status);
    if (std::find(ours.begin(), ours.end(), id) != ours.end()) {
        std::erase_if(view.reports, [&](const auto& each) { return each.host == id; });
        view.reports.push_back(report_of(id));
        for (model::ActionResult& each : host.results) view.results.push_back(std::move(each));
    }
    host.results.clear();
}

void MembersWorld::notice() {
    for (HostView& each : view.hosts) {
        const FakeHost& host = hosts.at(each.report.host);
        each.is_silent = !host.is_alive || !host.is_reachable;
    }
}

bool MembersWorld::take_over(std::string id) {
    if (!has_record || !sync.contains(id) || !hosts.at(id).is_alive) return false;
    primary = id;
    ++term;
    sync.clear();
    for (auto& [other, host] : hosts)
        if (other != id) host.has_all_data = false;
    is_fresh_primary = true;
    return true;
}

void MembersWorld::members_step() {
    if (!has_record) return;
    if (!hosts.at(primary).is_alive) {
        const std::set<std::string> candidates = sync;
        for (const std::string& each : candidates)
            if (take_over(each)) return;
        return;
    }
    is_fresh_primary = false;
    const model::InstanceSpec& wanted = hosts.at(primary).spec;
    for (auto& [id, host] : hosts) {
        const bool is_wanted = std::find(wanted.member_hosts.begin(), wanted.member_hosts.end(),
                                         id) != wanted.member_hosts.end();
        if (id == primary) continue;
        const bool fits = is_wanted && host.is_alive && host.is_member && host.has_instance;
        if (!fits) {
            sync.erase(id);
            host.has_all_data = false;
        } else if (wanted.running && !host.has_all_data) {
            host.has_all_data = true;
        } else if (wanted.running) {
            sync.insert(id);
        }
    }
}

void MembersWorld::kill(const std::string& host) { hosts.at(host).is_alive = false; }
void MembersWorld::revive(const std::string& host) {
    hosts.at(host).is_alive = hosts.at(host).is_reachable = true;
}

bool MembersWorld::settle() {
    for (auto& [id, host] : hosts) revive(id);
    int quiet = 0;
    for (int round = 0; round < 400 && quiet < 4; ++round) {
        bool is_quiet = true;
        notice();
        members_step();
        for (auto& [id, host] : hosts) {
            while (work(id)) is_quiet = false;
            tell(id);
        }
        const ServerDecision decision = decide();
        const milliseconds pause = decision.ask_again.value_or(seconds(1));
        now += std::min<milliseconds>(pause + milliseconds(1), minutes(20));
        if (is_quiet) now += seconds(10);
        is_quiet = is_quiet && decision.put_actions.empty() && !decision.status &&
                   !decision.ask_again && decision.operations.empty();
        quiet = is_quiet ? quiet + 1 : 0;
        if (is_deleted) return view.pending.empty();
    }
    return quiet >= 4;
}

// ---------------------------------------------------------------------------------------------
// Chance

void MembersWorld::random_user() {
    if (!view.spec || view.spec->deleting) return;
    const bool was_built = status().members.is_built;
    switch (chance(12)) {
        case 0:
        case 1:
            return set_mode("ZoneRedundant");
        case 2:
            return set_mode("SameZone");
        case 3:
            return set_mode("Disabled");
        case 4:
            return set_running(!view.spec->running);
        case 5:
        case 6:
            if (!failover_refusal(*view.spec, status()) && view.pending.empty())
                fail_over(chance(2) == 0 ? "planned" : "forced");
            return;
        case 7:
            if (chance(6) == 0 && was_built) remove();
            return;
        default:
            return change();
    }
}

void MembersWorld::random_machine() {
    const std::string id(1, static_cast<char>('a' + chance(3)));
    switch (chance(8)) {
        case 0:
            return kill(id);
        case 1:
        case 2:
            return revive(id);
        case 3:
            hosts.at(id).is_reachable = chance(2) == 0;
            return;
        case 4:
            return notice();
        default:
            break;
    }
    // Such a word takes a change back; what is taken back is made at the second attempt.
    const bool is_user_waiting = !view.pending.empty();
    if (chance(8) == 0)
        (void)work(id, failure_of(ErrorCode::unavailable));
    else if (chance(20) == 0 && is_user_waiting && view.status && status().observed_generation > 0)
        (void)work(id, failure_of(ErrorCode::invalid_argument));
    else
        (void)work(id);
}

void MembersWorld::one_random_step() {
    if (is_deleted) return;
    const int kind = chance(20);
    if (kind == 0) random_user();
    if (kind >= 1 && kind < 9) random_machine();
    if (kind >= 9 && kind < 11) members_step();
    if (kind >= 11 && kind < 15) tell(std::string(1, static_cast<char>('a' + chance(3))));
    if (kind >= 15) decide();
    now += milliseconds(chance(3000));
    if (chance(150) == 0) now += minutes(chance(90));
}

}  // namespace howdah::core
