#include "api/deployments/deployment_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/templates/resource_names.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api::deployments {
namespace {

std::string seal_name(const model::Deployment& deployment) {
    const Where where = where_of(deployment);
    return fmt::format("{}|{}", store::keys::deployment_template(where.scope(), where.name),
                       deployment.operation_id);
}

Json scope_json(const templates::Scope& scope) {
    return {{"subscription", scope.subscription_id},
            {"subscriptionName", scope.subscription_name},
            {"tenant", scope.tenant_id},
            {"group", scope.resource_group},
            {"groupLocation", scope.resource_group_location},
            {"groupTags", scope.resource_group_tags},
            {"name", scope.deployment_name},
            {"location", scope.deployment_location},
            {"mode", scope.mode},
            {"environment", scope.environment},
            {"deployer", scope.deployer},
            {"now", format_iso8601(scope.now)},
            {"seed", scope.seed}};
}

Result<templates::Scope> scope_of(const Json& json) {
    templates::Scope scope;
    scope.subscription_id = json.value("subscription", "");
    scope.subscription_name = json.value("subscriptionName", "");
    scope.tenant_id = json.value("tenant", "");
    scope.resource_group = json.value("group", "");
    scope.resource_group_location = json.value("groupLocation", "");
    scope.resource_group_tags = json.value("groupTags", Json::object());
    scope.deployment_name = json.value("name", "");
    scope.deployment_location = json.value("location", "");
    scope.mode = json.value("mode", "");
    scope.environment = json.value("environment", Json::object());
    scope.deployer = json.value("deployer", Json::object());
    HD_TRY(scope.now, parse_iso8601(json.value("now", "")));
    scope.seed = json.value("seed", "");
    return scope;
}

}  // namespace

std::string Where::scope() const { return templates::scope_id(subscription, resource_group); }

std::string Where::id() const {
    return fmt::format("{}/providers/Microsoft.Resources/deployments/{}", scope(), name);
}

std::string Where::key() const { return store::keys::deployment(scope(), name); }

Where where_of(const Call& call) {
    Where where;
    for (const auto& [name, value] : call.parameters) {
        if (name == "subscriptionId") where.subscription = value;
        if (name == "resourceGroupName") where.resource_group = value;
        if (name == "deploymentName") where.name = value;
    }
    return where;
}

Where where_of(const model::Deployment& deployment) {
    return {deployment.subscription, deployment.resource_group, deployment.name};
}

Result<std::optional<StoredDeployment>> find_deployment(store::Store& store, const Where& where) {
    HD_TRY(const auto entry, store.get(where.key()));
    if (!entry) return std::optional<StoredDeployment>();
    HD_TRY(auto record, model::from_json<model::Deployment>(entry->value));
    return std::optional(StoredDeployment{std::move(record), entry->modified});
}

Result<StoredDeployment> load_deployment(const Call& call) {
    const Where where = where_of(call);
    HD_TRY(auto found, find_deployment(call.context.store, where));
    if (!found)
        return Error{ErrorCode::deployment_not_found,
                     fmt::format("deployment '{}' could not be found", where.name.substr(0, 128))};
    return std::move(*found);
}

bool has_ended(const model::Deployment& deployment) { return !deployment.ended_at.empty(); }

Result<std::string> seal_material(const store::SecretBox& secrets,
                                  const model::Deployment& deployment, const Material& material) {
    const Json json = {{"template", material.source},
                       {"parameters", material.parameters},
                       {"scope", scope_json(material.scope)}};
    Secret text(to_text(json));
    if (text.reveal().size() > kMaterialBytesMax)
        return Error{ErrorCode::too_large,
                     fmt::format("the template and its parameters are larger than {} bytes",
                                 kMaterialBytesMax),
                     "properties.template", "make several deployments of it"};
    return secrets.seal(seal_name(deployment), text);
}

Result<Material> unseal_material(const store::SecretBox& secrets,
                                 const model::Deployment& deployment, std::string_view sealed) {
    HD_TRY(const Secret text, secrets.unseal(seal_name(deployment), sealed));
    Json json = Json::parse(text.reveal(), nullptr, /*allow_exceptions=*/false);
    const bool good = json.is_object() && json.contains("template") &&
                      json.contains("parameters") && json.contains("scope") &&
                      json["scope"].is_object();
    if (!good)
        return Error{ErrorCode::corrupt, fmt::format("the stored template of {} is not readable",
                                                     where_of(deployment).id())};
    Material material{std::move(json["template"]), std::move(json["parameters"]), {}};
    HD_TRY(material.scope, scope_of(json["scope"]));
    return material;
}

Result<Prepared> prepare(const Material& material) {
    HD_TRY(auto parsed,
           templates::parse_template(material.source, material.parameters, material.scope));
    HD_TRY(auto plan, templates::plan(parsed));
    return Prepared{std::move(parsed), std::move(plan)};
}

}  // namespace howdah::api::deployments
