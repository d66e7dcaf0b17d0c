#include "sim/world_parts.h"

namespace howdah::sim {

using core::ha::History;
using State = Instance::State;

namespace {

constexpr Time kKeepAlive = 60;

}  // namespace

void World::start(Node& node, bool as_primary, Time takes) {
    node.pg.state = State::starting;
    const int run = ++node.pg.run;
    after(takes, [this, &node, run, as_primary] {
        if (node.pg.run == run && node.pg.state == State::starting) come_up(node, as_primary);
    });
}

void World::come_up(Node& node, bool as_primary) {
    Instance& pg = node.pg;
    if (pg.is_disk_full) return crash(node);
    pg.state = as_primary ? State::primary : State::standby;
    pg.senders.clear();
    pg.waiters.clear();
    pg.session = 0;
    pg.promotes = 0;
    if (!as_primary) return;
    // Recovery shows what nobody may have acknowledged (RULES HA 14).
    pg.recovered_to = pg.visible = pg.end();
    // Backends of the first moments may not wait yet (RULES HA 5).
    pg.published_names.clear();
    publish(node, chance_.between(0, 60));
}

void World::crash(Node& node) {
    Instance& pg = node.pg;
    if (pg.state == State::stopped) return;
    ++pg.run;
    pg.state = State::stopped;
    pg.is_orphaned = false;
    pg.promotes = 0;
    pg.directory.wal.resize(std::min<std::size_t>(pg.directory.wal.size(), pg.directory.flushed));
    pg.waiters.clear();
    pg.senders.clear();
    pg.session = 0;
    note("PostgreSQL of {} is down", node.name);
}

/// Backends and walsenders live on for a while and acknowledge (RULES HA 10).
void World::orphan(Node& node) {
    node.pg.is_orphaned = true;
    after(chance_.between(1, 600), [this, &node, run = node.pg.run] {
        if (node.pg.run == run && node.pg.is_orphaned) crash(node);
    });
}

void World::publish(Node& node, Time delay) {
    after(delay, [this, &node, run = node.pg.run] {
        if (node.pg.run != run) return;
        node.pg.published_names = node.pg.sync_names;
        release(node);
    });
}

void World::write(Node& node) {
    Instance& pg = node.pg;
    // What was recycled is written to for a while; then it panics.
    if (pg.is_disk_full && chance_.one_in(10)) return crash(node);
    const int commit = next_commit_++;
    pg.directory.wal.push_back(commit);
    const Lsn end = pg.end();
    pg.waiters.push_back({end, commit});
    after(pg.flush_delay, [this, &node, run = pg.run, end] {
        Instance& self = node.pg;
        if (self.run != run || self.is_frozen) return;
        self.directory.flushed = std::max(self.directory.flushed, std::min(end, self.end()));
        release(node);
    });
}

/// Commits that wait for nobody any more are acknowledged.
void World::release(Node& node) {
    Instance& pg = node.pg;
    if (pg.waiters.empty() || !pg.acts() || pg.state != State::primary) return;
    Lsn reached = pg.directory.flushed;
    for (const MemberId& each : pg.published_names) {
        const auto sender = pg.senders.find(each);
        reached = sender == pg.senders.end() ? 0 : std::min(reached, sender->second.flushed);
    }
    // In the order in which they were written.
    std::size_t done = 0;
    while (done < pg.waiters.size() && pg.waiters[done].end <= reached) {
        acknowledge(node, pg.waiters[done].commit, pg.waiters[done].end);
        ++done;
    }
    pg.waiters.erase(pg.waiters.begin(), pg.waiters.begin() + static_cast<std::ptrdiff_t>(done));
}

/// PostgreSQL refuses a standby that is ahead or on a timeline of its own.
bool World::connects(Instance& standby, const Instance& primary) {
    if (standby.session != 0) return true;
    const History history = core::ha::history_of(standby.directory.timelines, standby.end(),
                                                 primary.directory.timelines);
    if (history != History::fits && !is_weak(Weakness::follows_diverged)) return false;
    if (standby.end() > primary.end()) return false;
    // "requested WAL segment has already been removed"
    if (standby.end() + kWalKept < primary.end()) return false;
    standby.session = next_session_++;
    standby.told_at = 0;
    return true;
}

/// What the WAL receiver of a standby asks for, every few milliseconds.
void World::stream(Node& node) {
    Instance& pg = node.pg;
    if (pg.promotes != 0 && (pg.session == 0 || now() - pg.heard > kStreamRunsDry))
        return try_promote(node);
    if (pg.state != State::standby || !pg.acts() || !pg.upstream) return;
    Node* const primary = node_of(*pg.upstream);
    const bool flows = primary != nullptr && primary->pg.acts() && link(*primary, node) &&
                       link(node, *primary) && primary->pg.state == State::primary;
    if (!flows || !connects(pg, primary->pg)) return;
    const Directory& theirs = primary->pg.directory;
    const Lsn from = pg.end();
    const Lsn end = std::min<Lsn>(theirs.flushed, from + 50);
    // With nothing new it says that it is there, now and then.
    const bool is_idle = end == from && now() - pg.told_at < kKeepAlive;
    if (end < from || is_idle) return;
    pg.told_at = now();
    const auto at = [&](Lsn lsn) { return theirs.wal.begin() + static_cast<std::ptrdiff_t>(lsn); };
    std::vector<int> entries(at(from), at(end));
    after(chance_.between(1, 4) * std::max(pg.send_delay, primary->pg.send_delay),
          [this, &node, session = pg.session, from, entries = std::move(entries),
           timelines = theirs.timelines]() mutable {
              receive(node, session, from, std::move(entries), std::move(timelines));
          });
}

void World::receive(Node& standby, int session, Lsn from, std::vector<int> entries,
                    Timelines timelines) {
    Instance& pg = standby.pg;
    if (!pg.acts() || pg.state != State::standby || pg.session != session || pg.end() != from)
        return;
    if (pg.is_disk_full && !entries.empty() && chance_.one_in(10)) return crash(standby);
    pg.directory.wal.insert(pg.directory.wal.end(), entries.begin(), entries.end());
    if (!entries.empty()) pg.heard = now();
    pg.directory.timelines = std::move(timelines);
    const Lsn end = pg.end();
    after(pg.flush_delay, [this, &standby, session, run = pg.run, end] {
        Instance& self = standby.pg;
        if (self.run != run || !self.acts() || self.end() < end) return;
        self.directory.flushed = std::max(self.directory.flushed, end);
        Node* const primary = self.upstream ? node_of(*self.upstream) : nullptr;
        if (primary == nullptr || self.session != session || !link(standby, *primary)) return;
        after(chance_.between(1, 4) * std::max(self.send_delay, primary->pg.send_delay),
              [this, primary, to = primary->pg.run, from_id = id_of(standby),
               flushed = self.directory.flushed] { take_ack(*primary, to, from_id, flushed); });
    });
}

void World::take_ack(Node& primary, int run, const MemberId& from, Lsn flushed) {
    Instance& pg = primary.pg;
    if (pg.run != run || !pg.acts()) return;
    Instance::Sender& sender = pg.senders[from];
    sender.flushed = std::max(sender.flushed, flushed);
    sender.heard = own_time(primary);
    release(primary);
}

/// With a receiver that still gets WAL the promotion waits until the stream runs dry (RULES HA 6).
void World::try_promote(Node& node) {
    Instance& pg = node.pg;
    if (!pg.acts() || pg.state != State::standby) return;
    // It would not come up (RULES HA 20), or has no room for the history of its timeline.
    if (pg.replay_is_paused || pg.is_disk_full) return crash(node);
    const core::ha::Term term = std::exchange(pg.promotes, 0);
    pg.session = 0;
    pg.upstream.reset();
    pg.directory.flushed = pg.end();
    pg.state = State::primary;
    ++pg.run;
    pg.senders.clear();
    pg.waiters.clear();
    pg.visible = pg.recovered_to = pg.end();
    pg.published_names = pg.sync_names;
    pg.directory.timelines.push_back({term, pg.end()});
    note("{} is promoted in term {} at {}", node.name, term, pg.end());
    check_promotion(node);
}

}  // namespace howdah::sim
