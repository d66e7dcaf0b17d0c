// The table of core/ha against everything that can go wrong, with a checker for every promise:
// no acknowledged commit is lost, nobody reads what is undone, one member acknowledges in a term,
// and all is well again when the faults are over. script/sim runs it for longer.

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <chrono>
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
    int runs = 0;
    int faults = 0;
    int promotions = 0;
    long acknowledged = 0;
    std::map<std::string, int> rules;
    std::map<std::string, int> kinds;

    void add(const Outcome& outcome) {
        ++runs;
        for (const auto& [kind, count] : outcome.faults) {
            faults += count;
            kinds[kind] += count;
        }
        for (const auto& [rule, count] : outcome.rules) rules[rule] += count;
        promotions += outcome.promotions;
        acknowledged += outcome.acknowledged;
    }
    void print() const {
        fmt::print("{} runs, {} faults, {} promotions, {} acknowledged commits\n", runs, faults,
                   promotions, acknowledged);
    }
};

TEST(simulation, a_seed_is_the_same_run_every_time) {
    Options options = options_of(7);
    options.keeps_trace = true;
    const Outcome first = simulate(options);
    const Outcome second = simulate(options);
    EXPECT_EQ(first.trace, second.trace);
    EXPECT_EQ(first.acknowledged, second.acknowledged);
    EXPECT_GT(first.acknowledged, 1000);
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
    const auto from = static_cast<std::uint64_t>(number_from_environment(
        "HOWDAH_SIM_FROM", std::random_device()() % 1'000'000'000 + 1'000'000));
    fmt::print("seeds from {}\n", from);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    Total total;
    for (std::uint64_t seed = from; std::chrono::steady_clock::now() < end; ++seed) {
        const Outcome outcome = simulate(options_of(seed));
        total.add(outcome);
        ASSERT_TRUE(outcome.violations.empty()) << outcome.violations[0] << "\n" << story_of(seed);
    }
    total.print();
}

TEST(simulation, every_rule_is_used_and_every_fault_comes) {
    if (kSlower > 1) GTEST_SKIP() << "takes long, and finds nothing new with a sanitizer";
    Total total;
    for (std::uint64_t seed = 1; seed <= 120; ++seed) total.add(simulate(options_of(seed)));
    for (const Rule& each : core::ha::rules()) {
        // Replay is never paused here, and the store answers at the start.
        if (each.id == "S5" || each.id == "F5") continue;
        EXPECT_GT(total.rules[std::string(each.id)], 0) << each.id << ": " << each.reason;
    }
    EXPECT_EQ(total.kinds.size(), 16U);
}

/// Whether some seed finds the table wanting.
bool is_caught(const std::vector<Rule>& table, std::string* how) {
    constexpr std::uint64_t kSeeds = 500;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        Options options = options_of(seed);
        options.table = table;
        const Outcome outcome = simulate(options);
        if (outcome.violations.empty()) continue;
        *how = fmt::format("seed {}: {}", seed, outcome.violations[0]);
        return true;
    }
    return false;
}

TEST(simulation, taking_out_any_one_safety_rule_is_caught) {
    if (kSlower > 1) GTEST_SKIP() << "takes long, and finds nothing new with a sanitizer";
    for (const Rule& without : core::ha::rules()) {
        if (!without.is_safety) continue;
        std::vector<Rule> table;
        for (const Rule& each : core::ha::rules())
            if (each.id != without.id) table.push_back(each);
        std::string how;
        EXPECT_TRUE(is_caught(table, &how)) << without.id << ": " << without.reason;
        fmt::print("without {}: {}\n", without.id, how);
    }
}

}  // namespace
}  // namespace howdah::sim
