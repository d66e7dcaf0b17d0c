#include <nlohmann/json.hpp>

#include "api/auth/token_service.h"
#include "core/access/token_role.h"

// The description of this cloud that clients load to find its endpoints. Three shapes: Azure
// Resource Manager's of 2015-01-01 (endpoints by name), 2020-06-01 (an array of clouds) and
// 2022-09-01 (one cloud, as Terraform's azurerm reads it).

namespace howdah::api {
namespace {

Json authentication(const ApiContext& context) {
    return {{"loginEndpoint", context.base_url},
            {"audiences", Json::array({context.base_url, "https://management.azure.com/",
                                       "https://management.core.windows.net/"})},
            {"tenant", "common"},  // any other is an Azure Stack to Terraform's azurerm
            {"identityProvider", "AAD"}};
}

/// Nothing here has the last two, but Terraform's azurerm does not start without them.
Json suffixes(const ApiContext& context) {
    return {{"postgresqlServerEndpoint", "." + context.dns_suffix},
            {"storage", "storage." + context.dns_suffix},
            {"keyVaultDns", "vault." + context.dns_suffix}};
}

Json cloud(const ApiContext& context) {
    const std::string& base = context.base_url;
    return {{"name", "Howdah"},
            {"portal", base},
            {"authentication", authentication(context)},
            {"resourceManager", base},
            {"graph", base + "/graph"},
            {"graphAudience", base + "/graph"},
            {"microsoftGraphResourceId", base + "/msgraph"},
            {"ossrdbmsResourceId", std::string(core::kDatabaseAudience)},
            {"activeDirectoryDataLake", ""},
            {"batch", ""},
            {"media", ""},
            {"gallery", base},
            {"sqlManagement", ""},
            {"vmImageAliasDoc", ""},
            {"suffixes", suffixes(context)}};
}

}  // namespace

http::Response cloud_metadata(const ApiContext& context, std::string_view api_version) {
    const std::string& base = context.base_url;
    if (api_version == "2015-01-01") {
        const Json body = {
            {"galleryEndpoint", base},
            {"graphEndpoint", base + "/graph"},
            {"portalEndpoint", base},
            {"authentication",
             {{"loginEndpoint", base}, {"audiences", Json::array({base, base + "/"})}}}};
        return {200, {}, to_text(body)};
    }
    if (api_version >= "2022-09-01") return {200, {}, to_text(cloud(context))};
    return {200, {}, to_text(Json::array({cloud(context)}))};
}

}  // namespace howdah::api
