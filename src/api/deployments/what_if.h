#pragma once

#include "api/deployments/deployment_store.h"
#include "api/inner_api.h"

namespace howdah::api::deployments {

/// {"path","propertyChangeType","before","after"} of every field that `after` has otherwise than
/// `before`. What a template leaves out stays as it is, and is no difference. Pure.
Json property_changes(const Json& before, const Json& after);

/// A forecast that takes longer is refused, as it holds a thread of the API.
inline constexpr Duration kForecastMax = std::chrono::seconds(10);

/// At most kResourcesMax over all levels. What a deployment would do:
/// {"resourceId","changeType",...} for every resource of the template and its nested ones, and for
/// what it would leave alone. Reads as the caller.
Result<Json> what_if(InnerApi& api, const OnBehalf& who, const Prepared& prepared, bool ids_only,
                     const Clock& clock);

}  // namespace howdah::api::deployments
