#include "api/postgres/view.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/postgres/replicas.h"
#include "base/text.h"
#include "core/placement/placement.h"
#include "core/sizing/pooling.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api::postgres {
namespace {

constexpr std::string_view kServerType = "Microsoft.DBforPostgreSQL/flexibleServers";

Json system_data_json(const model::SystemData& data) {
    return {{"createdBy", data.created_by},
            {"createdByType", data.created_by_type},
            {"createdAt", data.created_at},
            {"lastModifiedBy", data.last_modified_by},
            {"lastModifiedByType", data.last_modified_by_type},
            {"lastModifiedAt", data.last_modified_at}};
}

Json storage_json(const model::StorageSpec& storage, Shape shape) {
    Json out = {{"storageSizeGB", storage.size_gb}};
    if (shape == Shape::v2022_12_01) return out;
    out["autoGrow"] = storage.auto_grow;
    out["tier"] = storage.tier;
    out["iops"] = storage.iops;
    out["type"] = storage.type;
    return out;
}

Json auth_json(const model::AuthSpec& auth) {
    Json out = {{"activeDirectoryAuth", auth.active_directory}, {"passwordAuth", auth.password}};
    if (!auth.tenant_id.empty()) out["tenantId"] = auth.tenant_id;
    return out;
}

/// "15.20" -> "20": Azure shows the minor part alone.
std::string minor_of(const std::string& version) {
    const std::size_t dot = version.find('.');
    return dot == std::string::npos ? version : version.substr(dot + 1);
}

/// Where a member is; where it is asked for while it is nowhere.
std::string shown_zone(const Offer& offer, const std::string& host, const std::string& asked) {
    const model::HostReport* report = offer.host(host);
    return report == nullptr ? asked : core::zone_of(*report);
}

/// With the zones of both members as they are: a failover exchanges them.
void add_availability(const ServerRecord& server, const Offer& offer, Json& out) {
    const model::ServerSpec& spec = server.spec;
    const bool is_wanted = core::wants_standby(spec);
    const model::ServerStatus status = server.status.value_or(model::ServerStatus{});
    std::string state = status.high_availability_state;
    if (is_wanted && state == "NotEnabled") state = "CreatingStandby";
    Json availability = {{"mode", spec.high_availability_mode}, {"state", state}};
    std::string zone = spec.availability_zone;
    if (is_wanted) {
        zone = shown_zone(offer, status.host, zone);
        const std::string standby =
            shown_zone(offer, status.standby_host, spec.standby_availability_zone);
        if (!standby.empty()) availability["standbyAvailabilityZone"] = standby;
    }
    out["highAvailability"] = std::move(availability);
    if (!zone.empty()) out["availabilityZone"] = zone;
}

Json proof_status_json(const model::ProofStatus& proof, Timestamp now) {
    Json out = {{"outcome", as_word(proof.outcome)}, {"endTime", proof.at}};
    if (const auto at = parse_iso8601(proof.at); at.ok())
        out["ageSeconds"] = std::chrono::duration_cast<std::chrono::seconds>(now - *at).count();
    return out;
}

/// What Azure has no field for: where the gateway listens, and how far the server is. Clients of
/// Azure ignore it; the command line needs it.
Json howdah_json(const ServerRecord& server, const Offer& offer, Timestamp now) {
    Json out = {{"generation", server.spec.generation}};
    if (!server.status) return out;
    const model::ServerStatus& status = *server.status;
    out["observedGeneration"] = status.observed_generation;
    if (const model::HostReport* host = offer.host(status.host)) {
        out["address"] = host->address;
        out["gatewayPort"] = host->gateway_port;
        if (host->pooler_port != 0 && core::wants_pooling(server.spec.parameters))
            out["poolerPort"] = host->pooler_port;
    }
    if (status.port != 0) out["port"] = status.port;
    for (const model::RestorableSpan& each : status.restorable)
        out["restorable"].push_back({{"from", each.from}, {"to", each.to}});
    if (status.replica)
        out["replication"] = {{"streaming", status.replica->is_streaming},
                              {"lagBytes", status.replica->lag_bytes},
                              {"lagSeconds", status.replica->lag_s}};
    if (status.proof) out["lastProof"] = proof_status_json(*status.proof, now);
    for (const model::Condition& each : status.conditions) {
        // What the machine lacks is told of the machine.
        if (each.type.starts_with("Capability.")) continue;
        Json condition = {{"type", each.type},
                          {"status", each.status},
                          {"reason", each.reason},
                          {"lastTransitionTime", each.last_transition_time}};
        if (!each.message.empty()) condition["message"] = as_sentence(each.message);
        out["conditions"].push_back(std::move(condition));
    }
    if (status.failure && status.failed_generation == server.spec.generation) {
        out["failure"] = {{"code", status.failure->code},
                          {"message", as_sentence(status.failure->message)}};
        if (!status.failure->hint.empty())
            out["failure"]["hint"] = as_sentence(status.failure->hint);
    }
    return out;
}

/// Azure's word for how a read replica follows its source.
std::string_view replication_state(const ServerRecord& server) {
    if (!server.status || server.status->observed_generation == 0) return "Provisioning";
    if (server.status->state != "Ready") return "Reconfiguring";
    if (!server.status->replica || !server.status->replica->is_streaming) return "Broken";
    constexpr std::int64_t kFewBytes = 64 << 20;
    return server.status->replica->lag_bytes < kFewBytes ? "Active" : "Catchup";
}

Json properties_json(const Call& call, const ServerRecord& server, const Offer& offer) {
    const model::ServerSpec& spec = server.spec;
    Json out = Json::object();
    if (!spec.administrator_login.empty()) out["administratorLogin"] = spec.administrator_login;
    out["version"] = spec.version;
    out["state"] = state_of(server);
    out["fullyQualifiedDomainName"] = fmt::format("{}.{}", spec.name, call.context.dns_suffix);
    if (server.status && !server.status->minor_version.empty())
        out["minorVersion"] = minor_of(server.status->minor_version);
    out["storage"] = storage_json(spec.storage, call.shape);
    out["authConfig"] = auth_json(spec.auth);
    out["dataEncryption"] = {{"type", "SystemManaged"}};
    out["backup"] = {{"backupRetentionDays", spec.backup.retention_days},
                     {"geoRedundantBackup", spec.backup.geo_redundant}};
    if (server.status && !server.status->restorable.empty())
        out["backup"]["earliestRestoreDate"] = server.status->restorable.front().from;
    out["network"] = {{"publicNetworkAccess", spec.network.public_access}};
    add_availability(server, offer, out);
    out["maintenanceWindow"] = {{"customWindow", spec.maintenance.custom},
                                {"dayOfWeek", spec.maintenance.day_of_week},
                                {"startHour", spec.maintenance.start_hour},
                                {"startMinute", spec.maintenance.start_minute}};
    const bool is_replica = postgres::is_replica(spec);
    const char* const role = is_replica ? "AsyncReplica" : "Primary";
    const std::size_t capacity = is_replica ? 0 : kReplicasMax;
    out["replicationRole"] = role;
    out["replicaCapacity"] = capacity;
    if (is_replica) out["sourceServerResourceId"] = spec.restore->source_id;
    if (call.shape != Shape::v2022_12_01) {
        out["replica"] = {{"role", role}, {"capacity", capacity}};
        if (is_replica) out["replica"]["replicationState"] = replication_state(server);
        out["privateEndpointConnections"] = Json::array();
    }
    out["howdah"] = howdah_json(server, offer, call.context.clock.wall());
    return out;
}

}  // namespace

model::ResourceId server_id(const Call& call) {
    return model::ResourceId::server(call.subscription(), call.parameter("resourceGroupName"),
                                     call.parameter("serverName"));
}

Error server_not_found(const model::ResourceId& id) { return child_not_found(id); }

Error child_not_found(const model::ResourceId& id) {
    std::string names;
    for (const model::ResourceId::Segment& each : id.segments) names += "/" + each.name;
    return {ErrorCode::not_found,
            fmt::format("the Resource '{}{}' under resource group '{}' was not found", id.type(),
                        names, id.resource_group),
            id.to_string()};
}

Error group_being_deleted(const model::ResourceGroup& group) {
    return {ErrorCode::group_being_deleted,
            fmt::format("the resource group '{}' is in deprovisioning state and cannot perform "
                        "this operation",
                        group.name),
            group.id, "wait until it is gone"};
}

Result<model::ResourceGroup> load_group(const Call& call, const model::ResourceId& id) {
    const auto group_id = model::ResourceId::group(id.subscription, id.resource_group);
    HD_TRY(const auto entry, call.context.store.get(store::keys::group(group_id)));
    if (!entry)
        return Error{ErrorCode::resource_group_not_found,
                     fmt::format("resource group '{}' could not be found", id.resource_group),
                     group_id.to_string()};
    return model::from_json<model::ResourceGroup>(entry->value);
}

std::optional<model::ServerStatus> status_of(const model::ServerSpec& spec,
                                             std::optional<model::ServerStatus> status) {
    if (status && status->incarnation != spec.incarnation) return std::nullopt;
    return status;
}

namespace {

Result<SharedServer> read_server(const Call& call, const model::ResourceId& id,
                                 const SharedServer& previous) {
    store::Store& store = call.context.store;
    HD_TRY(const auto entry, store.get(store::keys::server(id)));
    if (!entry) {
        HD_CHECK(load_group(call, id));
        return server_not_found(id);
    }
    HD_TRY(const auto status, store.get(store::keys::status(id.key())));
    const store::Revision status_modified = status ? status->modified : 0;
    if (previous != nullptr && previous->modified == entry->modified &&
        previous->status_modified == status_modified)
        return previous;
    auto server = std::make_shared<ServerRecord>();
    HD_TRY(server->spec, model::from_json<model::ServerSpec>(entry->value));
    server->modified = entry->modified;
    server->status_modified = status_modified;
    if (status) {
        HD_TRY(model::ServerStatus record, model::from_json<model::ServerStatus>(status->value));
        server->status = status_of(server->spec, std::move(record));
    }
    return SharedServer(std::move(server));
}

}  // namespace

Result<ServerRecord> load_server(const Call& call, const model::ResourceId& id) {
    HD_TRY(const auto server, find_server(call, id));
    return *server;
}

Result<SharedServer> find_server(const Call& call, const model::ResourceId& id) {
    return call.services.known.servers.get(
        id.key(), [&](const SharedServer& previous) { return read_server(call, id, previous); });
}

std::string as_word(std::string text) {
    if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
        text[0] = static_cast<char>(text[0] - 'a' + 'A');
    return text;
}

std::string state_of(const ServerRecord& server) {
    if (server.spec.deleting) return "Dropping";
    return server.status ? server.status->state : "Provisioning";
}

Json server_json(const Call& call, const ServerRecord& server, const Offer& offer) {
    const model::ServerSpec& spec = server.spec;
    return {{"id", spec.id},
            {"name", spec.name},
            {"type", kServerType},
            {"location", spec.location},
            {"tags", Json(spec.tags)},
            {"sku", {{"name", spec.sku.name}, {"tier", spec.sku.tier}}},
            {"systemData", system_data_json(spec.system_data)},
            {"properties", properties_json(call, server, offer)}};
}

Json firewall_rule_json(const model::ResourceId& server, const model::FirewallRule& rule) {
    const model::ResourceId id = server.child("firewallRules", rule.name);
    return {{"id", id.to_string()},
            {"name", rule.name},
            {"type", id.type()},
            {"properties", {{"startIpAddress", rule.start_ip}, {"endIpAddress", rule.end_ip}}}};
}

Json database_json(const model::ResourceId& server, const std::string& name,
                   const std::string& charset, const std::string& collation) {
    const model::ResourceId id = server.child("databases", name);
    return {{"id", id.to_string()},
            {"name", name},
            {"type", id.type()},
            {"properties", {{"charset", charset}, {"collation", collation}}}};
}

}  // namespace howdah::api::postgres
