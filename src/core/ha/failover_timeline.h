#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/failovers.h"

/// One story of a change of the primary, from what its members have noted. Pure. What no member
/// knows is none or empty: nothing is guessed.
///
/// Times are of the calendars of the members' hosts. Where the hosts are two machines, what lies
/// between a step of one and a step of the other is wrong by as much as their clocks differ.
namespace howdah::core::ha {

struct TimelineStep {
    std::string host;
    model::FailoverStep step;
    bool operator==(const TimelineStep&) const = default;
};

/// No commit could be acknowledged, as far as the members know: at least from the first sign that
/// the old primary had stopped until the new one let clients in. Commits may have ended a little
/// after a stop was asked for, or before a stream ended.
struct WritesOut {
    std::int64_t from_ms = 0;
    std::string from_kind;  ///< of the step that it begins with
    std::int64_t to_ms = 0;
    std::int64_t milliseconds() const { return to_ms - from_ms; }
    bool operator==(const WritesOut&) const = default;
};

struct FailoverTimeline {
    std::int64_t term = 0;
    std::string kind;  ///< planned, forced; unplanned: no member knows that somebody asked for it
    std::string old_primary;
    std::string new_primary;
    std::optional<TimelineStep> first_sign;
    std::optional<TimelineStep> take_over;  ///< how the record got its new primary
    /// From here on the old primary could not be acknowledged: that is what the new one proved
    /// before its promotion.
    std::optional<TimelineStep> old_primary_stopped;
    std::optional<std::int64_t> promoted_ms;
    std::optional<std::int64_t> opened_ms;
    std::optional<WritesOut> writes_out;  ///< none also where clocks contradict each other
    /// 0 if the member that was promoted was of the sync_set, so that every acknowledged commit had
    /// waited for its disk, and its promotion, which replays all that it has, was seen to end. In
    /// any other case nobody knows.
    std::optional<std::int64_t> acknowledged_commits_lost;
    std::optional<std::int64_t> discarded_bytes;
    std::string kept_at;
    bool is_complete = false;         ///< both members have told all
    std::vector<TimelineStep> steps;  ///< in the order of time
    bool operator==(const FailoverTimeline&) const = default;
};

FailoverTimeline timeline_of(const model::FailoverRecord& record);

/// The record with the parts of one host replaced by a newer one. At most `kRecordPartsMax` parts.
inline constexpr std::size_t kRecordPartsMax = 4;
void merge_part(model::FailoverRecord& record, model::FailoverPart part);

}  // namespace howdah::core::ha
