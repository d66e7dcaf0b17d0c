#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/model.h"

namespace howdah::sim {

/// In what state the system is when a fault strikes, in the words of docs/ha.md; the first that
/// holds.
enum class Phase {
    store_away,    ///< nobody can read or change the record
    succession,    ///< a compare-and-swap that makes another member primary is on its way
    promoting,     ///< the record's primary is a standby yet: its stream is cut, it is promoted
    starting,      ///< the primary's PostgreSQL starts in its place
    primary_lost,  ///< it is down, hangs, or its agent does
    noting,        ///< promoted, and where its timeline began is not in the record yet
    switch_over,   ///< a successor is named, the primary is still there
    growing,       ///< a growth of the sync_set is on its way
    shrinking,     ///< likewise, with one member fewer
    standby_lost,  ///< one of the sync_set does not acknowledge, so commits wait
    telling,       ///< PostgreSQL waits for more than the record has, and is to be told
    proving,       ///< PostgreSQL was told to wait for one that is to join
    copying,       ///< a member gets a new directory
    rejoining,     ///< a directory with WAL of its own, of a former primary
    catching_up,   ///< a standby streams that nobody waits for
    alone,         ///< the sync_set is empty
    one_missing,   ///< of three members
    healthy,
};
inline constexpr int kPhases = 18;
std::string_view to_string(Phase phase);

/// What a member's agent, the store or PostgreSQL promises beside the rules; one of them can be
/// taken away, to see that the checkers find it.
enum class Weakness {
    none,
    forgets_doubt,         ///< that a change is on its way is not written down
    notes_answer_twice,    ///< "nothing is on its way" before the new record
    keeps_hoping,          ///< a standby whose WAL is gone waits for it for ever
    proves_nothing,        ///< whom PostgreSQL was told to wait for is believed at once
    believes_older_store,  ///< a record older than one that it knows
    has_no_fence,
    follows_diverged,  ///< PostgreSQL streams to whoever asks
    compares_nothing,  ///< the store takes every change
};

/// All of them, in words.
std::span<const std::pair<Weakness, std::string_view>> weaknesses();

struct Options {
    std::uint64_t seed = 1;
    int nodes = 2;
    Time faults_until = 40'000;
    bool has_faults = true;
    std::span<const core::ha::Rule> table = core::ha::rules();
    Weakness weakness = Weakness::none;
    /// What every run is about, instead of what its seed is.
    std::optional<std::size_t> pair = std::nullopt;
    bool keeps_trace = false;
};

struct Outcome {
    std::vector<std::string> violations;
    std::map<std::string, int> rules;  ///< how often each was the one that held
    std::vector<int> faults;           ///< how many of each kind in each phase: see pair_of()
    int acknowledged = 0;
    int promotions = 0;
    Time healed_after = 0;  ///< the end of the last fault
    std::vector<std::string> trace;
};

std::span<const std::string_view> fault_kinds();
inline std::size_t pair_of(std::size_t kind, Phase phase) {
    return kind * kPhases + static_cast<std::size_t>(phase);
}
/// Whether such a fault can strike then at all.
bool can_meet(std::size_t kind, Phase phase);

/// One server of several members, its store, its clients and what goes wrong, from one seed: the
/// same seed is the same run.
Outcome simulate(const Options& options);

}  // namespace howdah::sim
