#include "core/plan/drills.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/paging.h"
#include "api/postgres/change.h"
#include "api/postgres/handlers.h"
#include "api/retry.h"
#include "base/text.h"
#include "core/plan/members_plan.h"
#include "model/json.h"
#include "store/keys.h"

// Drills: failovers that are made to see that they work, at once or by a schedule, and what is
// reported of them. control/reconcile/drill_step ends what is begun here, and follows the schedule.

namespace howdah::api::postgres {
namespace {

namespace keys = store::keys;

constexpr std::string_view kDrillsType = "howdahDrills";
constexpr std::string_view kSchedulesType = "howdahDrillSchedules";
/// A server has one schedule at most.
constexpr std::string_view kScheduleName = "default";
constexpr std::string_view kKinds[] = {"Planned", "Forced"};
constexpr std::string_view kRecurrences[] = {"Weekly", "Monthly"};

std::string caller_name(const Call& call) {
    return call.caller.is_foreign() ? call.caller.name : std::string();
}

// ---------------------------------------------------------------------------------------------
// Reports

Json drill_properties(const model::ResourceId& server, const model::Drill& drill) {
    const std::string& who = drill.requester_name;
    Json json = {{"kind", as_word(drill.kind)},
                 {"status", drill.status},
                 {"trigger", drill.window.empty() ? "Request" : "Schedule"},
                 {"requestedBy", who.empty() ? drill.requested_by : who},
                 {"startTime", drill.started_at}};
    if (!drill.window.empty()) json["windowStartTime"] = drill.window;
    if (!drill.ended_at.empty()) json["endTime"] = drill.ended_at;
    if (!drill.operation_id.empty()) json["operationId"] = drill.operation_id;
    if (drill.term != 0) {
        const std::string name = std::to_string(drill.term);
        json["failover"] = name;
        json["failoverId"] = server.child("howdahFailovers", name).to_string();
    }
    if (drill.writes_out_ms) json["writesOutMilliseconds"] = *drill.writes_out_ms;
    if (!drill.failure_message.empty())
        json["error"] = error_json(
            {error_code_from(drill.failure_code), drill.failure_message, server.to_string()});
    return json;
}

Json drill_json(const model::ResourceId& server, const model::Drill& drill) {
    const model::ResourceId id = server.child(std::string(kDrillsType), drill.name);
    return {{"id", id.to_string()},
            {"name", drill.name},
            {"type", id.type()},
            {"properties", drill_properties(server, drill)}};
}

/// planned, forced
Result<std::string> read_drill_body(const Call& call) {
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    const auto kind = body.one_of("kind", kKinds);
    body.finish();
    if (problem) return *problem;
    return to_lower(kind.value_or("Planned"));
}

}  // namespace

Answer drill_failover(Call& call) {
    HD_TRY(const std::string kind, read_drill_body(call));
    const model::ResourceId server = server_id(call);
    model::Drill drill;
    const auto add_drill = [&](store::Transaction& txn, const ServerRecord& record,
                               const model::Operation& operation) {
        drill = {.name = core::drill_name(call.context.clock.wall()),
                 .incarnation = record.spec.incarnation,
                 .kind = kind,
                 .requested_by = call.caller.app_id,
                 .requester_name = caller_name(call),
                 .operation_id = operation.id,
                 .status = "InProgress",
                 .started_at = operation.start_time,
                 .term_before = record.status.value_or(model::ServerStatus{}).members.term};
        const std::string key = keys::drill(server.key(), drill.name);
        txn.expect_absent(key);
        txn.put(key, model::to_json(drill));
    };
    HD_TRY(const model::Operation operation, begin_failover(call, kind, add_drill));
    HD_TRY(http::Response response, json_answer(202, drill_json(server, drill)));
    return with_operation(call, std::move(response), operation);
}

/// Newest first. There are so few that they fit one page.
Answer list_drills(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const SharedServer found, find_server(call, server));
    HD_TRY(const auto entries, call.context.store.list(keys::drills_of(server.key())));
    Json values = Json::array();
    for (auto each = entries.rbegin(); each != entries.rend(); ++each) {
        HD_TRY(const auto drill, model::from_json<model::Drill>(each->value));
        if (drill.incarnation == found->spec.incarnation)
            values.push_back(drill_json(server, drill));
    }
    return json_answer(200, list_body(std::move(values)));
}

Answer get_drill(Call& call) {
    const model::ResourceId server = server_id(call);
    const std::string& name = call.parameter("drillName");
    HD_TRY(const SharedServer found, find_server(call, server));
    HD_TRY(const auto entry, call.context.store.get(keys::drill(server.key(), name)));
    const Error missing = child_not_found(server.child(std::string(kDrillsType), name));
    if (!entry) return missing;
    HD_TRY(const auto drill, model::from_json<model::Drill>(entry->value));
    if (drill.incarnation != found->spec.incarnation) return missing;
    return json_answer(200, drill_json(server, drill));
}

// ---------------------------------------------------------------------------------------------
// The schedule

namespace {

Json schedule_json(const Call& call, const model::ResourceId& server, const model::ServerSpec& spec,
                   const model::DrillSchedule& schedule) {
    const model::ResourceId id =
        server.child(std::string(kSchedulesType), std::string(kScheduleName));
    const std::string& who = schedule.setter_name;
    Json properties = {{"recurrence", as_word(schedule.recurrence)},
                       {"kind", as_word(schedule.kind)},
                       {"setBy", who.empty() ? schedule.set_by : who},
                       {"setTime", schedule.set_at}};
    const auto handled = parse_iso8601(schedule.handled_until).value_or(call.context.clock.wall());
    // None while the maintenance window is the system's to choose.
    if (const auto next = core::next_window(spec.maintenance, schedule.recurrence, handled))
        properties["nextTime"] = format_iso8601(*next);
    return {{"id", id.to_string()},
            {"name", std::string(kScheduleName)},
            {"type", id.type()},
            {"properties", std::move(properties)}};
}

Result<model::DrillSchedule> read_schedule(const Call& call) {
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    model::DrillSchedule schedule;
    if (std::optional<Reader> properties = body.object("properties")) {
        schedule.recurrence = to_lower(properties->one_of("recurrence", kRecurrences).value_or(""));
        schedule.kind = to_lower(properties->one_of("kind", kKinds).value_or("Planned"));
        for (const char* each : {"setBy", "setTime", "nextTime"}) properties->read_only(each);
        properties->finish();
    }
    for (const char* each : {"id", "name", "type", "systemData"}) body.read_only(each);
    body.finish();
    if (problem) return *problem;
    if (schedule.recurrence.empty())
        return Error{ErrorCode::invalid_argument, "the field 'properties.recurrence' is required",
                     "properties.recurrence", "use Weekly or Monthly"};
    return schedule;
}

struct StoredSchedule {
    std::optional<model::DrillSchedule> schedule;  ///< none, or of this life of the server
    store::Revision modified = 0;
};

Result<StoredSchedule> find_schedule(const Call& call, const model::ServerSpec& spec) {
    const std::string& name = call.parameter("scheduleName");
    const model::ResourceId server = server_id(call);
    if (!iequals(name, kScheduleName))
        return child_not_found(server.child(std::string(kSchedulesType), name));
    HD_TRY(const auto entry, call.context.store.get(keys::drill_schedule(server.key())));
    if (!entry) return StoredSchedule{};
    HD_TRY(auto schedule, model::from_json<model::DrillSchedule>(entry->value));
    StoredSchedule stored{.modified = entry->modified};
    if (schedule.incarnation == spec.incarnation) stored.schedule = std::move(schedule);
    return stored;
}

Status check_schedule(const model::ServerSpec& spec) {
    if (spec.deleting)
        return Error{ErrorCode::conflict,
                     fmt::format("the server '{}' is being deleted", spec.name), spec.id,
                     "wait until it is gone"};
    if (!core::wants_standby(spec))
        return Error{
            ErrorCode::invalid_state,
            fmt::format("the server '{}' is not highly available and cannot fail over", spec.name),
            spec.id, "switch high availability on first"};
    if (spec.maintenance.custom == "Enabled") return ok_status();
    return Error{ErrorCode::invalid_state,
                 fmt::format("the server '{}' has no maintenance window of its own, and drills are "
                             "made in it",
                             spec.name),
                 spec.id, "set maintenanceWindow first, with customWindow Enabled"};
}

Answer try_put(const Call& call, model::DrillSchedule schedule, bool& overtaken) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const ServerRecord record, load_server(call, server));
    HD_TRY(const StoredSchedule stored, find_schedule(call, record.spec));
    HD_CHECK(check_schedule(record.spec));
    schedule.incarnation = record.spec.incarnation;
    schedule.set_by = call.caller.app_id;
    schedule.setter_name = caller_name(call);
    schedule.set_at = schedule.handled_until = call.now();
    const std::string key = keys::drill_schedule(server.key());
    store::Transaction txn;
    txn.expect(keys::server(server), record.modified);
    txn.expect(key, stored.modified);
    txn.put(key, model::to_json(schedule));
    HD_CHECK(commit_unless_overtaken(call.context.store, txn, overtaken));
    return json_answer(stored.schedule ? 200 : 201,
                       schedule_json(call, server, record.spec, schedule));
}

}  // namespace

Answer put_drill_schedule(Call& call) {
    HD_TRY(const model::DrillSchedule schedule, read_schedule(call));
    HD_TRY(const Turnstile::Pass pass, call.services.turnstile.enter(server_id(call).key()));
    return until_not_overtaken("the schedule of drills",
                               [&](bool& overtaken) { return try_put(call, schedule, overtaken); });
}

Answer get_drill_schedule(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const SharedServer record, find_server(call, server));
    HD_TRY(const StoredSchedule stored, find_schedule(call, record->spec));
    if (!stored.schedule)
        return child_not_found(
            server.child(std::string(kSchedulesType), call.parameter("scheduleName")));
    return json_answer(200, schedule_json(call, server, record->spec, *stored.schedule));
}

Answer list_drill_schedules(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const SharedServer record, find_server(call, server));
    HD_TRY(const auto entry, call.context.store.get(keys::drill_schedule(server.key())));
    Json values = Json::array();
    if (entry) {
        HD_TRY(const auto schedule, model::from_json<model::DrillSchedule>(entry->value));
        if (schedule.incarnation == record->spec.incarnation)
            values.push_back(schedule_json(call, server, record->spec, schedule));
    }
    return json_answer(200, list_body(std::move(values)));
}

/// What is under way goes on.
Answer delete_drill_schedule(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const SharedServer record, find_server(call, server));
    if (!iequals(call.parameter("scheduleName"), kScheduleName)) return empty_answer(204);
    HD_TRY(const StoredSchedule stored, find_schedule(call, record->spec));
    if (!stored.schedule) return empty_answer(204);
    store::Transaction txn;
    txn.remove(keys::drill_schedule(server.key()));
    HD_CHECK(call.context.store.commit(txn));
    return empty_answer(200);
}

}  // namespace howdah::api::postgres
