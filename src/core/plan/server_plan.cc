#include "core/plan/server_plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "base/text.h"
#include "core/backup/proof.h"
#include "core/plan/members_plan.h"
#include "core/sizing/sku.h"
#include "model/json.h"
#include "model/resource_id.h"

namespace howdah::core {
namespace {

using model::Action;
using model::ActionKind;
using model::ActionResult;
using model::Failure;
using model::Generation;
using model::Operation;
using model::ServerSpec;
using model::ServerStatus;
using std::chrono::milliseconds;

std::string_view to_string(ActionKind kind) {
    switch (kind) {
        case ActionKind::ensure_instance:
            return "ensure_instance";
        case ActionKind::delete_instance:
            return "delete_instance";
        case ActionKind::create_database:
            return "create_database";
        case ActionKind::drop_database:
            return "drop_database";
        case ActionKind::fail_over:
            return "fail_over";
        case ActionKind::make_backup:
            return "make_backup";
        case ActionKind::drop_backup:
            return "drop_backup";
        case ActionKind::prove_backup:
            return "prove_backup";
    }
    return "unknown";
}

Failure failure_of(ErrorCode code, std::string message, std::string hint = {}) {
    return {std::string(howdah::to_string(code)), std::move(message), std::move(hint)};
}

bool may_pass(const Failure& failure) {
    return retry_class(error_code_from(failure.code)) != RetryClass::never;
}

milliseconds retry_pause(std::int64_t retry) {
    milliseconds pause = kRetryPauseFirst;
    for (std::int64_t i = 1; i < retry && pause < kRetryPauseMax; ++i) pause *= 4;
    return std::min(pause, kRetryPauseMax);
}

/// How long until a time that stands in a record; zero if it has passed or cannot be read.
milliseconds until(const std::string& time, Timestamp now) {
    if (time.empty()) return milliseconds::zero();
    const auto parsed = parse_iso8601(time);
    if (!parsed.ok() || *parsed <= now) return milliseconds::zero();
    return *parsed - now;
}

bool is_older_than(const std::string& time, milliseconds age, Timestamp now) {
    const auto parsed = parse_iso8601(time);
    return !parsed.ok() || now - *parsed > age;
}

/// Azure's state word for what is being done to a server that has been in force before.
std::string word_for(const std::string& operation_kind) {
    if (operation_kind == "StartServer") return "Starting";
    if (operation_kind == "StopServer") return "Stopping";
    if (operation_kind == "RestartServer") return "Restarting";
    return "Updating";
}

bool is_failover(const Operation& operation) { return operation.kind == "FailoverServer"; }
/// It ends with an action's result: of databases, and of backups on demand.
bool is_of_action(const Operation& operation) {
    return !operation.action_id.empty() && !is_failover(operation);
}
bool is_backup_operation(const Operation& operation) {
    return operation.kind == "CreateBackup" || operation.kind == "DeleteBackup" ||
           operation.kind == "ProveBackups";
}
bool is_database_operation(const Operation& operation) {
    return is_of_action(operation) && !is_backup_operation(operation);
}
/// It ends with a generation.
bool is_change(const Operation& operation) {
    return operation.action_id.empty() && !is_failover(operation);
}

/// One decision in the making.
class Planner {
  public:
    Planner(const ServerView& view, Timestamp now)
        : view_(view), spec_(*view.spec), now_(now), operations_(view.pending) {
        if (view.status && view.status->incarnation == spec_.incarnation) {
            status_ = *view.status;
        } else {
            status_.server_id = view.server_key;
            status_.incarnation = spec_.incarnation;
        }
        remaining_ = view.actions;
    }

    ServerDecision run() {
        // Reports first: a result counts as the primary's only if its host is that by now.
        follow_members(status_, view_.reports);
        take_server_results();
        note_built(status_, view_.reports);
        follow_report();
        if (spec_.deleting)
            plan_deletion();
        else
            plan_instance();
        if (!decision_.remove_server) plan_actions();
        if (!decision_.remove_server) plan_failovers();
        end_operations();
        take_back();
        keep_revisions();
        consume_other_results();
        finish_status();
        return std::move(decision_);
    }

  private:
    // What has come to pass.
    void take_server_results();
    void take_success(const ActionResult& result);
    void take_failure(const ActionResult& result);
    bool is_of_this_phase(const ActionResult& result) const;
    void take_failure_of_member(const ActionResult& result);
    void follow_report();
    // What is to be done.
    void plan_instance();
    void drop_superseded();
    bool place();
    void wait_for_host();
    void give_up_waiting();
    void give_up(const std::string& host);
    void renew_certificate();
    void put_server_action(ActionKind kind, const std::string& host, const std::string& subject,
                           std::int64_t retry);
    // Members.
    void plan_members();
    bool find_standby();
    void ensure_primary();
    void ensure_standby();
    void put_member_action(const std::string& host);
    void settle_members();
    void give_up_members();
    void plan_settled_members();
    void plan_leaving();
    // Failovers.
    void plan_failovers();
    void plan_failover(Operation& operation);
    void plan_deletion();
    void plan_removal();
    // Databases and backups on demand.
    void plan_actions();
    void plan_action(Operation& operation);
    bool take_action_result(Operation& operation, const Action& action);
    std::optional<Failure> action_refusal(const Operation& operation, bool is_sent) const;
    void fail_action(Operation& operation, Failure failure);
    std::optional<Action> action_of(const Operation& operation) const;
    std::string action_progress(const Operation& operation, const Action& action,
                                bool is_sent) const;
    // Operations.
    Failure shared_failure() const;
    void end_operations();
    void end(Operation& operation, const char* status, std::optional<Failure> failure = {});
    void show_progress(Operation& operation, std::string text);
    std::string server_progress() const;
    bool is_overdue(milliseconds deadline) const;
    // Revisions.
    void take_back();
    void keep_revisions();
    // Status.
    void consume_other_results();
    void finish_status();
    std::string state() const;
    std::string settled_state() const;
    void set_conditions();
    void set_availability_condition();
    void set_backup_condition();
    void set_proof_condition();
    void set_replica_condition();
    void set_condition(const std::string& type, const std::string& status,
                       const std::string& reason, const std::string& message);

    bool is_settled() const {
        return std::max(status_.observed_generation, status_.failed_generation) >= spec_.generation;
    }
    const model::InstanceReport* report() const { return find_report(view_.reports, status_.host); }
    bool is_replica() const { return spec_.restore && spec_.restore->follows; }
    bool is_running() const {
        const model::InstanceReport* primary = primary_report(status_, view_.reports);
        return primary != nullptr && primary->state == "running";
    }
    MembersPhase phase() const { return members_phase(spec_, status_, view_.hosts, is_settled()); }
    const HostView* host() const {
        for (const HostView& each : view_.hosts)
            if (each.report.host == status_.host) return &each;
        return nullptr;
    }
    /// It has such an action, or is about to get one.
    bool is_sent(ActionKind kind, const std::string& to_host) const {
        const auto is_it = [&](const Action& each) {
            return each.kind == kind && each.host == to_host;
        };
        return std::any_of(remaining_.begin(), remaining_.end(), is_it) ||
               std::any_of(decision_.put_actions.begin(), decision_.put_actions.end(), is_it);
    }
    void fail_generation(Generation generation, Failure failure) {
        forget_retries();
        if (generation <= status_.observed_generation) return;
        status_.failed_generation = std::max(status_.failed_generation, generation);
        status_.failure = std::move(failure);
    }
    void forget_retries() {
        status_.retry_generation = 0;
        status_.retries = 0;
        status_.retry_at.clear();
    }
    void consume(const std::string& id) {
        if (consumed_.insert(id).second) decision_.consumed_results.push_back(id);
    }
    void drop_action(const std::string& id) {
        for (const Action& each : remaining_)
            if (each.id == id) decision_.remove_actions.push_back(each);
        std::erase_if(remaining_, [&](const Action& each) { return each.id == id; });
    }
    void remove_database(const std::string& id) {
        if (removed_databases_.insert(to_lower(id)).second)
            decision_.removed_databases.push_back(id);
    }
    const ActionResult* result_of(const std::string& id) const {
        for (const ActionResult& each : view_.results)
            if (each.action_id == id) return &each;
        return nullptr;
    }
    void ask_again_in(milliseconds pause) {
        if (!decision_.ask_again || pause < *decision_.ask_again) decision_.ask_again = pause;
    }

    const ServerView& view_;
    const ServerSpec& spec_;
    const Timestamp now_;
    ServerStatus status_;
    std::vector<Operation> operations_;
    std::vector<Action> remaining_;  ///< the actions that stay
    std::set<std::string> consumed_;
    std::set<std::string> kept_results_;  ///< of operations that wait for more
    std::set<std::string> removed_databases_;
    std::set<std::string> busy_;  ///< ids of what something is done to
    ServerDecision decision_;
};

// ---------------------------------------------------------------------------------------------
// What has come to pass

void Planner::take_server_results() {
    for (const ActionResult& result : view_.results) {
        const bool is_ours = result.incarnation == spec_.incarnation;
        const bool is_for_operation = result.kind != ActionKind::ensure_instance &&
                                      result.kind != ActionKind::delete_instance;
        // plan_actions and plan_failovers take those.
        if (is_ours && is_for_operation) continue;
        if (is_ours && result.failure)
            take_failure(result);
        else if (is_ours)
            take_success(result);
        consume(result.action_id);
        drop_action(result.action_id);
    }
}

void Planner::take_success(const ActionResult& result) {
    const std::string& from = result.host.empty() ? status_.host : result.host;
    if (result.kind == ActionKind::delete_instance)
        return forget_instance(status_, from, spec_.deleting);
    // Of the time before members, or without any.
    if (status_.standby_host.empty() && status_.members.generation < result.generation) {
        if (result.generation < status_.observed_generation) return;
        status_.observed_generation = result.generation;
        if (status_.failed_generation <= result.generation) status_.failure.reset();
        return forget_retries();
    }
    if (!is_of_this_phase(result)) return;
    note_ensured(status_, phase(), wants_standby(spec_), from, result.as_primary);
    if (result.as_primary) return forget_retries();
    if (status_.members.is_primary_done || from != status_.host) return;
    // A failover is on its way: who is primary then is asked.
    status_.retry_generation = result.generation;
    status_.retry_at = format_iso8601(now_ + retry_pause(status_.members.attempts));
}

/// A success of an earlier generation or phase says nothing of this one: who carried out that there
/// is a pair has not released the standby.
bool Planner::is_of_this_phase(const ActionResult& result) const {
    const bool is_pair = phase() == MembersPhase::pair;
    return result.generation == spec_.generation &&
           result.generation == status_.members.generation &&
           std::any_of(view_.actions.begin(), view_.actions.end(), [&](const Action& each) {
               return each.id == result.action_id && each.instance &&
                      each.instance->member_hosts.empty() != is_pair;
           });
}

void Planner::take_failure_of_member(const ActionResult& result) {
    model::MembersStatus& members = status_.members;
    if (result.generation != members.generation) return;
    ++members.standby_retries;
    members.standby_retry_at = format_iso8601(now_ + retry_pause(members.standby_retries));
    const bool is_final = !members.is_built && members.standby_retries > kRetriesMax;
    if (!is_settled() && (is_final || !may_pass(*result.failure)))
        fail_generation(result.generation, *result.failure);
}

void Planner::take_failure(const ActionResult& result) {
    if (model::LeavingMember* leaving = find_leaving(status_, result.host);
        leaving != nullptr && result.kind == ActionKind::delete_instance && !spec_.deleting) {
        ++leaving->retries;
        leaving->retry_at = format_iso8601(now_ + kRetryPauseMax);
        return;
    }
    if (!status_.standby_host.empty() && !spec_.deleting) {
        const bool is_of_standby = result.host == status_.standby_host;
        const bool is_of_primary = result.host == status_.host || result.host.empty();
        if (!is_of_standby && !is_of_primary) return;
        // Also of the primary's host: what is in force is owed, however long that takes.
        const bool is_owed = result.generation == status_.observed_generation;
        if (is_of_standby || is_owed) return take_failure_of_member(result);
    }
    const bool is_current =
        std::any_of(view_.actions.begin(), view_.actions.end(),
                    [&](const Action& each) { return each.id == result.action_id; });
    const bool is_renewal = result.generation <= status_.observed_generation;
    // A later change has everything in it that this one had, so what becomes of that one counts
    // for both: what fails now may yet be made.
    if (!is_renewal && result.generation < spec_.generation) return;
    if (!may_pass(*result.failure)) return fail_generation(result.generation, *result.failure);
    // A late word about an attempt that was given up, or is repeated already.
    if (!is_current) return;
    const std::int64_t retries =
        status_.retry_generation == result.generation ? status_.retries : 0;
    if (retries >= kRetriesMax) return fail_generation(result.generation, *result.failure);
    status_.retry_generation = result.generation;
    status_.retries = retries + 1;
    status_.retry_at = format_iso8601(now_ + retry_pause(status_.retries));
}

void Planner::follow_report() {
    const model::InstanceReport* primary = primary_report(status_, view_.reports);
    if (primary == nullptr) return;
    const model::InstanceReport& report = *primary;
    if (!report.minor_version.empty()) status_.minor_version = report.minor_version;
    if (report.backups) {
        if (!report.backups->is_unknown) status_.restorable = report.backups->restorable;
        status_.backup_trouble = report.backups->trouble;
        if (auto proof = core::backup::proof_status(*report.backups)) status_.proof = proof;
    }
    status_.replica = is_replica() ? report.replica : std::nullopt;
    status_.pending_restart = report.pending_restart;
    if (report.state != "running") return;  // it cannot see its databases otherwise
    const auto is_reported = [&](const std::string& name) {
        return std::any_of(report.databases.begin(), report.databases.end(),
                           [&](const model::DatabaseStatus& each) { return each.name == name; });
    };
    // A record whose database was seen and is no more: somebody dropped it by SQL. While an
    // operation deals with it, the operation has the say.
    std::set<std::string> busy;
    for (const Operation& each : view_.pending)
        if (is_database_operation(each)) busy.insert(to_lower(each.resource_id));
    for (const model::DatabaseStatus& seen : status_.databases) {
        if (is_reported(seen.name)) continue;
        for (const model::DatabaseSpec& record : view_.databases)
            if (record.name == seen.name && !busy.contains(to_lower(record.id)))
                remove_database(record.id);
    }
    status_.databases = report.databases;
}

// ---------------------------------------------------------------------------------------------
// What is to be done

void Planner::plan_instance() {
    drop_superseded();
    if (is_settled()) {
        if (status_.members.generation == spec_.generation) settle_members();
    } else {
        if (status_.retry_generation != spec_.generation) forget_retries();
        if (phase() != MembersPhase::single) {
            plan_members();
        } else if (is_sent(ActionKind::ensure_instance, status_.host)) {
            give_up_waiting();
        } else if (const milliseconds pause = until(status_.retry_at, now_);
                   pause > milliseconds::zero()) {
            ask_again_in(pause);
        } else if (place()) {
            put_server_action(ActionKind::ensure_instance, status_.host, "", status_.retries);
        }
    }
    plan_leaving();
    if (is_settled()) plan_settled_members();
    if (is_settled()) renew_certificate();
}

/// What another generation, or another phase of this one, asks for.
void Planner::drop_superseded() {
    const bool is_pair = phase() == MembersPhase::pair;
    for (const Action& each : std::vector<Action>(remaining_)) {
        bool is_superseded = false;
        if (each.kind == ActionKind::delete_instance)
            is_superseded = find_leaving(status_, each.host) == nullptr;
        if (each.kind == ActionKind::ensure_instance)
            is_superseded =
                each.generation < spec_.generation ||
                (each.host != status_.host && !(is_pair && each.host == status_.standby_host)) ||
                (each.instance && each.instance->member_hosts.empty() == is_pair);
        if (is_superseded) drop_action(each.id);
    }
}

/// Chooses the host and the port if that has not been done. False: not now.
bool Planner::place() {
    if (status_.host.empty()) {
        const HostView* chosen = choose_host(spec_, view_.hosts);
        if (chosen == nullptr) {
            if (is_overdue(kPlacementDeadline)) {
                fail_generation(
                    spec_.generation,
                    failure_of(ErrorCode::unavailable,
                               fmt::format("no host has PostgreSQL {}", spec_.version),
                               fmt::format("install postgresql-{} on a host", spec_.version)));
                return false;
            }
            wait_for_host();
            return false;
        }
        status_.host = chosen->report.host;
    }
    if (status_.port == 0) {
        if (view_.free_port == 0) {
            if (!view_.status) status_.host.clear();
            fail_generation(spec_.generation,
                            failure_of(ErrorCode::resource_exhausted,
                                       "every port of the range for servers is taken",
                                       "widen the port range of howdahd"));
            return false;
        }
        status_.port = view_.free_port;
        decision_.claim_port = true;
    }
    return true;
}

void Planner::wait_for_host() {
    decision_.waits_for_host = true;
    ask_again_in(std::chrono::seconds(1));
}

/// Operations do not wait for ever. What cannot be taken back stays wanted, and comes about when
/// the host answers again.
void Planner::give_up_waiting() {
    const bool is_restored = spec_.restore && status_.observed_generation == 0;
    if (is_overdue(is_restored ? kRestoreDeadline : kOperationDeadline)) give_up(status_.host);
}

void Planner::give_up(const std::string& host) {
    fail_generation(
        spec_.generation,
        failure_of(ErrorCode::timeout, fmt::format("host '{}' has not answered in time", host),
                   "check howdah-agent on that host"));
}

void Planner::renew_certificate() {
    const bool is_busy = is_sent(ActionKind::ensure_instance, status_.host);
    if (is_busy || status_.observed_generation < spec_.generation || !view_.certificate_end) return;
    const bool is_retry = status_.retries > 0;
    const bool is_due =
        view_.certificate_is_outdated || *view_.certificate_end - now_ < kCertificateRenewal;
    if (!is_due && !is_retry) return;
    if (const milliseconds pause = until(status_.retry_at, now_); pause > milliseconds::zero())
        return ask_again_in(pause);
    decision_.issue_certificate = is_due;
    if (phase() == MembersPhase::pair) {
        put_member_action(status_.host);
        // It gets the new one anyway if it has not answered yet.
        if (!is_sent(ActionKind::ensure_instance, status_.standby_host))
            put_member_action(status_.standby_host);
        return;
    }
    const auto day = std::chrono::floor<std::chrono::days>(*view_.certificate_end);
    put_server_action(ActionKind::ensure_instance, status_.host,
                      fmt::format("tls{}", day.time_since_epoch().count()), status_.retries);
}

void Planner::put_server_action(ActionKind kind, const std::string& host,
                                const std::string& subject, std::int64_t retry) {
    Action action;
    action.id = action_id(spec_.incarnation, spec_.generation, kind, subject, retry);
    action.host = host;
    action.server_id = view_.server_key;
    action.incarnation = spec_.incarnation;
    action.kind = kind;
    action.term = status_.term;
    action.generation = spec_.generation;
    if (kind == ActionKind::ensure_instance) {
        action.instance = instance_of(spec_, status_, view_.host_names);
        action.instance->member_hosts = member_hosts(status_, phase());
        action.instance->is_founder =
            !action.instance->member_hosts.empty() && host == status_.host;
        if (!view_.certificate_end || view_.certificate_is_outdated)
            decision_.issue_certificate = true;
    }
    decision_.put_actions.push_back(std::move(action));
}

// ---------------------------------------------------------------------------------------------
// Members

void Planner::plan_members() {
    begin_members_generation(status_, spec_.generation);
    if (phase() != MembersPhase::leave) {
        if (!place() || !find_standby()) return;
        ensure_primary();
        ensure_standby();
    }
    settle_members();
    if (!is_settled()) give_up_members();
}

/// Chooses the standby's host where that is to be done. False: not now.
bool Planner::find_standby() {
    const MembersPhase now = phase();
    const bool moves = now == MembersPhase::release && wants_standby(spec_);
    if (now != MembersPhase::build && !moves) return true;
    if (now == MembersPhase::build && waits_for_leaving(status_, view_.hosts)) {
        if (is_overdue(kOperationDeadline)) give_up(status_.members.leaving.front().host);
        return false;
    }
    std::vector<HostView> hosts = view_.hosts;
    std::erase_if(hosts, [&](const HostView& each) {
        return find_leaving(status_, each.report.host) != nullptr;
    });
    const HostView* chosen = choose_standby_host(spec_, hosts, status_.host);
    if (chosen == nullptr) {
        wait_for_host();
        const milliseconds deadline =
            status_.observed_generation == 0 ? kPlacementDeadline : kStandbyPlacementDeadline;
        if (is_overdue(deadline))
            fail_generation(
                spec_.generation,
                failure_of(ErrorCode::unavailable,
                           fmt::format("no second host can have the standby of '{}': {}",
                                       spec_.name, why_no_standby(spec_, hosts, status_.host)),
                           "add a host, or mend what keeps one of these from it"));
        return false;
    }
    if (moves) return true;
    status_.standby_host = chosen->report.host;
    status_.members.is_built = false;
    return true;
}

void Planner::ensure_primary() {
    const bool is_done = status_.members.is_primary_done && has_ensured(status_, status_.host);
    if (is_done || is_sent(ActionKind::ensure_instance, status_.host)) return;
    if (const milliseconds pause = until(status_.retry_at, now_); pause > milliseconds::zero())
        return ask_again_in(pause);
    put_member_action(status_.host);
}

void Planner::ensure_standby() {
    const std::string& standby = status_.standby_host;
    if (phase() != MembersPhase::pair || has_ensured(status_, standby) ||
        is_sent(ActionKind::ensure_instance, standby))
        return;
    if (const milliseconds pause = until(status_.members.standby_retry_at, now_);
        pause > milliseconds::zero())
        return ask_again_in(pause);
    put_member_action(standby);
}

/// Each has a number of its own, as the same host may be asked again, or in another role.
void Planner::put_member_action(const std::string& host) {
    std::erase(status_.members.ensured, host);
    const bool is_release = phase() == MembersPhase::release;
    put_server_action(ActionKind::ensure_instance, host, is_release ? "alone-" + host : host,
                      status_.members.attempts++);
}

void Planner::settle_members() {
    if (status_.observed_generation >= spec_.generation ||
        !is_members_generation_in_force(spec_, status_, view_.hosts, phase()))
        return;
    status_.observed_generation = spec_.generation;
    if (status_.failed_generation <= spec_.generation) status_.failure.reset();
    forget_retries();
}

void Planner::give_up_members() {
    const model::MembersStatus& members = status_.members;
    if (phase() == MembersPhase::leave || !is_overdue(kOperationDeadline)) return;
    if (!members.is_primary_done) return give_up(status_.host);
    if (!has_ensured(status_, status_.standby_host)) return give_up(status_.standby_host);
    if (is_overdue(kBuildDeadline))
        fail_generation(spec_.generation,
                        failure_of(ErrorCode::timeout,
                                   fmt::format("the standby on host '{}' has not caught up in time",
                                               status_.standby_host),
                                   "check the network between the hosts and their disks"));
}

/// Who has not carried out yet what is in force owes it.
void Planner::plan_settled_members() {
    const bool is_in_force = status_.observed_generation == spec_.generation &&
                             status_.members.generation == spec_.generation;
    if (!is_in_force || phase() != MembersPhase::pair) return;
    const bool is_owed =
        !has_ensured(status_, status_.host) || !has_ensured(status_, status_.standby_host);
    const milliseconds pause = until(status_.members.standby_retry_at, now_);
    if (is_owed && pause > milliseconds::zero()) return ask_again_in(pause);
    ensure_primary();
    ensure_standby();
}

/// Former members are deleted, whenever their hosts answer.
void Planner::plan_leaving() {
    for (const model::LeavingMember& each : status_.members.leaving) {
        if (is_sent(ActionKind::delete_instance, each.host)) continue;
        if (const milliseconds pause = until(each.retry_at, now_); pause > milliseconds::zero())
            ask_again_in(pause);
        else
            put_server_action(ActionKind::delete_instance, each.host, each.host, each.retries);
    }
}

// ---------------------------------------------------------------------------------------------
// Failovers

void Planner::plan_failovers() {
    for (Operation& each : operations_)
        if (is_failover(each) && each.end_time.empty()) plan_failover(each);
}

void Planner::plan_failover(Operation& operation) {
    const std::string id = action_id(spec_.incarnation, 0, ActionKind::fail_over, operation.id, 0);
    const auto action = std::find_if(remaining_.begin(), remaining_.end(),
                                     [&](const Action& each) { return each.id == id; });
    const ActionResult* result = result_of(id);
    const auto finish = [&](const char* status, std::optional<Failure> failure) {
        end(operation, status, std::move(failure));
        if (result != nullptr) consume(id);
        drop_action(id);
    };
    if (spec_.deleting)
        return finish("Canceled", failure_of(ErrorCode::cancelled, "the server is being deleted"));
    const model::InstanceReport* primary = primary_report(status_, view_.reports);
    const std::string from = action == remaining_.end() ? status_.host : action->host;
    const bool has_moved = from != status_.host && primary != nullptr && primary->member &&
                           primary->member->role == "primary" && primary->member->serves;
    // An agent that was killed in the middle is asked again, and may find it done.
    if (result != nullptr && result->failure && !has_moved)
        return finish("Failed", *result->failure);
    if (action == remaining_.end()) {
        if (auto refusal = failover_refusal(spec_, status_)) return finish("Failed", refusal);
        put_server_action(ActionKind::fail_over, status_.host, operation.id, 0);
        Action& put = decision_.put_actions.back();
        put.id = id;
        put.failover = operation.failover;
        return show_progress(operation, fmt::format("failing over from host '{}'", put.host));
    }
    const bool is_answered = result != nullptr || is_host_silent(view_.hosts, action->host);
    const bool is_late = is_older_than(operation.start_time, kFailoverDeadline, now_);
    if (has_moved && (is_answered || is_late)) return finish("Succeeded", std::nullopt);
    if (is_late)
        return finish("Failed", failure_of(ErrorCode::timeout,
                                           fmt::format("the failover from host '{}' has not come "
                                                       "about in time",
                                                       action->host),
                                           "check the state of high availability"));
    kept_results_.insert(id);
    show_progress(operation, fmt::format("failing over from host '{}'", action->host));
    ask_again_in(until(operation.start_time, now_ - kFailoverDeadline) + milliseconds(1));
}

// ---------------------------------------------------------------------------------------------
// Deletion

void Planner::plan_deletion() {
    const std::vector<std::string> hosts = hosts_with_instances(status_);
    if (hosts.empty()) return plan_removal();
    for (const Action& each : std::vector<Action>(remaining_)) {
        const bool stays =
            each.kind == ActionKind::delete_instance && each.generation == spec_.generation;
        if (!stays) drop_action(each.id);
    }
    if (is_settled()) return;
    if (status_.retry_generation != spec_.generation) forget_retries();
    if (!remaining_.empty()) give_up_waiting();
    if (is_settled()) return;
    for (const std::string& each : hosts) {
        if (is_sent(ActionKind::delete_instance, each)) continue;
        if (const milliseconds pause = until(status_.retry_at, now_); pause > milliseconds::zero())
            ask_again_in(pause);
        else
            put_server_action(ActionKind::delete_instance, each, hosts.size() > 1 ? each : "",
                              status_.retries);
    }
}

/// The instance is gone, or never was: what is left are records.
void Planner::plan_removal() {
    for (Operation& each : operations_) {
        if (each.kind == "DeleteServer")
            end(each, "Succeeded");
        else
            end(each, "Canceled",
                failure_of(ErrorCode::cancelled, "the server was deleted before this was done"));
    }
    if (view_.has_more_pending) {
        // The records go with the last operations; what this rests on stays until then.
        decision_.consumed_results.clear();
        decision_.remove_actions.clear();
        return ask_again_in(milliseconds::zero());
    }
    for (const Action& each : std::vector<Action>(remaining_)) drop_action(each.id);
    decision_.remove_server = true;
}

// ---------------------------------------------------------------------------------------------
// Databases and backups on demand

void Planner::plan_actions() {
    for (Operation& each : operations_)
        if (is_of_action(each) && each.end_time.empty()) plan_action(each);
}

std::optional<Action> Planner::action_of(const Operation& operation) const {
    static const std::map<std::string_view, ActionKind> kKinds = {
        {"CreateDatabase", ActionKind::create_database},
        {"DropDatabase", ActionKind::drop_database},
        {"CreateBackup", ActionKind::make_backup},
        {"DeleteBackup", ActionKind::drop_backup},
        {"ProveBackups", ActionKind::prove_backup}};
    const auto id = model::ResourceId::parse(operation.resource_id);
    const auto kind = kKinds.find(operation.kind);
    if (!id.ok() || id->segments.size() < 2 || kind == kKinds.end()) return std::nullopt;
    Action action;
    action.kind = kind->second;
    action.id = action_id(spec_.incarnation, operation.generation, action.kind, operation.id,
                          operation.retries);
    action.host = status_.host;
    action.server_id = view_.server_key;
    action.incarnation = spec_.incarnation;
    action.term = status_.term;
    action.generation = spec_.generation;
    if (is_backup_operation(operation)) {
        action.backup = id->name();
        action.restore_time = operation.restore_time;
        return action;
    }
    action.database = model::DatabaseSpec{operation.resource_id, id->name()};
    if (action.kind == ActionKind::drop_database) return action;
    if (operation.database) {
        action.database = operation.database;
        return action;
    }
    // An operation of an older version has it in the database's record alone.
    for (const model::DatabaseSpec& record : view_.databases) {
        if (!iequals(record.id, operation.resource_id)) continue;
        action.database = record;
        return action;
    }
    return std::nullopt;
}

std::string Planner::action_progress(const Operation& operation, const Action& action,
                                     bool is_sent) const {
    if (action.database)
        return fmt::format("{} database '{}'",
                           action.kind == ActionKind::create_database ? "creating" : "dropping",
                           action.database->name);
    if (operation.kind == "DeleteBackup") return "deleting the backup";
    if (operation.kind == "ProveBackups") return "restoring a copy, and reading all of it";
    const bool has_word =
        is_sent && report() != nullptr && report()->backups && !report()->backups->activity.empty();
    return has_word ? report()->backups->activity : "waiting for the backup's turn";
}

void Planner::plan_action(Operation& operation) {
    const std::optional<Action> action = action_of(operation);
    if (!action && operation.kind != "CreateDatabase") {
        return end(operation, "Failed",
                   failure_of(ErrorCode::not_supported,
                              fmt::format("'{}' is no known operation", operation.kind)));
    }
    if (!action) {
        return end(operation, "Canceled",
                   failure_of(ErrorCode::cancelled, "the database's record is gone"));
    }
    if (take_action_result(operation, *action)) return;
    // One thing at a time for each database and each backup, in the order of the requests.
    const bool is_next = busy_.insert(to_lower(operation.resource_id)).second;
    const bool is_elsewhere = std::any_of(
        remaining_.begin(), remaining_.end(),
        [&](const Action& each) { return each.id == action->id && each.host != action->host; });
    // Its host is the primary's no more.
    if (is_elsewhere) drop_action(action->id);
    const bool is_sent = std::any_of(remaining_.begin(), remaining_.end(),
                                     [&](const Action& each) { return each.id == action->id; });
    if (const auto refusal = action_refusal(operation, is_sent)) {
        drop_action(action->id);
        return fail_action(operation, *refusal);
    }
    const std::string progress = action_progress(operation, *action, is_sent);
    if (is_sent) return show_progress(operation, progress);
    if (!is_next || !is_settled() || !is_running())
        return show_progress(operation, "waiting for the server");
    if (const milliseconds pause = until(operation.retry_at, now_); pause > milliseconds::zero())
        return ask_again_in(pause);
    show_progress(operation, progress);
    decision_.put_actions.push_back(*action);
}

/// True if there was a result.
bool Planner::take_action_result(Operation& operation, const Action& action) {
    const ActionResult* result = result_of(action.id);
    if (result == nullptr) return false;
    consume(action.id);
    drop_action(action.id);
    if (!result->failure) {
        end(operation, "Succeeded");
    } else if (may_pass(*result->failure) && operation.retries < kRetriesMax &&
               action.kind != ActionKind::prove_backup) {  // hours, maybe
        ++operation.retries;
        const milliseconds pause = retry_pause(operation.retries);
        operation.retry_at = format_iso8601(now_ + pause);
        operation.progress = fmt::format("trying again: {}", result->failure->message);
        busy_.insert(to_lower(operation.resource_id));
        ask_again_in(pause);
    } else {
        fail_action(operation, *result->failure);
    }
    return true;
}

/// Why an operation cannot go on; none: it can, now or later.
std::optional<Failure> Planner::action_refusal(const Operation& operation, bool is_sent) const {
    if (spec_.deleting)
        return failure_of(ErrorCode::invalid_state,
                          fmt::format("server '{}' is being deleted", spec_.name));
    // What was sent has a result of its own, even if the server stops meanwhile.
    if (!spec_.running && !is_sent)
        return failure_of(ErrorCode::invalid_state,
                          fmt::format("server '{}' is stopped", spec_.name),
                          "start the server, then repeat the request");
    if (is_settled() && status_.observed_generation == 0 && !is_sent)
        return failure_of(ErrorCode::invalid_state,
                          fmt::format("server '{}' could not be created", spec_.name),
                          "repair the server first");
    // A backup may take hours once it has begun.
    const bool is_long = is_backup_operation(operation) && is_sent;
    if (is_older_than(operation.start_time, is_long ? kBackupDeadline : kDatabaseDeadline, now_))
        return failure_of(
            ErrorCode::timeout,
            is_long ? "the backup did not come about in time"
                    : fmt::format("server '{}' did not come to running in time", spec_.name),
            "check the state of the server, then repeat the request");
    return std::nullopt;
}

void Planner::fail_action(Operation& operation, Failure failure) {
    const auto id = model::ResourceId::parse(operation.resource_id);
    const bool exists =
        id.ok() && std::any_of(status_.databases.begin(), status_.databases.end(),
                               [&](const auto& each) { return each.name == id->name(); });
    end(operation, "Failed", std::move(failure));
    // A later request for the same database still needs the record.
    const bool is_wanted =
        std::any_of(operations_.begin(), operations_.end(), [&](const Operation& each) {
            return each.end_time.empty() && is_database_operation(each) &&
                   iequals(each.resource_id, operation.resource_id);
        });
    if (operation.kind == "CreateDatabase" && !exists && !is_wanted)
        remove_database(operation.resource_id);
}

// ---------------------------------------------------------------------------------------------
// Operations

void Planner::end(Operation& operation, const char* status, std::optional<Failure> failure) {
    if (!operation.end_time.empty()) return;
    operation.status = status;
    operation.failure = std::move(failure);
    operation.end_time = format_iso8601(now_);
    operation.progress.clear();
    operation.retry_at.clear();
}

void Planner::show_progress(Operation& operation, std::string text) {
    operation.progress = std::move(text);
}

/// True if an operation that waits for the wanted generation began longer ago than this.
bool Planner::is_overdue(milliseconds deadline) const {
    return std::any_of(view_.pending.begin(), view_.pending.end(), [&](const Operation& each) {
        return is_change(each) && is_older_than(each.start_time, deadline, now_);
    });
}

std::string Planner::server_progress() const {
    const auto waiting_for = [](const std::string& host) {
        return fmt::format("waiting for host '{}' to answer", host);
    };
    if (decision_.waits_for_host)
        return fmt::format("waiting for a {}host with PostgreSQL {}",
                           wants_standby(spec_) && !status_.host.empty() ? "second " : "",
                           spec_.version);
    if (const HostView* at = host(); at != nullptr && at->is_silent)
        return waiting_for(at->report.host);
    const bool is_copying = phase() == MembersPhase::pair && status_.members.is_primary_done &&
                            !status_.members.is_built && !spec_.deleting;
    if (is_copying) {
        const std::string& standby = status_.standby_host;
        if (is_host_silent(view_.hosts, standby)) return waiting_for(standby);
        const model::InstanceReport* copy = find_report(view_.reports, standby);
        const std::string detail = copy == nullptr ? "" : copy->detail;
        return fmt::format("copying to host '{}'{}{}", standby, detail.empty() ? "" : ": ", detail);
    }
    if (status_.retries > 0 && decision_.put_actions.empty() && remaining_.empty())
        return "waiting to try again";
    if (report() != nullptr && !report()->detail.empty()) return report()->detail;
    if (spec_.deleting) return "deleting the instance";
    return fmt::format("bringing PostgreSQL {} to the wanted state", spec_.version);
}

/// Of the change that failed, for everybody whose request was part of it.
Failure Planner::shared_failure() const {
    Failure failure = status_.failure.value_or(Failure{});
    const auto shares =
        std::count_if(operations_.begin(), operations_.end(), [&](const auto& each) {
            return each.end_time.empty() && is_change(each) && each.kind != "DeleteServer" &&
                   each.generation > status_.observed_generation &&
                   each.generation <= status_.failed_generation;
        });
    if (shares > 1)
        failure.hint = fmt::format(
            "{} changes were made together and none of them is in force; send again those that are "
            "not to blame",
            shares);
    return failure;
}

void Planner::end_operations() {
    const std::string progress = server_progress();
    const Failure failure = shared_failure();
    for (std::size_t i = 0; i < operations_.size(); ++i) {
        Operation& each = operations_[i];
        if (each.end_time.empty() && !each.incarnation.empty() &&
            each.incarnation != spec_.incarnation) {
            end(each, "Canceled",
                failure_of(ErrorCode::cancelled, "the server was deleted before this was done"));
        } else if (each.end_time.empty() && is_change(each)) {
            const bool is_deletion = each.kind == "DeleteServer";
            if (!is_deletion && each.generation <= status_.observed_generation)
                end(each, "Succeeded");
            else if (each.generation <= status_.failed_generation)
                end(each, "Failed", failure);
            else
                show_progress(each, progress);
        }
        if (model::to_json(each) != model::to_json(view_.pending[i]))
            decision_.operations.push_back(each);
    }
    const bool some_ended = std::any_of(operations_.begin(), operations_.end(),
                                        [](const auto& each) { return !each.end_time.empty(); });
    if (view_.has_more_pending && some_ended) ask_again_in(milliseconds::zero());
}

// ---------------------------------------------------------------------------------------------
// Revisions

/// What was answered with Failed must not happen later.
void Planner::take_back() {
    const bool has_failed = status_.failed_generation == spec_.generation;
    if (!has_failed || spec_.deleting || view_.revisions.empty()) return;
    ServerSpec before = view_.revisions.front();
    const bool is_in_force =
        before.generation > 0 && before.generation == status_.observed_generation;
    if (!is_in_force) return;
    before.generation = spec_.generation;
    // Once it was promoted it has commits of its own, and never follows again.
    const model::InstanceReport* const at = report();
    const bool is_promoted = at != nullptr && at->state == "running" && !at->replica;
    if (before.restore && before.restore->follows && is_promoted) before.restore = spec_.restore;
    if (model::to_json(before) == model::to_json(spec_)) return;
    for (const Action& each : std::vector<Action>(remaining_))
        if (each.kind == ActionKind::ensure_instance) drop_action(each.id);
    ++before.generation;
    decision_.restored_spec = std::move(before);
    ask_again_in(milliseconds::zero());
}

void Planner::keep_revisions() {
    if (decision_.remove_server || spec_.deleting) return;
    std::vector<ServerSpec> kept = view_.revisions;
    if (decision_.restored_spec) {
        kept.resize(1);
    } else if (status_.observed_generation == spec_.generation) {
        kept = {spec_};
    } else {
        while (kept.size() > 1 && kept[1].generation <= status_.observed_generation)
            kept.erase(kept.begin());
        if (kept.empty() || kept.back().generation < spec_.generation) kept.push_back(spec_);
        if (kept.size() > kRevisionsMax) kept.erase(kept.begin() + 1);
    }
    // A generation has one content for ever.
    const bool is_same = std::equal(
        kept.begin(), kept.end(), view_.revisions.begin(), view_.revisions.end(),
        [](const ServerSpec& a, const ServerSpec& b) { return a.generation == b.generation; });
    if (!is_same) decision_.revisions = std::move(kept);
}

// ---------------------------------------------------------------------------------------------
// Status

void Planner::consume_other_results() {
    if (view_.has_more_pending) return;  // a result may belong to one of those
    for (const ActionResult& each : view_.results) {
        if (consumed_.contains(each.action_id) || kept_results_.contains(each.action_id)) continue;
        consume(each.action_id);
        drop_action(each.action_id);
    }
    if (decision_.remove_server) return;
    // An action whose operation is gone has nobody to tell.
    for (const Action& each : std::vector<Action>(remaining_)) {
        const bool is_wanted =
            each.kind == ActionKind::ensure_instance || each.kind == ActionKind::delete_instance ||
            std::any_of(operations_.begin(), operations_.end(), [&](const Operation& operation) {
                if (!operation.end_time.empty()) return false;
                if (is_failover(operation)) return kept_results_.contains(each.id);
                const auto action = action_of(operation);
                return action && action->id == each.id;
            });
        if (!is_wanted) drop_action(each.id);
    }
}

std::string Planner::settled_state() const {
    // A report from before this generation says nothing about it; the result did.
    const bool has_news =
        report() != nullptr && report()->observed_generation >= status_.observed_generation;
    const std::string seen = has_news ? report()->state : "";
    if (status_.observed_generation == 0) return "Inaccessible";
    if (!spec_.running) return seen == "running" || seen == "stopping" ? "Stopping" : "Stopped";
    // Following: the other member is about to say that it is the primary.
    if (seen.empty() || seen == "running" || seen == "following") return "Ready";
    if (seen == "starting" || seen == "preparing" || seen == "stopped") return "Starting";
    if (seen == "stopping") return "Restarting";
    return "Inaccessible";
}

std::string Planner::state() const {
    if (spec_.deleting) return "Dropping";
    if (is_settled()) return settled_state();
    if (status_.observed_generation == 0) return "Provisioning";
    for (auto each = operations_.rbegin(); each != operations_.rend(); ++each)
        if (each->end_time.empty() && is_change(*each)) return word_for(each->kind);
    return "Updating";
}

void Planner::set_condition(const std::string& type, const std::string& status,
                            const std::string& reason, const std::string& message) {
    model::Condition condition{
        type, status, reason, message, format_iso8601(now_), status_.observed_generation};
    for (const model::Condition& before :
         view_.status ? view_.status->conditions : std::vector<model::Condition>{}) {
        if (before.type == type && before.status == status)
            condition.last_transition_time = before.last_transition_time;
    }
    status_.conditions.push_back(std::move(condition));
}

void Planner::set_conditions() {
    status_.conditions.clear();
    std::string message = status_.failure ? status_.failure->message : "";
    if (report() != nullptr && report()->state == "failed") message = report()->detail;
    set_condition("Ready", status_.state == "Ready" ? "True" : "False", status_.state, message);
    set_availability_condition();
    set_backup_condition();
    set_proof_condition();
    set_replica_condition();
    const HostView* at = host();
    if (at == nullptr) return;
    set_condition("HostReachable", at->is_silent ? "False" : "True",
                  at->is_silent ? "NotHeardOf" : "HeardOf",
                  at->is_silent ? fmt::format("host '{}' does not report", status_.host) : "");
    for (const model::Capability& each : at->report.capabilities) {
        if (!each.available)
            set_condition("Capability." + each.name, "False", "NotAvailable", each.reason);
    }
}

void Planner::set_availability_condition() {
    const std::string& word = status_.high_availability_state;
    if (word == "NotEnabled") return;
    std::string message;
    const std::string& standby = status_.standby_host;
    if (!standby.empty() && is_host_silent(view_.hosts, standby))
        message = fmt::format("host '{}' does not report", standby);
    else if (const auto* copy = find_report(view_.reports, standby); copy != nullptr)
        message = word == "Healthy" ? "" : copy->detail;
    set_condition("HighlyAvailable", word == "Healthy" ? "True" : "False", word, message);
}

/// Whether its last moments can be brought back. Said only where backups are kept.
void Planner::set_backup_condition() {
    const model::InstanceReport* primary = primary_report(status_, view_.reports);
    if (primary == nullptr || !primary->backups || is_replica()) return;
    if (!status_.backup_trouble.empty())
        return set_condition("BackedUp", "False", "Trouble", status_.backup_trouble);
    if (status_.restorable.empty())
        return set_condition("BackedUp", "False", "FirstBackup",
                             "the first backup is not made yet");
    const bool has_gap = status_.restorable.size() > 1;
    set_condition("BackedUp", "True", has_gap ? "WithGaps" : "EverySecond",
                  has_gap ? "some stretches between the backups cannot be restored" : "");
}

/// When its backups were last tried, and what came of it. Nothing before the first time.
void Planner::set_proof_condition() {
    if (!status_.proof) return;
    const model::ProofStatus& last = *status_.proof;
    const std::string message = fmt::format("{} ({})", last.message, last.at);
    if (last.outcome == "failed") return set_condition("Proved", "False", "NotRestored", message);
    if (is_older_than(last.good_until, milliseconds::zero(), now_))
        return set_condition("Proved", "Unknown", "TooLongAgo", message);
    if (last.outcome == "restored")
        return set_condition("Proved", "Unknown", "NothingCompared", message);
    set_condition("Proved", "True", "Restored", message);
}

void Planner::set_replica_condition() {
    if (!status_.replica) return;
    const bool is_streaming = status_.replica->is_streaming;
    set_condition("Replicating", is_streaming ? "True" : "False",
                  is_streaming ? "Streaming" : "NotConnected",
                  is_streaming ? ""
                               : "it is not connected to its source, and replays what the source "
                                 "has archived");
}

void Planner::finish_status() {
    if (decision_.remove_server) return;
    status_.state = state();
    const bool is_failing_over = std::any_of(
        operations_.begin(), operations_.end(),
        [](const Operation& each) { return is_failover(each) && each.end_time.empty(); });
    status_.high_availability_state =
        high_availability_state({spec_, status_, view_.reports, is_settled(), is_failing_over});
    set_conditions();
    if (!view_.status || model::to_json(status_) != model::to_json(*view_.status))
        decision_.status = status_;
}

/// The server's record is gone: what is left of it goes too.
ServerDecision clean_up(const ServerView& view, Timestamp now) {
    ServerDecision decision;
    for (const ActionResult& each : view.results)
        decision.consumed_results.push_back(each.action_id);
    decision.remove_actions = view.actions;
    for (Operation each : view.pending) {
        each.status = "Canceled";
        each.failure = failure_of(ErrorCode::cancelled, "the server does not exist");
        each.end_time = format_iso8601(now);
        each.progress.clear();
        decision.operations.push_back(std::move(each));
    }
    if (view.has_more_pending) decision.ask_again = milliseconds::zero();
    decision.remove_server = view.status.has_value() || !view.reports.empty();
    return decision;
}

}  // namespace

std::string action_id(const std::string& incarnation, Generation generation, ActionKind kind,
                      const std::string& subject, std::int64_t retry) {
    std::string id = fmt::format("{}-{}-{}", incarnation, generation, to_string(kind));
    if (!subject.empty()) id += "-" + subject;
    if (retry > 0) id += fmt::format("-r{}", retry);
    return id;
}

model::InstanceSpec instance_of(const ServerSpec& spec, const ServerStatus& status,
                                const std::vector<std::string>& host_names) {
    model::InstanceSpec instance;
    instance.server_id = status.server_id;
    instance.server_name = to_lower(spec.name);
    instance.incarnation = spec.incarnation;
    instance.generation = spec.generation;
    instance.major = spec.version;
    instance.administrator_login = spec.administrator_login;
    instance.administrator_verifier = spec.sealed_verifier;
    instance.password_version = spec.password_version;
    instance.running = spec.running;
    instance.restart_sequence = spec.restart_sequence;
    instance.sku = spec.sku;
    instance.storage_gb = spec.storage.size_gb;
    instance.iops = spec.storage.iops;
    for (const StorageSize& size : all_storage_sizes())
        if (instance.iops == 0 && size.size_gb >= spec.storage.size_gb) instance.iops = size.iops;
    if (const SkuInfo* sku = find_sku(spec.sku.name)) {
        instance.vcores = sku->vcores;
        instance.memory_mb = sku->memory_mb;
        instance.iops = std::min(instance.iops, sku->iops);
    }
    instance.parameters = spec.parameters;
    instance.backup.retention_days = spec.backup.retention_days;
    instance.restore = spec.restore;
    instance.host_names = host_names;
    instance.port = status.port;
    instance.public_access = spec.network.public_access != "Disabled";
    instance.firewall_rules = spec.firewall_rules;
    instance.password_logins = spec.auth.password != "Disabled";
    instance.token_logins = spec.auth.active_directory == "Enabled";
    instance.token_administrators = spec.token_administrators;
    return instance;
}

ServerDecision decide_server(const ServerView& view, Timestamp now) {
    return view.spec ? Planner(view, now).run() : clean_up(view, now);
}

}  // namespace howdah::core
