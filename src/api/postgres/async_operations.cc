#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <tuple>

#include "api/postgres/change.h"
#include "api/postgres/handlers.h"
#include "api/postgres/server_rules.h"
#include "base/text.h"

// The two ways to follow a long-running request: its status, and its result.

namespace howdah::api::postgres {
namespace {

constexpr std::string_view kRetryAfterSeconds = "1";

Result<model::Operation> find_operation(const Call& call) {
    HD_CHECK(check_location(call.context, call.parameter("locationName"),
                            "Microsoft.DBforPostgreSQL/locations"));
    const std::string& id = call.parameter("operationId");
    const Error unknown{ErrorCode::not_found,
                        fmt::format("the operation '{}' was not found", id.substr(0, 64)), id};
    if (!is_uuid(id)) return unknown;
    const auto operation = call.context.operations.find(to_lower(id));
    if (!operation.ok()) {
        if (operation.error().code == ErrorCode::not_found) return unknown;
        return operation.error();
    }
    if (!iequals(operation->subscription, call.subscription())) return unknown;
    if (!may_follow(call, *operation)) return unknown;
    return *operation;
}

Error failure_of(const model::Operation& operation) {
    if (!operation.failure)
        return {ErrorCode::cancelled, "the operation was cancelled", operation.resource_id};
    return {error_code_from(operation.failure->code), operation.failure->message,
            operation.resource_id, operation.failure->hint};
}

/// The code as recorded: an agent may know more of them than this table.
Json failure_json(const model::Operation& operation) {
    Json body = error_json(failure_of(operation));
    if (operation.failure && !operation.failure->code.empty())
        body["code"] = operation.failure->code;
    return body;
}

/// Answers the GET of what the operation was about. Who began it sees how it ended, but what it
/// was about only with the right to read it.
Answer show_resource(const Call& call, const model::Operation& operation) {
    HD_TRY(const auto id, model::ResourceId::parse(operation.resource_id));
    if (!call.may_read(id.type(), operation.resource_id)) return empty_answer(204);
    if (id.segments.empty()) return empty_answer(200);
    return get_by_id(call, id);
}

/// Operations that leave nothing to show: they answer 204.
bool has_result(std::string_view kind) {
    for (const std::string_view each :
         {"CreateServer", "UpdateServer", "CreateDatabase", "UpdateFirewallRule",
          "UpdateConfiguration", "UpdateAdministrator", "CreateBackup", "ProveBackups"})
        if (kind == each) return true;
    return false;
}

}  // namespace

Answer get_async_operation(Call& call) {
    HD_TRY(const model::Operation operation, find_operation(call));
    Json body = {{"id", call.request.path},
                 {"name", operation.id},
                 {"resourceId", operation.resource_id},
                 {"status", operation.status},
                 {"startTime", operation.start_time}};
    if (!operation.end_time.empty()) body["endTime"] = operation.end_time;
    Json properties = {{"operation", operation.kind}};
    if (!operation.progress.empty()) properties["progress"] = operation.progress;
    body["properties"] = std::move(properties);
    const bool failed = operation.status == "Failed" || operation.status == "Canceled";
    if (failed) body["error"] = failure_json(operation);
    http::Response response{200, {}, to_text(body)};
    if (operation.status == "InProgress") response.headers["retry-after"] = kRetryAfterSeconds;
    return response;
}

Answer get_operation_result(Call& call) {
    HD_TRY(const model::Operation operation, find_operation(call));
    if (operation.status == "InProgress")
        return with_operation(call, http::Response{202, {}, ""}, operation);
    if (operation.status != "Succeeded") {
        const Error error = failure_of(operation);
        http::Response response = error_answer(error);
        response.body = to_text(Json{{"error", failure_json(operation)}});
        return response;
    }
    if (!has_result(operation.kind)) return empty_answer(204);
    return show_resource(call, operation);
}

Answer get_by_id(const Call& call, const model::ResourceId& id) {
    if (id.segments.empty() || id.segments.size() > 2 ||
        !iequals(id.provider_namespace, model::kPostgresNamespace) ||
        !iequals(id.segments.front().type, "flexibleServers"))
        return child_not_found(id);
    Call inner = call;
    inner.parameters = {{"subscriptionId", id.subscription},
                        {"resourceGroupName", id.resource_group},
                        {"serverName", id.segments.front().name}};
    if (id.segments.size() == 1) return get_server(inner);
    constexpr std::tuple<std::string_view, std::string_view, Handler> kChildren[] = {
        {"databases", "databaseName", get_database},
        {"firewallRules", "firewallRuleName", get_firewall_rule},
        {"administrators", "objectId", get_administrator},
        {"configurations", "configurationName", get_configuration},
        {"backups", "backupName", get_backup},
        {"howdahProofs", "proofName", get_proof}};
    for (const auto& [type, parameter, get] : kChildren) {
        if (!iequals(type, id.segments.back().type)) continue;
        inner.parameters.emplace_back(parameter, id.name());
        return get(inner);
    }
    return child_not_found(id);
}

}  // namespace howdah::api::postgres
