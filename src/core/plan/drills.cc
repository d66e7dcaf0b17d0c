#include "core/plan/drills.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/error.h"

namespace howdah::core {
namespace {

using namespace std::chrono;

constexpr int kDaysPerWeek = 7;

bool is_first_of_month(sys_days day) {
    return static_cast<unsigned>(year_month_day(day).day()) <= kDaysPerWeek;
}

Timestamp time_or(const std::string& text, Timestamp otherwise) {
    return parse_iso8601(text).value_or(otherwise);
}

model::Drill begun_by(const model::DrillSchedule& schedule, Timestamp window, Timestamp now) {
    return {.name = drill_name(window),
            .incarnation = schedule.incarnation,
            .kind = schedule.kind,
            .window = format_iso8601(window),
            .requested_by = schedule.set_by,
            .requester_name = schedule.setter_name,
            .status = "InProgress",
            .started_at = format_iso8601(now)};
}

void skip(model::Drill& drill, const model::Failure& reason, Timestamp now) {
    drill.status = "Skipped";
    drill.failure_code = reason.code;
    drill.failure_message = reason.message;
    drill.ended_at = format_iso8601(now);
}

}  // namespace

std::string drill_name(Timestamp time) {
    // 2026-11-22T03:30:00.000Z
    std::string digits;
    for (const char c : format_iso8601(time))
        if (c >= '0' && c <= '9') digits += c;
    return fmt::format("{}-{}-{}", digits.substr(0, 8), digits.substr(8, 6), digits.substr(14));
}

std::optional<Timestamp> next_window(const model::MaintenanceWindow& window,
                                     std::string_view recurrence, Timestamp after) {
    if (window.custom != "Enabled") return std::nullopt;
    const weekday wanted(static_cast<unsigned>(window.day_of_week));
    const auto start = hours(window.start_hour) + minutes(window.start_minute);
    sys_days day = floor<days>(after);
    day += wanted - weekday(day);
    while (Timestamp(day + start) <= after || (recurrence == "monthly" && !is_first_of_month(day)))
        day += days(kDaysPerWeek);
    return Timestamp(day + start);
}

ScheduleDecision decide_schedule(const model::ServerSpec& spec,
                                 const model::DrillSchedule& schedule,
                                 const std::optional<model::Failure>& refusal, Timestamp now) {
    const Timestamp handled = time_or(schedule.handled_until, now);
    std::optional<Timestamp> window = next_window(spec.maintenance, schedule.recurrence, handled);
    if (!window) return {};
    if (now < *window) return {.ask_again = *window - now};
    // Of several that are over the last one counts.
    for (auto later = window; later && *later <= now;
         later = next_window(spec.maintenance, schedule.recurrence, *window))
        window = later;
    ScheduleDecision decision{.drill = begun_by(schedule, *window, now), .schedule = schedule};
    decision.schedule->handled_until = format_iso8601(*window);
    decision.ask_again = *next_window(spec.maintenance, schedule.recurrence, *window) - now;
    const bool is_over = now >= *window + kMaintenanceWindowLength;
    // It was no window of the server then.
    if (is_over && time_or(spec.system_data.last_modified_at, *window) > *window)
        decision.drill.reset();
    else if (is_over)
        skip(*decision.drill,
             {std::string(to_string(ErrorCode::unavailable)),
              "howdahd did not run, or could not, in this maintenance window", ""},
             now);
    else if (refusal)
        skip(*decision.drill, *refusal, now);
    return decision;
}

DrillProgress follow_drill(const DrillView& view, Timestamp now) {
    model::Drill ended = view.drill;
    ended.ended_at = format_iso8601(now);
    if (!view.operation) {
        ended.status = "Failed";
        ended.failure_code = to_string(ErrorCode::not_found);
        ended.failure_message = "what became of its operation is not known any more";
        return {.ended = ended};
    }
    const model::Operation& operation = *view.operation;
    if (operation.end_time.empty()) return {};  // its end is seen
    if (operation.status != "Succeeded") {
        ended.status = "Failed";
        ended.ended_at = operation.end_time;
        if (operation.failure) {
            ended.failure_code = operation.failure->code;
            ended.failure_message = operation.failure->message;
        }
        return {.ended = ended};
    }
    const bool is_told = view.timeline && view.timeline->is_complete;
    const auto until = time_or(operation.end_time, now) + kTimelineDeadline - now;
    if (!is_told && until > milliseconds::zero()) return {.ask_again = until};
    ended.status = "Succeeded";
    ended.ended_at = operation.end_time;
    if (view.members_term > view.drill.term_before) ended.term = view.members_term;
    if (view.timeline && view.timeline->writes_out)
        ended.writes_out_ms = view.timeline->writes_out->milliseconds();
    return {.ended = ended};
}

}  // namespace howdah::core
