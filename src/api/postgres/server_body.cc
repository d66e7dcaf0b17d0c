#include "api/postgres/server_body.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/postgres/offer.h"
#include "base/id.h"
#include "base/text.h"

namespace howdah::api::postgres {
namespace {

constexpr std::string_view kSwitch[] = {"Enabled", "Disabled"};
constexpr std::string_view kCreateModes[] = {
    "Default", "Create", "Update", "PointInTimeRestore", "ReviveDropped", "Replica"};
constexpr std::string_view kLaterCreateModes[] = {"GeoRestore"};
constexpr std::string_view kStorageTypes[] = {"Premium_LRS", "PremiumV2_LRS", "UltraSSD_LRS"};
constexpr std::string_view kStorageTiers[] = {"P1",  "P2",  "P3",  "P4",  "P6",  "P10", "P15",
                                              "P20", "P30", "P40", "P50", "P60", "P70", "P80"};
constexpr std::string_view kHaModes[] = {"Disabled", "SameZone", "ZoneRedundant"};
constexpr std::string_view kRoles[] = {"None", "Primary", "AsyncReplica", "GeoAsyncReplica"};
constexpr std::string_view kPromoteModes[] = {"Standalone", "Switchover"};
constexpr std::string_view kPromoteOptions[] = {"Planned", "Forced"};
constexpr std::string_view kIdentityTypes[] = {"None", "UserAssigned", "SystemAssigned",
                                               "SystemAssigned,UserAssigned"};
constexpr std::string_view kEncryptionTypes[] = {"SystemManaged", "AzureKeyVault"};
constexpr std::int64_t kStorageGbMax = 65536;
constexpr std::int64_t kIopsMax = 1'000'000;

void not_built(Reader& reader, std::string_view name, std::string_view value, std::string_view what,
               std::string_view hint) {
    reader.fail(
        {ErrorCode::not_supported,
         fmt::format("'{}' is '{}', but {} not supported yet", reader.path_of(name), value, what),
         reader.path_of(name), std::string(hint)});
}

void read_sku(Reader& body, ServerBody& out) {
    std::optional<Reader> sku = body.object("sku");
    if (!sku) return;
    out.sku_name = sku->text("name");
    out.sku_tier = sku->one_of("tier", kTiers);
    sku->finish();
}

void read_identity(Reader& body) {
    std::optional<Reader> identity = body.object("identity");
    if (!identity) return;
    const auto type = identity->one_of("type", kIdentityTypes);
    if (type && *type != "None")
        not_built(*identity, "type", *type, "managed identities are", "use 'None'");
    const auto ids = identity->object("userAssignedIdentities");
    identity->read_only("principalId");
    identity->read_only("tenantId");
    if (ids && type != "None")
        identity->not_supported("userAssignedIdentities", "managed identities are");
    identity->finish();
}

void read_storage(Reader& properties, ServerBody& out) {
    std::optional<Reader> storage = properties.object("storage");
    if (!storage) return;
    out.storage.size_gb = storage->integer("storageSizeGB", 1, kStorageGbMax);
    out.storage.tier = storage->one_of("tier", kStorageTiers);
    out.storage.iops = storage->integer("iops", 0, kIopsMax);
    out.storage.type = storage->one_of("type", kStorageTypes);
    out.storage.auto_grow = storage->one_of("autoGrow", kSwitch);
    if (out.storage.type && *out.storage.type != "Premium_LRS")
        not_built(*storage, "type", *out.storage.type, "this kind of storage is",
                  "use 'Premium_LRS', or leave the field out");
    if (out.storage.auto_grow == "Enabled")
        not_built(*storage, "autoGrow", "Enabled", "automatic growth of storage is",
                  "use 'Disabled', and raise storageSizeGB when needed");
    const auto throughput = storage->integer("throughput", 0, kIopsMax);
    if (throughput && *throughput != 0)
        storage->not_supported("throughput", "choosing the throughput of storage is");
    storage->finish();
}

void read_backup(Reader& properties, ServerBody& out) {
    std::optional<Reader> backup = properties.object("backup");
    if (!backup) return;
    out.backup_retention_days = backup->integer("backupRetentionDays", 7, 35);
    out.geo_redundant_backup = backup->one_of("geoRedundantBackup", kSwitch);
    if (out.geo_redundant_backup == "Enabled")
        not_built(*backup, "geoRedundantBackup", "Enabled", "geographically redundant backups are",
                  "use 'Disabled'");
    backup->read_only("earliestRestoreDate");
    backup->finish();
}

void read_network(Reader& properties, ServerBody& out) {
    std::optional<Reader> network = properties.object("network");
    if (!network) return;
    out.public_network_access = network->one_of("publicNetworkAccess", kSwitch);
    network->not_supported("delegatedSubnetResourceId", "private networks are");
    network->not_supported("privateDnsZoneArmResourceId", "private networks are");
    network->finish();
}

void read_high_availability(Reader& properties, ServerBody& out) {
    std::optional<Reader> availability = properties.object("highAvailability");
    if (!availability) return;
    out.high_availability_mode = availability->one_of("mode", kHaModes);
    out.standby_availability_zone = availability->text("standbyAvailabilityZone");
    availability->read_only("state");
    availability->finish();
}

void read_auth(Reader& properties, ServerBody& out) {
    std::optional<Reader> auth = properties.object("authConfig");
    if (!auth) return;
    out.active_directory_auth = auth->one_of("activeDirectoryAuth", kSwitch);
    out.password_auth = auth->one_of("passwordAuth", kSwitch);
    out.auth_tenant_id = auth->text("tenantId");
    if (out.auth_tenant_id && !is_uuid(*out.auth_tenant_id))
        auth->fail({ErrorCode::invalid_argument,
                    fmt::format("the value '{}' of '{}' is not a UUID",
                                out.auth_tenant_id->substr(0, 64), auth->path_of("tenantId")),
                    auth->path_of("tenantId")});
    auth->finish();
}

void read_encryption(Reader& properties) {
    std::optional<Reader> encryption = properties.object("dataEncryption");
    if (!encryption) return;
    constexpr std::string_view kWhat = "encryption with keys of the customer is";
    const auto type = encryption->one_of("type", kEncryptionTypes);
    if (type == "AzureKeyVault")
        not_built(*encryption, "type", *type, kWhat, "use 'SystemManaged'");
    for (const std::string_view each :
         {"primaryKeyURI", "primaryUserAssignedIdentityId", "geoBackupKeyURI",
          "geoBackupUserAssignedIdentityId", "primaryEncryptionKeyStatus",
          "geoBackupEncryptionKeyStatus"})
        encryption->not_supported(each, kWhat);
    encryption->finish();
}

void read_maintenance(Reader& properties, ServerBody& out) {
    std::optional<Reader> window = properties.object("maintenanceWindow");
    if (!window) return;
    ServerBody::Maintenance& maintenance = out.maintenance;
    maintenance.custom_window = window->one_of("customWindow", kSwitch);
    maintenance.day_of_week = window->integer("dayOfWeek", 0, 6);
    maintenance.start_hour = window->integer("startHour", 0, 23);
    maintenance.start_minute = window->integer("startMinute", 0, 59);
    window->finish();
}

void read_replication(Reader& properties, ServerBody& out) {
    out.replication_role = properties.one_of("replicationRole", kRoles);
    properties.read_only("replicaCapacity");
    std::optional<Reader> replica = properties.object("replica");
    if (!replica) return;
    out.replica.role = replica->one_of("role", kRoles);
    replica->read_only("capacity");
    replica->read_only("replicationState");
    out.replica.promote_mode = replica->one_of("promoteMode", kPromoteModes);
    out.replica.promote_option = replica->one_of("promoteOption", kPromoteOptions);
    replica->finish();
}

void read_create_mode(Reader& properties, ServerBody& out) {
    const auto given = properties.text("createMode");
    if (!given) return;
    for (const std::string_view each : kLaterCreateModes)
        if (iequals(each, *given))
            not_built(properties, "createMode", each, "this way of creating a server is",
                      "use 'Default'");
    out.create_mode = properties.one_of("createMode", kCreateModes);
}

void read_properties(Reader& properties, ServerBody& out) {
    out.administrator_login = properties.text("administratorLogin");
    out.administrator_password = properties.secret("administratorLoginPassword");
    out.version = properties.text("version");
    out.availability_zone = properties.text("availabilityZone");
    read_create_mode(properties, out);
    read_storage(properties, out);
    read_backup(properties, out);
    read_network(properties, out);
    read_high_availability(properties, out);
    read_auth(properties, out);
    read_encryption(properties);
    read_maintenance(properties, out);
    read_replication(properties, out);
    out.source_server = properties.text("sourceServerResourceId");
    out.point_in_time = properties.text("pointInTimeUTC");
    properties.not_supported("cluster", "elastic clusters are");
    for (const std::string_view each : {"state", "minorVersion", "fullyQualifiedDomainName",
                                        "privateEndpointConnections", "howdah"})
        properties.read_only(each);
    properties.finish();
}

void must_equal(Reader& body, std::string_view name, const std::string& expected) {
    const auto given = body.text(name);
    if (given && !iequals(*given, expected))
        body.fail({ErrorCode::invalid_request,
                   fmt::format("the field '{}' is '{}', but the request is about '{}'", name,
                               given->substr(0, 256), expected),
                   std::string(name), "make both the same, or leave the field out"});
}

}  // namespace

Status check_tags(const std::map<std::string, std::string>& tags) {
    constexpr std::size_t kTagsMax = 50;
    constexpr std::size_t kNameMax = 512;
    constexpr std::size_t kValueMax = 256;
    if (tags.size() > kTagsMax)
        return Error{
            ErrorCode::invalid_argument,
            fmt::format("{} tags were given; a resource has at most {}", tags.size(), kTagsMax),
            "tags"};
    for (const auto& [name, value] : tags) {
        if (name.empty() || name.size() > kNameMax ||
            name.find_first_of("<>%&\\?/") != std::string::npos)
            return Error{ErrorCode::invalid_argument,
                         fmt::format("'{}' cannot be the name of a tag", name.substr(0, 64)),
                         "tags",
                         fmt::format("use 1 to {} characters without any of <>%&\\?/", kNameMax)};
        if (value.size() > kValueMax)
            return Error{ErrorCode::invalid_argument,
                         fmt::format("the value of the tag '{}' is longer than {} characters",
                                     name.substr(0, 64), kValueMax),
                         "tags." + name.substr(0, 64)};
        for (const auto& [other, _] : tags)
            if (&other != &name && iequals(other, name))
                return Error{ErrorCode::invalid_argument,
                             fmt::format("the tag '{}' is given twice, in other letter case",
                                         name.substr(0, 64)),
                             "tags." + name.substr(0, 64)};
    }
    return ok_status();
}

Result<ServerBody> read_server_body(const Json& body, const std::string& id,
                                    const std::string& name) {
    Reader::Problem problem;
    ServerBody out;
    Reader reader(body, "", problem);
    must_equal(reader, "id", id);
    must_equal(reader, "name", name);
    must_equal(reader, "type", "Microsoft.DBforPostgreSQL/flexibleServers");
    reader.read_only("systemData");
    out.tags = reader.texts("tags");
    read_sku(reader, out);
    read_identity(reader);
    out.location = reader.text("location");
    std::optional<Reader> properties = reader.object("properties");
    if (properties) read_properties(*properties, out);
    reader.finish();
    if (problem) return *problem;
    if (out.tags) HD_CHECK(check_tags(*out.tags));
    return out;
}

}  // namespace howdah::api::postgres
