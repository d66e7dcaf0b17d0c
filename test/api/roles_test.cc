#include "api/access/access_store.h"
#include "api/access_support.h"
#include "base/text.h"

/// What roles of customers withstand.
namespace howdah::api {
namespace {

using Roles = AccessTest;

Body role_body(const std::vector<std::string>& scopes, const std::string& action,
               const std::string& name = "mine") {
    return {{"properties",
             {{"roleName", name},
              {"permissions", Body::array({{{"actions", {action}}}})},
              {"assignableScopes", scopes}}}};
}

TEST_F(Roles, a_role_is_changed_only_by_who_may_define_it_wherever_it_may_be_assigned) {
    const std::string group = world.expand("{S}/resourceGroups/rg1");
    const std::string role = "/providers/Microsoft.Authorization/roleDefinitions/" + uuid(20);
    const std::string harmless = "Microsoft.Authorization/*/read";
    ASSERT_EQ(world.call("PUT", "{S}" + role, role_body({world.expand("{S}")}, harmless), kVersion)
                  .status,
              201);
    ASSERT_EQ(assign("{S}", uuid(20)).status, 201);
    ASSERT_EQ(assign("{S}/resourceGroups/rg1", kOwner, 2).status, 201);
    const Reply taken = as_other("PUT", group + role, role_body({group}, "*"), kVersion);
    EXPECT_EQ(taken.code(), "AuthorizationFailed") << taken.text;
    EXPECT_EQ(as_other("DELETE", group + role, nullptr, kVersion).code(), "AuthorizationFailed");
    world.make_group("rg2");
    EXPECT_EQ(as_other("GET", "{S}/resourceGroups/rg2", nullptr, kManagerVersion).status, 403);
    EXPECT_EQ(
        as_other("PUT", group + "/providers/Microsoft.Authorization/roleDefinitions/" + uuid(21),
                 role_body({group}, "*", "other"), kVersion)
            .status,
        201)
        << "a role of its own it may define";
}

TEST_F(Roles, a_role_keeps_the_scopes_at_which_it_is_assigned) {
    world.make_group("rg2");
    const std::string one = world.expand("{S}/resourceGroups/rg1");
    const std::string two = world.expand("{S}/resourceGroups/rg2");
    const std::string role = "{S}/providers/Microsoft.Authorization/roleDefinitions/" + uuid(20);
    ASSERT_EQ(world.call("PUT", role, role_body({one, two}, "*/read"), kVersion).status, 201);
    ASSERT_EQ(assign("{P}/flexibleServers/pg1", uuid(20)).status, 201);
    const Reply refused = world.call("PUT", role, role_body({two}, "*/read"), kVersion);
    EXPECT_EQ(refused.code(), "RoleDefinitionHasAssignments") << refused.text;
    EXPECT_EQ(world.call("PUT", role, role_body({one}, "*/read"), kVersion).status, 201);
    EXPECT_EQ(world.call("PUT", role, role_body({world.expand("{S}")}, "*/read"), kVersion).status,
              201)
        << "a wider scope";
}

TEST_F(Roles, a_role_outlives_the_groups_where_it_could_be_assigned) {
    world.make_group("rg2");
    const std::string one = world.expand("{S}/resourceGroups/rg1");
    const std::string two = world.expand("{S}/resourceGroups/rg2");
    const std::string role = "{S}/providers/Microsoft.Authorization/roleDefinitions/" + uuid(20);
    ASSERT_EQ(world.call("PUT", role, role_body({one, two}, "*/read"), kVersion).status, 201);
    store::Transaction txn;
    txn.remove(store::keys::group(model::ResourceId::group(world.boot.subscription_id, "rg2")));
    ASSERT_TRUE(world.store->commit(txn).ok());
    EXPECT_EQ(world.call("PUT", role, role_body({one}, "*/write"), kVersion).status, 201);
    EXPECT_EQ(world.call("PUT", role, role_body({one, two}, "*/write"), kVersion).status, 404);
    EXPECT_EQ(world.call("DELETE", role, nullptr, kVersion).status, 200);
}

}  // namespace
}  // namespace howdah::api
