#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "sim/world.h"

namespace howdah::sim {

using core::ha::Action;
using core::ha::Decision;
using core::ha::Peer;
using core::ha::Postgres;
using core::ha::View;

bool Agenda::step(Time end) {
    if (entries_.empty() || entries_.top().when > end) return false;
    Entry entry = entries_.top();
    entries_.pop();
    now_ = entry.when;
    entry.what();
    return true;
}

namespace {

// The settings of the agents. A rival waits longer than a lease lives, by more than clocks drift.
constexpr Time kTick = 50;
constexpr Time kLease = 1'000;
constexpr Time kRivalWait = 1'150;
constexpr Time kPromise = 1'000;
constexpr Time kStandbyPatience = 700;
constexpr Time kCallLimit = 400;  ///< of a call to the store
constexpr Time kHang = 500;
constexpr Time kStreamRunsDry = 200;
constexpr Time kAfterPause = 150;
constexpr Time kHealLimit = 20'000;
constexpr double kDrift = 0.01;

using State = Instance::State;

/// One host: agent, fence process, PostgreSQL.
struct Node {
    std::string name;
    double rate = 1.0;  ///< of its clock
    Instance pg;
    bool agent_is_paused = false;
    bool agent_is_dead = false;
    bool fence_is_paused = false;
    int agent_run = 0;
    bool reaches_store = true;
    Time store_delay = 1;
    std::function<void()> on_growth;  ///< what goes wrong with the next one
    Time changes_arrive_at = 0;       ///< not before
    Time paused_until = 0;            ///< with a moment for the fence to see it

    // What the agent has on disk.
    std::optional<Record> known;
    std::int64_t doubt_base =
        0;                    ///< revision that a change without an answer was built on; 0: none
    Members doubt_names;      ///< that this change may have added
    Time promised_until = 0;  ///< by the own clock

    // What the agent remembers.
    Time lease_until = 0;  ///< by the own clock
    std::int64_t lease = 0;
    struct Seen {
        std::int64_t lease = -1;
        Time at = 0;
    };
    std::map<std::string, Seen> leases;
    std::map<MemberId, Time> promises;  ///< of others, until when by the own clock
    std::optional<Members> proved;
    int proved_run = -1;
    Lsn must_reach = 0;  ///< by a member that is to join
    Time silent_since = -1;
    std::string last_rule = "none";
    Time busy_until = 0;  ///< it waits for the store, or copies
    bool serves = false;  ///< clients are let in to the run below
    int serves_run = -1;
    Lsn read_to = 0;  ///< by clients, in the run below
    int read_run = -1;
};

class World {
  public:
    explicit World(const Options& options) : options_(options), chance_(options.seed) { set_up(); }
    Outcome run();

  private:
    // Set-up and what goes wrong.
    void set_up();
    struct Fault {
        std::string_view name;
        void (*begin)(World&, Node&, Time lasts);
    };
    static std::span<const Fault> faults();
    void plan_faults();
    void lose_agent(Node& node, Time lasts);
    void pause_agent(Node& node, Time lasts);
    void freeze(Node& node, Time lasts);
    void cut_link(const Node& from, const Node& to, Time lasts);
    void cut_store(Node& node, Time lasts);
    void delay_growth(Node& node);

    // PostgreSQL.
    void start(Node& node, bool as_primary, Time takes);
    void crash(Node& node);
    void orphan(Node& node);
    void publish(Node& node, Time delay);
    void write(Node& node);
    void stream(Node& node);
    void receive(Node& standby, int session, Lsn from, std::vector<int> entries,
                 Timelines timelines);
    void take_ack(Node& primary, int run, const MemberId& from, Lsn flushed);
    void release(Node& node);
    void try_promote(Node& node);

    // The agent.
    void repeat(Node& node, Time period, void (World::*what)(Node&));
    void tick(Node& node);
    /// `seen` is the store as it was read; none: it does not answer.
    void act(Node& node, int run, std::optional<Store> seen);
    void look_at_postgres(Node& node);
    View view_of(Node& node, bool store_answers);
    void carry_out(Node& node, const Decision& decision, std::int64_t revision);
    using Lease = std::pair<std::string, std::int64_t>;  ///< of a node, with its counter
    /// `unless_renewed`: it happens only while that lease still has that counter.
    void change(Node& node, std::int64_t base, Record wanted, Members adds,
                std::optional<Lease> unless_renewed = std::nullopt);
    static Lease silent_lease(const Node& node) {
        const std::string& primary = node.known->primary.node;
        const auto seen = node.leases.find(primary);
        return {primary, seen == node.leases.end() ? 0 : seen->second.lease};
    }
    void renew(Node& node);
    void ask_promises(Node& node);
    void fence(Node& node);
    void stop_clean(Node& node);
    void copy_directory(Node& node, bool whole);

    // Clients and checks.
    void clients();
    void acknowledge(Node& node, int commit, Lsn end);
    void check_promotion(const Node& node);
    void check_all_there(const Node& node);
    void check_end();
    void violate(const std::string& text);

    bool has_rule(std::string_view id) const {
        return std::any_of(options_.table.begin(), options_.table.end(),
                           [&](const core::ha::Rule& each) { return each.id == id; });
    }
    void after(Time wait, std::function<void()> what) { agenda_.at(now() + wait, std::move(what)); }
    Node& any_node() {
        return *nodes_[static_cast<std::size_t>(chance_.between(0, options_.nodes - 1))];
    }
    Time now() const { return agenda_.now(); }
    Time own_time(const Node& node) const {
        return static_cast<Time>(static_cast<double>(now()) * node.rate);
    }
    MemberId id_of(const Node& node) const { return {node.name, node.pg.directory.incarnation}; }
    Node* node_of(const MemberId& id) {
        for (auto& each : nodes_)
            if (id_of(*each) == id) return each.get();
        return nullptr;
    }
    bool link(const Node& from, const Node& to) const {
        return !cut_links_.contains({from.name, to.name});
    }
    void note(const std::string& text) {
        if (options_.keeps_trace) outcome_.trace.push_back(fmt::format("{:6} {}", now(), text));
    }

    const Options options_;
    Chance chance_;
    Agenda agenda_;
    Store store_;
    bool store_is_down_ = false;
    std::vector<std::unique_ptr<Node>> nodes_;
    std::set<std::pair<std::string, std::string>> cut_links_;
    int next_commit_ = 1;
    int next_incarnation_ = 1;
    int next_session_ = 1;
    std::map<int, Time> acknowledged_;
    std::set<int> seen_;  ///< commits that somebody has read
    std::map<core::ha::Term, std::string> acknowledger_;
    core::ha::Term newest_term_ = 0;
    Node* newest_primary_ = nullptr;
    Time last_ack_ = 0;
    Time last_promotion_ = 0;
    Outcome outcome_;
};

// ---------------------------------------------------------------------------------------------
// Set-up

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
    for (auto& each : nodes_) {
        Node& node = *each;
        const auto every = [this, &node](Time period, void (World::*what)(Node&)) {
            // Not all at the same moment.
            const Time first = chance_.between(1, period);
            agenda_.at(first, [this, &node, period, what] { repeat(node, period, what); });
        };
        every(kTick, &World::tick);
        every(kLease / 5, &World::renew);
        every(kPromise / 5, &World::ask_promises);
        every(20, &World::fence);
        every(3, &World::stream);
    }
    agenda_.at(1, [this] { clients(); });
    plan_faults();
}

void World::repeat(Node& node, Time period, void (World::*what)(Node&)) {
    (this->*what)(node);
    agenda_.at(now() + period, [this, &node, period, what] { repeat(node, period, what); });
}

void World::lose_agent(Node& node, Time lasts) {
    node.agent_is_dead = true;
    after(lasts, [&node] {
        node.agent_is_dead = false;
        ++node.agent_run;
        // Memory is gone, the disk is not.
        node.lease_until = 0;
        node.leases.clear();
        node.promises.clear();
        node.proved.reset();
        node.proved_run = -1;
        node.silent_since = -1;
    });
}

void World::pause_agent(Node& node, Time lasts) {
    node.agent_is_paused = true;
    after(lasts, [&node] { node.agent_is_paused = false; });
}

void World::freeze(Node& node, Time lasts) {
    node.pg.is_frozen = true;
    after(lasts, [&node] { node.pg.is_frozen = false; });
}

void World::cut_link(const Node& from, const Node& to, Time lasts) {
    const auto pair = std::pair(from.name, to.name);
    cut_links_.insert(pair);
    after(lasts, [this, pair] { cut_links_.erase(pair); });
}

void World::cut_store(Node& node, Time lasts) {
    node.reaches_store = false;
    after(lasts, [&node] { node.reaches_store = true; });
}

std::span<const World::Fault> World::faults() {
    static constexpr Fault kFaults[] = {
        {"postmaster killed", [](World& w, Node& node, Time) { w.orphan(node); }},
        {"PostgreSQL crashed", [](World& w, Node& node, Time) { w.crash(node); }},
        {"agent killed", [](World& w, Node& node, Time lasts) { w.lose_agent(node, lasts); }},
        {"node lost",
         [](World& w, Node& node, Time lasts) {
             w.crash(node);
             w.lose_agent(node, lasts);
         }},
        {"PostgreSQL hangs", [](World& w, Node& node, Time lasts) { w.freeze(node, lasts); }},
        {"agent paused", [](World& w, Node& node, Time lasts) { w.pause_agent(node, lasts); }},
        {"node paused",
         [](World& w, Node& node, Time lasts) {
             node.paused_until = std::max(node.paused_until, w.now() + lasts + kAfterPause);
             w.pause_agent(node, lasts);
             w.freeze(node, lasts);
             node.fence_is_paused = true;
             w.after(lasts, [&node] { node.fence_is_paused = false; });
         }},
        {"partition",
         [](World& w, Node& node, Time lasts) {
             w.cut_store(node, lasts);
             for (auto& each : w.nodes_) {
                 w.cut_link(node, *each, lasts);
                 w.cut_link(*each, node, lasts);
             }
         }},
        {"no way to the store", [](World& w, Node& node, Time lasts) { w.cut_store(node, lasts); }},
        {"link cut",
         [](World& w, Node& node, Time lasts) {
             const Node& other = w.any_node();
             w.cut_link(node, other, lasts);
             w.cut_link(other, node, lasts);
         }},
        {"link cut one way",
         [](World& w, Node& node, Time lasts) { w.cut_link(node, w.any_node(), lasts); }},
        {"store stopped",
         [](World& w, Node&, Time lasts) {
             w.store_is_down_ = true;
             w.after(lasts, [&w] { w.store_is_down_ = false; });
         }},
        {"slow way to the store",
         [](World& w, Node& node, Time lasts) {
             node.store_delay = w.chance_.between(100, 2'500);
             w.after(lasts, [&node] { node.store_delay = 1; });
         }},
        {"slow disk",
         [](World& w, Node& node, Time lasts) {
             node.pg.flush_delay = w.chance_.between(50, 800);
             w.after(lasts, [&node] { node.pg.flush_delay = 1; });
         }},
        {"late growth", [](World& w, Node& node, Time) { w.delay_growth(node); }},
        // A planned one: the API writes the wish.
        {"switchover",
         [](World& w, Node&, Time) {
             if (w.store_.record.sync_set.empty()) return;
             w.store_.record.successor = *w.store_.record.sync_set.begin();
             ++w.store_.revision;
         }},
    };
    return kFaults;
}

void World::plan_faults() {
    Time when = 4'000;
    while (when < options_.faults_until) {
        const auto kind =
            static_cast<std::size_t>(chance_.between(0, static_cast<Time>(faults().size()) - 1));
        const auto victim = static_cast<std::size_t>(chance_.between(0, options_.nodes - 1));
        agenda_.at(when, [this, kind, victim] {
            const Fault& fault = faults()[kind];
            Node& node = *nodes_[victim];
            ++outcome_.faults[std::string(fault.name)];
            note(fmt::format("fault: {} at {}", fault.name, node.name));
            const Time lasts =
                chance_.one_in(4) ? chance_.between(1, 300) : chance_.between(300, 5'000);
            fault.begin(*this, node, lasts);
        });
        // Often a second one follows on the heels of the first.
        when += chance_.one_in(3) ? chance_.between(1, 400) : chance_.between(400, 6'000);
    }
}

/// The worst that can happen to a compare-and-swap that lets a standby in: it gets stuck on its
/// way, that standby goes away, and when it arrives after all its sender is cut off and dies.
void World::delay_growth(Node& node) {
    node.on_growth = [this, &node] {
        const Time takes = chance_.between(900, 2'500);
        node.changes_arrive_at = now() + takes;
        for (auto& each : nodes_) {
            if (each.get() == &node) continue;
            const auto pair = std::pair(each->name, node.name);
            agenda_.at(now() + chance_.between(1, 100), [this, pair] { cut_links_.insert(pair); });
            agenda_.at(now() + takes + 3'000, [this, pair] { cut_links_.erase(pair); });
        }
        agenda_.at(now() + takes - 1, [&node] { node.reaches_store = false; });
        agenda_.at(now() + takes + chance_.between(20, 400), [this, &node] { crash(node); });
        agenda_.at(now() + takes + 3'000, [&node] { node.reaches_store = true; });
    };
}

// ---------------------------------------------------------------------------------------------
// PostgreSQL

void World::start(Node& node, bool as_primary, Time takes) {
    Instance& pg = node.pg;
    pg.state = State::starting;
    const int run = ++pg.run;
    agenda_.at(now() + takes, [this, &node, run, as_primary] {
        Instance& self = node.pg;
        if (self.run != run || self.state != State::starting) return;
        self.state = as_primary ? State::primary : State::standby;
        self.senders.clear();
        self.waiters.clear();
        self.session = 0;
        self.promotes = false;
        if (!as_primary) return;
        // Recovery shows what nobody may have acknowledged (RULES HA 14).
        self.recovered_to = self.visible = self.end();
        // Backends of the first moments may not wait yet (RULES HA 5).
        self.published_names.clear();
        publish(node, chance_.between(0, 60));
    });
}

void World::crash(Node& node) {
    Instance& pg = node.pg;
    if (pg.state == State::stopped) return;
    ++pg.run;
    pg.state = State::stopped;
    pg.is_orphaned = false;
    pg.directory.wal.resize(std::min<std::size_t>(pg.directory.wal.size(), pg.directory.flushed));
    pg.waiters.clear();
    pg.senders.clear();
    pg.session = 0;
    note(fmt::format("PostgreSQL of {} is down", node.name));
}

/// Backends and walsenders live on for a while and acknowledge (RULES HA 10).
void World::orphan(Node& node) {
    if (!node.pg.runs()) return;
    node.pg.is_orphaned = true;
    const int run = node.pg.run;
    agenda_.at(now() + chance_.between(1, 600), [this, &node, run] {
        if (node.pg.run == run && node.pg.is_orphaned) crash(node);
    });
}

void World::publish(Node& node, Time delay) {
    const int run = node.pg.run;
    agenda_.at(now() + delay, [this, &node, run] {
        if (node.pg.run != run) return;
        node.pg.published_names = node.pg.sync_names;
        release(node);
    });
}

void World::write(Node& node) {
    Instance& pg = node.pg;
    const int commit = next_commit_++;
    pg.directory.wal.push_back(commit);
    const Lsn end = pg.end();
    pg.waiters.push_back({end, commit});
    const int run = pg.run;
    agenda_.at(now() + pg.flush_delay, [this, &node, run, end] {
        Instance& self = node.pg;
        if (self.run != run || self.is_frozen) return;
        self.directory.flushed = std::max(self.directory.flushed, std::min(end, self.end()));
        release(node);
    });
}

/// Commits that wait for nobody any more are acknowledged.
void World::release(Node& node) {
    Instance& pg = node.pg;
    if (!pg.acts() || pg.state != State::primary) return;
    Lsn reached = pg.directory.flushed;
    for (const MemberId& each : pg.published_names) {
        const auto sender = pg.senders.find(each);
        reached = sender == pg.senders.end() ? 0 : std::min(reached, sender->second.flushed);
    }
    std::vector<Instance::Waiter> left;
    std::vector<Instance::Waiter> done;
    for (const Instance::Waiter& each : pg.waiters)
        (each.end <= reached ? done : left).push_back(each);
    pg.waiters = std::move(left);
    for (const Instance::Waiter& each : done) acknowledge(node, each.commit, each.end);
}

/// What the WAL receiver of a standby asks for, every few milliseconds.
void World::stream(Node& node) {
    Instance& pg = node.pg;
    if (pg.promotes && (pg.session == 0 || now() - pg.heard > kStreamRunsDry))
        return try_promote(node);
    if (!pg.acts() || pg.state != State::standby || !pg.upstream) return;
    Node* const primary = node_of(*pg.upstream);
    const bool flows = primary != nullptr && primary->pg.acts() && link(*primary, node) &&
                       link(node, *primary) && primary->pg.state == State::primary;
    if (!flows) return;
    if (pg.session == 0) {
        // PostgreSQL refuses a standby that is ahead or on a timeline of its own.
        const Timelines& theirs = primary->pg.directory.timelines;
        if (core::ha::history_of(pg.directory.timelines, pg.end(), theirs) !=
            core::ha::History::fits)
            return;
        if (pg.end() > primary->pg.end()) return;
        pg.session = next_session_++;
    }
    const Lsn from = pg.end();
    const Lsn until = std::min<Lsn>(primary->pg.directory.flushed, from + 50);
    if (until < from) return;
    const auto at = [&](Lsn lsn) {
        return primary->pg.directory.wal.begin() + static_cast<std::ptrdiff_t>(lsn);
    };
    std::vector<int> entries(at(from), at(until));
    agenda_.at(now() + chance_.between(1, 4),
               [this, &node, session = pg.session, from, entries = std::move(entries),
                timelines = primary->pg.directory.timelines] {
                   receive(node, session, from, entries, timelines);
               });
}

void World::receive(Node& standby, int session, Lsn from, std::vector<int> entries,
                    Timelines timelines) {
    Instance& pg = standby.pg;
    if (!pg.acts() || pg.state != State::standby || pg.session != session || pg.end() != from)
        return;
    pg.directory.wal.insert(pg.directory.wal.end(), entries.begin(), entries.end());
    if (!entries.empty()) pg.heard = now();
    pg.directory.timelines = std::move(timelines);
    const Lsn end = pg.end();
    const int run = pg.run;
    agenda_.at(now() + pg.flush_delay, [this, &standby, session, run, end] {
        Instance& self = standby.pg;
        if (self.run != run || !self.acts() || self.end() < end) return;
        self.directory.flushed = std::max(self.directory.flushed, end);
        Node* const primary = self.upstream ? node_of(*self.upstream) : nullptr;
        if (primary == nullptr || self.session != session || !link(standby, *primary)) return;
        agenda_.at(
            now() + chance_.between(1, 4),
            [this, primary, to = primary->pg.run, from_id = id_of(standby),
             flushed = self.directory.flushed] { take_ack(*primary, to, from_id, flushed); });
    });
}

void World::take_ack(Node& primary, int run, const MemberId& from, Lsn flushed) {
    Instance& pg = primary.pg;
    if (pg.run != run || !pg.acts()) return;
    Instance::Sender& sender = pg.senders[from];
    sender.flushed = std::max(sender.flushed, flushed);
    sender.heard = now();
    release(primary);
}

/// With a receiver that still gets WAL the promotion waits until the stream runs dry (RULES HA 6).
void World::try_promote(Node& node) {
    Instance& pg = node.pg;
    if (!pg.acts() || pg.state != State::standby) return;
    pg.promotes = false;
    pg.session = 0;
    pg.upstream.reset();
    pg.directory.flushed = pg.end();
    pg.state = State::primary;
    ++pg.run;
    pg.senders.clear();
    pg.waiters.clear();
    pg.visible = pg.recovered_to = pg.end();
    pg.published_names = pg.sync_names;
    pg.directory.timelines.push_back({node.known->term, pg.end()});
    ++outcome_.promotions;
    last_promotion_ = now();
    note(fmt::format("{} is promoted in term {} at {}", node.name, node.known->term, pg.end()));
    check_promotion(node);
}

// ---------------------------------------------------------------------------------------------
// The agent

void World::renew(Node& node) {
    if (node.agent_is_dead || node.agent_is_paused || !node.reaches_store || store_is_down_) return;
    const Time sent = own_time(node);
    const int run = node.agent_run;
    const Time there = chance_.between(1, node.store_delay);
    agenda_.at(now() + there, [this, &node, sent, run] {
        if (store_is_down_) return;
        ++store_.leases[node.name];
        // What comes after somebody took over is no lease: the answer tells whose the record is.
        const bool is_deposed = node.known && node.known->primary == id_of(node) &&
                                store_.record.primary != id_of(node);
        if (is_deposed) return;
        agenda_.at(now() + chance_.between(1, node.store_delay), [this, &node, sent, run] {
            if (!node.reaches_store || node.agent_run != run) return;
            // Counted from before it was sent.
            node.lease_until = std::max(node.lease_until, sent + kLease);
        });
    });
}

/// A primary asks the members that could be promoted not to do so for a while.
void World::ask_promises(Node& node) {
    if (node.agent_is_dead || node.agent_is_paused || !node.known) return;
    if (node.known->primary != id_of(node) || node.pg.state != State::primary) return;
    for (auto& each : nodes_) {
        Node& other = *each;
        if (&other == &node || !link(node, other)) continue;
        agenda_.at(now() + chance_.between(1, 5), [this, &node, &other, sent = own_time(node),
                                                   term = node.known->term, run = node.agent_run] {
            // One that tries to take over itself must not promise.
            const bool grants = !other.agent_is_dead && !other.agent_is_paused && other.known &&
                                other.doubt_base == 0 && other.known->term == term &&
                                other.known->primary == id_of(node);
            if (!grants) return;
            const auto margin = static_cast<Time>(kPromise * (1 + 3 * kDrift));
            other.promised_until = std::max(other.promised_until, own_time(other) + margin);
            if (!link(other, node)) return;
            agenda_.at(now() + chance_.between(1, 5), [&node, sent, run, from = id_of(other)] {
                if (node.agent_run != run) return;
                node.promises[from] = std::max(node.promises[from], sent + kPromise);
            });
        });
    }
}

/// A process beside the agent, for when the agent cannot act.
void World::fence(Node& node) {
    if (node.fence_is_paused || !node.known || node.pg.state != State::primary) return;
    if (!has_rule("F2")) return;  // it is that rule's other half
    Members set = node.known->sync_set;
    if (node.doubt_base != 0) set.insert(node.doubt_names.begin(), node.doubt_names.end());
    if (set.empty() || node.known->primary != id_of(node)) return;
    Time promised = INT64_MAX;
    for (const MemberId& each : set) {
        const auto found = node.promises.find(each);
        promised = std::min(promised, found == node.promises.end() ? 0 : found->second);
    }
    if (own_time(node) < std::max(node.lease_until, promised)) return;
    note(fmt::format("the fence of {} ends PostgreSQL", node.name));
    crash(node);
}

void World::tick(Node& node) {
    if (node.agent_is_dead || node.agent_is_paused || now() < node.busy_until) return;
    const int run = node.agent_run;
    const Time takes = chance_.between(1, 2 * node.store_delay);
    node.busy_until = now() + std::min(takes, kCallLimit) + 1;
    if (!node.reaches_store || store_is_down_ || takes > kCallLimit) {
        agenda_.at(now() + std::min(takes, kCallLimit),
                   [this, &node, run] { act(node, run, std::nullopt); });
        return;
    }
    agenda_.at(now() + takes, [this, &node, run] { act(node, run, store_); });
}

void World::act(Node& node, int run, std::optional<Store> seen) {
    if (node.agent_is_dead || node.agent_run != run) return;
    if (node.agent_is_paused) {
        // It goes on with what it read before, whenever it is let go on.
        node.busy_until = now() + 20;
        agenda_.at(now() + 10,
                   [this, &node, run, seen = std::move(seen)] { act(node, run, seen); });
        return;
    }
    if (seen) {
        for (const auto& [name, lease] : seen->leases) {
            Node::Seen& before = node.leases[name];
            if (before.lease != lease) before = {lease, own_time(node)};
        }
        node.known = seen->record;
        if (seen->revision > node.doubt_base) {
            node.doubt_base = 0;
            node.doubt_names.clear();
        }
    }
    const View view = view_of(node, seen.has_value());
    const Decision decision = core::ha::decide(view, options_.table);
    const std::string rule(decision.rule == nullptr ? "none" : decision.rule->id);
    ++outcome_.rules[rule];
    if (rule != node.last_rule)
        note(fmt::format("{}: {} {}", node.name, rule, core::ha::to_string(decision.action)));
    node.last_rule = rule;
    node.serves = core::ha::may_serve(view);
    node.serves_run = node.pg.run;
    carry_out(node, decision, seen ? seen->revision : 0);
}

void World::look_at_postgres(Node& node) {
    Instance& pg = node.pg;
    if (node.proved_run != pg.run) {
        node.proved.reset();
        node.proved_run = pg.run;
        node.silent_since = -1;
    }
    if (!pg.is_frozen) {
        node.silent_since = -1;
    } else if (node.silent_since < 0) {
        node.silent_since = now();
    }
    if (!pg.acts() || pg.state != State::primary) return;
    if (pg.published_names != pg.sync_names) {
        if (node.proved)
            std::erase_if(*node.proved,
                          [&](const MemberId& each) { return !pg.sync_names.contains(each); });
    } else if (node.proved != pg.published_names) {
        node.proved = pg.published_names;
        node.must_reach = pg.end();
    }
}

View World::view_of(Node& node, bool store_answers) {
    look_at_postgres(node);
    const Instance& pg = node.pg;
    View view;
    view.self = id_of(node);
    view.record = node.known;
    view.store_answers = store_answers;
    view.change_in_doubt = node.doubt_base != 0;
    if (!store_answers && view.record && view.change_in_doubt)
        view.record->sync_set.insert(node.doubt_names.begin(), node.doubt_names.end());
    view.lease_holds = own_time(node) < node.lease_until;
    view.has_promised = own_time(node) < node.promised_until;
    if (pg.directory.incarnation.empty())
        view.postgres = Postgres::absent;
    else if (pg.state == State::stopped || pg.is_orphaned)
        view.postgres = Postgres::stopped;
    else if (pg.state == State::starting || pg.promotes)
        view.postgres = Postgres::starting;
    else
        view.postgres = pg.state == State::primary ? Postgres::primary : Postgres::standby;
    view.is_hung = node.silent_since >= 0 && now() - node.silent_since > kHang;
    if (!pg.directory.timelines.empty()) view.own_term = pg.directory.timelines.back().term;
    view.told = pg.sync_names;
    view.waits_for = node.proved;
    view.receives = pg.session != 0;
    view.follows = pg.upstream;
    if (view.record)
        view.history =
            core::ha::history_of(pg.directory.timelines, pg.end(), view.record->timelines);
    for (const auto& each : nodes_) {
        if (each.get() == &node || each->pg.directory.incarnation.empty()) continue;
        Peer peer;
        peer.id = id_of(*each);
        const auto seen = node.leases.find(each->name);
        peer.is_alive = seen != node.leases.end() && own_time(node) - seen->second.at < kRivalWait;
        const auto sender = pg.senders.find(peer.id);
        if (pg.state == State::primary && sender != pg.senders.end()) {
            peer.is_streaming = now() - sender->second.heard < kStandbyPatience;
            peer.has_caught_up = sender->second.flushed >= node.must_reach;
        }
        const auto promise = node.promises.find(peer.id);
        peer.has_promised = promise != node.promises.end() && own_time(node) < promise->second;
        if (view.record && view.record->sync_set.contains(peer.id) &&
            (sender == pg.senders.end() || sender->second.flushed < pg.recovered_to))
            view.recovery_is_exposed = true;
        view.peers.push_back(peer);
    }
    return view;
}

void World::carry_out(Node& node, const Decision& decision, std::int64_t revision) {
    Instance& pg = node.pg;
    Record next = node.known.value_or(Record{});
    switch (decision.action) {
        case Action::wait:
            return;
        case Action::stop_now:
            return crash(node);
        case Action::stop_clean:
            return stop_clean(node);
        case Action::start_primary:
            crash(node);  // what is left of the run before
            pg.sync_names = decision.names;
            pg.upstream.reset();
            return start(node, true, chance_.between(20, 300));
        case Action::start_standby:
            crash(node);
            pg.upstream.reset();
            if (node.known->primary != id_of(node)) pg.upstream = node.known->primary;
            return start(node, false, chance_.between(20, 300));
        case Action::follow:
            pg.upstream = node.known->primary;
            pg.session = 0;
            return;
        case Action::cut: {
            agenda_.at(now() + chance_.between(1, 60), [&node, run = pg.run] {
                if (node.pg.run != run) return;
                node.pg.upstream.reset();
                node.pg.session = 0;
            });
            return;
        }
        case Action::promote:
            pg.sync_names = node.known->sync_set;
            pg.promotes = true;
            return;
        case Action::set_sync:
            if (pg.sync_names == decision.names) return;
            pg.sync_names = decision.names;
            return publish(node, chance_.between(0, 120));
        case Action::grow:
            next.sync_set.insert(*decision.peer);
            return change(node, revision, next, {*decision.peer});
        case Action::shrink:
            next.sync_set.erase(*decision.peer);
            return change(node, revision, next, {});
        case Action::hand_over:
            return change(node, revision, core::ha::next_term(next, *decision.peer), {});
        case Action::take_over:
            return change(node, revision, core::ha::next_term(next, id_of(node)), {},
                          silent_lease(node));
        case Action::note_timeline:
            next.timelines = pg.directory.timelines;
            return change(node, revision, next, {});
        case Action::touch:
            return change(node, revision, next, node.doubt_names);
        case Action::forget_successor:
            next.successor.reset();
            return change(node, revision, next, {});
        case Action::rewind:
        case Action::clone:
            return copy_directory(node, decision.action == Action::clone);
    }
}

void World::stop_clean(Node& node) {
    Instance& pg = node.pg;
    node.serves = false;
    agenda_.at(now() + chance_.between(20, 80), [this, &node, run = pg.run] {
        if (node.pg.run != run || !node.pg.acts()) return;
        node.pg.directory.flushed = node.pg.end();
        crash(node);
    });
}

/// The answer may get lost, the request may come late or twice. Before it goes out it is on disk
/// that it may happen.
void World::change(Node& node, std::int64_t base, Record wanted, Members adds,
                   std::optional<Lease> unless_renewed) {
    node.doubt_base = base;
    node.doubt_names = std::move(adds);
    node.busy_until = now() + kCallLimit;
    if (!node.reaches_store) return;
    const auto arrive = [this, &node, base, wanted, unless_renewed, run = node.agent_run] {
        if (store_is_down_) return;
        const bool is_renewed =
            unless_renewed && store_.leases[unless_renewed->first] != unless_renewed->second;
        const bool happens = store_.revision == base && !is_renewed;
        if (happens) {
            store_.record = wanted;
            ++store_.revision;
        }
        agenda_.at(now() + chance_.between(1, node.store_delay),
                   [this, &node, run, base, happens, wanted] {
                       if (node.agent_run != run || node.agent_is_dead || !node.reaches_store ||
                           node.doubt_base != base)
                           return;
                       // In one step on disk: else an agent that is killed here would believe that
                       // no standby may take over.
                       if (happens) node.known = wanted;
                       node.doubt_base = 0;
                       node.doubt_names.clear();
                       node.busy_until = now();
                   });
    };
    // A request may lie in some buffer for long.
    Time takes =
        chance_.one_in(40) ? chance_.between(500, 3'000) : chance_.between(1, 2 * node.store_delay);
    if (node.on_growth && !node.doubt_names.empty()) std::exchange(node.on_growth, nullptr)();
    takes = std::max(takes, node.changes_arrive_at - now());
    agenda_.at(now() + takes, arrive);
    if (chance_.one_in(20)) agenda_.at(now() + takes + chance_.between(1, 1'000), arrive);
}

void World::copy_directory(Node& node, bool whole) {
    crash(node);
    node.busy_until = now() + 1'500;
    const int run = ++node.pg.run;
    agenda_.at(now() + chance_.between(100, 1'200), [this, &node, run, whole] {
        Instance& pg = node.pg;
        if (pg.run != run || node.agent_is_dead) return;
        Node* const primary = node_of(node.known->primary);
        if (primary == nullptr || primary == &node || !primary->pg.acts()) return;
        if (primary->pg.state != State::primary || !link(*primary, node) || !link(node, *primary))
            return;
        Directory& own = pg.directory;
        const Directory& theirs = primary->pg.directory;
        if (whole) {
            own.wal.assign(theirs.wal.begin(),
                           theirs.wal.begin() + static_cast<std::ptrdiff_t>(theirs.flushed));
            own.timelines = theirs.timelines;
        } else {
            const Lsn end = core::ha::common_end(own.timelines, pg.end(), node.known->timelines);
            own.wal.resize(end);
        }
        own.flushed = own.wal.size();
        own.incarnation = fmt::format("i{}", next_incarnation_++);
        note(fmt::format("{} has a directory again: {} {}", node.name, own.incarnation,
                         own.flushed));
    });
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
        if (!chance_.one_in(4)) continue;
        // Whoever was paused as a whole cannot know better for a moment (RULES HA 1).
        const bool has_successor = newest_primary_ != &node && acknowledger_.contains(newest_term_);
        if (has_successor && now() > node.paused_until)
            violate(fmt::format("{} is read although {} acknowledges in term {}", node.name,
                                newest_primary_->name, newest_term_));
        for (Lsn at = node.read_run == pg.run ? node.read_to : 0; at < pg.visible; ++at)
            seen_.insert(pg.directory.wal[at]);
        node.read_run = pg.run;
        node.read_to = pg.visible;
    }
    agenda_.at(now() + chance_.between(2, 12), [this] { clients(); });
}

void World::violate(const std::string& text) {
    note("VIOLATION " + text);
    if (outcome_.violations.size() < 20)
        outcome_.violations.push_back(fmt::format("at {}: {}", now(), text));
}

void World::acknowledge(Node& node, int commit, Lsn end) {
    node.pg.visible = std::max(node.pg.visible, end);
    acknowledged_.emplace(commit, now());
    last_ack_ = now();
    const core::ha::Term term = node.pg.directory.timelines.back().term;
    const auto [who, is_first] = acknowledger_.emplace(term, node.name);
    if (!is_first && who->second != node.name)
        violate(fmt::format("{} and {} both acknowledge in term {}", who->second, node.name, term));
    if (newest_primary_ == &node) return;
    const std::vector<int>& wal = newest_primary_->pg.directory.wal;
    if (std::find(wal.begin(), wal.end(), commit) == wal.end())
        violate(fmt::format("{} acknowledges {} in term {}, {} of term {} does not have it",
                            node.name, commit, term, newest_primary_->name, newest_term_));
}

void World::check_promotion(const Node& node) {
    const core::ha::Term term = node.pg.directory.timelines.back().term;
    if (term <= newest_term_)
        violate(
            fmt::format("{} is promoted in term {}, after term {}", node.name, term, newest_term_));
    newest_term_ = std::max(newest_term_, term);
    newest_primary_ = nodes_[static_cast<std::size_t>(node.name[0] - 'a')].get();
    check_all_there(node);
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

void World::check_end() {
    check_all_there(*newest_primary_);
    if (now() - last_ack_ > 2'000) violate("nobody acknowledges although all faults are over");
    if (store_.record.sync_set.size() + 1 != nodes_.size())
        violate(
            fmt::format("the sync_set has {} members at the end", store_.record.sync_set.size()));
    for (const auto& each : nodes_) {
        if (store_.record.sync_set.contains(id_of(*each)) &&
            each->pg.directory.timelines != newest_primary_->pg.directory.timelines)
            violate(fmt::format("{} is of another history", each->name));
    }
    if (last_promotion_ > options_.faults_until + kHealLimit)
        violate("it fails over although all faults are over");
}

Outcome World::run() {
    while (outcome_.violations.empty() && agenda_.step(options_.end)) {
    }
    if (outcome_.violations.empty()) check_end();
    outcome_.acknowledged = static_cast<int>(acknowledged_.size());
    return std::move(outcome_);
}

}  // namespace

Outcome simulate(const Options& options) { return World(options).run(); }

}  // namespace howdah::sim
