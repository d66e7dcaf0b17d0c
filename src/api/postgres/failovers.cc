#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/paging.h"
#include "api/postgres/handlers.h"
#include "api/postgres/view.h"
#include "base/text.h"
#include "core/ha/failover_timeline.h"
#include "model/json.h"
#include "store/keys.h"

// What happened in each failover of a server. Read only; the members of the server tell it.

namespace howdah::api::postgres {
namespace {

using core::ha::FailoverTimeline;
using core::ha::TimelineStep;

constexpr std::string_view kType = "howdahFailovers";

std::string time_text(std::int64_t ms) {
    return format_iso8601(Timestamp(std::chrono::milliseconds(ms)));
}

Json step_json(const TimelineStep& step) {
    Json json = {{"time", time_text(step.step.at_ms)},
                 {"host", step.host},
                 {"kind", as_word(step.step.kind)},
                 {"text", step.step.text}};
    if (!step.step.rule.empty()) json["rule"] = step.step.rule;
    if (!step.step.position.empty()) json["walPosition"] = step.step.position;
    return json;
}

void add_step(Json& properties, std::string_view name, const std::optional<TimelineStep>& step) {
    if (step) properties[std::string(name)] = step_json(*step);
}

void add_time(Json& properties, std::string_view name, std::optional<std::int64_t> ms) {
    if (ms) properties[std::string(name)] = time_text(*ms);
}

Json properties_of(const FailoverTimeline& timeline, const std::string& drill) {
    Json json = {{"term", timeline.term}, {"kind", as_word(timeline.kind)}};
    if (!drill.empty()) json["drill"] = drill;
    if (!timeline.old_primary.empty()) json["oldPrimary"] = timeline.old_primary;
    if (!timeline.new_primary.empty()) json["newPrimary"] = timeline.new_primary;
    add_step(json, "firstSign", timeline.first_sign);
    add_step(json, "takeOver", timeline.take_over);
    add_step(json, "oldPrimaryStopped", timeline.old_primary_stopped);
    add_time(json, "promotedTime", timeline.promoted_ms);
    add_time(json, "openedTime", timeline.opened_ms);
    if (const auto& out = timeline.writes_out)
        json["writesOut"] = {{"from", time_text(out->from_ms)},
                             {"fromStep", as_word(out->from_kind)},
                             {"to", time_text(out->to_ms)},
                             {"milliseconds", out->milliseconds()}};
    if (timeline.acknowledged_commits_lost)
        json["acknowledgedCommitsLost"] = *timeline.acknowledged_commits_lost;
    if (timeline.discarded_bytes) json["discardedWalBytes"] = *timeline.discarded_bytes;
    if (!timeline.kept_at.empty()) json["discardedWalKeptAt"] = timeline.kept_at;
    json["complete"] = timeline.is_complete;
    Json steps = Json::array();
    for (const TimelineStep& each : timeline.steps) steps.push_back(step_json(each));
    json["steps"] = std::move(steps);
    return json;
}

Json failover_json(const model::ResourceId& server, const model::FailoverRecord& record) {
    const std::string name = std::to_string(record.term);
    const model::ResourceId id = server.child(std::string(kType), name);
    return {{"id", id.to_string()},
            {"name", name},
            {"type", id.type()},
            {"properties", properties_of(core::ha::timeline_of(record), record.drill)}};
}

}  // namespace

/// Newest first. There are so few that they fit one page.
Answer list_failovers(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const SharedServer found, find_server(call, server));
    HD_TRY(const auto entries, call.context.store.list(store::keys::failovers_of(server.key())));
    Json values = Json::array();
    for (auto each = entries.rbegin(); each != entries.rend(); ++each) {
        HD_TRY(const auto record, model::from_json<model::FailoverRecord>(each->value));
        if (record.incarnation != found->spec.incarnation || record.parts.empty()) continue;
        values.push_back(failover_json(server, record));
    }
    return json_answer(200, list_body(std::move(values)));
}

Answer get_failover(Call& call) {
    const model::ResourceId server = server_id(call);
    const std::string& name = call.parameter("failoverName");
    HD_TRY(const SharedServer found, find_server(call, server));
    const Error missing = child_not_found(server.child(std::string(kType), name));
    const auto term = parse_integer(name, 1, INT64_MAX);
    if (!term.ok() || std::to_string(*term) != name) return missing;
    HD_TRY(const auto entry, call.context.store.get(store::keys::failover(server.key(), *term)));
    if (!entry) return missing;
    HD_TRY(const auto record, model::from_json<model::FailoverRecord>(entry->value));
    if (record.incarnation != found->spec.incarnation || record.parts.empty()) return missing;
    return json_answer(200, failover_json(server, record));
}

}  // namespace howdah::api::postgres
