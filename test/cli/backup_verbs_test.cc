// backup and server restore against an API that behaves as Azure's does.

#include <gmock/gmock.h>

#include "cli/cli_support.h"

namespace howdah::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::string kServers = std::string("/subscriptions/") + kSubscription +
                             "/resourceGroups/team/providers/Microsoft.DBforPostgreSQL/"
                             "flexibleServers/";

class BackupVerbs : public testing::Test {
  protected:
    void SetUp() override { ASSERT_NO_FATAL_FAILURE(user.log_in(arm)); }
    void answer(const std::string& path, const Json& body, int status = 200) {
        arm.answer_once(kServers + path, {status, {}, to_text(body)});
    }
    static Json source() {
        Json json = Json::parse(R"({"name": "orders", "location": "local", "properties": {
            "howdah": {"restorable": [
                {"from": "2026-11-20T01:00:00.000Z", "to": "2026-11-20T02:00:00.000Z"},
                {"from": "2026-11-20T03:00:00.000Z", "to": "2026-11-20T04:00:00.000Z"}]}}})");
        json["id"] = kServers + "orders";
        return json;
    }

    FakeArm arm;
    User user;
};

TEST_F(BackupVerbs, a_list_shows_when_and_how_large) {
    answer("orders/backups", Json::parse(R"({"value": [{"name": "backup_1F", "properties": {
        "backupType": "Full", "source": "Automatic", "completedTime": "2026-11-20T01:00:00.000Z",
        "howdah": {"kind": "Differential", "repositoryBytes": 4711}}}]})"));
    const Ran list = user.run(words("backup list -g team -n orders -o table"));
    EXPECT_EQ(list.code, 0) << list.err;
    EXPECT_THAT(list.out, AllOf(HasSubstr("backup_1F"), HasSubstr("4711"), HasSubstr("Automatic")));
    EXPECT_EQ(user.run(words("backup list -g team")).code, 2);
    EXPECT_EQ(user.run(words("backup show -g team -n orders")).code, 2);
}

TEST_F(BackupVerbs, a_restore_is_to_the_latest_time_unless_one_is_given) {
    answer("orders", source());
    answer("back", Json::parse(R"({"name": "back"})"), 202);
    answer("back", Json::parse(R"({"name": "back"})"));
    const Ran latest =
        user.run(words("server restore -g team -n back --source-server orders --no-wait"));
    EXPECT_EQ(latest.code, 0) << latest.err;
    const Json sent = arm.body_of_last("PUT");
    EXPECT_EQ(sent["properties"]["createMode"], "PointInTimeRestore");
    EXPECT_EQ(sent["properties"]["sourceServerResourceId"], kServers + "orders");
    EXPECT_EQ(sent["properties"]["pointInTimeUTC"], "2026-11-20T04:00:00.000Z");
    EXPECT_EQ(sent["location"], "local");
    answer("orders", source());
    answer("back", Json::parse(R"({"name": "back"})"), 202);
    answer("back", Json::parse(R"({"name": "back"})"));
    const Ran chosen = user.run(words("server restore -g team -n back --source-server " + kServers +
                                      "orders --restore-time 2026-11-20T01:30:00Z --no-wait"));
    EXPECT_EQ(chosen.code, 0) << chosen.err;
    EXPECT_EQ(arm.body_of_last("PUT")["properties"]["pointInTimeUTC"], "2026-11-20T01:30:00Z");
}

TEST_F(BackupVerbs, a_server_without_a_backup_is_said_to_have_none) {
    Json fresh = source();
    fresh["properties"]["howdah"].erase("restorable");
    answer("orders", fresh);
    const Ran ran = user.run(words("server restore -g team -n back --source-server orders"));
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr("it has no backup"));
}

}  // namespace
}  // namespace howdah::cli
