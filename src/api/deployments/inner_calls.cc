#include "api/deployments/inner_calls.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/router.h"
#include "base/text.h"

namespace howdah::api::deployments {
namespace {

std::string provider_of(const std::string& id) {
    const std::string lower = to_lower(id);
    constexpr std::string_view kMark = "/providers/";
    const std::size_t at = lower.rfind(kMark);
    if (at == std::string::npos) return "Microsoft.Resources";
    const std::size_t begin = at + kMark.size();
    return id.substr(begin, id.find('/', begin) - begin);
}

Error as_error(const http::Response& response) {
    const Json error = error_of(response);
    return {error_code_from(error.value("code", "")), error.value("message", ""),
            error.value("target", "")};
}

}  // namespace

OnBehalf on_behalf_of(const model::Deployment& deployment) {
    return {{deployment.caller_object_id, deployment.caller_app_id, deployment.caller_name},
            deployment.correlation_id,
            deployment.depth + 1,
            deployment.operation_id};
}

std::string api_version_for(const templates::Plan& plan, const std::string& id) {
    for (const templates::PlannedResource& each : plan.resources)
        if (iequals(each.id, id)) return each.api_version;
    const Versions* versions = versions_of(provider_of(id));
    return versions == nullptr || versions->supported.empty()
               ? ""
               : std::string(versions->supported.back());
}

Json error_of(const http::Response& response) {
    const Json body = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
    if (body.is_object() && body.contains("error") && body["error"].is_object())
        return body["error"];
    return {{"code", "InternalServerError"},
            {"message", fmt::format("The request was answered with {}.", response.status)}};
}

templates::ReferenceSource reference_source(InnerApi& api, const OnBehalf& who,
                                            const templates::Plan& plan) {
    return [&api, &who, &plan](const templates::ReferenceRequest& request) -> Result<Json> {
        const std::string version =
            request.api_version.empty() ? api_version_for(plan, request.id) : request.api_version;
        const bool reads = request.action.empty();
        const http::Response response =
            reads ? api.send(who, "GET", request.id, version, "")
                  : api.send(who, "POST", request.id + "/" + request.action, version,
                             request.body.is_null() ? "" : to_text(request.body));
        if (response.status >= 400) return as_error(response);
        Json body = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
        if (body.is_discarded())
            return Error{ErrorCode::internal,
                         fmt::format("the answer about '{}' is no JSON", request.id)};
        return body;
    };
}

Status check_plan(InnerApi& api, const OnBehalf& who, const templates::Plan& plan) {
    for (const templates::PlannedResource& each : plan.resources) {
        if (!each.condition) continue;
        const Status status =
            api.check(who, each.existing ? "GET" : "PUT", each.id, each.api_version);
        if (status.ok()) continue;
        return Error{
            ErrorCode::invalid_template_deployment,
            fmt::format("the template deployment failed with error: '{}: {}'",
                        to_string(status.error().code), as_sentence(status.error().message)),
            each.id, status.error().hint};
    }
    return ok_status();
}

}  // namespace howdah::api::deployments
