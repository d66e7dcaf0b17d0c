// server timeline and server drill against an API that behaves as Azure's does.

#include <gmock/gmock.h>

#include "cli/cli_support.h"

namespace howdah::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kServer = std::string("/subscriptions/") + kSubscription +
                            "/resourceGroups/team/providers/Microsoft.DBforPostgreSQL/"
                            "flexibleServers/orders";
const std::string kWhere = " -g team -s orders";

class FailoverVerbs : public testing::Test {
  protected:
    void SetUp() override { ASSERT_NO_FATAL_FAILURE(user.log_in(arm)); }
    Ran run(const std::string& line) { return user.run(words(line + kWhere)); }
    void answer(const std::string& path, const Json& body, int status = 200) {
        arm.answer_once(kServer + "/" + path, {status, {}, to_text(body)});
    }
    static Json timeline() {
        return Json::parse(R"({"name": "4", "properties": {
            "kind": "Planned", "oldPrimary": "host-1", "newPrimary": "host-2",
            "openedTime": "2026-01-01T00:00:00.210Z", "acknowledgedCommitsLost": 0,
            "writesOut": {"milliseconds": 200},
            "steps": [
                {"time": "2026-01-01T00:00:00.010Z", "host": "host-1", "kind": "StopAsked",
                 "rule": "L17", "text": "a switchover is asked for"},
                {"time": "2026-01-01T00:00:00.210Z", "host": "host-2", "kind": "Opened",
                 "text": "clients are let in"}]}})");
    }
    static Json drill(const std::string& status) {
        Json json = Json::parse(R"({"name": "d1", "properties": {
            "kind": "Forced", "trigger": "Request", "requestedBy": "me"}})");
        json["properties"]["status"] = status;
        return json;
    }

    FakeArm arm;
    User user;
};

TEST_F(FailoverVerbs, a_timeline_is_a_line_in_a_list_and_a_table_of_steps) {
    Json all = Json::object();
    all["value"] = Json::array();
    all["value"].push_back(timeline());
    answer("howdahFailovers", all);
    const Ran list = run("server timeline list -o table");
    EXPECT_EQ(list.code, 0) << list.err;
    EXPECT_THAT(list.out, AllOf(HasSubstr("Planned"), HasSubstr("host-2"), HasSubstr("200")));
    answer("howdahFailovers/4", timeline());
    const Ran show = run("server timeline show -n 4 -o table");
    EXPECT_EQ(show.code, 0) << show.err;
    EXPECT_THAT(show.out, AllOf(HasSubstr("StopAsked"), HasSubstr("L17"), HasSubstr("Opened")));
    answer("howdahFailovers/4", timeline());
    EXPECT_EQ(Json::parse(run("server timeline show -n 4 -o json").out), timeline());
}

TEST_F(FailoverVerbs, a_drill_waits_for_its_report) {
    answer("howdahDrillFailover", drill("InProgress"), 202);
    answer("howdahDrills/d1", drill("InProgress"));
    answer("howdahDrills/d1", drill("Succeeded"));
    const Ran ran = run("server drill failover --forced -o table");
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(arm.body_of_last("POST"), Json::parse(R"({"kind": "Forced"})"));
    EXPECT_THAT(ran.out, AllOf(HasSubstr("Succeeded"), Not(HasSubstr("InProgress"))));
    answer("howdahDrillFailover", drill("InProgress"), 202);
    EXPECT_THAT(run("server drill failover --no-wait -o table").out, HasSubstr("InProgress"));
    EXPECT_EQ(arm.body_of_last("POST"), Json::parse(R"({"kind": "Planned"})"));
    answer("howdahDrills/d1", drill("Skipped"));
    EXPECT_THAT(run("server drill show -n d1 -o table").out, HasSubstr("Skipped"));
}

TEST_F(FailoverVerbs, a_schedule_is_set_shown_and_removed) {
    const Json schedule = Json::parse(
        R"({"name": "default", "properties": {"recurrence": "Monthly", "kind": "Planned"}})");
    answer("howdahDrillSchedules/default", schedule, 201);
    const Ran set = run("server drill failover --schedule Monthly -o table");
    EXPECT_EQ(set.code, 0) << set.err;
    EXPECT_THAT(set.out, HasSubstr("Monthly"));
    EXPECT_EQ(arm.body_of_last("PUT"),
              Json::parse(R"({"properties": {"recurrence": "Monthly", "kind": "Planned"}})"));
    EXPECT_EQ(run("server drill failover --schedule Weekly --no-wait").code, 2);
    Json all = Json::object();
    all["value"] = Json::array();
    all["value"].push_back(schedule);
    answer("howdahDrillSchedules", all);
    EXPECT_THAT(run("server drill schedule show -o table").out, HasSubstr("Monthly"));
    arm.answer_once(kServer + "/howdahDrillSchedules/default", {200, {}, ""});
    EXPECT_EQ(run("server drill schedule delete").code, 0);
}

}  // namespace
}  // namespace howdah::cli
