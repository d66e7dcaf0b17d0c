#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "api/api_support.h"
#include "api/router.h"
#include "base/id.h"
#include "places.h"

namespace howdah::api {
namespace {

TEST(routing, an_api_version_is_required_and_checked_by_type) {
    struct Case {
        const char* path;
        const char* version;
        const char* code;
        const char* says;
    };
    World world;
    const Case cases[] = {
        {"/subscriptions", "", "MissingApiVersionParameter", "2021-04-01"},
        {"/subscriptions", "1999-01-01", "InvalidApiVersionParameter", "2019-11-01,"},
        {"{S}/resourcegroups", "x", "InvalidApiVersionParameter", "2021-04-01"},
        {"{P}/flexibleServers/pg1", "", "MissingApiVersionParameter", "2025-08-01"},
        {"{P}/flexibleServers/pg1", "2021-06-01", "NoRegisteredProviderFound",
         "The supported api-versions are '2026-04-01-preview, 2022-12-01, 2024-08-01, 2025-08-01'. "
         "The supported "
         "locations are 'local'."},
        {"{P}/flexibleServers/pg1", "2025-13-01", "NoRegisteredProviderFound",
         "for type 'flexibleServers'"},
        {"{P}/flexibleServers/pg1", "2025-08-01-nope", "NoRegisteredProviderFound", "'local'"},
        {"{P}/flexibleServers/pg1", "latest", "InvalidApiVersionParameter", "2025-08-01"},
        {"{P}/flexibleServers/pg1", "2025-08-01'", "InvalidApiVersionParameter", "2025-08-01"},
    };
    for (const Case& each : cases) {
        const Reply reply = world.call("GET", each.path, nullptr, each.version);
        EXPECT_EQ(reply.status, 400) << each.path << each.version;
        EXPECT_EQ(reply.code(), each.code) << each.path << each.version;
        EXPECT_NE(reply.message().find(each.says), std::string::npos) << reply.message();
    }
}

TEST(routing, unknown_paths_and_methods_are_refused_in_azures_words) {
    struct Case {
        const char* method;
        const char* path;
        int status;
        const char* code;
    };
    World world;
    const Case cases[] = {
        {"GET", "/", 404, "InvalidResourceType"},
        {"GET", "/nothing/here", 404, "InvalidResourceType"},
        {"GET", "{P}/flexibleServers/pg1/nonsense", 404, "InvalidResourceType"},
        {"GET", "{P}/servers/pg1", 404, "InvalidResourceType"},
        {"GET", "{S}/providers/Microsoft.Nope/things", 404, "InvalidResourceNamespace"},
        {"GET", "{S}/resourceGroups/rg1/providers/Microsoft.Sql/servers/s", 404,
         "InvalidResourceNamespace"},
        {"FROB", "{P}/flexibleServers/pg1", 405, "MethodNotAllowed"},
        {"PATCH", "{S}", 405, "MethodNotAllowed"},
        {"GET", "/subscriptions/none/resourcegroups", 400, "InvalidSubscriptionId"},
        {"GET", "/subscriptions/11111111-1111-1111-1111-111111111111/resourcegroups", 404,
         "SubscriptionNotFound"},
    };
    for (const Case& each : cases) {
        const std::string version = std::string(each.path).find("providers") == std::string::npos
                                        ? kManagerVersion
                                        : kNewVersion;
        const Reply reply = world.call(each.method, each.path, nullptr, version);
        EXPECT_EQ(reply.status, each.status) << each.path;
        EXPECT_EQ(reply.code(), each.code) << each.path << reply.text;
    }
    EXPECT_EQ(world.call("FROB", "{P}/flexibleServers/pg1").headers.at("allow"),
              "PUT, PATCH, DELETE, GET, HEAD");
    EXPECT_EQ(world.call("HEAD", "{P}/flexibleServers").status, 405) << "a list";
}

TEST(routing, head_of_something_with_a_name_tells_whether_it_exists) {
    World world;
    world.make_group();
    world.make_server();
    ASSERT_EQ(world
                  .call("PUT", "{P}/flexibleServers/pg1/firewallRules/r",
                        Body::parse(R"({"properties":{"startIpAddress":"1.1.1.1",
                                         "endIpAddress":"1.1.1.1"}})"))
                  .status,
              202);
    for (const char* path :
         {"{P}/flexibleServers/pg1", "{P}/flexibleServers/pg1/databases/postgres",
          "{P}/flexibleServers/pg1/configurations/work_mem",
          "{P}/flexibleServers/pg1/firewallRules/r"}) {
        const Reply there = world.call("HEAD", path);
        EXPECT_EQ(there.status, 204) << path;
        EXPECT_TRUE(there.text.empty());
        EXPECT_EQ(there.headers.at("etag"), world.call("GET", path).headers.at("etag"));
        const Reply missing = world.call("HEAD", std::string(path) + "-not");
        EXPECT_EQ(missing.status, 404) << path;
        EXPECT_TRUE(missing.text.empty());
    }
    EXPECT_EQ(world.call("HEAD", "{S}/resourcegroups/rg1", nullptr, kManagerVersion).status, 204);
    http::Request request = world.request("HEAD", "{P}/flexibleServers/pg1", "", kNewVersion);
    request.headers.erase("authorization");
    EXPECT_EQ(world.send(request).status, 401);
}

TEST(routing, paths_are_bounded) {
    World world;
    EXPECT_EQ(world.call("GET", "/" + std::string(9000, 'x')).status, 400);
    std::string deep;
    for (int i = 0; i < 100; ++i) deep += "/a";
    EXPECT_EQ(world.call("GET", deep).status, 400);
    EXPECT_EQ(world.call("GET", "/subscriptions/%00").status, 400);
    EXPECT_EQ(world.call("GET", "/subscriptions/%ff%fe").status, 400) << "not valid UTF-8";
}

TEST(routing, what_is_not_built_says_so_by_name) {
    World world;
    world.make_group();
    std::size_t missing = 0;
    for (const Route& route : all_routes()) {
        if (route.handler != nullptr) continue;
        ++missing;
        std::string path;
        const auto segments = path_segments(route.pattern).value();
        for (const std::string& each : segments)
            path += "/" + (each == "{subscriptionId}" ? world.boot.subscription_id
                           : each[0] == '{'           ? "x"
                                                      : each);
        const Reply reply = world.call(std::string(route.method), path);
        EXPECT_EQ(reply.status, 400) << path;
        EXPECT_EQ(reply.code(), "FeatureNotSupported") << path << reply.text;
        EXPECT_NE(reply.message().find(" not supported by this version of Howdah"),
                  std::string::npos);
        EXPECT_EQ(reply.target(), std::string(route.group) + "." + std::string(route.operation));
    }
    EXPECT_GT(missing, 0U);
}

TEST(routing, of_what_cannot_be_made_yet_a_list_is_empty_and_none_is_found) {
    World world;
    world.make_group();
    world.make_server();
    const auto filled = [&](const Route& route, const char* server) {
        const auto segments = path_segments(route.pattern).value();
        std::string path;
        for (const std::string& each : segments)
            path += "/" + (each == "{subscriptionId}"      ? world.boot.subscription_id
                           : each == "{resourceGroupName}" ? "rg1"
                           : each == "{serverName}"        ? server
                           : each == "{locationName}"      ? "local"
                           : each[0] == '{'                ? "thing"
                                                           : each);
        return path;
    };
    std::size_t lists = 0;
    for (const Route& route : all_routes()) {
        if (route.handler == nullptr || route.missing.empty()) continue;
        const std::string method(route.method);
        const Reply reply = world.call(method, filled(route, "pg1"));
        if (method == "POST") {
            EXPECT_EQ(reply.status, 200) << reply.text;
            EXPECT_EQ(reply.body["delegatedSubnetsUsage"], Body::array());
            continue;
        }
        const Reply nowhere = world.call(method, filled(route, "none"));
        EXPECT_EQ(nowhere.code(), "ResourceNotFound") << "no such server" << route.pattern;
        EXPECT_EQ(nowhere.message().find("supported"), std::string::npos) << nowhere.message();
        if (route.pattern.find('{', route.pattern.find("{serverName}") + 1) ==
            std::string_view::npos) {
            ++lists;
            EXPECT_EQ(reply.body, Body::parse(R"({"value":[]})")) << route.pattern << reply.text;
            continue;
        }
        EXPECT_EQ(reply.status, 404) << route.pattern << reply.text;
        EXPECT_EQ(reply.code(), "ResourceNotFound") << route.pattern;
        EXPECT_NE(reply.message().find("/thing'"), std::string::npos) << reply.message();
        EXPECT_NE(reply.message().find(" are not supported by this version of Howdah") &
                      reply.message().find(" is not supported by this version of Howdah"),
                  std::string::npos)
            << reply.message();
    }
    EXPECT_EQ(lists, 9U);
    // No read is refused for want of a feature, but those of administrators.
    for (const Route& route : all_routes()) {
        if (route.handler != nullptr || route.group == "administratorsMicrosoftEntra") continue;
        EXPECT_NE(route.method, "GET") << route.pattern;
    }
}

TEST(routing, the_table_has_every_operation_of_the_sdk_once) {
    std::set<std::string> names;
    std::set<std::string> paths;
    std::size_t of_provider = 0;
    for (const Route& route : all_routes()) {
        EXPECT_TRUE(
            names.insert(std::string(route.group) + "." + std::string(route.operation)).second)
            << route.group << "." << route.operation;
        EXPECT_TRUE(
            paths.insert(std::string(route.method) + " " + std::string(route.pattern)).second)
            << route.method << " " << route.pattern;
        EXPECT_TRUE(route.handler != nullptr || !route.missing.empty()) << route.pattern;
        const bool is_own = route.group.starts_with("howdah");
        if (route.versions->of_provider && route.group != "asyncOperations" && !is_own)
            ++of_provider;
    }
    constexpr std::size_t kOfPreview = 8;
    EXPECT_EQ(of_provider, 66U + kOfPreview);
}

TEST(routing, every_answer_carries_its_ids) {
    World world;
    http::Request request = world.request("GET", "/subscriptions", "", kManagerVersion);
    request.headers["x-ms-client-request-id"] = "client-1";
    request.headers["x-ms-correlation-request-id"] = "correlation-1";
    const Reply reply = world.send(request);
    EXPECT_EQ(reply.headers.at("x-ms-client-request-id"), "client-1");
    EXPECT_EQ(reply.headers.at("x-ms-correlation-request-id"), "correlation-1");
    EXPECT_TRUE(is_uuid(reply.headers.at("x-ms-request-id")));
    EXPECT_EQ(reply.headers.at("content-type"), "application/json; charset=utf-8");
    request.headers["x-ms-client-request-id"] = "bad\r\nset-cookie: x";
    request.headers["x-ms-correlation-request-id"] = std::string(1000, 'a');
    const Reply other = world.send(request);
    EXPECT_FALSE(other.headers.contains("x-ms-client-request-id"));
    EXPECT_EQ(other.headers.at("x-ms-correlation-request-id"), other.headers.at("x-ms-request-id"));
}

/// With HOWDAH_UPDATE_DOCS in the environment it writes the table instead of comparing it.
TEST(routing, the_reference_lists_what_the_table_of_routes_has) {
    const std::string path = test::source_dir() + "/docs/reference/api.md";
    std::stringstream read;
    read << std::ifstream(path).rdbuf();
    const std::string text = read.str();
    const std::string table = Api::operations_table();
    const std::string head = table.substr(0, table.find('\n') + 1);
    const std::size_t begin = text.find(head);
    ASSERT_NE(begin, std::string::npos) << path << " has no table of operations";
    const std::size_t gap = text.find("\n\n", begin);
    const std::size_t end = gap == std::string::npos ? text.size() : gap + 1;
    if (std::getenv("HOWDAH_UPDATE_DOCS") != nullptr)
        std::ofstream(path) << text.substr(0, begin) << table << text.substr(end);
    else
        EXPECT_EQ(text.substr(begin, end - begin), table)
            << "write it anew: HOWDAH_UPDATE_DOCS=1 test_api --gtest_filter=routing.*";
}

TEST(names, of_other_types_are_told_apart) {
    World world;
    const auto code = [&](const char* type) {
        return world.call("POST", "{L}/checkNameAvailability", {{"name", "free"}, {"type", type}})
            .code();
    };
    EXPECT_EQ(code("Microsoft.DBforPostgreSQL/flexibleServers/virtualendpoints"),
              "FeatureNotSupported");
    EXPECT_EQ(code("Microsoft.DBforPostgreSQL/nothing"), "InvalidParameterValue");
}

TEST(routing, the_newest_az_is_answered_in_the_shape_of_the_newest_stable_version) {
    World world;
    world.make_group();
    world.make_server();
    const std::string path = "{P}/flexibleServers/pg1?api-version=";
    const Reply preview = world.call("GET", path + "2026-04-01-preview");
    ASSERT_EQ(preview.status, 200) << preview.text;
    EXPECT_EQ(preview.body, world.call("GET", path + "2025-08-01").body);
}

TEST(names, are_checked_before_a_server_is_made) {
    World world;
    world.make_group();
    world.make_server();
    for (const char* path : {"{S}/providers/Microsoft.DBforPostgreSQL/checkNameAvailability",
                             "{L}/checkNameAvailability"}) {
        const auto check = [&](const char* name) {
            const Reply reply =
                world.call("POST", path,
                           {{"name", name}, {"type", "Microsoft.DBforPostgreSQL/flexibleServers"}});
            EXPECT_EQ(reply.status, 200) << reply.text;
            return reply.body;
        };
        EXPECT_EQ(check("free"), Body::parse(R"({"nameAvailable":true,"message":"","name":"free",
                      "type":"Microsoft.DBforPostgreSQL/flexibleServers"})"));
        EXPECT_EQ(check("pg1")["reason"], "AlreadyExists");
        EXPECT_EQ(check("No Good")["reason"], "Invalid");
        EXPECT_EQ(world.call("POST", path, Body::object()).target(), "name");
        EXPECT_EQ(world.call("POST", path, {{"name", "a"}, {"type", "x"}}).target(), "type");
    }
    EXPECT_EQ(world
                  .call("POST",
                        "{S}/providers/Microsoft.DBforPostgreSQL/locations/mars/"
                        "checkNameAvailability",
                        {{"name", "free"}})
                  .code(),
              "LocationNotAvailableForResourceType");
}

TEST(capabilities, name_what_the_machines_have_in_the_newest_shape) {
    World world;
    world.make_group();
    world.make_server();
    for (const char* path : {"{L}/capabilities", "{P}/flexibleServers/pg1/capabilities"}) {
        const Reply reply = world.call("GET", path);
        ASSERT_EQ(reply.body["value"].size(), 1U) << reply.text;
        const Body& all = reply.body["value"][0];
        EXPECT_EQ(all["supportedServerVersions"][0]["name"], "15");
        EXPECT_EQ(all["supportedServerVersions"][1]["name"], "17");
        EXPECT_EQ(all["geoBackupSupported"], "Disabled");
        EXPECT_EQ(all["restricted"], "Disabled");
        bool found = false;
        for (const Body& edition : all["supportedServerEditions"]) {
            EXPECT_FALSE(edition["supportedServerSkus"].empty());
            const Body& sizes = edition["supportedStorageEditions"][0]["supportedStorageMb"];
            EXPECT_EQ(sizes[0]["storageSizeMb"], 32768);
            EXPECT_EQ(sizes.back()["storageSizeMb"], 131072) << "the disk has 200 GB";
            EXPECT_EQ(sizes[0]["supportedIopsTiers"][0]["name"], "P4");
            EXPECT_EQ(sizes[0]["supportedIopsTiers"].back()["name"], "P50");
            for (const Body& sku : edition["supportedServerSkus"]) {
                EXPECT_LE(sku["vCores"], 4);
                EXPECT_TRUE(sku["supportedHaMode"].empty());
                EXPECT_EQ(sku["supportedZones"], Body::array({"1"}));
                found = found || sku["name"] == "Standard_D2ds_v5";
            }
        }
        EXPECT_TRUE(found);
    }
}

TEST(capabilities, name_what_the_machines_have_in_the_old_shape) {
    World world;
    const Reply reply = world.call("GET", "{L}/capabilities", nullptr, kOldVersion);
    ASSERT_EQ(reply.body["value"].size(), 1U) << reply.text;
    const Body& all = reply.body["value"][0];
    EXPECT_EQ(all["zone"], "1");
    EXPECT_EQ(all["geoBackupSupported"], false);
    EXPECT_EQ(all["supportedHAMode"], Body::array());
    const Body& edition = all["supportedFlexibleServerEditions"][0];
    EXPECT_EQ(edition["name"], "Burstable");
    EXPECT_EQ(edition["supportedServerVersions"][0]["name"], "15");
    EXPECT_EQ(edition["supportedServerVersions"][0]["supportedVcores"][0]["name"], "Standard_B1ms");
    EXPECT_EQ(edition["supportedStorageEditions"][0]["supportedStorageMB"][0]["storageSizeMB"],
              32768);
}

TEST(capabilities, follow_the_reports_of_the_machines) {
    World world;
    model::HostReport report = World::host();
    report.engines.pop_back();
    world.call("GET", "{L}/capabilities");
    world.put_host(report);
    const Reply reply = world.call("GET", "{L}/capabilities");
    EXPECT_EQ(reply.body["value"][0]["supportedServerVersions"].size(), 1U);
}

TEST(operations, list_what_is_built) {
    World world;
    const Reply reply = world.call("GET", "/providers/Microsoft.DBforPostgreSQL/operations");
    std::set<std::string> names;
    for (const Body& each : reply.body["value"]) names.insert(each["name"]);
    EXPECT_TRUE(names.contains("Microsoft.DBforPostgreSQL/flexibleServers/write"));
    EXPECT_TRUE(names.contains("Microsoft.DBforPostgreSQL/flexibleServers/databases/read"));
    EXPECT_TRUE(names.contains("Microsoft.DBforPostgreSQL/flexibleServers/backups/write"));
    EXPECT_FALSE(names.contains("Microsoft.DBforPostgreSQL/flexibleServers/migrations/write"));
}

}  // namespace
}  // namespace howdah::api
