#include "api/access_support.h"

/// Following an operation shows no more than reading what it is about.
namespace howdah::api {
namespace {

using Following = AccessTest;

TEST_F(Following, who_may_only_write_sees_how_it_ended_and_not_the_resource) {
    const Body role = {
        {"properties",
         {{"roleName", "Writer"},
          {"permissions", Body::array({{{"actions",
                                         {"Microsoft.DBforPostgreSQL/flexibleServers/write",
                                          "Microsoft.DBforPostgreSQL/flexibleServers/*/write"}}}})},
          {"assignableScopes", {world.expand("{S}")}}}}};
    ASSERT_EQ(world
                  .call("PUT", "{S}/providers/Microsoft.Authorization/roleDefinitions/" + uuid(20),
                        role, kVersion)
                  .status,
              201);
    ASSERT_EQ(assign("{P}/flexibleServers/pg1", uuid(20)).status, 201);
    const Body rule = {
        {"properties", {{"startIpAddress", "192.0.2.1"}, {"endIpAddress", "192.0.2.9"}}}};
    for (const Reply& begun :
         {as_other("PATCH", "{P}/flexibleServers/pg1", {{"tags", {{"a", "b"}}}}),
          as_other("PUT", "{P}/flexibleServers/pg1/firewallRules/r", rule)}) {
        ASSERT_EQ(begun.status, 202) << begun.text;
        world.finish("pg1");
        const std::string id = World::operation_of(begun);
        const Reply status = as_other("GET", "{L}/azureAsyncOperation/" + id);
        EXPECT_EQ(status.body["status"], "Succeeded") << status.text;
        const Reply result = as_other("GET", "{L}/operationResults/" + id);
        EXPECT_EQ(result.status, 204) << result.text;
        EXPECT_TRUE(result.text.empty()) << result.text;
        EXPECT_EQ(world.call("GET", "{L}/operationResults/" + id).status, 200);
    }
}

}  // namespace
}  // namespace howdah::api
