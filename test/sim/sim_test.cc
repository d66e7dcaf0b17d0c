// The table of core/ha against everything that can go wrong, with a checker for every promise:
// no acknowledged commit is lost, nobody reads what is undone or old, one member acknowledges in a
// term, all is well again when the faults are over, and nothing fails over without a reason.
// script/sim runs it for longer.

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "base/text.h"
#include "places.h"
#include "sim/world.h"

namespace howdah::sim {
namespace {

using core::ha::Rule;

#ifdef HOWDAH_SANITIZED
constexpr int kSlower = 10;
#else
constexpr int kSlower = 1;
#endif
/// Whatever can be met is met in a run of so many faults.
constexpr long kFaultsToMeetAll = 100'000;

/// Two members in most runs, three in every third.
Options options_of(std::uint64_t seed) {
    Options options;
    options.seed = seed;
    options.nodes = seed % 3 == 0 ? 3 : 2;
    return options;
}

std::int64_t number_from_environment(const char* name, std::int64_t otherwise) {
    const char* text = std::getenv(name);
    if (text == nullptr) return otherwise;
    const auto number = parse_integer(text, 0, INT64_MAX);
    return number.ok() ? *number : otherwise;
}

/// What led to a violation, so that nobody has to run it again to see it.
std::string story_of(std::uint64_t seed) {
    Options options = options_of(seed);
    options.keeps_trace = true;
    const Outcome outcome = simulate(options);
    std::string text = fmt::format("seed {}:\n", seed);
    constexpr std::size_t kLines = 60;
    const std::size_t skipped = outcome.trace.size() > kLines ? outcome.trace.size() - kLines : 0;
    for (std::size_t i = skipped; i < outcome.trace.size(); ++i) text += outcome.trace[i] + "\n";
    return text;
}

struct Total {
    long runs = 0;
    long faults = 0;
    long promotions = 0;
    long acknowledged = 0;
    Time healed_after = 0;
    std::map<std::string, long> rules;
    std::vector<long> pairs = std::vector<long>(fault_kinds().size() * kPhases);

    void add(const Outcome& outcome) {
        ++runs;
        for (std::size_t i = 0; i < pairs.size(); ++i) {
            faults += outcome.faults[i];
            pairs[i] += outcome.faults[i];
        }
        for (const auto& [rule, count] : outcome.rules) rules[rule] += count;
        promotions += outcome.promotions;
        acknowledged += outcome.acknowledged;
        healed_after = std::max(healed_after, outcome.healed_after);
    }
    std::vector<std::string> rules_not_used() const {
        std::vector<std::string> unused;
        for (const Rule& each : core::ha::rules())
            if (!rules.contains(std::string(each.id))) unused.emplace_back(each.id);
        return unused;
    }
    std::vector<std::string> pairs_not_met() const {
        std::vector<std::string> missed;
        for (std::size_t kind = 0; kind < fault_kinds().size(); ++kind)
            for (int i = 0; i < kPhases; ++i) {
                const auto phase = static_cast<Phase>(i);
                if (pairs[pair_of(kind, phase)] == 0 && can_meet(kind, phase))
                    missed.push_back(
                        fmt::format("{} while {}", fault_kinds()[kind], to_string(phase)));
            }
        return missed;
    }
};

/// Faults beside phases, both numbered where they are long.
void print_pairs(const Total& total) {
    for (int i = 0; i < kPhases; ++i)
        fmt::print("{:2} {}\n", i + 1, to_string(static_cast<Phase>(i)));
    std::string line = fmt::format("{:24}", "");
    for (int i = 0; i < kPhases; ++i) line += fmt::format("{:6}", i + 1);
    fmt::print("{}\n", line);
    for (std::size_t kind = 0; kind < fault_kinds().size(); ++kind) {
        line = fmt::format("{:24}", fault_kinds()[kind]);
        for (int i = 0; i < kPhases; ++i)
            line += fmt::format("{:6}", total.pairs[pair_of(kind, static_cast<Phase>(i))]);
        fmt::print("{}\n", line);
    }
    for (const Rule& each : core::ha::rules()) {
        const auto found = total.rules.find(std::string(each.id));
        fmt::print("{} {}  ", each.id, found == total.rules.end() ? 0 : found->second);
    }
    fmt::print("\n");
}

void print(const Total& total, double seconds) {
    fmt::print(
        "{} runs, {} faults, {:.0f} faults/s, {} promotions, {} acknowledged commits, healed "
        "{} ms after the last fault at the latest\n",
        total.runs, total.faults, static_cast<double>(total.faults) / seconds, total.promotions,
        total.acknowledged, total.healed_after);
    if (total.faults < kFaultsToMeetAll) return;
    print_pairs(total);
    fmt::print("rules that were never used: {}\n", join(total.rules_not_used(), ", "));
    fmt::print("faults that never struck in a phase: {}\n", join(total.pairs_not_met(), ", "));
}

TEST(simulation, a_seed_is_the_same_run_every_time) {
    Options options = options_of(7);
    options.keeps_trace = true;
    const Outcome first = simulate(options);
    const Outcome second = simulate(options);
    EXPECT_EQ(first.trace, second.trace);
    EXPECT_EQ(first.acknowledged, second.acknowledged);
    EXPECT_GT(first.acknowledged, 1000);
}

TEST(simulation, without_faults_nothing_fails_over_and_everybody_takes_part) {
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
        Options options = options_of(seed);
        options.has_faults = false;
        const Outcome outcome = simulate(options);
        EXPECT_TRUE(outcome.violations.empty()) << seed << ": " << outcome.violations[0];
        EXPECT_EQ(outcome.promotions, 0) << seed;
    }
}

TEST(simulation, seeds_that_found_a_defect_find_none_any_more) {
    std::ifstream file(test::source_dir() + "/test/sim/seeds.txt");
    int seeds = 0;
    for (std::string line; std::getline(file, line);) {
        const auto seed = parse_integer(trim(line.substr(0, line.find('#'))), 0, INT64_MAX);
        if (!seed.ok()) continue;
        const auto number = static_cast<std::uint64_t>(*seed);
        EXPECT_TRUE(simulate(options_of(number)).violations.empty()) << story_of(number);
        if (++seeds >= 50 / kSlower) break;
    }
    EXPECT_GT(seeds, 0);
}

TEST(simulation, new_seeds_lose_nothing_and_heal) {
    const std::int64_t seconds = number_from_environment("HOWDAH_SIM_SECONDS", 20 / kSlower);
    const std::int64_t faults = number_from_environment("HOWDAH_SIM_FAULTS", INT64_MAX);
    const auto from = static_cast<std::uint64_t>(number_from_environment(
        "HOWDAH_SIM_FROM", std::random_device()() % 1'000'000'000 + 1'000'000));
    fmt::print("seeds from {}\n", from);
    const auto begin = std::chrono::steady_clock::now();
    const auto end = begin + std::chrono::seconds(seconds);
    Total total;
    std::uint64_t seed = from;
    for (; std::chrono::steady_clock::now() < end && total.faults < faults; ++seed) {
        const Outcome outcome = simulate(options_of(seed));
        total.add(outcome);
        ASSERT_TRUE(outcome.violations.empty()) << outcome.violations[0] << "\n" << story_of(seed);
        if (total.runs % 2'000 != 0) continue;
        fmt::print("{} runs, {} faults, seed {}\n", total.runs, total.faults, seed);
        (void)std::fflush(stdout);
    }
    fmt::print("seeds to {}\n", seed - 1);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    print(total, took.count());
    if (total.faults < kFaultsToMeetAll) return;
    EXPECT_TRUE(total.rules_not_used().empty());
    EXPECT_TRUE(total.pairs_not_met().empty());
}

TEST(simulation, every_rule_is_used_and_every_fault_comes) {
    if (kSlower > 1) GTEST_SKIP() << "takes long, and finds nothing new with a sanitizer";
    Total total;
    for (std::uint64_t seed = 1; seed <= 220; ++seed) total.add(simulate(options_of(seed)));
    EXPECT_EQ(join(total.rules_not_used(), ", "), "");
    for (std::size_t kind = 0; kind < fault_kinds().size(); ++kind) {
        long count = 0;
        for (int i = 0; i < kPhases; ++i)
            count += total.pairs[pair_of(kind, static_cast<Phase>(i))];
        EXPECT_GT(count, 0) << fault_kinds()[kind];
    }
}

/// The first seed that finds it; none: nobody does.
std::string who_finds(const std::vector<Rule>& table, Weakness weakness,
                      std::optional<std::size_t> pair = std::nullopt) {
    constexpr std::uint64_t kSeeds = 500;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        Options options = options_of(seed);
        options.table = table;
        options.weakness = weakness;
        options.pair = pair;
        const Outcome outcome = simulate(options);
        if (!outcome.violations.empty())
            return fmt::format("seed {}: {}", seed, outcome.violations[0]);
    }
    return "";
}

TEST(simulation, taking_out_any_one_safety_rule_is_caught) {
    if (kSlower > 1) GTEST_SKIP() << "takes long, and finds nothing new with a sanitizer";
    for (const Rule& without : core::ha::rules()) {
        if (!without.is_safety) continue;
        std::vector<Rule> table;
        for (const Rule& each : core::ha::rules())
            if (each.id != without.id) table.push_back(each);
        const std::string found = who_finds(table, Weakness::none);
        EXPECT_NE(found, "") << without.id << ": " << without.reason;
        fmt::print("without {}: {}\n", without.id, found);
    }
}

TEST(simulation, taking_away_any_one_promise_of_the_others_is_caught) {
    if (kSlower > 1) GTEST_SKIP() << "takes long, and finds nothing new with a sanitizer";
    const std::vector<Rule> table(core::ha::rules().begin(), core::ha::rules().end());
    const auto kinds = fault_kinds();
    const auto kind = std::find(kinds.begin(), kinds.end(), "agent killed at a step");
    for (const auto& [weakness, text] : weaknesses()) {
        // Two steps that are close to each other.
        std::optional<std::size_t> pair;
        if (weakness == Weakness::notes_answer_twice)
            pair = pair_of(static_cast<std::size_t>(kind - kinds.begin()), Phase::growing);
        const std::string found = who_finds(table, weakness, pair);
        EXPECT_NE(found, "") << text;
        fmt::print("{}: {}\n", text, found);
    }
}

}  // namespace
}  // namespace howdah::sim
