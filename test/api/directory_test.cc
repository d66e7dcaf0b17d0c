#include <fmt/core.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/api_support.h"
#include "api/auth/principal.h"
#include "base/text.h"
#include "http/client.h"

/// Identities of programs, as `az ad sp` manages them through Microsoft Graph.
namespace howdah::api {
namespace {

constexpr const char* kReader = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
constexpr const char* kContributor = "b24988ac-6180-42a0-ab88-20f7382dd24c";

class Directory : public testing::Test {
  protected:
    Reply graph(const std::string& method, const std::string& path, const Body& body = nullptr) {
        return world.call(method, "/v1.0/" + path, body, "");
    }
    Reply login(const std::string& app_id, const std::string& secret) {
        return world.login(
            fmt::format("client_id={}&client_secret={}&grant_type=client_credentials"
                        "&scope=https%3A%2F%2Flocalhost%3A8443%2F%2F.default",
                        app_id, http::url_encode(secret)));
    }
    Reply as(const std::string& token, const std::string& method, const std::string& path,
             const Body& body = nullptr, const std::string& version = kManagerVersion) {
        http::Request request =
            world.request(method, path, body.is_null() ? "" : body.dump(), version);
        request.headers["authorization"] = "Bearer " + token;
        return world.send(std::move(request));
    }
    void assign(const std::string& scope, const std::string& role, const std::string& principal) {
        const Reply reply = world.call(
            "PUT", scope + "/providers/Microsoft.Authorization/roleAssignments/" + world.ids.uuid(),
            {{"properties",
              {{"roleDefinitionId", "/providers/Microsoft.Authorization/roleDefinitions/" + role},
               {"principalId", principal}}}},
            "2022-04-01");
        ASSERT_EQ(reply.status, 201) << reply.text;
    }

    World world;
};

/// Clients find Graph in the description of the cloud, and ask for a token for what stands there.
TEST_F(Directory, stands_where_the_description_of_the_cloud_says_with_tokens_for_it_alone) {
    const Body cloud = world.call("GET", "/metadata/endpoints?api-version=2022-09-01").body;
    const std::string graph_id = cloud["microsoftGraphResourceId"];
    const std::string base = "https://localhost:8443";
    ASSERT_EQ(graph_id.substr(0, base.size()), base);
    const std::string place = graph_id.substr(base.size());
    const Reply given = world.login(
        fmt::format("client_id={}&client_secret={}&grant_type=client_credentials&scope={}",
                    world.boot.client_id, http::url_encode(world.boot.client_secret->reveal()),
                    http::url_encode(graph_id + "/.default")));
    ASSERT_EQ(given.status, 200) << given.text;
    const std::string token = given.body["access_token"];
    for (int round = 0; round < 2; ++round) {  // a new token, and one that was seen before
        for (const char* path : {"/v1.0/servicePrincipals", "//V1.0/applications"}) {
            const Reply list = as(token, "GET", place + path, nullptr, "");
            EXPECT_EQ(list.status, 200) << path << list.text;
        }
        EXPECT_EQ(as(token, "GET", "{S}").code(), "InvalidAuthenticationToken");
        EXPECT_EQ(as(token, "GET", "/v1.0/applications", nullptr, "").status, 401);
        EXPECT_EQ(as(token, "PUT", "{S}/resourceGroups/g", {{"location", "local"}}).status, 401);
        for (const char* path :
             {"{S}", "v1.0", "v1.0{S}", "v1.0/v1.0/applications", "x/{S}",
              "v1.0/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01",
              "v1.0{S}/providers/Microsoft.Authorization/locks?api-version=2016-09-01"}) {
            const Reply refused = as(token, "GET", place + "/" + path);
            EXPECT_TRUE(refused.status == 401 || refused.status == 404) << path << refused.text;
        }
        EXPECT_EQ(as(world.token, "GET", place + "/v1.0/applications", nullptr, "").status, 401);
    }
    const Reply made =
        as(token, "POST", place + "/v1.0/applications", {{"displayName", "by graph"}}, "");
    EXPECT_EQ(made.status, 201) << made.text;
}

/// The requests of `az ad sp create-for-rbac` and what people do afterwards.
TEST_F(Directory, a_service_principal_is_made_used_rotated_and_deleted) {
    EXPECT_TRUE(
        graph("GET", "applications?$filter=displayName%20eq%20%27ci%27").body["value"].empty());
    const Reply made = graph("POST", "applications", {{"displayName", "ci"}});
    ASSERT_EQ(made.status, 201) << made.text;
    const std::string app_id = made.body["appId"];
    const std::string application = "applications/" + made.body["id"].get<std::string>();
    const Reply password =
        graph("POST", application + "/addPassword",
              {{"passwordCredential",
                {{"displayName", "rbac"}, {"endDateTime", "2030-01-01T00:00:00Z"}}}});
    ASSERT_EQ(password.status, 200) << password.text;
    const std::string secret = password.body["secretText"];
    EXPECT_GE(secret.size(), 40U);
    EXPECT_EQ(login(app_id, secret).status, 401) << "no service principal yet";
    const Reply principal = graph("POST", "servicePrincipals", {{"appId", app_id}});
    ASSERT_EQ(principal.status, 201) << principal.text;
    const std::string object_id = principal.body["id"];
    EXPECT_EQ(graph("POST", "servicePrincipals", {{"appId", app_id}}).status, 409);
    const Reply token = login(app_id, secret);
    ASSERT_EQ(token.status, 200) << token.text;
    const std::string bearer = token.body["access_token"];
    EXPECT_TRUE(as(bearer, "GET", "/subscriptions").body["value"].empty()) << "no role yet";
    assign("{S}", kReader, object_id);
    EXPECT_EQ(as(bearer, "GET", "/subscriptions").body["value"].size(), 1U);

    const Reply second = graph("POST", application + "/addPassword");
    ASSERT_EQ(second.status, 200) << second.text;
    const Reply gone =
        graph("POST", application + "/removePassword", {{"keyId", password.body["keyId"]}});
    EXPECT_EQ(gone.status, 204) << gone.text;
    EXPECT_EQ(login(app_id, secret).status, 401);
    EXPECT_EQ(login(app_id, second.body["secretText"]).status, 200);
    const std::string shown = graph("GET", application).text + graph("GET", "applications").text;
    EXPECT_EQ(shown.find(secret), std::string::npos);
    EXPECT_EQ(shown.find("SCRAM"), std::string::npos);
    EXPECT_EQ(shown.find("sealed"), std::string::npos);
    const Reply same = graph("GET", "servicePrincipals/" + object_id);
    ASSERT_EQ(same.body["passwordCredentials"].size(), 1U) << "az resets what it finds here";
    EXPECT_EQ(same.body["passwordCredentials"][0]["keyId"], second.body["keyId"]);
    EXPECT_EQ(same.text.find("SCRAM"), std::string::npos);

    EXPECT_EQ(graph("DELETE", "servicePrincipals/" + object_id).status, 204);
    EXPECT_EQ(as(bearer, "GET", "/subscriptions").status, 401) << "its tokens end at once";
    EXPECT_EQ(graph("GET", application).code(), "Request_ResourceNotFound");
    const Reply assignments = world.call(
        "GET", "{S}/providers/Microsoft.Authorization/roleAssignments", nullptr, "2022-04-01");
    EXPECT_EQ(assignments.text.find(object_id), std::string::npos);
}

TEST(client_secrets, begin_with_no_hyphen) {
    SystemIdSource ids;
    for (int i = 0; i < 2000; ++i) EXPECT_NE(new_client_secret(ids).reveal().front(), '-');
}

TEST_F(Directory, an_application_gets_another_name_and_keeps_all_else) {
    const Reply made = graph("POST", "applications", {{"displayName", "first"}});
    const std::string path = "applications/" + made.body["id"].get<std::string>();
    EXPECT_EQ(graph("PATCH", path, {{"displayName", "second"}}).status, 204);
    EXPECT_EQ(graph("GET", path).body["displayName"], "second");
    EXPECT_EQ(graph("GET", path).body["appId"], made.body["appId"]);
    EXPECT_EQ(graph("PATCH", path, {{"displayName", ""}}).status, 400);
    EXPECT_EQ(graph("PATCH", path, {{"appId", world.ids.uuid()}}).status, 400);
    EXPECT_EQ(graph("PATCH", "applications/" + world.ids.uuid(), {{"displayName", "x"}}).status,
              404);
    EXPECT_EQ(graph("GET", path).body["displayName"], "second");
}

TEST_F(Directory, principals_are_found_as_az_asks_for_them) {
    const Reply made = graph("POST", "applications", {{"displayName", "deploy bot"}});
    const std::string app_id = made.body["appId"];
    const auto count = [&](const std::string& what) {
        return graph("GET", what).body["value"].size();
    };
    EXPECT_EQ(count("servicePrincipals?$filter=servicePrincipalNames%2Fany%28c%3Ac%20eq%20%27" +
                    world.boot.client_id + "%27%29"),
              1U);
    EXPECT_EQ(count("servicePrincipals"), 1U) << "an application is no service principal";
    EXPECT_EQ(count("applications"), 2U);
    EXPECT_EQ(count("applications?$filter=appId%20eq%20%27" + app_id + "%27"), 1U);
    EXPECT_EQ(count("applications?$filter=startswith%28displayName%2C%27Deploy%27%29"), 1U);
    EXPECT_EQ(graph("GET", "applications?$filter=color%20eq%20%27red%27").status, 400);
    const Reply self =
        graph("GET", "servicePrincipals?$filter=appId%20eq%20%27" + world.boot.client_id + "%27");
    const std::string object_id = self.body["value"][0]["id"];
    const Reply names = graph("POST", "directoryObjects/getByIds",
                              {{"ids", {object_id, app_id}}, {"types", {"servicePrincipal"}}});
    ASSERT_EQ(names.body["value"].size(), 1U) << names.text;
    EXPECT_EQ(names.body["value"][0]["displayName"], "howdah-admin");
}

TEST_F(Directory, only_who_manages_identities_may_change_them) {
    const Reply made = graph("POST", "applications", {{"displayName", "worker"}});
    const std::string app_id = made.body["appId"];
    const std::string secret =
        graph("POST", "applications/" + app_id + "/addPassword").body["secretText"];
    const std::string object_id =
        graph("POST", "servicePrincipals", {{"appId", app_id}}).body["id"];
    assign("", kContributor, object_id);
    const std::string bearer = login(app_id, secret).body["access_token"];
    EXPECT_EQ(as(bearer, "GET", "/v1.0/applications", nullptr, "").status, 200);
    EXPECT_EQ(as(bearer, "POST", "/v1.0/applications", {{"displayName", "x"}}, "").status, 403);
    EXPECT_EQ(as(bearer, "POST", "/v1.0/applications/" + world.boot.client_id + "/addPassword",
                 nullptr, "")
                  .status,
              403)
        << "else it would become the owner";
    EXPECT_EQ(
        as(bearer, "DELETE", "/v1.0/applications/" + world.boot.client_id, nullptr, "").status,
        403);
}

TEST_F(Directory, the_last_owner_and_what_is_bounded) {
    EXPECT_EQ(graph("DELETE", "applications/" + world.boot.client_id).code(),
              "OperationNotAllowed");
    const std::string app_id =
        graph("POST", "applications", {{"displayName", "many"}}).body["appId"];
    for (int i = 0; i < 10; ++i)
        EXPECT_EQ(graph("POST", "applications/" + app_id + "/addPassword").status, 200);
    EXPECT_EQ(graph("POST", "applications/" + app_id + "/addPassword").code(), "QuotaExceeded");
    for (const Body& bad :
         {Body{{"passwordCredential", {{"endDateTime", "2001-01-01T00:00:00Z"}}}},
          Body{{"passwordCredential", {{"endDateTime", "never"}}}}, Body{{"other", 1}}})
        EXPECT_EQ(graph("POST", "applications/" + app_id + "/addPassword", bad).status, 400);
    EXPECT_EQ(graph("POST", "applications", {{"displayName", ""}}).status, 400);
    for (const Body& bad : {Body{{"displayName", "x"}, {"web", {{"redirectUris", {"y"}}}}},
                            Body{{"displayName", "x"}, {"isFallbackPublicClient", true}},
                            Body{{"displayName", "x"}, {"signInAudience", "Everybody"}}})
        EXPECT_EQ(graph("POST", "applications", bad).status, 400) << bad.dump();
    EXPECT_EQ(graph("POST", "applications",
                    {{"displayName", "x"}, {"web", Body::object()}, {"appRoles", Body::array()}})
                  .status,
              201);
    EXPECT_EQ(graph("GET", "applications/none").status, 404);
    EXPECT_EQ(graph("POST", "applications/" + app_id + "/removePassword", {{"keyId", "x"}}).status,
              400);
}

TEST_F(Directory, changes_are_in_the_activity_log_of_the_tenant_and_secrets_are_not) {
    const std::string app_id =
        graph("POST", "applications", {{"displayName", "seen"}}).body["appId"];
    const Reply password = graph("POST", "applications/" + app_id + "/addPassword");
    const Reply log = world.call(
        "GET", "/providers/Microsoft.Insights/eventtypes/management/values", nullptr, "2015-04-01");
    ASSERT_EQ(log.status, 200) << log.text;
    EXPECT_NE(log.text.find("Microsoft.Graph/applications/addPassword/action"), std::string::npos);
    EXPECT_NE(log.text.find("Microsoft.Graph/applications/write"), std::string::npos);
    EXPECT_EQ(log.text.find(password.body["secretText"].get<std::string>()), std::string::npos);
}

}  // namespace
}  // namespace howdah::api
