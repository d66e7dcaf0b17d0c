#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/access/access_store.h"
#include "api/access/handlers.h"
#include "api/filter.h"
#include "api/paging.h"
#include "api/retry.h"
#include "base/id.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

// Role definitions: Azure's built-in ones, and a customer's own.

namespace howdah::api::access {
namespace {

using model::RoleDefinition;

constexpr std::string_view kType = "Microsoft.Authorization/roleDefinitions";
constexpr std::string_view kCustom[] = {"CustomRole"};
constexpr std::size_t kActionsMax = 256;
constexpr std::size_t kActionBytesMax = 256;
constexpr std::size_t kScopesMax = 64;
constexpr std::size_t kRoleNameBytesMax = 128;
constexpr std::size_t kDescriptionBytesMax = 2048;

bool is_built_in(const RoleDefinition& role) { return role.created_on.empty(); }

Json permissions_json(const RoleDefinition& role) {
    return {{"actions", role.actions},
            {"notActions", role.not_actions},
            {"dataActions", Json::array()},
            {"notDataActions", Json::array()}};
}

Json role_json(const Call& call, const RoleDefinition& role) {
    const std::string& scope = call.parameter("scope");
    // Azure shows built-in roles below the subscription that is asked.
    std::string prefix = scope.starts_with("/subscriptions/")
                             ? "/subscriptions/" + call.parameter("subscriptionId")
                             : std::string();
    const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
    return {{"id", fmt::format("{}/providers/{}/{}", prefix, kType, role.id)},
            {"type", kType},
            {"name", role.id},
            {"properties",
             {{"roleName", role.name},
              {"type", is_built_in(role) ? "BuiltInRole" : "CustomRole"},
              {"description", role.description},
              {"assignableScopes", role.assignable_scopes},
              {"permissions", Json::array({permissions_json(role)})},
              {"createdOn", or_null(role.created_on)},
              {"updatedOn", or_null(role.updated_on)},
              {"createdBy", or_null(role.created_by)},
              {"updatedBy", or_null(role.updated_by)}}}};
}

bool is_assignable_near(const RoleDefinition& role, std::string_view scope) {
    for (const std::string& each : role.assignable_scopes) {
        const std::string at = core::access::scope_key(each);
        if (core::access::is_within(scope, at) || core::access::is_within(at, scope)) return true;
    }
    return false;
}

Error role_not_found(const Call& call) {
    const std::string id = call.parameter("roleDefinitionId").substr(0, 64);
    return {ErrorCode::role_not_found,
            fmt::format("the role definition with ID '{}' does not exist", id), id};
}

Status check_actions(const std::vector<std::string>& actions, const std::string& path) {
    for (const std::string& each : actions) {
        const bool good = !each.empty() && each.size() <= kActionBytesMax &&
                          each.find_first_not_of(
                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "./*-_") == std::string::npos &&
                          (each == "*" || each.find('/') != std::string::npos);
        if (!good)
            return Error{ErrorCode::invalid_argument,
                         fmt::format("'{}' is no action", each.substr(0, 128)), path,
                         "write it as Namespace/type/read, write, delete or name/action; * stands "
                         "for any text"};
    }
    return ok_status();
}

/// What a body says of a role; its scopes are checked by the caller.
Result<RoleDefinition> read_role(const Call& call) {
    HD_TRY(const Json json, parse_body(call.request.body));
    if (json.is_null())
        return Error{ErrorCode::invalid_request, "the request needs a body, and has none"};
    Reader::Problem problem;
    Reader body(json, "", problem);
    RoleDefinition role;
    if (std::optional<Reader> properties = body.object("properties")) {
        role.name = properties->text("roleName").value_or("");
        role.description = properties->text("description").value_or("");
        (void)properties->one_of("type", kCustom);
        for (Reader& each : properties->objects("permissions", 1)) {
            role.actions = each.text_list("actions", kActionsMax).value_or(role.actions);
            role.not_actions = each.text_list("notActions", kActionsMax).value_or(role.not_actions);
            for (const char* data : {"dataActions", "notDataActions"})
                if (const auto given = each.text_list(data, kActionsMax); given && !given->empty())
                    each.not_supported(data, "actions on data are");
            each.finish();
        }
        role.assignable_scopes =
            properties->text_list("assignableScopes", kScopesMax).value_or(role.assignable_scopes);
        for (const char* each : {"createdOn", "updatedOn", "createdBy", "updatedBy"})
            properties->read_only(each);
        properties->finish();
    }
    for (const char* each : {"id", "name", "type"}) body.read_only(each);
    body.finish();
    if (problem) return *problem;
    if (role.name.empty() || role.name.size() > kRoleNameBytesMax)
        return Error{ErrorCode::invalid_argument,
                     fmt::format("a role needs a name of 1 to {} bytes", kRoleNameBytesMax),
                     "properties.roleName"};
    if (role.description.size() > kDescriptionBytesMax)
        return Error{ErrorCode::invalid_argument, "the description is too long",
                     "properties.description"};
    HD_CHECK(check_actions(role.actions, "properties.permissions[0].actions"));
    HD_CHECK(check_actions(role.not_actions, "properties.permissions[0].notActions"));
    if (role.actions.empty())
        return Error{ErrorCode::invalid_argument, "a role needs at least one action",
                     "properties.permissions[0].actions"};
    if (role.assignable_scopes.empty())
        return Error{ErrorCode::invalid_argument, "a role needs at least one assignable scope",
                     "properties.assignableScopes"};
    return role;
}

/// Who defines, changes or deletes a role must have the right to at each scope where it may be
/// assigned.
Status check_may_define(const Call& call, const RoleDefinition& role) {
    for (const std::string& scope : role.assignable_scopes)
        if (!call.access.allows(call.requirement.action, scope))
            return Error{ErrorCode::permission_denied,
                         fmt::format("the client '{}' with object id '{}' does not have "
                                     "authorization to perform action '{}' over scope '{}'",
                                     call.caller.shown(), call.caller.object_id,
                                     call.requirement.action, scope),
                         "properties.assignableScopes"};
    return ok_status();
}

/// Assignments do not ask anew whether their role may be assigned where they are.
Status check_keeps_assignments(const Call& call, const RoleDefinition& role) {
    HD_TRY(const auto assignments, all_assignments(call.context.store));
    for (const model::RoleAssignment& each : assignments)
        if (each.role_id == role.id && !is_assignable_at(role, each.scope))
            return Error{ErrorCode::role_in_use,
                         fmt::format("the role '{}' is assigned at the scope '{}', which its new "
                                     "assignableScopes leave out",
                                     role.name, each.scope),
                         "properties.assignableScopes", "delete its role assignments there first"};
    return ok_status();
}

/// Nobody else has a role of this name.
Status check_name_is_free(const std::vector<RoleDefinition>& custom, const RoleDefinition& role) {
    std::vector<RoleDefinition> all = custom;
    all.insert(all.end(), core::access::built_in_roles().begin(),
               core::access::built_in_roles().end());
    for (const RoleDefinition& each : all)
        if (each.id != role.id && iequals(each.name, role.name))
            return Error{
                ErrorCode::role_exists,
                fmt::format("a role definition named '{}' exists already: {}", role.name, each.id),
                "properties.roleName"};
    return ok_status();
}

}  // namespace

Answer list_roles(Call& call) {
    const std::string filter = call.request.query_value("$filter").value_or("");
    HD_TRY(const auto terms, parse_filter(filter));
    std::string name;
    std::string type;
    for (const FilterTerm& term : terms) {
        if (term.name == "rolename" && term.op == "eq")
            name = term.value;
        else if (term.name == "type" && term.op == "eq")
            type = term.value;
        else if (term.name != "atscopeandbelow" && term.name != "atscope")
            return unknown_filter(filter, "roleName eq 'n' and type eq 'CustomRole'");
    }
    HD_TRY(const std::string scope, existing_scope(call, call.parameter("scope")));
    const std::string key = core::access::scope_key(scope);
    HD_TRY(std::vector<RoleDefinition> roles, custom_roles(call.context.store));
    const auto built_in = core::access::built_in_roles();
    roles.insert(roles.begin(), built_in.begin(), built_in.end());
    Json values = Json::array();
    for (const RoleDefinition& role : roles) {
        const char* type_of_role = is_built_in(role) ? "BuiltInRole" : "CustomRole";
        if (!name.empty() && !iequals(name, role.name)) continue;
        if (!type.empty() && !iequals(type, type_of_role)) continue;
        if (is_assignable_near(role, key)) values.push_back(role_json(call, role));
    }
    return json_answer(200, list_body(std::move(values)));
}

Answer get_role(Call& call) {
    HD_TRY(const auto role, find_role(call.context.store, call.parameter("roleDefinitionId")));
    if (!role) return role_not_found(call);
    return json_answer(200, role_json(call, *role));
}

namespace {

Answer try_put(const Call& call, RoleDefinition role, bool& overtaken) {
    store::Store& store = call.context.store;
    HD_TRY(const auto entry, store.get(store::keys::role(role.id)));
    HD_TRY(const auto before, find_role(store, role.id));
    if (before && is_built_in(*before))
        return Error{ErrorCode::invalid_argument, "a built-in role cannot be changed", role.id};
    if (before) {
        HD_CHECK(check_may_define(call, *before));
        HD_CHECK(check_keeps_assignments(call, role));
    }
    HD_TRY(const auto others, custom_roles(store));
    HD_CHECK(check_name_is_free(others, role));
    if (!before && others.size() >= kRolesMax)
        return Error{ErrorCode::quota_exceeded,
                     fmt::format("there are {} roles, which is the most", kRolesMax)};
    role.updated_by = call.caller.app_id;
    role.updated_on = call.now();
    role.created_by = before ? before->created_by : role.updated_by;
    role.created_on = before ? before->created_on : role.updated_on;
    store::Transaction txn;
    txn.expect(store::keys::role(role.id), entry ? entry->modified : 0);
    txn.put(store::keys::role(role.id), model::to_json(role));
    HD_CHECK(commit_unless_overtaken(store, txn, overtaken));
    return json_answer(201, role_json(call, role));
}

}  // namespace

Answer put_role(Call& call) {
    const std::string id = to_lower(call.parameter("roleDefinitionId"));
    if (!is_uuid(id))
        return Error{ErrorCode::invalid_argument,
                     fmt::format("the role definition ID '{}' is not a UUID", id.substr(0, 64)),
                     "roleDefinitionId"};
    HD_TRY(RoleDefinition role, read_role(call));
    role.id = id;
    for (std::string& scope : role.assignable_scopes) {
        HD_TRY(scope, existing_scope(call, scope));
    }
    HD_CHECK(check_may_define(call, role));
    HD_TRY(const Turnstile::Pass pass, call.services.turnstile.enter(kAccessTurnstile));
    return until_not_overtaken(fmt::format("the role '{}'", id),
                               [&](bool& overtaken) { return try_put(call, role, overtaken); });
}

Answer delete_role(Call& call) {
    HD_TRY(const Turnstile::Pass pass, call.services.turnstile.enter(kAccessTurnstile));
    HD_TRY(const auto role, find_role(call.context.store, call.parameter("roleDefinitionId")));
    if (!role) return empty_answer(204);
    if (is_built_in(*role))
        return Error{ErrorCode::invalid_argument, "a built-in role cannot be deleted", role->id};
    HD_CHECK(check_may_define(call, *role));
    HD_TRY(const auto assignments, all_assignments(call.context.store));
    for (const model::RoleAssignment& each : assignments)
        if (each.role_id == role->id)
            return Error{ErrorCode::role_in_use,
                         fmt::format("there are existing role assignments referencing the role "
                                     "'{}'",
                                     role->name),
                         role->id, "delete its role assignments first"};
    store::Transaction txn;
    txn.remove(store::keys::role(role->id));
    HD_CHECK(call.context.store.commit(txn));
    return json_answer(200, role_json(call, *role));
}

/// What the caller may do at a scope.
Answer list_permissions(Call& call) {
    HD_TRY(const auto assignments, all_assignments(call.context.store));
    const std::string key = core::access::scope_key(call.parameter("scope"));
    Json values = Json::array();
    for (const model::RoleAssignment& each : assignments) {
        if (each.principal_id != call.caller.object_id) continue;
        if (!core::access::is_within(key, core::access::scope_key(each.scope))) continue;
        HD_TRY(const auto role, find_role(call.context.store, each.role_id));
        if (role) values.push_back(permissions_json(*role));
    }
    return json_answer(200, list_body(std::move(values)));
}

}  // namespace howdah::api::access
