#include "sim/world_parts.h"

// One member's agent, as agent/ha/ha_member.cc is: what it writes down, and in which order.

namespace howdah::sim {

using core::ha::Action;
using core::ha::Decision;
using core::ha::Peer;
using core::ha::Postgres;
using core::ha::View;
using State = Instance::State;

// ---------------------------------------------------------------------------------------------
// What is on disk

/// Between any two things that an agent does it can be killed.
bool World::passes_step(Node& node) {
    if (node.dies_after_steps < 0 || node.agent_is_dead) return !node.agent_is_dead;
    if (node.dies_after_steps-- > 0) return true;
    node.dies();
    return false;
}

/// False: it could not be written, or the agent is no more.
bool World::save(Node& node) {
    if (!passes_step(node)) return false;
    if (node.state == node.saved) return true;
    if (node.pg.is_disk_full) return false;
    node.saved = node.state;
    return passes_step(node);
}

/// PostgreSQL's configuration is written.
bool World::configure(Node& node) { return passes_step(node) && !node.pg.is_disk_full; }

// ---------------------------------------------------------------------------------------------
// Leases, promises, fence

void World::renew(Node& node) {
    if (!is_awake(node) || !reaches_store(node)) return;
    const Time sent = own_time(node);
    after(chance_.between(1, node.store_delay), [this, &node, sent, run = node.agent_run] {
        if (store_is_down_) return;
        store_.leases[node.name] = ++newest_lease_;
        after(chance_.between(1, node.store_delay), [this, &node, sent, run] {
            if (!reaches_store(node) || node.agent_run != run || node.agent_is_dead) return;
            // Counted from before it was sent.
            node.renewed = sent;
        });
    });
}

/// A primary asks the members that could be promoted not to do so for a while.
void World::ask_promises(Node& node) {
    if (!is_awake(node) || !node.state.known) return;
    if (node.state.known->primary != id_of(node) || node.pg.state != State::primary) return;
    for (auto& each : nodes_) {
        Node& other = *each;
        if (&other == &node || !link(node, other)) continue;
        after(chance_.between(1, 5),
              [this, &node, &other, sent = own_time(node), term = node.state.known->term,
               run = node.agent_run] { promise(other, node, term, sent, run); });
    }
}

void World::promise(Node& node, Node& primary, core::ha::Term term, Time sent, int run) {
    // One that tries to take over itself must not promise.
    const std::optional<Record>& known = node.state.known;
    const bool grants = is_awake(node) && known && node.state.doubt_base == 0 &&
                        known->term == term && known->primary == id_of(primary);
    if (!grants) return;
    const auto margin = static_cast<Time>(kPromise * (1 + 3 * kDrift));
    node.state.promised_until = std::max(node.state.promised_until, own_time(node) + margin);
    if (!save(node) || !link(node, primary)) return;
    after(chance_.between(1, 5), [&primary, sent, run, from = id_of(node)] {
        if (primary.agent_run != run) return;
        primary.promises[from] = std::max(primary.promises[from], sent + kPromise);
    });
}

/// What the fence has to know before anything else can happen. `adds` may join the sync_set.
void World::set_fence(Node& node, const Members& adds) {
    const Noted& state = node.state;
    const bool leads = state.known && state.known->primary == id_of(node);
    // Like the fence itself: the other half of a rule.
    const bool is_deposed =
        state.known && !leads && node.pg.state == State::primary && has_rule("F1");
    node.fence_until.reset();
    if (is_deposed) node.fence_until = node.lease_until;
    if (!leads) return;
    Members set = state.known->sync_set;
    set.insert(state.doubt_names.begin(), state.doubt_names.end());
    set.insert(adds.begin(), adds.end());
    if (set.empty()) return;
    Time promised = INT64_MAX;
    for (const MemberId& each : set) {
        const auto found = node.promises.find(each);
        promised = std::min(promised, found == node.promises.end() ? 0 : found->second);
    }
    node.fence_until = std::max(node.lease_until, promised);
}

/// A process beside the agent, for when the agent cannot act.
void World::fence(Node& node) {
    if (node.fence_is_paused || !node.fence_until || node.pg.state != State::primary) return;
    // It is that rule's other half.
    if (!has_rule("F2") || is_weak(Weakness::has_no_fence)) return;
    if (own_time(node) < *node.fence_until) return;
    note("the fence of {} ends PostgreSQL", node.name);
    crash(node);
}

// ---------------------------------------------------------------------------------------------
// Looking

void World::tick(Node& node) {
    if (!is_awake(node) || now() < node.busy_until) return;
    // Before the record is read: a renewal counts only while the record is still ours behind it.
    const std::optional<Time> renewed = node.renewed;
    if (!renewed && own_time(node) - node.began_at < kFirstLeaseMax) return;
    const int run = node.agent_run;
    const Time there = chance_.between(1, node.store_delay);
    const Time back = chance_.between(0, node.store_delay);
    const Time takes = std::min(there + back, kCallLimit);
    node.busy_until = now() + takes + 1;
    if (!reaches_store(node) || there + back > kCallLimit)
        return after(takes, [=, this, &node] { act(node, run, std::nullopt, renewed); });
    after(there, [=, this, &node] {
        std::optional<Store> seen;
        if (!store_is_down_) seen = store_;
        after(back, [this, &node, run, renewed, seen = std::move(seen)] {
            act(node, run, seen, renewed);
        });
    });
}

void World::act(Node& node, int run, std::optional<Store> seen, std::optional<Time> renewed) {
    if (node.agent_is_dead || node.agent_run != run) return;
    if (node.agent_is_paused) {
        // It goes on with what it read before, whenever it is let go on.
        node.busy_until = now() + 20;
        return after(10, [this, &node, run, renewed, seen = std::move(seen)] {
            act(node, run, seen, renewed);
        });
    }
    const bool answers = seen && take_record(node, *seen);
    if (node.agent_is_dead) return;
    if (answers && renewed && node.state.known->primary == id_of(node))
        node.lease_until = std::max(node.lease_until, *renewed + kLease);
    look_at_postgres(node);
    const View view = view_of(node, answers);
    const Decision decision = core::ha::decide(view, options_.table);
    const std::string rule(decision.rule == nullptr ? "none" : decision.rule->id);
    ++outcome_.rules[rule];
    if (rule != node.last_rule)
        note("{}: {} {}", node.name, rule, core::ha::to_string(decision.action));
    node.last_rule = rule;
    set_fence(node, {});
    node.serves = core::ha::may_serve(view);
    node.serves_run = node.pg.run;
    carry_out(node, decision);
}

/// False: it is as if the store did not answer.
bool World::take_record(Node& node, const Store& seen) {
    Noted& state = node.state;
    if (seen.revision == 0) return false;
    if (seen.revision < state.known_revision && !is_weak(Weakness::believes_older_store))
        return false;
    for (const auto& each : nodes_) {
        const std::int64_t lease = seen.lease(each->name);
        Node::Seen& before = node.leases[each->name];
        const bool was_known = before.lease != -1;
        if (before.lease != lease) before = {lease, own_time(node), was_known && lease != 0};
    }
    state.known = seen.record;
    state.known_revision = seen.revision;
    if (seen.revision > state.doubt_base) {
        state.doubt_base = 0;
        state.doubt_names.clear();
        node.changes = Action::wait;
    }
    return save(node);
}

void World::look_at_postgres(Node& node) {
    Instance& pg = node.pg;
    if (node.seen_run != pg.run) {
        node.seen_run = pg.run;
        node.seen_since = own_time(node);
        node.waits_for.reset();
        node.proved_at.reset();
        node.silent_since.reset();
        // An agent before this one has proved it of this very run.
        if (node.state.proved_run == pg.run && node.state.proved_names == pg.sync_names) {
            node.waits_for = node.proves = pg.sync_names;
            node.must_reach = pg.end();
        }
    }
    if (!pg.is_frozen) {
        node.silent_since.reset();
        node.silent_looks = 0;
    } else {
        ++node.silent_looks;
        if (!node.silent_since) node.silent_since = own_time(node);
    }
    if (pg.acts() && pg.state == State::primary) look_at_proof(node);
}

/// A checkpoint that began behind the setting has ended (RULES HA 4).
void World::look_at_proof(Node& node) {
    Instance& pg = node.pg;
    if (node.waits_for == pg.sync_names) return;
    const bool runs = node.proved_at && node.proves == pg.sync_names;
    if (!runs) {
        node.proves = pg.sync_names;
        const bool needs_none = pg.sync_names.empty() || is_weak(Weakness::proves_nothing);
        node.proved_at = now() + (needs_none ? 0 : chance_.between(5, 300) + pg.flush_delay);
    }
    if (now() < *node.proved_at) return;
    const bool is_published = pg.published_names == pg.sync_names;
    // Whom nobody waits for needs no proof.
    if (!is_published && !pg.sync_names.empty() && !is_weak(Weakness::proves_nothing)) return;
    node.proved_at.reset();
    node.waits_for = pg.sync_names;
    node.must_reach = pg.end();
    if (pg.sync_names.empty()) return;
    node.state.proved_run = pg.run;
    node.state.proved_names = pg.sync_names;
    if (!save(node)) node.state.proved_run = 0;
}

Postgres World::postgres_of(const Node& node) const {
    const Instance& pg = node.pg;
    if (pg.directory.incarnation.empty()) return Postgres::absent;
    if (pg.state == State::stopped || pg.is_orphaned) return Postgres::stopped;
    if (pg.state == State::starting || pg.promotes != 0) return Postgres::starting;
    return pg.state == State::primary ? Postgres::primary : Postgres::standby;
}

Peer World::peer_of(const Node& node, const MemberId& id) const {
    Peer peer{.id = id};
    const Time own = own_time(node);
    const auto seen = node.leases.find(id.node);
    peer.is_alive = seen != node.leases.end() && own - seen->second.at < kRivalWait;
    peer.has_renewed = peer.is_alive && seen->second.has_moved;
    const auto promise = node.promises.find(id);
    peer.has_promised = promise != node.promises.end() && own < promise->second;
    if (node.pg.state != State::primary) return peer;
    const auto sender = node.pg.senders.find(id);
    if (sender == node.pg.senders.end()) {
        // One that was there before a restart gets its time to come back.
        peer.is_streaming = node.state.known && node.state.known->sync_set.contains(id) &&
                            own - node.seen_since < kStandbyPatience;
        return peer;
    }
    // A PostgreSQL that is silent tells nothing of its standbys.
    const Time looked = node.silent_since.value_or(own);
    peer.is_streaming = looked - sender->second.heard < kStandbyPatience;
    peer.has_caught_up =
        node.waits_for == node.pg.sync_names && sender->second.flushed >= node.must_reach;
    return peer;
}

bool World::is_hopeless(Node& node, const View& view) const {
    const bool can_learn = view.store_answers && view.record && view.record->is_noted() &&
                           view.record->primary != view.self &&
                           peer_of(node, view.record->primary).is_alive;
    const bool is_deaf = node.pg.acts() && node.pg.state == State::standby &&
                         node.pg.session == 0 && !node.is_copying;
    if (!can_learn || !is_deaf) node.useless_since.reset();
    if (can_learn && is_deaf && !node.useless_since) node.useless_since = own_time(node);
    if (is_weak(Weakness::keeps_hoping)) return false;
    return node.useless_since && own_time(node) - *node.useless_since > kHopelessMax;
}

View World::view_of(Node& node, bool store_answers) {
    const Instance& pg = node.pg;
    const Noted& state = node.state;
    View view;
    view.self = id_of(node);
    view.record = state.known;
    view.store_answers = store_answers;
    view.change_in_doubt = state.doubt_base != 0;
    if (!store_answers && view.record && view.change_in_doubt)
        view.record->sync_set.insert(state.doubt_names.begin(), state.doubt_names.end());
    view.lease_holds = own_time(node) < node.lease_until;
    view.has_promised = own_time(node) < state.promised_until;
    view.postgres = postgres_of(node);
    view.is_hung = node.silent_since && node.silent_looks >= agent::HaMember::kHangLooks &&
                   own_time(node) - *node.silent_since > kHang;
    if (!pg.directory.timelines.empty()) view.own_term = pg.directory.timelines.back().term;
    view.told = pg.sync_names;
    view.waits_for = node.waits_for;
    view.is_silent = pg.is_frozen;
    view.receives = pg.session != 0 && !pg.is_frozen;
    view.follows = pg.upstream;
    view.replay_is_paused = pg.replay_is_paused;
    if (view.record)
        view.history =
            core::ha::history_of(pg.directory.timelines, pg.end(), view.record->timelines);
    for (const auto& each : nodes_) {
        if (each.get() == &node || each->pg.directory.incarnation.empty()) continue;
        const Peer peer = peer_of(node, id_of(*each));
        const auto sender = pg.senders.find(peer.id);
        if (view.record && view.record->sync_set.contains(peer.id) &&
            (sender == pg.senders.end() || sender->second.flushed < pg.recovered_to))
            view.recovery_is_exposed = true;
        view.peers.push_back(peer);
    }
    view.is_hopeless = is_hopeless(node, view);
    return view;
}

// ---------------------------------------------------------------------------------------------
// Acting

void World::carry_out(Node& node, const Decision& decision) {
    Record next = node.state.known.value_or(Record{});
    const auto changed = [&](Members adds = {}) {
        change(node, {.what = decision.action, .wanted = next, .adds = std::move(adds)});
    };
    switch (decision.action) {
        case Action::grow:
            next.sync_set.insert(*decision.peer);
            return changed({*decision.peer});
        case Action::shrink:
            next.sync_set.erase(*decision.peer);
            return changed();
        case Action::hand_over:
            next = core::ha::next_term(next, *decision.peer);
            return changed();
        case Action::take_over: {
            const std::string primary = next.primary.node;
            next = core::ha::next_term(next, id_of(node));
            return change(node, {.what = Action::take_over,
                                 .wanted = next,
                                 .unless_renewed = Lease{primary, node.leases[primary].lease}});
        }
        case Action::note_timeline:
            next.timelines = node.pg.directory.timelines;
            return changed();
        case Action::touch:
            return changed(node.state.doubt_names);
        case Action::forget_successor:
            next.successor.reset();
            return changed();
        case Action::give_up:
            next = core::ha::without(next, id_of(node));
            return changed();
        default:
            return carry_out_here(node, decision);
    }
}

void World::carry_out_here(Node& node, const Decision& decision) {
    Instance& pg = node.pg;
    switch (decision.action) {
        case Action::stop_now:
            return crash(node);
        case Action::stop_clean:
            return stop_clean(node);
        case Action::start_primary:
            return begin(node, true, decision.names);
        case Action::start_standby:
            return begin(node, false, {});
        case Action::follow:
            if (!configure(node)) return;
            pg.upstream = node.state.known->primary;
            pg.session = 0;
            return;
        case Action::cut:
            return cut(node);
        case Action::promote:
            return promote(node);
        case Action::set_sync:
            return set_sync(node, decision.names);
        case Action::rewind:
        case Action::clone:
            return begin_copy(node, decision.action == Action::clone);
        default:
            return;
    }
}

void World::begin(Node& node, bool as_primary, const Members& names) {
    Instance& pg = node.pg;
    node.state.proved_run = 0;
    if (!save(node) || !configure(node)) return;
    crash(node);  // what is left of the run before
    pg.upstream.reset();
    pg.sync_names = names;
    const bool leads = node.state.known->primary == id_of(node);
    if (!as_primary && !leads) pg.upstream = node.state.known->primary;
    start(node, as_primary, chance_.between(20, 300));
    (void)passes_step(node);
}

void World::cut(Node& node) {
    if (!configure(node)) return;
    after(chance_.between(1, 60), [&node, run = node.pg.run] {
        if (node.pg.run != run) return;
        node.pg.upstream.reset();
        node.pg.session = 0;
    });
}

void World::promote(Node& node) {
    node.state.promoting = node.state.known->term;
    if (!save(node) || !configure(node)) return;
    node.pg.sync_names = node.state.known->sync_set;
    node.pg.promotes = node.state.promoting;
    (void)passes_step(node);
}

void World::set_sync(Node& node, const Members& names) {
    Instance& pg = node.pg;
    if (pg.sync_names == names) return;
    node.state.proved_run = 0;
    if (!save(node)) return;
    // Until the new names are proved, backends may know these or those.
    if (node.waits_for)
        std::erase_if(*node.waits_for, [&](const MemberId& each) { return !names.contains(each); });
    if (!configure(node)) return;
    pg.sync_names = names;
    // The checkpointer may be busy for long (RULES HA 4).
    publish(node, chance_.one_in(6) ? chance_.between(300, 2'000) : chance_.between(0, 120));
    (void)passes_step(node);
}

void World::stop_clean(Node& node) {
    node.serves = false;
    after(chance_.between(20, 80), [this, &node, run = node.pg.run] {
        if (node.pg.run != run || !node.pg.acts()) return;
        node.pg.directory.flushed = node.pg.end();
        crash(node);
    });
}

// ---------------------------------------------------------------------------------------------
// Changing the record

/// Before it goes out it is on disk that it may happen; only what makes another one primary goes
/// out in any case.
void World::change(Node& node, Change wanted) {
    Noted& state = node.state;
    wanted.base = state.known_revision;
    wanted.older_base = state.doubt_base;
    wanted.older = state.doubt_names;
    if (!is_weak(Weakness::forgets_doubt)) {
        state.doubt_base = wanted.base;
        state.doubt_names.insert(wanted.adds.begin(), wanted.adds.end());
    }
    const bool is_written = save(node);
    if (node.agent_is_dead || (!is_written && wanted.wanted.primary == id_of(node))) return;
    if (!is_weak(Weakness::forgets_doubt)) set_fence(node, wanted.adds);
    if (!passes_step(node)) return;
    node.changes = wanted.what;
    node.busy_until = now() + kCallLimit;
    ++node.call;
    if (reaches_store(node)) send(node, wanted);
    (void)passes_step(node);
}

/// The request may come late or twice, its answer may get lost.
void World::send(Node& node, const Change& wanted) {
    Time takes =
        chance_.one_in(40) ? chance_.between(500, 3'000) : chance_.between(1, 2 * node.store_delay);
    if (node.on_growth && !wanted.adds.empty()) std::exchange(node.on_growth, nullptr)();
    takes = std::max(takes, node.changes_arrive_at - now());
    after(takes, [this, &node, wanted, run = node.agent_run, call = node.call] {
        if (store_is_down_) return;
        const auto revision = arrive(wanted);
        after(chance_.between(1, node.store_delay), [this, &node, wanted, run, call, revision] {
            if (reaches_store(node)) answer(node, run, call, wanted, revision);
        });
    });
    if (!chance_.one_in(20)) return;
    after(takes + chance_.between(1, 1'000), [this, wanted] {
        if (!store_is_down_) (void)arrive(wanted);
    });
}

/// None: something else happened before.
std::optional<std::int64_t> World::arrive(const Change& wanted) {
    const bool is_renewed = wanted.unless_renewed && store_.lease(wanted.unless_renewed->first) !=
                                                         wanted.unless_renewed->second;
    const bool is_same = store_.revision == wanted.base || is_weak(Weakness::compares_nothing);
    if (!is_same || is_renewed) return std::nullopt;
    older_stores_.push_back(store_);
    store_.record = wanted.wanted;
    if (!store_is_lost_) newest_revision_ = store_.revision + 1;
    return ++store_.revision;
}

void World::answer(Node& node, int run, int call, const Change& wanted,
                   std::optional<std::int64_t> revision) {
    if (node.agent_run != run || node.agent_is_dead || node.call != call) return;
    if (node.agent_is_paused)
        return after(10, [=, this, &node] { answer(node, run, call, wanted, revision); });
    // Whoever asked has given up.
    if (now() > node.busy_until) return;
    Noted& state = node.state;
    state.doubt_base = revision ? 0 : wanted.older_base;
    state.doubt_names = revision ? Members{} : wanted.older;
    if (state.doubt_base == 0) node.changes = Action::wait;
    if (is_weak(Weakness::notes_answer_twice) && !save(node)) return;
    if (revision) {
        state.known = wanted.wanted;
        state.known_revision = *revision;
    }
    // In one step on disk: else an agent that is killed here would believe that no standby may
    // take over.
    (void)save(node);
    node.busy_until = now();
}

// ---------------------------------------------------------------------------------------------
// Copies

/// There is no member until the copy is complete.
void World::begin_copy(Node& node, bool whole) {
    if (!save(node)) return;
    crash(node);
    node.is_copying = true;
    if (whole) node.pg.directory = {};
    node.busy_until = now() + 1'500;
    const int run = ++node.pg.run;
    after(chance_.between(100, 1'200), [this, &node, run, whole] {
        if (node.pg.run != run || node.agent_is_dead) return;
        node.is_copying = false;
        finish_copy(node, whole);
    });
}

void World::finish_copy(Node& node, bool whole) {
    Instance& pg = node.pg;
    Node* const primary = node_of(node.state.known->primary);
    if (primary == nullptr || primary == &node || !primary->pg.acts() || pg.is_disk_full) return;
    if (primary->pg.state != State::primary || !link(*primary, node) || !link(node, *primary))
        return;
    if (!passes_step(node)) return;
    Directory& own = pg.directory;
    const Directory& theirs = primary->pg.directory;
    if (whole) {
        own.wal.assign(theirs.wal.begin(),
                       theirs.wal.begin() + static_cast<std::ptrdiff_t>(theirs.flushed));
        own.timelines = theirs.timelines;
    } else {
        own.wal.resize(core::ha::common_end(own.timelines, pg.end(), node.state.known->timelines));
    }
    own.flushed = own.wal.size();
    own.incarnation = fmt::format("i{}", next_incarnation_++);
    note("{} has a directory again: {} {}", node.name, own.incarnation, own.flushed);
}

}  // namespace howdah::sim
