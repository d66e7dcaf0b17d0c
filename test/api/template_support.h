#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "api/templates/templates.h"

/// Short ways to templates, for tests of their evaluation.
namespace howdah::api::templates::testing {

inline const std::string kSubscription = "22222222-2222-2222-2222-222222222222";
inline const std::string kGroupId = "/subscriptions/" + kSubscription + "/resourceGroups/rg1";
inline const std::string kServers = "Microsoft.DBforPostgreSQL/flexibleServers";

/// JSON that the test itself has written.
Json json_of(std::string_view text);

/// A deployment d1 to the group rg1.
Scope scope();

/// A template with these members beside $schema, contentVersion and an empty `resources`.
Json template_with(const Json& members);

/// A server of that name with these fields.
Json server(const std::string& name, const Json& more = Json::object());

/// What an expression (without its brackets) comes to in the body of a resource; an object
/// {"error": "..."} if it is refused.
Json value_of(const std::string& expression, const Json& members = Json::object());

/// The error text of an expression; "" if it has a value.
std::string error_of(const std::string& expression, const Json& members = Json::object());

/// Parses and plans; fails the test if it cannot.
Plan plan_of(const Json& source, const Json& parameters = nullptr);
/// The error of parsing or planning; "" if there is none.
std::string refusal_of(const Json& source, const Json& parameters = nullptr);

}  // namespace howdah::api::templates::testing
