#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <set>

#include "api/paging.h"
#include "api/postgres/handlers.h"
#include "api/postgres/server_rules.h"
#include "api/router.h"
#include "base/text.h"
#include "store/keys.h"

// Name checks and the list of operations.

namespace howdah::api::postgres {
namespace {

constexpr std::string_view kServerType = "Microsoft.DBforPostgreSQL/flexibleServers";
constexpr std::string_view kVirtualEndpointType =
    "Microsoft.DBforPostgreSQL/flexibleServers/virtualEndpoints";

Answer check_name(Call& call) {
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    const std::string name = body.text("name").value_or("");
    const std::string type = body.text("type").value_or(std::string(kServerType));
    body.finish();
    if (problem) return *problem;
    if (name.empty())
        return Error{ErrorCode::invalid_argument, "the field 'name' is required", "name"};
    if (iequals(type, kVirtualEndpointType))
        return Error{ErrorCode::not_supported,
                     "virtual endpoints are not supported by this version of Howdah", "type"};
    if (!iequals(type, kServerType))
        return Error{ErrorCode::invalid_argument,
                     fmt::format("the type '{}' is not known", type.substr(0, 128)), "type",
                     fmt::format("use '{}'", kServerType)};
    const Status good = check_server_name(name);
    std::optional<store::Entry> owner;
    if (good.ok()) {
        HD_TRY(owner, call.context.store.get(store::keys::server_name(name)));
    }
    Json answer = {{"nameAvailable", good.ok() && !owner}};
    if (!good.ok()) {
        const std::string& hint = good.error().hint;
        answer["reason"] = "Invalid";
        answer["message"] =
            as_sentence(good.error().message) + (hint.empty() ? "" : " " + as_sentence(hint));
    } else {
        if (owner) answer["reason"] = "AlreadyExists";
        answer["message"] = owner ? "Specified server name is already used." : "";
    }
    answer["name"] = name;
    answer["type"] = kServerType;
    return json_answer(200, answer);
}

/// "Microsoft.DBforPostgreSQL/flexibleServers/databases" from a path's fixed words.
std::string resource_of(std::string_view pattern) {
    const std::size_t begin = pattern.find(model::kPostgresNamespace);
    if (begin == std::string_view::npos) return "";
    std::string out;
    for (const std::string& part : split(pattern.substr(begin), '/'))
        if (!part.starts_with('{')) out += (out.empty() ? "" : "/") + part;
    return out;
}

std::string_view verb_of(std::string_view method) {
    if (method == "GET") return "read";
    if (method == "DELETE") return "delete";
    return method == "POST" ? "action" : "write";
}

}  // namespace

Answer check_name_globally(Call& call) { return check_name(call); }

Answer check_name_with_location(Call& call) {
    HD_CHECK(check_location(call.context, call.parameter("locationName"), kServerType));
    return check_name(call);
}

Answer list_operations(Call&) {
    Json values = Json::array();
    std::set<std::string> seen;
    for (const Route& route : all_routes()) {
        if (route.handler == nullptr || !route.versions->of_provider) continue;
        const std::string resource = resource_of(route.pattern);
        const std::string name = fmt::format("{}/{}", resource, verb_of(route.method));
        if (resource.empty() || !seen.insert(name).second) continue;
        values.push_back({{"name", name},
                          {"isDataAction", false},
                          {"origin", "user"},
                          {"display",
                           {{"provider", "Howdah"},
                            {"resource", resource.substr(resource.find('/') + 1)},
                            {"operation", std::string(route.operation)},
                            {"description", fmt::format("{}.{}", route.group, route.operation)}}}});
    }
    return json_answer(200, list_body(std::move(values)));
}

}  // namespace howdah::api::postgres
