#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/auth/principal.h"
#include "api/paging.h"
#include "api/postgres/change.h"
#include "api/postgres/handlers.h"
#include "api/postgres/server_rules.h"
#include "base/id.h"
#include "base/text.h"
#include "core/access/token_role.h"

// Microsoft Entra administrators: principals that log in to PostgreSQL with access tokens.

namespace howdah::api::postgres {
namespace {

constexpr std::size_t kAdministratorsMax = 64;
constexpr std::string_view kUser = "User";
constexpr std::string_view kServicePrincipal = "ServicePrincipal";
constexpr std::string_view kTypes[] = {"Unknown", "User", "Group", "ServicePrincipal"};
constexpr std::string_view kRolePath = "properties.principalName";

model::ResourceId administrator_id(const model::ResourceId& server, const std::string& object) {
    return server.child("administrators", object);
}

Json administrator_json(const model::ResourceId& server, const model::TokenAdministrator& each) {
    const model::ResourceId id = administrator_id(server, each.object_id);
    return {{"id", id.to_string()},
            {"name", each.object_id},
            {"type", id.type()},
            {"properties",
             {{"principalType", each.type},
              {"principalName", each.role},
              {"objectId", each.object_id},
              {"tenantId", each.tenant_id}}}};
}

Result<std::string> object_of(const Call& call) {
    const std::string& object = call.parameter("objectId");
    if (is_uuid(object)) return to_lower(object);
    return Error{ErrorCode::invalid_argument,
                 fmt::format("the object id '{}' is not a UUID", object.substr(0, 64)), "objectId",
                 "use the object id of the principal, not its name or its client id"};
}

/// A role of PostgreSQL that can be this administrator's alone.
Status check_role(const std::string& role) {
    if (!core::is_token_role(role))
        return Error{ErrorCode::invalid_argument,
                     fmt::format("'{}' cannot be the name of a role", role.substr(0, 128)),
                     std::string(kRolePath),
                     "use 1 to 63 bytes without control characters, quotes and backslashes, "
                     "without a slash first and without blanks around"};
    if (is_reserved_role(role))
        return Error{ErrorCode::invalid_argument,
                     fmt::format("the administrator cannot have the name '{}'", role),
                     std::string(kRolePath),
                     "choose a name that PostgreSQL and the service do not use themselves"};
    return ok_status();
}

/// What this directory does not know is believed for users alone: other issuers have their own.
Status check_principal(const Call& call, const model::TokenAdministrator& wanted) {
    if (wanted.type == "Group")
        return Error{ErrorCode::not_supported,
                     "'properties.principalType' is 'Group', but this directory has no groups",
                     "properties.principalType",
                     "make an administrator of each user or service principal"};
    if (wanted.type == "Unknown")
        return Error{ErrorCode::invalid_argument,
                     "the type of the principal is to be known: 'User' or 'ServicePrincipal'",
                     "properties.principalType"};
    if (!iequals(wanted.tenant_id, call.context.tenant_id))
        return Error{
            ErrorCode::invalid_argument,
            fmt::format("the tenant '{}' is not known here", wanted.tenant_id.substr(0, 64)),
            "properties.tenantId", fmt::format("use '{}'", call.context.tenant_id)};
    if (wanted.type != kServicePrincipal) return ok_status();
    HD_TRY(const auto principal, find_principal_by_object(call.context.store, wanted.object_id));
    if (principal) return ok_status();
    return Error{ErrorCode::principal_not_found,
                 fmt::format("principal {} does not exist in the directory {}", wanted.object_id,
                             call.context.tenant_id),
                 "objectId", "use the object id of the service principal, not its client id"};
}

Result<model::TokenAdministrator> read_administrator(const Call& call,
                                                     const model::ResourceId& id) {
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    for (const std::string_view each : {"id", "name", "type", "systemData"}) body.read_only(each);
    model::TokenAdministrator wanted{id.to_string(), id.name(), "", std::string(kUser),
                                     call.context.tenant_id};
    std::optional<Reader> properties = body.object("properties");
    if (properties) {
        wanted.type = properties->one_of("principalType", kTypes).value_or(wanted.type);
        wanted.role = properties->text("principalName").value_or("");
        wanted.tenant_id = to_lower(properties->text("tenantId").value_or(wanted.tenant_id));
        const auto object = properties->text("objectId");
        if (object && !iequals(*object, id.name()))
            properties->fail({ErrorCode::invalid_request,
                              fmt::format("the field 'properties.objectId' is '{}', but the "
                                          "request is about '{}'",
                                          object->substr(0, 64), id.name()),
                              "properties.objectId", "make both the same"});
        if (wanted.role.empty())
            properties->fail({ErrorCode::invalid_argument,
                              fmt::format("the field '{}' is required", kRolePath),
                              std::string(kRolePath)});
        properties->finish();
    } else {
        body.fail(
            {ErrorCode::invalid_argument, "the field 'properties' is required", "properties"});
    }
    body.finish();
    if (problem) return *problem;
    HD_CHECK(check_role(wanted.role));
    HD_CHECK(check_principal(call, wanted));
    return wanted;
}

model::TokenAdministrator* find_administrator(std::vector<model::TokenAdministrator>& all,
                                              std::string_view object) {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const auto& each) { return each.object_id == object; });
    return found == all.end() ? nullptr : &*found;
}

Status apply_administrator(const model::TokenAdministrator& wanted, model::ServerSpec& spec) {
    if (spec.auth.active_directory != "Enabled")
        return Error{ErrorCode::invalid_argument,
                     fmt::format("Microsoft Entra authentication is not enabled on the server '{}'",
                                 spec.name),
                     "properties.authConfig.activeDirectoryAuth",
                     "set activeDirectoryAuth of the server to 'Enabled' first"};
    auto& all = spec.token_administrators;
    const bool is_taken =
        wanted.role == spec.administrator_login ||
        std::any_of(all.begin(), all.end(), [&](const model::TokenAdministrator& each) {
            return each.role == wanted.role && each.object_id != wanted.object_id;
        });
    if (is_taken)
        return Error{ErrorCode::conflict,
                     fmt::format("'{}' is the name of another administrator of the server '{}'",
                                 wanted.role, spec.name),
                     std::string(kRolePath), "choose another name"};
    if (model::TokenAdministrator* const found = find_administrator(all, wanted.object_id)) {
        const std::string id = found->id;
        *found = wanted;
        found->id = id;
        return ok_status();
    }
    if (all.size() >= kAdministratorsMax)
        return Error{ErrorCode::quota_exceeded,
                     fmt::format("the server '{}' has {} Microsoft Entra administrators, which is "
                                 "the most a server can have",
                                 spec.name, kAdministratorsMax),
                     spec.id, "delete one of them first"};
    all.push_back(wanted);
    return ok_status();
}

}  // namespace

Answer put_administrator(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const std::string object, object_of(call));
    const model::ResourceId id = administrator_id(server, object);
    HD_TRY(const model::TokenAdministrator wanted, read_administrator(call, id));
    ServerChange change;
    change.kind = "UpdateAdministrator";
    change.server = server;
    change.resource_id = id.to_string();
    change.apply = [&](ServerRecord& record) { return apply_administrator(wanted, record.spec); };
    HD_TRY(const ChangedServer changed, change_server(call, change));
    HD_TRY(http::Response response, json_answer(202, administrator_json(server, wanted)));
    return with_operation(call, std::move(response), changed.operation);
}

Answer get_administrator(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const std::string object, object_of(call));
    HD_TRY(ServerRecord record, load_server(call, server));
    const auto* const found = find_administrator(record.spec.token_administrators, object);
    if (found == nullptr) return child_not_found(administrator_id(server, object));
    return json_answer(200, administrator_json(server, *found));
}

Answer delete_administrator(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const std::string object, object_of(call));
    HD_TRY(ServerRecord record, load_server(call, server));
    if (find_administrator(record.spec.token_administrators, object) == nullptr)
        return empty_answer(204);
    ServerChange change;
    change.kind = "DeleteAdministrator";
    change.server = server;
    change.resource_id = administrator_id(server, object).to_string();
    change.apply = [&](ServerRecord& each) -> Status {
        std::erase_if(each.spec.token_administrators,
                      [&](const auto& administrator) { return administrator.object_id == object; });
        return ok_status();
    };
    HD_TRY(const ChangedServer changed, change_server(call, change));
    return with_operation(call, http::Response{202, {}, ""}, changed.operation);
}

Answer list_administrators(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const ServerRecord record, load_server(call, server));
    Json values = Json::array();
    for (const model::TokenAdministrator& each : record.spec.token_administrators)
        values.push_back(administrator_json(server, each));
    return json_answer(200, list_body(std::move(values)));
}

}  // namespace howdah::api::postgres
