#include <fmt/core.h>
#include <gtest/gtest.h>

#include "api/api_support.h"
#include "api/auth/token_trust.h"
#include "model/json.h"

namespace howdah::api {
namespace {

constexpr const char* kServer = "{P}/flexibleServers/pg1";
constexpr const char* kAda = "11111111-2222-4333-8444-555555555555";
constexpr const char* kBob = "22222222-2222-4333-8444-555555555555";

std::string at(const std::string& object) {
    return std::string(kServer) + "/administrators/" + object;
}

Body administrator(const std::string& role, const std::string& type = "User") {
    return {{"properties", {{"principalName", role}, {"principalType", type}}}};
}

class Administrators : public testing::Test {
  protected:
    Administrators() {
        world.make_group();
        world.make_server();
        switch_to("Enabled", "Enabled");
    }
    Reply switch_to(const std::string& directory, const std::string& password) {
        Reply reply = world.call(
            "PATCH", kServer,
            {{"properties",
              {{"authConfig", {{"activeDirectoryAuth", directory}, {"passwordAuth", password}}}}}});
        if (reply.status == 202) world.finish();
        return reply;
    }
    World world;
};

TEST_F(Administrators, live_in_the_server_and_are_shown_in_azures_shape) {
    const Reply made = world.call("PUT", at("11111111-2222-4333-8444-55555555555A"),
                                  administrator("ada@example.org"));
    ASSERT_EQ(made.status, 202) << made.text;
    EXPECT_TRUE(made.headers.contains("azure-asyncoperation"));
    const std::string object = "11111111-2222-4333-8444-55555555555a";
    EXPECT_EQ(made.body["name"], object);
    EXPECT_EQ(made.body["id"], world.expand(at(object)));
    EXPECT_EQ(made.body["properties"], (Body{{"principalType", "User"},
                                             {"principalName", "ada@example.org"},
                                             {"objectId", object},
                                             {"tenantId", world.boot.tenant_id}}));
    world.finish();
    const Reply shown = world.call("GET", "{L}/operationResults/" + World::operation_of(made));
    EXPECT_EQ(shown.body, made.body);
    EXPECT_EQ(world.call("GET", at(object)).body, made.body);
    EXPECT_EQ(world.call("GET", std::string(kServer) + "/administrators").body["value"],
              Body::array({made.body}));
    ASSERT_EQ(world.spec().token_administrators.size(), 1U);
    EXPECT_EQ(world.call("PUT", at(object), administrator("ada")).status, 202);
    ASSERT_EQ(world.spec().token_administrators.size(), 1U);
    EXPECT_EQ(world.spec().token_administrators[0].role, "ada");
    EXPECT_EQ(world.call("DELETE", at(object)).status, 202);
    EXPECT_TRUE(world.spec().token_administrators.empty());
    EXPECT_EQ(world.call("DELETE", at(object)).status, 204);
    EXPECT_EQ(world.call("GET", at(object)).code(), "ResourceNotFound");
}

TEST_F(Administrators, share_no_name_with_each_other_the_password_administrator_or_postgresql) {
    ASSERT_EQ(world.call("PUT", at(kAda), administrator("ada")).status, 202);
    EXPECT_EQ(world.call("PUT", at(kBob), administrator("ada")).code(), "Conflict");
    EXPECT_EQ(world.call("PUT", at(kBob), administrator("Ada")).status, 202);
    const std::string login = world.spec().administrator_login;
    EXPECT_EQ(world.call("PUT", at(kBob), administrator(login)).code(), "Conflict");
    for (const char* name : {"howdah", "HOWDAH_token_role", "azure_pg_admin", "pg_monitor", "/x",
                             "a\"b", "a\\b", "public", " x"}) {
        const Reply reply = world.call("PUT", at(kBob), administrator(name));
        EXPECT_EQ(reply.status, 400) << name << reply.text;
        EXPECT_EQ(reply.target(), "properties.principalName") << name;
    }
}

TEST_F(Administrators, are_principals_of_this_tenant_that_exist) {
    const auto code = [&](Body body) { return world.call("PUT", at(kAda), body).code(); };
    EXPECT_EQ(code(administrator("x", "Group")), "FeatureNotSupported");
    EXPECT_EQ(code(administrator("x", "Unknown")), "InvalidParameterValue");
    EXPECT_EQ(code(administrator("x", "ServicePrincipal")), "PrincipalNotFound");
    Body foreign = administrator("x");
    foreign["properties"]["tenantId"] = kBob;
    EXPECT_EQ(code(foreign), "InvalidParameterValue");
    EXPECT_EQ(world.call("PUT", at("ada"), administrator("x")).code(), "InvalidParameterValue");
    EXPECT_TRUE(world.spec().token_administrators.empty());
}

TEST_F(Administrators, need_authentication_by_tokens_and_outlive_its_absence) {
    ASSERT_EQ(world.call("PUT", at(kAda), administrator("ada")).status, 202);
    ASSERT_EQ(switch_to("Disabled", "Enabled").status, 202);
    const Reply refused = world.call("PUT", at(kBob), administrator("bob"));
    EXPECT_EQ(refused.status, 400);
    EXPECT_EQ(refused.target(), "properties.authConfig.activeDirectoryAuth");
    EXPECT_EQ(world.spec().token_administrators.size(), 1U);
    EXPECT_EQ(switch_to("Disabled", "Disabled").target(), "properties.authConfig");
    EXPECT_EQ(switch_to("Enabled", "Disabled").status, 202);
    EXPECT_EQ(world.spec().auth.tenant_id, world.boot.tenant_id);
}

TEST(administrators, a_server_without_password_logins_needs_no_password) {
    World world;
    world.make_group();
    Body body = World::server_body();
    body["properties"].erase("administratorLogin");
    body["properties"].erase("administratorLoginPassword");
    EXPECT_EQ(world.call("PUT", kServer, body).target(), "properties.administratorLogin");
    body["properties"]["authConfig"] = {{"activeDirectoryAuth", "Enabled"},
                                        {"passwordAuth", "Disabled"}};
    ASSERT_EQ(world.call("PUT", kServer, body).status, 202);
    EXPECT_TRUE(world.spec().administrator_login.empty());
    EXPECT_TRUE(world.spec().sealed_verifier.empty());
    world.finish();
    const Body on = {{"properties", {{"authConfig", {{"passwordAuth", "Enabled"}}}}}};
    EXPECT_EQ(world.call("PATCH", kServer, on).target(), "properties.administratorLogin");
    Body with = on;
    with["properties"]["administratorLogin"] = "boss";
    EXPECT_EQ(world.call("PATCH", kServer, with).target(), "properties.administratorLoginPassword");
    with["properties"]["administratorLoginPassword"] = "Pa55w0rd!";
    ASSERT_EQ(world.call("PATCH", kServer, with).status, 202);
    EXPECT_EQ(world.spec().administrator_login, "boss");
    EXPECT_FALSE(world.spec().sealed_verifier.empty());
}

TEST(token_trust, is_another_one_with_every_key_and_issuer) {
    KeySet keys;
    keys.keys = {{"key-1", Secret("private"), "public"}};
    const model::TokenTrust one = token_trust(keys, "https://a/v2.0", "tenant");
    EXPECT_EQ(model::to_json(one).find("private"), std::string::npos);
    EXPECT_EQ(one, token_trust(keys, "https://a/v2.0", "tenant"));
    EXPECT_NE(one.version, token_trust(keys, "https://b/v2.0", "tenant").version);
    keys.keys.push_back({"key-2", Secret("private"), "public"});
    EXPECT_NE(one.version, token_trust(keys, "https://a/v2.0", "tenant").version);
}

}  // namespace
}  // namespace howdah::api
