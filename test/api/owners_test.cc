#include "api/access_support.h"
#include "base/text.h"

/// Somebody can always log in who may do everything.
namespace howdah::api {
namespace {

class Owners : public AccessTest {
  protected:
    Reply graph(const std::string& method, const std::string& path, const Body& body = nullptr) {
        return world.call(method, "/v1.0/" + path, body, "");
    }
    Reply secret_until(const std::string& end) {
        return graph("POST", "applications/" + world.boot.client_id + "/addPassword",
                     {{"passwordCredential", {{"endDateTime", end}}}});
    }
    Reply take_away(const std::string& client_id, const std::string& key_id) {
        return graph("POST", "applications/" + client_id + "/removePassword", {{"keyId", key_id}});
    }
    std::string first_key() {
        return graph("GET", "applications/" + world.boot.client_id)
            .body["passwordCredentials"][0]["keyId"];
    }
    void put_other() {
        store::Transaction txn;
        txn.put(store::keys::principal(other.client_id), principal_to_text(other));
        ASSERT_TRUE(world.store->commit(txn).ok());
    }
};

TEST_F(Owners, the_last_one_keeps_a_secret) {
    EXPECT_EQ(take_away(world.boot.client_id, first_key()).code(), "OperationNotAllowed");
    ASSERT_EQ(assign("", kOwner).status, 201);
    EXPECT_EQ(take_away(world.boot.client_id, first_key()).status, 204) << "now there is another";
}

TEST_F(Owners, a_secret_may_be_replaced) {
    const std::string old = first_key();
    ASSERT_EQ(graph("POST", "applications/" + world.boot.client_id + "/addPassword").status, 200);
    EXPECT_EQ(take_away(world.boot.client_id, old).status, 204);
    EXPECT_EQ(take_away(world.boot.client_id, first_key()).code(), "OperationNotAllowed");
}

TEST_F(Owners, one_that_cannot_log_in_is_none) {
    ASSERT_EQ(assign("", kOwner).status, 201);
    other.credentials.clear();
    put_other();
    EXPECT_EQ(take_away(world.boot.client_id, first_key()).code(), "OperationNotAllowed");
    EXPECT_EQ(graph("DELETE", "applications/" + world.boot.client_id).code(),
              "OperationNotAllowed");
    const Reply all =
        world.call("GET", "/providers/Microsoft.Authorization/roleAssignments", nullptr, kVersion);
    for (const Body& each : all.body["value"]) {
        const bool is_able = each["properties"]["principalId"] != other.object_id;
        const Reply reply = world.call("DELETE", each["id"].get<std::string>(), nullptr, kVersion);
        EXPECT_EQ(reply.status, is_able ? 409 : 200) << reply.text;
    }
}

TEST_F(Owners, a_secret_that_has_ended_counts_for_nothing) {
    ASSERT_EQ(assign("", kOwner).status, 201);
    other.credentials[0].expires_at = format_iso8601(world.clock.wall() + std::chrono::hours(1));
    put_other();
    world.clock.advance(std::chrono::hours(2));
    const Reply again = world.login(world.form(world.boot.client_secret->reveal()));
    world.token = again.body.value("access_token", "");
    EXPECT_EQ(take_away(world.boot.client_id, first_key()).code(), "OperationNotAllowed");
    EXPECT_EQ(take_away(other.client_id, "1").status, 204);
}

TEST_F(Owners, a_secret_that_is_over_may_always_go) {
    const Reply added = secret_until(format_iso8601(world.clock.wall() + std::chrono::minutes(10)));
    ASSERT_EQ(added.status, 200) << added.text;
    world.clock.advance(std::chrono::minutes(11));
    EXPECT_EQ(take_away(world.boot.client_id, added.body["keyId"]).status, 204);
    EXPECT_EQ(take_away(other.client_id, "1").status, 204) << "who owns nothing needs none";
}

/// What is in the store after --reset-administrator and a start.
TEST_F(Owners, who_is_locked_out_comes_back_with_the_local_reset) {
    ASSERT_EQ(assign("", kOwner).status, 201);
    ASSERT_EQ(as_other("DELETE", "/v1.0/applications/" + world.boot.client_id, nullptr, "").status,
              204);
    other.credentials.clear();
    put_other();
    const std::string old = world.form(world.boot.client_secret->reveal());
    EXPECT_EQ(world.login(old).status, 401);
    for (int i = 0; i < 2; ++i) {  // also when it is there and owns everything
        ASSERT_TRUE(bootstrap_delivered(*world.store).ok());
        ASSERT_TRUE(reset_administrator(*world.store, world.secrets, world.clock, world.ids).ok());
        const auto boot = bootstrap(*world.store, world.secrets, world.clock, world.ids);
        ASSERT_TRUE(boot.ok() && boot->client_secret);
        EXPECT_EQ(boot->client_id, world.boot.client_id);
        EXPECT_EQ(world.login(old).status, 401);
        const Reply reply = world.login(world.form(boot->client_secret->reveal()));
        ASSERT_EQ(reply.status, 200) << reply.text;
        world.token = reply.body["access_token"];
        EXPECT_EQ(world.call("GET", "{P}/flexibleServers/pg1").status, 200);
        const Reply all = world.call("GET", "/providers/Microsoft.Authorization/roleAssignments",
                                     nullptr, kVersion);
        EXPECT_EQ(all.body["value"].size(), 2U) << all.text;
    }
}

}  // namespace
}  // namespace howdah::api
