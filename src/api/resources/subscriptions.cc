#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/paging.h"
#include "api/resources/handlers.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api::resources {
namespace {

Json subscription_json(const model::Subscription& subscription) {
    return {{"id", "/subscriptions/" + subscription.id},
            {"authorizationSource", "RoleBased"},
            {"managedByTenants", Json::array()},
            {"subscriptionId", subscription.id},
            {"tenantId", subscription.tenant_id},
            {"displayName", subscription.display_name},
            {"state", "Enabled"},
            {"subscriptionPolicies",
             {{"locationPlacementId", "Public_2014-09-01"},
              {"quotaId", "PayAsYouGo_2014-09-01"},
              {"spendingLimit", "Off"}}}};
}

}  // namespace

Answer list_tenants(Call& call) {
    const std::string& tenant = call.context.tenant_id;
    const Json value = {{"id", "/tenants/" + tenant},
                        {"tenantId", tenant},
                        {"displayName", "Howdah"},
                        {"tenantCategory", "Home"}};
    return json_answer(200, list_body(Json::array({value})));
}

Answer list_subscriptions(Call& call) {
    const core::access::Access& access = call.access;
    HD_TRY(const Page page, read_page(call, store::keys::subscription("")));
    Json values = Json::array();
    for (const store::Entry& entry : page.entries) {
        HD_TRY(const auto each, model::from_json<model::Subscription>(entry.value));
        if (access.touches("/subscriptions/" + each.id)) values.push_back(subscription_json(each));
    }
    Json body = list_body(std::move(values), page.next_link);
    body["count"] = {{"type", "Total"}, {"value", body["value"].size()}};
    return json_answer(200, body);
}

Answer get_subscription(Call& call) {
    HD_TRY(const auto entry,
           call.context.store.get(store::keys::subscription(call.subscription())));
    if (!entry)
        return Error{ErrorCode::subscription_not_found,
                     fmt::format("the subscription '{}' could not be found", call.subscription())};
    HD_TRY(const auto subscription, model::from_json<model::Subscription>(entry->value));
    return json_answer(200, subscription_json(subscription));
}

Answer list_locations(Call& call) {
    const ApiContext& context = call.context;
    const std::string id =
        fmt::format("/subscriptions/{}/locations/{}", call.subscription(), context.location);
    const Json metadata = {{"regionType", "Physical"},
                           {"regionCategory", "Recommended"},
                           {"geographyGroup", "Howdah"},
                           {"longitude", "0"},
                           {"latitude", "0"},
                           {"physicalLocation", ""},
                           {"pairedRegion", Json::array()}};
    const Json value = {{"id", id},
                        {"name", context.location},
                        {"type", "Region"},
                        {"displayName", context.location_display_name},
                        {"regionalDisplayName", context.location_display_name},
                        {"metadata", metadata}};
    return json_answer(200, list_body(Json::array({value})));
}

}  // namespace howdah::api::resources
