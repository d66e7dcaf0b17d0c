#include "api/postgres/routes.h"

#include "api/postgres/handlers.h"

// The operations of Microsoft.DBforPostgreSQL/flexibleServers as its SDKs of 2025-08-01 have them,
// by group and name. Those without a handler answer FeatureNotSupported with the phrase behind. A
// list of what cannot be made yet is empty, and none of it is found by its name.

namespace howdah::api::postgres {
namespace {

#define HD_PROVIDER "/providers/Microsoft.DBforPostgreSQL"
#define HD_S "/subscriptions/{subscriptionId}"
#define HD_P HD_S "/resourceGroups/{resourceGroupName}" HD_PROVIDER
#define HD_F HD_P "/flexibleServers/{serverName}"
#define HD_L HD_S HD_PROVIDER "/locations/{locationName}"

constexpr const Versions* kV = &kPostgresVersions;

constexpr std::string_view kEntra = "Microsoft Entra administrators are";
constexpr std::string_view kThreats = "threat protection settings are";
constexpr std::string_view kBackups = "backups are";
constexpr std::string_view kLongTerm = "long-term retention of backups is";
constexpr std::string_view kMigrations = "migrations are";
constexpr std::string_view kMaintenance = "maintenance events are";
constexpr std::string_view kPrechecks = "checks before an upgrade are";
constexpr std::string_view kReplicas = "read replicas are";
constexpr std::string_view kEndpoints = "private endpoints are";
constexpr std::string_view kTuning = "tuning options are";
constexpr std::string_view kVirtual = "virtual endpoints are";
constexpr std::string_view kNetworks = "private networks are";

constexpr Route kRoutes[] = {
    {"PUT", HD_F "/administrators/{objectId}", "administratorsMicrosoftEntra", "createOrUpdate", kV,
     nullptr, kEntra},
    {"DELETE", HD_F "/administrators/{objectId}", "administratorsMicrosoftEntra", "delete", kV,
     nullptr, kEntra},
    {"GET", HD_F "/administrators/{objectId}", "administratorsMicrosoftEntra", "get", kV, nullptr,
     kEntra},
    {"GET", HD_F "/administrators", "administratorsMicrosoftEntra", "listByServer", kV, nullptr,
     kEntra},
    {"GET", HD_F "/advancedThreatProtectionSettings", "advancedThreatProtectionSettings",
     "listByServer", kV, list_nothing, kThreats},
    {"GET", HD_F "/advancedThreatProtectionSettings/{threatProtectionName}",
     "advancedThreatProtectionSettings", "get", kV, get_nothing, kThreats},
    {"PUT", HD_F "/backups/{backupName}", "backupsAutomaticAndOnDemand", "create", kV, nullptr,
     kBackups},
    {"DELETE", HD_F "/backups/{backupName}", "backupsAutomaticAndOnDemand", "delete", kV, nullptr,
     kBackups},
    {"GET", HD_F "/backups/{backupName}", "backupsAutomaticAndOnDemand", "get", kV, get_nothing,
     kBackups},
    {"GET", HD_F "/backups", "backupsAutomaticAndOnDemand", "listByServer", kV, list_nothing,
     kBackups},
    {"POST", HD_F "/ltrPreBackup", "backupsLongTermRetention", "checkPrerequisites", kV, nullptr,
     kLongTerm},
    {"POST", HD_F "/startLtrBackup", "backupsLongTermRetention", "start", kV, nullptr, kLongTerm},
    {"GET", HD_F "/ltrBackupOperations/{backupName}", "backupsLongTermRetention", "get", kV,
     get_nothing, kLongTerm},
    {"GET", HD_F "/ltrBackupOperations", "backupsLongTermRetention", "listByServer", kV,
     list_nothing, kLongTerm},
    {"GET",
     HD_L "/capabilities",
     "capabilitiesByLocation",
     "list",
     kV,
     list_capabilities_by_location,
     {},
     Needs::any_role},
    {"GET", HD_F "/capabilities", "capabilitiesByServer", "list", kV, list_capabilities_by_server},
    {"GET", HD_F "/logFiles", "capturedLogs", "listByServer", kV, list_log_files},
    {"GET", HD_F "/configurations", "configurations", "listByServer", kV, list_configurations},
    {"GET", HD_F "/configurations/{configurationName}", "configurations", "get", kV,
     get_configuration},
    {"PATCH", HD_F "/configurations/{configurationName}", "configurations", "update", kV,
     put_configuration},
    {"PUT", HD_F "/configurations/{configurationName}", "configurations", "put", kV,
     put_configuration},
    {"PUT", HD_F "/databases/{databaseName}", "databases", "create", kV, put_database},
    {"DELETE", HD_F "/databases/{databaseName}", "databases", "delete", kV, delete_database},
    {"GET", HD_F "/databases/{databaseName}", "databases", "get", kV, get_database},
    {"GET", HD_F "/databases", "databases", "listByServer", kV, list_databases},
    {"PUT", HD_F "/firewallRules/{firewallRuleName}", "firewallRules", "createOrUpdate", kV,
     put_firewall_rule},
    {"DELETE", HD_F "/firewallRules/{firewallRuleName}", "firewallRules", "delete", kV,
     delete_firewall_rule},
    {"GET", HD_F "/firewallRules/{firewallRuleName}", "firewallRules", "get", kV,
     get_firewall_rule},
    {"GET", HD_F "/firewallRules", "firewallRules", "listByServer", kV, list_firewall_rules},
    {"PUT", HD_F "/migrations/{migrationName}", "migrations", "create", kV, nullptr, kMigrations},
    {"GET", HD_F "/migrations/{migrationName}", "migrations", "get", kV, get_nothing, kMigrations},
    {"PATCH", HD_F "/migrations/{migrationName}", "migrations", "update", kV, nullptr, kMigrations},
    {"DELETE", HD_F "/migrations/{migrationName}", "migrations", "cancel", kV, nullptr,
     kMigrations},
    {"GET", HD_F "/migrations", "migrations", "listByTargetServer", kV, list_nothing, kMigrations},
    {"POST", HD_F "/checkMigrationNameAvailability", "migrations", "checkNameAvailability", kV,
     nullptr, kMigrations},
    {"POST",
     HD_S HD_PROVIDER "/checkNameAvailability",
     "nameAvailability",
     "checkGlobally",
     kV,
     check_name_globally,
     {},
     Needs::any_role},
    {"POST",
     HD_L "/checkNameAvailability",
     "nameAvailability",
     "checkWithLocation",
     kV,
     check_name_with_location,
     {},
     Needs::any_role},
    {"GET", HD_PROVIDER "/operations", "operations", "list", kV, list_operations, {}, Needs::login},
    {"POST",
     HD_PROVIDER "/getPrivateDnsZoneSuffix",
     "privateDnsZoneSuffix",
     "get",
     kV,
     get_private_dns_zone_suffix,
     {},
     Needs::login},
    {"GET", HD_F "/privateEndpointConnections/{privateEndpointConnectionName}",
     "privateEndpointConnections", "get", kV, get_nothing, kEndpoints},
    {"PUT", HD_F "/privateEndpointConnections/{privateEndpointConnectionName}",
     "privateEndpointConnections", "update", kV, nullptr, kEndpoints},
    {"DELETE", HD_F "/privateEndpointConnections/{privateEndpointConnectionName}",
     "privateEndpointConnections", "delete", kV, nullptr, kEndpoints},
    {"GET", HD_F "/privateEndpointConnections", "privateEndpointConnections", "listByServer", kV,
     list_nothing, kEndpoints},
    {"GET", HD_F "/privateLinkResources", "privateLinkResources", "listByServer", kV, list_nothing,
     kEndpoints},
    {"GET", HD_F "/privateLinkResources/{groupName}", "privateLinkResources", "get", kV,
     get_nothing, kEndpoints},
    {"GET",
     HD_L "/resourceType/flexibleServers/usages",
     "quotaUsages",
     "list",
     kV,
     list_quota_usages,
     {},
     Needs::any_role},
    {"GET", HD_F "/replicas", "replicas", "listByServer", kV, list_nothing, kReplicas},
    {"PUT", HD_F "/advancedThreatProtectionSettings/{threatProtectionName}",
     "serverThreatProtectionSettings", "createOrUpdate", kV, nullptr, kThreats},
    {"PUT", HD_F, "servers", "createOrUpdate", kV, put_server},
    {"PATCH", HD_F, "servers", "update", kV, patch_server},
    {"DELETE", HD_F, "servers", "delete", kV, delete_server},
    {"GET", HD_F, "servers", "get", kV, get_server},
    {"GET",
     HD_P "/flexibleServers",
     "servers",
     "listByResourceGroup",
     kV,
     list_servers_in_group,
     {},
     Needs::any_role},
    {"GET",
     HD_S HD_PROVIDER "/flexibleServers",
     "servers",
     "listBySubscription",
     kV,
     list_servers_in_subscription,
     {},
     Needs::any_role},
    {"POST", HD_F "/restart", "servers", "restart", kV, restart_server},
    {"POST", HD_F "/start", "servers", "start", kV, start_server},
    {"POST", HD_F "/stop", "servers", "stop", kV, stop_server},
    {"GET", HD_F "/tuningOptions/{tuningOption}", "tuningOptionsOperations", "get", kV, get_nothing,
     kTuning},
    {"GET", HD_F "/tuningOptions/{tuningOption}/recommendations", "tuningOptionsOperations",
     "listRecommendations", kV, get_nothing, kTuning},
    {"GET", HD_F "/tuningOptions", "tuningOptionsOperations", "listByServer", kV, list_nothing,
     kTuning},
    {"PUT", HD_F "/virtualendpoints/{virtualEndpointName}", "virtualEndpoints", "create", kV,
     nullptr, kVirtual},
    {"PATCH", HD_F "/virtualendpoints/{virtualEndpointName}", "virtualEndpoints", "update", kV,
     nullptr, kVirtual},
    {"DELETE", HD_F "/virtualendpoints/{virtualEndpointName}", "virtualEndpoints", "delete", kV,
     nullptr, kVirtual},
    {"GET", HD_F "/virtualendpoints/{virtualEndpointName}", "virtualEndpoints", "get", kV,
     get_nothing, kVirtual},
    {"GET", HD_F "/virtualendpoints", "virtualEndpoints", "listByServer", kV, list_nothing,
     kVirtual},
    {"POST", HD_L "/checkVirtualNetworkSubnetUsage", "virtualNetworkSubnetUsage", "list", kV,
     list_subnet_usage, kNetworks, Needs::any_role},
    // What the preview 2026-04-01 adds.
    {"GET", HD_F "/maintenanceEvents", "maintenanceEvents", "list", kV, list_nothing, kMaintenance},
    {"GET", HD_F "/maintenanceEvents/{maintenanceEventId}", "maintenanceEvents", "get", kV,
     get_nothing, kMaintenance},
    {"POST", HD_F "/maintenanceEvents/{maintenanceEventId}/applyNow", "maintenanceEvents",
     "applyNow", kV, nullptr, kMaintenance},
    {"POST", HD_F "/maintenanceEvents/{maintenanceEventId}/reschedule", "maintenanceEvents",
     "reschedule", kV, nullptr, kMaintenance},
    {"GET", HD_F "/majorVersionUpgradePrecheck", "majorVersionUpgradePrecheck", "list", kV,
     list_nothing, kPrechecks},
    {"GET", HD_F "/majorVersionUpgradePrecheck/{precheckValidationId}",
     "majorVersionUpgradePrecheck", "get", kV, get_nothing, kPrechecks},
    {"POST", HD_F "/startMajorVersionUpgradePrecheck", "servers",
     "startMajorVersionUpgradePrecheck", kV, nullptr, kPrechecks},
    {"POST", HD_F "/migrateNetwork", "servers", "migrateNetworkMode", kV, nullptr, kNetworks},
    // Not an operation of the SDKs' tables, but what follows the long-running ones.
    {"GET",
     HD_L "/azureAsyncOperation/{operationId}",
     "asyncOperations",
     "get",
     kV,
     get_async_operation,
     {},
     Needs::any_role},
    {"GET",
     HD_L "/operationResults/{operationId}",
     "asyncOperations",
     "getResult",
     kV,
     get_operation_result,
     {},
     Needs::any_role},
};

#undef HD_PROVIDER
#undef HD_S
#undef HD_P
#undef HD_F
#undef HD_L

}  // namespace

std::span<const Route> routes() { return kRoutes; }

}  // namespace howdah::api::postgres
