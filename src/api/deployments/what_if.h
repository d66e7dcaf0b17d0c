#pragma once

#include "api/deployments/deployment_store.h"
#include "api/inner_api.h"

namespace howdah::api::deployments {

/// {"path","propertyChangeType","before","after"} of every field that `after` has otherwise than
/// `before`. What a template leaves out stays as it is, and is no difference. Pure.
Json property_changes(const Json& before, const Json& after);

/// What a deployment would do: {"resourceId","changeType",...} for every resource of the template
/// and its nested ones, and for what it would leave alone or delete. Reads as the caller.
Result<Json> what_if(InnerApi& api, const OnBehalf& who, const Prepared& prepared, bool ids_only);

}  // namespace howdah::api::deployments
