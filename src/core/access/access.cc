#include "core/access/access.h"

#include <algorithm>

#include "base/text.h"

namespace howdah::core::access {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool ends_with_word(std::string_view action, std::string_view word) {
    return action.size() > word.size() && iequals(action.substr(action.size() - word.size()), word);
}

model::RoleDefinition built_in(std::string_view id, const char* name, const char* description,
                               std::vector<std::string> actions,
                               std::vector<std::string> not_actions = {}) {
    model::RoleDefinition role;
    role.id = id;
    role.name = name;
    role.description = description;
    role.actions = std::move(actions);
    role.not_actions = std::move(not_actions);
    role.assignable_scopes = {"/"};
    return role;
}

}  // namespace

std::string scope_key(std::string_view scope) {
    while (scope.ends_with('/')) scope.remove_suffix(1);
    return scope.empty() ? "/" : to_lower(scope);
}

bool is_within(std::string_view scope, std::string_view ancestor) {
    if (ancestor == "/" || scope == ancestor) return true;
    return scope.size() > ancestor.size() && scope.starts_with(ancestor) &&
           scope[ancestor.size()] == '/';
}

bool action_matches(std::string_view pattern, std::string_view action) {
    // The usual walk with one point to come back to: behind the last star.
    std::size_t at = 0;
    std::size_t in = 0;
    std::size_t star = std::string_view::npos;
    std::size_t mark = 0;
    while (in < action.size()) {
        if (at < pattern.size() && pattern[at] == '*') {
            star = at++;
            mark = in;
        } else if (at < pattern.size() && lower(pattern[at]) == lower(action[in])) {
            ++at;
            ++in;
        } else if (star != std::string_view::npos) {
            at = star + 1;
            in = ++mark;
        } else {
            return false;
        }
    }
    while (at < pattern.size() && pattern[at] == '*') ++at;
    return at == pattern.size();
}

bool role_allows(const model::RoleDefinition& role, std::string_view action) {
    const auto matches = [&](const std::string& each) { return action_matches(each, action); };
    return std::any_of(role.actions.begin(), role.actions.end(), matches) &&
           std::none_of(role.not_actions.begin(), role.not_actions.end(), matches);
}

std::span<const model::RoleDefinition> built_in_roles() {
    static const std::vector<model::RoleDefinition> roles = {
        built_in(kOwnerRole, "Owner",
                 "Grants full access to manage all resources, including the ability to assign "
                 "roles.",
                 {"*"}),
        built_in("b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor",
                 "Grants full access to manage all resources, but does not allow you to assign "
                 "roles.",
                 {"*"},
                 {"Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write",
                  "Microsoft.Authorization/elevateAccess/Action", "Microsoft.Graph/*/write",
                  "Microsoft.Graph/*/delete", "Microsoft.Graph/*/action"}),
        built_in("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader",
                 "View all resources, but does not allow you to make any changes.", {"*/read"}),
        built_in("18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", "User Access Administrator",
                 "Lets you manage user access to resources.",
                 {"*/read", "Microsoft.Authorization/*", "Microsoft.Graph/*"}),
        built_in("f58310d9-a9f6-439a-9e8d-f62e7b41a168", "Role Based Access Control Administrator",
                 "Manage access to resources by assigning roles.",
                 {"*/read", "Microsoft.Authorization/roleAssignments/write",
                  "Microsoft.Authorization/roleAssignments/delete"}),
    };
    return roles;
}

bool Access::allows(std::string_view action, std::string_view scope) const {
    if (grants_ == nullptr) return false;
    const std::string key = scope_key(scope);
    return std::any_of(grants_->begin(), grants_->end(), [&](const Grant& grant) {
        return is_within(key, grant.scope) && role_allows(grant.role, action);
    });
}

bool Access::touches(std::string_view scope) const {
    if (grants_ == nullptr) return false;
    const std::string key = scope_key(scope);
    return std::any_of(grants_->begin(), grants_->end(), [&](const Grant& grant) {
        return is_within(key, grant.scope) || is_within(grant.scope, key);
    });
}

std::vector<const model::ManagementLock*> locks_against(
    std::string_view action, std::string_view scope, std::span<const model::ManagementLock> locks) {
    std::vector<const model::ManagementLock*> against;
    if (ends_with_word(action, "/read") ||
        action_matches("Microsoft.Authorization/locks/*", action))
        return against;
    const std::string key = scope_key(scope);
    const bool deletes = ends_with_word(action, "/delete");
    for (const model::ManagementLock& lock : locks) {
        const std::string locked = scope_key(lock.scope);
        const bool above = is_within(key, locked);
        const bool holds =
            deletes ? above || is_within(locked, key) : above && iequals(lock.level, "ReadOnly");
        if (holds) against.push_back(&lock);
    }
    return against;
}

}  // namespace howdah::core::access
