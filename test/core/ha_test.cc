#include "core/ha/ha.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "places.h"

namespace howdah::core::ha {
namespace {

const MemberId kSelf{"a", "i1"};
const MemberId kOther{"b", "i2"};
const MemberId kThird{"c", "i3"};

/// Any view at all, sensible or not: the table must have a safe answer to each.
class Views {
  public:
    explicit Views(std::uint64_t seed) : engine_(seed) {}

    View any() {
        View view;
        view.self = kSelf;
        if (!one_in(20)) view.record = record();
        view.store_answers = coin();
        view.lease_holds = coin();
        view.change_in_doubt = one_in(4);
        view.postgres = static_cast<Postgres>(number(5));
        view.is_silent = one_in(3);
        view.is_hung = view.is_silent && coin();
        view.own_term = 3 + number(3);
        view.told = members();
        if (!one_in(4)) view.waits_for = members();
        view.receives = coin();
        if (coin()) view.follows = coin() ? kOther : kThird;
        view.replay_is_paused = one_in(4);
        view.has_promised = coin();
        view.history = static_cast<History>(number(3));
        view.is_hopeless = one_in(4);
        view.recovery_is_exposed = one_in(4);
        for (const MemberId& each : {kOther, kThird})
            if (!one_in(4)) {
                const bool is_alive = coin();
                view.peers.push_back({each, is_alive, is_alive && coin(), coin(), coin(), coin()});
            }
        return view;
    }

  private:
    int number(int below) { return std::uniform_int_distribution<int>(0, below - 1)(engine_); }
    bool coin() { return number(2) == 0; }
    bool one_in(int n) { return number(n) == 0; }
    Members members() {
        Members all;
        for (const MemberId& each : {kOther, kThird})
            if (coin()) all.insert(each);
        return all;
    }
    Record record() {
        Record record;
        record.term = 4;
        record.primary = coin() ? kSelf : kOther;
        record.sync_set = members();
        if (record.primary != kSelf && coin()) record.sync_set.insert(kSelf);
        record.sync_set.erase(record.primary);
        record.timelines = {{1, 0}};
        if (coin()) record.timelines.push_back({4, 100});
        if (one_in(4)) record.successor = coin() ? kOther : kSelf;
        for (const MemberId& each : {kSelf, kOther, kThird})
            if (!record.sync_set.contains(each) && record.primary != each && coin())
                record.given_up.insert(each);
        record.wants_standby = !one_in(5);
        return record;
    }

    std::mt19937_64 engine_;
};

void check_promises(const View& v, const Decision& decision) {
    const bool leads = v.record && v.record->primary == v.self;
    const bool is_in_set = v.record && v.record->sync_set.contains(v.self);
    switch (decision.action) {
        case Action::take_over:
            EXPECT_TRUE(is_in_set && v.store_answers && !v.has_promised && !leads);
            EXPECT_EQ(v.postgres, Postgres::standby);
            break;
        case Action::promote:
            EXPECT_TRUE(leads && !v.receives && !v.is_silent);
            break;
        case Action::start_primary:
            EXPECT_TRUE(leads && v.own_term == v.record->term);
            EXPECT_TRUE(v.store_answers || v.record->sync_set.empty());
            EXPECT_FALSE(v.store_answers && v.change_in_doubt);
            EXPECT_EQ(decision.names, v.record->sync_set);
            break;
        case Action::set_sync:
            for (const MemberId& each : v.record->sync_set)
                EXPECT_TRUE(decision.names.contains(each));
            break;
        case Action::grow: {
            ASSERT_TRUE(decision.peer && v.waits_for);
            EXPECT_TRUE(v.waits_for->contains(*decision.peer));
            EXPECT_FALSE(v.record->given_up.contains(*decision.peer));
            EXPECT_TRUE(v.store_answers && v.lease_holds && !v.change_in_doubt);
            for (const Peer& each : v.peers)
                if (each.id == *decision.peer) {
                    EXPECT_TRUE(each.has_caught_up);
                }
            break;
        }
        case Action::shrink:
            EXPECT_TRUE(leads && v.store_answers && v.lease_holds);
            EXPECT_TRUE(v.record->sync_set.contains(*decision.peer));
            break;
        case Action::hand_over:
            EXPECT_TRUE(leads &&
                        (v.postgres == Postgres::stopped || v.postgres == Postgres::absent));
            EXPECT_TRUE(v.record->sync_set.contains(*decision.peer));
            break;
        case Action::rewind:
        case Action::clone:
            EXPECT_FALSE(leads || is_in_set) << "its directory may be the only one with a commit";
            EXPECT_TRUE(v.postgres == Postgres::absent || v.record->given_up.contains(v.self))
                << "the primary may let it join the sync_set meanwhile";
            break;
        case Action::give_up:
            EXPECT_FALSE(leads || is_in_set);
            EXPECT_TRUE(v.store_answers);
            break;
        default:
            break;
    }
}

TEST(ha, every_view_has_an_answer_that_keeps_the_promises_and_every_rule_is_reached) {
    constexpr std::uint64_t kSeed = 20261121;
    Views views(kSeed);
    std::set<std::string_view> reached;
    for (int i = 0; i < 300'000 && !testing::Test::HasFailure(); ++i) {
        const View view = views.any();
        const Decision decision = decide(view);
        ASSERT_NE(decision.rule, nullptr);
        reached.insert(decision.rule->id);
        check_promises(view, decision);
        if (may_serve(view)) {
            EXPECT_TRUE(view.record && view.record->primary == view.self);
            ASSERT_TRUE(view.waits_for.has_value());
            for (const MemberId& each : view.record->sync_set)
                EXPECT_TRUE(view.waits_for->contains(each));
        }
        if (testing::Test::HasFailure()) ADD_FAILURE() << "rule " << decision.rule->id;
    }
    for (const Rule& each : rules()) EXPECT_TRUE(reached.contains(each.id)) << each.id;
}

TEST(ha, ids_are_unique_and_reasons_are_sentences_without_an_end) {
    std::set<std::string_view> ids;
    for (const Rule& each : rules()) {
        EXPECT_TRUE(ids.insert(each.id).second) << each.id;
        EXPECT_FALSE(each.reason.empty() || each.reason.ends_with('.')) << each.id;
    }
}

TEST(ha, a_directory_fits_diverges_or_is_unknown) {
    const Timelines noted = {{1, 0}, {3, 100}};
    EXPECT_EQ(history_of({{1, 0}}, 90, noted), History::fits);
    EXPECT_EQ(history_of({{1, 0}}, 100, noted), History::fits);
    EXPECT_EQ(history_of({{1, 0}}, 101, noted), History::diverged);
    EXPECT_EQ(common_end({{1, 0}}, 120, noted), 100U);
    EXPECT_EQ(history_of(noted, 500, noted), History::fits);
    EXPECT_EQ(history_of({{1, 0}, {2, 95}}, 99, noted), History::unknown);
    EXPECT_EQ(common_end({{1, 0}, {2, 95}}, 99, noted), 95U);
    EXPECT_EQ(history_of({{1, 0}, {3, 80}}, 99, noted), History::unknown)
        << "the same term at another place is another timeline";
}

std::string table_of_rules() {
    std::string text =
        "| rule | section | what is done | because | safety |\n|---|---|---|---|---|\n";
    for (const Rule& each : rules())
        text += fmt::format("| {} | {} | `{}` | {} | {} |\n", each.id, to_string(each.section),
                            to_string(each.action), each.reason, each.is_safety ? "yes" : "");
    return text;
}

TEST(ha, the_documents_hold_the_table) {
    const std::string path = test::source_dir() + "/docs/reference/ha-rules.md";
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    const std::string whole = text.str();
    const std::size_t begin = whole.find("| rule |");
    ASSERT_NE(begin, std::string::npos);
    const std::string wanted = whole.substr(0, begin) + table_of_rules();
    if (std::getenv("HOWDAH_UPDATE_DOCS") != nullptr)
        std::ofstream(path) << wanted;
    else
        EXPECT_EQ(whole, wanted) << "run HOWDAH_UPDATE_DOCS=1 test_core";
}

}  // namespace
}  // namespace howdah::core::ha
