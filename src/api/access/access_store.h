#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/call.h"
#include "core/access/access.h"
#include "store/store.h"

/// Roles, assignments and locks as the store has them. Read anew when anything in the store has
/// changed, so that what is taken away is gone at once. Stateless; thread-safe.
namespace howdah::api {

/// As Azure has them, for one subscription; here for all.
inline constexpr std::size_t kAssignmentsMax = 4000;
inline constexpr std::size_t kRolesMax = 5000;
inline constexpr std::size_t kLocksMax = 1000;

/// Roles, assignments and the identities that have them depend on one another: who changes one of
/// them passes here, so that what was checked still holds when it is written.
inline constexpr std::string_view kAccessTurnstile = "/access";

/// What somebody may do by all assignments. Those of roles that are gone count for nothing.
Result<core::access::Access> access_of(store::Store& store, std::string_view object_id);

/// The built-in role or the customer's; none if there is none.
Result<std::optional<model::RoleDefinition>> find_role(store::Store& store, std::string_view id);
/// Whether one of its assignable scopes is at or above the scope.
bool is_assignable_at(const model::RoleDefinition& role, std::string_view scope);
Result<std::vector<model::RoleDefinition>> custom_roles(store::Store& store);
Result<std::vector<model::RoleAssignment>> all_assignments(store::Store& store);
Result<std::vector<model::ManagementLock>> locks_in(store::Store& store,
                                                    std::string_view subscription);

/// The caller's roles are those of the request from here on; then whether they suffice.
/// ErrorCode::permission_denied in Azure's words.
Status authorize(Call& call);
/// ErrorCode::scope_locked if a lock forbids the request.
Status check_locks(const Call& call);

/// A scope in a path or a body, without a slash at its end; "/" for all. Errors: invalid_argument
/// for what is no scope, subscription_not_found, resource_group_not_found, not_found.
Result<std::string> existing_scope(const Call& call, std::string_view text);
/// The same for something that is to stand there: refuses also groups and servers that are being
/// deleted (group_being_deleted, conflict), and makes the transaction expect that they stay as they
/// are. So nothing is added behind the back of what removes it with them.
Result<std::string> lasting_scope(const Call& call, std::string_view text, store::Transaction& txn);

/// A new life of a name begins without the rights that others had in the one before. REQUIRES:
/// nothing is at this scope, so that nobody can assign a role there.
Status forget_assignments(store::Store& store, std::string_view scope);

/// The assignment that makes `object_id` the owner of everything.
model::RoleAssignment owner_assignment(std::string_view object_id, std::string_view app_id,
                                       std::string_view now, IdSource& ids);
/// That assignment, from the first start on. Adds nothing if it was ever made.
Status give_first_owner(store::Store& store, std::string_view object_id, std::string_view app_id,
                        std::string_view now, IdSource& ids);

}  // namespace howdah::api
