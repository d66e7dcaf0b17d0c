#include "api/template_support.h"

#include <gtest/gtest.h>

#include "base/clock.h"

namespace howdah::api::templates::testing {

Json json_of(std::string_view text) { return Json::parse(text); }

Scope scope() {
    Scope out;
    out.subscription_id = kSubscription;
    out.subscription_name = "Howdah Local";
    out.tenant_id = "11111111-1111-1111-1111-111111111111";
    out.resource_group = "rg1";
    out.resource_group_location = "eastus";
    out.deployment_name = "d1";
    out.now = parse_iso8601("2026-11-21T03:45:43.123Z").value();
    out.seed = "6f1c1d5a-0000-4000-8000-000000000001";
    return out;
}

Json template_with(const Json& members) {
    Json out{{"$schema",
              "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"},
             {"contentVersion", "1.0.0.0"},
             {"resources", Json::array()}};
    out.update(members);
    return out;
}

Json server(const std::string& name, const Json& more) {
    Json out{{"type", kServers}, {"apiVersion", "2025-08-01"}, {"name", name}};
    out.update(more);
    return out;
}

Json value_of(const std::string& expression, const Json& members) {
    Json all = members;
    all["resources"] = Json::array();
    all["resources"].push_back(server("pg1", {{"properties", {{"v", "[" + expression + "]"}}}}));
    const auto parsed = parse_template(template_with(all), nullptr, scope());
    if (!parsed.ok()) return {{"error", parsed.error().message}};
    const auto planned = plan(*parsed);
    if (!planned.ok()) return {{"error", planned.error().message}};
    return planned->resources.at(0).body["properties"]["v"];
}

std::string error_of(const std::string& expression, const Json& members) {
    const Json out = value_of(expression, members);
    return out.is_object() && out.contains("error") ? out["error"].get<std::string>() : "";
}

Plan plan_of(const Json& source, const Json& parameters) {
    const auto parsed = parse_template(source, parameters, scope());
    EXPECT_TRUE(parsed.ok()) << parsed.error().describe();
    if (!parsed.ok()) return {};
    auto planned = plan(*parsed);
    EXPECT_TRUE(planned.ok()) << planned.error().describe();
    return planned.ok() ? *planned : Plan{};
}

std::string refusal_of(const Json& source, const Json& parameters) {
    const auto parsed = parse_template(source, parameters, scope());
    if (!parsed.ok()) return parsed.error().message;
    const auto planned = plan(*parsed);
    return planned.ok() ? "" : planned.error().message;
}

}  // namespace howdah::api::templates::testing
