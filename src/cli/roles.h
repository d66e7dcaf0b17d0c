#pragma once

#include <string>

#include "cli/session.h"

/// Roles as az shows them: the API's objects without the level "properties".
namespace howdah::cli {

/// What az's --scope, -g and the subscription in use make: "" if nothing is given.
std::string scope_of(const Arm& arm, const std::string& scope, const std::string& group);

/// The role definition with this name (any letter case) or id. not_found.
Result<Json> find_role(Arm& arm, const std::string& scope, const std::string& role);

/// Who gets a role, and where.
struct Grant {
    std::string scope;
    std::string principal_id;
    std::string principal_type = {};  ///< "": the API finds out
    std::string description = {};
};
/// The assignment as the API shows it.
Result<Json> assign_role(Session& session, const Json& role, const Grant& grant);

/// {"id":..,"name":..,"properties":{..}} -> all on one level, the inner first.
Json flattened(const Json& resource);

}  // namespace howdah::cli
