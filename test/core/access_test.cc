#include "core/access/access.h"

#include <gtest/gtest.h>

#include <random>

namespace howdah::core::access {
namespace {

using model::ManagementLock;
using model::RoleDefinition;

const RoleDefinition& role_named(std::string_view name) {
    for (const RoleDefinition& each : built_in_roles())
        if (each.name == name) return each;
    ADD_FAILURE() << name;
    return built_in_roles().front();
}

TEST(access, an_action_matches_a_pattern_with_stars_in_any_letter_case) {
    EXPECT_TRUE(action_matches("*", "Microsoft.Sql/servers/read"));
    EXPECT_TRUE(action_matches("*/read", "Microsoft.Sql/servers/read"));
    EXPECT_TRUE(action_matches("Microsoft.Sql/*/READ", "microsoft.sql/servers/databases/read"));
    EXPECT_TRUE(action_matches("a*b*c", "aXbXbXc"));
    EXPECT_TRUE(action_matches("a**", "a"));
    EXPECT_FALSE(action_matches("*/read", "Microsoft.Sql/servers/write"));
    EXPECT_FALSE(action_matches("Microsoft.Sql/*/read", "Microsoft.Sqlx/servers/read"));
    EXPECT_FALSE(action_matches("", "a"));
    EXPECT_TRUE(action_matches("", ""));
    EXPECT_FALSE(action_matches("a*b", "a"));
}

TEST(access, a_hostile_pattern_ends_in_time) {
    std::string pattern;
    for (int i = 0; i < 100; ++i) pattern += "a*";
    EXPECT_FALSE(action_matches(pattern + "b", std::string(20'000, 'a')));
}

TEST(access, a_scope_is_within_its_ancestors_only) {
    EXPECT_EQ(scope_key("/Subscriptions/S/"), "/subscriptions/s");
    EXPECT_EQ(scope_key("//"), "/");
    EXPECT_EQ(scope_key(""), "/");
    EXPECT_TRUE(is_within("/subscriptions/s/resourcegroups/a", "/subscriptions/s"));
    EXPECT_TRUE(is_within("/subscriptions/s", "/"));
    EXPECT_FALSE(is_within("/subscriptions/s2", "/subscriptions/s"));
    EXPECT_FALSE(is_within("/", "/subscriptions/s"));
}

TEST(access, nothing_is_allowed_that_nothing_grants) {
    const Access nobody;
    EXPECT_FALSE(nobody.allows("a/read", "/"));
    EXPECT_FALSE(nobody.touches("/"));
}

TEST(access, built_in_roles_do_what_azure_says) {
    const auto write = "Microsoft.DBforPostgreSQL/flexibleServers/write";
    const auto restart = "Microsoft.DBforPostgreSQL/flexibleServers/restart/action";
    const auto read = "Microsoft.DBforPostgreSQL/flexibleServers/read";
    const auto assign = "Microsoft.Authorization/roleAssignments/write";
    const auto lock = "Microsoft.Authorization/locks/delete";
    struct Row {
        const char* role;
        bool reads, writes, restarts, assigns, locks;
    };
    for (const Row& row : {Row{"Owner", true, true, true, true, true},
                           Row{"Contributor", true, true, true, false, false},
                           Row{"Reader", true, false, false, false, false},
                           Row{"User Access Administrator", true, false, false, true, true}}) {
        const RoleDefinition& role = role_named(row.role);
        EXPECT_EQ(role_allows(role, read), row.reads) << row.role;
        EXPECT_EQ(role_allows(role, write), row.writes) << row.role;
        EXPECT_EQ(role_allows(role, restart), row.restarts) << row.role;
        EXPECT_EQ(role_allows(role, assign), row.assigns) << row.role;
        EXPECT_EQ(role_allows(role, lock), row.locks) << row.role;
    }
}

TEST(access, a_grant_reaches_down_and_is_seen_from_above) {
    const Access reader({{"/subscriptions/s/resourcegroups/a", role_named("Reader")}});
    EXPECT_TRUE(reader.allows("x/read", "/subscriptions/S/resourceGroups/A/providers/p/t/n"));
    EXPECT_FALSE(reader.allows("x/read", "/subscriptions/S"));
    EXPECT_FALSE(reader.allows("x/read", "/subscriptions/S/resourceGroups/ab"));
    EXPECT_TRUE(reader.touches("/subscriptions/S"));
    EXPECT_FALSE(reader.touches("/subscriptions/other"));
}

TEST(access, grants_add_up_and_a_not_action_takes_from_its_own_role_only) {
    RoleDefinition custom;
    custom.actions = {"x/*"};
    custom.not_actions = {"x/delete"};
    const Access access({{"/", custom}, {"/a", role_named("Owner")}});
    EXPECT_FALSE(access.allows("x/delete", "/b"));
    EXPECT_TRUE(access.allows("x/write", "/b"));
    EXPECT_TRUE(access.allows("x/delete", "/a/c"));
}

TEST(access, locks_forbid_what_their_level_says) {
    const std::vector<ManagementLock> locks = {
        {"/subscriptions/s/resourceGroups/keep", "k", "CanNotDelete", "", {}},
        {"/subscriptions/s/resourceGroups/ice", "i", "ReadOnly", "", {}},
    };
    const auto held = [&](const char* action, const char* scope) {
        return locks_against(action, scope, locks).size();
    };
    const char* keep = "/subscriptions/S/resourceGroups/Keep/providers/p/t/n";
    const char* ice = "/subscriptions/s/resourcegroups/ice/providers/p/t/n";
    EXPECT_EQ(held("p/t/delete", keep), 1U);
    EXPECT_EQ(held("p/t/write", keep), 0U);
    EXPECT_EQ(held("p/t/restart/action", keep), 0U);
    EXPECT_EQ(held("p/t/delete", ice), 1U);
    EXPECT_EQ(held("p/t/write", ice), 1U);
    EXPECT_EQ(held("p/t/restart/action", ice), 1U);
    EXPECT_EQ(held("p/t/read", ice), 0U);
    EXPECT_EQ(held("p/t/delete", "/subscriptions/s"), 2U) << "what is below goes too";
    EXPECT_EQ(held("p/t/write", "/subscriptions/s"), 0U);
    EXPECT_EQ(held("Microsoft.Authorization/locks/delete", ice), 0U) << "else it would stay";
    EXPECT_EQ(held("p/t/delete", "/subscriptions/s/resourceGroups/iceland"), 0U);
}

/// Whatever the grants are: less of them never allows more, and nothing is allowed without one
/// that is at or above the scope.
TEST(access, random_grants_allow_only_below_themselves) {
    std::mt19937 random(7);
    const std::vector<std::string> scopes = {"/", "/a", "/a/b", "/a/b/c", "/ab", "/d"};
    const std::vector<std::string> actions = {"x/read", "x/write", "y/delete"};
    const std::vector<std::string> patterns = {"*", "*/read", "x/*", "y/delete", "z/*"};
    const auto any = [&](const std::vector<std::string>& of) { return of[random() % of.size()]; };
    for (int round = 0; round < 2000; ++round) {
        std::vector<Grant> grants;
        for (std::size_t i = random() % 4; i > 0; --i) {
            RoleDefinition role;
            role.actions = {any(patterns)};
            if (random() % 2 == 0) role.not_actions = {any(patterns)};
            grants.push_back({any(scopes), role});
        }
        const std::string action = any(actions);
        const std::string scope = any(scopes);
        const bool allowed = Access(grants).allows(action, scope);
        bool expected = false;
        for (const Grant& grant : grants) {
            const bool alone = Access({grant}).allows(action, scope);
            EXPECT_TRUE(!alone || is_within(scope, grant.scope));
            expected = expected || alone;
        }
        EXPECT_EQ(allowed, expected);
    }
}

}  // namespace
}  // namespace howdah::core::access
