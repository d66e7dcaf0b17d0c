#include "api/access/access_store.h"

#include <fmt/core.h>

#include <algorithm>

#include "api/postgres/view.h"
#include "api/router.h"
#include "base/id.h"
#include "base/text.h"
#include "model/json.h"
#include "model/resource_id.h"
#include "store/keys.h"

namespace howdah::api {
namespace {

using core::access::Access;
using core::access::Grant;

// When the first owner was given its role.
constexpr std::string_view kFirstOwnerKey = "/meta/first-owner";

/// All records below a prefix, at most `most`.
template <typename Record>
Result<std::vector<Record>> all_below(store::Store& store, const std::string& prefix,
                                      std::size_t most) {
    std::vector<Record> records;
    store::ListOptions options;
    options.limit = store::kListMax;
    while (records.size() < most) {
        HD_TRY(const auto entries, store.list(prefix, options));
        for (const store::Entry& entry : entries) {
            HD_TRY(Record record, model::from_json<Record>(entry.value));
            records.push_back(std::move(record));
        }
        if (entries.size() < options.limit) break;
        options.after = entries.back().key;
    }
    return records;
}

}  // namespace

Result<std::optional<model::RoleDefinition>> find_role(store::Store& store, std::string_view id) {
    for (const model::RoleDefinition& each : core::access::built_in_roles())
        if (iequals(each.id, id)) return std::optional(each);
    if (!is_uuid(id)) return std::optional<model::RoleDefinition>();
    HD_TRY(const auto entry, store.get(store::keys::role(id)));
    if (!entry) return std::optional<model::RoleDefinition>();
    HD_TRY(auto role, model::from_json<model::RoleDefinition>(entry->value));
    return std::optional(std::move(role));
}

Result<std::vector<model::RoleDefinition>> custom_roles(store::Store& store) {
    return all_below<model::RoleDefinition>(store, "/role/", kRolesMax);
}

Result<std::vector<model::RoleAssignment>> all_assignments(store::Store& store) {
    return all_below<model::RoleAssignment>(store, "/assignment/", kAssignmentsMax);
}

Result<std::vector<model::ManagementLock>> locks_in(store::Store& store,
                                                    std::string_view subscription) {
    const std::string scope = fmt::format("/subscriptions/{}", to_lower(subscription));
    return all_below<model::ManagementLock>(store, "/lock" + scope, kLocksMax);
}

Result<Access> access_of(store::Store& store, std::string_view object_id) {
    HD_TRY(const auto assignments,
           all_below<model::RoleAssignment>(store, store::keys::assignments_of(object_id),
                                            kAssignmentsMax));
    std::vector<Grant> grants;
    for (const model::RoleAssignment& each : assignments) {
        HD_TRY(auto role, find_role(store, each.role_id));
        if (role) grants.push_back({core::access::scope_key(each.scope), std::move(*role)});
    }
    return Access(std::move(grants));
}

Status authorize(Call& call) {
    HD_TRY(call.access, access_of(call.context.store, call.caller.object_id));
    const Requirement& required = call.requirement;
    switch (call.route->needs) {
        case Needs::login:
            return ok_status();
        case Needs::any_role:
            // Locations and the like are nobody's: the subscription or group they stand in counts.
            if (call.access.touches(required.scope.substr(0, required.scope.find("/providers/"))))
                return ok_status();
            break;
        case Needs::role:
            if (call.access.allows(required.action, required.scope)) return ok_status();
            break;
    }
    return Error{
        ErrorCode::permission_denied,
        fmt::format("the client '{}' with object id '{}' does not have authorization to "
                    "perform action '{}' over scope '{}' or the scope is invalid. If "
                    "access was recently granted, please refresh your credentials",
                    call.caller.shown(), call.caller.object_id, required.action, required.scope)};
}

Status check_locks(const Call& call) {
    const auto subscription =
        std::find_if(call.parameters.begin(), call.parameters.end(),
                     [](const auto& each) { return each.first == "subscriptionId"; });
    if (subscription == call.parameters.end()) return ok_status();
    HD_TRY(const auto locks, locks_in(call.context.store, subscription->second));
    const auto against =
        core::access::locks_against(call.requirement.action, call.requirement.scope, locks);
    if (against.empty()) return ok_status();
    std::string scopes;
    for (const model::ManagementLock* each : against)
        scopes += fmt::format("{}'{}'", scopes.empty() ? "" : ", ", each->scope);
    const bool deletes = call.request.method == "DELETE";
    return Error{ErrorCode::scope_locked,
                 fmt::format("the scope '{}' cannot perform {} operation because following "
                             "scope(s) are locked: {}. Please remove the lock and try again",
                             call.requirement.scope, deletes ? "delete" : "write", scopes)};
}

Result<std::string> existing_scope(const Call& call, std::string_view text) {
    while (text.ends_with('/')) text.remove_suffix(1);
    if (text.empty()) return std::string("/");
    const auto id = model::ResourceId::parse(text);
    if (!id.ok())
        return Error{ErrorCode::invalid_argument,
                     fmt::format("'{}' is no scope", text.substr(0, 256)), "scope",
                     "use / or the id of a subscription, a resource group or a resource"};
    store::Store& store = call.context.store;
    HD_TRY(const auto subscription, store.get(store::keys::subscription(id->subscription)));
    if (!subscription)
        return Error{ErrorCode::subscription_not_found,
                     fmt::format("the subscription '{}' could not be found", id->subscription)};
    if (!id->resource_group.empty())
        HD_CHECK(postgres::load_group(
            call, model::ResourceId::group(id->subscription, id->resource_group)));
    if (!id->segments.empty()) {
        model::ResourceId server = *id;
        server.segments.resize(1);
        if (!iequals(server.type(), "Microsoft.DBforPostgreSQL/flexibleServers"))
            return postgres::server_not_found(*id);
        HD_CHECK(postgres::load_server(call, server));
    }
    return std::string(text);
}

Status forget_assignments(store::Store& store, std::string_view scope) {
    HD_TRY(const auto all, all_assignments(store));
    const std::string key = core::access::scope_key(scope);
    for (const model::RoleAssignment& each : all) {
        if (!core::access::is_within(core::access::scope_key(each.scope), key)) continue;
        store::Transaction txn;
        txn.remove(store::keys::assignment(each.principal_id, each.id));
        HD_CHECK(store.commit(txn));
    }
    return ok_status();
}

Status give_first_owner(store::Store& store, std::string_view object_id, std::string_view app_id,
                        std::string_view now, IdSource& ids) {
    HD_TRY(const auto done, store.get(kFirstOwnerKey));
    if (done) return ok_status();
    model::RoleAssignment assignment;
    assignment.id = ids.uuid();
    assignment.scope = "/";
    assignment.role_id = core::access::kOwnerRole;
    assignment.principal_id = object_id;
    assignment.principal_type = "ServicePrincipal";
    assignment.created_by = assignment.updated_by = app_id;
    assignment.created_on = assignment.updated_on = now;
    store::Transaction txn;
    txn.expect_absent(std::string(kFirstOwnerKey));
    txn.put(std::string(kFirstOwnerKey), assignment.id);
    txn.put(store::keys::assignment(object_id, assignment.id), model::to_json(assignment));
    const auto committed = store.commit(txn);
    return committed.ok() ? ok_status() : Status(committed.error());
}

}  // namespace howdah::api
