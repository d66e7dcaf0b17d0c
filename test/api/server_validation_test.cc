#include <gtest/gtest.h>

#include "api/api_support.h"

namespace howdah::api {
namespace {

constexpr const char* kServer = "{P}/flexibleServers/pg1";

/// Sets a field by its path; null removes nothing but is sent.
void set(Body& body, const std::string& path, const std::string& json) {
    Body* at = &body;
    std::size_t begin = 0;
    for (std::size_t dot = path.find('.'); dot != std::string::npos;
         begin = dot + 1, dot = path.find('.', begin))
        at = &(*at)[path.substr(begin, dot - begin)];
    (*at)[path.substr(begin)] = Body::parse(json);
}

struct Case {
    const char* path;
    const char* json;
    const char* code;
    const char* target;  ///< nullptr: the path
};

constexpr const char* kValue = "InvalidParameterValue";
constexpr const char* kContent = "InvalidRequestContent";
constexpr const char* kFeature = "FeatureNotSupported";

const Case kCreate[] = {
    {"location", "\"mars\"", "LocationNotAvailableForResourceType", nullptr},
    {"location", "\"\"", "LocationRequired", nullptr},
    {"location", "null", "LocationRequired", nullptr},
    {"location", "5", kContent, nullptr},
    {"id", "\"/subscriptions/x\"", kContent, nullptr},
    {"name", "\"other\"", kContent, nullptr},
    {"type", "\"Microsoft.Sql/servers\"", kContent, nullptr},
    {"colour", "1", kContent, nullptr},
    {"Location", "\"local\"", kContent, nullptr},
    {"tags", "[]", kContent, nullptr},
    {"tags.a", "5", kContent, nullptr},
    {"tags", "{\"a<b\":\"\"}", kValue, "tags"},
    {"tags", "{\"a\":\"1\",\"A\":\"2\"}", kValue, "tags.A"},
    {"sku", "null", kValue, "sku.name"},
    {"sku", "\"Standard_B1ms\"", kContent, nullptr},
    {"sku", "{\"name\":\"Standard_B1ms\"}", kValue, "sku.tier"},
    {"sku.name", "\"Standard_Nope\"", kValue, nullptr},
    {"sku.name", "\"Standard_D64ds_v5\"", kValue, nullptr},
    {"sku.tier", "\"Huge\"", kValue, nullptr},
    {"sku.tier", "\"Burstable\"", kValue, nullptr},
    {"sku.capacity", "1", kContent, nullptr},
    {"identity", "{\"type\":\"SystemAssigned\"}", kFeature, "identity.type"},
    {"identity", "{\"userAssignedIdentities\":{\"x\":{}}}", kFeature,
     "identity.userAssignedIdentities"},
    {"properties", "[]", kContent, nullptr},
    {"properties.colour", "1", kContent, nullptr},
    {"properties.version", "\"\"", kValue, nullptr},
    {"properties.version", "\"14\"", kValue, nullptr},
    {"properties.version", "\"15.3\"", kValue, nullptr},
    {"properties.version", "15", kContent, nullptr},
    {"properties.administratorLogin", "null", kValue, nullptr},
    {"properties.administratorLogin", "\"azure_superuser\"", kValue, nullptr},
    {"properties.administratorLogin", "\"Azure_PG_Admin\"", kValue, nullptr},
    {"properties.administratorLogin", "\"PG_me\"", kValue, nullptr},
    {"properties.administratorLogin", "\"howdah\"", kValue, nullptr},
    {"properties.administratorLogin", "\"public\"", kValue, nullptr},
    {"properties.administratorLogin", "\"1abc\"", kValue, nullptr},
    {"properties.administratorLogin", "\"a b\"", kValue, nullptr},
    {"properties.administratorLogin", "\"a\\u0000b\"", kContent, nullptr},
    {"properties.administratorLogin", "{}", kContent, nullptr},
    {"properties.administratorLoginPassword", "\"\"", kValue, nullptr},
    {"properties.administratorLoginPassword", "\"aB1!\"", kValue, nullptr},
    {"properties.administratorLoginPassword", "\"alllowercase1\"", kValue, nullptr},
    {"properties.administratorLoginPassword", "\"My-Elephant1\"", kValue, nullptr},
    {"properties.administratorLoginPassword", "\"P\\u00e4ssw0rd!\"", kValue, nullptr},
    {"properties.administratorLoginPassword", "12345678", kContent, nullptr},
    {"properties.availabilityZone", "\"9\"", kValue, nullptr},
    {"properties.availabilityZone", "1", kContent, nullptr},
    {"properties.createMode", "\"Nonsense\"", kValue, nullptr},
    {"properties.createMode", "\"Replica\"", kValue, "properties.sourceServerResourceId"},
    {"properties.createMode", "\"PointInTimeRestore\"", kValue,
     "properties.sourceServerResourceId"},
    {"properties.createMode", "\"GeoRestore\"", kFeature, nullptr},
    {"properties.createMode", "\"Replica\"", kValue, "properties.sourceServerResourceId"},
    {"properties.createMode", "\"ReviveDropped\"", kValue, "properties.sourceServerResourceId"},
    {"properties.createMode", "\"Update\"", "ResourceNotFound", nullptr},
    {"properties.sourceServerResourceId", "\"/x\"", kValue, nullptr},
    {"properties.pointInTimeUTC", "\"2026-01-01T00:00:00Z\"", kValue, nullptr},
    {"properties.cluster", "{\"clusterSize\":2}", kFeature, nullptr},
    {"properties.replicationRole", "\"AsyncReplica\"", kValue, nullptr},
    {"properties.replica", "{\"promoteMode\":\"Standalone\"}", kValue,
     "properties.replica.promoteMode"},
    {"properties.storage", "32", kContent, nullptr},
    {"properties.storage.storageSizeGB", "33", kValue, nullptr},
    {"properties.storage.storageSizeGB", "0", kValue, nullptr},
    {"properties.storage.storageSizeGB", "\"32\"", kContent, nullptr},
    {"properties.storage.storageSizeGB", "256", kValue, nullptr},
    {"properties.storage.storageSizeGB", "18446744073709551615", kValue, nullptr},
    {"properties.storage.autoGrow", "\"Enabled\"", kFeature, nullptr},
    {"properties.storage.autoGrow", "\"Maybe\"", kValue, nullptr},
    {"properties.storage.tier", "\"P999\"", kValue, nullptr},
    {"properties.storage.tier", "\"P60\"", kValue, nullptr},
    {"properties.storage.iops", "5000", kFeature, nullptr},
    {"properties.storage.throughput", "125", kFeature, nullptr},
    {"properties.storage.type", "\"PremiumV2_LRS\"", kFeature, nullptr},
    {"properties.storage.type", "\"Floppy\"", kValue, nullptr},
    {"properties.storage.colour", "1", kContent, nullptr},
    {"properties.backup.backupRetentionDays", "6", kValue, nullptr},
    {"properties.backup.backupRetentionDays", "36", kValue, nullptr},
    {"properties.backup.backupRetentionDays", "7.5", kContent, nullptr},
    {"properties.backup.geoRedundantBackup", "\"Enabled\"", kFeature, nullptr},
    {"properties.network.publicNetworkAccess", "\"Sometimes\"", kValue, nullptr},
    {"properties.network.delegatedSubnetResourceId", "\"/x\"", kFeature, nullptr},
    {"properties.network.privateDnsZoneArmResourceId", "\"/x\"", kFeature, nullptr},
    {"properties.highAvailability.mode", "\"ZoneRedundant\"", kValue, nullptr},
    {"properties.highAvailability.mode", "\"SameZone\"", kValue, nullptr},
    {"properties.highAvailability.mode", "\"Triple\"", kValue, nullptr},
    {"properties.highAvailability.standbyAvailabilityZone", "\"2\"", kValue, nullptr},
    {"properties.authConfig.activeDirectoryAuth", "\"On\"", kValue, nullptr},
    {"properties.authConfig.passwordAuth", "\"Disabled\"", kValue, "properties.authConfig"},
    {"properties.authConfig.tenantId", "\"x\"", kValue, nullptr},
    {"properties.dataEncryption.type", "\"AzureKeyVault\"", kFeature, nullptr},
    {"properties.dataEncryption.primaryKeyURI", "\"https://x\"", kFeature, nullptr},
    {"properties.maintenanceWindow.customWindow", "\"Yes\"", kValue, nullptr},
    {"properties.maintenanceWindow.dayOfWeek", "7", kValue, nullptr},
    {"properties.maintenanceWindow.startHour", "24", kValue, nullptr},
    {"properties.maintenanceWindow.startMinute", "60", kValue, nullptr},
    {"properties.maintenanceWindow.startHour", "3", kValue,
     "properties.maintenanceWindow.customWindow"},
};

TEST(server_validation, every_bad_field_of_a_new_server_is_named) {
    World world;
    world.make_group();
    for (const Case& each : kCreate) {
        Body body = World::server_body();
        set(body, each.path, each.json);
        const Reply reply = world.call("PUT", kServer, body);
        const std::string what = std::string(each.path) + " = " + each.json;
        EXPECT_GE(reply.status, 400) << what;
        EXPECT_EQ(reply.code(), each.code) << what << "\n" << reply.text;
        EXPECT_EQ(reply.target(), each.target == nullptr ? each.path : each.target) << what << "\n"
                                                                                    << reply.text;
        const std::string message = reply.message();
        ASSERT_FALSE(message.empty()) << what;
        EXPECT_TRUE(message.back() == '.') << message;
        EXPECT_FALSE(message.front() >= 'a' && message.front() <= 'z') << message;
        EXPECT_EQ(reply.text.find("Pa55w0rd!"), std::string::npos) << what;
    }
    EXPECT_EQ(world.call("GET", kServer).status, 404);
}

const Case kUpdate[] = {
    {"location", "\"mars\"", "InvalidResourceLocation", nullptr},
    {"properties.administratorLogin", "\"other\"", "PropertyChangeNotAllowed", nullptr},
    {"properties.version", "\"17\"", kFeature, nullptr},
    {"properties.version", "\"14\"", "PropertyChangeNotAllowed", nullptr},
    {"properties.version", "\"99\"", kValue, nullptr},
    {"properties.availabilityZone", "\"2\"", "PropertyChangeNotAllowed", nullptr},
    {"properties.storage.storageSizeGB", "32", "PropertyChangeNotAllowed", nullptr},
    {"properties.storage.storageSizeGB", "65", kValue, nullptr},
    {"properties.storage.tier", "\"P4\"", kValue, nullptr},
    {"properties.createMode", "\"Create\"", kValue, nullptr},
    {"sku.tier", "\"Burstable\"", kValue, nullptr},
    {"properties.administratorLoginPassword", "\"short\"", kValue, nullptr},
    {"properties.replicationRole", "\"AsyncReplica\"", kValue, nullptr},
};

TEST(server_validation, what_cannot_change_is_refused) {
    World world;
    world.make_group();
    world.make_server();
    const Body grow = Body::parse(R"({"properties":{"storage":{"storageSizeGB":64}}})");
    ASSERT_EQ(world.call("PATCH", kServer, grow).status, 202);
    const auto before = world.spec();
    for (const Case& each : kUpdate) {
        Body body = Body::object();
        set(body, each.path, each.json);
        const Reply reply = world.call("PATCH", kServer, body);
        const std::string what = std::string(each.path) + " = " + each.json;
        EXPECT_GE(reply.status, 400) << what;
        EXPECT_EQ(reply.code(), each.code) << what << "\n" << reply.text;
        EXPECT_EQ(reply.target(), each.path) << what << "\n" << reply.text;
    }
    EXPECT_EQ(world.spec().generation, before.generation);
}

TEST(server_validation, the_version_error_lists_the_engines) {
    World world;
    world.make_group();
    Body body = World::server_body();
    body["properties"]["version"] = "13";
    EXPECT_NE(world.call("PUT", kServer, body).message().find("15, 17"), std::string::npos);
}

TEST(server_validation, bad_names_are_refused) {
    World world;
    world.make_group();
    for (const std::string& name :
         {std::string("ab"), std::string(64, 'a'), std::string("-abc"), std::string("abc-"),
          std::string("a_b_c"), std::string("a.b.c"), std::string("PG1"), std::string("azure"),
          std::string("my-microsoft-db"), std::string("login-db"), std::string("abc%20d"),
          std::string("%C3%BCber")}) {
        const Reply reply = world.call("PUT", "{P}/flexibleServers/" + name, World::server_body());
        EXPECT_EQ(reply.code(), "InvalidResourceName") << name << reply.text;
        EXPECT_EQ(reply.target(), "name");
    }
}

TEST(server_validation, bodies_that_are_no_object_are_refused) {
    World world;
    world.make_group();
    world.make_server();
    for (const char* method : {"PUT", "PATCH"})
        for (const char* body : {"", "null", "[]", "5", "\"x\"", "{", "{} {}"}) {
            const Reply reply = world.call_text(method, kServer, body);
            EXPECT_EQ(reply.code(), "InvalidRequestContent") << method << body;
        }
}

TEST(server_validation, a_small_machine_still_offers_the_smallest_size) {
    World world;
    world.make_group();
    model::HostReport tiny = World::host();
    tiny.cpus = 1;
    tiny.memory_mb = 1024;
    tiny.disk_gb = 10;
    world.put_host(tiny);
    Body body = World::server_body();
    EXPECT_EQ(world.call("PUT", kServer, body).target(), "sku.name");
    body["sku"] = {{"name", "Standard_B1ms"}, {"tier", "Burstable"}};
    EXPECT_EQ(world.call("PUT", kServer, body).status, 202);
}

TEST(server_validation, a_sku_is_found_in_any_spelling) {
    World world;
    world.make_group();
    Body body = World::server_body();
    body["sku"]["name"] = "standard_d2DS_v5";
    body["sku"]["tier"] = "generalpurpose";
    ASSERT_EQ(world.call("PUT", kServer, body).status, 202);
    EXPECT_EQ(world.spec().sku.name, "Standard_D2ds_v5");
    EXPECT_EQ(world.spec().sku.tier, "GeneralPurpose");
}

}  // namespace
}  // namespace howdah::api
