#include "control/reconcile/drill_step.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/log.h"
#include "control/reconcile/records.h"
#include "core/plan/members_plan.h"
#include "model/json.h"
#include "model/resource_id.h"
#include "store/keys.h"

namespace howdah::control {
namespace {

namespace keys = store::keys;

constexpr std::string_view kOperationName =
    "Microsoft.DBforPostgreSQL/flexibleServers/howdahDrillFailover/action";

void sooner(std::optional<Duration>& pause, const std::optional<Duration>& other) {
    if (other && (!pause || *other < *pause)) pause = other;
}

}  // namespace

struct DrillStep::Loaded {
    std::string server_key;
    model::ServerSpec spec;
    store::Revision spec_modified = 0;  ///< 0: there is no such server
    model::ServerStatus status;
    Versioned<model::DrillSchedule> schedule;
    /// In the order of time.
    std::vector<std::pair<model::Drill, store::Revision>> drills;
};

Result<std::optional<Duration>> DrillStep::run(const std::string& server_key) {
    HD_TRY(const Loaded loaded, load(server_key));
    if (loaded.spec_modified == 0) {
        HD_CHECK(remove_all(server_key));
        return std::optional<Duration>();
    }
    if (loaded.drills.empty() && !loaded.schedule.record) return std::optional<Duration>();
    HD_CHECK(remove_surplus(loaded));
    std::optional<Duration> pause;
    for (const auto& [drill, modified] : loaded.drills) {
        if (drill.status != "InProgress") continue;
        HD_TRY(const auto again, follow(loaded, drill, modified));
        sooner(pause, again);
    }
    HD_TRY(const auto again, follow_schedule(loaded));
    sooner(pause, again);
    return pause;
}

// ---------------------------------------------------------------------------------------------
// Reading and removing

Result<DrillStep::Loaded> DrillStep::load(const std::string& server_key) const {
    Loaded loaded{.server_key = server_key};
    HD_TRY(auto spec, read_record<model::ServerSpec>(store_, "/server" + server_key));
    if (!spec.record) return loaded;
    loaded.spec = std::move(*spec.record);
    loaded.spec_modified = spec.modified;
    HD_TRY(auto status, read_record<model::ServerStatus>(store_, keys::status(server_key)));
    if (status.record && status.record->incarnation == loaded.spec.incarnation)
        loaded.status = std::move(*status.record);
    HD_TRY(loaded.schedule,
           read_record<model::DrillSchedule>(store_, keys::drill_schedule(server_key)));
    HD_CHECK(for_each(store_, keys::drills_of(server_key), [&](const store::Entry& each) -> Status {
        HD_TRY(auto drill, model::from_json<model::Drill>(each.value));
        loaded.drills.emplace_back(std::move(drill), each.modified);
        return {};
    }));
    return loaded;
}

/// The server is gone.
Status DrillStep::remove_all(const std::string& server_key) const {
    for (const std::string& prefix :
         {keys::failovers_of(server_key), keys::drills_of(server_key)}) {
        for (;;) {
            HD_TRY(const auto page, store_.list(prefix, {.after = "", .limit = 100}));
            if (page.empty()) break;
            store::Transaction transaction;
            for (const store::Entry& each : page) transaction.remove(each.key);
            HD_CHECK(store_.commit(transaction));
        }
    }
    HD_TRY(const auto schedule, store_.get(keys::drill_schedule(server_key)));
    if (schedule)
        HD_CHECK(store_.commit(store::Transaction().remove(keys::drill_schedule(server_key))));
    return {};
}

/// What is of an earlier server of this name, and the oldest reports beyond the bound.
Status DrillStep::remove_surplus(const Loaded& loaded) const {
    const std::string& incarnation = loaded.spec.incarnation;
    store::Transaction transaction;
    std::size_t left = loaded.drills.size();
    for (const auto& [drill, modified] : loaded.drills) {
        const bool is_other = drill.incarnation != incarnation;
        const bool is_surplus = left > core::kDrillsMax && drill.status != "InProgress";
        if (!is_other && !is_surplus) continue;
        if (transaction.changes().size() == store::kTransactionChangesMax / 2) break;
        transaction.remove(keys::drill(loaded.server_key, drill.name));
        --left;
    }
    const auto& schedule = loaded.schedule.record;
    if (schedule && schedule->incarnation != incarnation)
        transaction.remove(keys::drill_schedule(loaded.server_key));
    if (transaction.empty()) return {};
    HD_CHECK(store_.commit(transaction));
    return Error{ErrorCode::conflict, "older reports were removed"};
}

// ---------------------------------------------------------------------------------------------
// A drill that was begun

Result<std::optional<Duration>> DrillStep::follow(const Loaded& loaded, const model::Drill& drill,
                                                  store::Revision modified) const {
    core::DrillView view{.drill = drill, .members_term = loaded.status.members.term};
    HD_TRY(auto operation,
           read_record<model::Operation>(store_, keys::operation(drill.operation_id)));
    view.operation = std::move(operation.record);
    const std::string key = keys::failover(loaded.server_key, view.members_term);
    HD_TRY(auto failover, read_record<model::FailoverRecord>(store_, key));
    if (failover.record && failover.record->incarnation != drill.incarnation)
        failover.record.reset();
    // Before it has moved on it is of an earlier one.
    const bool is_its_own = view.members_term > drill.term_before;
    if (failover.record && is_its_own) view.timeline = core::ha::timeline_of(*failover.record);
    const core::DrillProgress progress = core::follow_drill(view, clock_.wall());
    if (!progress.ended) return std::optional<Duration>(progress.ask_again);
    const std::string drill_key = keys::drill(loaded.server_key, drill.name);
    store::Transaction transaction;
    transaction.expect(drill_key, modified);
    transaction.put(drill_key, model::to_json(*progress.ended));
    if (progress.ended->term != 0) {
        if (!failover.record)
            failover.record = model::FailoverRecord{.term = progress.ended->term,
                                                    .incarnation = drill.incarnation};
        failover.record->drill = drill.name;
        transaction.expect(key, failover.modified);
        transaction.put(key, model::to_json(*failover.record));
    }
    HD_CHECK(store_.commit(transaction));
    log::info(
        "a drill has ended",
        {{"server", loaded.server_key}, {"drill", drill.name}, {"status", progress.ended->status}});
    return std::optional<Duration>();
}

// ---------------------------------------------------------------------------------------------
// The schedule

Result<std::optional<Duration>> DrillStep::follow_schedule(const Loaded& loaded) const {
    const auto& schedule = loaded.schedule.record;
    if (!schedule || loaded.spec.deleting) return std::optional<Duration>();
    HD_TRY(const auto refused, refusal(loaded));
    core::ScheduleDecision decision =
        core::decide_schedule(loaded.spec, *schedule, refused, clock_.wall());
    if (!decision.schedule) return std::optional<Duration>(decision.ask_again);
    store::Transaction transaction;
    transaction.expect("/server" + loaded.server_key, loaded.spec_modified);
    transaction.expect(keys::drill_schedule(loaded.server_key), loaded.schedule.modified);
    transaction.put(keys::drill_schedule(loaded.server_key), model::to_json(*decision.schedule));
    if (decision.drill) {
        model::Drill& drill = *decision.drill;
        if (drill.status == "InProgress") HD_CHECK(begin(transaction, loaded, drill));
        const std::string key = keys::drill(loaded.server_key, drill.name);
        transaction.expect_absent(key);
        transaction.put(key, model::to_json(drill));
    }
    HD_CHECK(store_.commit(transaction));
    if (decision.drill)
        log::info("a drill was due", {{"server", loaded.server_key},
                                      {"drill", decision.drill->name},
                                      {"status", decision.drill->status},
                                      {"reason", decision.drill->failure_message}});
    return std::optional<Duration>(decision.ask_again);
}

/// Why it cannot fail over now: as the API answers a user.
Result<std::optional<model::Failure>> DrillStep::refusal(const Loaded& loaded) const {
    if (auto refused = core::failover_refusal(loaded.spec, loaded.status)) return refused;
    HD_TRY(const auto pending,
           store_.list(keys::pending_of(loaded.server_key), {.after = "", .limit = 1}));
    if (pending.empty()) return std::optional<model::Failure>();
    return std::optional(model::Failure{
        std::string(to_string(ErrorCode::invalid_state)),
        fmt::format("cannot fail over while the server '{}' is busy processing another operation",
                    loaded.spec.name),
        ""});
}

Status DrillStep::begin(store::Transaction& transaction, const Loaded& loaded,
                        model::Drill& drill) const {
    HD_TRY(const auto id, model::ResourceId::parse(loaded.spec.id));
    const model::Operation operation =
        operations_.begin(transaction, {.kind = "FailoverServer",
                                        .subscription = id.subscription,
                                        .location = loaded.spec.location,
                                        .resource_id = loaded.spec.id,
                                        .server_key = loaded.server_key,
                                        .incarnation = loaded.spec.incarnation,
                                        .requested_by = drill.requested_by,
                                        .requester_name = drill.requester_name,
                                        .operation_name = std::string(kOperationName),
                                        .correlation_id = ids_.uuid(),
                                        .failover = drill.kind});
    drill.operation_id = operation.id;
    drill.term_before = loaded.status.members.term;
    return {};
}

}  // namespace howdah::control
