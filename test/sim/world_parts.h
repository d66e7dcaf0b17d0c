#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/ha/ha_member.h"
#include "sim/world.h"

/// What world_support.cc and its neighbours share; tests include world.h.
namespace howdah::sim {

constexpr Time ms(Duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

// The settings of the agents.
inline constexpr Time kTick = ms(agent::HaMember::kTick);
inline constexpr Time kLease = ms(agent::LeaseKeeper::kLease);
inline constexpr Time kRenewEvery = ms(agent::LeaseKeeper::kRenewEvery);
inline constexpr Time kRivalWait = ms(agent::LeaseKeeper::kRivalWait);
inline constexpr Time kFirstLeaseMax = ms(agent::HaMember::kFirstLeaseMax);
inline constexpr Time kStandbyPatience = ms(agent::HaMember::kStandbyPatience);
inline constexpr Time kHang = ms(agent::HaMember::kHang);
inline constexpr Time kFenceLooksEvery = ms(agent::Fence::kLookEvery);
inline constexpr Time kCallLimit = store::HaRecords::kWaitMaxMs;
inline constexpr Time kPromise = 1'000;
inline constexpr Time kStreamRunsDry = 200;
/// Shorter than the agent's, as its runs are.
inline constexpr Time kHopelessMax = 6'000;
/// Commits that a primary still has the WAL of.
inline constexpr Lsn kWalKept = 400;
/// Clocks differ by this part at most.
inline constexpr double kDrift = 0.01;

/// What an agent has written down of its member.
struct Noted {
    std::optional<Record> known;
    std::int64_t known_revision = 0;
    std::int64_t doubt_base = 0;  ///< revision that an unanswered change was built on; 0: none
    Members doubt_names;          ///< that this change may have added
    Time promised_until = 0;      ///< by the own clock
    core::ha::Term promoting = 0;
    int proved_run = 0;  ///< of PostgreSQL, which provably waits for these
    Members proved_names;

    bool operator==(const Noted&) const = default;
};

/// One host: agent, fence process, PostgreSQL.
struct Node {
    std::string name;
    double rate = 1.0;      ///< of its clock
    Time clock_is_off = 0;  ///< after jumps
    Instance pg;
    bool agent_is_paused = false;
    bool agent_is_dead = false;
    bool fence_is_paused = false;
    int agent_run = 0;
    int dies_after_steps = -1;  ///< the agent, at a step of what it does; -1: it does not
    std::function<void()> dies;
    bool reaches_store = true;
    bool loses_messages = false;  ///< every second one to and from the store
    Time store_delay = 1;
    std::function<void()> on_growth;  ///< what goes wrong with the next one
    Time changes_arrive_at = 0;       ///< not before
    Time paused_until = 0;            ///< with a moment for the fence to see it

    Noted state;                      ///< what the agent believes
    Noted saved;                      ///< what is on disk
    std::optional<Time> fence_until;  ///< mapped by agent and fence; none: no limit

    // What the agent remembers.
    Time began_at = 0;
    std::optional<Time> renewed;  ///< when the last renewal that succeeded was sent
    Time lease_until = 0;
    struct Seen {
        std::int64_t lease = -1;
        Time at = 0;
        bool has_moved = false;
    };
    std::map<std::string, Seen> leases;
    std::map<MemberId, Time> promises;  ///< of others
    int seen_run = 0;                   ///< of PostgreSQL; the rest is about it
    Time seen_since = 0;
    std::optional<Members> waits_for;   ///< that is proved
    Members proves;                     ///< that is being proved
    std::optional<Time> proved_at;      ///< when the checkpoint ends; none: none runs
    Lsn must_reach = 0;                 ///< by a member that is to join
    std::optional<Time> useless_since;  ///< a standby that gets nothing of a primary that lives
    std::optional<Time> silent_since;
    int silent_looks = 0;

    std::string last_rule = "none";
    int call = 0;         ///< to the store, whose answer is waited for
    Time busy_until = 0;  ///< it waits for the store, or copies
    core::ha::Action changes = core::ha::Action::wait;  ///< the compare-and-swap in doubt
    bool is_copying = false;
    bool serves = false;  ///< clients are let in to the run below
    int serves_run = -1;
    Lsn read_to = 0;  ///< by clients, in the run below
    int read_run = -1;
};

class World {
  public:
    explicit World(const Options& options) : options_(options), chance_(options.seed) { set_up(); }
    Outcome run();

    struct Fault {
        std::string_view name;
        /// False: it would change nothing, so it did not happen.
        bool (*strike)(World&, Node&, Time lasts);
    };
    static std::span<const Fault> faults();

  private:
    void set_up();
    void repeat(Node& node, Time period, void (World::*what)(Node&));
    void forget_all(Node& node);

    // Faults.
    friend struct Strikes;
    void inject();
    void choose_target();
    bool strike(std::size_t kind, Node& victim);
    void provoke(Phase phase);
    void until(Time lasts, std::function<void()> ends);
    Phase phase();
    std::optional<Phase> phase_of_primary(const Node& primary);
    std::optional<Phase> phase_of_others(const Node& primary);
    bool is_heard(const Node& primary, const MemberId& standby) const;

    // PostgreSQL.
    void start(Node& node, bool as_primary, Time takes);
    void come_up(Node& node, bool as_primary);
    void crash(Node& node);
    void orphan(Node& node);
    void publish(Node& node, Time delay);
    void write(Node& node);
    void stream(Node& node);
    bool connects(Instance& standby, const Instance& primary);
    void receive(Node& standby, int session, Lsn from, std::vector<int> entries,
                 Timelines timelines);
    void take_ack(Node& primary, int run, const MemberId& from, Lsn flushed);
    void release(Node& node);
    void try_promote(Node& node);

    // The agent.
    bool is_awake(const Node& node) const { return !node.agent_is_dead && !node.agent_is_paused; }
    bool passes_step(Node& node);
    bool save(Node& node);
    bool configure(Node& node);
    bool reaches_store(Node& node) {
        return node.reaches_store && !store_is_down_ && !(node.loses_messages && chance_.one_in(2));
    }
    void tick(Node& node);
    /// `seen` is the store as it was read; none: it does not answer.
    void act(Node& node, int run, std::optional<Store> seen, std::optional<Time> renewed);
    bool take_record(Node& node, const Store& seen);
    void look_at_postgres(Node& node);
    void look_at_proof(Node& node);
    bool is_hopeless(Node& node, const core::ha::View& view) const;
    core::ha::View view_of(Node& node, bool store_answers);
    core::ha::Postgres postgres_of(const Node& node) const;
    core::ha::Peer peer_of(const Node& node, const MemberId& id) const;
    void carry_out(Node& node, const core::ha::Decision& decision);
    void carry_out_here(Node& node, const core::ha::Decision& decision);
    void begin(Node& node, bool as_primary, const Members& names);
    void cut(Node& node);
    void promote(Node& node);
    void set_sync(Node& node, const Members& names);
    using Lease = std::pair<std::string, std::int64_t>;  ///< of a node, with its counter
    struct Change {
        core::ha::Action what = core::ha::Action::wait;
        Record wanted;
        Members adds;
        std::optional<Lease> unless_renewed;  ///< only while that lease has that counter
        std::int64_t base = 0;
        std::int64_t older_base = 0;  ///< of a change before that is still in doubt
        Members older;
    };
    void change(Node& node, Change wanted);
    void send(Node& node, const Change& wanted);
    std::optional<std::int64_t> arrive(const Change& wanted);
    void answer(Node& node, int run, int call, const Change& wanted,
                std::optional<std::int64_t> revision);
    void renew(Node& node);
    void ask_promises(Node& node);
    void promise(Node& node, Node& primary, core::ha::Term term, Time sent, int run);
    void set_fence(Node& node, const Members& adds);
    void fence(Node& node);
    void stop_clean(Node& node);
    void begin_copy(Node& node, bool whole);
    void finish_copy(Node& node, bool whole);

    // Clients and checks.
    void clients();
    void read(Node& node);
    void acknowledge(Node& node, int commit, Lsn end);
    void check_promotion(Node& node);
    void check_all_there(const Node& node);
    bool is_healed();
    void check_end();
    void violate(const std::string& text);

    bool has_rule(std::string_view id) const {
        return std::any_of(options_.table.begin(), options_.table.end(),
                           [&](const core::ha::Rule& each) { return each.id == id; });
    }
    bool is_weak(Weakness weakness) const { return options_.weakness == weakness; }
    void after(Time wait, std::function<void()> what) { agenda_.at(now() + wait, std::move(what)); }
    Node& any_node() {
        return *nodes_[static_cast<std::size_t>(chance_.between(0, options_.nodes - 1))];
    }
    Time now() const { return agenda_.now(); }
    Time own_time(const Node& node) const {
        return static_cast<Time>(static_cast<double>(now()) * node.rate) + node.clock_is_off;
    }
    MemberId id_of(const Node& node) const { return {node.name, node.pg.directory.incarnation}; }
    Node* node_of(const MemberId& id) {
        for (auto& each : nodes_)
            if (each->name == id.node && each->pg.directory.incarnation == id.incarnation)
                return each.get();
        return nullptr;
    }
    bool link(const Node& from, const Node& to) const {
        return cut_links_.empty() || !cut_links_.contains({from.name, to.name});
    }
    template <typename... Values>
    void note(fmt::format_string<Values...> text, Values&&... values) {
        if (!options_.keeps_trace) return;
        outcome_.trace.push_back(fmt::format("{:6} ", now()) +
                                 fmt::format(text, std::forward<Values>(values)...));
    }

    const Options options_;
    Chance chance_;
    Agenda agenda_;
    std::vector<std::unique_ptr<Node>> nodes_;
    std::set<std::pair<std::string, std::string>> cut_links_;
    int next_commit_ = 1;
    int next_incarnation_ = 1;
    int next_session_ = 1;

    Store store_;
    bool store_is_down_ = false;
    bool store_is_lost_ = false;       ///< it is there, and what it has is not what it had
    std::vector<Store> older_stores_;  ///< after each change
    std::int64_t newest_revision_ = 1;
    /// Of all members: a store that is put back goes on behind every lease that was seen, as etcd
    /// does.
    std::int64_t newest_lease_ = 0;

    // What goes wrong next.
    struct Target {
        std::size_t kind = 0;
        Phase phase = Phase::healthy;
        Time provoked_at = 0;
        Time given_up_at = 0;
    };
    Time next_fault_ = 0;
    std::optional<Target> target_;
    std::size_t targets_ = 0;
    Time faults_over_ = 0;  ///< and what they did
    Time clocks_lie_until_ = 0;
    std::optional<Time> healed_at_;

    std::map<int, Time> acknowledged_;
    std::set<int> seen_;  ///< commits that somebody has read
    struct Acknowledged {
        int commit = 0;
        Lsn end = 0;
        std::string by;
        core::ha::Term term = 0;
    };
    Acknowledged newest_ack_;
    std::map<core::ha::Term, std::string> acknowledger_;
    core::ha::Term newest_term_ = 0;
    Node* newest_primary_ = nullptr;
    Time last_ack_ = 0;
    int promotions_since_change_ = 0;  ///< of what goes wrong
    int faults_end_ = 0;
    Outcome outcome_;
};

}  // namespace howdah::sim
