#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/access/access_store.h"
#include "api/access/handlers.h"
#include "api/access/owners.h"
#include "api/auth/principal.h"
#include "api/filter.h"
#include "api/paging.h"
#include "api/retry.h"
#include "base/id.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

// Role assignments: a principal has a role at a scope.

namespace howdah::api::access {
namespace {

using model::RoleAssignment;

constexpr std::string_view kType = "Microsoft.Authorization/roleAssignments";
constexpr std::string_view kPrincipalTypes[] = {"ServicePrincipal", "User", "Group"};
constexpr std::size_t kDescriptionBytesMax = 2048;

std::string at(const std::string& scope) { return scope == "/" ? "" : scope; }

Json assignment_json(const RoleAssignment& each) {
    const std::string roles_at = each.scope.starts_with("/subscriptions/")
                                     ? each.scope.substr(0, each.scope.find('/', 15))
                                     : std::string();
    const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
    return {{"properties",
             {{"roleDefinitionId",
               fmt::format("{}/providers/Microsoft.Authorization/roleDefinitions/{}", roles_at,
                           each.role_id)},
              {"principalId", each.principal_id},
              {"principalType", each.principal_type},
              {"scope", each.scope},
              {"condition", nullptr},
              {"conditionVersion", nullptr},
              {"createdOn", each.created_on},
              {"updatedOn", each.updated_on},
              {"createdBy", each.created_by},
              {"updatedBy", each.updated_by},
              {"delegatedManagedIdentityResourceId", nullptr},
              {"description", or_null(each.description)}}},
            {"id", fmt::format("{}/providers/{}/{}", at(each.scope), kType, each.id)},
            {"type", kType},
            {"name", each.id}};
}

/// The assignment of the path, if it is at the path's scope.
Result<std::optional<RoleAssignment>> find(const Call& call) {
    HD_TRY(const auto all, all_assignments(call.context.store));
    const std::string scope = core::access::scope_key(call.parameter("scope"));
    for (const RoleAssignment& each : all)
        if (iequals(each.id, call.parameter("roleAssignmentName")) &&
            core::access::scope_key(each.scope) == scope)
            return std::optional(each);
    return std::optional<RoleAssignment>();
}

Result<RoleAssignment> read_assignment(const Call& call) {
    HD_TRY(const Json json, parse_body(call.request.body));
    if (json.is_null())
        return Error{ErrorCode::invalid_request, "the request needs a body, and has none"};
    Reader::Problem problem;
    Reader body(json, "", problem);
    RoleAssignment assignment;
    std::string role;
    if (std::optional<Reader> properties = body.object("properties")) {
        role = properties->text("roleDefinitionId").value_or("");
        assignment.principal_id = to_lower(properties->text("principalId").value_or(""));
        assignment.principal_type =
            properties->one_of("principalType", kPrincipalTypes).value_or("");
        assignment.description = properties->text("description").value_or("");
        for (const char* each :
             {"condition", "conditionVersion", "delegatedManagedIdentityResourceId"})
            properties->not_supported(each, "conditions of role assignments are");
        for (const char* each : {"scope", "createdOn", "updatedOn", "createdBy", "updatedBy"})
            properties->read_only(each);
        properties->finish();
    }
    for (const char* each : {"id", "name", "type"}) body.read_only(each);
    body.finish();
    if (problem) return *problem;
    assignment.role_id = to_lower(role.substr(role.rfind('/') + 1));
    if (!is_uuid(assignment.role_id))
        return Error{ErrorCode::invalid_argument,
                     fmt::format("'{}' is no id of a role definition", role.substr(0, 128)),
                     "properties.roleDefinitionId"};
    if (!is_uuid(assignment.principal_id))
        return Error{ErrorCode::invalid_argument,
                     fmt::format("'{}' is no object id of a principal",
                                 assignment.principal_id.substr(0, 64)),
                     "properties.principalId", "use the object id, a UUID"};
    if (assignment.description.size() > kDescriptionBytesMax)
        return Error{ErrorCode::invalid_argument, "the description is too long",
                     "properties.description"};
    return assignment;
}

/// The role exists and may be assigned here; the principal exists.
Status check_parties(const Call& call, RoleAssignment& assignment) {
    HD_TRY(const auto role, find_role(call.context.store, assignment.role_id));
    if (!role)
        return Error{ErrorCode::role_not_found,
                     fmt::format("the specified role definition with ID '{}' does not exist",
                                 assignment.role_id),
                     "properties.roleDefinitionId"};
    if (!is_assignable_at(*role, assignment.scope))
        return Error{ErrorCode::invalid_argument,
                     fmt::format("the role '{}' cannot be assigned at scope '{}'", role->name,
                                 assignment.scope),
                     "properties.roleDefinitionId",
                     "add the scope to the assignableScopes of the role"};
    // Nobody here knows who is behind such an id: its issuer does (adr/0009).
    const ForeignIssuers* const issuers = call.context.foreign_issuers;
    if (issuers != nullptr && issuers->count() > 0 &&
        model::is_foreign_object_id(assignment.principal_id)) {
        if (assignment.principal_type == "Group")
            return Error{ErrorCode::not_supported,
                         "roles of groups of another issuer are not supported by this version of "
                         "Howdah",
                         "properties.principalType"};
        if (assignment.principal_type.empty()) assignment.principal_type = "User";
        return ok_status();
    }
    HD_TRY(const auto principal,
           find_principal_by_object(call.context.store, assignment.principal_id));
    if (!principal)
        return Error{ErrorCode::principal_not_found,
                     fmt::format("principal {} does not exist in the directory {}",
                                 assignment.principal_id, call.context.tenant_id),
                     "properties.principalId"};
    assignment.principal_type = "ServicePrincipal";
    return ok_status();
}

struct Filter {
    bool at_scope = false;  ///< none below
    std::string principal;
};

Result<Filter> read_filter(const Call& call) {
    const std::string text = call.request.query_value("$filter").value_or("");
    HD_TRY(const auto terms, parse_filter(text));
    Filter filter;
    for (const FilterTerm& term : terms) {
        if (term.name == "atscope" && term.op == "()")
            filter.at_scope = true;
        else if (term.name == "assignedto" && term.op == "()")
            filter.principal = term.value;
        else if (term.name == "principalid" && term.op == "eq")
            filter.principal = term.value;
        else
            return unknown_filter(text, "atScope(), assignedTo('id') and principalId eq 'id'");
    }
    return filter;
}

}  // namespace

Answer list_assignments(Call& call) {
    HD_TRY(const Filter filter, read_filter(call));
    HD_TRY(const std::string scope, existing_scope(call, call.parameter("scope")));
    const std::string key = core::access::scope_key(scope);
    HD_TRY(const auto all, all_assignments(call.context.store));
    Json values = Json::array();
    for (const RoleAssignment& each : all) {
        const std::string where = core::access::scope_key(each.scope);
        const bool above = core::access::is_within(key, where);
        const bool below = core::access::is_within(where, key);
        if (!above && (filter.at_scope || !below)) continue;
        if (!filter.principal.empty() && !iequals(filter.principal, each.principal_id)) continue;
        values.push_back(assignment_json(each));
    }
    return json_answer(200, list_body(std::move(values)));
}

Answer get_assignment(Call& call) {
    HD_TRY(const auto assignment, find(call));
    if (assignment) return json_answer(200, assignment_json(*assignment));
    const std::string name = call.parameter("roleAssignmentName").substr(0, 64);
    return Error{ErrorCode::role_assignment_not_found,
                 fmt::format("the role assignment '{}' is not found", name), name};
}

namespace {

Answer try_put(const Call& call, const std::string& id, RoleAssignment assignment,
               bool& overtaken) {
    store::Transaction txn;
    HD_TRY(assignment.scope, lasting_scope(call, call.parameter("scope"), txn));
    HD_CHECK(check_parties(call, assignment));
    HD_TRY(const auto all, all_assignments(call.context.store));
    const std::string scope = core::access::scope_key(assignment.scope);
    for (const RoleAssignment& each : all) {
        const bool same = each.role_id == assignment.role_id &&
                          each.principal_id == assignment.principal_id &&
                          core::access::scope_key(each.scope) == scope;
        if (each.id == id && !same)
            return Error{ErrorCode::invalid_argument,
                         "tenant ID, application ID, principal ID, and scope are not allowed to be "
                         "updated",
                         id, "delete the role assignment and create another"};
        if (same && each.id != id)
            return Error{ErrorCode::role_assignment_exists,
                         fmt::format("the role assignment already exists. The ID of the existing "
                                     "role assignment is {}",
                                     each.id),
                         id};
        if (same) return json_answer(200, assignment_json(each));
    }
    if (all.size() >= kAssignmentsMax)
        return Error{
            ErrorCode::quota_exceeded,
            fmt::format("there are {} role assignments, which is the most", kAssignmentsMax)};
    assignment.id = id;
    assignment.created_by = assignment.updated_by = call.caller.app_id;
    assignment.created_on = assignment.updated_on = call.now();
    const std::string key = store::keys::assignment(assignment.principal_id, id);
    txn.expect_absent(key);
    txn.put(key, model::to_json(assignment));
    HD_CHECK(commit_unless_overtaken(call.context.store, txn, overtaken));
    return json_answer(201, assignment_json(assignment));
}

}  // namespace

Answer put_assignment(Call& call) {
    const std::string id = to_lower(call.parameter("roleAssignmentName"));
    if (!is_uuid(id))
        return Error{ErrorCode::invalid_argument,
                     fmt::format("the role assignment ID '{}' is not a UUID", id.substr(0, 64)),
                     "roleAssignmentName"};
    HD_TRY(const RoleAssignment assignment, read_assignment(call));
    HD_TRY(const Turnstile::Pass pass, call.services.turnstile.enter(kAccessTurnstile));
    return until_not_overtaken(
        "the scope", [&](bool& overtaken) { return try_put(call, id, assignment, overtaken); });
}

Answer delete_assignment(Call& call) {
    HD_TRY(const Turnstile::Pass pass, call.services.turnstile.enter(kAccessTurnstile));
    HD_TRY(const auto assignment, find(call));
    if (!assignment) return empty_answer(204);
    if (assignment->scope == "/" && assignment->role_id == core::access::kOwnerRole)
        HD_CHECK(check_owner_remains(call, {.assignment_id = assignment->id}));
    store::Transaction txn;
    txn.remove(store::keys::assignment(assignment->principal_id, assignment->id));
    HD_CHECK(call.context.store.commit(txn));
    return json_answer(200, assignment_json(*assignment));
}

}  // namespace howdah::api::access
