#include <fmt/core.h>

#include <array>

#include "api/templates/functions.h"
#include "api/templates/resource_names.h"
#include "api/templates/values.h"
#include "base/text.h"

namespace howdah::api::templates {
namespace {

const PlannedResource* planned(Evaluator& evaluator, const std::string& text) {
    if (evaluator.plan() == nullptr) return nullptr;
    const auto found = find_named(*evaluator.plan(), evaluator.scope(), text);
    return found.empty() ? nullptr : &evaluator.plan()->resources[found[0]];
}

/// What a call asks about: a resource of the plan, or an id.
Result<ReferenceRequest> request_for(Call& call, const std::string& text) {
    ReferenceRequest out;
    if (const PlannedResource* resource = planned(call.evaluator, text); resource != nullptr) {
        out.id = resource->id;
        out.api_version = resource->api_version;
        return out;
    }
    out.id = text;
    if (text.starts_with('/')) return out;
    const Scope& scope = call.evaluator.scope();
    if (text.find('/') == std::string::npos)
        return inner_error(
            fmt::format("The resource '{}' is not defined in the template. Please see "
                        "https://aka.ms/arm-template for usage details.",
                        text.substr(0, 256)));
    out.id =
        fmt::format("{}/providers/{}", scope_id(scope.subscription_id, scope.resource_group), text);
    return out;
}

/// 'Full' or 'Properties', in any letter case.
Result<bool> wants_full(Call& call, std::size_t index) {
    if (!call.has(index)) return false;
    HD_TRY(const std::string word, call.text(index));
    if (iequals(word, "Full")) return true;
    if (iequals(word, "Properties") || word.empty()) return false;
    return call.fails("the last argument must be 'Full' or 'Properties'.");
}

Json shown(Json body, const ReferenceRequest& request, bool is_full) {
    if (!body.is_object()) return body;
    if (!is_full) return body.contains("properties") ? Json(body["properties"]) : Json::object();
    if (!request.api_version.empty()) body["apiVersion"] = request.api_version;
    body["resourceId"] = request.id;
    return body;
}

Result<Json> reference(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    HD_TRY(const bool is_full, wants_full(call, 2));
    if (!call.evaluator.has_source()) return call.evaluator.ask({});
    HD_TRY(ReferenceRequest request, request_for(call, text));
    if (call.has(1) && !call.argument(1).is_null()) {
        HD_TRY(request.api_version, call.text(1));
    }
    HD_TRY(Json body, call.evaluator.ask(request));
    return shown(std::move(body), request, is_full);
}

/// All turns of a copy loop that are deployed.
Result<Json> references(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    HD_TRY(const bool is_full, wants_full(call, 1));
    if (!call.evaluator.has_source()) return call.evaluator.ask({});
    Json out = Json::array();
    if (call.evaluator.plan() == nullptr) return out;
    for (const std::size_t index :
         find_named(*call.evaluator.plan(), call.evaluator.scope(), text)) {
        const PlannedResource& resource = call.evaluator.plan()->resources[index];
        if (!resource.condition) continue;
        const ReferenceRequest request{.id = resource.id, .api_version = resource.api_version};
        HD_TRY(Json body, call.evaluator.ask(request));
        out.push_back(shown(std::move(body), request, is_full));
    }
    return out;
}

Result<Json> resource_info(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    const PlannedResource* resource = planned(call.evaluator, text);
    if (resource == nullptr)
        return inner_error(
            fmt::format("The resource '{}' is not defined in the template. Please see "
                        "https://aka.ms/arm-template for usage details.",
                        text.substr(0, 256)));
    return Json{{"id", resource->id},
                {"name", resource->name},
                {"type", resource->type},
                {"apiVersion", resource->api_version}};
}

/// listKeys(resource, apiVersion[, body]) and all others whose names begin with "list": lazy, as
/// the row does not know which one is called.
Result<Json> list_action(Evaluator& evaluator, const Expression& tree) {
    std::vector<Json> arguments;
    for (const Expression& each : tree.children) {
        HD_TRY(Json argument, evaluator.evaluate(each));
        arguments.push_back(std::move(argument));
    }
    Call call{evaluator, tree.text, arguments};
    HD_TRY(const std::string text, call.text(0));
    HD_TRY(const std::string api_version, call.text(1));
    if (!evaluator.has_source()) return evaluator.ask({.action = tree.text});
    HD_TRY(ReferenceRequest request, request_for(call, text));
    request.api_version = api_version;
    request.action = tree.text;
    if (call.has(2)) request.body = call.argument(2);
    return evaluator.ask(request);
}

/// A machine is one zone.
Result<Json> pick_zones(Call&) { return Json::array(); }

constexpr std::array kRows = {
    FunctionRow{"reference", 1, 3, reference},        FunctionRow{"references", 1, 2, references},
    FunctionRow{"resourceInfo", 1, 1, resource_info}, FunctionRow{"pickZones", 3, 5, pick_zones},
    FunctionRow{"list*", 2, 3, nullptr, list_action},
};

}  // namespace

std::span<const FunctionRow> resource_functions() { return kRows; }

bool is_runtime_function(std::string_view name) {
    const std::string low = to_lower(name);
    return low == "reference" || low == "references" ||
           (low.starts_with("list") && low.find('.') == std::string::npos);
}

}  // namespace howdah::api::templates
