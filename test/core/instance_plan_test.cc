#include "core/plan/instance_plan.h"

#include <gtest/gtest.h>

#include <set>

namespace howdah::core {
namespace {

constexpr int kFacts = 17;

/// Every combination of facts, one for each number below 2^kFacts.
InstanceFacts facts_of(int number) {
    const auto bit = [&](int which) { return ((number >> which) & 1) != 0; };
    InstanceFacts facts;
    facts.has_directory = bit(0);
    facts.is_running = bit(1);
    facts.is_ready = bit(1) && bit(2);
    facts.wants_running = bit(3);
    facts.is_configured = bit(4);
    facts.is_loaded = bit(5);
    facts.is_restart_due = bit(6);
    facts.has_administrator = bit(7);
    facts.has_token_administrators = bit(8);
    facts.wants_member = bit(9);
    facts.is_founder = bit(10);
    facts.is_member = bit(11);
    facts.is_begun = bit(12);  // also of one that was about to leave
    facts.is_follower = facts.is_begun && bit(13);
    facts.wants_restore = bit(14);
    const bool is_single = !facts.wants_member && !facts.is_member && !facts.is_begun;
    facts.is_replica = is_single && bit(15);
    facts.wants_promotion = facts.is_replica && bit(16);
    return facts;
}

/// What a step brings about when it succeeds.
InstanceFacts after(InstanceStep step, InstanceFacts facts) {
    switch (step) {
        case InstanceStep::claim:
            facts.has_directory = true;
            break;
        case InstanceStep::configure:
            facts.is_configured = true;
            facts.is_loaded = false;
            break;
        case InstanceStep::restore:
            facts.wants_restore = facts.is_running = facts.is_ready = false;
            break;
        case InstanceStep::stop:
            facts.is_running = facts.is_ready = facts.is_begun = facts.is_follower = false;
            break;
        case InstanceStep::join:
            facts.is_member = facts.is_begun = true;
            facts.is_follower = !facts.is_founder;
            break;
        case InstanceStep::leave:
            facts.is_member = facts.is_begun = facts.is_follower = false;
            break;
        case InstanceStep::follow:
            facts.is_begun = true;
            if (!facts.is_follower) facts.is_running = facts.is_ready = true;
            break;
        case InstanceStep::start:
        case InstanceStep::restart:
            facts.is_running = facts.is_ready = facts.is_loaded = true;
            facts.is_restart_due = false;
            break;
        case InstanceStep::load:
            facts.is_loaded = true;
            break;
        case InstanceStep::promote:
            facts.is_replica = facts.wants_promotion = false;
            break;
        case InstanceStep::administrator:
            facts.has_administrator = true;
            break;
        case InstanceStep::token_administrators:
            facts.has_token_administrators = true;
            break;
        case InstanceStep::done:
            break;
    }
    return facts;
}

TEST(instance_plan, whatever_is_so_leads_to_what_is_wanted_in_few_steps_none_of_them_twice) {
    for (int number = 0; number < 1 << kFacts; ++number) {
        InstanceFacts facts = facts_of(number);
        std::set<InstanceStep> taken;
        InstanceStep step = next_step(facts);
        while (step != InstanceStep::done) {
            ASSERT_TRUE(taken.insert(step).second) << number << ": twice " << to_string(step);
            facts = after(step, facts);
            step = next_step(facts);
        }
        if (facts.is_follower) continue;
        EXPECT_FALSE(facts.wants_running && facts.wants_promotion) << number;
        if (facts.is_replica) continue;
        EXPECT_EQ(facts.is_running, facts.wants_running) << number;
        EXPECT_TRUE(facts.has_directory && facts.is_configured) << number;
        if (facts.wants_running) {
            EXPECT_TRUE(facts.is_ready && facts.is_loaded && facts.has_administrator) << number;
            EXPECT_TRUE(facts.has_token_administrators) << number;
            EXPECT_FALSE(facts.is_restart_due) << number;
            EXPECT_EQ(facts.is_member, facts.wants_member) << number;
        }
    }
}

TEST(instance_plan, a_server_that_shall_not_run_is_never_started_nor_restarted) {
    for (int number = 0; number < 1 << kFacts; ++number) {
        InstanceFacts facts = facts_of(number);
        facts.wants_running = false;
        for (InstanceStep step = next_step(facts); step != InstanceStep::done;
             step = next_step(facts)) {
            EXPECT_TRUE(step == InstanceStep::claim || step == InstanceStep::configure ||
                        step == InstanceStep::stop)
                << number << ": " << to_string(step);
            facts = after(step, facts);
        }
    }
}

TEST(instance_plan, postgresql_is_asked_about_new_files_before_it_is_restarted_with_them) {
    InstanceFacts facts = facts_of((1 << 9) - 1);
    facts.is_loaded = false;
    EXPECT_EQ(next_step(facts), InstanceStep::load);
    facts.is_loaded = true;
    EXPECT_EQ(next_step(facts), InstanceStep::restart);
}

TEST(instance_plan, nothing_is_loaded_into_a_postmaster_that_is_still_recovering) {
    InstanceFacts facts = facts_of((1 << 9) - 1);
    facts.is_ready = facts.is_loaded = false;
    EXPECT_EQ(next_step(facts), InstanceStep::start);
}

TEST(instance_plan, a_member_is_never_started_by_a_step_nor_changed_by_a_follower) {
    for (int number = 0; number < 1 << kFacts; ++number) {
        const InstanceFacts facts = facts_of(number);
        const InstanceStep step = next_step(facts);
        if (facts.is_member || facts.is_begun) {
            EXPECT_NE(step, InstanceStep::start) << number;
        }
        if (facts.is_follower || facts.is_replica) {
            EXPECT_NE(step, InstanceStep::administrator) << number;
            EXPECT_NE(step, InstanceStep::token_administrators) << number;
        }
    }
}

TEST(instance_plan, every_step_says_what_it_does) {
    for (int step = 0; step <= static_cast<int>(InstanceStep::done); ++step) {
        EXPECT_FALSE(to_string(static_cast<InstanceStep>(step)).empty());
        EXPECT_FALSE(describe(static_cast<InstanceStep>(step)).empty());
    }
}

}  // namespace
}  // namespace howdah::core
