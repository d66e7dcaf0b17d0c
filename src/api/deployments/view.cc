#include "api/deployments/view.h"

#include <fmt/core.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"

namespace howdah::api::deployments {
namespace {

constexpr std::string_view kType = "Microsoft.Resources/deployments";

/// JSON that was kept as text; null if it was absent.
Json kept(const std::string& text) {
    return text.empty() ? Json() : Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

/// "PT1.234S".
std::string duration_between(const std::string& begin, const std::string& end) {
    const auto from = parse_iso8601(begin);
    const auto to = parse_iso8601(end);
    if (!from.ok() || !to.ok() || *to < *from) return "PT0S";
    return fmt::format("PT{:.3f}S", static_cast<double>((*to - *from).count()) / 1000);
}

std::string status_words(std::int64_t status) {
    switch (status) {
        case 200:
            return "OK";
        case 201:
            return "Created";
        case 202:
            return "Accepted";
        case 204:
            return "NoContent";
        case 400:
            return "BadRequest";
        case 403:
            return "Forbidden";
        case 404:
            return "NotFound";
        case 409:
            return "Conflict";
        default:
            return std::to_string(status);
    }
}

Json named(const templates::PlannedResource& resource) {
    return {{"id", resource.id}, {"resourceType", resource.type}, {"resourceName", resource.name}};
}

}  // namespace

Json deployment_json(const model::Deployment& deployment) {
    Json properties = {
        {"templateHash", deployment.template_hash},
        {"parameters", kept(deployment.parameters)},
        {"mode", deployment.mode},
        {"provisioningState", deployment.state},
        {"timestamp", deployment.changed_at},
        {"duration", duration_between(deployment.started_at, deployment.changed_at)},
        {"correlationId", deployment.correlation_id},
        {"providers", kept(deployment.providers)},
        {"dependencies", kept(deployment.dependencies)},
    };
    if (!deployment.outputs.empty()) properties["outputs"] = kept(deployment.outputs);
    if (deployment.state == "Succeeded") {
        Json resources = Json::array();
        for (const model::DeploymentStep& each : deployment.steps)
            if (each.state == "Succeeded" && !each.started_at.empty())
                resources.push_back({{"id", each.id}});
        properties["outputResources"] = std::move(resources);
    }
    if (!deployment.error.empty()) properties["error"] = kept(deployment.error);
    Json body = {{"id", where_of(deployment).id()}, {"name", deployment.name}, {"type", kType}};
    if (!deployment.location.empty()) body["location"] = deployment.location;
    if (!deployment.tags.empty()) body["tags"] = deployment.tags;
    body["properties"] = std::move(properties);
    return body;
}

Json operation_status_json(const model::Deployment& deployment) {
    Json body = {{"status", deployment.state}};
    if (!deployment.error.empty()) body["error"] = kept(deployment.error);
    return body;
}

Json step_json(const model::Deployment& deployment, const model::DeploymentStep& step) {
    const std::string end = step.ended_at.empty() ? deployment.changed_at : step.ended_at;
    Json properties = {{"provisioningOperation", "Create"},
                       {"provisioningState", step.state},
                       {"timestamp", end},
                       {"duration", duration_between(step.started_at, end)},
                       {"trackingId", step.operation_id},
                       {"statusCode", status_words(step.http_status)}};
    if (!step.error.empty()) properties["statusMessage"] = {{"error", kept(step.error)}};
    properties["targetResource"] = {
        {"id", step.id}, {"resourceType", step.type}, {"resourceName", step.name}};
    return {{"id", fmt::format("{}/operations/{}", where_of(deployment).id(), step.operation_id)},
            {"operationId", step.operation_id},
            {"properties", std::move(properties)}};
}

Json steps_json(const model::Deployment& deployment) {
    Json values = Json::array();
    for (const model::DeploymentStep& each : deployment.steps)
        if (!each.started_at.empty()) values.push_back(step_json(deployment, each));
    if (deployment.state == "Succeeded") {
        const std::string& id = deployment.operation_id;
        values.push_back({{"id", fmt::format("{}/operations/{}", where_of(deployment).id(), id)},
                          {"operationId", id},
                          {"properties",
                           {{"provisioningOperation", "EvaluateDeploymentOutput"},
                            {"provisioningState", "Succeeded"},
                            {"timestamp", deployment.ended_at},
                            {"duration", "PT0S"},
                            {"trackingId", deployment.operation_id},
                            {"statusCode", "OK"}}}});
    }
    return values;
}

Json providers_json(const templates::Plan& plan, std::string_view location) {
    std::map<std::string, std::set<std::string>> types;
    for (const templates::PlannedResource& each : plan.resources) {
        const std::size_t slash = each.type.find('/');
        if (slash == std::string::npos) continue;
        types[each.type.substr(0, slash)].insert(each.type.substr(slash + 1));
    }
    Json providers = Json::array();
    for (const auto& [ns, names] : types) {
        Json resource_types = Json::array();
        for (const std::string& each : names)
            resource_types.push_back({{"resourceType", each}, {"locations", {location}}});
        providers.push_back({{"namespace", ns}, {"resourceTypes", std::move(resource_types)}});
    }
    return providers;
}

Json dependencies_json(const templates::Plan& plan) {
    Json dependencies = Json::array();
    std::size_t shown = 0;
    for (const templates::PlannedResource& each : plan.resources) {
        if (each.depends_on.empty() || each.id.empty()) continue;
        Json on = Json::array();
        for (const std::size_t other : each.depends_on)
            if (!plan.resources[other].id.empty() && ++shown <= kDependenciesShownMax)
                on.push_back(named(plan.resources[other]));
        Json dependency = {{"dependsOn", std::move(on)}};
        dependency.update(named(each));
        dependencies.push_back(std::move(dependency));
    }
    return dependencies;
}

std::string template_hash(const Json& source) {
    // FNV-1a: Azure's is as opaque, and a number too.
    std::uint64_t hash = 14695981039346656037U;
    for (const char c : to_text(source))
        hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    return std::to_string(hash);
}

}  // namespace howdah::api::deployments
