#include <fmt/core.h>

#include <array>
#include <span>

#include "api/templates/functions.h"
#include "api/templates/resource_names.h"
#include "api/templates/values.h"
#include "base/id.h"
#include "base/text.h"

namespace howdah::api::templates {
namespace {

Result<Json> parameters(Call& call) {
    HD_TRY(const std::string name, call.text(0));
    HD_TRY(const Json* value, call.evaluator.find_parameter(name));
    return *value;
}

Result<Json> variables(Call& call) {
    HD_TRY(const std::string name, call.text(0));
    HD_TRY(const Json* value, call.evaluator.find_variable(name));
    return *value;
}

/// copyIndex(), copyIndex(offset), copyIndex('loop'), copyIndex('loop', offset).
Result<Json> copy_index(Call& call) {
    std::string name;
    std::int64_t offset = 0;
    if (call.has(0) && call.argument(0).is_string()) {
        HD_TRY(name, call.text(0));
        if (call.has(1)) {
            HD_TRY(offset, call.integer(1));
        }
    } else if (call.has(0)) {
        HD_TRY(offset, call.integer(0));
    }
    return call.evaluator.copy_index(name, offset);
}

Result<Json> subscription(Call& call) {
    const Scope& scope = call.evaluator.scope();
    return Json{{"id", scope_id(scope.subscription_id, "")},
                {"subscriptionId", scope.subscription_id},
                {"tenantId", scope.tenant_id},
                {"displayName", scope.subscription_name}};
}

Result<Json> tenant(Call& call) {
    const Scope& scope = call.evaluator.scope();
    return Json{{"tenantId", scope.tenant_id}, {"displayName", "Howdah"}, {"countryCode", ""}};
}

Result<Json> resource_group(Call& call) {
    const Scope& scope = call.evaluator.scope();
    if (scope.resource_group.empty()) return call.evaluator.not_expected("RESOURCEGROUP");
    return Json{{"id", scope_id(scope.subscription_id, scope.resource_group)},
                {"name", scope.resource_group},
                {"type", "Microsoft.Resources/resourceGroups"},
                {"location", scope.resource_group_location},
                {"tags", scope.resource_group_tags},
                {"properties", {{"provisioningState", "Succeeded"}}}};
}

Result<Json> deployment(Call& call) { return call.evaluator.state().deployment; }

/// The names that Azure has; those that Howdah has nothing for are empty.
Json default_environment() {
    Json out{{"name", "Howdah"}};
    for (const char* name :
         {"gallery", "graph", "portal", "graphAudience", "activeDirectoryDataLake", "batch",
          "media", "sqlManagement", "vmImageAliasDoc", "resourceManager"})
        out[name] = "";
    out["authentication"] = {{"loginEndpoint", ""},
                             {"audiences", Json::array()},
                             {"tenant", "common"},
                             {"identityProvider", "AAD"}};
    for (const char* name :
         {"acrLoginServer", "azureDatalakeAnalyticsCatalogAndJob", "azureDatalakeStoreFileSystem",
          "azureFrontDoorEndpointSuffix", "keyvaultDns", "sqlServerHostname", "storage"})
        out["suffixes"][name] = "";
    return out;
}

Result<Json> environment(Call& call) {
    Json out = default_environment();
    if (call.evaluator.scope().environment.is_object())
        out.update(call.evaluator.scope().environment, /*merge_objects=*/true);
    return out;
}

Result<Json> deployer(Call& call) {
    const Scope& scope = call.evaluator.scope();
    Json out{{"objectId", ""}, {"tenantId", scope.tenant_id}, {"userPrincipalName", ""}};
    if (scope.deployer.is_object()) out.update(scope.deployer);
    return out;
}

Result<Json> management_group(Call& call) { return call.evaluator.not_expected("MANAGEMENTGROUP"); }

Result<std::vector<std::string>> texts(Call& call) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < call.count(); ++i) {
        HD_TRY(std::string text, call.text(i));
        out.push_back(std::move(text));
    }
    return out;
}

/// The first argument with a slash is the type; before it stand a subscription and a group.
struct IdArguments {
    std::vector<std::string> before;
    std::string type;
    std::vector<std::string> names;
};

Result<IdArguments> id_arguments(Call& call, std::size_t before_max) {
    HD_TRY(const std::vector<std::string> all, texts(call));
    std::size_t at = 0;
    while (at < all.size() && all[at].find('/') == std::string::npos) ++at;
    if (at == all.size() || at > before_max)
        return call.fails(
            "the resource type is not valid: a fully qualified resource type name such as "
            "'Microsoft.DBforPostgreSQL/flexibleServers' is expected.");
    IdArguments out;
    const auto type = all.begin() + static_cast<std::ptrdiff_t>(at);
    out.before.assign(all.begin(), type);
    out.type = *type;
    out.names.assign(type + 1, all.end());
    return out;
}

Result<Json> joined(Call& call, const std::string& prefix, const IdArguments& arguments) {
    HD_TRY(std::string id, join_id(call.name, prefix, arguments.type, arguments.names));
    return Json(std::move(id));
}

Result<Json> resource_id(Call& call) {
    HD_TRY(const IdArguments arguments, id_arguments(call, 2));
    const Scope& scope = call.evaluator.scope();
    std::string subscription_id = scope.subscription_id;
    std::string group = scope.resource_group;
    const std::vector<std::string>& before = arguments.before;
    if (before.size() == 2) {
        subscription_id = before[0];
        group = before[1];
    } else if (before.size() == 1) {
        // In a deployment to a subscription there is no group to be named.
        if (group.empty() && is_uuid(before[0]))
            subscription_id = before[0];
        else
            group = before[0];
    }
    return joined(call, scope_id(subscription_id, group), arguments);
}

Result<Json> subscription_resource_id(Call& call) {
    HD_TRY(const IdArguments arguments, id_arguments(call, 1));
    const std::string subscription_id =
        arguments.before.empty() ? call.evaluator.scope().subscription_id : arguments.before[0];
    return joined(call, scope_id(subscription_id, ""), arguments);
}

Result<Json> tenant_resource_id(Call& call) {
    HD_TRY(const IdArguments arguments, id_arguments(call, 0));
    return joined(call, "", arguments);
}

Result<Json> management_group_resource_id(Call& call) {
    HD_TRY(const IdArguments arguments, id_arguments(call, 1));
    if (arguments.before.empty()) return management_group(call);
    return joined(call, "/providers/Microsoft.Management/managementGroups/" + arguments.before[0],
                  arguments);
}

Result<Json> extension_resource_id(Call& call) {
    HD_TRY(const std::vector<std::string> all, texts(call));
    HD_TRY(std::string id, join_id(call.name, all[0], all[1],
                                   std::vector<std::string>(all.begin() + 2, all.end())));
    return Json(std::move(id));
}

constexpr std::array kRows = {
    FunctionRow{"parameters", 1, 1, parameters},
    FunctionRow{"variables", 1, 1, variables},
    FunctionRow{"copyIndex", 0, 2, copy_index},
    FunctionRow{"subscription", 0, 0, subscription},
    FunctionRow{"tenant", 0, 0, tenant},
    FunctionRow{"resourceGroup", 0, 0, resource_group},
    FunctionRow{"managementGroup", 0, 0, management_group},
    FunctionRow{"deployment", 0, 0, deployment},
    FunctionRow{"environment", 0, 0, environment},
    FunctionRow{"deployer", 0, 0, deployer},
    FunctionRow{"resourceId", 2, kAnyCount, resource_id},
    FunctionRow{"subscriptionResourceId", 2, kAnyCount, subscription_resource_id},
    FunctionRow{"tenantResourceId", 2, kAnyCount, tenant_resource_id},
    FunctionRow{"managementGroupResourceId", 2, kAnyCount, management_group_resource_id},
    FunctionRow{"extensionResourceId", 3, kAnyCount, extension_resource_id},
};

}  // namespace

std::span<const FunctionRow> scope_functions() { return kRows; }

}  // namespace howdah::api::templates
