#include <gtest/gtest.h>

#include "api/api_support.h"

// Tags as a resource of their own, as `az tag` and the SDKs use them.

namespace howdah::api {
namespace {

constexpr const char* kServer = "{P}/flexibleServers/pg1";
constexpr const char* kGroup = "{S}/resourceGroups/rg1";

class TagsOfScopes : public ::testing::Test {
  protected:
    TagsOfScopes() {
        world.make_group();
        world.make_server();
    }

    Reply tags(const std::string& method, const std::string& scope, const Body& body = nullptr) {
        return world.call(method, scope + "/providers/Microsoft.Resources/tags/default", body,
                          kManagerVersion);
    }
    static Body wanted(const Body& tags, const char* operation = nullptr) {
        Body body = {{"properties", {{"tags", tags}}}};
        if (operation != nullptr) body["operation"] = operation;
        return body;
    }

    World world;
};

TEST_F(TagsOfScopes, are_those_of_the_server_and_of_the_group) {
    for (const char* scope : {kServer, kGroup}) {
        const std::string version = scope == kServer ? kNewVersion : kManagerVersion;
        const auto own = [&] { return world.call("GET", scope, nullptr, version).body["tags"]; };
        const Reply none = tags("GET", scope);
        ASSERT_EQ(none.status, 200) << none.text;
        EXPECT_EQ(none.body["id"],
                  world.expand(scope) + "/providers/Microsoft.Resources/tags/default");
        EXPECT_EQ(none.body["name"], "default");
        EXPECT_EQ(none.body["type"], "Microsoft.Resources/tags");
        EXPECT_EQ(none.body["properties"]["tags"], Body::object());

        EXPECT_EQ(tags("PUT", scope, wanted({{"a", "1"}, {"b", "2"}})).status, 200);
        EXPECT_EQ(own(), (Body{{"a", "1"}, {"b", "2"}}));
        const Reply merged = tags("PATCH", scope, wanted({{"B", "3"}, {"c", "4"}}, "Merge"));
        EXPECT_EQ(merged.body["properties"]["tags"], (Body{{"B", "3"}, {"a", "1"}, {"c", "4"}}))
            << merged.text;
        EXPECT_EQ(own(), merged.body["properties"]["tags"]);
        EXPECT_EQ(tags("PATCH", scope, wanted({{"a", "other"}, {"b", ""}, {"c", "4"}}, "delete"))
                      .body["properties"]["tags"],
                  (Body{{"a", "1"}}))
            << "by name and value, or by name";
        EXPECT_EQ(tags("PATCH", scope, wanted({{"x", "y"}}, "Replace")).status, 200);
        EXPECT_EQ(own(), (Body{{"x", "y"}}));
        const Reply gone = tags("DELETE", scope);
        EXPECT_EQ(gone.status, 200) << gone.text;
        EXPECT_EQ(own(), Body::object());
    }
    EXPECT_EQ(world.spec().administrator_login, "elephant") << "nothing else changes";
}

TEST_F(TagsOfScopes, that_are_wrong_are_refused_and_change_nothing) {
    ASSERT_EQ(tags("PUT", kServer, wanted({{"a", "1"}})).status, 200);
    EXPECT_EQ(tags("PATCH", kServer, wanted({{"b", "1"}})).target(), "operation");
    EXPECT_EQ(tags("PATCH", kServer, wanted({{"b", "1"}}, "Frob")).target(), "operation");
    EXPECT_EQ(tags("PATCH", kServer, {{"operation", "Merge"}}).target(), "properties.tags");
    EXPECT_EQ(tags("PUT", kServer, Body::object()).target(), "properties.tags");
    EXPECT_EQ(tags("PUT", kServer, {{"tags", {{"b", "1"}}}}).target(), "tags");
    EXPECT_EQ(tags("PUT", kServer, wanted({{"b<c", "1"}})).status, 400);
    Body many = Body::object();
    for (int i = 0; i < 50; ++i) many["t" + std::to_string(i)] = "x";
    EXPECT_EQ(tags("PATCH", kServer, wanted(many, "Merge")).status, 400) << "51 of them";
    EXPECT_EQ(tags("GET", kServer).body["properties"]["tags"], (Body{{"a", "1"}}));
    EXPECT_EQ(tags("GET", "{P}/flexibleServers/none").status, 404);
    EXPECT_EQ(tags("PUT", "{S}/resourceGroups/none", wanted(Body::object())).status, 404);
    EXPECT_GE(
        tags("PUT", "{P}/flexibleServers/pg1/databases/postgres", wanted(Body::object())).status,
        400);
}

TEST_F(TagsOfScopes, of_a_subscription_are_none_and_cannot_be_set) {
    EXPECT_EQ(tags("GET", "{S}").body["properties"]["tags"], Body::object());
    EXPECT_EQ(tags("PUT", "{S}", wanted({{"a", "b"}})).code(), "FeatureNotSupported");
    EXPECT_EQ(tags("PATCH", "{S}", wanted({{"a", "b"}}, "Merge")).code(), "FeatureNotSupported");
}

TEST_F(TagsOfScopes, are_listed_by_name_and_value) {
    world.make_server("pg2");
    ASSERT_EQ(tags("PUT", kServer, wanted({{"env", "prod"}, {"team", "red"}})).status, 200);
    ASSERT_EQ(tags("PUT", "{P}/flexibleServers/pg2", wanted({{"env", "prod"}})).status, 200);
    ASSERT_EQ(tags("PUT", kGroup, wanted({{"env", "test"}})).status, 200);
    const Reply list = world.call("GET", "{S}/tagNames", nullptr, kManagerVersion);
    ASSERT_EQ(list.body["value"].size(), 2U) << list.text;
    const Body& env = list.body["value"][0];
    EXPECT_EQ(env["tagName"], "env");
    EXPECT_EQ(env["count"]["value"], 3);
    ASSERT_EQ(env["values"].size(), 2U);
    EXPECT_EQ(env["values"][0]["tagValue"], "prod");
    EXPECT_EQ(env["values"][0]["count"]["value"], 2);
}

TEST_F(TagsOfScopes, are_locked_with_what_they_are_of) {
    ASSERT_EQ(world
                  .call("PUT", std::string(kServer) + "/providers/Microsoft.Authorization/locks/l",
                        {{"properties", {{"level", "ReadOnly"}}}}, "2016-09-01")
                  .status,
              201);
    EXPECT_EQ(tags("PUT", kServer, wanted({{"a", "b"}})).code(), "ScopeLocked");
    EXPECT_EQ(tags("PUT", kGroup, wanted({{"a", "b"}})).status, 200);
}

TEST_F(TagsOfScopes, and_deny_assignments_of_which_there_are_none) {
    const std::string path = "/providers/Microsoft.Authorization/denyAssignments";
    for (const char* scope : {"{S}", kGroup, kServer}) {
        const Reply reply = world.call("GET", scope + path, nullptr, "2022-04-01");
        EXPECT_EQ(reply.body, Body::parse(R"({"value":[]})")) << reply.text;
    }
    EXPECT_EQ(world.call("GET", "{S}/resourceGroups/none" + path, nullptr, "2022-04-01").status,
              404);
}

}  // namespace
}  // namespace howdah::api
