#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "api/paging.h"
#include "api/resources/handlers.h"
#include "api/router.h"
#include "base/text.h"

namespace howdah::api::resources {
namespace {

/// Azure lists what belongs to no provider at two levels: "subscriptions/resourceGroups".
constexpr std::size_t kOwnLevelsMax = 2;

/// The types of a namespace, as clients look up the api-versions of one.
using Types = std::set<std::string, std::less<>>;

struct Provider {
    std::string_view ns;
    const Versions* versions;
    Types types;
};

/// The place behind "providers/<namespace>"; 0 if the path has no fixed namespace.
std::size_t behind_namespace(const std::vector<std::string>& pattern) {
    for (std::size_t i = pattern.size(); i-- > 1;)
        if (pattern[i - 1] == "providers" && !pattern[i].starts_with('{')) return i + 1;
    return 0;
}

/// What is done to something that has a name is no type; to a location it is one.
bool is_action(const Route& route, const std::vector<std::string>& pattern, std::size_t from) {
    if (route.method != "POST") return false;
    return std::any_of(
        pattern.begin() + static_cast<std::ptrdiff_t>(from), pattern.end(),
        [](const std::string& each) { return each.starts_with('{') && each != "{locationName}"; });
}

/// "flexibleServers/databases", and what it is below.
void add_types(const std::vector<std::string>& pattern, std::size_t from, Types& types) {
    std::string type;
    for (std::size_t i = from; i < pattern.size(); i += 2) {
        type += (type.empty() ? "" : "/") + pattern[i];
        types.insert(type);
    }
}

/// From the routes that do something.
std::vector<Provider> find_providers() {
    std::vector<Provider> all = {{model::kPostgresNamespace, &kPostgresVersions, {}},
                                 {"Microsoft.Resources", &kResourceManagerVersions, {}},
                                 {"Microsoft.Authorization", &kAuthorizationVersions, {}},
                                 {"Microsoft.Insights", &kInsightsVersions, {}},
                                 {"Howdah.Platform", &kPlatformVersions, {}}};
    for (const Route& route : all_routes()) {
        if (route.handler == nullptr || route.versions->supported.empty()) continue;
        const std::vector<std::string> pattern = split(route.pattern.substr(1), '/');
        const std::size_t at = behind_namespace(pattern);
        if (is_action(route, pattern, at)) continue;
        const std::string ns = at == 0 ? "Microsoft.Resources" : pattern[at - 1];
        const auto provider = std::find_if(
            all.begin(), all.end(), [&](const Provider& each) { return iequals(each.ns, ns); });
        if (provider == all.end() || (at == 0 && pattern.size() > 2 * kOwnLevelsMax)) continue;
        add_types(pattern, at, provider->types);
        // Clients know "resourceGroups" by this name too.
        constexpr std::size_t kBehindSubscription = 2;
        if (at == 0 && pattern.size() > kBehindSubscription)
            add_types(pattern, kBehindSubscription, provider->types);
    }
    return all;
}

const std::vector<Provider>& providers() {
    static const std::vector<Provider> all = find_providers();
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

Json provider_json(const Call& call, const Provider& provider) {
    Json types = Json::array();
    for (const std::string& type : provider.types)
        types.push_back(type_json(call, type, *provider.versions, type == "flexibleServers"));
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
