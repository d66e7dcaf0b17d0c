#include "api/access_support.h"
#include "model/json.h"

/// Roles are assigned, and locks put, where something is and stays.
namespace howdah::api {
namespace {

class Scopes : public AccessTest {
  protected:
    void mark_group() {
        const auto id = model::ResourceId::group(world.boot.subscription_id, "rg1");
        auto group = model::from_json<model::ResourceGroup>(
                         world.store->get(store::keys::group(id)).value()->value)
                         .value();
        group.deleting = true;
        store::Transaction txn;
        txn.put(store::keys::group(id), model::to_json(group));
        ASSERT_TRUE(world.store->commit(txn).ok());
    }
};

TEST_F(Scopes, a_child_has_to_be_there) {
    const std::string pg1 = "{P}/flexibleServers/pg1";
    for (const char* none : {"/databases/none", "/firewallRules/none", "/configurations/none",
                             "/backups/none", "/databases/postgres/tables/x"}) {
        const Reply assigned = assign(pg1 + none, kReader, 5);
        EXPECT_EQ(assigned.status, 404) << none << assigned.text;
        EXPECT_EQ(lock(pg1 + none, "CanNotDelete").status, 404) << none;
    }
    const Body rule = {
        {"properties", {{"startIpAddress", "192.0.2.1"}, {"endIpAddress", "192.0.2.9"}}}};
    ASSERT_EQ(world.call("PUT", pg1 + "/firewallRules/here", rule).status, 202);
    int number = 6;
    for (const char* there :
         {"/databases/postgres", "/firewallRules/here", "/configurations/work_mem"}) {
        EXPECT_EQ(assign(pg1 + there, kReader, number++).status, 201) << there;
        EXPECT_EQ(lock(pg1 + there, "CanNotDelete").status, 201) << there;
    }
}

TEST_F(Scopes, nothing_is_added_to_a_server_that_goes) {
    ASSERT_EQ(assign("{P}/flexibleServers/pg1", kReader).status, 201);
    ASSERT_EQ(world.call("DELETE", "{P}/flexibleServers/pg1").status, 202);
    EXPECT_EQ(assign("{P}/flexibleServers/pg1", kContributor, 2).status, 409);
    EXPECT_EQ(assign("{P}/flexibleServers/pg1/databases/postgres", kContributor, 2).status, 409);
    EXPECT_EQ(lock("{P}/flexibleServers/pg1", "CanNotDelete").status, 409);
    const Reply left = world.call(
        "GET", "{P}/flexibleServers/pg1/providers/Microsoft.Authorization/roleAssignments", nullptr,
        kVersion);
    EXPECT_NE(left.text.find(uuid(1)), std::string::npos) << "what there is can be seen";
}

TEST_F(Scopes, nothing_is_added_to_a_group_that_goes) {
    mark_group();
    for (const char* scope : {"{S}/resourceGroups/rg1", "{P}/flexibleServers/pg1"}) {
        EXPECT_EQ(assign(scope, kReader).code(), "ResourceGroupBeingDeleted") << scope;
        EXPECT_EQ(lock(scope, "CanNotDelete").code(), "ResourceGroupBeingDeleted") << scope;
    }
    EXPECT_EQ(assign("{S}", kReader).status, 201);
}

TEST_F(Scopes, a_firewall_rule_takes_its_rights_with_it) {
    const std::string path = "{P}/flexibleServers/pg1/firewallRules/here";
    const Body rule = {
        {"properties", {{"startIpAddress", "192.0.2.1"}, {"endIpAddress", "192.0.2.9"}}}};
    ASSERT_EQ(world.call("PUT", path, rule).status, 202);
    ASSERT_EQ(assign(path, kContributor).status, 201);
    ASSERT_EQ(world.call("DELETE", path).status, 202);
    EXPECT_EQ(as_other("PUT", path, rule).status, 403);
    EXPECT_EQ(world.store->list(store::keys::assignments_of(other.object_id)).value().size(), 0U);
}

}  // namespace
}  // namespace howdah::api
