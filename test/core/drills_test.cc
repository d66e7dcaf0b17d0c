#include "core/plan/drills.h"

#include <gtest/gtest.h>

namespace howdah::core {
namespace {

using namespace std::chrono_literals;

Timestamp at(std::string_view text) { return parse_iso8601(text).value(); }

/// Sundays at 03:30.
model::MaintenanceWindow sunday() {
    return {.custom = "Enabled", .day_of_week = 0, .start_hour = 3, .start_minute = 30};
}

model::ServerSpec server() {
    model::ServerSpec spec;
    spec.name = "orders";
    spec.maintenance = sunday();
    return spec;
}

model::DrillSchedule weekly(std::string handled_until) {
    return {.incarnation = "i",
            .recurrence = "weekly",
            .kind = "planned",
            .set_by = "me",
            .handled_until = std::move(handled_until)};
}

TEST(drills, windows_come_once_a_week_or_in_the_first_week_of_a_month) {
    const auto weekly_after = [](std::string_view after) {
        return format_iso8601(*next_window(sunday(), "weekly", at(after)));
    };
    const auto monthly_after = [](std::string_view after) {
        return format_iso8601(*next_window(sunday(), "monthly", at(after)));
    };
    // 2026-11-22 is a Sunday.
    EXPECT_EQ(weekly_after("2026-11-22T03:29:59Z"), "2026-11-22T03:30:00.000Z");
    EXPECT_EQ(weekly_after("2026-11-22T03:30:00Z"), "2026-11-29T03:30:00.000Z");
    EXPECT_EQ(weekly_after("2026-11-23T12:00:00Z"), "2026-11-29T03:30:00.000Z");
    EXPECT_EQ(monthly_after("2026-11-22T03:29:59Z"), "2026-12-06T03:30:00.000Z");
    EXPECT_EQ(monthly_after("2026-12-06T03:30:00Z"), "2027-01-03T03:30:00.000Z");
    EXPECT_FALSE(next_window({}, "weekly", at("2026-11-22T00:00:00Z"))) << "the system's to choose";
}

TEST(drills, every_window_is_after_the_one_before_and_on_its_day) {
    for (std::int64_t day = 0; day < 7; ++day) {
        for (const char* recurrence : {"weekly", "monthly"}) {
            const model::MaintenanceWindow window{
                .custom = "Enabled", .day_of_week = day, .start_hour = day, .start_minute = 59};
            Timestamp time = at("2024-02-28T23:59:59Z");
            for (int i = 0; i < 60; ++i) {
                const Timestamp next = *next_window(window, recurrence, time);
                ASSERT_GT(next, time);
                const auto date = std::chrono::floor<std::chrono::days>(next);
                ASSERT_EQ(std::chrono::weekday(date).c_encoding(), day);
                ASSERT_EQ(next - date, std::chrono::hours(day) + 59min);
                time = next;
            }
        }
    }
}

TEST(drills, one_that_is_due_is_begun_once) {
    const auto schedule = weekly("2026-11-20T00:00:00Z");
    const auto early =
        decide_schedule(server(), schedule, std::nullopt, at("2026-11-22T03:29:00Z"));
    EXPECT_FALSE(early.schedule);
    EXPECT_EQ(early.ask_again, 60s);
    const auto due = decide_schedule(server(), schedule, std::nullopt, at("2026-11-22T03:30:01Z"));
    ASSERT_TRUE(due.drill && due.schedule);
    EXPECT_EQ(due.drill->status, "InProgress");
    EXPECT_EQ(due.drill->name, "20261122-033000-000");
    EXPECT_EQ(due.drill->requested_by, "me");
    const auto again =
        decide_schedule(server(), *due.schedule, std::nullopt, at("2026-11-22T03:30:02Z"));
    EXPECT_FALSE(again.drill);
    EXPECT_EQ(again.ask_again, std::chrono::hours(7 * 24) - 2s);
}

TEST(drills, one_that_finds_the_server_unhealthy_is_skipped_and_says_why) {
    const model::Failure refusal{"invalid_state", "it is ReplicatingData", ""};
    const auto due = decide_schedule(server(), weekly("2026-11-20T00:00:00Z"), refusal,
                                     at("2026-11-22T03:30:01Z"));
    ASSERT_TRUE(due.drill && due.schedule);
    EXPECT_EQ(due.drill->status, "Skipped");
    EXPECT_EQ(due.drill->failure_message, "it is ReplicatingData");
    EXPECT_FALSE(due.drill->ended_at.empty());
    EXPECT_FALSE(
        decide_schedule(server(), *due.schedule, std::nullopt, at("2026-11-22T03:31:00Z")).drill)
        << "not tried again in this window";
}

TEST(drills, a_window_that_nobody_saw_is_skipped_and_only_the_last_of_them) {
    const auto late = decide_schedule(server(), weekly("2026-11-01T12:00:00Z"), std::nullopt,
                                      at("2026-11-22T04:30:00Z"));
    ASSERT_TRUE(late.drill);
    EXPECT_EQ(late.drill->status, "Skipped");
    EXPECT_EQ(late.drill->window, "2026-11-22T03:30:00.000Z");
    EXPECT_EQ(late.schedule->handled_until, "2026-11-22T03:30:00.000Z");
    // A window that came into being later was never there to be seen.
    model::ServerSpec changed = server();
    changed.system_data.last_modified_at = "2026-11-22T04:29:00Z";
    const auto moved = decide_schedule(changed, weekly("2026-11-01T12:00:00Z"), std::nullopt,
                                       at("2026-11-22T04:30:00Z"));
    EXPECT_FALSE(moved.drill);
    EXPECT_TRUE(moved.schedule);
}

TEST(drills, one_ends_with_its_operation_and_what_the_members_tell) {
    const Timestamp now = at("2026-11-22T03:30:10Z");
    model::Drill drill{.name = "d", .status = "InProgress", .term_before = 3};
    model::Operation operation;
    EXPECT_FALSE(follow_drill({.drill = drill, .operation = operation}, now).ended);
    operation.end_time = "2026-11-22T03:30:05Z";
    operation.status = "Succeeded";
    const auto waiting =
        follow_drill({.drill = drill, .operation = operation, .members_term = 4}, now);
    EXPECT_FALSE(waiting.ended);
    EXPECT_EQ(waiting.ask_again, 25s);
    ha::FailoverTimeline timeline;
    timeline.is_complete = true;
    timeline.writes_out = ha::WritesOut{1000, "stopAsked", 1210};
    const auto told = follow_drill(
        {.drill = drill, .operation = operation, .members_term = 4, .timeline = timeline}, now);
    ASSERT_TRUE(told.ended);
    EXPECT_EQ(told.ended->status, "Succeeded");
    EXPECT_EQ(told.ended->term, 4);
    EXPECT_EQ(told.ended->writes_out_ms, 210);
    const auto late =
        follow_drill({.drill = drill, .operation = operation, .members_term = 4}, now + 26s);
    ASSERT_TRUE(late.ended);
    EXPECT_FALSE(late.ended->writes_out_ms) << "what is not known is not said";
    operation.status = "Failed";
    operation.failure = model::Failure{"unavailable", "the standby was lost", ""};
    const auto failed = follow_drill({.drill = drill, .operation = operation}, now);
    EXPECT_EQ(failed.ended->status, "Failed");
    EXPECT_EQ(failed.ended->failure_message, "the standby was lost");
    EXPECT_EQ(follow_drill({.drill = drill}, now).ended->status, "Failed");
}

}  // namespace
}  // namespace howdah::core
