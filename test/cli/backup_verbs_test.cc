// backup and server restore against an API that behaves as Azure's does.

#include <gmock/gmock.h>

#include <fstream>

#include "cli/cli_support.h"
#include "http/certificates.h"
#include "http/signed_report.h"

namespace howdah::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kServers = std::string("/subscriptions/") + kSubscription +
                             "/resourceGroups/team/providers/Microsoft.DBforPostgreSQL/"
                             "flexibleServers/";

class BackupVerbs : public testing::Test {
  protected:
    void SetUp() override { ASSERT_NO_FATAL_FAILURE(user.log_in(arm)); }
    void answer(const std::string& path, const Json& body, int status = 200) {
        arm.answer_once(kServers + path, {status, {}, to_text(body)});
    }
    std::string write(const std::string& name, const std::string& text) const {
        const std::string path = user.folder + "/" + name;
        std::ofstream(path) << text;
        return path;
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

TEST_F(BackupVerbs, prove_shows_what_was_found_and_fails_unless_it_is_proved) {
    const auto told = [&](const char* outcome, const char* reason) {
        answer("orders/howdahProve", Json::parse(R"({"name": "20261123-040506-000"})"), 202);
        Json proof = Json::parse(R"({"name": "20261123-040506-000", "properties": {
            "backup": "20261123-040000F", "tables": {"total": 7, "same": 6}}})");
        proof["properties"]["outcome"] = outcome;
        proof["properties"]["reason"] = reason;
        answer("orders/howdahProofs/20261123-040506-000", proof);
    };
    told("Proved", "");
    const Ran good = user.run(words("server prove -g team -s orders -o table"));
    EXPECT_EQ(good.code, 0) << good.err;
    EXPECT_THAT(good.out, AllOf(HasSubstr("20261123-040000F"), HasSubstr("Proved")));
    EXPECT_EQ(arm.body_of_last("POST"), Json::object());
    answer("orders/howdahProofs",
           Json::parse(R"({"value": [{"name": "newest"}, {"name": "old"}]})"));
    EXPECT_THAT(user.run(words("server proof show -g team -s orders -o table")).out,
                AllOf(HasSubstr("newest"), Not(HasSubstr("old"))));
    told("Failed", "what came back is damaged");
    const Ran bad =
        user.run(words("server prove -g team -s orders --restore-time 2026-11-23T04:05:06Z"));
    EXPECT_EQ(bad.code, 1);
    EXPECT_THAT(bad.err, AllOf(HasSubstr("what came back is damaged"),
                               HasSubstr("proof show -g team -s orders -n 20261123-040506-000")));
    EXPECT_EQ(arm.body_of_last("POST")["restoreTime"], "2026-11-23T04:05:06Z");
}

TEST_F(BackupVerbs, a_signed_report_is_verified_without_the_api) {
    const Timestamp now = SystemClock().wall();
    const auto authority = http::CertificateAuthority::create("Howdah", now).value();
    const auto own = authority.issue({.common_name = "host-1", .client = true}, now).value();
    const std::string token = http::sign_report(R"({"outcome": "proved", "host_id": "host-1"})",
                                                own.key_pem, own.certificate_pem)
                                  .value();
    const std::string report = write("report.jws", token + "\n");
    const std::string pem = write("ca.pem", authority.certificate_pem());
    const Ran good =
        user.run(words("server proof verify -o json --file " + report + " --authority " + pem));
    EXPECT_EQ(good.code, 0) << good.err;
    EXPECT_THAT(good.out, AllOf(HasSubstr("host-1"), HasSubstr("proved")));
    const std::string shown =
        write("proof.json", to_text(Json{{"properties", {{"signedReport", token}}}}));
    EXPECT_EQ(user.run(words("server proof verify --file " + shown + " --authority " + pem)).code,
              0);
    const std::string other =
        write("other.jws", http::sign_report(R"({"outcome": "proved", "host_id": "h2"})",
                                             own.key_pem, own.certificate_pem)
                               .value());
    EXPECT_THAT(user.run(words("server proof verify --file " + other + " --authority " + pem)).err,
                HasSubstr("another machine"));
    const std::string forged = write("forged.jws", "x" + token);
    const Ran bad = user.run(words("server proof verify --file " + forged + " --authority " + pem));
    EXPECT_EQ(bad.code, 1);
    EXPECT_THAT(bad.err, HasSubstr("not genuine"));
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
