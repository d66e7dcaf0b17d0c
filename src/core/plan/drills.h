#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "core/ha/failover_timeline.h"
#include "model/failovers.h"
#include "model/records.h"

/// Drills: failovers that show that failovers work. When one is due and what is said of one that
/// has ended. Pure; control/reconcile/drill_step carries it out, through the same operation as a
/// user's failover.
namespace howdah::core {

/// As in Azure; times are UTC, Sunday is day 0.
inline constexpr std::chrono::milliseconds kMaintenanceWindowLength = std::chrono::hours(1);
/// The members tell what they know within seconds; a drill waits no longer for it.
inline constexpr std::chrono::milliseconds kTimelineDeadline = std::chrono::seconds(30);
/// Of a server; beyond that the oldest report goes.
inline constexpr std::size_t kDrillsMax = 50;

/// Names are in the order of time: "20261122-033000-000".
std::string drill_name(Timestamp time);

/// The first start of a maintenance window after `after`: of every week, or the first one of every
/// month. None if the window is the system's to choose, as there is none then.
std::optional<Timestamp> next_window(const model::MaintenanceWindow& window,
                                     std::string_view recurrence, Timestamp after);

/// What a schedule leads to.
struct ScheduleDecision {
    /// To write, together with `schedule`; InProgress: its failover is to be begun in the same
    /// transaction, else it was skipped and says why.
    std::optional<model::Drill> drill;
    std::optional<model::DrillSchedule> schedule;
    std::optional<std::chrono::milliseconds> ask_again;
};
/// `refusal`: why the server cannot fail over now; none: it can. A window that nobody was there to
/// see is over and is skipped; so is one that finds a server which cannot fail over: no drill is
/// forced upon it, and none is tried again before the next window.
ScheduleDecision decide_schedule(const model::ServerSpec& spec,
                                 const model::DrillSchedule& schedule,
                                 const std::optional<model::Failure>& refusal, Timestamp now);

/// What is known of a drill that was begun.
struct DrillView {
    const model::Drill& drill;
    std::optional<model::Operation> operation;     ///< none: it is not known any more
    model::Term members_term = 0;                  ///< of the server's status
    std::optional<ha::FailoverTimeline> timeline;  ///< of that term
};
struct DrillProgress {
    std::optional<model::Drill> ended;
    std::optional<std::chrono::milliseconds> ask_again;
};
/// It ends when its operation has, and the members have told all or their time is over.
DrillProgress follow_drill(const DrillView& view, Timestamp now);

}  // namespace howdah::core
