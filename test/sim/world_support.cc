#include "sim/world_parts.h"

// How a run begins, its clients, what is checked, and how it ends.

namespace howdah::sim {

using State = Instance::State;

namespace {

/// When the faults are over, all is well again within this.
constexpr Time kHealLimit = 20'000;
constexpr Time kAftermath = 2 * kRivalWait;
/// And stays so.
constexpr Time kStaysHealed = 3'000;
/// While nothing new goes wrong or ends, a server fails over no more often.
constexpr int kPromotionsMax = 2;

}  // namespace

std::span<const std::pair<Weakness, std::string_view>> weaknesses() {
    using enum Weakness;
    static constexpr std::pair<Weakness, std::string_view> kAll[] = {
        {forgets_doubt, "a change on its way is not written down"},
        {notes_answer_twice, "the answer to a change is written down in two steps"},
        {keeps_hoping, "a standby waits for WAL that its primary does not have any more"},
        {proves_nothing, "PostgreSQL is believed to wait as soon as it is told"},
        {believes_older_store, "a record that is older than one known is believed"},
        {has_no_fence, "nobody ends PostgreSQL when its agent is silent"},
        {follows_diverged, "PostgreSQL streams to a directory of another history"},
        {compares_nothing, "the store takes every change"},
    };
    return kAll;
}

bool Agenda::step() {
    if (entries_.empty()) return false;
    std::pop_heap(entries_.begin(), entries_.end());
    const Entry entry = std::move(entries_.back());
    entries_.pop_back();
    now_ = entry.when;
    entry.what();
    return true;
}

void World::set_up() {
    for (int i = 0; i < options_.nodes; ++i) {
        auto node = std::make_unique<Node>();
        node->name = std::string(1, static_cast<char>('a' + i));
        node->rate = chance_.real(1 - kDrift, 1 + kDrift);
        if (i == 0) {
            node->pg.directory.incarnation = fmt::format("i{}", next_incarnation_++);
            node->pg.directory.timelines = {{1, 0}};
        }
        nodes_.push_back(std::move(node));
    }
    store_.record.term = 1;
    store_.record.primary = id_of(*nodes_[0]);
    store_.record.timelines = {{1, 0}};
    newest_term_ = 1;
    newest_primary_ = nodes_[0].get();
    outcome_.faults.resize(faults().size() * kPhases);
    // In some runs before anything has begun.
    next_fault_ = chance_.one_in(8) ? 0 : chance_.between(500, 5'000);
    for (auto& each : nodes_) {
        Node& node = *each;
        const auto every = [this, &node](Time period, void (World::*what)(Node&)) {
            // Not all at the same moment.
            const Time first = chance_.between(1, period);
            agenda_.at(first, [this, &node, period, what] { repeat(node, period, what); });
        };
        every(kTick, &World::tick);
        every(kRenewEvery, &World::renew);
        every(kPromise / 5, &World::ask_promises);
        every(kFenceLooksEvery, &World::fence);
        every(8, &World::stream);
    }
    agenda_.at(1, [this] { clients(); });
}

void World::repeat(Node& node, Time period, void (World::*what)(Node&)) {
    (this->*what)(node);
    after(period, [this, &node, period, what] { repeat(node, period, what); });
}

/// The agent is started anew: its memory is gone, the disk is not.
void World::forget_all(Node& node) {
    node.agent_is_dead = false;
    ++node.agent_run;
    node.state = node.saved;
    node.began_at = own_time(node);
    node.renewed.reset();
    node.lease_until = 0;
    node.leases.clear();
    node.promises.clear();
    node.seen_run = -1;
    node.waits_for.reset();
    node.proved_at.reset();
    node.silent_since.reset();
    node.silent_looks = 0;
    node.busy_until = 0;
    node.changes = core::ha::Action::wait;
    node.is_copying = false;
}

// ---------------------------------------------------------------------------------------------
// Clients and checks

void World::clients() {
    for (auto& each : nodes_) {
        Node& node = *each;
        Instance& pg = node.pg;
        const bool is_let_in = node.serves && node.serves_run == pg.run;
        if (!is_let_in || !pg.acts() || pg.is_orphaned || pg.state != State::primary) continue;
        write(node);
        if (chance_.one_in(4)) read(node);
    }
    after(chance_.between(3, 20), [this] { clients(); });
}

void World::read(Node& node) {
    const Instance& pg = node.pg;
    if (pg.state != State::primary) return;
    const std::vector<int>& wal = pg.directory.wal;
    const Acknowledged& newest = newest_ack_;
    const bool is_seen =
        newest.end == 0 || (pg.visible >= newest.end && wal[newest.end - 1] == newest.commit);
    // Whoever was paused as a whole, or whose clock leapt, cannot know better (RULES HA 1).
    if (!is_seen && now() > std::max(node.paused_until, clocks_lie_until_))
        violate(fmt::format("{} is read and does not show what {} acknowledged in term {}",
                            node.name, newest.by, newest.term));
    for (Lsn at = node.read_run == pg.run ? node.read_to : 0; at < pg.visible; ++at)
        seen_.insert(wal[at]);
    node.read_run = pg.run;
    node.read_to = pg.visible;
}

void World::violate(const std::string& text) {
    note("VIOLATION {}", text);
    if (outcome_.violations.size() < 20)
        outcome_.violations.push_back(fmt::format("at {}: {}", now(), text));
}

void World::acknowledge(Node& node, int commit, Lsn end) {
    node.pg.visible = std::max(node.pg.visible, end);
    acknowledged_.emplace(commit, now());
    last_ack_ = now();
    const core::ha::Term term = node.pg.directory.timelines.back().term;
    if (end > newest_ack_.end) newest_ack_ = {commit, end, node.name, term};
    const auto [who, is_first] = acknowledger_.emplace(term, node.name);
    if (!is_first && who->second != node.name)
        violate(fmt::format("{} and {} both acknowledge in term {}", who->second, node.name, term));
    if (newest_primary_ == &node) return;
    const std::vector<int>& wal = newest_primary_->pg.directory.wal;
    if (std::find(wal.begin(), wal.end(), commit) == wal.end())
        violate(fmt::format("{} acknowledges {} in term {}, {} of term {} does not have it",
                            node.name, commit, term, newest_primary_->name, newest_term_));
}

void World::check_promotion(Node& node) {
    ++outcome_.promotions;
    const core::ha::Term term = node.pg.directory.timelines.back().term;
    if (term <= newest_term_)
        violate(
            fmt::format("{} is promoted in term {}, after term {}", node.name, term, newest_term_));
    newest_term_ = std::max(newest_term_, term);
    newest_primary_ = &node;
    check_all_there(node);
    if (++promotions_since_change_ > kPromotionsMax)
        violate(
            fmt::format("it fails over {} times because of one fault", promotions_since_change_));
    if (healed_at_) violate("it fails over although all is well");
}

void World::check_all_there(const Node& node) {
    const std::set<int> there(node.pg.directory.wal.begin(), node.pg.directory.wal.end());
    std::size_t lost = 0;
    for (const auto& [commit, when] : acknowledged_) lost += there.contains(commit) ? 0 : 1;
    if (lost > 0) violate(fmt::format("{} does not have {} acknowledged commits", node.name, lost));
    std::size_t undone = 0;
    for (const int commit : seen_) undone += there.contains(commit) ? 0 : 1;
    if (undone > 0)
        violate(fmt::format("{} does not have {} commits that were read", node.name, undone));
}

/// Every member takes part, and commits are acknowledged. A standby whose take-over was refused,
/// and which did not hear of it, is in doubt until the record changes: no harm, as it never can
/// happen.
bool World::is_healed() {
    constexpr Time kSoon = 200;
    if (now() - last_ack_ >= kSoon || store_.record.sync_set.size() + 1 != nodes_.size())
        return false;
    const Phase state = phase();
    return state == Phase::healthy || state == Phase::succession;
}

void World::check_end() {
    check_all_there(*newest_primary_);
    if (!healed_at_ || now() - last_ack_ > 2'000)
        violate(fmt::format("{} ms after the last fault it has not healed: {}",
                            now() - faults_over_, to_string(phase())));
    for (const auto& each : nodes_) {
        if (store_.record.sync_set.contains(id_of(*each)) &&
            each->pg.directory.timelines != newest_primary_->pg.directory.timelines)
            violate(fmt::format("{} is of another history", each->name));
    }
}

Outcome World::run() {
    while (outcome_.violations.empty() && agenda_.step()) {
        if (options_.has_faults) inject();
        // A lease that was lost in the last one takes its time to be missed.
        if (now() < options_.faults_until || now() <= faults_over_ + kAftermath) continue;
        if (!healed_at_ && is_healed()) healed_at_ = now();
        const Time limit = healed_at_ ? *healed_at_ + kStaysHealed : faults_over_ + kHealLimit;
        if (now() > limit) break;
    }
    if (outcome_.violations.empty()) check_end();
    if (healed_at_) outcome_.healed_after = *healed_at_ - faults_over_;
    outcome_.acknowledged = static_cast<int>(acknowledged_.size());
    return std::move(outcome_);
}

Outcome simulate(const Options& options) { return World(options).run(); }

}  // namespace howdah::sim
