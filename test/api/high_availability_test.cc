#include <fmt/core.h>
#include <gtest/gtest.h>

#include "api/api_support.h"
#include "model/json.h"
#include "store/keys.h"

/// Servers with a standby: what may be asked for, what is shown, and failovers.
namespace howdah::api {
namespace {

constexpr const char* kServer = "{P}/flexibleServers/pg1";
constexpr const char* kRestart = "{P}/flexibleServers/pg1/restart";
constexpr const char* kPlanned = R"({"restartWithFailover":true,"failoverMode":"PlannedFailover"})";

/// Machines host-1 (zone 1), host-2 (zone 2), host-3 (zone 1), as far as they are asked for.
class HighAvailability : public testing::Test {
  protected:
    HighAvailability() { world.make_group(); }

    void put_host(const std::string& id, const std::string& zone) {
        model::HostReport report = World::host();
        report.host = id;
        report.zone = zone;
        world.put_host(report);
    }
    static Body with_mode(const std::string& mode, const std::string& standby_zone = "") {
        Body body = Body::object();
        body["properties"]["highAvailability"]["mode"] = mode;
        if (!standby_zone.empty())
            body["properties"]["highAvailability"]["standbyAvailabilityZone"] = standby_zone;
        return body;
    }
    Reply patch(const std::string& mode, const std::string& standby_zone = "") {
        return world.call("PATCH", kServer, with_mode(mode, standby_zone));
    }
    /// A healthy pair on host-1 and host-2.
    void make_pair() {
        put_host("host-2", "2");
        world.make_server();
        ASSERT_EQ(patch("ZoneRedundant").status, 202);
        world.finish();
        model::ServerStatus status = world.status();
        status.standby_host = "host-2";
        status.high_availability_state = "Healthy";
        world.set_status("pg1", status);
    }
    Body shown() { return world.call("GET", kServer).body["properties"]; }
    Reply fail_over(const std::string& body = kPlanned) {
        return world.call_text("POST", kRestart, body);
    }

    World world;
};

TEST_F(HighAvailability, needs_a_second_machine_at_the_right_distance) {
    world.make_server();
    for (const char* mode : {"SameZone", "ZoneRedundant"}) {
        const Reply reply = patch(mode);
        EXPECT_EQ(reply.status, 400) << reply.text;
        EXPECT_EQ(reply.code(), "InvalidParameterValue");
        EXPECT_EQ(reply.target(), "properties.highAvailability.mode");
    }
    put_host("host-2", "2");
    EXPECT_EQ(patch("SameZone").status, 400);
    EXPECT_EQ(patch("ZoneRedundant", "3").target(),
              "properties.highAvailability.standbyAvailabilityZone");
    EXPECT_EQ(patch("ZoneRedundant", "1").status, 400) << "the primary's own zone";
    EXPECT_EQ(world.spec().high_availability_mode, "Disabled");
    ASSERT_EQ(patch("zoneredundant", "2").status, 202);
    EXPECT_EQ(world.spec().high_availability_mode, "ZoneRedundant");
    EXPECT_EQ(world.spec().standby_availability_zone, "2");
    ASSERT_EQ(patch("Disabled").status, 202) << "also while it is being built";
    EXPECT_EQ(world.spec().standby_availability_zone, "");
}

TEST_F(HighAvailability, a_silent_machine_or_one_without_room_is_none) {
    world.make_server();
    put_host("host-2", "2");
    world.store->commit(store::Transaction().put(store::keys::silent("host-2"), "since")).value();
    EXPECT_EQ(patch("ZoneRedundant").status, 400);
    model::HostReport full = World::host();
    full.host = "host-3";
    full.disk_free_gb = 0;
    world.put_host(full);
    EXPECT_EQ(patch("SameZone").status, 400);
    put_host("host-3", "1");
    EXPECT_EQ(patch("SameZone").status, 202);
}

TEST_F(HighAvailability, is_refused_for_burstable_and_stopped_servers) {
    put_host("host-2", "2");
    world.make_server();
    Body burstable = with_mode("ZoneRedundant");
    burstable["sku"]["name"] = "Standard_B1ms";
    const Reply refused = world.call("PATCH", kServer, burstable);
    EXPECT_EQ(refused.code(), "InvalidParameterValue");
    EXPECT_NE(refused.message().find("'Burstable'"), std::string::npos);
    ASSERT_EQ(world.call("POST", std::string(kServer) + "/stop").status, 202);
    world.finish();
    EXPECT_EQ(patch("ZoneRedundant").code(), "OperationNotAllowed");
}

TEST_F(HighAvailability, a_highly_available_server_does_not_become_burstable) {
    make_pair();
    const Body smaller = Body::parse(R"({"sku":{"name":"Standard_B1ms","tier":"Burstable"}})");
    EXPECT_EQ(world.call("PATCH", kServer, smaller).target(), "properties.highAvailability.mode");
    Body both = with_mode("Disabled");
    both["sku"] = smaller["sku"];
    EXPECT_EQ(world.call("PATCH", kServer, both).status, 202);
}

TEST_F(HighAvailability, can_be_asked_for_with_the_creation) {
    put_host("host-2", "2");
    Body body = World::server_body();
    body["sku"] = {{"name", "Standard_D2ds_v5"}, {"tier", "GeneralPurpose"}};
    body["properties"]["highAvailability"] = {{"mode", "ZoneRedundant"}};
    const Reply reply = world.call("PUT", kServer, body);
    ASSERT_EQ(reply.status, 202) << reply.text;
    EXPECT_EQ(shown()["highAvailability"],
              Body::parse(R"({"mode":"ZoneRedundant","state":"CreatingStandby"})"));
}

TEST_F(HighAvailability, shows_the_zones_as_they_are_also_after_a_failover) {
    make_pair();
    EXPECT_EQ(shown()["availabilityZone"], "1");
    EXPECT_EQ(
        shown()["highAvailability"],
        Body::parse(R"({"mode":"ZoneRedundant","state":"Healthy","standbyAvailabilityZone":"2"})"));
    model::ServerStatus status = world.status();
    std::swap(status.host, status.standby_host);
    world.set_status("pg1", status);
    const Body after = shown();
    EXPECT_EQ(after["availabilityZone"], "2");
    EXPECT_EQ(after["highAvailability"]["standbyAvailabilityZone"], "1");
    Body same = Body::object();
    same["properties"] = {{"availabilityZone", "2"},
                          {"highAvailability", after["highAvailability"]}};
    EXPECT_EQ(world.call("PATCH", kServer, same).status, 202) << "what was read can be sent back";
    EXPECT_EQ(world.spec().standby_availability_zone, "");
}

TEST_F(HighAvailability, a_failover_is_an_operation_of_its_own) {
    make_pair();
    const model::Generation generation = world.spec().generation;
    const std::pair<const char*, const char*> modes[] = {{"PlannedFailover", "planned"},
                                                         {"forcedfailover", "forced"},
                                                         {"PlannedSwitchover", "planned"},
                                                         {"ForcedSwitchover", "forced"}};
    for (const auto& [mode, word] : modes) {
        const Reply reply =
            fail_over(fmt::format(R"({{"restartWithFailover":true,"failoverMode":"{}"}})", mode));
        ASSERT_EQ(reply.status, 202) << reply.text;
        const auto operation = world.operations.find(World::operation_of(reply)).value();
        EXPECT_EQ(operation.kind, "FailoverServer");
        EXPECT_EQ(operation.failover, word);
        EXPECT_EQ(operation.generation, 0);
        const Reply second = fail_over();
        EXPECT_EQ(second.status, 409);
        EXPECT_EQ(second.code(), "OperationNotAllowed");
        EXPECT_NE(second.message().find("busy"), std::string::npos) << second.text;
        world.finish();
    }
    EXPECT_EQ(world.spec().generation, generation);
}

TEST_F(HighAvailability, a_failover_needs_a_healthy_pair_and_nothing_else_to_do) {
    put_host("host-2", "2");
    world.make_server();
    const Reply single = fail_over();
    EXPECT_EQ(single.code(), "OperationNotAllowed");
    EXPECT_NE(single.message().find("not highly available"), std::string::npos);
    make_pair();
    model::ServerStatus status = world.status();
    status.high_availability_state = "ReplicatingData";
    world.set_status("pg1", status);
    EXPECT_NE(fail_over().message().find("'ReplicatingData'"), std::string::npos);
    status.high_availability_state = "Healthy";
    world.set_status("pg1", status);
    ASSERT_EQ(world.call("PATCH", kServer, Body::parse(R"({"tags":{"a":"b"}})")).status, 202);
    EXPECT_NE(fail_over().message().find("busy"), std::string::npos);
    world.finish();
    ASSERT_EQ(world.call("POST", std::string(kServer) + "/stop").status, 202);
    world.finish();
    EXPECT_NE(fail_over().message().find("stopped"), std::string::npos);
}

TEST_F(HighAvailability, capabilities_tell_what_the_machines_allow) {
    const auto modes = [&](const char* tier) {
        const Body all = world.call("GET", "{L}/capabilities").body["value"][0];
        for (const Body& edition : all["supportedServerEditions"])
            if (edition["name"] == tier)
                return edition["supportedServerSkus"][0]["supportedHaMode"];
        return Body();
    };
    EXPECT_EQ(modes("GeneralPurpose"), Body::array());
    put_host("host-3", "1");
    EXPECT_EQ(modes("GeneralPurpose"), Body::array({"SameZone"}));
    put_host("host-2", "2");
    EXPECT_EQ(modes("GeneralPurpose"), Body::array({"SameZone", "ZoneRedundant"}));
    EXPECT_EQ(modes("Burstable"), Body::array());
    const Body newest = world.call("GET", "{L}/capabilities").body["value"][0];
    EXPECT_EQ(newest["zoneRedundantHaSupported"], "Enabled");
    const Body old = world.call("GET", "{L}/capabilities", nullptr, kOldVersion).body["value"];
    EXPECT_EQ(old[0]["supportedHAMode"], Body::array({"SameZone", "ZoneRedundant"}));
    EXPECT_EQ(old[1]["zone"], "2");
    EXPECT_EQ(old[1]["supportedHAMode"], Body::array({"ZoneRedundant"}));
    EXPECT_EQ(old[1]["zoneRedundantHaSupported"], true);
}

}  // namespace
}  // namespace howdah::api
