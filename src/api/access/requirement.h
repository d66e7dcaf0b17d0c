#pragma once

#include <string>
#include <vector>

namespace howdah::api {

struct Route;

/// What a request needs: an action, allowed at a scope.
struct Requirement {
    std::string action;  ///< "Microsoft.DBforPostgreSQL/flexibleServers/restart/action"
    std::string scope;   ///< "/", or the id of the resource, or for a list that of its parent
    /// What the activity log names: the id without empty segments; for a POST that of the resource
    /// that something is done to. For identities the whole path.
    std::string resource = {};
};

/// By the route's pattern and the segments that it matched. Azure's names: the types of the path
/// and read, write, delete or, for a POST, its last word and action.
Requirement requirement_of(const Route& route, const std::vector<std::string>& segments);

}  // namespace howdah::api
