#include "api/deployments/what_if.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "api/deployments/inner_calls.h"
#include "api/templates/resource_names.h"
#include "base/text.h"

namespace howdah::api::deployments {
namespace {

constexpr std::string_view kManagerVersion = "2021-04-01";
/// Written and never shown: nobody can tell whether they would change.
constexpr std::string_view kNeverShown[] = {"properties.administratorLoginPassword",
                                            "properties.createMode"};

bool same_value(const Json& before, const Json& after, std::string_view path) {
    if (before == after) return true;
    // Words of Azure's are the same in any letter case; locations also with spaces.
    if (!before.is_string() || !after.is_string()) return false;
    const auto plain = [&](std::string text) {
        if (path == "location") std::erase(text, ' ');
        return to_lower(text);
    };
    return plain(before.get<std::string>()) == plain(after.get<std::string>());
}

void compare(const Json& before, const Json& after, const std::string& path, Json& out) {
    if (std::find(std::begin(kNeverShown), std::end(kNeverShown), path) != std::end(kNeverShown))
        return;
    if (after.is_null()) return;
    if (before.is_object() && after.is_object()) {
        for (const auto& [name, value] : after.items()) {
            const std::string inner = path.empty() ? name : path + "." + name;
            compare(before.contains(name) ? before[name] : Json(), value, inner, out);
        }
        return;
    }
    if (same_value(before, after, path)) return;
    Json change = {{"path", path}, {"propertyChangeType", before.is_null() ? "Create" : "Modify"}};
    if (!before.is_null()) change["before"] = before;
    change["after"] = after;
    out.push_back(std::move(change));
}

/// Also where the template has it in clear.
void hide_password(Json& body) {
    if (!body.contains("properties") || !body["properties"].is_object()) return;
    if (body["properties"].contains("administratorLoginPassword"))
        body["properties"]["administratorLoginPassword"] = "*****";
}

Json with_head(const templates::PlannedResource& resource, const Json& body) {
    Json out = {{"id", resource.id}, {"type", resource.type}, {"apiVersion", resource.api_version}};
    const std::size_t slash = resource.name.rfind('/');
    out["name"] = slash == std::string::npos ? resource.name : resource.name.substr(slash + 1);
    out.update(body);
    return out;
}

/// One forecast.
class Forecast {
  public:
    Forecast(InnerApi& api, OnBehalf who, bool ids_only, const Clock& clock)
        : api_(api),
          who_(std::move(who)),
          ids_only_(ids_only),
          clock_(clock),
          end_(clock.now() + kForecastMax) {}

    Status add(const Prepared& prepared, std::int64_t depth);
    Status add_others(const templates::Scope& scope);
    Json take() { return std::move(changes_); }

  private:
    Status add_resource(const Prepared& prepared, std::size_t index);
    Status add_nested(const Prepared& prepared, std::size_t index, std::int64_t depth);
    void add_change(const std::string& id, std::string_view type, const Json& before,
                    const Json& after, const Json& delta);

    InnerApi& api_;
    const OnBehalf who_;
    const bool ids_only_;
    const Clock& clock_;
    const Instant end_;
    std::size_t looked_at_ = 0;
    Json changes_ = Json::array();
    std::set<std::string> planned_;  ///< ids in lower case; also of what is only read
};

void Forecast::add_change(const std::string& id, std::string_view type, const Json& before,
                          const Json& after, const Json& delta) {
    Json change = {{"resourceId", id},
                   {"changeType", ids_only_ && type != "Ignore" ? "Deploy" : std::string(type)}};
    if (!ids_only_) {
        if (!before.is_null()) change["before"] = before;
        if (!after.is_null()) change["after"] = after;
        if (!delta.empty()) change["delta"] = delta;
    }
    changes_.push_back(std::move(change));
}

Status Forecast::add_resource(const Prepared& prepared, std::size_t index) {
    templates::PlannedResource resource = prepared.plan.resources[index];
    // What depends on things that are not there yet stays an expression.
    const auto source = reference_source(api_, who_, prepared.plan);
    if (auto body = templates::complete(prepared.parsed, prepared.plan, index, source); body.ok())
        resource.body = std::move(*body);
    Json wanted = templates::redacted(resource);
    hide_password(wanted);
    const http::Response response = api_.send(who_, "GET", resource.id, resource.api_version, "");
    if (response.status == 404) {
        add_change(resource.id, "Create", nullptr, with_head(resource, wanted), Json::array());
        return ok_status();
    }
    const Json before = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
    if (response.status >= 400 || !before.is_object()) {
        add_change(resource.id, "Unsupported", nullptr, nullptr, Json::array());
        return ok_status();
    }
    const Json delta = property_changes(before, wanted);
    Json after = before;
    after.merge_patch(wanted);
    add_change(resource.id, delta.empty() ? "NoChange" : "Modify", before, after, delta);
    return ok_status();
}

Status Forecast::add_nested(const Prepared& prepared, std::size_t index, std::int64_t depth) {
    const templates::PlannedResource& resource = prepared.plan.resources[index];
    const auto source = reference_source(api_, who_, prepared.plan);
    const auto body = templates::complete(prepared.parsed, prepared.plan, index, source);
    // Its parameters come from resources that are not there yet.
    if (!body.ok() || !body->contains("properties") ||
        !(*body)["properties"].contains("template") || depth >= kDepthMax) {
        add_change(resource.id, "Unsupported", nullptr, nullptr, Json::array());
        return ok_status();
    }
    const Json& properties = (*body)["properties"];
    templates::Scope scope = prepared.parsed.scope();
    scope.subscription_id = resource.deployment_subscription;
    scope.resource_group = resource.deployment_resource_group;
    scope.deployment_name = resource.name;
    HD_TRY(const Prepared nested,
           prepare({properties["template"],
                    properties.contains("parameters") ? properties["parameters"] : Json::object(),
                    std::move(scope)}));
    return add(nested, depth + 1);
}

Status Forecast::add(const Prepared& prepared, std::int64_t depth) {
    for (std::size_t i = 0; i < prepared.plan.resources.size(); ++i) {
        const templates::PlannedResource& each = prepared.plan.resources[i];
        if (++looked_at_ > templates::kResourcesMax)
            return Error{
                ErrorCode::invalid_template_deployment,
                fmt::format("the templates have more than {} resources", templates::kResourcesMax)};
        if (clock_.now() >= end_)
            return Error{ErrorCode::invalid_template_deployment,
                         "the templates take too long to be looked at"};
        if (each.condition) planned_.insert(to_lower(each.id));
        if (!each.condition || each.existing) continue;
        HD_CHECK(each.is_deployment ? add_nested(prepared, i, depth) : add_resource(prepared, i));
    }
    return ok_status();
}

/// What is in the group and not in the template.
Status Forecast::add_others(const templates::Scope& scope) {
    if (scope.resource_group.empty()) return ok_status();
    const std::string group = templates::scope_id(scope.subscription_id, scope.resource_group);
    const http::Response response =
        api_.send(who_, "GET", group + "/resources", std::string(kManagerVersion), "");
    const Json body = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
    if (response.status != 200 || !body.is_object()) return ok_status();
    for (const Json& each : body["value"]) {
        const std::string id = each.value("id", "");
        if (planned_.contains(to_lower(id))) continue;
        add_change(id, "Ignore", each, nullptr, Json::array());
    }
    return ok_status();
}

}  // namespace

Json property_changes(const Json& before, const Json& after) {
    Json out = Json::array();
    compare(before, after, "", out);
    return out;
}

Result<Json> what_if(InnerApi& api, const OnBehalf& who, const Prepared& prepared, bool ids_only,
                     const Clock& clock) {
    Forecast forecast(api, who, ids_only, clock);
    HD_CHECK(forecast.add(prepared, 0));
    HD_CHECK(forecast.add_others(prepared.parsed.scope()));
    return forecast.take();
}

}  // namespace howdah::api::deployments
