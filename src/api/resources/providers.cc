#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <set>

#include "api/paging.h"
#include "api/resources/handlers.h"
#include "api/router.h"
#include "base/text.h"

namespace howdah::api::resources {
namespace {

struct Provider {
    std::string_view ns;
    const Versions* versions;
    std::vector<std::string_view> types;
};

const std::vector<Provider>& providers() {
    static const std::vector<Provider> all = {
        {model::kPostgresNamespace, &kPostgresVersions, {}},
        {"Microsoft.Resources",
         &kResourceManagerVersions,
         {"subscriptions", "subscriptions/locations", "resourceGroups",
          "subscriptions/resourceGroups", "providers", "resources", "tenants",
          "subscriptions/operationresults"}},
        {"Microsoft.Authorization",
         &kAuthorizationVersions,
         {"roleAssignments", "roleDefinitions", "permissions", "locks"}},
        {"Microsoft.Insights", &kInsightsVersions, {"eventtypes", "eventCategories"}},
    };
    return all;
}

/// Newest first, as clients take the first one.
Json versions_json(const Versions& versions) {
    Json out = Json::array();
    for (auto each = versions.supported.rbegin(); each != versions.supported.rend(); ++each)
        out.push_back(*each);
    return out;
}

Json type_json(const Call& call, const std::string& type, const Versions& versions,
               bool has_locations) {
    Json locations = Json::array();
    if (has_locations) locations.push_back(call.context.location_display_name);
    return {{"resourceType", type},
            {"locations", locations},
            {"apiVersions", versions_json(versions)},
            {"defaultApiVersion", versions.supported.back()},
            {"capabilities", has_locations ? "SupportsTags, SupportsLocation" : "None"}};
}

/// "flexibleServers/databases" for every path of the provider that has a handler.
std::set<std::string> types_of_postgres() {
    std::set<std::string> types;
    for (const Route& route : all_routes()) {
        const std::size_t at = route.pattern.find(model::kPostgresNamespace);
        if (route.handler == nullptr || at == std::string_view::npos) continue;
        std::string type;
        const std::string_view rest = route.pattern.substr(at + model::kPostgresNamespace.size());
        for (const std::string& part : split(rest, '/'))
            if (!part.empty() && !part.starts_with('{')) type += (type.empty() ? "" : "/") + part;
        const bool is_action = route.method == "POST" && type != "checkNameAvailability";
        if (!type.empty() && !is_action) types.insert(type);
    }
    return types;
}

Json provider_json(const Call& call, const Provider& provider) {
    Json types = Json::array();
    if (provider.ns == model::kPostgresNamespace)
        for (const std::string& type : types_of_postgres())
            types.push_back(type_json(call, type, kPostgresVersions, type == "flexibleServers"));
    for (const std::string_view type : provider.types)
        types.push_back(type_json(call, std::string(type), *provider.versions, false));
    return {{"id", fmt::format("/subscriptions/{}/providers/{}", call.subscription(), provider.ns)},
            {"namespace", provider.ns},
            {"registrationPolicy", "RegistrationFree"},
            {"registrationState", "Registered"},
            {"resourceTypes", types}};
}

}  // namespace

Answer list_providers(Call& call) {
    Json values = Json::array();
    for (const Provider& each : providers()) values.push_back(provider_json(call, each));
    return json_answer(200, list_body(std::move(values)));
}

Answer get_provider(Call& call) {
    const std::string& wanted = call.parameter("resourceProviderNamespace");
    for (const Provider& each : providers())
        if (iequals(each.ns, wanted)) return json_answer(200, provider_json(call, each));
    return Error{ErrorCode::unknown_namespace,
                 fmt::format("the resource namespace '{}' is invalid", wanted.substr(0, 128)),
                 wanted.substr(0, 128)};
}

Answer register_provider(Call& call) { return get_provider(call); }

}  // namespace howdah::api::resources
