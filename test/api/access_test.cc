#include <fmt/core.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "api/access/requirement.h"
#include "api/access_support.h"
#include "api/router.h"
#include "base/text.h"

/// Who may do what through the API: roles, locks and the activity log.
namespace howdah::api {
namespace {

using Access = AccessTest;

TEST_F(Access, every_route_is_closed_to_who_has_no_role) {
    for (const Route& route : all_routes()) {
        if (route.needs == Needs::login) continue;
        std::string path;
        for (const std::string& part : split(route.pattern.substr(1), '/')) {
            std::string word = part;
            if (part == "{subscriptionId}") word = world.boot.subscription_id;
            if (part == "{scope}") word = "subscriptions/" + world.boot.subscription_id;
            if (part == "{resourceGroupName}") word = "rg1";
            if (part == "{serverName}") word = "pg1";
            if (part == "{locationName}") word = "local";
            if (word.starts_with('{')) word = uuid(9);
            path += "/" + word;
        }
        const auto& versions = route.versions->supported;
        const std::string version(versions.empty() ? "" : versions.back());
        const Reply reply = as_other(std::string(route.method), path, nullptr, version);
        EXPECT_EQ(reply.status, 403) << route.method << ' ' << path << ' ' << reply.text;
        if (route.method != "HEAD") {
            EXPECT_EQ(reply.code(), "AuthorizationFailed") << path;
        }
        EXPECT_EQ(world.call("GET", "{P}/flexibleServers/pg1").status, 200);
    }
}

TEST_F(Access, who_has_no_role_sees_no_subscription_and_does_not_learn_what_exists) {
    const Reply list = as_other("GET", "/subscriptions", nullptr, kManagerVersion);
    EXPECT_EQ(list.status, 200);
    EXPECT_TRUE(list.body["value"].empty()) << list.text;
    const Reply there = as_other("GET", "{P}/flexibleServers/pg1");
    const Reply not_there = as_other("GET", "{P}/flexibleServers/pg2");
    EXPECT_EQ(there.status, 403);
    EXPECT_EQ(not_there.status, 403);
    EXPECT_NE(there.message().find(other.client_id), std::string::npos);
    EXPECT_NE(there.message().find("Microsoft.DBforPostgreSQL/flexibleServers/read"),
              std::string::npos)
        << there.message();
}

TEST_F(Access, who_has_no_role_is_not_told_whether_something_exists) {
    EXPECT_EQ(as_other("HEAD", "{P}/flexibleServers/pg1").status, 403);
    EXPECT_EQ(as_other("HEAD", "{P}/flexibleServers/none").status, 403);
}

TEST_F(Access, a_reader_reads_and_changes_nothing) {
    ASSERT_EQ(assign("{S}", kReader).status, 201);
    EXPECT_EQ(as_other("GET", "{P}/flexibleServers/pg1").status, 200);
    EXPECT_EQ(as_other("GET", "{P}/flexibleServers/pg1/databases").status, 200);
    EXPECT_EQ(as_other("HEAD", "{P}/flexibleServers/pg1").status, 204);
    for (const auto& [method, path] :
         std::vector<std::pair<std::string, std::string>>{{"PUT", "{P}/flexibleServers/pg2"},
                                                          {"PATCH", "{P}/flexibleServers/pg1"},
                                                          {"DELETE", "{P}/flexibleServers/pg1"},
                                                          {"POST", "{P}/flexibleServers/pg1/stop"},
                                                          {"DELETE", "{S}/resourceGroups/rg1"}}) {
        const std::string version = path.ends_with("rg1") ? kManagerVersion : kNewVersion;
        EXPECT_EQ(as_other(method, path, World::server_body(), version).code(),
                  "AuthorizationFailed")
            << method << path;
    }
    EXPECT_TRUE(world.spec().running);
}

TEST_F(Access, a_contributor_of_a_group_works_in_it_and_nowhere_else) {
    world.make_group("rg2");
    ASSERT_EQ(assign("{S}/resourceGroups/rg1", kContributor).status, 201);
    EXPECT_EQ(as_other("POST", "{P}/flexibleServers/pg1/restart").status, 202);
    EXPECT_EQ(as_other("GET", "{L}/capabilities").status, 200) << "what belongs to nobody";
    const Reply groups = as_other("GET", "{S}/resourceGroups", nullptr, kManagerVersion);
    ASSERT_EQ(groups.body["value"].size(), 1U) << groups.text;
    EXPECT_EQ(groups.body["value"][0]["name"], "rg1");
    EXPECT_EQ(as_other("GET", "{S}/resourceGroups/rg2", nullptr, kManagerVersion).status, 403);
    EXPECT_EQ(
        as_other("PUT", "{S}/resourceGroups/rg3", {{"location", "local"}}, kManagerVersion).status,
        403);
    const std::string mine =
        "{S}/resourceGroups/rg1/providers/Microsoft.Authorization/roleAssignments/" + uuid(7);
    EXPECT_EQ(as_other("PUT", mine, Body::object(), kVersion).code(), "AuthorizationFailed");
}

TEST_F(Access, who_may_only_look_at_a_server_cannot_restore_its_data_into_one_of_their_own) {
    world.make_group("rg2");
    ASSERT_EQ(assign("{S}", kReader).status, 201);
    ASSERT_EQ(assign("{S}/resourceGroups/rg2", kContributor, 2).status, 201);
    const std::string mine =
        "{S}/resourceGroups/rg2/providers/Microsoft.DBforPostgreSQL/flexibleServers/copy";
    for (const char* mode : {"PointInTimeRestore", "ReviveDropped"}) {
        const Body body = {{"location", "local"},
                           {"properties",
                            {{"createMode", mode},
                             {"sourceServerResourceId", world.expand("{P}/flexibleServers/pg1")},
                             {"pointInTimeUTC", "2026-11-20T04:00:00Z"}}}};
        const Reply reply = as_other("PUT", mine, body);
        EXPECT_EQ(reply.status, 403) << reply.text;
        EXPECT_NE(reply.text.find("not restore from it"), std::string::npos) << reply.text;
    }
}

TEST_F(Access, who_begins_an_operation_may_follow_it_and_strangers_may_not) {
    ASSERT_EQ(assign("{P}/flexibleServers/pg1", kContributor).status, 201);
    const Reply reply = as_other("POST", "{P}/flexibleServers/pg1/restart");
    const std::string id = World::operation_of(reply);
    EXPECT_EQ(as_other("GET", "{L}/azureAsyncOperation/" + id).status, 200);
    world.make_server("pg2");
    const Reply foreign = world.call("POST", "{P}/flexibleServers/pg2/restart");
    const std::string hidden = World::operation_of(foreign);
    EXPECT_EQ(as_other("GET", "{L}/azureAsyncOperation/" + hidden).status, 404);
    EXPECT_EQ(as_other("GET", "{L}/operationResults/" + hidden).status, 404);
}

TEST_F(Access, a_role_that_is_taken_away_is_gone_at_once) {
    ASSERT_EQ(assign("{S}", kReader).status, 201);
    EXPECT_EQ(as_other("GET", "{P}/flexibleServers/pg1").status, 200);
    const std::string path = "{S}/providers/Microsoft.Authorization/roleAssignments/" + uuid(1);
    EXPECT_EQ(world.call("DELETE", path, nullptr, kVersion).status, 200);
    EXPECT_EQ(as_other("GET", "{P}/flexibleServers/pg1").status, 403);
    EXPECT_EQ(world.call("DELETE", path, nullptr, kVersion).status, 204);
}

TEST_F(Access, a_new_server_of_an_old_name_begins_without_the_old_rights) {
    ASSERT_EQ(assign("{P}/flexibleServers/pg1", kReader).status, 201);
    ASSERT_EQ(assign("{S}/resourceGroups/rg1", kReader, 2).status, 201);
    world.remove_server("pg1");
    world.make_server("pg1");
    const Reply left = world.call(
        "GET", "{P}/flexibleServers/pg1/providers/Microsoft.Authorization/roleAssignments", nullptr,
        kVersion);
    EXPECT_EQ(left.text.find(uuid(1)), std::string::npos) << left.text;
    EXPECT_NE(left.text.find(uuid(2)), std::string::npos) << "the group's stays";
}

TEST_F(Access, assignments_are_listed_and_bad_ones_refused) {
    ASSERT_EQ(assign("{S}/resourceGroups/rg1", kReader).status, 201);
    EXPECT_EQ(assign("{S}/resourceGroups/rg1", kReader).status, 200) << "again";
    EXPECT_EQ(assign("{S}/resourceGroups/rg1", kReader, 2).code(), "RoleAssignmentExists");
    EXPECT_EQ(assign("{S}/resourceGroups/rg1", kOwner).status, 400) << "cannot become another";
    EXPECT_EQ(assign("{S}/resourceGroups/none", kReader, 3).code(), "ResourceGroupNotFound");
    EXPECT_EQ(assign("{S}", uuid(5), 3).code(), "RoleDefinitionDoesNotExist");
    const std::string path = "{S}/providers/Microsoft.Authorization/roleAssignments";
    const auto count = [&](const std::string& filter) {
        return world.call("GET", path + "?api-version=2022-04-01&$filter=" + filter)
            .body["value"]
            .size();
    };
    EXPECT_EQ(count(""), 2U) << "the first owner's above, and the one below";
    EXPECT_EQ(count("atScope()"), 1U);
    EXPECT_EQ(count("principalId%20eq%20%27" + other.object_id + "%27"), 1U);
    EXPECT_EQ(count("assignedTo(%27" + other.object_id + "%27)"), 1U);
    const Reply one = world.call(
        "GET",
        "{S}/resourceGroups/rg1/providers/Microsoft.Authorization/roleAssignments/" + uuid(1),
        nullptr, kVersion);
    EXPECT_EQ(one.body["properties"]["principalId"], other.object_id) << one.text;
    EXPECT_EQ(one.body["properties"]["scope"], world.expand("{S}/resourceGroups/rg1"));
    EXPECT_EQ(world.call("GET", path + "/" + uuid(1), nullptr, kVersion).code(),
              "RoleAssignmentNotFound")
        << "it is at another scope";
}

TEST_F(Access, the_last_owner_of_everything_stays) {
    const Reply all =
        world.call("GET", "/providers/Microsoft.Authorization/roleAssignments", nullptr, kVersion);
    ASSERT_EQ(all.body["value"].size(), 1U) << all.text;
    const std::string path = "/providers/Microsoft.Authorization/roleAssignments/" +
                             all.body["value"][0]["name"].get<std::string>();
    EXPECT_EQ(world.call("DELETE", path, nullptr, kVersion).code(), "OperationNotAllowed");
    ASSERT_EQ(assign("", kOwner).status, 201);
    EXPECT_EQ(as_other("DELETE", path, nullptr, kVersion).status, 200);
    EXPECT_EQ(world.call("GET", "{P}/flexibleServers/pg1").status, 403);
}

TEST_F(Access, a_role_of_ones_own_grants_what_it_says) {
    const std::string path = "{S}/providers/Microsoft.Authorization/roleDefinitions/" + uuid(20);
    const Body role = {
        {"properties",
         {{"roleName", "Restarter"},
          {"type", "CustomRole"},
          {"permissions",
           Body::array({{{"actions", {"Microsoft.DBforPostgreSQL/flexibleServers/*/action"}},
                         {"notActions", {"*/stop/action"}}}})},
          {"assignableScopes", {world.expand("{S}")}}}}};
    ASSERT_EQ(world.call("PUT", path, role, kVersion).status, 201);
    ASSERT_EQ(assign("{S}", uuid(20)).status, 201);
    EXPECT_EQ(as_other("POST", "{P}/flexibleServers/pg1/restart").status, 202);
    EXPECT_EQ(as_other("POST", "{P}/flexibleServers/pg1/stop").status, 403);
    EXPECT_EQ(as_other("GET", "{P}/flexibleServers/pg1").status, 403);
    const Reply found = world.call(
        "GET",
        "{S}/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-04-01&$filter="
        "roleName%20eq%20%27restarter%27");
    ASSERT_EQ(found.body["value"].size(), 1U) << found.text;
    EXPECT_EQ(found.body["value"][0]["properties"]["type"], "CustomRole");
    EXPECT_EQ(world.call("DELETE", path, nullptr, kVersion).code(), "RoleDefinitionHasAssignments");
    Body same = role;
    EXPECT_EQ(world
                  .call("PUT", "{S}/providers/Microsoft.Authorization/roleDefinitions/" + uuid(21),
                        same, kVersion)
                  .code(),
              "RoleDefinitionWithSameNameExists");
    EXPECT_EQ(
        world
            .call("PUT",
                  std::string("{S}/providers/Microsoft.Authorization/roleDefinitions/") + kReader,
                  role, kVersion)
            .status,
        400);
    same["properties"]["permissions"][0]["dataActions"] = {"x/read"};
    EXPECT_EQ(world.call("PUT", path, same, kVersion).code(), "FeatureNotSupported");
}

TEST_F(Access, locks_hold_for_owners_too) {
    ASSERT_EQ(lock("{P}/flexibleServers/pg1", "CanNotDelete").status, 201);
    const Reply refused = world.call("DELETE", "{P}/flexibleServers/pg1");
    EXPECT_EQ(refused.status, 409);
    EXPECT_EQ(refused.code(), "ScopeLocked");
    EXPECT_NE(refused.message().find("flexibleServers/pg1"), std::string::npos);
    EXPECT_EQ(world.call("DELETE", "{S}/resourceGroups/rg1", nullptr, kManagerVersion).code(),
              "ScopeLocked")
        << "the server would go with it";
    EXPECT_EQ(world.call("POST", "{P}/flexibleServers/pg1/restart").status, 202);
    world.finish("pg1");
    ASSERT_EQ(lock("{P}/flexibleServers/pg1", "ReadOnly").status, 200) << "changed";
    EXPECT_EQ(world.call("POST", "{P}/flexibleServers/pg1/restart").code(), "ScopeLocked");
    EXPECT_EQ(world.call("PATCH", "{P}/flexibleServers/pg1", {{"tags", {{"a", "b"}}}}).code(),
              "ScopeLocked");
    EXPECT_EQ(world.call("GET", "{P}/flexibleServers/pg1").status, 200);
    const std::string path = "{P}/flexibleServers/pg1/providers/Microsoft.Authorization/locks/l";
    EXPECT_EQ(world.call("GET", path, nullptr, kLockVersion).body["properties"]["level"],
              "ReadOnly");
    EXPECT_EQ(world.call("DELETE", path, nullptr, kLockVersion).status, 200);
    EXPECT_EQ(world.call("GET", path, nullptr, kLockVersion).code(), "LockNotFound");
    EXPECT_EQ(world.call("POST", "{P}/flexibleServers/pg1/restart").status, 202);
}

TEST_F(Access, locks_are_listed_above_and_below) {
    ASSERT_EQ(lock("{S}", "CanNotDelete", "top").status, 201);
    ASSERT_EQ(lock("{P}/flexibleServers/pg1", "CanNotDelete", "low").status, 201);
    const auto count = [&](const std::string& scope, const std::string& filter) {
        return world
            .call("GET", scope + "/providers/Microsoft.Authorization/locks?api-version=2020-05-01" +
                             filter)
            .body["value"]
            .size();
    };
    EXPECT_EQ(count("{S}", ""), 2U);
    EXPECT_EQ(count("{S}", "&$filter=atScope()"), 1U);
    EXPECT_EQ(count("{S}/resourceGroups/rg1", ""), 2U);
    EXPECT_EQ(lock("", "ReadOnly").status, 400) << "nobody could take it away";
    EXPECT_EQ(lock("{S}", "Never").status, 400);
    EXPECT_EQ(lock("{S}", "ReadOnly", "a:b").code(), "InvalidResourceName");
}

TEST_F(Access, a_change_leaves_its_lines_in_the_activity_log) {
    const Reply reply = world.call("POST", "{P}/flexibleServers/pg1/restart");
    ASSERT_EQ(reply.status, 202);
    world.finish("pg1");
    const std::string correlation = reply.headers.at("x-ms-correlation-request-id");
    const Body log = events("eventTimestamp ge '2020-01-01T00:00:00Z' and correlationId eq '" +
                            correlation + "'");
    ASSERT_EQ(log.size(), 2U) << log.dump(1);
    std::set<std::string> states;
    for (const Body& each : log) {
        states.insert(each["status"]["value"].get<std::string>());
        EXPECT_EQ(each["operationName"]["value"],
                  "Microsoft.DBforPostgreSQL/flexibleServers/restart/action");
        EXPECT_EQ(each["caller"], world.boot.client_id);
        EXPECT_EQ(each["resourceGroupName"], "rg1");
        EXPECT_EQ(each["resourceProviderName"]["value"], "Microsoft.DBforPostgreSQL");
    }
    EXPECT_EQ(states, (std::set<std::string>{"Started", "Accepted"}));
}

TEST_F(Access, what_was_refused_is_in_the_activity_log) {
    ASSERT_EQ(lock("{P}/flexibleServers/pg1", "ReadOnly").status, 201);
    (void)world.call("POST", "{P}/flexibleServers/pg1/stop");
    (void)as_other("DELETE", "{P}/flexibleServers/pg1");
    const Body failed = events("status eq 'Failed'");
    ASSERT_EQ(failed.size(), 2U) << failed.dump(1);
    std::set<std::string> codes;
    for (const Body& each : failed)
        codes.insert(each["properties"]["errorCode"].get<std::string>());
    EXPECT_EQ(codes, (std::set<std::string>{"ScopeLocked", "AuthorizationFailed"}));
    EXPECT_EQ(events("caller eq '" + other.client_id + "'").size(), 1U);
}

TEST_F(Access, the_activity_log_shows_each_what_it_may_read) {
    world.make_group("rg2");
    ASSERT_EQ(assign("{S}/resourceGroups/rg2", kReader).status, 201);
    const Reply reply =
        as_other("GET", "{S}/providers/microsoft.insights/eventtypes/management/values", nullptr,
                 kLogVersion);
    ASSERT_EQ(reply.status, 200) << reply.text;
    ASSERT_FALSE(reply.body["value"].empty());
    for (const Body& each : reply.body["value"]) EXPECT_EQ(each["resourceGroupName"], "rg2");
}

TEST_F(Access, no_secret_is_in_the_activity_log) {
    (void)world.call("PATCH", "{P}/flexibleServers/pg1",
                     {{"properties", {{"administratorLoginPassword", "Very-Secret-123"}}}});
    EXPECT_EQ(events().dump().find("Very-Secret"), std::string::npos);
}

TEST_F(Access, pages_of_the_activity_log_hold_every_event_once) {
    for (int i = 0; i < 150; ++i) {
        world.clock.advance(std::chrono::seconds(1));
        (void)world.call("PATCH", "{S}/resourceGroups/rg1", {{"tags", {{"n", std::to_string(i)}}}},
                         kManagerVersion);
    }
    std::set<std::string> seen;
    std::string last = "9";
    std::string path =
        "{S}/providers/microsoft.insights/eventtypes/management/values?api-version=2015-04-01"
        "&$filter=resourceGroupName%20eq%20%27rg1%27%20and%20status%20eq%20%27Succeeded%27";
    for (int page = 0; !path.empty() && page < 10; ++page) {
        const Reply reply = world.call("GET", path);
        ASSERT_EQ(reply.status, 200) << reply.text;
        for (const Body& each : reply.body["value"]) {
            EXPECT_TRUE(seen.insert(each["eventDataId"].get<std::string>()).second);
            const std::string time = each["eventTimestamp"].get<std::string>();
            EXPECT_LE(time, last) << "newest first";
            last = time;
        }
        path = reply.body.value("nextLink", "");
        if (!path.empty()) path = path.substr(std::string("https://localhost:8443").size());
    }
    EXPECT_GE(seen.size(), 150U);
}

TEST_F(Access, the_log_is_asked_as_az_asks_it) {
    (void)world.call("PATCH", "{S}/resourceGroups/rg1", {{"tags", {{"a", "b"}}}}, kManagerVersion);
    EXPECT_FALSE(events("eventTimestamp ge 2000-01-31T09:07:03.233477").empty()) << "no zone";
    EXPECT_TRUE(events("eventTimestamp ge 2200-01-31T09:07:03.233477").empty());
    EXPECT_FALSE(events("resourceProvider eq Microsoft.Resources").empty()) << "no quotes";
    EXPECT_TRUE(events("resourceProvider eq Microsoft.Nope").empty());
}

TEST(requirement, is_named_as_azure_names_it) {
    const auto of = [](const char* method, const char* path) {
        const Router router(all_routes());
        const auto segments = path_segments(path).value();
        const auto match = router.match(method, segments, "");
        EXPECT_TRUE(match.ok()) << path;
        const Requirement requirement = requirement_of(*match->route, segments);
        return requirement.action + " @ " + requirement.scope;
    };
    const std::string f =
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.DBforPostgreSQL/flexibleServers/p";
    const std::string t = "Microsoft.DBforPostgreSQL/flexibleServers";
    EXPECT_EQ(of("PUT", f.c_str()), t + "/write @ " + f);
    EXPECT_EQ(of("POST", (f + "/restart").c_str()), t + "/restart/action @ " + f);
    EXPECT_EQ(of("GET", (f + "/databases").c_str()), t + "/databases/read @ " + f);
    EXPECT_EQ(of("DELETE", (f + "/databases/d").c_str()),
              t + "/databases/delete @ " + f + "/databases/d");
    EXPECT_EQ(of("GET", "/subscriptions/s/resourceGroups"),
              "Microsoft.Resources/subscriptions/resourceGroups/read @ /subscriptions/s");
    EXPECT_EQ(of("DELETE", "/subscriptions/s/resourceGroups/g"),
              "Microsoft.Resources/subscriptions/resourceGroups/delete @ "
              "/subscriptions/s/resourceGroups/g");
    EXPECT_EQ(of("GET", "/subscriptions/s/providers/Microsoft.DBforPostgreSQL/flexibleServers"),
              t + "/read @ /subscriptions/s");
    EXPECT_EQ(of("PUT", (f + "/providers/Microsoft.Authorization/locks/l").c_str()),
              "Microsoft.Authorization/locks/write @ " + f +
                  "/providers/Microsoft.Authorization/locks/l");
    EXPECT_EQ(of("GET", "/providers/Microsoft.Authorization/roleAssignments"),
              "Microsoft.Authorization/roleAssignments/read @ /");
    EXPECT_EQ(of("GET", "/subscriptions"), "Microsoft.Resources/subscriptions/read @ /");
}

}  // namespace
}  // namespace howdah::api
