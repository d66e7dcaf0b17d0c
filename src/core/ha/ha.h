#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/lsn.h"

/// Who of a highly available server's members may do what: a table of rules over what one member's
/// agent knows. Pure; the agent and the simulator (test/sim) run the same table.
///
/// What safety rests on (docs/ha.md): a commit is acknowledged only when every member of the
/// record's sync_set has it on disk; the sync_set shrinks in the store before PostgreSQL is told,
/// and grows after PostgreSQL provably waits; only a member of the sync_set is promoted. Leases and
/// promises limit outages and stale reads and nothing else.
namespace howdah::core::ha {

using Term = std::int64_t;

/// One data directory on one node. A directory that was cloned again or rewound is another member.
struct MemberId {
    std::string node;
    std::string incarnation;

    friend auto operator<=>(const MemberId&, const MemberId&) = default;
};
using Members = std::set<MemberId>;

/// Positions are compared within one history only.
using core::Lsn;

/// Where a promotion left the timeline before. PostgreSQL's own timeline numbers can collide after
/// a crash, terms cannot.
struct Switch {
    Term term = 0;
    Lsn at = 0;

    friend bool operator==(const Switch&, const Switch&) = default;
};
using Timelines = std::vector<Switch>;  ///< oldest first

/// What the store knows of one server; changed only by compare-and-swap.
struct Record {
    Term term = 0;
    MemberId primary;
    /// Whose flush every acknowledged commit of this term waited for, beside the primary's.
    Members sync_set;
    /// Up to the last one that its primary has noted.
    Timelines timelines;
    /// Who is to become primary, in a planned switchover.
    std::optional<MemberId> successor;
    /// Directories that their agents are about to replace, or have: the newest of each node. They
    /// are never of the sync_set again.
    Members given_up;
    bool wants_standby = true;  ///< high availability is switched on

    bool is_noted() const { return !timelines.empty() && timelines.back().term == term; }

    friend bool operator==(const Record&, const Record&) = default;
};

/// The own PostgreSQL as it was just seen.
enum class Postgres { absent, stopped, starting, standby, primary };
/// The own directory beside the noted timelines of the record.
enum class History {
    fits,
    diverged,  ///< it has WAL of its own behind a noted switch: rewind
    unknown,   ///< a timeline that the record does not know: only a new clone is sure
};

/// Another member, as far as this one sees it.
struct Peer {
    MemberId id;
    /// Its lease may have been renewed within the time to live: that of one which was only read of
    /// counts as just renewed.
    bool is_alive = false;
    bool has_renewed = false;    ///< alive, and this agent has seen the lease move
    bool is_streaming = false;   ///< from the own PostgreSQL, within the patience for a standby
    bool has_caught_up = false;  ///< flushed the end of WAL as it was once PostgreSQL waited for it
    bool has_promised = false;   ///< not to promote itself beyond this term, and that still runs
};

/// All that one member's agent knows when it decides. Times have become yes and no by its own
/// clock.
struct View {
    MemberId self;
    /// As last read; while the store does not answer, with every member added that the own change
    /// in doubt may have added: the strictest that can be true.
    std::optional<Record> record;
    bool store_answers = false;    ///< `record` was read for this decision
    bool lease_holds = false;      ///< the own one, by the time before its renewal was sent
    bool change_in_doubt = false;  ///< an own compare-and-swap without an answer may still happen
    Postgres postgres = Postgres::absent;
    bool is_silent = false;  ///< it did not answer just now: what it does is what was known last
    bool is_hung = false;    ///< it has been silent for too long
    /// A user has it started, or started anew, here: that is no reason to leave the primary's
    /// place.
    bool is_asked_to_start = false;
    Term own_term = 0;  ///< that began the timeline of the own directory
    /// Whom PostgreSQL was told to wait for, last.
    Members told;
    /// Whom it provably waits for at every commit, at least; none: nothing is proved since its
    /// start. Until what it was told last is proved: those that are in both.
    std::optional<Members> waits_for;
    bool receives = false;  ///< a WAL receiver is there
    std::optional<MemberId> follows;
    bool replay_is_paused = false;
    bool has_promised = false;  ///< the own promise to the record's primary still runs
    History history = History::fits;
    /// It has tried for long, and neither starts nor gets anything of a primary that lives: the WAL
    /// that it misses is gone, or its own files are broken.
    bool is_hopeless = false;
    /// What a crash recovery brought back may not be on every member of the sync_set yet.
    bool recovery_is_exposed = false;
    std::vector<Peer> peers;
};

enum class Action {
    wait,
    stop_now,       ///< SIGKILL, in a loop until nothing is left
    stop_clean,     ///< with a shutdown checkpoint that reaches the standby
    start_primary,  ///< waiting for `names`
    start_standby,  ///< of the record's primary; alone if that is this member
    follow,         ///< a running standby turns to the record's primary
    cut,            ///< the stream from the old primary, and prove that the receiver is gone
    promote,
    set_sync,          ///< PostgreSQL is to wait for `names`; then prove it
    grow,              ///< compare-and-swap: `peer` is of the sync_set
    shrink,            ///< compare-and-swap: `peer` is no more
    hand_over,         ///< compare-and-swap: next term, `peer` is the primary
    take_over,         ///< compare-and-swap: next term, this member is the primary
    note_timeline,     ///< compare-and-swap
    touch,             ///< compare-and-swap that changes nothing, so that no older one can happen
    forget_successor,  ///< compare-and-swap
    give_up,           ///< compare-and-swap: nobody is to count on the own directory again
    rewind,            ///< of a directory that was given up
    clone,             ///< likewise, or without one
};

enum class Section { fence, lead, follow, succeed };

/// One row of the table.
struct Rule {
    std::string_view id;
    Section section;
    bool (*holds)(const View&);
    Action action;
    std::string_view reason;
    /// Taking this row out loses commits, shows reads that are undone or old, or leaves the server
    /// for ever without what the row is for; the simulator proves it.
    bool is_safety = false;
};

struct Decision {
    const Rule* rule = nullptr;  ///< none: nothing is to be done
    Action action = Action::wait;
    std::optional<MemberId> peer = std::nullopt;
    Members names = {};
};

/// In the order in which they are asked.
std::span<const Rule> rules();

/// The first rule that holds; of the whole table there is always one.
Decision decide(const View& view, std::span<const Rule> table = rules());

/// Whether clients may be let in to the own PostgreSQL.
bool may_serve(const View& view);

/// The place of a directory in the history that the store knows. `own` are the switches that the
/// directory went through, `end` is where its WAL ends.
History history_of(const Timelines& own, Lsn end, const Timelines& noted);
/// Up to where a directory and the noted history are the same; for a rewind.
Lsn common_end(const Timelines& own, Lsn end, const Timelines& noted);

/// The record of the term in which `primary` takes over: nobody is waited for yet.
Record next_term(Record record, const MemberId& primary);
/// The record in which `member` has given its directory up.
Record without(Record record, const MemberId& member);

std::string_view to_string(Action action);
std::string_view to_string(Section section);

}  // namespace howdah::core::ha
