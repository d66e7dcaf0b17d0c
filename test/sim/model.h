#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/ha/ha.h"

/// PostgreSQL, the store and the network as far as high availability depends on how they behave.
/// Every behaviour that is modelled here is one that RULES HA names; each has its test against a
/// real PostgreSQL in test/integration.
namespace howdah::sim {

using core::ha::Lsn;
using core::ha::MemberId;
using core::ha::Members;
using core::ha::Record;
using core::ha::Timelines;

using Time =
    std::int64_t;  ///< milliseconds of the world; a node's own clock runs a little differently

/// All chance of a run comes from one seed.
class Chance {
  public:
    explicit Chance(std::uint64_t seed) : engine_(seed) {}
    Time between(Time low, Time high) {
        return std::uniform_int_distribution<Time>(low, high)(engine_);
    }
    bool one_in(int n) { return between(1, n) == 1; }
    double real(double low, double high) {
        return std::uniform_real_distribution<double>(low, high)(engine_);
    }

  private:
    std::mt19937_64 engine_;
};

/// What is going to happen, in order; of two at one time the one that was added first.
class Agenda {
  public:
    void at(Time when, std::function<void()> what) {
        entries_.push_back({when, next_++, std::move(what)});
        std::push_heap(entries_.begin(), entries_.end());
    }
    Time now() const { return now_; }
    /// False when nothing is left.
    bool step();

  private:
    struct Entry {
        Time when;
        std::int64_t order;
        std::function<void()> what;
        bool operator<(const Entry& other) const {
            return when != other.when ? when > other.when : order > other.order;
        }
    };
    std::vector<Entry> entries_;  ///< a heap
    std::int64_t next_ = 0;
    Time now_ = 0;
};

/// A data directory: what survives the end of every process.
struct Directory {
    std::string incarnation;  ///< empty: there is none
    std::vector<int> wal;     ///< one number for each commit, unlike any other of the run
    Lsn flushed = 0;          ///< the rest is lost in a crash
    Timelines timelines;
};

/// One PostgreSQL instance with its directory.
struct Instance {
    enum class State { stopped, starting, standby, primary };
    State state = State::stopped;
    Directory directory;
    int run = 0;               ///< of starts, so that late events of an earlier one are known
    bool is_frozen = false;    ///< SIGSTOP, or storage that hangs
    bool is_orphaned = false;  ///< the postmaster is dead, its children live on
    bool is_disk_full = false;
    Time flush_delay = 1;
    Time send_delay = 1;  ///< to and from others

    // A primary.
    Members sync_names;       ///< as configured
    Members published_names;  ///< as the backends see them, which can be later (RULES HA 4, 5)
    struct Sender {
        Lsn flushed = 0;
        Time heard = 0;  ///< by the clock of its node
    };
    std::map<MemberId, Sender> senders;
    struct Waiter {
        Lsn end = 0;
        int commit = 0;
    };
    std::vector<Waiter> waiters;
    Lsn visible = 0;       ///< what other sessions can read
    Lsn recovered_to = 0;  ///< end of WAL at the last start as primary

    // A standby.
    std::optional<MemberId> upstream;
    int session = 0;              ///< of the WAL receiver; 0: there is none
    Time heard = 0;               ///< when WAL came last
    Time told_at = 0;             ///< when it last told how far it is
    core::ha::Term promotes = 0;  ///< asked to, in this term
    bool replay_is_paused = false;

    bool runs() const { return state != State::stopped && state != State::starting; }
    bool acts() const { return runs() && !is_frozen; }
    Lsn end() const { return directory.wal.size(); }
};

/// The store: one record, one lease counter for each node.
struct Store {
    Record record;
    std::int64_t revision = 1;  ///< 0: there is no record
    std::map<std::string, std::int64_t> leases;

    std::int64_t lease(const std::string& node) const {
        const auto found = leases.find(node);
        return found == leases.end() ? 0 : found->second;
    }
};

}  // namespace howdah::sim
