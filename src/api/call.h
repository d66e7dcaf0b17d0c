#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/access/requirement.h"
#include "api/api.h"
#include "api/arm_json.h"
#include "api/inner_api.h"
#include "api/services.h"
#include "core/access/access.h"
#include "model/records.h"
#include "model/resource_id.h"

namespace howdah::api {

struct Route;

/// The versions whose shapes differ. All from 2024-08-01 on have the shape of 2025-08-01.
enum class Shape { v2022_12_01, v2025_08_01 };

/// One authenticated request on its way through a handler. Lives as long as the request; used by
/// one thread.
struct Call {
    const ApiContext& context;
    Services& services;
    const http::Request& request;
    const Route* route = nullptr;
    std::vector<std::pair<std::string_view, std::string>> parameters = {};  ///< of the path
    std::string api_version = {};
    Shape shape = Shape::v2025_08_01;
    Caller caller = {};
    bool is_of_graph = false;  ///< came to "/msgraph", with a token for that
    /// Deployments that the request comes from, one within the other; 0: from outside.
    std::int64_t deployment_depth = 0;
    std::string parent_deployment = {};  ///< operation_id of the innermost of them
    core::access::Access access = {};    ///< of the caller
    Requirement requirement = {};
    std::string request_id = {};
    std::string correlation_id = {};
    std::string client_request_id = {};
    bool has_activity = false;  ///< the activity log says that the change began

    /// REQUIRES: the route's pattern has {name}.
    const std::string& parameter(std::string_view name) const;
    const std::string& subscription() const { return parameter("subscriptionId"); }

    /// base_url + path + "?api-version=..."; the path is percent-encoded.
    std::string link(std::string_view path) const;
    std::string now() const;
    /// For lists: an entry that the caller may not read is left out. `type` as in actions:
    /// "Microsoft.Resources/subscriptions/resourceGroups".
    bool may_read(std::string_view type, std::string_view id) const {
        return access.allows(std::string(type) + "/read", id);
    }
};

/// What a handler gives back; an Error becomes an answer in Azure's shape.
using Answer = Result<http::Response>;
using Handler = Answer (*)(Call&);

Answer json_answer(int status, const Json& body);
Answer empty_answer(int status);

/// {"error":{...}}: the message as a sentence, with the hint after it.
http::Response error_answer(const Error& error);
/// The same object without the envelope, for operations that failed.
Json error_json(const Error& error);
/// "backups are" -> "backups are not supported by this version of Howdah"
std::string not_supported_text(std::string_view missing);
/// "the server is busy" -> "The server is busy."
std::string as_sentence(std::string_view text);

}  // namespace howdah::api
