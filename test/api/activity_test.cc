#include "api/access/activity_budget.h"
#include "api/access_support.h"

/// What the activity log holds whatever somebody does to keep a change out of
/// it.
namespace howdah::api {
namespace {

using ActivityLog = AccessTest;

TEST_F(ActivityLog, who_is_refused_again_and_again_does_not_blind_it) {
    for (int i = 0; i < 1'000; ++i) (void)as_other("DELETE", "{P}/flexibleServers/pg1");
    ASSERT_EQ(world.call("POST", "{P}/flexibleServers/pg1/restart").status, 202);
    const std::string mine = "caller eq '" + world.boot.client_id + "' and ";
    EXPECT_EQ(events(mine + "status eq 'Accepted'").size(), 3U) << "two PUTs of servers before";
    const std::size_t refused = events("caller eq '" + other.client_id + "'").size();
    EXPECT_GE(refused, 1U) << "that it was tried is seen";
    EXPECT_LE(refused, 200U) << "and not more often than it tells something";
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

}  // namespace
}  // namespace howdah::api
