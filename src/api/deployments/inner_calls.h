#pragma once

#include <string>

#include "api/deployments/deployment_store.h"
#include "api/inner_api.h"

/// What a deployment asks the API for.
namespace howdah::api::deployments {

OnBehalf on_behalf_of(const model::Deployment& deployment);

/// The resource's own version if it is in the plan, else the newest of its type.
std::string api_version_for(const templates::Plan& plan, const std::string& id);

/// The error of an answer of 400 and above.
Json error_of(const http::Response& response);

/// reference() and list*(): sent as whoever asked for the deployment. Borrows all; the source
/// must not outlive them.
templates::ReferenceSource reference_source(InnerApi& api, const OnBehalf& who,
                                            const templates::Plan& plan);

/// Whether the caller may begin all that is planned, and whether Howdah has these types at all.
/// ErrorCode::invalid_template_deployment, or not_supported.
Status check_plan(InnerApi& api, const OnBehalf& who, const templates::Plan& plan);

}  // namespace howdah::api::deployments
