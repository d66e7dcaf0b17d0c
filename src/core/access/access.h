#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/access.h"

/// Who may do what. Pure decisions; everything is denied that nothing grants.
///
/// Scopes are compared by their key: the id in lower case without a slash at its end; "/" is
/// above everything. Semantics of roles and locks as Azure documents them.
namespace howdah::core::access {

std::string scope_key(std::string_view scope);
/// True for a scope and everything below it. Both are keys.
bool is_within(std::string_view scope, std::string_view ancestor);

/// "Microsoft.Sql/*/read" matches "microsoft.sql/servers/read": '*' stands for any text; letter
/// case does not matter. Linear in time for one '*', quadratic at worst.
bool action_matches(std::string_view pattern, std::string_view action);
/// True if one of the role's actions matches and none of its not_actions does.
bool role_allows(const model::RoleDefinition& role, std::string_view action);

/// Owner, Contributor, Reader and those who manage access, with Azure's ids.
std::span<const model::RoleDefinition> built_in_roles();
inline constexpr std::string_view kOwnerRole = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";

/// A role that somebody has at a scope.
struct Grant {
    std::string scope;  ///< a key
    model::RoleDefinition role;
};

/// What one principal may do. A value that is cheap to copy.
class Access {
  public:
    Access() = default;  ///< nothing
    explicit Access(std::vector<Grant> grants)
        : grants_(std::make_shared<const std::vector<Grant>>(std::move(grants))) {}

    bool allows(std::string_view action, std::string_view scope) const;
    /// True if a grant is at, above or below the scope: such a principal may know that it exists.
    bool touches(std::string_view scope) const;

  private:
    std::shared_ptr<const std::vector<Grant>> grants_;  ///< nullptr: none
};

/// The locks that forbid the action. Deleting is forbidden by any lock at, above or below the
/// scope; another change by a ReadOnly lock at or above it. Reading, and what is done to locks
/// themselves, is never forbidden.
std::vector<const model::ManagementLock*> locks_against(
    std::string_view action, std::string_view scope, std::span<const model::ManagementLock> locks);

}  // namespace howdah::core::access
