#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/paging.h"
#include "api/postgres/handlers.h"
#include "api/postgres/offer.h"
#include "api/postgres/server_rules.h"
#include "core/sizing/sku.h"
#include "model/json.h"
#include "store/keys.h"

// What belongs to a location: how much of its machines is given away, and its names.

namespace howdah::api::postgres {
namespace {

struct Used {
    std::int64_t cores = 0;
    std::int64_t storage_gb = 0;
};

/// Of one subscription; a stopped server keeps its place.
Result<Used> used_by(const Call& call) {
    Used used;
    store::ListOptions options;
    options.limit = store::kListMax;
    for (;;) {
        HD_TRY(const auto entries,
               call.context.store.list(store::keys::servers_in(call.subscription()), options));
        for (const store::Entry& entry : entries) {
            HD_TRY(const auto spec, model::from_json<model::ServerSpec>(entry.value));
            const auto sku = core::find_sku(spec.sku.name);
            used.cores += sku ? sku->vcores : 0;
            used.storage_gb += spec.storage.size_gb;
        }
        if (entries.size() < options.limit) return used;
        options.after = entries.back().key;
    }
}

Json usage_json(const Call& call, std::string_view name, std::string_view shown,
                std::string_view unit, std::int64_t current, std::int64_t limit) {
    return {{"id", fmt::format("/subscriptions/{}/providers/{}/locations/{}/resourceType/"
                               "flexibleServers/usages/{}",
                               call.subscription(), model::kPostgresNamespace,
                               call.context.location, name)},
            {"name", {{"value", name}, {"localizedValue", shown}}},
            {"unit", unit},
            {"currentValue", current},
            {"limit", limit}};
}

}  // namespace

/// The limits are what the machines have. They bound one server; several together may have more,
/// and then share it.
Answer list_quota_usages(Call& call) {
    HD_CHECK(check_location(call.context, call.parameter("locationName"),
                            "Microsoft.DBforPostgreSQL/locations"));
    HD_TRY(const auto offer, call.services.offers.current());
    HD_TRY(const Used used, used_by(call));
    std::int64_t cores = 0;
    std::int64_t disk_gb = 0;
    for (const model::HostReport& host : offer->hosts) {
        cores += host.cpus;
        disk_gb += host.disk_gb;
    }
    return json_answer(
        200, list_body(Json::array(
                 {usage_json(call, "cores", "vCores of all servers", "Count", used.cores, cores),
                  usage_json(call, "storage", "Storage of all servers in GiB", "Count",
                             used.storage_gb, disk_gb)})));
}

Answer get_private_dns_zone_suffix(Call& call) {
    return json_answer(200, Json("private." + call.context.dns_suffix));
}

}  // namespace howdah::api::postgres
