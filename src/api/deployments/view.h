#pragma once

#include <string>

#include "api/deployments/deployment_store.h"

/// Deployments in Azure's shapes.
namespace howdah::api::deployments {

Json deployment_json(const model::Deployment& deployment);
/// What a long-running request is followed by: {"status":"Running"}.
Json operation_status_json(const model::Deployment& deployment);
Json step_json(const model::Deployment& deployment, const model::DeploymentStep& step);
/// The steps that have begun, and the evaluation of the outputs.
Json steps_json(const model::Deployment& deployment);

/// properties.providers and properties.dependencies; the latter with at most
/// kDependenciesShownMax pairs, as everything may depend on everything.
inline constexpr std::size_t kDependenciesShownMax = 2000;
Json providers_json(const templates::Plan& plan, std::string_view location);
Json dependencies_json(const templates::Plan& plan);

/// A fingerprint of a template: the same for the same JSON.
std::string template_hash(const Json& source);

}  // namespace howdah::api::deployments
