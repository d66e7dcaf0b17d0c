#include "agent/ha/ha_member.h"

#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/text.h"
#include "model/json.h"
#include "os/file.h"

namespace howdah::agent {
namespace {

using core::Lsn;
using core::ha::Action;
using core::ha::Decision;
using core::ha::History;
using core::ha::MemberId;
using core::ha::Members;
using core::ha::Peer;
using core::ha::Postgres;
using core::ha::Record;
using store::HaRecords;

constexpr std::size_t kStateBytesMax = 1 << 20;
/// A promotion that was asked for and has not begun is asked for again.
constexpr Duration kPromoteAgain = std::chrono::milliseconds(500);
/// Nobody tells when a promotion is through, so it is looked for; until it is asked for again.
constexpr Duration kPromotionLook = std::chrono::milliseconds(5);

/// All that the records do not say no to for sure (store/ha/ha_records.h).
bool may_have_happened(const Error& error) {
    return error.code == ErrorCode::timeout || error.code == ErrorCode::corrupt ||
           error.code == ErrorCode::io || error.code == ErrorCode::internal;
}

}  // namespace

HaMember::HaMember(Options options, HaRecords& records, const LeaseKeeper& lease, IdSource& ids,
                   const Clock& clock, std::function<void(const View&)> changed)
    : options_(std::move(options)),
      records_(records),
      lease_(lease),
      ids_(ids),
      clock_(clock),
      changed_(std::move(changed)),
      postgres_(options_.postgres, clock),
      is_asked_to_start_(options_.is_asked_to_start),
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      bell_(records_.bell()) {}

HaMember::View HaMember::view() const {
    const std::lock_guard lock(mutex_);
    return view_;
}

void HaMember::wake() { (void)eventfd_write(wake_fd_.get(), 1); }

MemberId HaMember::self() const { return {lease_.node(), state_.directory}; }

// ---------------------------------------------------------------------------------------------
// What is on disk

Status HaMember::load() {
    HD_TRY(fence_, FenceFile::open(options_.fence_path));
    const auto text = os::read_file(options_.state_path, kStateBytesMax);
    if (text.ok()) {
        HD_TRY(state_, member_state_from_text(*text));
    } else if (text.error().code != ErrorCode::not_found) {
        return text.error();
    } else if (options_.is_founder) {
        state_.directory = hex_encode(ids_.random_bytes(kDirectoryIdBytes));
        state_.timelines = {{options_.first_term, 0}};
        state_.was_primary = true;
    }
    {
        const std::lock_guard lock(mutex_);
        view_.self = self();
        view_.record = state_.known;
    }
    load_failovers();
    return save();
}

/// They are of no use to the rules: what cannot be read is forgotten.
void HaMember::load_failovers() {
    const auto text = os::read_file(options_.failovers_path, kStateBytesMax);
    model::FailoverParts kept;
    if (text.ok()) {
        auto read = model::from_json<model::FailoverParts>(*text);
        if (read.ok())
            kept = std::move(*read);
        else
            log::warn("what was written down of failovers is damaged, and forgotten",
                      {{"server", options_.server}, {"reason", read.error().describe()}});
    }
    failovers_ =
        core::ha::FailoverTracker(std::move(kept.parts), state_.known, state_.promoting != 0);
    told_failovers_ = std::make_shared<const std::vector<model::FailoverPart>>(failovers_.parts());
    const std::lock_guard lock(mutex_);
    view_.failovers = told_failovers_;
}

Status HaMember::save() {
    if (state_ == saved_) return ok_status();
    // A write that failed may have happened.
    saved_.reset();
    HD_CHECK(os::write_file_atomic(options_.state_path, to_text(state_), 0600));
    saved_ = state_;
    return ok_status();
}

// ---------------------------------------------------------------------------------------------
// The loop

void HaMember::run(std::stop_token stop) {
    const std::stop_callback wakes(stop, [this] { wake(); });
    while (!stop.stop_requested()) {
        const Duration pause = look_and_act();
        wait(stop, pause);
    }
    // A copy is broken off; what is half done is begun anew.
    prover_ = {};
    copier_ = {};
}

void HaMember::wait(std::stop_token stop, Duration pause) {
    const bool runs = facts_.postgres != Postgres::absent && facts_.postgres != Postgres::stopped;
    pollfd fds[] = {{wake_fd_.get(), POLLIN, 0},
                    {runs ? postgres_.watch_fd() : -1, POLLIN, 0},
                    {bell_ ? bell_->fd() : -1, POLLIN, 0}};
    if (stop.stop_requested()) return;
    (void)poll(fds, std::size(fds),
               static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(pause).count()));
    eventfd_t count = 0;
    (void)eventfd_read(wake_fd_.get(), &count);
    if (bell_) bell_->clear();
}

Duration HaMember::look_and_act() {
    // Before the record is read: a renewal counts only while the record is still ours behind it.
    const auto renewed = lease_.renewed();
    if (!began_at_) began_at_ = clock_.now();
    if (!renewed && clock_.now() - *began_at_ < kFirstLeaseMax) return kActionPause;
    const bool answers = read_record();
    if (answers && renewed && state_.known && state_.known->primary == self())
        lease_until_ = std::max(lease_until_, *renewed + LeaseKeeper::kLease);
    if (answers && !is_address_known_) (void)tell_address();
    finish_copy();
    remove_old_copy();
    look_at_postgres();
    const Status started = check_start();
    // What it has done is to be seen before the rules are asked.
    if (follow_wish(answers)) return kActionPause;
    const core::ha::View view = make_view(answers);
    const Decision decision = core::ha::decide(view);
    failovers_.look(sight(view));
    failovers_.decided(sight(view), *decision.rule);
    if (decision.rule->id != last_rule_) {
        log::info("high availability", {{"server", options_.server},
                                        {"node", lease_.node()},
                                        {"rule", std::string(decision.rule->id)},
                                        {"action", std::string(to_string(decision.action))},
                                        {"because", std::string(decision.rule->reason)}});
        last_rule_ = decision.rule->id;
    }
    // Publishing may wait for the gateway; neither the fence does nor who is to take the place of a
    // primary that has ended.
    set_fence();
    const bool is_awaited =
        decision.action == Action::hand_over && facts_.postgres == Postgres::stopped;
    if (!is_awaited) publish(view);
    const auto done = started.ok() ? carry_out(decision) : Result<bool>(started.error());
    if (is_awaited) publish(view);
    keep_failovers();
    trouble_ = done.ok() ? std::nullopt : std::optional(done.error());
    const bool was_start =
        decision.action == Action::start_primary || decision.action == Action::start_standby;
    // Without the primary's address a standby waits; anything else keeps PostgreSQL from starting.
    if (started.ok() && was_start && !done.ok() && done.error().code != ErrorCode::unavailable)
        note_failed_start(done.error());
    if (done.ok()) {
        if (facts_.answers) retry_pause_ = kRetryPauseMin;
        if (*done) return kActionPause;
        const bool is_promoting = promoted_at_ && clock_.now() - *promoted_at_ < kPromoteAgain;
        return is_promoting ? kPromotionLook : kTick;
    }
    return pause_after(done.error());
}

Duration HaMember::pause_after(const Error& failure) {
    log::warn("high availability: an action failed", {{"server", options_.server},
                                                      {"node", lease_.node()},
                                                      {"rule", last_rule_},
                                                      {"reason", failure.describe()}});
    // Somebody else was faster: look again at once.
    if (failure.code == ErrorCode::conflict) return kActionPause;
    const bool runs = facts_.postgres == Postgres::primary || facts_.postgres == Postgres::standby;
    const Duration pause = runs ? std::min(retry_pause_, kRetryPauseRunning) : retry_pause_;
    retry_pause_ = std::min(retry_pause_ * 2, kRetryPauseMax);
    return pause;
}

/// An error, once, if PostgreSQL was started and ended before it was up.
Status HaMember::check_start() {
    if (!is_starting_ || facts_.postgres == Postgres::starting) return ok_status();
    is_starting_ = false;
    if (facts_.postgres != Postgres::stopped) {
        did_not_start_ = false;
        failed_starts_ = 0;
        is_asked_to_start_ = false;
        return ok_status();
    }
    Error failed{ErrorCode::postgres, "PostgreSQL did not start: " + postgres_.last_words()};
    note_failed_start(failed);
    return failed;
}

/// Whoever asked for it hears of it, and another member may go on.
void HaMember::note_failed_start(const Error& failure) {
    did_not_start_ = true;
    ++failed_starts_;
    if (std::exchange(is_asked_to_start_, false)) start_failure_ = failure;
}

/// False: the records do not answer, or there is none yet.
bool HaMember::read_record() {
    auto seen = records_.read(options_.server);
    if (seen.ok() && seen->revision == 0 && options_.is_founder && !state_.known) {
        if (!found().ok()) return false;
        seen = records_.read(options_.server);
    }
    if (!seen.ok() || seen->revision == 0) return false;
    // Records that were lost and came back as they were before: what they say has been undone.
    const bool are_older = seen->revision < state_.known_revision;
    if (are_older && !std::exchange(were_older_, true))
        log::error("the records of high availability are older than what this member has read",
                   {{"server", options_.server}});
    if (are_older) return false;
    were_older_ = false;
    auto record = record_from_text(seen->record);
    if (!record.ok()) {
        log::error("the record of a server is damaged",
                   {{"server", options_.server}, {"reason", record.error().describe()}});
        return false;
    }
    note_leases(*seen);
    state_.known = std::move(*record);
    state_.known_revision = seen->revision;
    if (seen->revision > state_.doubt_base) {
        state_.doubt_base = 0;
        state_.doubt_names.clear();
    }
    const Status kept = save();
    if (kept.ok()) return true;
    log::error("the state of a member cannot be written", {{"reason", kept.error().describe()}});
    return false;
}

/// The server's first record: this directory is all there is.
Status HaMember::found() {
    const Record first{
        .term = options_.first_term, .primary = self(), .timelines = state_.timelines};
    const auto made = records_.replace(options_.server, 0, to_text(first));
    return made.ok() ? ok_status() : Status(made.error());
}

void HaMember::note_leases(const HaRecords::Seen& seen) {
    const Instant now = clock_.now();
    for (const auto& [node, counter] : seen.leases) {
        const auto [found, is_new] = rivals_.try_emplace(node, Rival{counter, now});
        if (!is_new && found->second.counter != counter) found->second = {counter, now, true};
    }
    // Records that were lost do not have it any more.
    for (auto& [node, rival] : rivals_)
        if (!seen.leases.contains(node) && rival.counter != 0) rival = {0, now, false};
}

/// Where the others find this member's PostgreSQL.
Status HaMember::tell_address() {
    const std::string key = address_key(options_.server, lease_.node());
    HD_TRY(const HaRecords::Seen seen, records_.read(key));
    const std::string text = to_text(options_.address);
    if (seen.record != text) HD_CHECK(records_.replace(key, seen.revision, text));
    is_address_known_ = true;
    return ok_status();
}

// ---------------------------------------------------------------------------------------------
// Looking at PostgreSQL

void HaMember::look_at_postgres() {
    if (is_copying_) {
        facts_ = {};
        return;
    }
    const Instant before = clock_.now();
    facts_ = postgres_.look();
    if (state_.directory.empty()) {
        // What is there was never finished.
        if (facts_.postgres == Postgres::stopped) facts_.postgres = Postgres::absent;
        return;
    }
    if (facts_.is_stopping) end_slow_stop();
    if (!facts_.answers && facts_.is_ready && !(role_run_ == facts_.run)) expect_answers();
    const bool is_known_run = role_run_ == facts_.run;
    if (facts_.answers) {
        role_ = facts_.postgres;
        role_run_ = facts_.run;
        answered_at_ = before;
        silent_looks_ = 0;
    } else if (is_known_run && facts_.postgres == Postgres::starting) {
        facts_.postgres = role_;
        ++silent_looks_;
    } else {
        silent_looks_ = 0;
    }
    if (facts_.receiver_pid == 0) cut_since_.reset();
    if (facts_.postgres == Postgres::stopped) {
        stopping_since_.reset();
        const Status marked = postgres_.mark_standby();
        const bool is_news = std::exchange(could_mark_, marked.ok());
        if (!marked.ok() && is_news)
            log::warn("a stopped directory cannot be marked",
                      {{"server", options_.server}, {"reason", marked.error().describe()}});
    }
    look_at_receiver();
    if (state_.promoting != 0) finish_promotion();
    if (facts_.postgres == Postgres::primary && facts_.answers) {
        look_at_links();
        look_at_proof();
    }
}

/// It lets clients in, and has never answered this agent: one that was started anew beside a
/// PostgreSQL that may hang. What it is stands in the files.
void HaMember::expect_answers() {
    role_ = state_.was_primary ? Postgres::primary : Postgres::standby;
    role_run_ = facts_.run;
    answered_at_ = clock_.now();
    if (role_ == Postgres::primary) primary_since_ = answered_at_;
}

/// Whoever asked for the stop may be an agent that is gone.
void HaMember::end_slow_stop() {
    const Instant now = clock_.now();
    if (!stopping_since_) stopping_since_ = now;
    if (now - *stopping_since_ < kCleanStopMax) return;
    const Status stopped = postgres_.stop_now();
    if (!stopped.ok())
        log::error("PostgreSQL cannot be ended",
                   {{"server", options_.server}, {"reason", stopped.error().describe()}});
}

/// Its primary may have come back at another port.
void HaMember::look_at_receiver() {
    const bool is_deaf = facts_.answers && facts_.postgres == Postgres::standby && follows_ &&
                         facts_.receiver_pid == 0;
    if (!is_deaf) return deaf_since_.reset();
    const Instant now = clock_.now();
    if (!deaf_since_) deaf_since_ = now;
    if (now - *deaf_since_ < kDeafMax) return;
    deaf_since_.reset();
    follows_.reset();
}

/// Only of a primary that lives and tells where it is: another one may need no copy.
bool HaMember::is_hopeless(const core::ha::View& view) {
    const bool can_learn = view.store_answers && view.record && view.record->primary != self() &&
                           view.record->is_noted() && peer(view.record->primary).is_alive;
    const bool is_deaf = facts_.answers && facts_.postgres == Postgres::standby &&
                         facts_.receiver_pid == 0 && !is_copying_;
    const Instant now = clock_.now();
    if (!can_learn || !is_deaf) useless_since_.reset();
    if (!can_learn) failed_starts_ = 0;
    if (can_learn && is_deaf && !useless_since_) useless_since_ = now;
    return failed_starts_ >= kFailedStartsMax ||
           (useless_since_ && now - *useless_since_ > kHopelessMax);
}

/// An end that was not seen: the files tell whether the directory left its timeline. Until one that
/// runs has answered, nobody knows what it is; its history file is there before it is primary.
void HaMember::finish_promotion() {
    const Instant now = clock_.now();
    const bool is_standby = facts_.postgres == Postgres::standby;
    if (is_standby && facts_.answers && promoted_at_ && now - *promoted_at_ > kPromoteAgain) {
        (void)postgres_.promote();
        promoted_at_ = now;
    }
    const bool goes_on =
        is_standby && (promoted_at_ || postgres_.newest_timeline() > state_.promoting_from);
    const bool is_over = facts_.postgres == Postgres::stopped || (facts_.answers && !goes_on);
    if (!is_over) {
        if (facts_.postgres != Postgres::absent) facts_.postgres = Postgres::starting;
        return;
    }
    const auto last = postgres_.newest_switch();
    if (!last.ok()) {
        log::error("the history of a timeline cannot be read",
                   {{"server", options_.server}, {"reason", last.error().describe()}});
        facts_.postgres = Postgres::starting;
        return;
    }
    const bool has_left = last->timeline > state_.promoting_from;
    if (has_left) state_.timelines.push_back({state_.promoting, last->left_at});
    state_.was_primary = has_left;
    state_.promoting = 0;
    promoted_at_.reset();
    if (!save().ok()) facts_.postgres = Postgres::starting;
}

void HaMember::look_at_links() {
    const Instant now = clock_.now();
    if (!(primary_run_ == facts_.run)) {
        primary_run_ = facts_.run;
        primary_since_ = now;
        links_.clear();
        recovered_to_ = facts_.end;
        told_.reset();
        waits_for_.reset();
        // An agent before this one has proved it of this very run.
        const bool is_proved = facts_.run == PostmasterId{state_.proved_pid, state_.proved_ticks};
        const bool is_loaded = facts_.sync_names == synchronous_names(state_.proved_names);
        if (is_proved && is_loaded) note_told(state_.proved_names);
        if (told_) {
            waits_for_ = told_;
            const std::lock_guard lock(mutex_);
            proof_ = Proof{facts_.run, *told_, facts_.end};
        }
    }
    for (const MemberPostgres::Sender& each : facts_.senders) {
        const auto [found, is_new] = links_.try_emplace(each.id);
        Link& link = found->second;
        if (is_new) link.kept_up = now;
        // Against what there was a while ago: one that is always a little behind keeps up too.
        if (is_new || each.flushed >= link.target) {
            if (!is_new) link.kept_up = link.target_at;
            link.target = facts_.flushed;
            link.target_at = now;
        }
        link.flushed = std::max(link.flushed, each.flushed);
        link.is_waited_for = each.is_waited_for;
    }
    if (!told_) note_told(members_of(facts_.sync_names));
}

/// What PostgreSQL has loaded is what it was told. The file may have other names, of an agent that
/// was killed before PostgreSQL read it, and whoever lets it read its files would put them in
/// force.
void HaMember::note_told(const Members& names) {
    told_ = names;
    const Status written = postgres_.configure(settings());
    if (written.ok()) return;
    told_.reset();
    log::error("the configuration of high availability cannot be written",
               {{"server", options_.server}, {"reason", written.error().describe()}});
}

void HaMember::look_at_proof() {
    if (!told_) return;
    const bool is_loaded = facts_.sync_names == synchronous_names(*told_);
    bool is_proved = false;
    bool begins = false;
    {
        const std::lock_guard lock(mutex_);
        const bool is_same =
            is_loaded && proof_ && proof_->run == facts_.run && proof_->names == *told_;
        is_proved = is_same && proof_->end;
        if (!is_same) proof_.reset();
        begins = is_loaded && !is_same && !is_proving_;
        if (begins) {
            proof_ = Proof{facts_.run, *told_, std::nullopt};
            // Whom nobody waits for needs no proof.
            if (told_->empty()) proof_->end = facts_.end;
            is_proving_ = !told_->empty();
        }
    }
    if (!is_loaded) return tell_again();
    if (begins && !told_->empty()) return begin_proof(*told_);
    if (!begins && !is_proved) return;
    if (waits_for_ == told_) return;
    waits_for_ = told_;
    // Nobody needs no proof, and a promotion no write.
    if (!told_->empty()) note_proof();
}

/// What was told is not loaded: it is on its way, or could not be written. Those that PostgreSQL
/// does not know do not count.
void HaMember::tell_again() {
    const Members loaded = members_of(facts_.sync_names);
    if (waits_for_)
        std::erase_if(*waits_for_, [&](const MemberId& each) { return !loaded.contains(each); });
    const Instant now = clock_.now();
    if (now - retold_at_ < kRetellEvery) return;
    retold_at_ = now;
    const Status told = postgres_.configure(settings());
    if (!told.ok())
        log::error("PostgreSQL cannot be told whom commits wait for",
                   {{"server", options_.server}, {"reason", told.error().describe()}});
}

void HaMember::begin_proof(const Members& names) {
    // The one before has ended, or is about to.
    prover_ = std::jthread([this, names, run = facts_.run](std::stop_token stop) {
        const auto end = postgres_.prove_wait(std::move(stop));
        const std::lock_guard lock(mutex_);
        is_proving_ = false;
        if (!proof_ || !(proof_->run == run) || proof_->names != names) return;
        if (end.ok())
            proof_->end = *end;
        else
            proof_.reset();
        wake();
    });
}

/// Only spares the next agent a checkpoint, so a disk that is full does not matter.
void HaMember::note_proof() {
    state_.proved_pid = facts_.run.pid;
    state_.proved_ticks = facts_.run.start_ticks;
    state_.proved_names = *waits_for_;
    if (!save().ok()) clear_proof();
}

void HaMember::clear_proof() {
    state_.proved_pid = 0;
    state_.proved_ticks = 0;
    state_.proved_names.clear();
}

/// Before anything that could make it untrue.
Status HaMember::forget_proof() {
    clear_proof();
    return save();
}

// ---------------------------------------------------------------------------------------------
// What the rules see

core::ha::View HaMember::make_view(bool store_answers) {
    const Instant now = clock_.now();
    core::ha::View view;
    view.self = self();
    view.record = state_.known;
    view.store_answers = store_answers;
    view.change_in_doubt = state_.doubt_base != 0;
    if (!store_answers && view.record && view.change_in_doubt)
        view.record->sync_set.insert(state_.doubt_names.begin(), state_.doubt_names.end());
    view.lease_holds = now < lease_until_;
    view.postgres = facts_.postgres;
    view.is_asked_to_start = is_asked_to_start_;
    view.is_silent = !facts_.answers;
    view.is_hung = !stopping_since_ && silent_looks_ >= kHangLooks && now - answered_at_ > kHang;
    view.own_term = state_.timelines.empty() ? 0 : state_.timelines.back().term;
    view.receives = facts_.receiver_pid != 0;
    view.follows = follows_;
    view.replay_is_paused = facts_.replay_is_paused;
    view.history = history();
    if (told_) view.told = *told_;
    view.waits_for = waits_for_;
    view.is_hopeless = is_hopeless(view);
    for (const MemberId& each : known_members()) view.peers.push_back(peer(each));
    if (view.record && recovered_to_) {
        for (const MemberId& each : view.record->sync_set) {
            const auto link = links_.find(each);
            if (link == links_.end() || link->second.flushed < *recovered_to_)
                view.recovery_is_exposed = true;
        }
    }
    return view;
}

Members HaMember::known_members() const {
    Members all;
    for (const auto& [id, link] : links_) all.insert(id);
    if (state_.known) {
        all.insert(state_.known->sync_set.begin(), state_.known->sync_set.end());
        all.insert(state_.known->primary);
    }
    all.erase(self());
    return all;
}

Peer HaMember::peer(const MemberId& id) const {
    const Instant now = clock_.now();
    Peer peer{.id = id};
    const auto rival = rivals_.find(id.node);
    peer.is_alive = rival != rivals_.end() && now - rival->second.since < LeaseKeeper::kRivalWait;
    peer.has_renewed = peer.is_alive && rival->second.has_moved;
    const auto link = links_.find(id);
    if (facts_.postgres != Postgres::primary) return peer;
    // A PostgreSQL that is silent tells nothing of its standbys.
    const Instant seen = facts_.answers ? now : answered_at_;
    if (link == links_.end()) {
        // One that was there before a restart gets its time to come back.
        peer.is_streaming =
            state_.known->sync_set.contains(id) && seen - primary_since_ < kStandbyPatience;
        return peer;
    }
    peer.is_streaming = seen - link->second.kept_up < kStandbyPatience;
    const std::lock_guard lock(mutex_);
    peer.has_caught_up =
        proof_ && proof_->end && link->second.is_waited_for && link->second.flushed >= *proof_->end;
    return peer;
}

History HaMember::history() const {
    if (!state_.known || state_.directory.empty()) return History::fits;
    const core::ha::Timelines& noted = state_.known->timelines;
    const Lsn end = facts_.answers && facts_.postgres == Postgres::standby ? facts_.end : 0;
    const History by_position = core::ha::history_of(state_.timelines, end, noted);
    const bool may_be_ahead = state_.was_primary && state_.known->primary != self() &&
                              state_.timelines.size() < noted.size();
    if (by_position != History::fits || !may_be_ahead) return by_position;
    // A shutdown checkpoint is the last that a primary writes. Whoever went on behind it has all.
    if (facts_.postgres != Postgres::stopped) return History::diverged;
    const auto checkpoint = postgres_.shutdown_checkpoint();
    const bool has_all = checkpoint && *checkpoint < noted[state_.timelines.size()].at;
    return has_all ? History::fits : History::diverged;
}

void HaMember::publish(const core::ha::View& seen) {
    View next{.self = seen.self,
              .record = seen.record,
              .postgres = seen.postgres,
              .serves = core::ha::may_serve(seen),
              .run = facts_.run,
              .detail = describe_trouble(),
              .did_not_start = did_not_start_,
              .failovers = told_failovers_};
    bool is_news = false;
    {
        const std::lock_guard lock(mutex_);
        is_news = next.serves != view_.serves || !(next.run == view_.run) ||
                  next.postgres != view_.postgres || next.record != view_.record ||
                  next.detail != view_.detail || next.did_not_start != view_.did_not_start ||
                  next.failovers != view_.failovers;
        view_ = next;
    }
    if (is_news && changed_) changed_(next);
    if (next.serves) failovers_.opened(wall_ms(clock_.now()));
}

// ---------------------------------------------------------------------------------------------
// What is told of failovers

std::int64_t HaMember::wall_ms(Instant when) const {
    const auto ago = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now() - when);
    return (clock_.wall() - ago).time_since_epoch().count();
}

core::ha::FailoverTracker::Sight HaMember::sight(const core::ha::View& view) const {
    core::ha::FailoverTracker::Sight sight{.now_ms = clock_.wall().time_since_epoch().count(),
                                           .view = view,
                                           .answers = facts_.answers,
                                           .end = facts_.end,
                                           .last_answer_ms = wall_ms(answered_at_)};
    if (!state_.timelines.empty()) sight.own_switch = state_.timelines.back();
    const auto rival = view.record ? rivals_.find(view.record->primary.node) : rivals_.end();
    if (rival != rivals_.end()) sight.primary_renewed_ms = wall_ms(rival->second.since);
    return sight;
}

/// After what there was to do: there is news only when a failover is through, as far as this member
/// has a part in it. Without a sync, as the control plane gets it too.
void HaMember::keep_failovers() {
    if (failovers_.keeps_old_copy() && is_old_removed_ && !postgres_.has_old())
        failovers_.old_copy_removed();
    if (!failovers_.has_news()) return;
    failovers_.forget_news();
    told_failovers_ = std::make_shared<const std::vector<model::FailoverPart>>(failovers_.parts());
    const Status kept = os::replace_file(
        options_.failovers_path, model::to_json(model::FailoverParts{*told_failovers_}), 0600);
    if (!kept.ok())
        log::warn("what is known of a failover cannot be written down",
                  {{"server", options_.server}, {"reason", kept.error().describe()}});
}

std::string HaMember::describe_trouble() const {
    if (is_copying_)
        return fmt::format("copying the data of host '{}'", state_.known->primary.node);
    return trouble_ ? trouble_->message : "";
}

/// What the fence has to know before anything else can happen. `added` may join the sync_set.
void HaMember::set_fence(const Members& added) {
    const bool leads = state_.known && state_.known->primary == self();
    const bool is_alone =
        leads && state_.known->sync_set.empty() && state_.doubt_names.empty() && added.empty();
    const bool may_be_followed = leads && !is_alone;
    const bool is_deposed = state_.known && !leads && facts_.postgres == Postgres::primary;
    if (may_be_followed || is_deposed)
        fence_->set(lease_until_);
    else
        fence_->set(std::nullopt);
}

// ---------------------------------------------------------------------------------------------
// Acting

HaSettings HaMember::settings() const {
    return {.self = self(),
            .sync_names = told_.value_or(Members{}),
            .pass_file = options_.postgres.pass_file};
}

Result<bool> HaMember::carry_out(const Decision& decision) {
    switch (decision.action) {
        case Action::wait:
            return false;
        case Action::stop_now:
            HD_CHECK(postgres_.stop_now());
            return true;
        case Action::stop_clean:
            return stop_clean();
        case Action::start_primary:
            return start_primary(decision.names);
        case Action::start_standby:
            return start_standby();
        case Action::follow:
            return follow();
        case Action::cut:
            return cut();
        case Action::promote:
            return promote();
        case Action::set_sync:
            return set_sync(decision.names);
        case Action::rewind:
        case Action::clone:
            return begin_copy();
        default:
            return carry_out_in_records(decision);
    }
}

/// The compare-and-swaps.
Result<bool> HaMember::carry_out_in_records(const Decision& decision) {
    Record next = *state_.known;
    switch (decision.action) {
        case Action::grow:
            next.sync_set.insert(*decision.peer);
            return change(std::move(next), {*decision.peer});
        case Action::shrink:
            next.sync_set.erase(*decision.peer);
            return change(std::move(next), {});
        case Action::hand_over:
            return change(core::ha::next_term(next, *decision.peer), {});
        case Action::take_over: {
            const std::string& node = next.primary.node;
            const auto rival = rivals_.find(node);
            const std::int64_t counter = rival == rivals_.end() ? 0 : rival->second.counter;
            return change(core::ha::next_term(next, self()), {}, HaRecords::Lease{node, counter});
        }
        case Action::note_timeline:
            next.timelines = state_.timelines;
            return change(std::move(next), {});
        case Action::touch:
            return change(std::move(next), state_.doubt_names);
        case Action::forget_successor:
            next.successor.reset();
            return change(std::move(next), {});
        case Action::give_up:
            return change(core::ha::without(std::move(next), self()), {});
        default:
            return Error{ErrorCode::internal, "a rule asks for what nobody can do"};
    }
}

/// Before it goes out it is on disk that it may happen; the answer and its end are one write. What
/// makes another member primary is no danger to who forgets it: that one has every commit. So no
/// disk, full or slow, is in its way.
Result<bool> HaMember::change(Record wanted, const Members& adds,
                              const std::optional<HaRecords::Lease>& silent) {
    const bool is_for_another = wanted.primary != self();
    // One before that is still in doubt stays so until a change was built upon what it needs.
    const std::int64_t older_base = state_.doubt_base;
    const Members older = state_.doubt_names;
    state_.doubt_base = state_.known_revision;
    state_.doubt_names.insert(adds.begin(), adds.end());
    if (!is_for_another) HD_CHECK(save());
    set_fence(adds);
    const auto revision =
        records_.replace(options_.server, state_.known_revision, to_text(wanted), silent);
    if (!revision.ok() && may_have_happened(revision.error())) return revision.error();
    if (revision.ok()) {
        state_.known = std::move(wanted);
        state_.known_revision = *revision;
    }
    state_.doubt_base = revision.ok() ? 0 : older_base;
    state_.doubt_names = revision.ok() ? Members{} : older;
    HD_CHECK(save());
    if (!revision.ok()) return revision.error();
    return true;
}

Result<bool> HaMember::start_primary(const Members& names) {
    told_ = names;
    follows_.reset();
    state_.was_primary = true;
    HD_CHECK(forget_proof());
    HD_CHECK(postgres_.start(settings(), /*as_primary=*/true));
    did_not_start_ = false;
    is_starting_ = true;
    return true;
}

/// None while nobody can tell where the primary's timeline began, or if that is this member.
Result<std::optional<Upstream>> HaMember::upstream() {
    const Record& record = *state_.known;
    if (record.primary == self() || !record.is_noted()) return std::optional<Upstream>();
    HD_TRY(const HaRecords::Seen seen,
           records_.read(address_key(options_.server, record.primary.node)));
    if (seen.revision == 0)
        return Error{ErrorCode::unavailable, "the primary has not told its address yet"};
    HD_TRY(const MemberAddress address, member_address_from_text(seen.record));
    return std::optional(Upstream{record.primary, address});
}

/// Before the first byte of its primary's WAL may come.
Status HaMember::enter_timeline() {
    state_.timelines = state_.known->timelines;
    state_.was_primary = false;
    return save();
}

Result<bool> HaMember::start_standby() {
    HD_TRY(const auto from, upstream());
    // Whether it fits is known when the primary has noted where its timeline began.
    const bool leads = state_.known->primary == self();
    if (!from && !leads && state_.was_primary) return false;
    if (from) HD_CHECK(enter_timeline());
    told_.reset();
    HaSettings wanted = settings();
    wanted.upstream = from;
    follows_ = from ? std::optional(from->id) : std::nullopt;
    HD_CHECK(postgres_.start(wanted, /*as_primary=*/false));
    did_not_start_ = false;
    is_starting_ = true;
    return true;
}

Result<bool> HaMember::follow() {
    HD_TRY(const auto from, upstream());
    if (!from) return false;
    HD_CHECK(enter_timeline());
    HaSettings wanted = settings();
    wanted.upstream = from;
    HD_CHECK(postgres_.configure(wanted));
    follows_ = from->id;
    return true;
}

/// When it returns with no receiver left, the old primary gets no acknowledgement any more.
Result<bool> HaMember::cut() {
    const Instant now = clock_.now();
    if (!cut_since_) {
        cut_since_ = now;
        follows_.reset();
        HD_CHECK(postgres_.configure(settings()));
        return true;
    }
    if (now - *cut_since_ < kReceiverMax) return true;
    cut_since_ = now;
    HD_CHECK(postgres_.end_receiver(facts_.receiver_pid));
    return true;
}

Result<bool> HaMember::promote() {
    state_.promoting = state_.known->term;
    state_.promoting_from = postgres_.newest_timeline();
    state_.was_primary = true;
    HD_CHECK(save());
    log::info("no other member is acknowledged any more; promotion",
              {{"server", options_.server},
               {"node", lease_.node()},
               {"term", state_.promoting},
               {"received", core::format_lsn(facts_.end)}});
    told_ = state_.known->sync_set;
    HD_CHECK(postgres_.configure(settings()));
    promoted_at_ = clock_.now();
    HD_CHECK(postgres_.promote());
    return true;
}

Result<bool> HaMember::stop_clean() {
    const Instant now = clock_.now();
    if (!stopping_since_) {
        stopping_since_ = now;
        HD_CHECK(postgres_.begin_clean_stop());
        return true;
    }
    if (now - *stopping_since_ < kCleanStopMax) return false;
    HD_CHECK(postgres_.stop_now());
    return true;
}

Result<bool> HaMember::set_sync(const Members& names) {
    if (told_ == names) return false;
    HD_CHECK(forget_proof());
    told_ = names;
    // Until the new names are proved, backends may know these or those.
    if (waits_for_)
        std::erase_if(*waits_for_, [&](const MemberId& each) { return !names.contains(each); });
    HD_CHECK(postgres_.configure(settings()));
    return true;
}

// ---------------------------------------------------------------------------------------------
// Wishes

Status HaMember::restart(Duration patience) { return ask(WishKind::restart, patience); }

Status HaMember::fail_over(bool is_planned, Duration patience) {
    return ask(is_planned ? WishKind::planned_failover : WishKind::forced_failover, patience);
}

Status HaMember::leave(Duration patience) { return ask(WishKind::leave, patience); }

Status HaMember::stay(Duration patience) { return ask(WishKind::stay, patience); }

Status HaMember::ask(WishKind kind, Duration patience) {
    std::unique_lock lock(mutex_);
    if (wish_)
        return Error{ErrorCode::conflict, "a restart or failover is under way", "",
                     "Wait until it has ended, then repeat the request."};
    wish_ = Wish{.kind = kind, .serial = ++wishes_};
    wake();
    (void)wish_ended_.wait_for(lock, patience, [&] { return wish_->outcome.has_value(); });
    const Wish ended = *std::exchange(wish_, std::nullopt);
    if (ended.outcome) return *ended.outcome;
    return Error{ErrorCode::timeout,
                 "it has not come about in time: " +
                     (view_.detail.empty() ? "nothing hinders it, it is slow" : view_.detail),
                 "", "It may still happen; look at the server before you repeat the request."};
}

/// One step towards what is wished, before the rules are asked: they do the rest.
/// True if something was begun.
bool HaMember::follow_wish(bool store_answers) {
    Wish wish;
    {
        const std::lock_guard lock(mutex_);
        if (!wish_ || wish_->outcome) return false;
        wish = *wish_;
    }
    const bool needs_records = wish.kind != WishKind::restart;
    if (needs_records && (!store_answers || state_.doubt_base != 0)) return false;
    const bool was_begun = wish.is_begun;
    wish.outcome = wish.is_begun ? continue_wish(wish) : begin_wish(wish);
    const std::lock_guard lock(mutex_);
    const bool is_news = wish.is_begun && !was_begun;
    if (!wish_ || wish_->serial != wish.serial) return is_news;  // whoever asked has given up
    wish_ = wish;
    if (wish.outcome) wish_ended_.notify_all();
    return is_news;
}

std::optional<Status> HaMember::begin_wish(Wish& wish) {
    wish.run = facts_.run;
    wish.term = state_.known ? state_.known->term : 0;
    if (wish.kind == WishKind::restart) {
        wish.is_begun = true;
        return begin_restart();
    }
    if (!state_.known || state_.known->primary != self())
        return Error{ErrorCode::invalid_state, "another host has the primary", "",
                     "Repeat the request: the server has failed over meanwhile."};
    Record wanted = *state_.known;
    if (wish.kind == WishKind::leave || wish.kind == WishKind::stay) {
        wanted.wants_standby = wish.kind == WishKind::stay;
        return change_for_wish(wish, std::move(wanted));
    }
    if (wanted.sync_set.empty())
        return Error{ErrorCode::invalid_state, "no standby has every commit, so none can take over",
                     "", "Wait until the state of high availability is Healthy."};
    const bool can_go_on = std::any_of(wanted.sync_set.begin(), wanted.sync_set.end(),
                                       [&](const MemberId& each) { return peer(each).is_alive; });
    if (!can_go_on)
        return Error{
            ErrorCode::invalid_state,
            "the agent of the standby's host is silent, so the standby would not take over", "",
            "Wait until that host is heard of again (`howdah host list`)."};
    if (wish.kind == WishKind::planned_failover) {
        wanted.successor = *wanted.sync_set.begin();
        failovers_.asked(wall_ms(clock_.now()), /*is_planned=*/true);
        return change_for_wish(wish, std::move(wanted));
    }
    wish.is_begun = true;
    failovers_.asked(wall_ms(clock_.now()), /*is_planned=*/false);
    const Status stopped = postgres_.stop_now();
    return stopped.ok() ? std::nullopt : std::optional(stopped);
}

/// After a conflict it is begun anew, with the record as it is then.
std::optional<Status> HaMember::change_for_wish(Wish& wish, Record wanted) {
    if (wanted == *state_.known) {
        wish.is_begun = true;
        return std::nullopt;
    }
    const auto changed = change(std::move(wanted), {});
    wish.is_begun = changed.ok();
    const bool is_conflict = !changed.ok() && changed.error().code == ErrorCode::conflict;
    if (changed.ok() || is_conflict) return std::nullopt;
    return Status(changed.error());
}

std::optional<Status> HaMember::begin_restart() {
    is_asked_to_start_ = true;
    did_not_start_ = false;
    start_failure_.reset();
    if (is_copying_ || facts_.postgres == Postgres::stopped || facts_.postgres == Postgres::absent)
        return std::nullopt;
    stopping_since_ = clock_.now();
    Status begun = facts_.answers ? postgres_.begin_clean_stop() : postgres_.stop_now();
    if (!begun.ok()) begun = postgres_.stop_now();
    return begun.ok() ? std::nullopt : std::optional(begun);
}

std::optional<Status> HaMember::continue_wish(const Wish& wish) {
    if (wish.kind == WishKind::restart) return continue_restart(wish);
    if (wish.kind == WishKind::stay) return ok_status();
    if (wish.kind != WishKind::leave) return continue_failover(wish);
    if (state_.known->primary != self())
        return Error{ErrorCode::unavailable, "another host has become the primary meanwhile", "",
                     "It is tried again there."};
    const bool is_alone = state_.known->sync_set.empty() && told_ && told_->empty() &&
                          facts_.answers && facts_.sync_names.empty();
    return is_alone && waits_for_ == told_ ? std::optional(ok_status()) : std::nullopt;
}

std::optional<Status> HaMember::continue_restart(const Wish& wish) {
    if (start_failure_) return Status(*std::exchange(start_failure_, std::nullopt));
    if (is_copying_) return ok_status();  // what is copied is started with what is on disk then
    const bool is_same_run = facts_.run == wish.run && facts_.postgres != Postgres::stopped;
    if (!is_same_run) return facts_.answers ? std::optional(ok_status()) : std::nullopt;
    if (!stopping_since_ || clock_.now() - *stopping_since_ < kCleanStopMax) return std::nullopt;
    const Status stopped = postgres_.stop_now();
    return stopped.ok() ? std::nullopt : std::optional(stopped);
}

std::optional<Status> HaMember::continue_failover(const Wish& wish) {
    const Record& record = *state_.known;
    if (record.term > wish.term)
        return record.is_noted() ? std::optional(ok_status()) : std::nullopt;
    const bool is_planned = wish.kind == WishKind::planned_failover;
    const bool goes_on = facts_.answers && facts_.postgres == Postgres::primary;
    const bool is_given_up = is_planned ? !record.successor : !(facts_.run == wish.run);
    if (!goes_on || !is_given_up) return std::nullopt;
    return Error{ErrorCode::unavailable,
                 "the standby was lost before it could take over; the primary goes on", "",
                 "Wait until the state of high availability is Healthy, then repeat the request."};
}

Status HaMember::forget() {
    HD_TRY(const HaRecords::Seen seen, records_.read(options_.server));
    if (seen.revision != 0) {
        const auto record = record_from_text(seen.record);
        const bool is_ours = record.ok() && record->primary.node == lease_.node();
        if (is_ours) HD_CHECK(records_.remove(options_.server, seen.revision));
    }
    const std::string key = address_key(options_.server, lease_.node());
    HD_TRY(const HaRecords::Seen address, records_.read(key));
    return address.revision == 0 ? ok_status() : records_.remove(key, address.revision);
}

// ---------------------------------------------------------------------------------------------
// Copies

/// A new directory is another member (RULES HA 3), and there is none until it is complete.
Result<bool> HaMember::begin_copy() {
    if (is_copying_) return false;
    if (const auto failure = std::exchange(copy_failure_, std::nullopt)) return *failure;
    HD_TRY(const auto from, upstream());
    if (!from) return false;
    HD_CHECK(postgres_.stop_now());
    // What is behind the switch that ended its own timeline is in no other history.
    std::optional<Lsn> left_at;
    const std::size_t own = state_.timelines.size();
    if (own > 0 && own < state_.known->timelines.size() &&
        core::ha::history_of(state_.timelines, 0, state_.known->timelines) != History::unknown)
        left_at = state_.known->timelines[own].at;
    copied_timelines_ = state_.known->timelines;
    const bool was_primary = state_.was_primary;
    state_.directory.clear();
    state_.timelines.clear();
    state_.was_primary = false;
    state_.promoting = 0;
    failed_starts_ = 0;
    HD_CHECK(save());
    copier_ = {};
    is_copying_ = true;
    is_old_removed_ = false;
    did_not_start_ = false;
    log::info("copying the primary",
              {{"server", options_.server}, {"node", lease_.node()}, {"primary", from->id.node}});
    copier_ =
        std::jthread([this, left_at, was_primary, address = from->address](std::stop_token stop) {
            std::optional<std::int64_t> bytes;
            if (left_at) {
                const std::int64_t timeline =
                    std::max<std::int64_t>(postgres_.newest_timeline(), 1);
                bytes = postgres_.bytes_since(timeline, *left_at, stop);
            }
            const Status copied = postgres_.clone(address, was_primary, std::move(stop));
            const std::lock_guard lock(mutex_);
            copied_ = copied;
            replaced_bytes_ = bytes;
            wake();
        });
    return true;
}

/// What was there before is kept until what was copied holds every commit.
void HaMember::remove_old_copy() {
    const bool is_safe = state_.known && state_.known->sync_set.contains(self());
    if (is_copying_ || !is_safe || is_old_removed_) return;
    is_old_removed_ = true;
    if (!postgres_.has_old()) return;
    copier_ = std::jthread([this] {
        const Status removed = postgres_.remove_old();
        if (!removed.ok())
            log::warn("the directory before cannot be removed",
                      {{"server", options_.server}, {"reason", removed.error().describe()}});
    });
}

void HaMember::finish_copy() {
    std::optional<Status> ended;
    std::optional<std::int64_t> replaced;
    {
        const std::lock_guard lock(mutex_);
        ended = std::exchange(copied_, std::nullopt);
        replaced = std::exchange(replaced_bytes_, std::nullopt);
    }
    if (!ended) return;
    is_copying_ = false;
    if (!ended->ok()) {
        copy_failure_ = ended->error();
        return;
    }
    failovers_.discarded(wall_ms(clock_.now()), replaced,
                         postgres_.has_old() ? postgres_.old_folder() : "");
    state_.directory = hex_encode(ids_.random_bytes(kDirectoryIdBytes));
    state_.timelines = copied_timelines_;
    const Status saved = save();
    if (!saved.ok())
        log::error("the state of a member cannot be written",
                   {{"reason", saved.error().describe()}});
}

}  // namespace howdah::agent
