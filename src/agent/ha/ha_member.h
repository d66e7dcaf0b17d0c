#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "agent/ha/fence.h"
#include "agent/ha/lease_keeper.h"
#include "agent/ha/member_postgres.h"
#include "agent/ha/member_state.h"
#include "base/clock.h"
#include "base/id.h"
#include "core/ha/failover_tracker.h"
#include "core/ha/ha.h"
#include "os/fd.h"
#include "store/ha/ha_records.h"

namespace howdah::agent {

/// One member of a highly available server: looks at its PostgreSQL and at the record, asks the
/// table of core/ha what is to be done, and does that one thing. docs/ha.md has the protocol.
///
/// It needs the records and nobody else; while they do not answer, the table says what may go on.
/// Run run() in a thread of its own; view() may be called by any. Ending run() leaves PostgreSQL
/// running: whoever comes next goes on from the files.
class HaMember {
  public:
    /// Between two looks while nothing happens; what happens is seen at once.
    static constexpr Duration kTick = std::chrono::milliseconds(50);
    /// Between two actions, so that one that has no effect does not keep a processor busy.
    static constexpr Duration kActionPause = std::chrono::milliseconds(2);
    /// Without an answer for this long and at so many looks, PostgreSQL hangs. The looks are for an
    /// agent that was itself kept from looking.
    static constexpr Duration kHang = std::chrono::milliseconds(1200);
    static constexpr int kHangLooks = 3;
    /// A standby that has not kept up for this long is lost: commits waited for it all that time.
    static constexpr Duration kStandbyPatience = std::chrono::milliseconds(1500);
    /// A receiver that does not end by itself is ended after this.
    static constexpr Duration kReceiverMax = std::chrono::milliseconds(50);
    /// A standby that receives nothing for this long asks anew where its primary is.
    static constexpr Duration kDeafMax = std::chrono::seconds(5);
    /// A standby that gets nothing of a primary that lives for this long, or fails to start so
    /// often, is of no use: it is copied anew.
    static constexpr Duration kHopelessMax = std::chrono::minutes(2);
    static constexpr int kFailedStartsMax = 20;
    /// What PostgreSQL was told and has not loaded is told again.
    static constexpr Duration kRetellEvery = std::chrono::milliseconds(500);
    /// A clean stop that takes longer is none: the standby has what was acknowledged anyway.
    static constexpr Duration kCleanStopMax = std::chrono::seconds(5);
    /// A new agent decides nothing before its lease could be renewed, but no longer than this: a
    /// primary that runs well must not be ended because its agent was started anew.
    static constexpr Duration kFirstLeaseMax = std::chrono::seconds(1);
    /// After an action failed.
    static constexpr Duration kRetryPauseMin = std::chrono::milliseconds(20);
    static constexpr Duration kRetryPauseMax = std::chrono::seconds(5);
    /// The same while PostgreSQL runs: the fence of a primary must hear of each renewal of the
    /// lease, and who is to take over must not be late.
    static constexpr Duration kRetryPauseRunning = std::chrono::milliseconds(100);

    struct Options {
        std::string server;  ///< names the record
        MemberAddress address;
        MemberPostgres::Options postgres;
        std::string state_path;
        std::string fence_path;
        std::string failovers_path;  ///< what it tells of failovers
        /// This one makes the record if there is none: its directory is the server's first.
        bool is_founder = false;
        core::ha::Term first_term = 1;  ///< of that record: later than any term before
        /// It was stopped because a user wished it, and is to go on in the place that it had.
        bool is_asked_to_start = false;
    };

    /// What others may know of the member at any time.
    struct View {
        core::ha::MemberId self;
        std::optional<core::ha::Record> record;  ///< as last read
        core::ha::Postgres postgres = core::ha::Postgres::absent;
        bool serves = false;  ///< clients may be let in
        PostmasterId run;     ///< the postmaster that they may be let in to
        std::string detail;   ///< what takes long or does not work, one sentence; empty: nothing
        bool did_not_start = false;  ///< PostgreSQL, when it was last tried
        /// What it tells of failovers, oldest first; another object when there is news.
        std::shared_ptr<const std::vector<model::FailoverPart>> failovers;

        bool leads() const { return record && record->primary == self; }
    };

    /// `changed` is called on run()'s thread when anything of the view changes that others may
    /// know; it must return only when clients are let in and kept out accordingly. All borrowed.
    HaMember(Options options, store::HaRecords& records, const LeaseKeeper& lease, IdSource& ids,
             const Clock& clock, std::function<void(const View&)> changed);

    /// Reads what was written down. `corrupt`: it cannot be read, and nothing may be done.
    Status load();
    void run(std::stop_token stop);
    View view() const;
    /// run() looks at once.
    void wake();

    // What a user wishes, one at a time, while run() runs. Each returns when it has come about or
    // cannot; `timeout` if it is still under way after `patience`, and may yet happen.

    /// Stops PostgreSQL cleanly and starts it in the place that it has: no failover, unless it does
    /// not start any more.
    Status restart(Duration patience);
    /// Another member becomes primary: at a clean end, or at once. `invalid_state`: this is no
    /// primary, or nobody can follow.
    Status fail_over(bool is_planned, Duration patience);
    /// The primary goes on alone for good, and takes no new standby.
    Status leave(Duration patience);
    /// It takes standbys again: the other way round, after a leave() that was not followed through.
    Status stay(Duration patience);

    /// Takes this member, and the record if it is the primary's, out of the records. REQUIRES:
    /// run() has ended.
    Status forget();

  private:
    enum class WishKind { restart, planned_failover, forced_failover, leave, stay };
    struct Wish {
        WishKind kind = WishKind::restart;
        std::uint64_t serial = 0;  ///< whose it is: one that was given up may still be worked on
        bool is_begun = false;
        PostmasterId run;         ///< when it was begun
        core::ha::Term term = 0;  ///< likewise
        std::optional<Status> outcome;
    };
    struct Rival {
        std::int64_t counter = 0;
        Instant since{};  ///< when it was seen to move, or first read
        bool has_moved = false;
    };
    struct Link {
        core::ha::Lsn flushed = 0;
        bool is_waited_for = false;
        /// It has all that the primary had then: how far behind it is, in time.
        Instant kept_up{};
        core::ha::Lsn target = 0;  ///< what the primary had at target_at
        Instant target_at{};
    };
    struct Proof {
        PostmasterId run;
        core::ha::Members names;
        std::optional<core::ha::Lsn> end;  ///< none: it is under way
    };

    /// How long until the next look, unless something happens.
    Duration look_and_act();
    Duration pause_after(const Error& failure);
    bool read_record();
    Status found();
    void note_leases(const store::HaRecords::Seen& seen);
    void look_at_postgres();
    void look_at_links();
    void look_at_proof();
    void begin_proof(const core::ha::Members& names);
    void finish_promotion();
    core::ha::View make_view(bool store_answers);
    core::ha::History history() const;
    core::ha::Peer peer(const core::ha::MemberId& id) const;
    core::ha::Members known_members() const;
    void publish(const core::ha::View& view);
    void set_fence(const core::ha::Members& added = {});

    // True if something was done, so that it is worth while to look again at once.
    Result<bool> carry_out(const core::ha::Decision& decision);
    Result<bool> carry_out_in_records(const core::ha::Decision& decision);
    Result<bool> start_primary(const core::ha::Members& names);
    Result<bool> start_standby();
    Result<bool> follow();
    Result<bool> cut();
    Result<bool> promote();
    Result<bool> stop_clean();
    Result<bool> set_sync(const core::ha::Members& names);
    Result<bool> begin_copy();
    Status check_start();
    void note_failed_start(const Error& failure);
    Status ask(WishKind kind, Duration patience);
    bool follow_wish(bool store_answers);
    std::optional<Status> begin_wish(Wish& wish);
    std::optional<Status> begin_restart();
    std::optional<Status> continue_wish(const Wish& wish);
    std::optional<Status> continue_restart(const Wish& wish);
    std::optional<Status> continue_failover(const Wish& wish);
    std::optional<Status> change_for_wish(Wish& wish, core::ha::Record wanted);
    std::string describe_trouble() const;
    void load_failovers();
    core::ha::FailoverTracker::Sight sight(const core::ha::View& view) const;
    std::int64_t wall_ms(Instant when) const;
    void keep_failovers();
    void remove_old_copy();
    void tell_again();
    void expect_answers();
    void end_slow_stop();
    bool is_hopeless(const core::ha::View& view);
    void look_at_receiver();
    void note_told(const core::ha::Members& names);
    void note_proof();
    Status forget_proof();
    void clear_proof();
    void finish_copy();
    Result<std::optional<Upstream>> upstream();
    Status enter_timeline();
    Status tell_address();
    Result<bool> change(core::ha::Record wanted, const core::ha::Members& adds,
                        const std::optional<store::HaRecords::Lease>& silent = std::nullopt);
    HaSettings settings() const;
    core::ha::MemberId self() const;
    Status save();
    void wait(std::stop_token stop, Duration pause);

    const Options options_;
    store::HaRecords& records_;
    const LeaseKeeper& lease_;
    IdSource& ids_;
    const Clock& clock_;
    const std::function<void(const View&)> changed_;

    MemberPostgres postgres_;
    std::optional<FenceFile> fence_;
    MemberState state_;
    std::optional<MemberState> saved_;  ///< none: it is not known what the file holds
    MemberPostgres::Facts facts_;
    std::map<std::string, Rival> rivals_;
    Instant lease_until_{};
    std::optional<Instant> began_at_;
    std::map<core::ha::MemberId, Link> links_;
    std::optional<core::ha::Lsn> recovered_to_;  ///< of the run that was last seen as primary
    PostmasterId primary_run_;
    core::ha::Postgres role_ = core::ha::Postgres::absent;  ///< when it last answered
    PostmasterId role_run_;
    Instant answered_at_{};  ///< the last look that PostgreSQL answered
    int silent_looks_ = 0;   ///< since then, in the same run
    std::optional<Instant> cut_since_;
    std::optional<Instant> deaf_since_;      ///< a standby that receives nothing
    std::optional<Instant> useless_since_;   ///< likewise, of a primary that lives
    int failed_starts_ = 0;                  ///< since it was last up
    Instant retold_at_{};                    ///< when PostgreSQL was last told again
    std::optional<Instant> stopping_since_;  ///< cleanly
    std::optional<core::ha::MemberId> follows_;
    std::optional<core::ha::Members> told_;       ///< whom PostgreSQL was told to wait for
    std::optional<core::ha::Members> waits_for_;  ///< at least, and that is proved
    std::optional<Instant> promoted_at_;
    core::ha::Timelines copied_timelines_;
    std::optional<Error> copy_failure_;  ///< not told yet
    core::ha::FailoverTracker failovers_;
    /// As view() shows it.
    std::shared_ptr<const std::vector<model::FailoverPart>> told_failovers_;
    bool is_address_known_ = false;
    bool is_starting_ = false;  ///< it was started, and was not up yet
    bool is_asked_to_start_ = false;
    bool did_not_start_ = false;
    std::optional<Error> start_failure_;  ///< of a start that was asked for
    std::optional<Error> trouble_;        ///< of the last action; none: it went well
    Instant primary_since_{};             ///< when primary_run_ was first seen
    Duration retry_pause_ = kRetryPauseMin;

    bool is_copying_ = false;
    bool is_old_removed_ = false;
    std::string last_rule_;
    bool could_mark_ = true;
    bool were_older_ = false;  ///< the records, when they were last read

    os::Fd wake_fd_;
    std::unique_ptr<store::HaRecords::Bell> bell_;  ///< none: the record is looked at now and then
    mutable std::mutex mutex_;
    View view_;                   ///< guarded by mutex_
    std::optional<Proof> proof_;  ///< guarded by mutex_
    bool is_proving_ = false;     ///< guarded by mutex_
    std::optional<Wish> wish_;    ///< guarded by mutex_
    std::uint64_t wishes_ = 0;    ///< guarded by mutex_
    std::condition_variable wish_ended_;
    std::optional<Status> copied_;                ///< guarded by mutex_; of the copy that has ended
    std::optional<std::int64_t> replaced_bytes_;  ///< guarded by mutex_; see MemberPostgres
    std::jthread prover_;
    std::jthread copier_;
};

}  // namespace howdah::agent
