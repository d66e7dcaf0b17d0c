#include <gtest/gtest.h>

#include "api/api_support.h"
#include "base/text.h"
#include "model/json.h"
#include "pg/scram.h"
#include "store/keys.h"

namespace howdah::api {
namespace {

constexpr const char* kServer = "{P}/flexibleServers/pg1";

TEST(servers, a_new_server_is_written_with_its_operation_and_its_name) {
    World world;
    world.make_group();
    const Reply reply = world.call("PUT", kServer, World::server_body());
    ASSERT_EQ(reply.status, 202) << reply.text;
    EXPECT_EQ(reply.body["properties"]["state"], "Provisioning");
    EXPECT_EQ(reply.headers.at("retry-after"), "1");
    const std::string base = "https://localhost:8443" + world.expand("{L}");
    const std::string id = World::operation_of(reply);
    EXPECT_EQ(reply.headers.at("azure-asyncoperation"),
              base + "/azureAsyncOperation/" + id + "?api-version=2025-08-01");
    EXPECT_EQ(reply.headers.at("location"),
              base + "/operationResults/" + id + "?api-version=2025-08-01");

    const model::ServerSpec spec = world.spec();
    EXPECT_EQ(spec.generation, 1);
    EXPECT_EQ(spec.version, "15");
    EXPECT_EQ(spec.sku.name, "Standard_D2ds_v5");
    EXPECT_EQ(spec.storage.tier, "P4");
    EXPECT_EQ(spec.availability_zone, "");
    EXPECT_EQ(spec.system_data.created_by, world.boot.client_id);
    const model::Operation operation = world.operations.find(id).value();
    EXPECT_EQ(operation.kind, "CreateServer");
    EXPECT_EQ(operation.server_key, world.server_id().key());
    EXPECT_EQ(operation.generation, 1);
    EXPECT_EQ(operation.incarnation, spec.incarnation);
    EXPECT_EQ(operation.requested_by, world.boot.client_id);
    const auto name = world.store->get(store::keys::server_name("pg1")).value();
    ASSERT_TRUE(name);
    EXPECT_EQ(name->value, world.server_id().key());
}

TEST(servers, the_password_is_kept_only_as_a_sealed_verifier) {
    World world;
    world.make_group();
    world.make_server();
    const auto entries = world.store->list("/").value();
    for (const store::Entry& entry : entries)
        EXPECT_EQ(entry.value.find("Pa55w0rd"), std::string::npos) << entry.key;
    const auto verifier = world.secrets.unseal(
        store::keys::seal_name_of_verifier(world.server_id().key()), world.spec().sealed_verifier);
    ASSERT_TRUE(verifier.ok());
    EXPECT_TRUE(pg::scram_matches(Secret("Pa55w0rd!"), verifier->reveal()));
    const Reply reply = world.call("GET", kServer);
    EXPECT_EQ(reply.text.find("SCRAM"), std::string::npos);
    EXPECT_EQ(reply.text.find("assword\""), std::string::npos);
}

TEST(servers, a_server_looks_as_the_newest_version_has_it) {
    World world;
    world.make_group();
    world.make_server();
    const Reply reply = world.call("GET", kServer);
    ASSERT_EQ(reply.status, 200);
    Body body = reply.body;
    EXPECT_EQ(body["systemData"]["createdByType"], "Application");
    body.erase("systemData");
    const Body expected = Body::parse(R"({
        "id": "", "name": "pg1", "type": "Microsoft.DBforPostgreSQL/flexibleServers",
        "location": "local", "tags": {},
        "sku": {"name": "Standard_D2ds_v5", "tier": "GeneralPurpose"},
        "properties": {
            "administratorLogin": "elephant", "version": "15", "state": "Ready",
            "fullyQualifiedDomainName": "pg1.postgres.howdah.local", "minorVersion": "20",
            "storage": {"storageSizeGB": 32, "autoGrow": "Disabled", "tier": "P4", "iops": 120,
                        "type": ""},
            "authConfig": {"activeDirectoryAuth": "Disabled", "passwordAuth": "Enabled"},
            "dataEncryption": {"type": "SystemManaged"},
            "backup": {"backupRetentionDays": 7, "geoRedundantBackup": "Disabled"},
            "network": {"publicNetworkAccess": "Enabled"},
            "highAvailability": {"mode": "Disabled", "state": "NotEnabled"},
            "maintenanceWindow": {"customWindow": "Disabled", "dayOfWeek": 0, "startHour": 0,
                                  "startMinute": 0},
            "replicationRole": "Primary", "replicaCapacity": 5,
            "replica": {"role": "Primary", "capacity": 5},
            "privateEndpointConnections": [],
            "howdah": {"generation": 1, "observedGeneration": 1, "address": "127.0.0.1",
                       "gatewayPort": 5432, "port": 54321}
        }})");
    Body wanted = expected;
    wanted["id"] = world.expand(kServer);
    EXPECT_EQ(body.dump(1), wanted.dump(1));
}

TEST(servers, a_zone_is_shown_once_it_was_declared) {
    World world;
    world.make_group();
    world.make_server();
    const auto zone = [&world] {
        return world.call("GET", kServer).body["properties"].value("availabilityZone", "none");
    };
    EXPECT_EQ(zone(), "none");
    const Reply other = world.call("PATCH", kServer, {{"properties", {{"availabilityZone", "2"}}}});
    EXPECT_EQ(other.body["error"]["code"], "PropertyChangeNotAllowed");
    const Reply only = world.call("PATCH", kServer, {{"properties", {{"availabilityZone", "1"}}}});
    EXPECT_EQ(only.status, 202) << only.text;
    EXPECT_EQ(zone(), "1");
}

TEST(servers, a_server_looks_as_the_old_version_has_it) {
    World world;
    world.make_group();
    world.make_server();
    const Reply reply = world.call("GET", kServer, nullptr, kOldVersion);
    ASSERT_EQ(reply.status, 200);
    const Body& properties = reply.body["properties"];
    EXPECT_EQ(properties["storage"], Body::parse(R"({"storageSizeGB": 32})"));
    EXPECT_FALSE(properties.contains("replica"));
    EXPECT_FALSE(properties.contains("privateEndpointConnections"));
    EXPECT_EQ(properties["replicationRole"], "Primary");
    EXPECT_EQ(properties["network"]["publicNetworkAccess"], "Enabled");
}

TEST(servers, what_az_sends_is_accepted) {
    World world;
    world.make_group();
    const char* create =
        R"({"location":"local","sku":{"name":"Standard_B1ms","tier":"Burstable"},"properties":{
        "administratorLogin":"elephant","administratorLoginPassword":"Pa55w0rd!","version":"15",
        "storage":{"storageSizeGB":32},"authConfig":{"activeDirectoryAuth":"Disabled",
        "passwordAuth":"Enabled","tenantId":""},"backup":{"backupRetentionDays":7,
        "geoRedundantBackup":"Disabled"},"network":{"delegatedSubnetResourceId":"",
        "privateDnsZoneArmResourceId":"","publicNetworkAccess":"Enabled"},
        "highAvailability":{"mode":"Disabled"},"createMode":"Create"}})";
    ASSERT_EQ(world.call_text("PUT", kServer, create, kOldVersion).status, 202);
    world.finish();
    const char* update =
        R"({"sku":{"name":"Standard_B2s","tier":"Burstable"},"tags":{"a":"b"},"properties":{
        "administratorLoginPassword":"NewPa55w0rd","storage":{"storageSizeGB":64},
        "backup":{"backupRetentionDays":14,"geoRedundantBackup":"Disabled"},
        "highAvailability":{"mode":"Disabled","standbyAvailabilityZone":""},
        "maintenanceWindow":{"customWindow":"Enabled","startHour":3,"startMinute":30,"dayOfWeek":1},
        "authConfig":{"activeDirectoryAuth":"Disabled","passwordAuth":"Enabled","tenantId":""}}})";
    const Reply reply = world.call_text("PATCH", kServer, update, kOldVersion);
    ASSERT_EQ(reply.status, 202) << reply.text;
    const model::ServerSpec spec = world.spec();
    EXPECT_EQ(spec.sku.name, "Standard_B2s");
    EXPECT_EQ(spec.storage.size_gb, 64);
    EXPECT_EQ(spec.storage.tier, "P6");
    EXPECT_EQ(spec.backup.retention_days, 14);
    EXPECT_EQ(spec.maintenance.custom, "Enabled");
    EXPECT_EQ(spec.maintenance.day_of_week, 1);
    EXPECT_EQ(spec.maintenance.start_minute, 30);
    EXPECT_EQ(spec.password_version, 2);
    EXPECT_EQ(spec.generation, 2);
    EXPECT_EQ(spec.tags, (std::map<std::string, std::string>{{"a", "b"}}));
}

TEST(servers, a_patch_leaves_alone_what_it_does_not_name) {
    World world;
    world.make_group();
    world.make_server();
    ASSERT_EQ(world.call("PATCH", kServer, Body::parse(R"({"tags":{"a":"b"}})")).status, 202);
    const model::ServerSpec before = world.spec();
    const Body patch = Body::parse(
        R"({"properties":{"network":{"publicNetworkAccess":"Disabled"},"storage":null}})");
    ASSERT_EQ(world.call("PATCH", kServer, patch).status, 202);
    model::ServerSpec expected = before;
    expected.network.public_access = "Disabled";
    expected.generation = before.generation + 1;
    expected.system_data = world.spec().system_data;
    EXPECT_EQ(model::to_json(world.spec()), model::to_json(expected));
}

TEST(servers, tags_are_replaced_as_a_whole) {
    World world;
    world.make_group();
    world.make_server();
    world.call("PATCH", kServer, Body::parse(R"({"tags":{"a":"1","b":"2"},"properties":{}})"));
    EXPECT_EQ(world.spec().tags.size(), 2U);
    world.call("PATCH", kServer, Body::parse(R"({"tags":{"c":""}})"));
    EXPECT_EQ(world.spec().tags, (std::map<std::string, std::string>{{"c", ""}}));
    world.call("PUT", kServer, World::server_body());
    EXPECT_TRUE(world.spec().tags.empty()) << "PUT without tags has none";
}

TEST(servers, a_window_that_is_switched_off_loses_its_time) {
    World world;
    world.make_group();
    world.make_server();
    const Body on = Body::parse(
        R"({"properties":{"maintenanceWindow":{"customWindow":"Enabled","startHour":3}}})");
    ASSERT_EQ(world.call("PATCH", kServer, on).status, 202);
    const Body off =
        Body::parse(R"({"properties":{"maintenanceWindow":{"customWindow":"Disabled"}}})");
    ASSERT_EQ(world.call("PATCH", kServer, off).status, 202);
    EXPECT_EQ(world.spec().maintenance.start_hour, 0);
}

TEST(servers, what_was_read_can_be_sent_back) {
    World world;
    world.make_group();
    world.make_server();
    for (const char* version : {kNewVersion, kOldVersion, "2024-08-01"}) {
        Body read = world.call("GET", kServer, nullptr, version).body;
        const Reply same = world.call("PUT", kServer, read, version);
        ASSERT_EQ(same.status, 202) << same.text;
        world.finish();
        read["tags"]["changed"] = version;
        ASSERT_EQ(world.call("PUT", kServer, read, version).status, 202);
        world.finish();
    }
    Body read = world.call("GET", kServer).body;
    read["properties"]["storage"]["storageSizeGB"] = 64;  // with tier and iops of 32
    const Reply grown = world.call("PUT", kServer, read);
    ASSERT_EQ(grown.status, 202) << grown.text;
    EXPECT_EQ(grown.body["properties"]["storage"]["tier"], "P6");
    EXPECT_EQ(grown.body["properties"]["storage"]["iops"], 240);
}

TEST(servers, a_higher_tier_survives_growth_until_the_size_overtakes_it) {
    World world;
    world.make_group();
    world.make_server();
    const auto resize = [&](const char* storage) {
        const Reply reply =
            world.call("PATCH", kServer,
                       Body::parse(std::string(R"({"properties":{"storage":)") + storage + "}}"));
        EXPECT_EQ(reply.status, 202) << reply.text;
        return world.spec().storage.tier;
    };
    EXPECT_EQ(resize(R"({"tier":"P10"})"), "P10");
    EXPECT_EQ(resize(R"({"storageSizeGB":64})"), "P10");
    EXPECT_EQ(resize(R"({"tier":"P6"})"), "P6");
    EXPECT_EQ(resize(R"({"storageSizeGB":128})"), "P10");
}

TEST(servers, paths_match_in_any_letter_case_with_empty_segments) {
    World world;
    world.make_group();
    world.make_server();
    const std::string path =
        "/SUBSCRIPTIONS/" + world.boot.subscription_id +
        "//resourcegroups/RG1/providers/microsoft.dbforpostgresql//FLEXIBLESERVERS/PG1/";
    const Reply reply = world.call("GET", path);
    ASSERT_EQ(reply.status, 200) << reply.text;
    EXPECT_EQ(reply.body["id"], world.expand(kServer)) << "the id keeps its first spelling";
}

TEST(servers, the_life_of_an_operation_is_seen_in_both_ways) {
    World world;
    world.make_group();
    const Reply created = world.call("PUT", kServer, World::server_body());
    const std::string id = World::operation_of(created);
    const std::string status = "{L}/azureAsyncOperation/" + id;
    const std::string result = "{L}/operationResults/" + id;
    const Reply running = world.call("GET", status);
    ASSERT_EQ(running.status, 200) << running.text;
    EXPECT_EQ(running.body["status"], "InProgress");
    EXPECT_EQ(running.body["name"], id);
    EXPECT_EQ(running.body["properties"]["operation"], "CreateServer");
    EXPECT_FALSE(running.body.contains("endTime"));
    EXPECT_EQ(running.headers.at("retry-after"), "1");
    const Reply waiting = world.call("GET", result);
    EXPECT_EQ(waiting.status, 202);
    EXPECT_TRUE(waiting.text.empty());
    EXPECT_TRUE(waiting.headers.contains("location"));
    world.finish();
    const Reply ended = world.call("GET", status);
    EXPECT_EQ(ended.body["status"], "Succeeded");
    EXPECT_TRUE(ended.body.contains("endTime"));
    const Reply shown = world.call("GET", result);
    ASSERT_EQ(shown.status, 200);
    EXPECT_EQ(shown.body["name"], "pg1");
    EXPECT_EQ(shown.body["properties"]["state"], "Ready");
}

TEST(servers, a_failed_operation_says_why) {
    World world;
    world.make_group();
    const std::string id = World::operation_of(world.call("PUT", kServer, World::server_body()));
    world.fail_operations("pg1", {"ResourceExhausted", "the disk is full", "free some space"});
    const Reply status = world.call("GET", "{L}/azureAsyncOperation/" + id);
    EXPECT_EQ(status.status, 200);
    EXPECT_EQ(status.body["status"], "Failed");
    EXPECT_EQ(status.body["error"]["code"], "ResourceExhausted");
    EXPECT_EQ(status.body["error"]["message"], "The disk is full. Free some space.");
    const Reply result = world.call("GET", "{L}/operationResults/" + id);
    EXPECT_EQ(result.status, 507);
    EXPECT_EQ(result.code(), "ResourceExhausted");
}

TEST(servers, operations_of_others_are_not_shown) {
    World world;
    for (const char* id : {"00000000-0000-4000-8000-000000000000", "x", "%2e%2e"}) {
        EXPECT_EQ(world.call("GET", std::string("{L}/azureAsyncOperation/") + id).status, 404);
        EXPECT_EQ(world.call("GET", std::string("{L}/operationResults/") + id).status, 404);
    }
}

TEST(servers, stop_start_and_restart_change_what_is_wanted) {
    World world;
    world.make_group();
    world.make_server();
    const Reply stopped = world.call("POST", std::string(kServer) + "/stop");
    ASSERT_EQ(stopped.status, 202) << stopped.text;
    EXPECT_TRUE(stopped.headers.contains("azure-asyncoperation"));
    EXPECT_FALSE(world.spec().running);
    world.finish();
    EXPECT_EQ(world.call("GET", "{L}/operationResults/" + World::operation_of(stopped)).status,
              204);
    const Reply refused = world.call("POST", std::string(kServer) + "/restart");
    EXPECT_EQ(refused.status, 409);
    EXPECT_EQ(refused.code(), "OperationNotAllowed");
    ASSERT_EQ(world.call("POST", std::string(kServer) + "/start", Body::object()).status, 202);
    EXPECT_TRUE(world.spec().running);
    const Body none = Body::parse(R"({"restartWithFailover":false})");
    ASSERT_EQ(world.call("POST", std::string(kServer) + "/restart", none).status, 202);
    EXPECT_EQ(world.spec().restart_sequence, world.spec().generation);
}

TEST(servers, a_restart_without_failover_has_no_mode) {
    World world;
    world.make_group();
    world.make_server();
    const std::string path = std::string(kServer) + "/restart";
    const std::pair<const char*, const char*> cases[] = {
        {R"({"failoverMode":"ForcedFailover"})", "InvalidParameterValue"},
        {R"({"failoverMode":"Sideways"})", "InvalidParameterValue"},
        {R"({"restartWithFailover":"yes"})", "InvalidRequestContent"},
        {R"({"unknown":1})", "InvalidRequestContent"},
    };
    for (const auto& [body, code] : cases) {
        const Reply reply = world.call_text("POST", path, body);
        EXPECT_EQ(reply.status, 400) << body;
        EXPECT_EQ(reply.code(), code) << body;
        EXPECT_FALSE(reply.target().empty()) << body;
    }
    EXPECT_EQ(world.spec().restart_sequence, 0);
    EXPECT_EQ(world.call_text("POST", std::string(kServer) + "/stop", R"({"x":1})").code(),
              "InvalidRequestContent");
}

TEST(servers, a_server_that_is_being_deleted_takes_no_change) {
    World world;
    world.make_group();
    world.make_server();
    const Reply deleted = world.call("DELETE", kServer);
    ASSERT_EQ(deleted.status, 202);
    EXPECT_TRUE(world.spec().deleting);
    EXPECT_EQ(world.call("GET", kServer).body["properties"]["state"], "Dropping");
    const Body patch = Body::parse(R"({"tags":{}})");
    for (const Reply& reply :
         {world.call("PUT", kServer, World::server_body()), world.call("PATCH", kServer, patch),
          world.call("POST", std::string(kServer) + "/restart"),
          world.call("PUT", std::string(kServer) + "/databases/app", Body::object())}) {
        EXPECT_EQ(reply.status, 409) << reply.text;
        EXPECT_EQ(reply.code(), "Conflict");
    }
    const Reply again = world.call("DELETE", kServer);
    EXPECT_EQ(again.status, 202);
    EXPECT_EQ(World::operation_of(again), World::operation_of(deleted));
    world.remove_server();
    EXPECT_EQ(world.call("GET", "{L}/operationResults/" + World::operation_of(deleted)).status,
              204);
    EXPECT_EQ(world.call("DELETE", kServer).status, 204);
    EXPECT_EQ(world.call("GET", kServer).code(), "ResourceNotFound");
    EXPECT_EQ(world.call("PUT", kServer, World::server_body()).status, 202);
}

TEST(servers, a_status_of_an_earlier_life_is_not_shown) {
    World world;
    world.make_group();
    world.make_server();
    model::ServerStatus old = world.status();
    old.incarnation = "another";
    world.set_status("pg1", old);
    EXPECT_EQ(world.call("GET", kServer).body["properties"]["state"], "Provisioning");
}

TEST(servers, a_name_is_taken_in_every_group) {
    World world;
    world.make_group();
    world.make_group("rg2");
    world.make_server();
    const std::string other =
        "{S}/resourceGroups/rg2/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg1";
    const Reply reply = world.call("PUT", other, World::server_body());
    EXPECT_EQ(reply.status, 409);
    EXPECT_EQ(reply.code(), "ServerNameAlreadyExists");
}

TEST(servers, what_is_not_there_is_named_in_azures_words) {
    World world;
    const Reply group = world.call("GET", kServer);
    EXPECT_EQ(group.code(), "ResourceGroupNotFound");
    EXPECT_EQ(group.message(), "Resource group 'rg1' could not be found.");
    EXPECT_EQ(world.call("PUT", kServer, World::server_body()).code(), "ResourceGroupNotFound");
    EXPECT_EQ(world.call("DELETE", kServer).code(), "ResourceGroupNotFound");
    world.make_group();
    const Reply server = world.call("GET", kServer);
    EXPECT_EQ(server.status, 404);
    EXPECT_EQ(server.code(), "ResourceNotFound");
    EXPECT_EQ(server.message(),
              "The Resource 'Microsoft.DBforPostgreSQL/flexibleServers/pg1' under resource group "
              "'rg1' was not found.");
    EXPECT_EQ(world.call("PATCH", kServer, Body::object()).code(), "ResourceNotFound");
    EXPECT_EQ(world.call("POST", std::string(kServer) + "/start").code(), "ResourceNotFound");
}

TEST(servers, a_location_may_be_spelled_freely) {
    World world;
    world.make_group();
    Body body = World::server_body();
    body["location"] = "L o c A l";
    const Reply reply = world.call("PUT", kServer, body);
    ASSERT_EQ(reply.status, 202) << reply.text;
    EXPECT_EQ(reply.body["location"], "local");
}

TEST(servers, without_a_machine_nothing_can_be_created) {
    World world;
    world.make_group();
    store::Transaction txn;
    txn.remove(store::keys::host("host-1"));
    ASSERT_TRUE(world.store->commit(txn).ok());
    const Reply reply = world.call("PUT", kServer, World::server_body());
    EXPECT_EQ(reply.status, 503);
    EXPECT_EQ(reply.headers.at("retry-after"), "5");
    EXPECT_TRUE(world.call("GET", "{L}/capabilities").body["value"].empty());
}

TEST(servers, replicas_are_none) {
    World world;
    world.make_group();
    world.make_server();
    EXPECT_TRUE(world.call("GET", std::string(kServer) + "/replicas").body["value"].empty());
}

}  // namespace
}  // namespace howdah::api
