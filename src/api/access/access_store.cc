#include "api/access/access_store.h"

#include <fmt/core.h>

#include <algorithm>

#include "api/postgres/handlers.h"
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

bool is_assignable_at(const model::RoleDefinition& role, std::string_view scope) {
    const std::string key = core::access::scope_key(scope);
    return std::any_of(role.assignable_scopes.begin(), role.assignable_scopes.end(),
                       [&](const std::string& each) {
                           return core::access::is_within(key, core::access::scope_key(each));
                       });
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
    HD_TRY(const auto access,
           call.services.known.access.get(
               call.caller.object_id, [&](const auto&) -> Result<std::shared_ptr<const Access>> {
                   HD_TRY(Access read, access_of(call.context.store, call.caller.object_id));
                   return std::make_shared<const Access>(std::move(read));
               }));
    call.access = *access;
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

namespace {

/// The group is there. With a transaction: it stays, and stays as it is until that is committed.
Status check_group(const Call& call, const model::ResourceId& id, store::Transaction* txn) {
    const std::string key =
        store::keys::group(model::ResourceId::group(id.subscription, id.resource_group));
    // Read first, so that the revision is not newer than the record that is looked at.
    HD_TRY(const auto entry, call.context.store.get(key));
    HD_TRY(const model::ResourceGroup group, postgres::load_group(call, id));
    if (txn == nullptr) return ok_status();
    if (group.deleting) return postgres::group_being_deleted(group);
    txn->expect(key, entry ? entry->modified : 0);
    return ok_status();
}

/// The same for the server, and for what the id names in it.
Status check_server(const Call& call, const model::ResourceId& id, store::Transaction* txn) {
    if (txn != nullptr && iequals(id.segments.front().type, "flexibleServers")) {
        model::ResourceId server = id;
        server.segments.resize(1);
        HD_TRY(const postgres::ServerRecord record, postgres::load_server(call, server));
        if (record.spec.deleting)
            return Error{ErrorCode::conflict,
                         fmt::format("the server '{}' is being deleted", record.spec.name),
                         record.spec.id, "wait until it is gone"};
        txn->expect(store::keys::server(server), record.modified);
    }
    const Answer there = postgres::get_by_id(call, id);
    return there.ok() ? ok_status() : Status(there.error());
}

Result<std::string> scope_of(const Call& call, std::string_view text, store::Transaction* txn) {
    while (text.ends_with('/')) text.remove_suffix(1);
    if (text.empty()) return std::string("/");
    const auto id = model::ResourceId::parse(text);
    if (!id.ok())
        return Error{ErrorCode::invalid_argument,
                     fmt::format("'{}' is no scope", text.substr(0, 256)), "scope",
                     "use / or the id of a subscription, a resource group or a resource"};
    HD_TRY(const auto subscription,
           call.context.store.get(store::keys::subscription(id->subscription)));
    if (!subscription)
        return Error{ErrorCode::subscription_not_found,
                     fmt::format("the subscription '{}' could not be found", id->subscription)};
    if (!id->resource_group.empty()) HD_CHECK(check_group(call, *id, txn));
    if (!id->segments.empty()) HD_CHECK(check_server(call, *id, txn));
    return id->to_string();
}

}  // namespace

Result<std::string> existing_scope(const Call& call, std::string_view text) {
    return scope_of(call, text, nullptr);
}

Result<std::string> lasting_scope(const Call& call, std::string_view text,
                                  store::Transaction& txn) {
    return scope_of(call, text, &txn);
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

model::RoleAssignment owner_assignment(std::string_view object_id, std::string_view app_id,
                                       std::string_view now, IdSource& ids) {
    model::RoleAssignment assignment;
    assignment.id = ids.uuid();
    assignment.scope = "/";
    assignment.role_id = core::access::kOwnerRole;
    assignment.principal_id = object_id;
    assignment.principal_type = "ServicePrincipal";
    assignment.created_by = assignment.updated_by = app_id;
    assignment.created_on = assignment.updated_on = now;
    return assignment;
}

Status give_first_owner(store::Store& store, std::string_view object_id, std::string_view app_id,
                        std::string_view now, IdSource& ids) {
    HD_TRY(const auto done, store.get(kFirstOwnerKey));
    if (done) return ok_status();
    const model::RoleAssignment assignment = owner_assignment(object_id, app_id, now, ids);
    store::Transaction txn;
    txn.expect_absent(std::string(kFirstOwnerKey));
    txn.put(std::string(kFirstOwnerKey), assignment.id);
    txn.put(store::keys::assignment(object_id, assignment.id), model::to_json(assignment));
    const auto committed = store.commit(txn);
    return committed.ok() ? ok_status() : Status(committed.error());
}

}  // namespace howdah::api
