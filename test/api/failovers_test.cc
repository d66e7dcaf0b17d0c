#include <gtest/gtest.h>

#include "api/api_support.h"
#include "control/reconcile/records.h"
#include "core/ha/failover_tracker.h"
#include "model/json.h"
#include "store/keys.h"

/// What is told of failovers, drills, and their schedule.
namespace howdah::api {
namespace {

namespace keys = store::keys;
using namespace std::chrono_literals;

constexpr const char* kServer = "{P}/flexibleServers/pg1";
constexpr const char* kFailovers = "{P}/flexibleServers/pg1/howdahFailovers";
constexpr const char* kDrill = "{P}/flexibleServers/pg1/howdahDrillFailover";
constexpr const char* kDrills = "{P}/flexibleServers/pg1/howdahDrills";
constexpr const char* kSchedule = "{P}/flexibleServers/pg1/howdahDrillSchedules/default";

class Failovers : public testing::Test {
  protected:
    Failovers() { world.make_group(); }

    /// A healthy pair on host-1 and host-2.
    void make_pair() {
        model::HostReport report = World::host();
        report.host = "host-2";
        report.zone = "2";
        world.put_host(report);
        world.make_server();
        Body body = Body::object();
        body["properties"]["highAvailability"]["mode"] = "ZoneRedundant";
        ASSERT_EQ(world.call("PATCH", kServer, body).status, 202);
        world.finish();
        model::ServerStatus status = world.status();
        status.standby_host = "host-2";
        status.high_availability_state = "Healthy";
        status.members.term = 3;
        world.set_status("pg1", status);
    }
    void set_window() {
        const Body body = Body::parse(
            R"({"properties":{"maintenanceWindow":
                {"customWindow":"Enabled","dayOfWeek":4,"startHour":2,"startMinute":0}}})");
        ASSERT_EQ(world.call("PATCH", kServer, body).status, 202);
        world.finish();
    }
    template <typename Record>
    void put(const std::string& key, const Record& record) {
        world.store->commit(store::Transaction().put(key, model::to_json(record))).value();
    }
    std::string key() { return world.server_id().key(); }

    World world;
};

TEST_F(Failovers, are_told_step_by_step_newest_first) {
    make_pair();
    using namespace core::ha;
    const std::string incarnation = world.spec().incarnation;
    model::FailoverRecord record{.term = 4, .incarnation = incarnation, .drill = "d1"};
    model::FailoverPart a{.term = 4,
                          .host = "host-1",
                          .old_primary = "host-1",
                          .new_primary = "host-2",
                          .is_over = true,
                          .discarded_bytes = 0};
    a.steps = {{.at_ms = 1767225600000, .kind = std::string(step::kPlannedAsked), .text = "asked"},
               {.at_ms = 1767225600010,
                .kind = std::string(step::kStopAsked),
                .rule = "L17",
                .text = "a switchover is asked for"}};
    model::FailoverPart b{.term = 4,
                          .host = "host-2",
                          .old_primary = "host-1",
                          .new_primary = "host-2",
                          .is_over = true,
                          .was_in_sync_set = true,
                          .received = "0/20",
                          .switched_at = "0/20"};
    b.steps = {{.at_ms = 1767225600100,
                .kind = std::string(step::kOldPrimaryStopped),
                .rule = "L8",
                .text = "stopped",
                .position = "0/20"},
               {.at_ms = 1767225600210, .kind = std::string(step::kOpened), .text = "open"}};
    record.parts = {b, a};
    put(keys::failover(key(), 4), record);
    put(keys::failover(key(), 12),
        model::FailoverRecord{.term = 12, .incarnation = incarnation, .parts = {{.term = 12}}});
    put(keys::failover(key(), 3),
        model::FailoverRecord{.term = 3, .incarnation = "another", .parts = {{.term = 3}}});
    const Reply list = world.call("GET", kFailovers);
    ASSERT_EQ(list.status, 200) << list.text;
    ASSERT_EQ(list.body["value"].size(), 2U);
    EXPECT_EQ(list.body["value"][0]["name"], "12");
    EXPECT_FALSE(list.body["value"][0]["properties"].contains("writesOut")) << "not known";
    EXPECT_FALSE(list.body["value"][0]["properties"].contains("acknowledgedCommitsLost"));
    const Reply one = world.call("GET", std::string(kFailovers) + "/4");
    ASSERT_EQ(one.status, 200) << one.text;
    EXPECT_EQ(one.body, list.body["value"][1]);
    const Body& shown = one.body["properties"];
    EXPECT_EQ(shown["kind"], "Planned");
    EXPECT_EQ(shown["drill"], "d1");
    EXPECT_EQ(shown["oldPrimary"], "host-1");
    EXPECT_EQ(shown["oldPrimaryStopped"]["rule"], "L8");
    EXPECT_EQ(shown["writesOut"]["milliseconds"], 200);
    EXPECT_EQ(shown["writesOut"]["fromStep"], "StopAsked");
    EXPECT_EQ(shown["acknowledgedCommitsLost"], 0);
    EXPECT_EQ(shown["discardedWalBytes"], 0);
    EXPECT_EQ(shown["complete"], true);
    EXPECT_EQ(shown["steps"].size(), 4U);
    EXPECT_EQ(shown["steps"][0]["time"], "2026-01-01T00:00:00.000Z");
    EXPECT_FALSE(one.headers.at("etag").empty());
    EXPECT_EQ(world.call("HEAD", std::string(kFailovers) + "/4").status, 204);
    for (const char* name : {"3", "5", "04", "0", "-4", "x"})
        EXPECT_EQ(world.call("GET", std::string(kFailovers) + "/" + name).status, 404) << name;
}

TEST_F(Failovers, a_drill_is_a_failover_with_a_report) {
    make_pair();
    const Reply begun = world.call_text("POST", kDrill, R"({"kind":"forced"})");
    ASSERT_EQ(begun.status, 202) << begun.text;
    const auto operation = world.operations.find(World::operation_of(begun)).value();
    EXPECT_EQ(operation.kind, "FailoverServer");
    EXPECT_EQ(operation.failover, "forced");
    const std::string name = begun.body["name"];
    const Reply report = world.call("GET", std::string(kDrills) + "/" + name);
    ASSERT_EQ(report.status, 200) << report.text;
    EXPECT_EQ(report.body["properties"]["status"], "InProgress");
    EXPECT_EQ(report.body["properties"]["kind"], "Forced");
    EXPECT_EQ(report.body["properties"]["trigger"], "Request");
    EXPECT_EQ(report.body["properties"]["operationId"], operation.id);
    EXPECT_EQ(world.call("GET", kDrills).body["value"].size(), 1U);
    const Reply busy = world.call("POST", kDrill);
    EXPECT_EQ(busy.code(), "OperationNotAllowed") << "one at a time";
    auto drill = control::read_record<model::Drill>(*world.store, keys::drill(key(), name))
                     .value()
                     .record.value();
    EXPECT_EQ(drill.term_before, 3);
    drill.status = "Skipped";
    drill.failure_code = "OperationNotAllowed";
    drill.failure_message = "the server is ill";
    drill.window = "2026-01-01T02:00:00.000Z";
    put(keys::drill(key(), name), drill);
    const Body shown = world.call("GET", std::string(kDrills) + "/" + name).body["properties"];
    EXPECT_EQ(shown["trigger"], "Schedule");
    EXPECT_EQ(shown["error"]["code"], "OperationNotAllowed");
    EXPECT_EQ(world.call("GET", std::string(kDrills) + "/none").status, 404);
}

TEST_F(Failovers, a_drill_of_a_server_that_cannot_fail_over_is_refused) {
    world.make_server();
    const Reply single = world.call("POST", kDrill);
    EXPECT_EQ(single.code(), "OperationNotAllowed");
    EXPECT_NE(single.message().find("not highly available"), std::string::npos);
    EXPECT_TRUE(world.call("GET", kDrills).body["value"].empty()) << "and leaves nothing";
    make_pair();
    EXPECT_EQ(world.call_text("POST", kDrill, R"({"kind":"gentle"})").status, 400);
    EXPECT_EQ(world.call_text("POST", kDrill, R"({"when":"now"})").status, 400);
    model::ServerStatus status = world.status();
    status.high_availability_state = "ReplicatingData";
    world.set_status("pg1", status);
    EXPECT_NE(world.call("POST", kDrill).message().find("'ReplicatingData'"), std::string::npos);
}

TEST_F(Failovers, a_schedule_needs_a_maintenance_window_and_a_standby) {
    const std::string weekly = R"({"properties":{"recurrence":"weekly"}})";
    world.make_server();
    EXPECT_NE(world.call_text("PUT", kSchedule, weekly).message().find("not highly available"),
              std::string::npos);
    make_pair();
    const Reply without = world.call_text("PUT", kSchedule, weekly);
    EXPECT_EQ(without.code(), "OperationNotAllowed");
    EXPECT_NE(without.message().find("maintenance window"), std::string::npos);
    set_window();
    EXPECT_EQ(world.call_text("PUT", kSchedule, "{}").target(), "properties.recurrence");
    EXPECT_EQ(world.call("GET", kSchedule).status, 404);
    const Reply made = world.call_text("PUT", kSchedule, weekly);
    ASSERT_EQ(made.status, 201) << made.text;
    EXPECT_EQ(made.body["properties"]["recurrence"], "Weekly");
    EXPECT_EQ(made.body["properties"]["kind"], "Planned");
    EXPECT_EQ(made.body["properties"]["nextTime"], "2026-01-01T02:00:00.000Z");
    const Reply shown = world.call("GET", kSchedule);
    EXPECT_EQ(shown.body, made.body);
    EXPECT_EQ(world.call("PUT", kSchedule, shown.body).status, 200) << "what was read";
    EXPECT_EQ(world
                  .call_text("PUT", kSchedule,
                             R"({"properties":{"recurrence":"Monthly","kind":"Forced"}})")
                  .body["properties"]["kind"],
              "Forced");
    EXPECT_EQ(
        world.call("GET", "{P}/flexibleServers/pg1/howdahDrillSchedules").body["value"].size(), 1U);
    EXPECT_EQ(
        world.call_text("PUT", "{P}/flexibleServers/pg1/howdahDrillSchedules/x", weekly).status,
        404);
    EXPECT_EQ(world.call("DELETE", kSchedule).status, 200);
    EXPECT_EQ(world.call("DELETE", kSchedule).status, 204);
    EXPECT_EQ(world.call("GET", kSchedule).status, 404);
}

}  // namespace
}  // namespace howdah::api
