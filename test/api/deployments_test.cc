#include <gtest/gtest.h>

#include "api/api_support.h"
#include "api/deployments/deployment_store.h"
#include "api/deployments/view.h"
#include "api/deployments/what_if.h"
#include "store/keys.h"

namespace howdah::api {
namespace {

constexpr const char* kDeployment =
    "{S}/resourceGroups/rg1/providers/Microsoft.Resources/deployments/d1";
constexpr const char* kSecret = "Very-Secret-9";

Body server_resource(const std::string& name = "pg1") {
    Body resource = World::server_body();
    resource["type"] = "Microsoft.DBforPostgreSQL/flexibleServers";
    resource["apiVersion"] = kNewVersion;
    resource["name"] = name;
    return resource;
}

Body database_resource(const std::string& name = "app") {
    return {{"type", "Microsoft.DBforPostgreSQL/flexibleServers/databases"},
            {"apiVersion", kNewVersion},
            {"name", "pg1/" + name},
            {"dependsOn", {"[resourceId('Microsoft.DBforPostgreSQL/flexibleServers', 'pg1')]"}},
            {"properties", {{"charset", "UTF8"}, {"collation", "C"}}}};
}

/// Braces would make an object of a single one.
template <typename... Bodies>
Body template_of(const Bodies&... resources) {
    Body list = Body::array();
    (list.push_back(resources), ...);
    return {{"$schema",
             "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"},
            {"contentVersion", "1.0.0.0"},
            {"resources", list}};
}

Body request_with(const Body& source, const Body& parameters = Body::object(),
                  const std::string& mode = "Incremental") {
    return {{"properties", {{"mode", mode}, {"template", source}, {"parameters", parameters}}}};
}

Body nested(const Body& source) {
    return {{"type", "Microsoft.Resources/deployments"},
            {"apiVersion", "2022-09-01"},
            {"name", "inner"},
            {"properties",
             {{"mode", "Incremental"},
              {"expressionEvaluationOptions", {{"scope", "inner"}}},
              {"template", source}}}};
}

class Deployments : public testing::Test {
  protected:
    Deployments() { world.make_group(); }

    Reply put(const Body& body, const std::string& path = kDeployment) {
        return world.call("PUT", path, body, kManagerVersion);
    }
    Reply get(const std::string& path = kDeployment) {
        return world.call("GET", path, nullptr, kManagerVersion);
    }
    Reply post(const std::string& verb, const Body& body) {
        return world.call("POST", std::string(kDeployment) + verb, body, kManagerVersion);
    }
    std::string state(const std::string& path = kDeployment) {
        return get(path).body["properties"]["provisioningState"].get<std::string>();
    }
    void advance() {
        const Status status = world.api->advance_deployments();
        ASSERT_TRUE(status.ok()) << status.error().describe();
    }
    std::vector<std::string> keys(const std::string& prefix) {
        std::vector<std::string> out;
        const auto entries = world.store->list(prefix).value();
        for (const auto& each : entries) out.push_back(each.key);
        return out;
    }

    World world;
};

TEST_F(Deployments, bring_about_what_the_template_says_in_its_order) {
    const Reply made = put(request_with(template_of(database_resource(), server_resource())));
    ASSERT_EQ(made.status, 201) << made.text;
    EXPECT_EQ(made.body["properties"]["provisioningState"], "Accepted");
    ASSERT_TRUE(made.headers.contains("azure-asyncoperation"));
    EXPECT_EQ(world.call("GET", "{P}/flexibleServers/pg1").status, 404) << "nothing is done yet";
    advance();
    EXPECT_EQ(state(), "Running");
    EXPECT_EQ(world.call("GET", "{P}/flexibleServers/pg1").status, 200);
    EXPECT_EQ(world.call("GET", "{P}/flexibleServers/pg1/databases/app").status, 404)
        << "the server is not ready";
    world.finish();
    advance();
    EXPECT_EQ(state(), "Running");
    world.finish();
    advance();
    const Reply done = get();
    EXPECT_EQ(done.body["properties"]["provisioningState"], "Succeeded") << done.text;
    EXPECT_EQ(done.body["properties"]["outputResources"].size(), 2U);
    EXPECT_EQ(done.body["properties"]["dependencies"].size(), 1U);
    EXPECT_TRUE(keys("/running-deployment").empty());
    const std::string path = made.headers.at("azure-asyncoperation")
                                 .substr(std::string("https://localhost:8443").size());
    const Reply status = get(path.substr(path.find("/subscriptions")));
    EXPECT_EQ(status.body["status"], "Succeeded") << status.text;
}

TEST_F(Deployments, give_outputs_and_keep_what_is_secure_to_themselves) {
    Body source = template_of(server_resource());
    source["parameters"] = {{"password", {{"type", "secureString"}}},
                            {"name", {{"type", "string"}, {"defaultValue", "pg1"}}}};
    source["resources"][0]["name"] = "[parameters('name')]";
    source["resources"][0]["properties"]["administratorLoginPassword"] = "[parameters('password')]";
    source["outputs"] = {{"host",
                          {{"type", "string"},
                           {"value",
                            "[reference(resourceId('Microsoft.DBforPostgreSQL/flexibleServers', "
                            "parameters('name'))).fullyQualifiedDomainName]"}}},
                         {"leak", {{"type", "string"}, {"value", "[parameters('password')]"}}}};
    const Reply made = put(request_with(source, {{"password", {{"value", kSecret}}}}));
    ASSERT_EQ(made.status, 201) << made.text;
    advance();
    world.finish();
    advance();
    const Reply done = get();
    ASSERT_EQ(done.body["properties"]["provisioningState"], "Succeeded") << done.text;
    EXPECT_EQ(done.body["properties"]["outputs"]["host"]["type"], "String");
    EXPECT_NE(done.body["properties"]["outputs"]["host"]["value"].get<std::string>().find("pg1."),
              std::string::npos);
    EXPECT_EQ(done.text.find(kSecret), std::string::npos);
    const auto entries = world.store->list("/").value();
    for (const auto& each : entries)
        EXPECT_EQ(each.value.find(kSecret), std::string::npos) << each.key;
    const deployments::Where where{world.boot.subscription_id, "rg1", "d1"};
    const auto stored = deployments::find_deployment(*world.store, where).value();
    const auto sealed =
        world.store->get(store::keys::deployment_template(where.scope(), where.name)).value();
    const auto material =
        deployments::unseal_material(world.secrets, stored->record, sealed->value).value();
    EXPECT_TRUE(material.parameters.empty()) << "not even sealed, once it has ended";
}

TEST_F(Deployments, are_refused_before_anything_is_done) {
    const auto refused = [&](const Body& source, const std::string& code) {
        for (const char* verb : {"PUT", "POST"}) {
            const std::string path =
                std::string(kDeployment) + (*verb == 'P' && verb[1] == 'O' ? "/validate" : "");
            const Reply reply = world.call(verb, path, request_with(source), kManagerVersion);
            EXPECT_EQ(reply.status, 400) << reply.text;
            EXPECT_EQ(reply.code(), code) << reply.text;
        }
    };
    Body bad = template_of(server_resource());
    bad["resources"][0]["name"] = "[parameters('nobody')]";
    refused(bad, "InvalidTemplate");
    Body other = template_of(server_resource());
    other["resources"][0]["type"] = "Microsoft.Compute/virtualMachines";
    refused(other, "InvalidTemplateDeployment");
    Body old = template_of(server_resource());
    old["resources"][0]["apiVersion"] = "2011-01-01";
    refused(old, "InvalidTemplateDeployment");
    EXPECT_EQ(get().status, 404);
    EXPECT_EQ(get().code(), "DeploymentNotFound");
    EXPECT_TRUE(keys("/running-deployment").empty());
    const Body linked = {
        {"properties", {{"mode", "Incremental"}, {"templateLink", {{"uri", "https://x"}}}}}};
    EXPECT_EQ(put(linked).code(), "FeatureNotSupported");
    EXPECT_EQ(put(request_with(template_of()),
                  "{S}/resourceGroups/none/providers/Microsoft.Resources/deployments/d1")
                  .code(),
              "ResourceGroupNotFound");
}

TEST_F(Deployments, too_large_to_be_kept_are_refused) {
    Body source = template_of();
    source["variables"] = {{"a", std::string(700'000, 'a')}, {"b", std::string(700'000, 'b')}};
    const Reply reply = put(request_with(source));
    EXPECT_EQ(reply.status, 413) << reply.text;
    EXPECT_EQ(get().status, 404);
}

TEST_F(Deployments, end_with_outputs_that_are_too_large_to_be_kept) {
    Body source = template_of();
    source["variables"] = {{"long", std::string(600'000, 'a')}};
    source["outputs"] = {{"a", {{"type", "string"}, {"value", "[variables('long')]"}}}};
    ASSERT_EQ(put(request_with(source)).status, 201);
    advance();
    EXPECT_EQ(get().body["properties"]["error"]["code"], "DeploymentOutputTooLarge");
    EXPECT_TRUE(keys("/running-deployment").empty());
}

TEST_F(Deployments, may_depend_on_one_another_in_all_ways) {
    Body source = template_of();
    Body earlier = Body::array();
    for (int i = 0; i < 70; ++i) {
        Body database = database_resource("db" + std::to_string(i));
        database["dependsOn"] = earlier;
        earlier.push_back("pg1/db" + std::to_string(i));
        source["resources"].push_back(database);
    }
    const Reply made = put(request_with(source));
    ASSERT_EQ(made.status, 201) << made.text.substr(0, 500);
    std::size_t pairs = 0;
    for (const Body& each : made.body["properties"]["dependencies"])
        pairs += each["dependsOn"].size();
    EXPECT_EQ(pairs, deployments::kDependenciesShownMax) << "of 2415";
}

TEST_F(Deployments, that_fail_say_why_and_do_not_go_on) {
    Body server = server_resource();
    server["properties"]["storage"]["storageSizeGB"] = 33;
    ASSERT_EQ(put(request_with(template_of(server, database_resource()))).status, 201);
    advance();
    const Reply done = get();
    EXPECT_EQ(done.body["properties"]["provisioningState"], "Failed") << done.text;
    EXPECT_EQ(done.body["properties"]["error"]["code"], "DeploymentFailed");
    ASSERT_EQ(done.body["properties"]["error"]["details"].size(), 1U) << done.text;
    const Reply steps = get(std::string(kDeployment) + "/operations");
    ASSERT_EQ(steps.body["value"].size(), 1U) << steps.text;
    EXPECT_EQ(steps.body["value"][0]["properties"]["provisioningState"], "Failed");
    EXPECT_EQ(steps.body["value"][0]["properties"]["statusCode"], "BadRequest");
    const std::string id = steps.body["value"][0]["operationId"];
    EXPECT_EQ(get(std::string(kDeployment) + "/operations/" + id).status, 200);
}

TEST_F(Deployments, fail_with_the_resource_that_failed_later) {
    ASSERT_EQ(put(request_with(template_of(server_resource(), database_resource()))).status, 201);
    advance();
    world.fail_operations("pg1", {"ResourceExhausted", "no host has room", ""});
    advance();
    const Reply done = get();
    EXPECT_EQ(done.body["properties"]["provisioningState"], "Failed") << done.text;
    EXPECT_NE(done.text.find("o host has room"), std::string::npos) << done.text;
}

TEST_F(Deployments, are_overwritten_only_when_they_have_ended) {
    const Body body = request_with(template_of(server_resource()));
    ASSERT_EQ(put(body).status, 201);
    EXPECT_EQ(put(body).code(), "DeploymentActive");
    EXPECT_EQ(world.call("DELETE", kDeployment, nullptr, kManagerVersion).code(),
              "DeploymentActive");
    advance();
    world.finish();
    advance();
    ASSERT_EQ(state(), "Succeeded");
    EXPECT_EQ(put(body).status, 200);
    advance();
    world.finish();
    advance();
    EXPECT_EQ(state(), "Succeeded");
    EXPECT_EQ(post("/exportTemplate", nullptr).body["template"]["contentVersion"], "1.0.0.0");
    EXPECT_EQ(world.call("HEAD", kDeployment, nullptr, kManagerVersion).status, 204);
    EXPECT_EQ(world.call("DELETE", kDeployment, nullptr, kManagerVersion).status, 204);
    EXPECT_EQ(world.call("HEAD", kDeployment, nullptr, kManagerVersion).status, 404);
    EXPECT_TRUE(keys("/deployment").empty());
}

TEST_F(Deployments, can_be_cancelled_while_they_run) {
    ASSERT_EQ(put(request_with(template_of(server_resource(), database_resource()))).status, 201);
    advance();
    EXPECT_EQ(post("/cancel", nullptr).status, 204);
    advance();
    EXPECT_EQ(state(), "Canceled");
    EXPECT_EQ(post("/cancel", nullptr).status, 409);
    world.finish();
    advance();
    EXPECT_EQ(world.call("GET", "{P}/flexibleServers/pg1/databases/app").status, 404);
}

TEST_F(Deployments, go_on_where_they_were_after_a_restart) {
    Body source = template_of(server_resource(), database_resource());
    source["resources"][1]["name"] = "[concat('pg1/db', uniqueString(deployment().name))]";
    source["parameters"] = {{"made", {{"type", "string"}, {"defaultValue", "[newGuid()]"}}}};
    source["resources"][0]["tags"] = {{"made", "[parameters('made')]"}};
    ASSERT_EQ(put(request_with(source)).status, 201);
    advance();
    const std::string before = world.spec().tags.at("made");
    world.restart();
    world.finish();
    advance();
    world.finish();
    advance();
    EXPECT_EQ(state(), "Succeeded") << get().text;
    EXPECT_EQ(world.spec().tags.at("made"), before);
}

TEST_F(Deployments, of_mode_complete_are_refused_before_anything_is_lost) {
    world.make_server("old");
    const Body body = request_with(template_of(server_resource()), Body::object(), "Complete");
    EXPECT_EQ(put(body).code(), "FeatureNotSupported");
    EXPECT_EQ(post("/whatIf", body).code(), "FeatureNotSupported");
    Body inner = nested(template_of());
    inner["properties"]["mode"] = "Complete";
    ASSERT_EQ(put(request_with(template_of(inner))).status, 201);
    advance();
    EXPECT_EQ(state(), "Failed");
    EXPECT_FALSE(world.spec("old").deleting);
}

TEST_F(Deployments, that_are_asked_for_what_is_not_built_say_so_before_they_begin) {
    const Body endpoint = {{"type", "Microsoft.DBforPostgreSQL/flexibleServers/virtualendpoints"},
                           {"apiVersion", kNewVersion},
                           {"name", "pg1/e"},
                           {"properties", Body::object()}};
    const Reply reply = put(request_with(template_of(server_resource(), endpoint)));
    EXPECT_EQ(reply.code(), "InvalidTemplateDeployment") << reply.text;
    EXPECT_NE(reply.message().find("FeatureNotSupported"), std::string::npos) << reply.text;
}

TEST_F(Deployments, look_ahead_at_no_more_resources_than_one_template_may_have) {
    Body source = template_of(server_resource());
    for (int level = 0; level < 3; ++level) {
        Body inner = nested(source);
        inner["name"] = "[concat('inner', copyIndex())]";
        inner["copy"] = {{"name", "many"}, {"count", 30}};
        source = template_of(inner);
    }
    const Reply reply = post("/whatIf", request_with(source));
    EXPECT_EQ(reply.code(), "InvalidTemplateDeployment") << reply.text.substr(0, 300);
}

TEST_F(Deployments, keep_no_secret_of_a_refusal) {
    Body source = template_of(server_resource());
    source["parameters"] = {{"tier", {{"type", "secureString"}}}};
    source["resources"][0]["sku"]["tier"] = "[parameters('tier')]";
    ASSERT_EQ(put(request_with(source, {{"tier", {{"value", kSecret}}}})).status, 201);
    advance();
    EXPECT_EQ(state(), "Failed");
    const auto entries = world.store->list("/").value();
    for (const auto& each : entries)
        EXPECT_EQ(each.value.find(kSecret), std::string::npos) << each.key << each.value;
}

TEST_F(Deployments, that_are_nested_may_be_begun_twice_by_the_same_outer_one) {
    ASSERT_EQ(put(request_with(template_of(nested(template_of(server_resource()))))).status, 201);
    const auto before = *world.store->get(keys("/deployment/").at(0)).value();
    advance();
    // howdahd is killed before it could write what it has done.
    const auto after = *world.store->get(before.key).value();
    store::Transaction txn;
    txn.expect(before.key, after.modified).put(before.key, before.value);
    ASSERT_TRUE(world.store->commit(txn).ok());
    world.restart();
    advance();
    world.finish();
    for (int i = 0; i < 3; ++i) advance();
    EXPECT_EQ(state(), "Succeeded") << get().text;
}

TEST_F(Deployments, nest_and_wait_for_one_another) {
    Body inner = nested(template_of(server_resource()));
    inner["properties"]["template"]["outputs"] = {
        {"who", {{"type", "string"}, {"value", "[deployment().name]"}}}};
    Body source = template_of(inner);
    source["outputs"] = {
        {"from", {{"type", "string"}, {"value", "[reference('inner').outputs.who.value]"}}}};
    ASSERT_EQ(put(request_with(source)).status, 201);
    advance();
    advance();
    EXPECT_EQ(state("{S}/resourceGroups/rg1/providers/Microsoft.Resources/deployments/inner"),
              "Running");
    world.finish();
    for (int i = 0; i < 3; ++i) advance();
    const Reply done = get();
    EXPECT_EQ(done.body["properties"]["provisioningState"], "Succeeded") << done.text;
    EXPECT_EQ(done.body["properties"]["outputs"]["from"]["value"], "inner") << done.text;
}

TEST_F(Deployments, to_a_subscription_make_groups) {
    const Body group = {{"type", "Microsoft.Resources/resourceGroups"},
                        {"apiVersion", kManagerVersion},
                        {"name", "rg2"},
                        {"location", "local"}};
    Body body = request_with(template_of(group));
    const char* path = "{S}/providers/Microsoft.Resources/deployments/d2";
    EXPECT_EQ(put(body, path).code(), "LocationRequired");
    body["location"] = "local";
    ASSERT_EQ(put(body, path).status, 201);
    advance();
    EXPECT_EQ(state(path), "Succeeded") << get(path).text;
    EXPECT_EQ(world.call("GET", "{S}/resourceGroups/rg2", nullptr, kManagerVersion).status, 200);
    EXPECT_EQ(get("{S}/providers/Microsoft.Resources/deployments").body["value"].size(), 1U);
    EXPECT_EQ(get("{S}/resourceGroups/rg1/providers/Microsoft.Resources/deployments")
                  .body["value"]
                  .size(),
              0U);
}

TEST_F(Deployments, tell_what_they_would_do) {
    world.make_server("pg1");
    world.make_server("other");
    Body server = server_resource();
    server["tags"] = {{"env", "prod"}};
    const Reply reply = post("/whatIf", request_with(template_of(server, database_resource())));
    ASSERT_EQ(reply.status, 200) << reply.text;
    const Body& changes = reply.body["properties"]["changes"];
    ASSERT_EQ(changes.size(), 3U) << reply.text;
    EXPECT_EQ(changes[0]["changeType"], "Modify");
    ASSERT_EQ(changes[0]["delta"].size(), 1U) << changes[0]["delta"];
    EXPECT_EQ(changes[0]["delta"][0]["path"], "tags.env");
    EXPECT_EQ(changes[1]["changeType"], "Create");
    EXPECT_EQ(changes[2]["changeType"], "Ignore");
    EXPECT_EQ(world.call("GET", "{P}/flexibleServers/pg1").body["tags"].size(), 0U);
    EXPECT_EQ(get().status, 404);
    const Reply same = post("/whatIf", request_with(template_of(server_resource())));
    EXPECT_EQ(same.body["properties"]["changes"][0]["changeType"], "NoChange") << same.text;
    EXPECT_EQ(
        same.text.find(
            World::server_body()["properties"]["administratorLoginPassword"].get<std::string>()),
        std::string::npos)
        << "of a template that has its password in clear";
}

TEST_F(Deployments, can_be_read_as_az_sends_them) {
    const std::string body =
        R"({"properties": {"parameters": {}, "mode": "Incremental", template:{"$schema":)"
        R"("https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",)"
        R"("contentVersion":"1.0.0.0", /* nothing */ "resources":[]}}})";
    const Reply reply =
        world.call_text("POST", std::string(kDeployment) + "/validate", body, kManagerVersion);
    EXPECT_EQ(reply.status, 200) << reply.text;
    EXPECT_EQ(world.call_text("PUT", kDeployment, body, kManagerVersion).status, 201);
    advance();
    EXPECT_EQ(state(), "Succeeded");
}

TEST(deployments, property_changes_are_what_the_template_has_otherwise) {
    const Body before = {{"location", "West Europe"},
                         {"sku", {{"name", "Standard_B1ms"}, {"tier", "Burstable"}}},
                         {"properties", {{"state", "Ready"}, {"list", {1, 2}}}}};
    const auto changes = [&](const Body& after) {
        return deployments::property_changes(before, after);
    };
    EXPECT_TRUE(changes({{"location", "westeurope"}}).empty());
    EXPECT_TRUE(changes({{"sku", {{"tier", "burstable"}}}}).empty());
    EXPECT_TRUE(changes({{"properties", {{"createMode", "Default"}}}}).empty());
    const Body changed = changes({{"properties", {{"list", {1}}, {"new", true}}}});
    ASSERT_EQ(changed.size(), 2U);
    EXPECT_EQ(changed[0]["propertyChangeType"], "Modify");
    EXPECT_EQ(changed[0]["before"], Body({1, 2}));
    EXPECT_EQ(changed[1]["propertyChangeType"], "Create");
    EXPECT_EQ(changed[1]["path"], "properties.new");
}

}  // namespace
}  // namespace howdah::api
