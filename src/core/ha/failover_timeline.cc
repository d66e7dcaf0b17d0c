#include "core/ha/failover_timeline.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/ha/failover_tracker.h"

namespace howdah::core::ha {
namespace {

using model::FailoverPart;
using model::FailoverRecord;
using Steps = std::vector<TimelineStep>;

/// From when on an old primary was seen not to acknowledge.
constexpr std::array kStops = {step::kStopAsked, step::kPostgresEnded, step::kLastAnswer,
                               step::kStreamEnded, step::kOldPrimaryStopped};

const TimelineStep* find(const Steps& steps, std::string_view kind) {
    const auto found = std::find_if(steps.begin(), steps.end(), [&](const TimelineStep& each) {
        return each.step.kind == kind;
    });
    return found == steps.end() ? nullptr : &*found;
}

std::optional<TimelineStep> copy_of(const TimelineStep* step) {
    return step == nullptr ? std::nullopt : std::optional(*step);
}

std::optional<std::int64_t> time_of(const TimelineStep* step) {
    return step == nullptr ? std::nullopt : std::optional(step->step.at_ms);
}

/// Of equal times the new primary's come last, so that a cause stands before what follows from it.
Steps steps_of(const FailoverRecord& record) {
    std::vector<const FailoverPart*> parts;
    for (const FailoverPart& each : record.parts) parts.push_back(&each);
    std::sort(parts.begin(), parts.end(), [](const FailoverPart* a, const FailoverPart* b) {
        const bool is_a_new = a->host == a->new_primary;
        const bool is_b_new = b->host == b->new_primary;
        return is_a_new != is_b_new ? is_b_new : a->host < b->host;
    });
    Steps steps;
    for (const FailoverPart* part : parts)
        for (const model::FailoverStep& each : part->steps) steps.push_back({part->host, each});
    std::stable_sort(steps.begin(), steps.end(), [](const TimelineStep& a, const TimelineStep& b) {
        return a.step.at_ms < b.step.at_ms;
    });
    return steps;
}

std::string kind_of(const Steps& steps) {
    if (find(steps, step::kPlannedAsked) != nullptr) return "planned";
    return find(steps, step::kForcedAsked) != nullptr ? "forced" : "unplanned";
}

std::optional<WritesOut> writes_out_of(const Steps& steps) {
    const TimelineStep* opened = find(steps, step::kOpened);
    if (opened == nullptr) return std::nullopt;
    const auto is_stop = [](const TimelineStep& each) {
        return std::find(kStops.begin(), kStops.end(), each.step.kind) != kStops.end();
    };
    const auto first = std::find_if(steps.begin(), steps.end(), is_stop);
    const TimelineStep* from = first == steps.end() ? find(steps, step::kLastRenewal) : &*first;
    if (from == nullptr || from->step.at_ms > opened->step.at_ms) return std::nullopt;
    return WritesOut{from->step.at_ms, from->step.kind, opened->step.at_ms};
}

void add_part(FailoverTimeline& timeline, const FailoverPart& part) {
    const bool is_new = part.host == part.new_primary;
    if (timeline.old_primary.empty()) timeline.old_primary = part.old_primary;
    if (timeline.new_primary.empty()) timeline.new_primary = part.new_primary;
    if (is_new) {
        const bool is_proved = part.was_in_sync_set && !part.switched_at.empty();
        if (is_proved) timeline.acknowledged_commits_lost = 0;
        return;
    }
    timeline.discarded_bytes = part.discarded_bytes;
    timeline.kept_at = part.kept_at;
}

}  // namespace

FailoverTimeline timeline_of(const FailoverRecord& record) {
    FailoverTimeline timeline{.term = record.term};
    timeline.steps = steps_of(record);
    const Steps& steps = timeline.steps;
    timeline.kind = kind_of(steps);
    for (const FailoverPart& each : record.parts) add_part(timeline, each);
    if (!steps.empty()) timeline.first_sign = steps.front();
    timeline.take_over = copy_of(find(steps, step::kTakenOver));
    if (!timeline.take_over) timeline.take_over = copy_of(find(steps, step::kHandedOver));
    if (!timeline.take_over) timeline.take_over = copy_of(find(steps, step::kRecordSeen));
    timeline.old_primary_stopped = copy_of(find(steps, step::kOldPrimaryStopped));
    timeline.promoted_ms = time_of(find(steps, step::kPromoted));
    timeline.opened_ms = time_of(find(steps, step::kOpened));
    timeline.writes_out = writes_out_of(steps);
    timeline.is_complete = record.parts.size() >= 2 &&
                           std::all_of(record.parts.begin(), record.parts.end(),
                                       [](const FailoverPart& each) { return each.is_over; });
    return timeline;
}

void merge_part(FailoverRecord& record, FailoverPart part) {
    for (FailoverPart& each : record.parts) {
        if (each.host != part.host) continue;
        each = std::move(part);
        return;
    }
    if (record.parts.size() < kRecordPartsMax) record.parts.push_back(std::move(part));
}

}  // namespace howdah::core::ha
