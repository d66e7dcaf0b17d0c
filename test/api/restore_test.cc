// A new server from another one's backups: what the API accepts, and what of the source it has.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/api_support.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api {
namespace {

using testing::HasSubstr;

constexpr const char* kSource = "{P}/flexibleServers/pg1";
constexpr const char* kBack = "{P}/flexibleServers/back";
constexpr const char* kFrom = "2026-11-20T01:00:00.000Z";
constexpr const char* kGapFrom = "2026-11-20T02:00:00.000Z";
constexpr const char* kGapTo = "2026-11-20T03:00:00.000Z";
constexpr const char* kTo = "2026-11-20T04:00:00.000Z";

class RestoreTest : public testing::Test {
  protected:
    RestoreTest() {
        world_.make_group();
        world_.make_server();
        model::ServerStatus status = world_.status();
        status.restorable = {{kFrom, kGapFrom}, {kGapTo, kTo}};
        world_.set_status("pg1", status);
    }
    Body body(const std::string& time = kTo) const {
        return {{"location", "local"},
                {"properties",
                 {{"createMode", "PointInTimeRestore"},
                  {"sourceServerResourceId", world_.expand(kSource)},
                  {"pointInTimeUTC", time}}}};
    }

    World world_;
};

TEST_F(RestoreTest, the_window_is_shown) {
    const Body properties = world_.call("GET", kSource).body["properties"];
    EXPECT_EQ(properties["backup"]["earliestRestoreDate"], kFrom);
    EXPECT_EQ(properties["howdah"]["restorable"].size(), 2U);
    EXPECT_EQ(properties["howdah"]["restorable"][1]["to"], kTo);
}

TEST_F(RestoreTest, what_the_request_does_not_say_is_as_the_source_has_it) {
    ASSERT_EQ(world_
                  .call("PATCH", kSource, Body::parse(R"({"tags":{"a":"b"},"properties":{
                            "storage":{"storageSizeGB":64,"tier":"P20"},
                            "backup":{"backupRetentionDays":21}}})"))
                  .status,
              202);
    world_.finish();
    ASSERT_EQ(world_
                  .call("PUT", std::string(kSource) + "/configurations/work_mem",
                        Body::parse(R"({"properties":{"value":"8192","source":"user-override"}})"))
                  .status,
              202);
    world_.finish();
    model::ServerStatus status = world_.status();
    status.restorable = {{kFrom, kTo}};
    world_.set_status("pg1", status);
    Body smaller = body("2026-11-20T05:30:00+02:00");
    smaller["properties"]["storage"]["storageSizeGB"] = 32;
    EXPECT_EQ(world_.call("PUT", kBack, smaller).target(), "properties.storage.storageSizeGB");
    const Reply reply = world_.call("PUT", kBack, body("2026-11-20T05:30:00+02:00"));
    ASSERT_EQ(reply.status, 202) << reply.text;
    const model::ServerSpec source = world_.spec();
    const model::ServerSpec made = world_.spec("back");
    ASSERT_TRUE(made.restore.has_value());
    EXPECT_EQ(made.restore->source_incarnation, source.incarnation);
    EXPECT_EQ(made.restore->time, "2026-11-20T03:30:00.000Z");
    EXPECT_NE(made.incarnation, source.incarnation);
    EXPECT_EQ(made.sku, source.sku);
    EXPECT_EQ(made.version, source.version);
    EXPECT_EQ(made.storage.size_gb, 64);
    EXPECT_EQ(made.storage.tier, "P20");
    EXPECT_EQ(made.backup.retention_days, 21);
    EXPECT_EQ(made.administrator_login, source.administrator_login);
    EXPECT_EQ(made.parameters, source.parameters);
    EXPECT_TRUE(made.firewall_rules.empty());
    EXPECT_TRUE(made.tags.empty());
    // Sealed anew: under the old name it would not open.
    EXPECT_FALSE(made.sealed_verifier.empty());
    EXPECT_NE(made.sealed_verifier, source.sealed_verifier);
    // The same request again is no other restore; what is there is never restored into.
    EXPECT_EQ(world_.call("PUT", kBack, body("2026-11-20T03:30:00Z")).status, 202);
    EXPECT_EQ(world_.call("PUT", kBack, body(kTo)).status, 409);
    EXPECT_EQ(world_.call("PUT", kSource, body(kTo)).status, 409);
}

TEST_F(RestoreTest, a_time_that_cannot_be_restored_is_refused_with_the_nearest) {
    const auto refused = [&](const std::string& time) {
        const Reply reply = world_.call("PUT", kBack, body(time));
        EXPECT_EQ(reply.status, 400) << reply.text;
        EXPECT_EQ(reply.target(), "properties.pointInTimeUTC");
        EXPECT_EQ(world_.call("GET", kBack).status, 404);
        return reply.text;
    };
    EXPECT_THAT(refused("2026-11-20T00:59:59Z"), HasSubstr(kFrom));
    EXPECT_THAT(refused("2026-11-20T04:00:01Z"), HasSubstr(kTo));
    const std::string gap = refused("2026-11-20T02:30:00Z");
    EXPECT_THAT(gap, HasSubstr(kGapFrom));
    EXPECT_THAT(gap, HasSubstr(kGapTo));
    refused("yesterday");
    model::ServerStatus status = world_.status();
    status.restorable.clear();
    world_.set_status("pg1", status);
    EXPECT_THAT(refused(kTo), HasSubstr("no backup yet"));
}

TEST_F(RestoreTest, what_was_committed_a_moment_ago_can_be_asked_for) {
    const auto at = [&](std::chrono::seconds ago) {
        return format_iso8601(world_.clock.wall() - ago);
    };
    const auto answer = [&](const std::string& time) {
        const Reply reply = world_.call("PUT", kBack, body(time));
        if (reply.status != 202) return reply.status;
        EXPECT_EQ(world_.spec("back").restore->time, time);
        return reply.status;
    };
    model::ServerStatus status = world_.status();
    status.state = "Ready";
    const auto set = [&](std::chrono::seconds newest, const std::string& state) {
        status.restorable = {{kFrom, at(newest)}};
        status.state = state;
        world_.set_status("pg1", status);
    };
    using std::chrono::seconds;
    set(seconds(601), "Ready");
    EXPECT_EQ(answer(at(seconds(1))), 400) << "nothing was archived for long";
    set(seconds(200), "Stopped");
    EXPECT_EQ(answer(at(seconds(1))), 400) << "nobody archives";
    set(seconds(200), "Ready");
    EXPECT_EQ(answer(at(seconds(-1))), 400) << "the future";
    EXPECT_EQ(answer(at(seconds(0))), 202);
}

TEST_F(RestoreTest, what_does_not_fit_the_source_is_refused) {
    const auto with = [&](const std::string& field, const Body& value) {
        Body changed = body();
        if (value.is_null())
            changed["properties"].erase(field);
        else
            changed["properties"][field] = value;
        const Reply reply = world_.call("PUT", kBack, changed);
        EXPECT_GE(reply.status, 400) << field;
        EXPECT_EQ(world_.call("GET", kBack).status, 404);
        return reply.target();
    };
    EXPECT_EQ(with("sourceServerResourceId", nullptr), "properties.sourceServerResourceId");
    EXPECT_EQ(with("sourceServerResourceId", "/x"), "properties.sourceServerResourceId");
    EXPECT_EQ(with("pointInTimeUTC", nullptr), "properties.pointInTimeUTC");
    EXPECT_EQ(with("version", "14"), "properties.version");
    EXPECT_EQ(with("administratorLogin", "other"), "properties.administratorLogin");
    EXPECT_EQ(with("createMode", "Default"), "properties.sourceServerResourceId");
    Body nobody = body();
    nobody["properties"]["sourceServerResourceId"] = world_.expand(kBack);
    EXPECT_EQ(world_.call("PUT", kBack, nobody).code(), "ResourceNotFound");
}

TEST_F(RestoreTest, a_deleted_server_is_brought_back_as_it_was) {
    model::ServerSpec spec = world_.spec();
    spec.parameters["work_mem"] = "8192";
    const model::DroppedServer dropped{spec, {{kFrom, kGapFrom}, {kGapTo, kTo}}, "h1", kTo};
    const std::string key = store::keys::dropped(world_.server_id().key(), spec.incarnation);
    const auto revive = [&](const char* time) {
        Body wanted = body();
        wanted["properties"]["createMode"] = "ReviveDropped";
        wanted["properties"].erase("pointInTimeUTC");
        if (time != nullptr) wanted["properties"]["pointInTimeUTC"] = time;
        return world_.call("PUT", kBack, wanted);
    };
    const Reply none = revive(nullptr);
    EXPECT_EQ(none.status, 404) << "it is there, and was never deleted: " << none.text;
    EXPECT_THAT(none.text, HasSubstr("seven days"));
    ASSERT_TRUE(world_.store->commit(store::Transaction().put(key, model::to_json(dropped))).ok());
    EXPECT_EQ(revive("2026-11-20T02:30:00Z").status, 400) << "in a gap";
    EXPECT_EQ(revive("yesterday").status, 400);
    ASSERT_EQ(revive("2026-11-21T00:00:00Z").status, 202) << "clients name the present time";
    const model::ServerSpec made = world_.spec("back");
    ASSERT_TRUE(made.restore.has_value());
    EXPECT_EQ(made.restore->time, "") << "all that there is";
    EXPECT_EQ(made.restore->source_incarnation, spec.incarnation);
    EXPECT_EQ(made.parameters.at("work_mem"), "8192");
    EXPECT_EQ(made.sku, spec.sku);
    EXPECT_FALSE(made.sealed_verifier.empty());
    EXPECT_EQ(revive(nullptr).status, 202) << "the same request again";
}

TEST_F(RestoreTest, a_time_is_about_the_life_of_the_name_that_had_it) {
    // Two that had the name one after the other; the second was deleted a day later.
    const auto add = [&](const char* incarnation, const char* from, const char* to) {
        model::ServerSpec spec = world_.spec();
        spec.incarnation = incarnation;
        const model::DroppedServer life{spec, {{from, to}}, "h1", to};
        const std::string key = store::keys::dropped(world_.server_id().key(), incarnation);
        ASSERT_TRUE(world_.store->commit(store::Transaction().put(key, model::to_json(life))).ok());
    };
    add("b-first", "2026-11-20T01:00:00.000Z", "2026-11-20T02:00:00.000Z");
    add("a-second", "2026-11-20T03:00:00.000Z", "2026-11-20T04:00:00.000Z");
    const auto revived = [&](const char* name, const char* time) -> std::string {
        Body wanted = body();
        wanted["properties"]["createMode"] = "ReviveDropped";
        wanted["properties"].erase("pointInTimeUTC");
        if (time != nullptr) wanted["properties"]["pointInTimeUTC"] = time;
        const std::string path = "{P}/flexibleServers/" + std::string(name);
        const Reply reply = world_.call("PUT", path, wanted);
        return reply.status == 202 ? world_.spec(name).restore->source_incarnation : reply.text;
    };
    EXPECT_EQ(revived("life-1", nullptr), "a-second");
    EXPECT_EQ(revived("life-2", "2026-11-20T01:30:00Z"), "b-first");
    EXPECT_EQ(revived("life-3", "2026-11-20T03:30:00Z"), "a-second");
    EXPECT_EQ(revived("life-4", "2026-11-21T00:00:00Z"), "a-second");
    EXPECT_THAT(revived("life-5", "2026-11-20T02:30:00Z"), HasSubstr("2026-11-20T03:00:00.000Z"));
}

TEST_F(RestoreTest, a_backup_on_demand_is_made_and_dropped_by_operations) {
    const std::string all = std::string(kSource) + "/backups/";
    const auto put = [&](const std::string& name) { return world_.call("PUT", all + name); };
    EXPECT_EQ(put("first").code(), "OperationNotAllowed") << "no backups are kept of it";
    model::InstanceReport report{.server_id = world_.server_id().key(),
                                 .incarnation = world_.spec().incarnation};
    report.backups = {.backups = {{.name = "backup_1F", .kind = "full"},
                                  {.name = "Kept", .kind = "differential", .on_demand = true}}};
    const std::string key = store::keys::report(world_.server_id().key(), world_.status().host);
    ASSERT_TRUE(world_.store->commit(store::Transaction().put(key, model::to_json(report))).ok());
    const Reply made = put("first");
    ASSERT_EQ(made.status, 202) << made.text;
    EXPECT_THAT(made.headers.at("azure-asyncoperation"), HasSubstr("/azureAsyncOperation/"));
    EXPECT_EQ(put("kept").status, 409) << "there is one of that name";
    for (const char* each : {"backup_mine", "a b", "a%2Fb", "%27", ""})
        EXPECT_GE(put(each).status, 400) << each;
    EXPECT_EQ(put(std::string(129, 'x')).code(), "InvalidResourceName");
    // With those that are on their way there are seven.
    for (const char* each : {"2", "3", "4", "5", "6"}) EXPECT_EQ(put(each).status, 202) << each;
    EXPECT_EQ(put("8").code(), "QuotaExceeded");

    EXPECT_EQ(world_.call("DELETE", all + "nobody").status, 204);
    EXPECT_EQ(world_.call("DELETE", all + "backup_1F").code(), "OperationNotAllowed");
    EXPECT_EQ(world_.call("DELETE", all + "KEPT").status, 202);
    const auto pending =
        world_.store->list(store::keys::pending_of(world_.server_id().key())).value();
    EXPECT_GE(pending.size(), 7U);
}

TEST_F(RestoreTest, backups_are_what_the_agent_saw_of_this_life_of_the_server) {
    const std::string all = std::string(kSource) + "/backups";
    EXPECT_EQ(world_.call("GET", all).body["value"], Body::array());
    model::InstanceReport report{.server_id = world_.server_id().key(),
                                 .incarnation = world_.spec().incarnation};
    report.backups = {
        .backups = {
            {.name = "backup_20261120-010000F",
             .kind = "full",
             .started_at = "2026-11-20T00:59:50.000Z",
             .completed_at = kFrom,
             .bytes = 29'500'000,
             .repository_bytes = 3'500'000},
            {.name = "before-upgrade", .kind = "full", .on_demand = true, .completed_at = kTo}}};
    const std::string key = store::keys::report(world_.server_id().key(), world_.status().host);
    ASSERT_TRUE(world_.store->commit(store::Transaction().put(key, model::to_json(report))).ok());
    const Body listed = world_.call("GET", all).body["value"];
    ASSERT_EQ(listed.size(), 2U);
    EXPECT_EQ(listed[0]["properties"]["backupType"], "Full");
    EXPECT_EQ(listed[0]["properties"]["source"], "Automatic");
    EXPECT_EQ(listed[0]["properties"]["completedTime"], kFrom);
    EXPECT_EQ(listed[1]["properties"]["backupType"], "Customer On-Demand");
    EXPECT_EQ(world_.call("GET", all + "/BEFORE-upgrade").body, listed[1]);
    EXPECT_EQ(world_.call("GET", all + "/none").code(), "ResourceNotFound");
    report.incarnation = "another-life";
    ASSERT_TRUE(world_.store->commit(store::Transaction().put(key, model::to_json(report))).ok());
    EXPECT_EQ(world_.call("GET", all).body["value"], Body::array());
}

TEST_F(RestoreTest, proving_is_an_operation_whose_proof_the_agent_tells) {
    const std::string prove = std::string(kSource) + "/howdahProve";
    const std::string all = std::string(kSource) + "/howdahProofs";
    EXPECT_EQ(world_.call("POST", prove, Body{{"restoreTime", "soon"}}).target(), "restoreTime");
    EXPECT_THAT(world_.call("POST", prove, Body{{"restoreTime", "2026-11-20T02:30:00Z"}}).text,
                HasSubstr(kGapTo));
    EXPECT_EQ(world_.call("POST", prove, Body{{"time", kTo}}).status, 400);
    const Reply begun =
        world_.call("POST", prove, Body{{"restoreTime", "2026-11-20T03:30:00+00:00"}});
    ASSERT_EQ(begun.status, 202) << begun.text;
    EXPECT_EQ(world_.call("POST", prove).status, 409) << "one at a time";
    const auto pending =
        world_.store->list(store::keys::pending_of(world_.server_id().key())).value();
    ASSERT_EQ(pending.size(), 1U);
    EXPECT_EQ(world_.call("GET", all).body["value"], Body::array());

    const std::string name = begun.body["name"];
    model::InstanceReport report{.server_id = world_.server_id().key(),
                                 .incarnation = world_.spec().incarnation};
    model::Proof proof{.name = name, .outcome = "failed", .reason = "it is damaged", .tables = 9};
    report.backups = {.proofs = {{{.name = "older", .outcome = "proved"}, ""}, {proof, "a.b.c"}}};
    const std::string key = store::keys::report(world_.server_id().key(), world_.status().host);
    ASSERT_TRUE(world_.store->commit(store::Transaction().put(key, model::to_json(report))).ok());
    const Body listed = world_.call("GET", all).body["value"];
    ASSERT_EQ(listed.size(), 2U);
    EXPECT_EQ(listed[0]["name"], name) << "newest first";
    EXPECT_EQ(listed[0]["properties"]["outcome"], "Failed");
    EXPECT_EQ(listed[0]["properties"]["reason"], "it is damaged");
    EXPECT_EQ(listed[0]["properties"]["tables"]["total"], 9);
    EXPECT_EQ(listed[0]["properties"]["signedReport"], "a.b.c");
    EXPECT_EQ(listed[1]["properties"]["outcome"], "Proved");
    EXPECT_EQ(world_.call("GET", all + "/" + name).body, listed[0]);
    EXPECT_EQ(world_.call("GET", all + "/none").code(), "ResourceNotFound");
}

TEST_F(RestoreTest, a_server_without_a_backup_has_nothing_to_prove) {
    model::ServerStatus status = world_.status();
    status.restorable.clear();
    world_.set_status("pg1", status);
    EXPECT_EQ(world_.call("POST", std::string(kSource) + "/howdahProve").code(),
              "OperationNotAllowed");
}

}  // namespace
}  // namespace howdah::api
