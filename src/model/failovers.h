#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What is written down about each change of a highly available server's primary, and about drills:
/// changes that somebody asked for in order to see that they work. Members tell what they saw and
/// did (core/ha/failover_tracker.h); core/ha/failover_timeline.h makes one story of it. What is not
/// known is empty or none.
namespace howdah::model {

/// One thing that a member saw or did.
struct FailoverStep {
    std::int64_t at_ms = 0;  ///< since 1970, by the clock of the member's host
    std::string kind;        ///< a word of core/ha/failover_tracker.h
    std::string rule;        ///< of core/ha, that led to it; empty: none
    std::string text;        ///< what was seen or done and why, one sentence
    std::string position;    ///< in the WAL, "16/B374D848"
    bool operator==(const FailoverStep&) const = default;
};

/// What one member knows of the change that began a term.
struct FailoverPart {
    std::int64_t term = 0;
    std::string host;         ///< filled in by the fleet
    std::string old_primary;  ///< hosts
    std::string new_primary;
    bool is_over = false;  ///< there is nothing more to come

    // Told by the new primary.
    bool was_in_sync_set = false;  ///< every commit before waited for it
    std::string received;          ///< up to here it had WAL when nothing could come any more
    std::string switched_at;       ///< where its own timeline begins

    // Told by the old primary when it is back.
    std::optional<std::int64_t> discarded_bytes;  ///< its WAL behind the switch
    std::string kept_at;  ///< the folder that has it; empty: none has it any more

    std::vector<FailoverStep> steps;  ///< in the order of time
    bool operator==(const FailoverPart&) const = default;
};

/// The file of a member, and what a control plane keeps of one term: at most one part for each
/// host.
struct FailoverParts {
    std::vector<FailoverPart> parts;
};
struct FailoverRecord {
    std::int64_t term = 0;
    std::string incarnation;  ///< of the server
    std::string drill;        ///< the name of the drill that caused it; empty: none
    std::vector<FailoverPart> parts;
};

/// A failover that was made to see that it works, or could not be made.
struct Drill {
    std::string name;
    std::string incarnation;
    std::string kind;            ///< planned, forced
    std::string window;          ///< of a scheduled one: when its maintenance window began
    std::string requested_by;    ///< app id; of a scheduled one: who made the schedule
    std::string requester_name;  ///< as the activity log shows him; empty: requested_by
    std::string operation_id;    ///< empty: none was begun
    std::string status;          ///< InProgress, Succeeded, Failed, Skipped
    std::string started_at;
    std::string ended_at;
    std::string failure_code;  ///< of Failed and Skipped
    std::string failure_message;
    std::int64_t term_before = 0;
    std::int64_t term = 0;                      ///< that it began; 0: none
    std::optional<std::int64_t> writes_out_ms;  ///< as the members know it
};

/// When drills are made without being asked for.
struct DrillSchedule {
    std::string incarnation;
    std::string recurrence;  ///< weekly; monthly: in the first window of a month
    std::string kind;        ///< planned, forced
    std::string set_by;      ///< app id
    std::string setter_name;
    std::string set_at;
    std::string handled_until;  ///< windows that began before or then are done with
};

}  // namespace howdah::model
