#include <array>

#include "sim/world_parts.h"

// What goes wrong, in which state of the system, and how it is brought there.

namespace howdah::sim {

using core::ha::Action;
using core::ha::History;
using State = Instance::State;

namespace {

constexpr Time kAfterPause = 150;

}  // namespace

/// Every fault changes something and takes care that it ends.
struct Strikes {
    // PostgreSQL.
    static bool postmaster_killed(World& w, Node& node, Time) {
        if (!node.pg.runs()) return false;
        w.orphan(node);
        return true;
    }
    static bool postgres_crashed(World& w, Node& node, Time) {
        if (node.pg.state == State::stopped) return false;
        w.crash(node);
        return true;
    }
    static bool postgres_hangs(World& w, Node& node, Time lasts) {
        if (!node.pg.acts()) return false;
        node.pg.is_frozen = true;
        w.until(lasts, [&node] { node.pg.is_frozen = false; });
        return true;
    }
    static bool replay_paused(World& w, Node& node, Time lasts) {
        if (node.pg.state != State::standby) return false;
        node.pg.replay_is_paused = true;
        w.until(lasts, [&node] { node.pg.replay_is_paused = false; });
        return true;
    }
    static bool slow_disk(World& w, Node& node, Time lasts) {
        node.pg.flush_delay = w.chance_.between(50, 800);
        w.until(lasts, [&node] { node.pg.flush_delay = 1; });
        return true;
    }
    static bool full_disk(World& w, Node& node, Time lasts) {
        node.pg.is_disk_full = true;
        w.until(lasts, [&node] { node.pg.is_disk_full = false; });
        return true;
    }

    // Agents and nodes.
    static bool agent_killed(World& w, Node& node, Time lasts) {
        if (node.agent_is_dead) return false;
        node.agent_is_dead = true;
        node.dies_after_steps = -1;
        w.note("the agent of {} is killed", node.name);
        w.until(lasts, [&w, &node] { w.forget_all(node); });
        return true;
    }
    static bool agent_killed_at_a_step(World& w, Node& node, Time lasts) {
        return at_a_step(w, node, lasts, /*with_postgres=*/false);
    }
    static bool node_lost_at_a_step(World& w, Node& node, Time lasts) {
        return at_a_step(w, node, lasts, /*with_postgres=*/true);
    }
    static bool at_a_step(World& w, Node& node, Time lasts, bool with_postgres) {
        if (node.agent_is_dead || node.dies_after_steps >= 0) return false;
        node.dies_after_steps = static_cast<int>(w.chance_.between(0, 12));
        node.dies = [&w, &node, lasts, with_postgres] {
            if (with_postgres) w.crash(node);
            (void)agent_killed(w, node, lasts);
            // And nobody can tell the new one what happened.
            if (w.chance_.one_in(3)) (void)no_way_to_store(w, node, lasts + 3'000);
        };
        // It does not die later than this.
        w.until(3'000 + lasts, [&node] { node.dies_after_steps = -1; });
        w.after(3'000, [&node] { node.dies_after_steps = -1; });
        return true;
    }
    static bool agent_paused(World& w, Node& node, Time lasts) {
        if (node.agent_is_dead) return false;
        node.agent_is_paused = true;
        w.until(lasts, [&node] { node.agent_is_paused = false; });
        return true;
    }
    static bool node_lost(World& w, Node& node, Time lasts) {
        w.crash(node);
        return agent_killed(w, node, lasts);
    }
    static bool node_paused(World& w, Node& node, Time lasts) {
        if (node.agent_is_dead) return false;
        node.paused_until = std::max(node.paused_until, w.now() + lasts + kAfterPause);
        (void)agent_paused(w, node, lasts);
        (void)postgres_hangs(w, node, lasts);
        node.fence_is_paused = true;
        w.until(lasts, [&node] { node.fence_is_paused = false; });
        return true;
    }

    // The clock of a node. What it makes believe lasts as long as it leapt, and a lease.
    static bool clock_leaps(World& w, Node& node, Time by) {
        node.clock_is_off += by;
        const Time lasts = std::abs(by) + 2 * kRivalWait + kLease;
        w.clocks_lie_until_ = std::max(w.clocks_lie_until_, w.now() + lasts);
        w.until(lasts, [] {});
        return true;
    }
    static bool clock_leaps_forward(World& w, Node& node, Time lasts) {
        return clock_leaps(w, node, lasts);
    }
    static bool clock_leaps_back(World& w, Node& node, Time lasts) {
        return clock_leaps(w, node, -lasts);
    }

    // The network.
    static void cut(World& w, const Node& from, const Node& to, Time lasts) {
        const auto pair = std::pair(from.name, to.name);
        w.cut_links_.insert(pair);
        w.until(lasts, [&w, pair] { w.cut_links_.erase(pair); });
    }
    static Node& neighbour(World& w, const Node& node) {
        const auto self = static_cast<std::size_t>(node.name[0] - 'a');
        const auto step = static_cast<std::size_t>(w.chance_.between(1, w.options_.nodes - 1));
        return *w.nodes_[(self + step) % w.nodes_.size()];
    }
    static bool partition(World& w, Node& node, Time lasts) {
        (void)no_way_to_store(w, node, lasts);
        for (auto& each : w.nodes_) {
            cut(w, node, *each, lasts);
            cut(w, *each, node, lasts);
        }
        return true;
    }
    static bool link_cut(World& w, Node& node, Time lasts) {
        const Node& other = neighbour(w, node);
        cut(w, node, other, lasts);
        cut(w, other, node, lasts);
        return true;
    }
    static bool link_cut_one_way(World& w, Node& node, Time lasts) {
        cut(w, node, neighbour(w, node), lasts);
        return true;
    }
    static bool slow_links(World& w, Node& node, Time lasts) {
        node.pg.send_delay = w.chance_.between(20, 400);
        w.until(lasts, [&node] { node.pg.send_delay = 1; });
        return true;
    }
    static bool no_way_to_store(World& w, Node& node, Time lasts) {
        node.reaches_store = false;
        w.until(lasts, [&node] { node.reaches_store = true; });
        return true;
    }
    static bool slow_way_to_store(World& w, Node& node, Time lasts) {
        node.store_delay = w.chance_.between(50, 1'500);
        w.until(lasts, [&node] { node.store_delay = 1; });
        return true;
    }
    static bool lossy_way_to_store(World& w, Node& node, Time lasts) {
        node.loses_messages = true;
        w.until(lasts, [&node] { node.loses_messages = false; });
        return true;
    }
    /// The worst that can happen to a compare-and-swap that lets a standby in: it gets stuck on its
    /// way, that standby goes away, and when it arrives after all its sender is cut off and dies.
    static bool late_growth(World& w, Node& node, Time) {
        node.on_growth = [&w, &node] {
            const Time takes = w.chance_.between(kCallLimit + kStandbyPatience, 3'500);
            node.changes_arrive_at = w.now() + takes;
            for (auto& each : w.nodes_) {
                if (each.get() == &node) continue;
                const auto pair = std::pair(each->name, node.name);
                w.after(w.chance_.between(1, 100), [&w, pair] { w.cut_links_.insert(pair); });
                w.until(takes + 3'000, [&w, pair] { w.cut_links_.erase(pair); });
            }
            w.after(takes - 1, [&node] { node.reaches_store = false; });
            w.after(takes + w.chance_.between(20, 400), [&w, &node] { w.crash(node); });
            w.until(takes + 3'000, [&node] { node.reaches_store = true; });
        };
        return true;
    }

    // The store.
    static bool store_stopped(World& w, Node&, Time lasts) {
        w.store_is_down_ = true;
        w.until(lasts, [&w] { w.store_is_down_ = false; });
        return true;
    }
    /// It lasts until a person has put back the newest record that any member has written down,
    /// of the newest term, with a revision that is newer than all. A store that went back may give
    /// a revision twice, and a request that comes late make another record of it.
    static bool lose_store(World& w, Store left, Time lasts) {
        w.store_is_lost_ = true;
        w.store_ = std::move(left);
        w.until(lasts, [&w] {
            const Noted* newest = nullptr;
            const auto age = [](const Noted& each) {
                return std::pair(each.known ? each.known->term : 0, each.known_revision);
            };
            for (const auto& each : w.nodes_)
                if (newest == nullptr || age(each->saved) > age(*newest)) newest = &each->saved;
            w.store_.record = *newest->known;
            w.newest_revision_ += 1'000;
            w.store_.revision = w.newest_revision_;
            w.store_is_lost_ = false;
            w.note("the record is put back: term {}, {} primary", w.store_.record.term,
                   w.store_.record.primary.node);
        });
        return true;
    }
    /// What every member knows to be older: -1 if one knows of nothing.
    static std::int64_t known_by_all(const World& w) {
        std::int64_t known = INT64_MAX;
        for (const auto& each : w.nodes_) {
            if (!each->saved.known) return -1;
            known = std::min(known, each->saved.known_revision);
        }
        return known;
    }
    static bool store_empty(World& w, Node&, Time lasts) {
        if (w.store_is_lost_ || known_by_all(w) < 0) return false;
        return lose_store(w, {.record = {}, .revision = 0, .leases = {}}, lasts);
    }
    static bool store_older(World& w, Node&, Time lasts) {
        const std::int64_t known = known_by_all(w);
        std::vector<const Store*> older;
        for (const Store& each : w.older_stores_)
            if (each.revision != 0 && each.revision < known) older.push_back(&each);
        if (w.store_is_lost_ || older.empty()) return false;
        // Rather a young one: it is the one that is believed.
        const auto back = w.chance_.between(1, std::min<Time>(8, std::ssize(older)));
        return lose_store(w, *older[older.size() - static_cast<std::size_t>(back)], lasts);
    }

    /// A planned one: the API writes the wish.
    static bool switchover(World& w, Node& node, Time) {
        const bool is_away = w.store_is_down_ || w.store_is_lost_;
        if (is_away || w.store_.record.sync_set.empty()) return false;
        w.older_stores_.push_back(w.store_);
        w.store_.record.successor = *w.store_.record.sync_set.begin();
        // Somebody who is gone for ever.
        if (w.chance_.one_in(6)) w.store_.record.successor = MemberId{node.name, "gone"};
        w.newest_revision_ = ++w.store_.revision;
        w.until(1, [] {});
        return true;
    }
};

std::span<const World::Fault> World::faults() {
    static constexpr Fault kFaults[] = {
        {"postmaster killed", Strikes::postmaster_killed},
        {"PostgreSQL crashed", Strikes::postgres_crashed},
        {"PostgreSQL hangs", Strikes::postgres_hangs},
        {"replay paused", Strikes::replay_paused},
        {"slow disk", Strikes::slow_disk},
        {"full disk", Strikes::full_disk},
        {"agent killed", Strikes::agent_killed},
        {"agent killed at a step", Strikes::agent_killed_at_a_step},
        {"agent paused", Strikes::agent_paused},
        {"node lost", Strikes::node_lost},
        {"node lost at a step", Strikes::node_lost_at_a_step},
        {"node paused", Strikes::node_paused},
        {"clock leaps forward", Strikes::clock_leaps_forward},
        {"clock leaps back", Strikes::clock_leaps_back},
        {"partition", Strikes::partition},
        {"link cut", Strikes::link_cut},
        {"link cut one way", Strikes::link_cut_one_way},
        {"slow links", Strikes::slow_links},
        {"no way to the store", Strikes::no_way_to_store},
        {"slow way to the store", Strikes::slow_way_to_store},
        {"lossy way to the store", Strikes::lossy_way_to_store},
        {"late growth", Strikes::late_growth},
        {"store stopped", Strikes::store_stopped},
        {"store lost: empty", Strikes::store_empty},
        {"store lost: older", Strikes::store_older},
        {"switchover", Strikes::switchover},
    };
    return kFaults;
}

namespace {

std::size_t kind_of(std::string_view name) {
    const auto all = fault_kinds();
    return static_cast<std::size_t>(std::find(all.begin(), all.end(), name) - all.begin());
}

}  // namespace

std::span<const std::string_view> fault_kinds() {
    static const std::vector<std::string_view> names = [] {
        std::vector<std::string_view> all;
        for (const World::Fault& each : World::faults()) all.push_back(each.name);
        return all;
    }();
    return names;
}

bool can_meet(std::size_t kind, Phase phase) {
    if (fault_kinds()[kind] != "switchover") return true;
    // It is refused when nobody could take over, when the wish cannot be written, and by a primary
    // that is not through with its own promotion.
    return phase != Phase::alone && phase != Phase::store_away && phase != Phase::promoting &&
           phase != Phase::noting;
}

// ---------------------------------------------------------------------------------------------
// When

void World::until(Time lasts, std::function<void()> ends) {
    faults_over_ = std::max(faults_over_, now() + lasts);
    after(lasts, [this, ends = std::move(ends)] {
        promotions_since_change_ = 0;
        ends();
    });
}

/// Every other fault waits for a state of the system that rarely meets it: which is the seed's.
void World::choose_target() {
    if (chance_.one_in(2)) return;
    constexpr std::size_t kOfOneRun = 6;
    const std::size_t pairs = faults().size() * kPhases;
    const std::size_t pair =
        options_.pair.value_or((options_.seed * kOfOneRun + targets_++) % pairs);
    const Target target{pair / kPhases, static_cast<Phase>(pair % kPhases),
                        now() + chance_.between(0, 300), now() + chance_.between(1'500, 4'000)};
    const bool is_possible = target.phase != Phase::one_missing || options_.nodes > 2;
    if (is_possible && can_meet(target.kind, target.phase)) target_ = target;
}

void World::inject() {
    if (now() < next_fault_ || now() >= options_.faults_until) return;
    if (!target_) choose_target();
    auto kind = static_cast<std::size_t>(chance_.between(0, std::ssize(faults()) - 1));
    if (target_) {
        const bool is_met = phase() == target_->phase;
        if (!is_met && now() >= target_->provoked_at) {
            target_->provoked_at = INT64_MAX;
            provoke(target_->phase);
        }
        if (!is_met && now() < target_->given_up_at) return;
        kind = target_->kind;
    }
    target_.reset();
    // One whom it can hurt.
    const auto first = static_cast<std::size_t>(chance_.between(0, options_.nodes - 1));
    for (std::size_t i = 0; i < nodes_.size(); ++i)
        if (strike(kind, *nodes_[(first + i) % nodes_.size()])) break;
    // Often a second one follows on the heels of the first.
    next_fault_ =
        now() + (chance_.one_in(3) ? chance_.between(1, 400) : chance_.between(400, 2'500));
}

bool World::strike(std::size_t kind, Node& victim) {
    const Phase met = phase();
    const Time lasts = chance_.one_in(4) ? chance_.between(1, 300) : chance_.between(300, 5'000);
    if (!faults()[kind].strike(*this, victim, lasts)) return false;
    note("fault: {} at {} for {} ({})", faults()[kind].name, victim.name, lasts, to_string(met));
    ++outcome_.faults[pair_of(kind, met)];
    faults_over_ = std::max(faults_over_, now());
    promotions_since_change_ = 0;
    return true;
}

/// Something that leads there.
void World::provoke(Phase wanted) {
    Node* const primary = node_of(store_.record.primary);
    if (primary == nullptr) return;
    Node* standby = nullptr;
    for (auto& each : nodes_)
        if (each.get() != primary) standby = each.get();
    switch (wanted) {
        case Phase::healthy:
            return;
        case Phase::store_away:
            (void)strike(kind_of("store stopped"), *primary);
            return;
        case Phase::switch_over:
            (void)strike(kind_of("switchover"), *primary);
            return;
        case Phase::starting:
            (void)strike(kind_of("PostgreSQL crashed"), *primary);
            return;
        case Phase::succession:
        case Phase::promoting:
        case Phase::primary_lost:
        case Phase::noting:
        case Phase::copying:
        case Phase::rejoining:
            (void)strike(kind_of("node lost"), *primary);
            return;
        default:
            (void)strike(kind_of("node lost"), *standby);
            return;
    }
}

// ---------------------------------------------------------------------------------------------
// In which state

bool World::is_heard(const Node& primary, const MemberId& standby) const {
    constexpr Time kSoon = 150;
    const auto sender = primary.pg.senders.find(standby);
    return sender != primary.pg.senders.end() && own_time(primary) - sender->second.heard < kSoon;
}

Phase World::phase() {
    if (store_is_down_ || store_is_lost_) return Phase::store_away;
    for (const auto& each : nodes_) {
        const Action doubt = each->changes;
        if (doubt == Action::hand_over || doubt == Action::take_over) return Phase::succession;
    }
    Node* const primary = node_of(store_.record.primary);
    if (primary == nullptr) return Phase::primary_lost;
    if (const auto own = phase_of_primary(*primary)) return *own;
    if (const auto others = phase_of_others(*primary)) return *others;
    const std::size_t members = store_.record.sync_set.size() + 1;
    if (members == nodes_.size()) return Phase::healthy;
    return members == 1 ? Phase::alone : Phase::one_missing;
}

std::optional<Phase> World::phase_of_primary(const Node& primary) {
    const Instance& pg = primary.pg;
    const bool is_up = pg.acts() && !pg.is_orphaned && is_awake(primary);
    if (is_up && pg.state == State::standby) return Phase::promoting;
    if (pg.state == State::starting && is_awake(primary)) return Phase::starting;
    if (!is_up) return Phase::primary_lost;
    if (!store_.record.is_noted()) return Phase::noting;
    if (store_.record.successor) return Phase::switch_over;
    if (primary.changes == Action::grow || primary.changes == Action::touch) return Phase::growing;
    if (primary.changes == Action::shrink) return Phase::shrinking;
    return std::nullopt;
}

std::optional<Phase> World::phase_of_others(const Node& primary) {
    const Instance& pg = primary.pg;
    const Members& set = store_.record.sync_set;
    for (const MemberId& each : set)
        if (!is_heard(primary, each)) return Phase::standby_lost;
    for (const MemberId& each : pg.sync_names)
        if (!set.contains(each)) return is_heard(primary, each) ? Phase::proving : Phase::telling;
    for (const auto& each : nodes_) {
        if (each.get() == &primary || set.contains(id_of(*each))) continue;
        if (each->is_copying) return Phase::copying;
        const Directory& own = each->pg.directory;
        if (own.incarnation.empty()) continue;
        if (is_heard(primary, id_of(*each))) return Phase::catching_up;
        const auto history =
            core::ha::history_of(own.timelines, each->pg.end(), store_.record.timelines);
        if (history != History::fits) return Phase::rejoining;
    }
    return std::nullopt;
}

std::string_view to_string(Phase phase) {
    constexpr std::array<std::string_view, kPhases> kNames = {
        "store away",        "succession on its way",
        "promoting",         "starting",
        "primary lost",      "noting the timeline",
        "switch-over",       "growth on its way",
        "shrink on its way", "standby lost",
        "telling",           "proving",
        "copying",           "old primary rejoining",
        "catching up",       "alone",
        "one missing",       "healthy"};
    return kNames[static_cast<std::size_t>(phase)];
}

}  // namespace howdah::sim
