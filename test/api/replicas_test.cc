// Read replicas: what the API accepts, what a replica has of its source, and how it is promoted.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/api_support.h"
#include "model/json.h"

namespace howdah::api {
namespace {

using testing::HasSubstr;

constexpr const char* kSource = "{P}/flexibleServers/pg1";
constexpr const char* kReader = "{P}/flexibleServers/reader";

class ReplicasTest : public testing::Test {
  protected:
    ReplicasTest() {
        world_.make_group();
        world_.make_server();
    }
    Body body(const char* source = kSource) const {
        return {{"location", "local"},
                {"properties",
                 {{"createMode", "Replica"}, {"sourceServerResourceId", world_.expand(source)}}}};
    }
    Reply create(const std::string& name) {
        return world_.call("PUT", "{P}/flexibleServers/" + name, body());
    }
    Reply patch(const char* path, const char* json) {
        return world_.call("PATCH", path, Body{{"properties", Body::parse(json)}});
    }
    /// What the agent of a replica that runs reports.
    void follow(const std::string& name) {
        world_.finish(name);
        model::ServerStatus status = world_.status(name);
        status.state = "Ready";
        status.observed_generation = 1;
        status.replica = model::ReplicaReport{.is_streaming = true, .lag_bytes = 5, .lag_s = 1};
        world_.set_status(name, status);
    }

    World world_;
};

TEST_F(ReplicasTest, has_what_its_source_has_and_is_shown_as_what_it_is) {
    const Reply reply = create("reader");
    ASSERT_EQ(reply.status, 202) << reply.text;
    const model::ServerSpec source = world_.spec();
    const model::ServerSpec made = world_.spec("reader");
    ASSERT_TRUE(made.restore.has_value());
    EXPECT_TRUE(made.restore->follows);
    EXPECT_EQ(made.restore->source_incarnation, source.incarnation);
    EXPECT_EQ(made.restore->time, "");
    EXPECT_EQ(made.sku, source.sku);
    EXPECT_EQ(made.administrator_login, source.administrator_login);
    EXPECT_EQ(world_.call("GET", kReader).body["properties"]["replica"]["replicationState"],
              "Provisioning");
    follow("reader");
    const Body shown = world_.call("GET", kReader).body["properties"];
    EXPECT_EQ(shown["replicationRole"], "AsyncReplica");
    EXPECT_EQ(shown["replica"]["role"], "AsyncReplica");
    EXPECT_EQ(shown["replica"]["capacity"], 0);
    EXPECT_EQ(shown["replica"]["replicationState"], "Active");
    EXPECT_EQ(shown["sourceServerResourceId"], made.restore->source_id);
    EXPECT_EQ(shown["howdah"]["replication"]["lagBytes"], 5);
    const Body listed = world_.call("GET", std::string(kSource) + "/replicas").body["value"];
    ASSERT_EQ(listed.size(), 1U);
    EXPECT_EQ(listed[0]["name"], "reader");
    EXPECT_EQ(world_.call("GET", kSource).body["properties"]["replicaCapacity"], 5);
    EXPECT_EQ(create("reader").status, 202) << "the same request again";
}

TEST_F(ReplicasTest, a_source_has_five_at_most_and_is_not_deleted_while_it_has_some) {
    for (int i = 0; i < 5; ++i) {
        const std::string name = "reader" + std::to_string(i);
        ASSERT_EQ(create(name).status, 202);
    }
    const Reply sixth = create("reader5");
    EXPECT_EQ(sixth.status, 409) << sixth.text;
    EXPECT_THAT(sixth.text, HasSubstr("5 read replicas already"));
    const Reply kept = world_.call("DELETE", kSource);
    EXPECT_EQ(kept.status, 409);
    EXPECT_THAT(kept.text, HasSubstr("reader0"));
    EXPECT_EQ(world_.call("DELETE", "{P}/flexibleServers/reader0").status, 202);
    EXPECT_EQ(create("reader6").status, 202);
}

TEST_F(ReplicasTest, what_a_replica_cannot_be_is_refused) {
    ASSERT_EQ(create("reader").status, 202);
    const auto refused = [&](const char* field, const Body& value) {
        Body asked = body();
        asked["properties"][field] = value;
        return world_.call("PUT", "{P}/flexibleServers/second", asked).target();
    };
    EXPECT_EQ(refused("pointInTimeUTC", "2026-11-20T01:00:00Z"), "properties.pointInTimeUTC");
    EXPECT_EQ(refused("administratorLoginPassword", "Secret123!"),
              "properties.administratorLoginPassword");
    EXPECT_EQ(refused("highAvailability", {{"mode", "SameZone"}}),
              "properties.highAvailability.mode");
    EXPECT_EQ(world_.call("PUT", "{P}/flexibleServers/second", body(kReader)).status, 409)
        << "a replica of a replica";
    follow("reader");
    EXPECT_EQ(patch(kReader, R"({"administratorLoginPassword": "Secret123!x"})").status, 400);
    EXPECT_EQ(patch(kReader, R"({"highAvailability": {"mode": "SameZone"}})").status, 400);
    EXPECT_EQ(
        patch(kReader, R"({"replica": {"role": "Primary", "promoteMode": "Switchover"}})").code(),
        "FeatureNotSupported");
    EXPECT_EQ(patch(kReader, R"({"replica": {"promoteMode": "Standalone"}})").status, 400);
    EXPECT_EQ(patch(kSource, R"({"replica": {"role": "AsyncReplica"}})").status, 400);
    EXPECT_EQ(
        patch(kSource, R"({"replica": {"role": "None", "promoteMode": "Standalone"}})").status,
        400);
    EXPECT_EQ(world_.call("PUT", std::string(kReader) + "/databases/d", Body::object()).status,
              409);
}

TEST_F(ReplicasTest, is_promoted_with_the_password_that_the_source_has_then) {
    ASSERT_EQ(create("reader").status, 202);
    follow("reader");
    const std::string before = world_.spec("reader").sealed_verifier;
    ASSERT_EQ(patch(kSource, R"({"administratorLoginPassword": "Changed1Secret!"})").status, 202);
    world_.finish();
    ASSERT_EQ(patch(kReader, R"({"replica": {"role": "AsyncReplica"}})").status, 202) << "as it is";
    EXPECT_TRUE(world_.spec("reader").restore->follows);
    const Reply reply = patch(kReader, R"({"replica": {"role": "None", "promoteMode": "standalone",
                                           "promoteOption": "forced"}})");
    ASSERT_EQ(reply.status, 202) << reply.text;
    const model::ServerSpec made = world_.spec("reader");
    EXPECT_FALSE(made.restore->follows);
    EXPECT_EQ(made.restore->promotion, "forced");
    EXPECT_NE(made.sealed_verifier, before);
    world_.finish("reader");
    EXPECT_EQ(world_.call("GET", kReader).body["properties"]["replicationRole"], "Primary");
    EXPECT_EQ(world_.call("GET", std::string(kSource) + "/replicas").body["value"].size(), 0U);
    EXPECT_EQ(
        patch(kReader, R"({"replica": {"role": "None", "promoteMode": "Standalone"}})").status, 202)
        << "asked for twice";
    EXPECT_EQ(world_.call("DELETE", kSource).status, 202);
}

TEST_F(ReplicasTest, older_clients_stop_the_replication) {
    ASSERT_EQ(create("reader").status, 202);
    follow("reader");
    ASSERT_EQ(patch(kReader, R"({"replicationRole": "None"})").status, 202);
    EXPECT_EQ(world_.spec("reader").restore->promotion, "planned") << "nothing is lost unasked";
}

}  // namespace
}  // namespace howdah::api
