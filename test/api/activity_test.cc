#include "api/access/activity_budget.h"
#include "api/access_support.h"

/// What the activity log holds whatever somebody does to keep a change out of it.
namespace howdah::api {
namespace {

using ActivityLog = AccessTest;

TEST_F(ActivityLog, who_is_refused_again_and_again_does_not_blind_it) {
    for (int i = 0; i < 1'000; ++i) (void)as_other("DELETE", "{P}/flexibleServers/pg1");
    ASSERT_EQ(world.call("POST", "{P}/flexibleServers/pg1/restart").status, 202);
    const std::string mine = "caller eq '" + world.boot.client_id + "' and ";
    EXPECT_EQ(events(mine + "status eq 'Accepted'").size(), 2U) << "and the server's creation";
    const std::size_t refused = events("caller eq '" + other.client_id + "'").size();
    EXPECT_GE(refused, 1U) << "that it was tried is seen";
    EXPECT_LE(refused, 100U) << "and not more often than it tells something";
}

TEST_F(ActivityLog, a_change_that_cannot_be_logged_waits) {
    const std::string none = "{S}/providers/Microsoft.Authorization/locks/none";
    int status = 204;
    int changes = 0;
    for (; status == 204 && changes < 6'000; ++changes)
        status = world.call("DELETE", none, nullptr, kLockVersion).status;
    EXPECT_EQ(status, 429);
    EXPECT_GT(changes, 4'000);
    const Reply refused = world.call("DELETE", none, nullptr, kLockVersion);
    EXPECT_EQ(refused.code(), "TooManyRequests") << refused.text;
    EXPECT_EQ(refused.headers.at("retry-after"), "5");
    ASSERT_EQ(world.call("GET", "{P}/flexibleServers/pg1").status, 200) << "reading goes on";
    world.clock.advance(std::chrono::seconds(5));
    EXPECT_EQ(world.call("DELETE", none, nullptr, kLockVersion).status, 204);
}

TEST(activity_budget, is_each_principals_own_and_bounded) {
    FakeClock clock;
    ActivityBudget budget(clock);
    while (budget.take_refusal("a")) {
    }
    EXPECT_TRUE(budget.take_change("a"));
    EXPECT_TRUE(budget.take_refusal("b"));
    clock.advance(std::chrono::minutes(1));
    EXPECT_TRUE(budget.take_refusal("a"));
    EXPECT_FALSE(budget.take_refusal("a"));
    for (std::size_t i = 0; i < 2 * ActivityBudget::kPrincipalsMax; ++i)
        (void)budget.take_refusal("x" + std::to_string(i));
    EXPECT_LE(budget.size(), ActivityBudget::kPrincipalsMax + 1);
    EXPECT_FALSE(budget.take_refusal("a")) << "who pushes in many names gets nothing back";
    EXPECT_FALSE(budget.take_refusal("another")) << "all others have one bucket";
    clock.advance(std::chrono::hours(2));
    EXPECT_TRUE(budget.take_refusal("another"));
    EXPECT_LE(budget.size(), 2U) << "the full ones are forgotten";
}

TEST_F(ActivityLog, an_empty_segment_hides_nothing) {
    ASSERT_EQ(world
                  .call("PATCH", "/" + world.expand("{S}") + "/resourceGroups//rg1/",
                        {{"tags", {{"hidden", "no"}}}}, kManagerVersion)
                  .status,
              200);
    EXPECT_EQ(events("resourceGroupName eq 'rg1' and status eq 'Succeeded'").size(), 2U)
        << "its creation, and its change";
    ASSERT_EQ(assign("{S}/resourceGroups/rg1", kReader).status, 201);
    const Reply seen =
        as_other("GET", "{S}/providers/microsoft.insights/eventtypes/management/values", nullptr,
                 kLogVersion);
    ASSERT_EQ(seen.status, 200) << seen.text;
    const std::string group = world.expand("{S}/resourceGroups/rg1");
    int changes = 0;
    for (const Body& each : seen.body["value"])
        if (each["resourceId"] == group && each["httpRequest"]["method"] == "PATCH") ++changes;
    EXPECT_EQ(changes, 2) << "begun and ended: " << seen.text;
}

TEST_F(ActivityLog, what_was_done_to_a_server_is_found_by_its_id) {
    ASSERT_EQ(lock("{P}/flexibleServers/pg1", "ReadOnly").status, 201);
    ASSERT_EQ(world.call("POST", "{P}/flexibleServers/pg1/restart").code(), "ScopeLocked");
    const Body log = events("resourceUri eq '" + world.expand("{P}/flexibleServers/pg1") +
                            "' and status eq 'Failed'");
    ASSERT_EQ(log.size(), 1U) << events().dump(1);
    EXPECT_EQ(log[0]["operationName"]["value"],
              "Microsoft.DBforPostgreSQL/flexibleServers/restart/action");
    EXPECT_EQ(log[0]["resourceType"]["value"], "Microsoft.DBforPostgreSQL/flexibleServers");
}

TEST_F(ActivityLog, changes_of_identities_name_what_was_changed) {
    const Reply made = world.call("POST", "/v1.0/applications", {{"displayName", "seen"}}, "");
    ASSERT_EQ(made.status, 201) << made.text;
    const std::string path = "/v1.0/applications/" + made.body["id"].get<std::string>();
    ASSERT_EQ(world.call("POST", path + "/addPassword", nullptr, "").status, 200);
    const Reply log = world.call(
        "GET", "/providers/Microsoft.Insights/eventtypes/management/values", nullptr, kLogVersion);
    EXPECT_NE(log.text.find("\"" + path + "/addPassword\""), std::string::npos) << log.text;
}

}  // namespace
}  // namespace howdah::api
