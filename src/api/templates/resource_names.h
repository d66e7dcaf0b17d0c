#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/templates/templates.h"

/// Ids of resources from their types and names, and back. Pure functions.
namespace howdah::api::templates {

/// "/subscriptions/S/resourceGroups/RG", or "/subscriptions/S" without a group.
std::string scope_id(std::string_view subscription, std::string_view resource_group);

/// PREFIX/providers/NS/TYPE/NAME/TYPE/NAME. An error is a sentence of Azure's that names
/// `function`.
Result<std::string> join_id(std::string_view function, std::string_view prefix,
                            std::string_view type, const std::vector<std::string>& names);

/// How many names a resource of that type has: its slashes.
std::size_t name_count(std::string_view type);

/// Indexes of the resources that `text` means in dependsOn or reference(): an id; "type/name" in
/// the template's own scope; a name; a symbolic name; the name of a copy loop (all of its turns).
std::vector<std::size_t> find_named(const Plan& plan, const Scope& scope, std::string_view text);

}  // namespace howdah::api::templates
