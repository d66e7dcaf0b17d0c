#include "api/deployments/request_body.h"

#include <fmt/core.h>

#include <array>
#include <nlohmann/json.hpp>

#include "api/deployments/deployment_store.h"
#include "api/postgres/server_body.h"
#include "api/postgres/server_rules.h"
#include "api/templates/lenient_json.h"

namespace howdah::api::deployments {
namespace {

constexpr std::string_view kModes[] = {"Incremental", "Complete"};
constexpr std::string_view kFormats[] = {"FullResourcePayloads", "ResourceIdOnly"};
constexpr std::string_view kDetails[] = {"none"};
constexpr std::string_view kScopes[] = {"NotSpecified", "Outer", "Inner"};

void read_properties(Reader& properties, RequestBody& out) {
    out.mode = properties.one_of("mode", kModes).value_or("Incremental");
    properties.read_only("template");
    properties.read_only("parameters");
    properties.not_supported("templateLink", "templates at other addresses are");
    properties.not_supported("parametersLink", "parameters at other addresses are");
    properties.not_supported("onErrorDeployment", "another deployment after a failed one is");
    properties.not_supported("extensionConfigs", "extensions of templates are");
    properties.one_of("validationLevel", std::array<std::string_view, 1>{"Provider"});
    if (auto debug = properties.object("debugSetting")) {
        debug->one_of("detailLevel", kDetails);
        debug->finish();
    }
    // Of a nested deployment: evaluated when the outer one was planned.
    if (auto evaluation = properties.object("expressionEvaluationOptions")) {
        evaluation->one_of("scope", kScopes);
        evaluation->finish();
    }
    if (auto settings = properties.object("whatIfSettings")) {
        out.ids_only = settings->one_of("resultFormat", kFormats).value_or("") == "ResourceIdOnly";
        settings->finish();
    }
    properties.finish();
}

}  // namespace

Result<RequestBody> read_request_body(const Call& call) {
    HD_TRY(const Json json, templates::parse_lenient(call.request.body));
    if (!json.is_object())
        return Error{ErrorCode::invalid_request, "the request needs a body, and has none"};
    Reader::Problem problem;
    Reader body(json, "", problem);
    RequestBody out;
    out.location = body.text("location").value_or("");
    out.tags = body.texts("tags").value_or(std::map<std::string, std::string>());
    for (const char* each : {"id", "name", "type"}) body.read_only(each);
    const bool has_properties = json.contains("properties") && json["properties"].is_object();
    if (auto properties = body.object("properties")) read_properties(*properties, out);
    body.finish();
    if (problem) return *problem;
    HD_CHECK(postgres::check_tags(out.tags));
    const Json& properties = has_properties ? json["properties"] : json;
    if (!properties.contains("template") || !properties["template"].is_object())
        return Error{ErrorCode::invalid_template,
                     "deployment template validation failed: 'The template is missing'",
                     "properties.template", "give the template as an object"};
    out.source = properties["template"];
    if (properties.contains("parameters") && !properties["parameters"].is_null())
        out.parameters = properties["parameters"];
    // It deletes what the template does not have. That has to be told without a doubt, also of
    // nested templates and while others deploy, before a single server is deleted.
    if (out.mode == "Complete")
        return Error{ErrorCode::not_supported,
                     "the mode 'Complete' is not supported by this version of Howdah",
                     "properties.mode", "use Incremental, and delete what is to go by itself"};
    const bool to_subscription = where_of(call).resource_group.empty();
    if (to_subscription) {
        if (out.location.empty())
            return Error{ErrorCode::location_required,
                         "the location property is required for this definition", "location"};
        HD_CHECK(postgres::check_location(call.context, out.location,
                                          "Microsoft.Resources/deployments"));
    } else if (!out.location.empty()) {
        return Error{ErrorCode::invalid_argument,
                     "a deployment to a resource group has no location of its own", "location",
                     "leave the field out"};
    }
    return out;
}

}  // namespace howdah::api::deployments
