#include "core/plan/members_plan.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/members_support.h"
#include "model/json.h"

namespace howdah::core {
namespace {

using model::ActionKind;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

#ifdef HOWDAH_SANITIZED
constexpr std::uint64_t kStories = 15;
#else
constexpr std::uint64_t kStories = 100;
#endif

model::Failure failure(ErrorCode code) { return {std::string(to_string(code)), "it broke", ""}; }

std::vector<std::string> actions_of(const MembersWorld& world) {
    std::vector<std::string> all;
    for (const auto& each : world.view.actions) all.push_back(each.host + " " + each.id);
    return all;
}

const model::Action* action_on(const MembersWorld& world, const std::string& host) {
    for (const auto& each : world.view.actions)
        if (each.host == host) return &each;
    return nullptr;
}

/// A server without a standby, on the host with the lowest id.
void make_single(MembersWorld& world) {
    world.create();
    ASSERT_TRUE(world.settle());
    ASSERT_EQ(world.status().host, "a");
}

/// A healthy pair on a (zone 1) and b (zone 2).
void make_pair(MembersWorld& world) {
    make_single(world);
    world.set_mode("ZoneRedundant");
    ASSERT_TRUE(world.settle());
    ASSERT_EQ(world.status().standby_host, "b");
    ASSERT_EQ(world.ha_state(), "Healthy");
}

void expect_no_complaints(const MembersWorld& world) { EXPECT_THAT(world.complaints, IsEmpty()); }

// ---------------------------------------------------------------------------------------------
// Where

TEST(members_placement, the_standby_is_at_the_distance_that_was_asked_for) {
    MembersWorld world;
    world.create("ZoneRedundant");
    model::ServerSpec& spec = *world.view.spec;
    const auto& hosts = world.view.hosts;
    EXPECT_EQ(choose_standby_host(spec, hosts, "a")->report.host, "b");
    spec.high_availability_mode = "SameZone";
    EXPECT_EQ(choose_standby_host(spec, hosts, "a")->report.host, "c");
    EXPECT_EQ(choose_standby_host(spec, hosts, "b"), nullptr) << "alone in its zone";
    spec.standby_availability_zone = "2";
    EXPECT_EQ(choose_standby_host(spec, hosts, "a"), nullptr);
    EXPECT_EQ(choose_standby_host(spec, hosts, "unknown"), nullptr);
    EXPECT_THAT(why_no_standby(spec, hosts, "unknown"), HasSubstr("not known"));
}

TEST(members_placement, a_host_that_sorts_text_in_another_way_is_no_place_and_it_is_said_why) {
    MembersWorld world;
    world.create("ZoneRedundant");
    const model::ServerSpec& spec = *world.view.spec;
    auto hosts = world.view.hosts;
    const auto sorts = [&](const std::string& id, const std::string& version) {
        for (HostView& each : hosts)
            if (each.report.host == id) each.report.engines[0].collation_version = version;
    };
    sorts("a", "glibc 2.36, ICU 72");
    EXPECT_EQ(choose_standby_host(spec, hosts, "a")->report.host, "b")
        << "not known: an older agent";
    sorts("b", "glibc 2.36, ICU 72");
    EXPECT_EQ(choose_standby_host(spec, hosts, "a")->report.host, "b");
    sorts("b", "glibc 2.31, ICU 72");
    EXPECT_EQ(choose_standby_host(spec, hosts, "a"), nullptr);
    const std::string why = why_no_standby(spec, hosts, "a");
    EXPECT_THAT(why, HasSubstr("sorts text by glibc 2.31, ICU 72"));
    EXPECT_THAT(why, HasSubstr("is in zone 1"));
}

TEST(members_placement, the_most_free_disk_wins_and_none_is_no_place) {
    MembersWorld world;
    world.create("ZoneRedundant");
    const model::ServerSpec& spec = *world.view.spec;
    auto& hosts = world.view.hosts;
    EXPECT_EQ(choose_standby_host(spec, hosts, "b")->report.host, "a");
    hosts[2].report.disk_free_gb = 200;
    EXPECT_EQ(choose_standby_host(spec, hosts, "b")->report.host, "c");
    hosts[2].is_silent = true;
    hosts[0].report.disk_free_gb = 0;
    EXPECT_EQ(choose_standby_host(spec, hosts, "b"), nullptr);
    hosts[0].report.disk_free_gb = 1;
    hosts[0].report.engines[0].major = "14";
    EXPECT_EQ(choose_standby_host(spec, hosts, "b"), nullptr);
}

TEST(members_placement, a_new_server_goes_where_it_can_have_a_standby) {
    MembersWorld world;
    world.create("SameZone");
    world.view.hosts[1].report.disk_free_gb = 1000;
    EXPECT_EQ(choose_host(*world.view.spec, world.view.hosts)->report.host, "a");
}

TEST(members_placement, a_failover_does_not_make_a_pair_unfit) {
    MembersWorld world;
    world.create("ZoneRedundant");
    model::ServerSpec& spec = *world.view.spec;
    spec.standby_availability_zone = "2";
    EXPECT_TRUE(are_members_placed(spec, world.view.hosts, "a", "b"));
    EXPECT_TRUE(are_members_placed(spec, world.view.hosts, "b", "a"));
    EXPECT_FALSE(are_members_placed(spec, world.view.hosts, "a", "c"));
    EXPECT_TRUE(are_members_placed(spec, world.view.hosts, "a", "gone")) << "nothing is known";
}

// ---------------------------------------------------------------------------------------------
// A standby comes

TEST(members_plan, switching_it_on_sends_the_same_to_both_hosts) {
    MembersWorld world;
    make_single(world);
    world.set_mode("ZoneRedundant");
    world.decide();
    EXPECT_THAT(actions_of(world),
                ElementsAre("a inc1-2-ensure_instance-a", "b inc1-2-ensure_instance-b-r1"));
    for (const auto& each : world.view.actions) {
        EXPECT_THAT(each.instance->member_hosts, ElementsAre("a", "b"));
        EXPECT_EQ(each.instance->is_founder, each.host == "a");
        EXPECT_EQ(each.generation, 2);
    }
    EXPECT_EQ(world.ha_state(), "CreatingStandby");
    EXPECT_EQ(world.condition("HighlyAvailable"), "False CreatingStandby");
}

TEST(members_plan, a_new_server_can_have_a_standby_from_the_start) {
    MembersWorld world;
    world.create("SameZone");
    world.decide();
    EXPECT_EQ(world.status().host, "a");
    EXPECT_EQ(world.status().standby_host, "c");
    EXPECT_EQ(world.view.actions.size(), 2U);
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.ended("op1").status, "Succeeded");
    EXPECT_EQ(world.ha_state(), "Healthy");
    expect_no_complaints(world);
}

TEST(members_plan, it_is_done_when_every_commit_waits_for_the_standby) {
    MembersWorld world;
    make_single(world);
    world.set_mode("ZoneRedundant");
    world.decide();
    for (const char* host : {"a", "b"}) {
        EXPECT_TRUE(world.work(host));
        world.tell(host);
    }
    world.decide();
    EXPECT_THAT(world.view.actions, IsEmpty());
    ASSERT_EQ(world.view.pending.size(), 1U) << "the copy goes on";
    EXPECT_EQ(world.view.pending[0].progress, "copying to host 'b': 12 GB of 80 GB");
    world.members_step();  // copied
    world.members_step();  // let in
    world.tell("a");
    world.decide();
    EXPECT_EQ(world.ended("op2").status, "Succeeded");
    EXPECT_EQ(world.ha_state(), "Healthy");
    EXPECT_EQ(world.condition("HighlyAvailable"), "True Healthy");
    EXPECT_EQ(world.status().state, "Ready");
}

TEST(members_plan, without_a_second_host_it_fails_and_is_taken_back) {
    MembersWorld world;
    make_single(world);
    for (auto& each : world.view.hosts) each.report.zone = "1";
    world.set_mode("ZoneRedundant");
    EXPECT_TRUE(world.decide().waits_for_host);
    EXPECT_THAT(world.view.pending[0].progress, HasSubstr("second host"));
    world.now += kStandbyPlacementDeadline + seconds(1);
    world.decide();
    EXPECT_EQ(world.ended("op2").status, "Failed");
    EXPECT_THAT(world.ended("op2").failure->message, HasSubstr("no second host"));
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.view.spec->high_availability_mode, "Disabled");
    EXPECT_EQ(world.ha_state(), "NotEnabled");
}

TEST(members_plan, a_copy_that_does_not_end_is_taken_back_and_deleted) {
    MembersWorld world;
    make_single(world);
    world.set_mode("ZoneRedundant");
    world.decide();
    for (const char* host : {"a", "b"}) {
        world.work(host);
        world.tell(host);
    }
    world.now += kOperationDeadline + seconds(1);
    world.decide();
    EXPECT_FALSE(world.view.pending.empty()) << "large copies take long";
    world.now += kBuildDeadline;
    world.decide();
    EXPECT_EQ(world.ended("op2").status, "Failed");
    EXPECT_THAT(world.ended("op2").failure->message, HasSubstr("caught up"));
    EXPECT_EQ(world.view.spec->high_availability_mode, "Disabled");
    EXPECT_TRUE(world.settle());
    EXPECT_FALSE(world.hosts.at("b").has_instance);
    EXPECT_TRUE(world.hosts.at("a").has_instance);
    expect_no_complaints(world);
}

TEST(members_plan, switching_it_off_ends_what_is_being_built) {
    MembersWorld world;
    make_single(world);
    world.set_mode("ZoneRedundant");
    world.decide();
    world.work("b");
    world.tell("b");
    world.set_mode("Disabled");
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.ended("op3").status, "Succeeded");
    EXPECT_EQ(world.status().standby_host, "");
    EXPECT_FALSE(world.hosts.at("b").has_instance);
    expect_no_complaints(world);
}

// ---------------------------------------------------------------------------------------------
// Changes of a pair

TEST(members_plan, a_silent_standby_does_not_hold_up_a_change_and_gets_it_later) {
    MembersWorld world;
    make_pair(world);
    world.kill("b");
    world.notice();
    world.change();
    world.decide();
    EXPECT_EQ(world.view.actions.size(), 2U);
    world.work("a");
    world.members_step();
    world.tell("a");
    world.decide();
    EXPECT_EQ(world.ended("op3").status, "Succeeded");
    EXPECT_EQ(world.status().state, "Ready");
    EXPECT_EQ(world.ha_state(), "ReplicatingData");
    ASSERT_NE(action_on(world, "b"), nullptr) << "for the standby alone";
    EXPECT_EQ(world.view.actions.size(), 1U);
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.hosts.at("b").spec.generation, world.view.spec->generation);
    EXPECT_EQ(world.ha_state(), "Healthy");
}

TEST(members_plan, a_passing_failure_of_a_standby_does_not_take_a_change_back) {
    MembersWorld world;
    make_pair(world);
    world.change();
    world.decide();
    world.work("a");
    world.work("b", failure(ErrorCode::unavailable));
    world.tell("a");
    world.tell("b");
    const ServerDecision decision = world.decide();
    EXPECT_EQ(world.ended("op3").status, "Succeeded");
    EXPECT_THAT(world.view.actions, IsEmpty());
    world.now += decision.ask_again.value();
    world.decide();
    ASSERT_NE(action_on(world, "b"), nullptr) << "it is asked again";
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.hosts.at("b").spec.generation, world.view.spec->generation);
}

TEST(members_plan, a_final_failure_of_either_host_takes_the_change_back) {
    for (const char* host : {"a", "b"}) {
        MembersWorld world;
        make_pair(world);
        world.change();
        world.decide();
        world.work(host, failure(ErrorCode::invalid_argument));
        world.tell(host);
        world.decide();
        EXPECT_EQ(world.ended("op3").status, "Failed") << host;
        EXPECT_TRUE(world.settle());
        EXPECT_EQ(world.view.spec->parameters.at("work_mem"), "2") << host;
        EXPECT_EQ(world.ha_state(), "Healthy");
        expect_no_complaints(world);
    }
}

TEST(members_plan, stop_and_start_are_for_both) {
    MembersWorld world;
    make_pair(world);
    world.set_running(false);
    world.decide();
    EXPECT_EQ(world.view.actions.size(), 2U);
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.status().state, "Stopped");
    for (const char* host : {"a", "b"}) EXPECT_FALSE(world.hosts.at(host).spec.running) << host;
    world.set_running(true);
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.status().state, "Ready");
    EXPECT_EQ(world.ha_state(), "Healthy");
}

TEST(members_plan, a_certificate_is_renewed_on_both_hosts) {
    MembersWorld world;
    make_pair(world);
    world.now = *world.view.certificate_end - kCertificateRenewal + seconds(1);
    EXPECT_TRUE(world.decide().issue_certificate);
    EXPECT_EQ(world.view.actions.size(), 2U);
    EXPECT_FALSE(world.decide().issue_certificate) << "once";
    world.work("a", failure(ErrorCode::io));
    world.tell("a");
    world.decide();
    EXPECT_EQ(world.status().state, "Ready");
    EXPECT_TRUE(world.settle());
    EXPECT_THAT(world.view.actions, IsEmpty());
    expect_no_complaints(world);
}

// ---------------------------------------------------------------------------------------------
// Failovers

TEST(members_plan, the_newest_term_tells_who_is_primary) {
    MembersWorld world;
    make_pair(world);
    world.kill("a");
    ASSERT_TRUE(world.take_over("b"));
    world.decide();
    EXPECT_EQ(world.status().host, "a") << "nobody said anything yet";
    world.tell("b");
    world.decide();
    EXPECT_EQ(world.status().host, "b");
    EXPECT_EQ(world.status().standby_host, "a");
    EXPECT_EQ(world.view.databases.size(), 1U);
    EXPECT_EQ(world.ha_state(), "FailingOver") << "it does not serve yet";
    world.members_step();
    world.tell("b");
    world.decide();
    EXPECT_EQ(world.ha_state(), "ReplicatingData");
    EXPECT_EQ(world.status().state, "Ready");
    // The old primary's last report is still there, with its older term.
    world.decide();
    EXPECT_EQ(world.status().host, "b");
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.status().host, "b");
    EXPECT_EQ(world.ha_state(), "Healthy");
    expect_no_complaints(world);
}

TEST(members_plan, what_a_standby_shows_of_databases_means_nothing) {
    MembersWorld world;
    make_pair(world);
    ASSERT_EQ(world.status().databases.size(), 2U);
    // It was the primary once, and has shown others; now it takes over and shows none yet.
    for (auto& each : world.view.reports)
        if (each.host == "b") each.databases = {{"other", "UTF8", "C"}};
    world.decide();
    ASSERT_TRUE(world.take_over("b"));
    world.tell("b");
    world.tell("a");
    world.decide();
    EXPECT_EQ(world.status().databases.size(), 2U);
    EXPECT_EQ(world.view.databases.size(), 1U);
    expect_no_complaints(world);
}

TEST(members_plan, a_failover_that_was_asked_for_ends_when_the_other_one_serves) {
    MembersWorld world;
    make_pair(world);
    world.fail_over("planned");
    world.decide();
    ASSERT_EQ(world.view.actions.size(), 1U);
    const model::Action action = world.view.actions[0];
    EXPECT_EQ(action.kind, ActionKind::fail_over);
    EXPECT_EQ(action.host, "a");
    EXPECT_EQ(action.failover, "planned");
    EXPECT_EQ(world.ha_state(), "FailingOver");
    EXPECT_EQ(world.condition("Ready"), "True Ready");
    world.work("a");
    world.tell("a");
    world.decide();
    EXPECT_FALSE(world.view.pending.empty()) << "its word alone is not enough";
    world.tell("b");
    world.decide();
    EXPECT_FALSE(world.view.pending.empty()) << "it does not serve yet";
    world.members_step();
    world.tell("b");
    world.decide();
    EXPECT_EQ(world.ended("op3").status, "Succeeded");
    EXPECT_EQ(world.status().host, "b");
    EXPECT_THAT(world.view.actions, IsEmpty());
    EXPECT_THAT(world.view.results, IsEmpty());
    EXPECT_EQ(world.status().observed_generation, 2);
}

TEST(members_plan, a_failover_fails_with_its_result_or_in_time) {
    MembersWorld refused;
    make_pair(refused);
    refused.fail_over("forced");
    refused.decide();
    refused.work("a", failure(ErrorCode::unavailable));
    refused.tell("a");
    refused.decide();
    EXPECT_EQ(refused.ended("op3").status, "Failed");
    EXPECT_EQ(refused.ended("op3").failure->message, "it broke");

    MembersWorld late;
    make_pair(late);
    late.fail_over();
    const ServerDecision decision = late.decide();
    EXPECT_FALSE(decision.remove_server);
    late.now += late.decide().ask_again.value();
    late.decide();
    EXPECT_EQ(late.ended("op3").failure->code, to_string(ErrorCode::timeout));
    EXPECT_THAT(late.view.actions, IsEmpty());
}

TEST(members_plan, a_failover_that_happened_is_none_that_failed) {
    MembersWorld world;
    make_pair(world);
    world.fail_over("planned");
    world.decide();
    world.work("a");
    world.members_step();
    world.tell("a");
    world.tell("b");
    // Its agent was killed before it could say so, and the next one finds another primary.
    ASSERT_EQ(world.view.results.size(), 1U);
    world.view.results[0].failure = failure(ErrorCode::invalid_state);
    world.decide();
    EXPECT_EQ(world.ended("op3").status, "Succeeded");
}

TEST(members_plan, a_failover_from_a_host_that_is_lost_meanwhile_succeeds_by_the_reports) {
    MembersWorld world;
    make_pair(world);
    world.fail_over("forced");
    world.decide();
    world.kill("a");
    world.members_step();  // takes over
    world.members_step();  // serves
    world.tell("b");
    world.decide();
    EXPECT_FALSE(world.view.pending.empty());
    world.notice();
    world.decide();
    EXPECT_EQ(world.ended("op3").status, "Succeeded");
}

TEST(members_plan, a_failover_is_refused_without_a_healthy_pair) {
    MembersWorld world;
    make_single(world);
    EXPECT_THAT(failover_refusal(*world.view.spec, world.status())->message,
                HasSubstr("not highly available"));
    world.fail_over();
    world.decide();
    EXPECT_EQ(world.ended("op2").status, "Failed");
    MembersWorld pair;
    make_pair(pair);
    EXPECT_FALSE(failover_refusal(*pair.view.spec, pair.status()).has_value());
    pair.kill("b");
    pair.members_step();
    pair.tell("a");
    pair.decide();
    EXPECT_THAT(failover_refusal(*pair.view.spec, pair.status())->message,
                HasSubstr("ReplicatingData"));
    pair.view.spec->running = false;
    EXPECT_THAT(failover_refusal(*pair.view.spec, pair.status())->message, HasSubstr("stopped"));
}

TEST(members_plan, a_change_that_nobody_made_as_primary_is_sent_again) {
    MembersWorld world;
    make_pair(world);
    world.change();
    world.decide();
    world.work("b");  // as the standby
    ASSERT_TRUE(world.take_over("b"));
    world.work("a");  // as the standby, too
    for (const char* host : {"a", "b"}) world.tell(host);
    world.now += world.decide().ask_again.value();
    EXPECT_EQ(world.status().host, "b");
    EXPECT_EQ(world.status().observed_generation, 2);
    world.decide();
    ASSERT_THAT(actions_of(world), ElementsAre("b inc1-3-ensure_instance-b-r2"));
    world.work("b");
    world.members_step();
    world.tell("b");
    world.decide();
    EXPECT_EQ(world.ended("op3").status, "Succeeded");
    expect_no_complaints(world);
}

TEST(members_plan, database_work_goes_to_who_is_primary_now) {
    MembersWorld world;
    make_pair(world);
    model::Operation operation;
    operation.id = "db1";
    operation.kind = "CreateDatabase";
    operation.action_id = "fresh";
    operation.incarnation = "inc1";
    operation.resource_id = world.view.server_key + "/databases/new";
    operation.start_time = format_iso8601(world.now);
    operation.database = {operation.resource_id, "new", "UTF8", "C", "db1"};
    world.view.pending.push_back(operation);
    world.decide();
    EXPECT_THAT(actions_of(world), ElementsAre("a inc1-0-create_database-db1"));
    world.kill("a");
    world.members_step();
    world.members_step();
    world.tell("b");
    world.decide();
    EXPECT_THAT(actions_of(world), ElementsAre("b inc1-0-create_database-db1"));
}

// ---------------------------------------------------------------------------------------------
// A standby goes

TEST(members_plan, the_standby_is_deleted_only_after_the_primary_goes_on_alone) {
    MembersWorld world;
    make_pair(world);
    world.set_mode("Disabled");
    world.decide();
    ASSERT_THAT(actions_of(world), ElementsAre("a inc1-3-ensure_instance-alone-a"));
    EXPECT_THAT(world.view.actions[0].instance->member_hosts, IsEmpty());
    EXPECT_FALSE(world.view.actions[0].instance->is_founder);
    EXPECT_EQ(world.ha_state(), "RemovingStandby");
    world.work("a");
    world.tell("a");
    world.decide();
    ASSERT_THAT(actions_of(world), ElementsAre("b inc1-3-delete_instance-b"));
    EXPECT_EQ(world.ha_state(), "RemovingStandby");
    EXPECT_FALSE(world.view.pending.empty());
    world.work("b");
    world.tell("b");
    world.decide();
    EXPECT_EQ(world.ended("op3").status, "Succeeded");
    EXPECT_EQ(world.ha_state(), "NotEnabled");
    EXPECT_THAT(world.status().members.leaving, IsEmpty());
    world.change();
    world.decide();
    EXPECT_THAT(actions_of(world), ElementsAre("a inc1-4-ensure_instance")) << "as ever";
    EXPECT_TRUE(world.settle());
    expect_no_complaints(world);
}

TEST(members_plan, the_word_of_an_earlier_generation_releases_nobody) {
    MembersWorld world;
    make_pair(world);
    world.change();
    world.decide();
    world.work("a");  // as the primary of a pair
    world.set_mode("Disabled");
    world.tell("a");
    world.decide();
    EXPECT_EQ(world.status().standby_host, "b");
    ASSERT_THAT(actions_of(world), ElementsAre("a inc1-4-ensure_instance-alone-a"));
    EXPECT_TRUE(world.settle());
    expect_no_complaints(world);
}

TEST(members_plan, a_silent_former_standby_is_deleted_when_it_is_back) {
    MembersWorld world;
    make_pair(world);
    world.kill("b");
    world.notice();
    world.set_mode("Disabled");
    world.decide();
    world.work("a");
    world.tell("a");
    world.decide();
    EXPECT_EQ(world.ended("op3").status, "Succeeded");
    EXPECT_EQ(world.ha_state(), "NotEnabled");
    ASSERT_NE(action_on(world, "b"), nullptr);
    // Another change does not make it forgotten, nor may it be the standby again before.
    world.set_mode("ZoneRedundant");
    EXPECT_TRUE(world.decide().waits_for_host);
    world.revive("b");
    world.notice();
    world.decide();
    world.work("b");
    EXPECT_FALSE(world.hosts.at("b").has_instance);
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.status().standby_host, "b");
    EXPECT_EQ(world.ha_state(), "Healthy");
    expect_no_complaints(world);
}

TEST(members_plan, a_failover_during_the_removal_changes_who_goes) {
    MembersWorld world;
    make_pair(world);
    world.set_mode("Disabled");
    world.decide();
    ASSERT_TRUE(world.take_over("b"));
    world.work("a");  // not as primary
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.status().host, "b");
    EXPECT_FALSE(world.hosts.at("a").has_instance);
    EXPECT_TRUE(world.hosts.at("b").has_instance);
    expect_no_complaints(world);
}

TEST(members_plan, a_standby_in_the_right_place_stays_and_another_is_moved) {
    MembersWorld world;
    make_pair(world);
    world.view.spec->standby_availability_zone = "2";
    world.change();
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.status().standby_host, "b");
    EXPECT_TRUE(world.status().members.is_built);
    world.view.spec->standby_availability_zone.clear();
    world.set_mode("SameZone");
    world.decide();
    EXPECT_EQ(world.ha_state(), "Healthy") << "until the primary goes on alone";
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.ended("op4").status, "Succeeded");
    EXPECT_EQ(world.status().standby_host, "c");
    EXPECT_EQ(world.ha_state(), "Healthy");
    EXPECT_FALSE(world.hosts.at("b").has_instance);
    expect_no_complaints(world);
}

TEST(members_plan, a_standby_that_has_nowhere_else_to_go_stays) {
    MembersWorld world;
    make_pair(world);
    world.kill("c");
    world.notice();
    world.set_mode("SameZone");
    world.decide();
    EXPECT_THAT(world.view.actions, IsEmpty());
    world.now += kStandbyPlacementDeadline + seconds(1);
    world.decide();
    EXPECT_EQ(world.ended("op3").status, "Failed");
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.view.spec->high_availability_mode, "ZoneRedundant");
    EXPECT_EQ(world.status().standby_host, "b");
    EXPECT_EQ(world.ha_state(), "Healthy");
}

TEST(members_plan, a_deletion_is_for_every_host) {
    MembersWorld world;
    make_pair(world);
    world.remove();
    world.decide();
    EXPECT_THAT(actions_of(world),
                UnorderedElementsAre("a inc1-3-delete_instance-a", "b inc1-3-delete_instance-b"));
    world.kill("b");
    world.work("a");
    world.tell("a");
    world.decide();
    EXPECT_FALSE(world.is_deleted);
    world.now += kOperationDeadline + seconds(1);
    world.decide();
    EXPECT_EQ(world.ended("op3").status, "Failed") << "as with the only host of a server";
    ASSERT_NE(action_on(world, "b"), nullptr) << "it stays wanted";
    EXPECT_TRUE(world.settle());
    EXPECT_TRUE(world.is_deleted);
    for (const auto& [id, host] : world.hosts) EXPECT_FALSE(host.has_instance) << id;
}

// ---------------------------------------------------------------------------------------------
// Stories

std::string check_end(const MembersWorld& world) {
    const model::ServerSpec& spec = *world.view.spec;
    const model::ServerStatus& status = world.status();
    if (status.observed_generation != spec.generation) return "the last change is not in force";
    if (!world.view.pending.empty()) return "an operation has not ended";
    if (!world.view.actions.empty()) return "left over: " + world.view.actions[0].id;
    if (!world.view.results.empty()) return "left over: a result";
    if (status.host != world.primary) return "the primary is " + world.primary;
    if (!status.members.leaving.empty()) return "somebody is still leaving";
    if (world.view.databases.size() != 1) return "a database's record is gone";
    if (wants_standby(spec) == status.standby_host.empty()) return "the standby is not as wanted";
    if (wants_standby(spec) && status.high_availability_state != "Healthy" && spec.running)
        return "high availability is " + status.high_availability_state;
    for (const auto& [id, host] : world.hosts) {
        const bool is_ours = id == status.host || id == status.standby_host;
        if (host.has_instance != is_ours) return "instance on " + id;
        if (is_ours && host.spec.generation != spec.generation) return "old generation on " + id;
    }
    return "";
}

TEST(members_plan, any_story_ends_as_it_was_wanted_last) {
    const char* fixed = getenv("HOWDAH_MEMBERS_SEED");
    const std::uint64_t first = fixed != nullptr ? strtoull(fixed, nullptr, 10) : 1;
    const char* rounds = getenv("HOWDAH_MEMBERS_ROUNDS");
    const std::uint64_t count =
        rounds != nullptr ? strtoull(rounds, nullptr, 10) : (fixed != nullptr ? 1 : kStories);
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        SCOPED_TRACE(fmt::format("HOWDAH_MEMBERS_SEED={}", seed));
        MembersWorld world(seed);
        world.create(world.chance(3) == 0 ? "ZoneRedundant" : "Disabled");
        ASSERT_TRUE(world.settle());
        for (int i = 0; i < 400; ++i) world.one_random_step();
        ASSERT_TRUE(world.settle() || world.is_deleted) << world.describe();
        if (!world.is_deleted && !world.view.spec->deleting) {
            // What the agent refused for good is repaired by the next change.
            world.change();
            ASSERT_TRUE(world.settle());
            ASSERT_EQ(check_end(world), "") << model::to_json(world.status());
        }
        ASSERT_THAT(world.complaints, IsEmpty());
    }
}

}  // namespace
}  // namespace howdah::core
