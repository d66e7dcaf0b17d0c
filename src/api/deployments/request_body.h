#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "api/call.h"

namespace howdah::api::deployments {

/// The body of a deployment request. Its JSON is read leniently, as az does not send strict one.
struct RequestBody {
    std::string location;
    std::map<std::string, std::string> tags;
    std::string mode = "Incremental";
    bool ids_only = false;  ///< of what-if: no payloads in the answer
    Json source;            ///< the template
    Json parameters = Json::object();
};

/// Errors: invalid_request, invalid_template without a template, location_required, not_supported
/// for templateLink and the like.
Result<RequestBody> read_request_body(const Call& call);

}  // namespace howdah::api::deployments
