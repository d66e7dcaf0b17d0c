#include "core/ha/failover_tracker.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/ha/failover_timeline.h"

namespace howdah::core::ha {
namespace {

const MemberId kA{"a", "i1"};
const MemberId kB{"b", "i2"};

const Rule& rule(std::string_view id) {
    const auto found = std::find_if(rules().begin(), rules().end(),
                                    [&](const Rule& each) { return each.id == id; });
    return *found;
}

/// One member as its agent sees it, and its tracker.
struct Member {
    FailoverTracker tracker;
    View view;
    Lsn end = 0;
    bool answers = true;
    std::optional<Switch> own_switch = Switch{1, 0};
    std::int64_t now = 1000;
    std::int64_t last_answer = 0;
    std::optional<std::int64_t> renewed;

    FailoverTracker::Sight sight() const {
        return {.now_ms = now,
                .view = view,
                .answers = answers,
                .end = end,
                .last_answer_ms = last_answer,
                .primary_renewed_ms = renewed,
                .own_switch = own_switch};
    }
    void look(std::int64_t at) {
        now = at;
        tracker.look(sight());
    }
    void decide(std::string_view id) { tracker.decided(sight(), rule(id)); }
    const model::FailoverPart& part() const { return tracker.parts().back(); }
    const model::FailoverStep* find(std::string_view kind) const {
        for (const model::FailoverStep& each : part().steps)
            if (each.kind == kind) return &each;
        return nullptr;
    }
};

Record record_of(Term term, const MemberId& primary, Members sync_set, Timelines timelines) {
    return {.term = term,
            .primary = primary,
            .sync_set = std::move(sync_set),
            .timelines = std::move(timelines)};
}

Member primary() {
    Member a;
    a.view.self = kA;
    a.view.record = record_of(1, kA, {kB}, {{1, 0}});
    a.view.store_answers = a.view.lease_holds = true;
    a.view.postgres = Postgres::primary;
    a.view.told = {kB};
    a.view.waits_for = Members{kB};
    a.look(1000);
    return a;
}

Member standby() {
    Member b;
    b.view.self = kB;
    b.view.record = record_of(1, kA, {kB}, {{1, 0}});
    b.view.store_answers = true;
    b.view.postgres = Postgres::standby;
    b.view.receives = true;
    b.view.follows = kA;
    b.renewed = 900;
    b.look(1000);
    return b;
}

/// From the record of the new term on.
void promote(Member& b, std::int64_t at) {
    b.view.record = record_of(2, kB, {}, {{1, 0}});
    b.look(at);
    b.view.receives = false;
    b.end = 0x2000;
    b.decide("L8");
    b.view.postgres = Postgres::primary;
    b.own_switch = Switch{2, 0x2000};
    b.look(at + 50);
    b.view.record->timelines = {{1, 0}, {2, 0x2000}};
    EXPECT_FALSE(b.tracker.has_news()) << "nothing is written in the way of a failover";
    b.tracker.opened(at + 60);
}

TEST(failover_tracker, a_lost_host_is_told_by_the_member_that_took_over) {
    Member b = standby();
    b.view.receives = false;
    b.end = 0x2000;
    b.look(1010);
    b.renewed = 1005;
    b.now = 2200;
    b.decide("S6");
    promote(b, 2210);
    EXPECT_TRUE(b.tracker.has_news());
    EXPECT_TRUE(b.part().is_over);
    EXPECT_TRUE(b.part().was_in_sync_set);
    EXPECT_EQ(b.part().old_primary, "a");
    EXPECT_EQ(b.part().received, "0/2000");
    EXPECT_EQ(b.part().switched_at, "0/2000");
    ASSERT_NE(b.find(step::kTakenOver), nullptr);
    EXPECT_EQ(b.find(step::kTakenOver)->rule, "S6");
    EXPECT_EQ(b.find(step::kLastRenewal)->at_ms, 1005);
    EXPECT_EQ(b.find(step::kOldPrimaryStopped)->rule, "L8");
    const FailoverTimeline timeline =
        timeline_of({.term = 2, .incarnation = "i", .drill = "", .parts = b.tracker.parts()});
    EXPECT_EQ(timeline.kind, "unplanned");
    EXPECT_EQ(timeline.writes_out->from_kind, step::kStreamEnded);
    EXPECT_EQ(timeline.writes_out->milliseconds(), 2270 - 1010);
    EXPECT_EQ(timeline.acknowledged_commits_lost, 0);
    EXPECT_FALSE(timeline.discarded_bytes) << "the old primary has told nothing yet";
    EXPECT_FALSE(timeline.is_complete);
}

TEST(failover_tracker, a_killed_primary_hands_over_and_tells_what_it_discarded) {
    Member a = primary();
    a.view.postgres = Postgres::stopped;
    a.answers = false;
    a.look(2000);
    a.decide("L2");
    a.view.record = record_of(2, kB, {}, {{1, 0}});
    a.look(2005);
    ASSERT_EQ(a.tracker.parts().size(), 1U);
    EXPECT_EQ(a.find(step::kPostgresEnded)->at_ms, 2000);
    EXPECT_EQ(a.find(step::kHandedOver)->rule, "L2");
    EXPECT_TRUE(a.tracker.has_news());
    a.decide("W2");
    a.tracker.discarded(2500, 4096, "/data.old");
    EXPECT_TRUE(a.tracker.keeps_old_copy());
    a.view.postgres = Postgres::standby;
    a.view.receives = true;
    a.view.follows = kB;
    a.answers = true;
    a.look(2600);
    EXPECT_TRUE(a.part().is_over);
    EXPECT_EQ(a.part().discarded_bytes, 4096);
    EXPECT_EQ(a.part().kept_at, "/data.old");
    a.tracker.forget_news();
    a.tracker.old_copy_removed();
    EXPECT_TRUE(a.tracker.has_news());
    EXPECT_EQ(a.part().kept_at, "");
}

TEST(failover_tracker, a_planned_failover_discards_nothing) {
    Member a = primary();
    a.tracker.asked(1990, /*is_planned=*/true);
    a.view.record->successor = kB;
    a.look(2000);
    a.decide("L17");
    a.view.postgres = Postgres::stopped;
    a.look(2050);
    a.decide("L2");
    a.view.record = record_of(2, kB, {}, {{1, 0}});
    a.look(2060);
    a.view.postgres = Postgres::standby;
    a.view.receives = true;
    a.view.follows = kB;
    a.look(2600);
    EXPECT_TRUE(a.part().is_over);
    EXPECT_EQ(a.part().discarded_bytes, 0);
    Member b = standby();
    promote(b, 2065);
    const FailoverTimeline timeline =
        timeline_of({.term = 2, .incarnation = "i", .drill = "", .parts = {b.part(), a.part()}});
    EXPECT_EQ(timeline.kind, "planned");
    EXPECT_TRUE(timeline.is_complete);
    EXPECT_EQ(timeline.first_sign->step.kind, step::kPlannedAsked);
    EXPECT_EQ(timeline.take_over->step.kind, step::kHandedOver);
    EXPECT_EQ(timeline.writes_out->from_kind, step::kStopAsked);
    EXPECT_EQ(timeline.writes_out->milliseconds(), 2125 - 2000);
    EXPECT_EQ(timeline.discarded_bytes, 0);
}

TEST(failover_tracker, the_successor_alone_knows_that_it_was_planned) {
    Member b = standby();
    b.view.record->successor = kB;
    b.look(1500);
    promote(b, 1600);
    EXPECT_NE(b.find(step::kPlannedAsked), nullptr);
}

TEST(failover_tracker, a_start_in_place_is_no_failover) {
    Member a = primary();
    a.view.postgres = Postgres::stopped;
    a.look(2000);
    a.view.postgres = Postgres::primary;
    a.look(3000);
    a.tracker.opened(3001);
    EXPECT_TRUE(a.tracker.parts().empty());
    EXPECT_FALSE(a.tracker.has_news());
    // And its signs are none of a failover that comes later.
    a.view.record = record_of(2, kB, {}, {{1, 0}});
    a.look(9000);
    EXPECT_EQ(a.find(step::kPostgresEnded), nullptr);
}

TEST(failover_tracker, a_hang_counts_from_the_last_answer) {
    Member a = primary();
    a.view.is_hung = true;
    a.answers = false;
    a.last_answer = 1100;
    a.look(2400);
    a.decide("F3");
    a.view.postgres = Postgres::stopped;
    a.look(2410);
    a.decide("L2");
    a.view.record = record_of(2, kB, {}, {{1, 0}});
    a.look(2420);
    EXPECT_EQ(a.find(step::kLastAnswer)->at_ms, 1100);
    EXPECT_EQ(a.find(step::kStopAsked)->rule, "F3");
}

TEST(failover_tracker, an_agent_that_was_killed_in_the_middle_tells_the_rest) {
    Member b = standby();
    b.view.record = record_of(2, kB, {}, {{1, 0}});
    b.tracker = FailoverTracker({}, b.view.record, /*is_promoting=*/true);
    b.view.receives = false;
    b.view.postgres = Postgres::starting;
    b.look(3000);
    b.view.postgres = Postgres::primary;
    b.own_switch = Switch{2, 0x2000};
    b.look(3100);
    b.tracker.opened(3200);
    EXPECT_TRUE(b.part().is_over);
    EXPECT_FALSE(b.part().was_in_sync_set) << "nobody knows any more";
    EXPECT_NE(b.find(step::kAgentStarted), nullptr);
    EXPECT_FALSE(timeline_of({.term = 2, .incarnation = "", .drill = "", .parts = {b.part()}})
                     .acknowledged_commits_lost);
    // One that is started anew later has no part in it.
    Member again = b;
    again.tracker = FailoverTracker(b.tracker.parts(), b.view.record, false);
    again.look(4000);
    again.tracker.opened(4001);
    EXPECT_EQ(again.tracker.parts(), b.tracker.parts());
    EXPECT_FALSE(again.tracker.has_news());
}

TEST(failover_tracker, a_former_primary_whose_agent_was_killed_tells_that_it_is_back) {
    Member a = primary();
    a.tracker = FailoverTracker({}, a.view.record, false);
    a.view.record = record_of(2, kB, {}, {{1, 0}, {2, 0x2000}});
    a.view.postgres = Postgres::stopped;
    a.look(5000);
    EXPECT_EQ(a.part().steps[0].kind, step::kAgentStarted);
    EXPECT_EQ(a.part().old_primary, "a");
    EXPECT_FALSE(a.part().discarded_bytes);
}

TEST(failover_tracker, is_bounded) {
    Member b = standby();
    for (Term term = 2; term < 60; ++term) {
        const bool leads = term % 2 == 0;
        b.view.record = record_of(term, leads ? kB : kA, {}, {{1, 0}});
        b.look(1000 * term);
        b.tracker.opened(1000 * term + 1);
    }
    EXPECT_EQ(b.tracker.parts().size(), FailoverTracker::kPartsMax);
    EXPECT_EQ(b.part().term, 59);
}

// ---------------------------------------------------------------------------------------------
// The story of several parts

model::FailoverPart any_part(std::uint64_t& seed, const std::string& host) {
    const auto number = [&](std::uint64_t below) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        return (seed >> 33) % below;
    };
    constexpr std::string_view kKinds[] = {
        step::kPlannedAsked, step::kForcedAsked,       step::kLastAnswer,  step::kLastRenewal,
        step::kStopAsked,    step::kPostgresEnded,     step::kStreamEnded, step::kTakenOver,
        step::kStreamCut,    step::kOldPrimaryStopped, step::kPromoted,    step::kOpened};
    model::FailoverPart part{.term = 7, .host = host, .old_primary = "a", .new_primary = "b"};
    part.is_over = number(2) == 0;
    for (std::uint64_t i = number(8); i > 0; --i)
        part.steps.push_back({.at_ms = static_cast<std::int64_t>(number(1000)),
                              .kind = std::string(kKinds[number(std::size(kKinds))])});
    return part;
}

TEST(failover_timeline, is_in_the_order_of_time_whoever_tells_first) {
    std::uint64_t seed = 1;
    for (int round = 0; round < 2000; ++round) {
        const model::FailoverPart a = any_part(seed, "a");
        const model::FailoverPart b = any_part(seed, "b");
        const FailoverTimeline one =
            timeline_of({.term = 7, .incarnation = "i", .drill = "", .parts = {a, b}});
        const FailoverTimeline other =
            timeline_of({.term = 7, .incarnation = "i", .drill = "", .parts = {b, a}});
        ASSERT_EQ(one, other) << "round " << round;
        ASSERT_EQ(one.steps.size(), a.steps.size() + b.steps.size());
        ASSERT_TRUE(std::is_sorted(one.steps.begin(), one.steps.end(),
                                   [](const TimelineStep& x, const TimelineStep& y) {
                                       return x.step.at_ms < y.step.at_ms;
                                   }));
        ASSERT_EQ(one.is_complete, a.is_over && b.is_over);
        if (!one.writes_out) continue;
        ASSERT_GE(one.writes_out->milliseconds(), 0);
        ASSERT_EQ(one.writes_out->to_ms, one.opened_ms);
    }
}

TEST(failover_timeline, a_newer_part_of_a_host_replaces_its_older_one) {
    model::FailoverRecord record{.term = 2};
    merge_part(record, {.term = 2, .host = "a"});
    merge_part(record, {.term = 2, .host = "b"});
    merge_part(record, {.term = 2, .host = "a", .is_over = true});
    ASSERT_EQ(record.parts.size(), 2U);
    EXPECT_TRUE(record.parts[0].is_over);
    for (const char* host : {"c", "d", "e", "f"}) merge_part(record, {.term = 2, .host = host});
    EXPECT_EQ(record.parts.size(), kRecordPartsMax);
}

}  // namespace
}  // namespace howdah::core::ha
