#include "api/templates/templates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "api/template_support.h"

namespace howdah::api::templates {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::json_of;
using testing::kGroupId;
using testing::kServers;
using testing::kSubscription;
using ::testing::Not;
using testing::plan_of;
using testing::refusal_of;
using testing::scope;
using testing::server;
using testing::template_with;

constexpr std::string_view kPassword = "Sup3r-s3cret!";

const std::string kServersId = kGroupId + "/providers/" + kServers + "/";

/// What Bicep makes of a server with databases, firewall rules and configurations in loops, a
/// module, an existing network and a lock. Symbolic names are not turned on.
Json bicep_server() {
    return json_of(R"json({
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
  "contentVersion": "1.0.0.0",
  "metadata": {"_generator": {"name": "bicep", "version": "0.30.23.60470", "templateHash": "1"}},
  "parameters": {
    "name": {"type": "string", "minLength": 3, "maxLength": 63,
             "defaultValue": "[format('pg-{0}', uniqueString(resourceGroup().id))]"},
    "location": {"type": "string", "defaultValue": "[resourceGroup().location]"},
    "administratorLoginPassword": {"type": "securestring", "minLength": 8},
    "databases": {"type": "array", "defaultValue": ["app", "audit"]},
    "rules": {"type": "object", "defaultValue": {
        "office": {"start": "10.0.0.1", "end": "10.0.0.9"}, "home": {"start": "10.1.0.1"}}},
    "parameters": {"type": "array", "defaultValue": [{"name": "work_mem", "value": "8192"}]},
    "highlyAvailable": {"type": "bool", "defaultValue": false},
    "storageSizeGB": {"type": "int", "allowedValues": [32, 64, 128], "defaultValue": 64}
  },
  "variables": {
    "copy": [
      {"name": "ruleList", "count": "[length(items(parameters('rules')))]",
       "input": "[union(createObject('name', items(parameters('rules'))[copyIndex('ruleList')].key), items(parameters('rules'))[copyIndex('ruleList')].value)]"}
    ],
    "tier": "[if(parameters('highlyAvailable'), 'GeneralPurpose', 'Burstable')]",
    "sku": {"name": "[if(equals(variables('tier'), 'Burstable'), 'Standard_B1ms', 'Standard_D2ds_v4')]",
            "tier": "[variables('tier')]"}
  },
  "resources": [
    {
      "type": "Microsoft.DBforPostgreSQL/flexibleServers",
      "apiVersion": "2025-08-01",
      "name": "[parameters('name')]",
      "location": "[parameters('location')]",
      "tags": {"[format('owner-{0}', 'team')]": "db"},
      "sku": "[variables('sku')]",
      "properties": {
        "version": "15",
        "administratorLogin": "pgadmin",
        "administratorLoginPassword": "[parameters('administratorLoginPassword')]",
        "storage": {"storageSizeGB": "[parameters('storageSizeGB')]"},
        "network": {"delegatedSubnetResourceId": "[resourceId('net-rg', 'Microsoft.Network/virtualNetworks/subnets', 'v1', 'db')]"}
      }
    },
    {
      "copy": {"name": "database", "count": "[length(parameters('databases'))]", "mode": "serial", "batchSize": 1},
      "type": "Microsoft.DBforPostgreSQL/flexibleServers/databases",
      "apiVersion": "2025-08-01",
      "name": "[format('{0}/{1}', parameters('name'), parameters('databases')[copyIndex()])]",
      "properties": {"charset": "UTF8", "collation": "en_US.utf8"},
      "dependsOn": ["[resourceId('Microsoft.DBforPostgreSQL/flexibleServers', parameters('name'))]"]
    },
    {
      "copy": {"name": "rule", "count": "[length(variables('ruleList'))]"},
      "type": "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules",
      "apiVersion": "2025-08-01",
      "name": "[format('{0}/{1}', parameters('name'), variables('ruleList')[copyIndex()].name)]",
      "properties": {
        "startIpAddress": "[variables('ruleList')[copyIndex()].start]",
        "endIpAddress": "[coalesce(tryGet(variables('ruleList')[copyIndex()], 'end'), variables('ruleList')[copyIndex()].start)]"
      },
      "dependsOn": ["[resourceId('Microsoft.DBforPostgreSQL/flexibleServers', parameters('name'))]"]
    },
    {
      "copy": {"name": "setting", "count": "[length(parameters('parameters'))]"},
      "type": "Microsoft.DBforPostgreSQL/flexibleServers/configurations",
      "apiVersion": "2025-08-01",
      "name": "[format('{0}/{1}', parameters('name'), parameters('parameters')[copyIndex()].name)]",
      "properties": {"value": "[parameters('parameters')[copyIndex()].value]", "source": "user-override"},
      "dependsOn": ["database", "[resourceId('Microsoft.DBforPostgreSQL/flexibleServers', parameters('name'))]"]
    },
    {
      "condition": "[parameters('highlyAvailable')]",
      "type": "Microsoft.Authorization/locks",
      "apiVersion": "2020-05-01",
      "scope": "[format('Microsoft.DBforPostgreSQL/flexibleServers/{0}', parameters('name'))]",
      "name": "keep",
      "properties": {"level": "CanNotDelete"},
      "dependsOn": ["[resourceId('Microsoft.DBforPostgreSQL/flexibleServers', parameters('name'))]"]
    },
    {
      "type": "Microsoft.Resources/deployments",
      "apiVersion": "2022-09-01",
      "name": "monitoring",
      "properties": {
        "expressionEvaluationOptions": {"scope": "inner"},
        "mode": "Incremental",
        "parameters": {
          "fqdn": {"value": "[reference(resourceId('Microsoft.DBforPostgreSQL/flexibleServers', parameters('name')), '2025-08-01').fullyQualifiedDomainName]"},
          "password": {"value": "[parameters('administratorLoginPassword')]"}
        },
        "template": {
          "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
          "contentVersion": "1.0.0.0",
          "parameters": {"fqdn": {"type": "string"}, "password": {"type": "securestring"}},
          "resources": [],
          "outputs": {"dsn": {"type": "string", "value": "[format('host={0}', parameters('fqdn'))]"}}
        }
      },
      "dependsOn": ["[resourceId('Microsoft.DBforPostgreSQL/flexibleServers', parameters('name'))]"]
    }
  ],
  "outputs": {
    "fqdn": {"type": "string", "value": "[reference(resourceId('Microsoft.DBforPostgreSQL/flexibleServers', parameters('name')), '2025-08-01').fullyQualifiedDomainName]"},
    "dsn": {"type": "string", "value": "[reference(resourceId('Microsoft.Resources/deployments', 'monitoring'), '2022-09-01').outputs.dsn.value]"},
    "id": {"type": "string", "value": "[resourceId('Microsoft.DBforPostgreSQL/flexibleServers', parameters('name'))]"},
    "password": {"type": "securestring", "value": "[parameters('administratorLoginPassword')]"},
    "names": {"type": "array", "copy": {"count": "[length(parameters('databases'))]", "input": "[toUpper(parameters('databases')[copyIndex()])]"}}
  }
})json");
}

Json bicep_parameters() {
    return {{"name", {{"value", "pg1"}}}, {"administratorLoginPassword", {{"value", kPassword}}}};
}

/// Knows what was put into it, and counts the questions.
struct Resources {
    std::map<std::string, Json> bodies;
    std::vector<std::string> asked;

    ReferenceSource source() {
        return [this](const ReferenceRequest& request) -> Result<Json> {
            asked.push_back(request.action + " " + request.id);
            const auto found = bodies.find(request.id);
            if (found == bodies.end())
                return Error{ErrorCode::not_found,
                             "the resource '" + request.id + "' was not found"};
            return found->second;
        };
    }
};

std::vector<std::string> names_of(const Plan& plan) {
    std::vector<std::string> out;
    for (const PlannedResource& each : plan.resources) out.push_back(each.name);
    return out;
}

// A whole deployment.

TEST(template_plan, a_bicep_template_becomes_its_resources) {
    const Plan planned = plan_of(bicep_server(), bicep_parameters());
    EXPECT_THAT(names_of(planned), ElementsAre("pg1", "pg1/app", "pg1/audit", "pg1/home",
                                               "pg1/office", "pg1/work_mem", "keep", "monitoring"));
    const PlannedResource& first = planned.resources[0];
    EXPECT_EQ(first.id, kServersId + "pg1");
    EXPECT_EQ(first.type, kServers);
    EXPECT_EQ(first.api_version, "2025-08-01");
    EXPECT_TRUE(first.is_complete);
    EXPECT_EQ(
        first.body,
        json_of(
            R"({"location":"eastus","tags":{"owner-team":"db"},
        "sku":{"name":"Standard_B1ms","tier":"Burstable"},
        "properties":{"version":"15","administratorLogin":"pgadmin",
          "administratorLoginPassword":"Sup3r-s3cret!","storage":{"storageSizeGB":64},
          "network":{"delegatedSubnetResourceId":"/subscriptions/)" +
            kSubscription +
            R"(/resourceGroups/net-rg/providers/Microsoft.Network/virtualNetworks/v1/subnets/db"}}})"));
    EXPECT_EQ(planned.resources[3].body["properties"].dump(),
              R"({"startIpAddress":"10.1.0.1","endIpAddress":"10.1.0.1"})");
    EXPECT_EQ(planned.resources[4].body["properties"]["endIpAddress"], "10.0.0.9");
    EXPECT_EQ(planned.resources[5].id, kServersId + "pg1/configurations/work_mem");
    EXPECT_EQ(planned.resources[6].id,
              kServersId + "pg1/providers/Microsoft.Authorization/locks/keep");
    EXPECT_FALSE(planned.resources[6].condition);
}

TEST(template_plan, dependencies_come_from_ids_names_and_loops) {
    const Plan planned = plan_of(bicep_server(), bicep_parameters());
    EXPECT_THAT(planned.resources[0].depends_on, IsEmpty());
    EXPECT_THAT(planned.resources[1].depends_on, ElementsAre(0));
    EXPECT_THAT(planned.resources[2].depends_on, ElementsAre(0, 1)) << "a serial loop";
    EXPECT_THAT(planned.resources[4].depends_on, ElementsAre(0)) << "a parallel loop";
    EXPECT_THAT(planned.resources[5].depends_on, ElementsAre(0, 1, 2)) << "the name of a loop";
    EXPECT_THAT(planned.resources[7].depends_on, ElementsAre(0));
}

TEST(template_plan, a_module_is_a_deployment_whose_template_is_left_alone) {
    const auto parsed = parse_template(bicep_server(), bicep_parameters(), scope());
    ASSERT_TRUE(parsed.ok());
    const Plan planned = plan(*parsed).value();
    const PlannedResource& module = planned.resources[7];
    EXPECT_TRUE(module.is_deployment);
    EXPECT_EQ(module.deployment_resource_group, "rg1");
    EXPECT_EQ(module.deployment_subscription, kSubscription);
    EXPECT_FALSE(module.is_complete);
    EXPECT_EQ(module.body["properties"]["template"]["outputs"]["dsn"]["value"],
              "[format('host={0}', parameters('fqdn'))]");
    Resources resources;
    resources.bodies[kServersId + "pg1"] =
        json_of(R"({"properties":{"fullyQualifiedDomainName":"pg1.example.org"}})");
    const Json body = complete(*parsed, planned, 7, resources.source()).value();
    EXPECT_EQ(body["properties"]["parameters"]["fqdn"]["value"], "pg1.example.org");

    Scope inner = scope();
    inner.deployment_name = "monitoring";
    const auto nested =
        parse_template(body["properties"]["template"], body["properties"]["parameters"], inner);
    ASSERT_TRUE(nested.ok()) << nested.error().describe();
    const Json inner_outputs = outputs(*nested, plan(*nested).value(), resources.source()).value();
    EXPECT_EQ(inner_outputs.dump(), R"({"dsn":{"type":"String","value":"host=pg1.example.org"}})");

    resources.bodies[kGroupId + "/providers/Microsoft.Resources/deployments/monitoring"] = {
        {"properties", {{"outputs", inner_outputs}}}};
    const Json all = outputs(*parsed, planned, resources.source()).value();
    EXPECT_EQ(all["fqdn"]["value"], "pg1.example.org");
    EXPECT_EQ(all["dsn"]["value"], "host=pg1.example.org");
    EXPECT_EQ(all["id"]["value"], kServersId + "pg1");
    EXPECT_EQ(all["names"].dump(), R"({"type":"Array","value":["APP","AUDIT"]})");
    EXPECT_EQ(all["password"].dump(), R"({"type":"SecureString"})");
    const Json secure =
        outputs(*parsed, planned, resources.source(), SecureOutputs::included).value();
    EXPECT_EQ(secure["password"]["value"], kPassword);
}

TEST(template_plan, the_same_scope_gives_the_same_plan) {
    const auto bodies = [] {
        Json out = Json::array();
        for (const PlannedResource& each :
             plan_of(bicep_server(), {{"administratorLoginPassword", {{"value", kPassword}}}})
                 .resources)
            out.push_back({each.id, each.body});
        return out;
    };
    EXPECT_EQ(bodies(), bodies());
}

// Symbolic names.

Json symbolic(const Json& resources, const Json& more = Json::object()) {
    Json members{{"languageVersion", "2.0"}, {"resources", resources}};
    members.update(more);
    return template_with(members);
}

TEST(template_plan, resources_may_have_symbolic_names) {
    const Json source = symbolic(json_of(R"json({
      "network": {"existing": true, "type": "Microsoft.Network/virtualNetworks",
                  "apiVersion": "2024-01-01", "resourceGroup": "net-rg", "name": "v1"},
      "server": {"type": "Microsoft.DBforPostgreSQL/flexibleServers", "apiVersion": "2025-08-01",
                 "name": "pg1",
                 "properties": {"zone": "[reference('network').zone]",
                                "network": "[resourceInfo('network').id]"}},
      "db": {"copy": {"name": "dbs", "count": 2},
             "type": "Microsoft.DBforPostgreSQL/flexibleServers/databases", "apiVersion": "2025-08-01",
             "name": "[format('pg1/db{0}', copyIndex())]", "dependsOn": ["server"]},
      "last": {"type": "Microsoft.DBforPostgreSQL/flexibleServers/configurations",
               "apiVersion": "2025-08-01", "name": "pg1/work_mem",
               "properties": {"value": "[reference(format('db[{0}]', 1)).charset]"}},
      "rule": {"type": "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules",
               "apiVersion": "2025-08-01", "name": "pg1/r", "dependsOn": ["db"]}
    })json"),
                                 json_of(R"json({"outputs": {
      "all": {"type": "array", "value": "[map(references('db', 'full'), lambda('d', lambdaVariables('d').name))]"},
      "zone": {"type": "string", "value": "[reference('network', '2024-01-01', 'full').location]"}
    }})json"));
    const auto parsed = parse_template(source, nullptr, scope());
    ASSERT_TRUE(parsed.ok()) << parsed.error().describe();
    const auto planned = plan(*parsed);
    ASSERT_TRUE(planned.ok()) << planned.error().describe();
    const auto& resources = planned->resources;
    ASSERT_EQ(resources.size(), 6U);
    const std::string network = "/subscriptions/" + kSubscription +
                                "/resourceGroups/net-rg/providers/Microsoft.Network/"
                                "virtualNetworks/v1";
    EXPECT_TRUE(resources[0].existing);
    EXPECT_EQ(resources[0].id, network);
    EXPECT_THAT(resources[1].depends_on, ElementsAre(0)) << "by reference()";
    EXPECT_EQ(resources[1].body["properties"]["network"], network);
    EXPECT_EQ(resources[3].symbolic_name, "db[1]");
    EXPECT_THAT(resources[4].depends_on, ElementsAre(3)) << "one turn of a loop";
    EXPECT_THAT(resources[5].depends_on, ElementsAre(2, 3)) << "all turns of a loop";

    Resources state;
    state.bodies[network] = json_of(R"({"location":"eastus","properties":{"zone":"2"}})");
    state.bodies[kServersId + "pg1/databases/db0"] = json_of(R"({"name":"db0","properties":{}})");
    state.bodies[kServersId + "pg1/databases/db1"] = json_of(R"({"name":"db1","properties":{}})");
    EXPECT_EQ(complete(*parsed, *planned, 1, state.source()).value()["properties"]["zone"], "2");
    const Json out = outputs(*parsed, *planned, state.source()).value();
    EXPECT_EQ(out["all"]["value"].dump(), R"(["db0","db1"])");
    EXPECT_EQ(out["zone"]["value"], "eastus");
}

TEST(template_plan, what_is_not_deployed_may_have_a_name_that_cannot_be_told) {
    const Plan planned = plan_of(symbolic(json_of(R"json({
      "key": {"condition": "[not(empty(tryGet(variables('none'), 'id')))]", "existing": true,
              "type": "Microsoft.KeyVault/vaults", "apiVersion": "2024-01-01",
              "name": "[last(split(tryGet(variables('none'), 'id'), '/'))]"},
      "server": {"type": "Microsoft.DBforPostgreSQL/flexibleServers", "apiVersion": "2025-08-01",
                 "name": "pg1", "dependsOn": ["key"]}})json"),
                                          {{"variables", {{"none", nullptr}}}}));
    ASSERT_EQ(planned.resources.size(), 2U);
    EXPECT_FALSE(planned.resources[0].condition);
    EXPECT_EQ(planned.resources[1].id, kServersId + "pg1");
}

// Copies, nesting, references.

TEST(template_plan, children_are_nested_in_their_parent) {
    const Plan planned = plan_of(template_with({{"resources", json_of(R"json([{
      "type": "Microsoft.DBforPostgreSQL/flexibleServers", "apiVersion": "2025-08-01", "name": "pg1",
      "resources": [
        {"type": "databases", "apiVersion": "2025-08-01", "name": "app",
         "dependsOn": ["pg1"]},
        {"type": "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules",
         "apiVersion": "2025-08-01", "name": "pg1/all", "dependsOn": ["app"]}
      ]}])json")}}));
    ASSERT_EQ(planned.resources.size(), 3U);
    EXPECT_EQ(planned.resources[1].id, kServersId + "pg1/databases/app");
    EXPECT_EQ(planned.resources[1].name, "pg1/app");
    EXPECT_THAT(planned.resources[1].depends_on, ElementsAre(0));
    EXPECT_EQ(planned.resources[2].id, kServersId + "pg1/firewallRules/all");
}

TEST(template_plan, a_serial_loop_goes_batch_by_batch) {
    const Plan planned = plan_of(template_with({{"resources", json_of(R"json([{
      "copy": {"name": "loop", "count": 5, "mode": "Serial", "batchSize": 2},
      "type": "Microsoft.DBforPostgreSQL/flexibleServers", "apiVersion": "2025-08-01",
      "name": "[concat('pg', copyIndex(1))]"}])json")}}));
    EXPECT_THAT(names_of(planned), ElementsAre("pg1", "pg2", "pg3", "pg4", "pg5"));
    EXPECT_THAT(planned.resources[1].depends_on, IsEmpty());
    EXPECT_THAT(planned.resources[2].depends_on, ElementsAre(0, 1));
    EXPECT_THAT(planned.resources[3].depends_on, ElementsAre(0, 1));
    EXPECT_THAT(planned.resources[4].depends_on, ElementsAre(2, 3));
}

TEST(template_plan, a_loop_without_turns_can_be_waited_for) {
    const Plan planned = plan_of(template_with({{"resources", json_of(R"json([
      {"copy": {"name": "none", "count": 0}, "type": "A.B/c", "apiVersion": "1", "name": "x"},
      {"type": "A.B/c", "apiVersion": "1", "name": "y", "dependsOn": ["none"]}])json")}}));
    ASSERT_EQ(planned.resources.size(), 1U);
    EXPECT_THAT(planned.resources[0].depends_on, IsEmpty());
}

TEST(template_plan, properties_have_loops_of_their_own) {
    const Plan planned = plan_of(template_with({{"resources", json_of(R"json([{
      "copy": {"name": "outer", "count": 2},
      "type": "A.B/c", "apiVersion": "1", "name": "[format('x{0}', copyIndex('outer'))]",
      "properties": {
        "copy": [{"name": "rules", "count": 2,
                  "input": {"id": "[format('{0}-{1}', copyIndex('outer'), copyIndex('rules', 1))]",
                            "copy": [{"name": "ports", "count": 2, "input": "[copyIndex('ports')]"}]}}],
        "other": true}}])json")}}));
    EXPECT_EQ(planned.resources[1].body["properties"].dump(),
              R"({"rules":[{"id":"1-1","ports":[0,1]},{"id":"1-2","ports":[0,1]}],"other":true})");
}

TEST(template_plan, references_wait_for_what_they_name_in_the_branch_that_is_taken) {
    const auto reference_in = [](const std::string& expression) {
        return plan_of(template_with(
            {{"variables", {{"yes", true}}},
             {"resources",
              Json::array({server("a"), server("b"),
                           server("c", {{"properties", {{"v", "[" + expression + "]"}}}})})}}));
    };
    const std::string a = "reference('" + kServers + "/a')";
    const std::string b = "reference(resourceId('" + kServers + "', 'b'), '2025-08-01', 'Full')";
    EXPECT_THAT(reference_in("concat(" + a + ".x, " + b + ".y)").resources[2].depends_on,
                ElementsAre(0, 1));
    EXPECT_THAT(
        reference_in("if(variables('yes'), " + a + ".x, " + b + ".y)").resources[2].depends_on,
        ElementsAre(0));
    EXPECT_TRUE(reference_in("if(variables('yes'), 'x', " + b + ".y)").resources[2].is_complete);
    EXPECT_THAT(reference_in("listKeys('b', '2025-08-01').k").resources[2].depends_on,
                ElementsAre(1));
    EXPECT_THAT(reference_in("reference('/subscriptions/s/resourceGroups/g/providers/A.B/c/d').x")
                    .resources[2]
                    .depends_on,
                IsEmpty());
}

TEST(template_plan, the_state_of_resources_is_asked_for_once) {
    const Json source = template_with(
        {{"resources", Json::array({server("a"), server("b", json_of(R"json({"properties": {
            "x": "[reference('a').n]", "y": "[add(reference('a').n, 1)]",
            "z": "[listKeys('a', '2025-08-01', createObject('q', 1)).key]"}})json"))})}});
    const auto parsed = parse_template(source, nullptr, scope());
    const Plan planned = plan(*parsed).value();
    Resources resources;
    resources.bodies[kServersId + "a"] = json_of(R"({"key":"k","properties":{"n":4}})");
    const Json body = complete(*parsed, planned, 1, resources.source()).value();
    EXPECT_EQ(body["properties"].dump(), R"({"x":4,"y":5,"z":"k"})");
    EXPECT_THAT(resources.asked,
                ElementsAre(" " + kServersId + "a", "listKeys " + kServersId + "a"));
    resources.bodies.clear();
    EXPECT_EQ(complete(*parsed, planned, 1, resources.source()).error().code, ErrorCode::not_found)
        << "the source's own error is passed on";
}

TEST(template_plan, an_outer_template_is_evaluated_with_our_values) {
    const Plan planned =
        plan_of(template_with({{"variables", {{"name", "inside"}}}, {"resources", json_of(R"json([{
          "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "nested",
          "resourceGroup": "other-rg",
          "properties": {"mode": "Incremental", "template": {
            "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
            "contentVersion": "1.0.0.0",
            "resources": [
              {"type": "A.B/c", "apiVersion": "1", "name": "[variables('name')]"},
              {"type": "A.B/c", "apiVersion": "1", "name": "[concat('n', copyIndex())]",
               "copy": {"name": "l", "count": 2}}]}}}])json")}}));
    const PlannedResource& nested = planned.resources[0];
    EXPECT_EQ(nested.id, "/subscriptions/" + kSubscription +
                             "/resourceGroups/other-rg/providers/Microsoft.Resources/deployments/"
                             "nested");
    EXPECT_EQ(nested.deployment_resource_group, "other-rg");
    const Json& inner = nested.body["properties"]["template"];
    EXPECT_EQ(inner["resources"][0]["name"], "inside");
    Scope other = scope();
    other.resource_group = "other-rg";
    const auto parsed = parse_template(inner, nullptr, other);
    ASSERT_TRUE(parsed.ok()) << parsed.error().describe();
    EXPECT_THAT(names_of(plan(*parsed).value()), ElementsAre("inside", "n0", "n1"));
}

TEST(template_plan, a_template_can_be_deployed_to_a_subscription) {
    Scope subscription = scope();
    subscription.resource_group.clear();
    subscription.deployment_location = "eastus";
    Json source = template_with({{"resources", json_of(R"json([
      {"type": "Microsoft.Resources/resourceGroups", "apiVersion": "2022-09-01", "name": "rg9",
       "location": "[deployment().location]"},
      {"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "inside",
       "resourceGroup": "rg9", "dependsOn": ["[subscriptionResourceId('Microsoft.Resources/resourceGroups', 'rg9')]"],
       "properties": {"expressionEvaluationOptions": {"scope": "inner"}, "mode": "Incremental",
                      "template": {}}}])json")}});
    source["$schema"] =
        "https://schema.management.azure.com/schemas/2018-05-01/"
        "subscriptionDeploymentTemplate.json#";
    const auto parsed = parse_template(source, nullptr, subscription);
    ASSERT_TRUE(parsed.ok()) << parsed.error().describe();
    const auto planned = plan(*parsed);
    ASSERT_TRUE(planned.ok()) << planned.error().describe();
    EXPECT_EQ(planned->resources[0].id, "/subscriptions/" + kSubscription + "/resourceGroups/rg9");
    EXPECT_EQ(planned->resources[0].body["location"], "eastus");
    EXPECT_EQ(planned->resources[1].deployment_resource_group, "rg9");
    EXPECT_THAT(planned->resources[1].depends_on, ElementsAre(0));
}

// Parameters, variables and functions.

Json with_parameter(const Json& declaration) {
    return template_with({{"parameters", {{"p", declaration}}}});
}

TEST(template_parameters, are_checked_as_azure_checks_them) {
    const auto refused = [](const Json& declaration, const Json& value) {
        return refusal_of(with_parameter(declaration), {{"p", {{"value", value}}}});
    };
    EXPECT_EQ(refused({{"type", "string"}}, "x"), "");
    EXPECT_THAT(refused({{"type", "string"}}, 5),
                HasSubstr("Template parameter JToken type is not valid. Expected 'String, Uri'. "
                          "Actual 'Integer'."));
    EXPECT_THAT(refused({{"type", "Int"}}, "5"), HasSubstr("Expected 'Integer'. Actual 'String'."));
    EXPECT_THAT(refused({{"type", "int"}}, 5.5), HasSubstr("Actual 'Float'."));
    EXPECT_THAT(refused({{"type", "bool"}}, "true"), HasSubstr("Expected 'Boolean'."));
    EXPECT_THAT(refused({{"type", "array"}}, Json::object()), HasSubstr("Expected 'Array'."));
    EXPECT_THAT(refused({{"type", "object"}}, Json::array()), HasSubstr("Expected 'Object'."));
    EXPECT_THAT(refused({{"type", "secureObject"}}, "s"), HasSubstr("Expected 'Object'."));
    EXPECT_THAT(refused({{"type", "number"}}, 5), HasSubstr("The type 'number' is not valid"));
    EXPECT_EQ(
        refused({{"type", "string"}, {"allowedValues", {"A", "B"}}}, "C"),
        "deployment template validation failed: 'The provided value 'C' for the template "
        "parameter 'p' is not valid. The parameter value is not part of the allowed value(s): "
        "'A,B'.'");
    EXPECT_NE(refused({{"type", "string"}, {"allowedValues", {"A", "B"}}}, "a"), "");
    EXPECT_EQ(refused({{"type", "array"}, {"allowedValues", {"A", "B"}}}, {"B", "A"}), "");
    EXPECT_NE(refused({{"type", "array"}, {"allowedValues", {"A", "B"}}}, {"C"}), "");
    EXPECT_THAT(refused({{"type", "string"}, {"minLength", 3}}, "ab"),
                HasSubstr("greater than or equal to '3'"));
    EXPECT_THAT(refused({{"type", "array"}, {"maxLength", 1}}, {1, 2}),
                HasSubstr("less than or equal to '1'"));
    EXPECT_THAT(refused({{"type", "int"}, {"minValue", 3}}, 2),
                HasSubstr("greater than or equal to '3'"));
    EXPECT_THAT(refused({{"type", "int"}, {"maxValue", 3}}, 4), HasSubstr("less than or equal to"));
}

TEST(template_parameters, missing_and_unknown_ones_are_named) {
    EXPECT_EQ(refusal_of(with_parameter({{"type", "string"}})),
              "deployment template validation failed: 'The value for the template parameter 'p' is "
              "not provided. Please see https://aka.ms/arm-create-parameter-file for usage "
              "details.'");
    EXPECT_THAT(refusal_of(with_parameter({{"type", "string"}}),
                           {{"q", {{"value", 1}}}, {"r", {{"value", 1}}}}),
                HasSubstr("The template parameters 'q, r' in the parameters file are not valid; "
                          "they are not present in the original template and can therefore not be "
                          "provided at deployment time. The only supported parameters for this "
                          "template are 'p'."));
    EXPECT_NE(refusal_of(with_parameter({{"type", "string"}}), {{"p", "x"}}), "");
    EXPECT_NE(refusal_of(with_parameter({{"type", "string"}}), "x"), "");
    const auto vault = parse_template(with_parameter({{"type", "string"}}),
                                      {{"p", {{"reference", {{"secretName", "s"}}}}}}, scope());
    EXPECT_EQ(vault.error().code, ErrorCode::not_supported);
    EXPECT_EQ(vault.error().target, "parameters.p");
}

TEST(template_parameters, null_means_the_default) {
    const auto value = [](const Json& declaration, const Json& given) {
        return parse_template(with_parameter(declaration), {{"p", given}}, scope())
            .value()
            .parameters()["p"]
            .dump();
    };
    const Json declared{{"type", "string"}, {"defaultValue", "d"}};
    EXPECT_EQ(value(declared, {{"value", nullptr}}), R"({"type":"String","value":"d"})");
    EXPECT_EQ(value(declared, Json::object()), R"({"type":"String","value":"d"})");
    EXPECT_EQ(value(declared, nullptr), R"({"type":"String","value":"d"})");
    EXPECT_EQ(value({{"type", "string"}, {"nullable", true}}, {{"value", nullptr}}),
              R"({"type":"String","value":null})");
}

TEST(template_parameters, defaults_may_need_other_parameters_the_time_and_new_ids) {
    const Json source = template_with({{"parameters", json_of(R"json({
      "a": {"type": "string", "defaultValue": "[concat(parameters('b'), '!')]"},
      "b": {"type": "string", "defaultValue": "[resourceGroup().location]"},
      "when": {"type": "string", "defaultValue": "[utcNow()]"},
      "day": {"type": "string", "defaultValue": "[utcNow('d')]"},
      "id": {"type": "string", "defaultValue": "[newGuid()]"},
      "other": {"type": "string", "defaultValue": "[newGuid()]"}})json")}});
    const Json values = parse_template(source, nullptr, scope()).value().parameters();
    EXPECT_EQ(values["a"]["value"], "eastus!");
    EXPECT_EQ(values["when"]["value"], "20261121T034543Z");
    EXPECT_EQ(values["day"]["value"], "11/21/2026");
    EXPECT_NE(values["id"]["value"], values["other"]["value"]);
    EXPECT_EQ(values, parse_template(source, nullptr, scope()).value().parameters());
    Scope later = scope();
    later.seed = "6f1c1d5a-0000-4000-8000-000000000002";
    EXPECT_NE(values["id"], parse_template(source, nullptr, later).value().parameters()["id"]);
    EXPECT_EQ(values.begin().key(), "a") << "in the order of the template";
}

TEST(template_parameters, types_may_be_defined_once_and_used) {
    const Json source = template_with({{"languageVersion", "2.0"},
                                       {"resources", Json::object()},
                                       {"definitions", json_of(R"json({
      "rule": {"type": "object", "properties": {
          "name": {"type": "string", "minLength": 2}, "port": {"type": "int", "nullable": true}},
        "additionalProperties": false},
      "tree": {"type": "object", "properties": {"child": {"$ref": "#/definitions/tree", "nullable": true}}},
      "loop": {"$ref": "#/definitions/loop"}})json")},
                                       {"parameters", json_of(R"json({
      "rules": {"type": "array", "items": {"$ref": "#/definitions/rule"}, "defaultValue": []},
      "tree": {"$ref": "#/definitions/tree", "nullable": true},
      "any": {"nullable": true}})json")}});
    const auto refused = [&](const std::string& given) {
        return refusal_of(source, json_of(given));
    };
    EXPECT_EQ(refused(R"({"rules":{"value":[{"name":"ab"},{"name":"cd","port":1}]}})"), "");
    EXPECT_EQ(refused(R"({"tree":{"value":{"child":{"child":{}}}},"any":{"value":7}})"), "");
    EXPECT_THAT(refused(R"({"rules":{"value":[{"name":"a"}]}})"), HasSubstr("'rules[0].name'"));
    EXPECT_THAT(refused(R"({"rules":{"value":[{}]}})"), HasSubstr("property 'name' is missing"));
    EXPECT_THAT(refused(R"({"rules":{"value":[{"name":"ab","x":1}]}})"), HasSubstr("'x'"));
    EXPECT_THAT(refused(R"({"rules":{"value":[{"name":"ab","port":"1"}]}})"),
                HasSubstr("Expected 'Integer'"));
    Json broken = source;
    broken["parameters"]["x"] = {{"$ref", "#/definitions/loop"}};
    EXPECT_THAT(refusal_of(broken), HasSubstr("refers to itself"));
    broken["parameters"]["x"] = {{"$ref", "#/definitions/none"}};
    EXPECT_THAT(refusal_of(broken), HasSubstr("'#/definitions/none' is not defined"));
}

TEST(template_parameters, types_that_use_each_other_twice_cost_no_time) {
    Json definitions = Json::object();
    for (int i = 0; i < 40; ++i) {
        const Json next{{"$ref", "#/definitions/t" + std::to_string(i + 1)}, {"nullable", true}};
        definitions["t" + std::to_string(i)] = {{"type", "object"},
                                                {"properties", {{"a", next}, {"b", next}}}};
    }
    definitions["t40"] = {{"type", "securestring"}};
    const auto parsed =
        parse_template(template_with({{"languageVersion", "2.0"},
                                      {"definitions", definitions},
                                      {"parameters", {{"p", {{"$ref", "#/definitions/t0"}}}}}}),
                       {{"p", {{"value", {{"a", Json::object()}}}}}}, scope());
    ASSERT_TRUE(parsed.ok()) << parsed.error().describe();
    EXPECT_FALSE(parsed->parameters()["p"].contains("value")) << "a part of it is secure";
}

TEST(template_parameters, circles_and_wrong_places_are_refused) {
    EXPECT_THAT(
        refusal_of(with_parameter({{"type", "string"}, {"defaultValue", "[parameters('p')]"}})),
        HasSubstr("circle"));
    EXPECT_THAT(refusal_of(template_with(
                    {{"variables", {{"a", "[variables('b')]"}, {"b", "[variables('A')]"}}}})),
                HasSubstr("circle"));
    EXPECT_THAT(
        refusal_of(with_parameter({{"type", "string"}, {"defaultValue", "[variables('x')]"}})),
        HasSubstr("'variables' is not expected at this location"));
    EXPECT_THAT(refusal_of(template_with({{"variables", {{"a", "[reference('x').y]"}}}})),
                HasSubstr("The template variable 'a' is not valid: The template function "
                          "'reference' is not expected at this location."));
    EXPECT_THAT(
        refusal_of(template_with({{"resources", Json::array({server("[reference('x').name]")})}})),
        HasSubstr("'reference' is not expected at this location"));
}

TEST(template_functions, may_be_the_template_s_own) {
    const Json source = template_with(
        {{"functions", json_of(R"json([{
      "namespace": "contoso", "members": {
        "name": {"parameters": [{"name": "prefix", "type": "string"}, {"name": "n", "type": "int"}],
                 "output": {"type": "string", "value": "[contoso.join(toLower(parameters('prefix')), string(parameters('n')))]"}},
        "join": {"parameters": [{"name": "a", "type": "string"}, {"name": "b", "type": "string"}],
                 "output": {"type": "string", "value": "[concat(parameters('a'), '-', parameters('b'))]"}},
        "object": {"output": {"type": "object", "value": {"a": "[concat('x', 'y')]"}}},
        "forever": {"output": {"type": "string", "value": "[contoso.forever()]"}},
        "peek": {"output": {"type": "string", "value": "[variables('a')]"}}}}])json")},
         {"variables", {{"a", "[contoso.name('PG', 7)]"}, {"o", "[Contoso.Object().a]"}}},
         {"resources", Json::array({server("[variables('a')]"), server("[variables('o')]")})}});
    EXPECT_THAT(names_of(plan_of(source)), ElementsAre("pg-7", "xy"));
    Json broken = source;
    broken["variables"]["b"] = "[contoso.name('x')]";
    EXPECT_THAT(refusal_of(broken), HasSubstr("'contoso.name': function requires 2 argument(s)"));
    broken["variables"]["b"] = "[contoso.forever()]";
    EXPECT_THAT(refusal_of(broken), HasSubstr("nested too deep"));
    broken["variables"]["b"] = "[contoso.peek()]";
    EXPECT_THAT(refusal_of(broken), HasSubstr("'variables' is not expected"));
}

// Refusals.

TEST(template_refusals, a_circle_is_named) {
    EXPECT_EQ(
        refusal_of(template_with(
            {{"resources",
              Json::array({
                  server("x"),
                  server("a", {{"dependsOn", {"b", "x"}}}),
                  server("b", {{"dependsOn", {"[resourceId('" + kServers + "', 'c')]"}}}),
                  server("c", {{"dependsOn", {"a"}}}),
              })}})),
        "deployment template validation failed: 'Circular dependency detected on resource: '" +
            kServersId + "a'. Please see https://aka.ms/arm-syntax-resources for usage details.'");
    EXPECT_THAT(refusal_of(template_with(
                    {{"resources", Json::array({server("a", {{"dependsOn", {"a"}}})})}})),
                HasSubstr("Circular dependency"));
    // A diamond is no circle.
    EXPECT_EQ(refusal_of(template_with({{"resources", Json::array({
                                                          server("a", {{"dependsOn", {"b", "c"}}}),
                                                          server("b", {{"dependsOn", {"d"}}}),
                                                          server("c", {{"dependsOn", {"d", "b"}}}),
                                                          server("d"),
                                                      })}})),
              "");
}

TEST(template_refusals, have_azure_s_words_and_the_place) {
    const auto target = [](const Json& source) {
        const auto parsed = parse_template(source, nullptr, scope());
        if (!parsed.ok()) return parsed.error().target;
        return plan(*parsed).error().target;
    };
    const Json unknown =
        template_with({{"resources", Json::array({server("a", {{"dependsOn", {"nope"}}})})}});
    EXPECT_THAT(refusal_of(unknown),
                HasSubstr("The resource 'nope' is not defined in the template. "
                          "Please see https://aka.ms/arm-template for usage "
                          "details."));
    EXPECT_EQ(target(unknown), "resources[0].dependsOn");
    const Json twice = template_with({{"resources", Json::array({server("a"), server("A")})}});
    EXPECT_THAT(refusal_of(twice), HasSubstr("The resource '" + kServers +
                                             "/A' is defined multiple times in a template."));
    EXPECT_EQ(
        refusal_of(template_with(
            {{"resources", Json::array({server("a", {{"condition", false}}), server("a")})}})),
        "");
    const Json segments = template_with({{"resources", Json::array({server("a/b")})}});
    EXPECT_THAT(refusal_of(segments), HasSubstr("The template resource 'a/b' for type '" +
                                                kServers + "' has incorrect segment lengths."));
    EXPECT_EQ(target(segments), "resources[0].name");
    Json bare = template_with({{"resources", json_of(R"([{"type":"A.B/c","name":"x"}])")}});
    EXPECT_THAT(
        refusal_of(bare),
        HasSubstr("Required property 'apiVersion' not found in JSON. Path 'resources[0]'."));
    for (const char* name : {"$schema", "contentVersion", "resources"}) {
        Json source = template_with(Json::object());
        source.erase(name);
        EXPECT_THAT(refusal_of(source), HasSubstr(std::string("Required property '") + name +
                                                  "' not found in JSON. Path ''."));
    }
    EXPECT_THAT(refusal_of(template_with({{"$schema", "http://x/y.json"}})),
                HasSubstr("The template schema 'http://x/y.json' is not supported."));
    EXPECT_THAT(refusal_of(template_with({{"outptus", Json::object()}})),
                HasSubstr("Could not find member 'outptus' on object of type 'Template'."));
    EXPECT_THAT(refusal_of(template_with({{"resources", Json::object()}})),
                HasSubstr("language version '2.0'"));
    EXPECT_EQ(parse_template(Json::array(), nullptr, scope()).error().code,
              ErrorCode::invalid_template);
    const Json linked = template_with({{"resources", json_of(R"([{
        "type":"Microsoft.Resources/deployments","apiVersion":"1","name":"x",
        "properties":{"templateLink":{"uri":"https://x"}}}])")}});
    EXPECT_EQ(plan(*parse_template(linked, nullptr, scope())).error().code,
              ErrorCode::not_supported);
}

TEST(template_refusals, names_cannot_lead_out_of_their_place) {
    for (const char* name : {"..", ".", "a?b", "a#b", "a%2fb", "", "a\\b", "a\nb"})
        EXPECT_NE(refusal_of(template_with({{"resources", Json::array({server(name)})}})), "")
            << name;
    for (const char* prefix : {"/a/../b", "/a//b", "x/.."})
        EXPECT_NE(refusal_of(template_with(
                      {{"resources", Json::array({server("a", {{"scope", prefix}})})}})),
                  "")
            << prefix;
}

TEST(template_refusals, azure_s_limits_hold) {
    Json source = template_with(Json::object());
    for (std::size_t i = 0; i <= kParametersMax; ++i)
        source["parameters"]["p" + std::to_string(i)] = {{"type", "int"}, {"defaultValue", 1}};
    EXPECT_THAT(refusal_of(source),
                HasSubstr("The number of template parameters limit exceeded. Limit: '256' and "
                          "actual: '257'."));
    const auto copies = [](std::int64_t count) {
        return template_with(
            {{"resources", Json::array({server("[concat('a', copyIndex())]",
                                               {{"copy", {{"name", "l"}, {"count", count}}}})})}});
    };
    EXPECT_EQ(plan_of(copies(800)).resources.size(), 800U);
    EXPECT_THAT(refusal_of(copies(801)), HasSubstr("at most '800'"));
    Json two = copies(500);
    two["resources"].push_back(two["resources"][0]);
    EXPECT_THAT(refusal_of(two), HasSubstr("The number of template resources limit exceeded."));
    Json deep = 1;
    for (int i = 0; i < kTemplateDepthMax; ++i) deep = Json{{"d", deep}};
    EXPECT_THAT(refusal_of(template_with({{"metadata", deep}})), HasSubstr("nested deeper"));
}

TEST(template_refusals, long_chains_of_variables_are_refused_and_do_no_harm) {
    const auto chain = [](int length) {
        Json variables{{"v0", "x"}};
        for (int i = 1; i < length; ++i)
            variables["v" + std::to_string(i)] = {
                {"a", "[variables('v" + std::to_string(i - 1) + "')]"}};
        // The last one first, so that it has to be followed to the end.
        Json backwards = Json::object();
        for (int i = length - 1; i >= 0; --i) {
            const std::string name = "v" + std::to_string(i);
            backwards[name] = variables[name];
        }
        return template_with({{"variables", backwards}});
    };
    EXPECT_EQ(refusal_of(chain(20)), "");
    EXPECT_THAT(refusal_of(chain(500)), HasSubstr("nested too deep"));
}

// Secrets.

TEST(template_secrets, are_in_the_body_alone) {
    const auto parsed = parse_template(bicep_server(), bicep_parameters(), scope());
    ASSERT_TRUE(parsed.ok());
    const Plan planned = plan(*parsed).value();
    EXPECT_THAT(planned.resources[0].secure_paths,
                ElementsAre("/properties/administratorLoginPassword"));
    EXPECT_THAT(planned.resources[7].secure_paths,
                ElementsAre("/properties/parameters/password/value"));
    const std::string secret(kPassword);
    for (const PlannedResource& each : planned.resources)
        EXPECT_THAT(redacted(each).dump(), Not(HasSubstr(secret))) << each.name;
    EXPECT_EQ(redacted(planned.resources[0])["properties"]["administratorLoginPassword"], "*****");
    EXPECT_THAT(parsed->parameters().dump(), Not(HasSubstr(secret)));
    EXPECT_EQ(parsed->parameters()["administratorLoginPassword"].dump(),
              R"({"type":"SecureString"})");
}

TEST(template_secrets, are_in_no_error_and_no_output) {
    const std::string secret(kPassword);
    const Json given{{"s", {{"value", secret}}}, {"o", {{"value", {{"key-" + secret, secret}}}}}};
    const Json declared = json_of(R"({"s":{"type":"securestring"},"o":{"type":"secureObject"}})");
    const std::vector<std::string> expressions = {
        "int(parameters('s'))",
        "json(parameters('s'))",
        "parameters('o').nope",
        "parameters('o')[parameters('s')]",
        "variables('v').nope",
        "variables(parameters('s'))",
        "parameters(parameters('s'))",
        "createArray(1)[length(parameters('s'))]",
        "resourceId(parameters('s'), 'x')",
        "resourceId(concat(parameters('s'), '/x'), 'x', 'y')",
        "format(concat('{', parameters('s'), '}'))",
        "dateTimeAdd(parameters('s'), 'P1D')",
        "dateTimeAdd('2020-01-01', parameters('s'))",
        "fail(parameters('s'))",
        "fail(toUpper(parameters('s')))",
        "base64ToString(parameters('s'))",
        "uri(parameters('s'), 'x')",
        "first(createObject(parameters('s'), 1))",
        "cidrSubnet(parameters('s'), 24, 0)",
        "lambdaVariables(parameters('s'))",
        "resourceInfo(parameters('s'))",
        "copyIndex(parameters('s'))",
        "createObject('a', 1)[toUpper(parameters('s'))]",
        "createObject(toUpper(parameters('s')), 1).nope",
    };
    for (const std::string& expression : expressions) {
        const std::string error = refusal_of(
            template_with(
                {{"parameters", declared},
                 {"variables", {{"v", {{"a", "[parameters('s')]"}}}}},
                 {"resources",
                  Json::array({server("a", {{"properties", {{"x", "[" + expression + "]"}}}})})}}),
            given);
        EXPECT_NE(error, "") << expression;
        EXPECT_THAT(error, Not(HasSubstr(secret))) << expression;
        EXPECT_THAT(error, Not(HasSubstr("SUP3R-S3CRET!"))) << expression;
    }
    const auto parsed =
        parse_template(template_with({{"parameters", declared}, {"outputs", json_of(R"json({
      "a": {"type": "string", "value": "[parameters('s')]"},
      "b": {"type": "secureObject", "value": "[parameters('o')]"},
      "c": {"type": "string", "value": "[base64(concat('x', parameters('s')))]"},
      "d": {"type": "object", "value": "[deployment()]"}})json")}}),
                       given, scope());
    ASSERT_TRUE(parsed.ok()) << parsed.error().describe();
    const Json out = outputs(*parsed, plan(*parsed).value(), nullptr).value();
    EXPECT_THAT(out.dump(), Not(HasSubstr(secret)));
    EXPECT_EQ(out["c"].dump(), R"({"type":"String"})");
    const std::string allowed = refusal_of(
        with_parameter({{"type", "securestring"}, {"allowedValues", {"A"}}, {"minLength", 4}}),
        {{"p", {{"value", secret}}}});
    EXPECT_THAT(allowed, HasSubstr("not part of the allowed value(s)"));
    EXPECT_THAT(allowed, Not(HasSubstr(secret)));
}

// Outputs.

TEST(template_outputs, must_be_of_their_type) {
    const auto output = [](const Json& declaration) {
        const auto parsed =
            parse_template(template_with({{"outputs", {{"o", declaration}}}}), nullptr, scope());
        return outputs(*parsed, plan(*parsed).value(), nullptr);
    };
    EXPECT_EQ(output({{"type", "int"}, {"value", "[add(1, 2)]"}}).value().dump(),
              R"({"o":{"type":"Int","value":3}})");
    EXPECT_EQ(output({{"type", "string"}, {"value", "x"}, {"condition", "[equals(1, 2)]"}})
                  .value()
                  .dump(),
              "{}");
    const auto wrong = output({{"type", "int"}, {"value", "[first(createArray())]"}});
    EXPECT_EQ(wrong.error().code, ErrorCode::output_evaluation_failed);
    EXPECT_EQ(wrong.error().target, "outputs.o");
    EXPECT_EQ(wrong.error().message,
              "the template output 'o' is not valid: Template output JToken type is not valid. "
              "Expected 'Integer'. Actual 'Null'. Please see https://aka.ms/arm-template/#outputs "
              "for usage details.");
    EXPECT_FALSE(output({{"type", "string"}}).ok());
    EXPECT_FALSE(output({{"type", "nope"}, {"value", 1}}).ok());
    EXPECT_FALSE(output(5).ok());
}

}  // namespace
}  // namespace howdah::api::templates
