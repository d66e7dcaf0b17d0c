#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/paging.h"
#include "api/postgres/handlers.h"
#include "api/postgres/offer.h"
#include "api/postgres/server_rules.h"
#include "api/postgres/view.h"

// What can be created here, by the reports of the machines, in the two shapes that clients know:
// 2022-12-01 nests versions and compute sizes, and speaks in truth values; later versions have
// them side by side, and say "Enabled" or "Disabled".

namespace howdah::api::postgres {
namespace {

constexpr std::int64_t kMebibytesPerGibibyte = 1024;
constexpr std::string_view kDiskEdition = "ManagedDisk";

/// Performance tiers that a size can be given: its own and the higher ones.
template <typename Each>
void for_each_tier(const core::StorageSize& size, const Each& each) {
    bool reached = false;
    std::string_view last;
    const bool large = size.size_gb >= 8192;
    for (const core::StorageSize& other : core::all_storage_sizes()) {
        reached = reached || other.tier == size.tier;
        const bool other_large = other.size_gb >= 8192;
        if (!reached || other.tier == last || other_large != large) continue;
        last = other.tier;
        each(other);
    }
}

bool is_zone_redundant(const Offer& offer, std::string_view zone = {}) {
    const std::vector<std::string> modes = offer.high_availability_modes(zone);
    return std::find(modes.begin(), modes.end(), "ZoneRedundant") != modes.end();
}

Json storage_edition(const Offer& offer) {
    Json sizes = Json::array();
    for (const core::StorageSize& size : offer.storage_sizes()) {
        Json tiers = Json::array();
        for_each_tier(size, [&](const core::StorageSize& tier) {
            tiers.push_back({{"name", tier.tier}, {"iops", tier.iops}});
        });
        sizes.push_back({{"supportedIops", size.iops},
                         {"storageSizeMb", size.size_gb * kMebibytesPerGibibyte},
                         {"defaultIopsTier", size.tier},
                         {"supportedIopsTiers", tiers}});
    }
    const std::int64_t smallest = offer.storage_sizes().front().size_gb;
    return {{"name", kDiskEdition},
            {"defaultStorageSizeMb", smallest * kMebibytesPerGibibyte},
            {"supportedStorageMb", sizes}};
}

Json editions(const Offer& offer) {
    Json all = Json::array();
    for (const std::string_view tier : kTiers) {
        Json skus = Json::array();
        Json modes = Json::array();
        if (tier != "Burstable") modes = Json(offer.high_availability_modes());
        for (const core::SkuInfo& sku : offer.skus()) {
            if (sku.tier != tier) continue;
            skus.push_back({{"name", sku.name},
                            {"vCores", sku.vcores},
                            {"supportedIops", sku.iops},
                            {"supportedMemoryPerVcoreMb", sku.memory_mb / sku.vcores},
                            {"supportedZones", Json(offer.zones())},
                            {"supportedHaMode", modes},
                            {"supportedFeatures", Json::array()}});
        }
        if (skus.empty()) continue;
        all.push_back({{"name", tier},
                       {"defaultSkuName", skus.front()["name"]},
                       {"supportedStorageEditions", Json::array({storage_edition(offer)})},
                       {"supportedServerSkus", skus}});
    }
    return all;
}

Json feature(std::string_view name, bool enabled) {
    return {{"name", name}, {"status", enabled ? "Enabled" : "Disabled"}};
}

Json capability(const Offer& offer) {
    Json versions = Json::array();
    for (const std::string& major : offer.majors())
        versions.push_back({{"name", major},
                            {"supportedVersionsToUpgrade", Json::array()},
                            {"supportedFeatures", Json::array()}});
    const Json features = Json::array(
        {feature("FastProvisioning", false), feature("ZoneRedundantHa", is_zone_redundant(offer)),
         feature("GeoBackup", false), feature("ZoneRedundantHaAndGeoBackup", false),
         feature("StorageAutoGrowth", false), feature("OnlineResize", true),
         feature("OfferRestricted", false), feature("IndexTuning", false),
         feature("Clusters", false)});
    return {{"name", "FlexibleServerCapabilities"},
            {"supportedServerEditions", editions(offer)},
            {"supportedServerVersions", versions},
            {"supportedFastProvisioningEditions", Json::array()},
            {"supportedFeatures", features},
            {"fastProvisioningSupported", "Disabled"},
            {"geoBackupSupported", "Disabled"},
            {"zoneRedundantHaSupported", is_zone_redundant(offer) ? "Enabled" : "Disabled"},
            {"zoneRedundantHaAndGeoBackupSupported", "Disabled"},
            {"storageAutoGrowthSupported", "Disabled"},
            {"onlineResizeSupported", "Enabled"},
            {"restricted", "Disabled"}};
}

Json old_storage_edition(const Offer& offer) {
    Json sizes = Json::array();
    for (const core::StorageSize& size : offer.storage_sizes()) {
        Json tiers = Json::array();
        for_each_tier(size, [&](const core::StorageSize& tier) {
            tiers.push_back({{"name", tier.tier},
                             {"tierName", tier.tier},
                             {"iops", tier.iops},
                             {"isBaseline", tier.tier == size.tier},
                             {"status", "Available"}});
        });
        sizes.push_back({{"name", fmt::format("{} GB", size.size_gb)},
                         {"supportedIops", size.iops},
                         {"storageSizeMB", size.size_gb * kMebibytesPerGibibyte},
                         {"supportedUpgradableTierList", tiers},
                         {"status", "Available"}});
    }
    return {{"name", kDiskEdition}, {"supportedStorageMB", sizes}, {"status", "Available"}};
}

Json old_capability(const Offer& offer, const std::string& zone) {
    Json all = Json::array();
    for (const std::string_view tier : kTiers) {
        Json vcores = Json::array();
        for (const core::SkuInfo& sku : offer.skus()) {
            if (sku.tier != tier) continue;
            vcores.push_back({{"name", sku.name},
                              {"vCores", sku.vcores},
                              {"supportedIops", sku.iops},
                              {"supportedMemoryPerVcoreMB", sku.memory_mb / sku.vcores},
                              {"status", "Available"}});
        }
        if (vcores.empty()) continue;
        Json versions = Json::array();
        for (const std::string& major : offer.majors())
            versions.push_back({{"name", major},
                                {"supportedVersionsToUpgrade", Json::array()},
                                {"supportedVcores", vcores},
                                {"status", "Available"}});
        all.push_back({{"name", tier},
                       {"supportedStorageEditions", Json::array({old_storage_edition(offer)})},
                       {"supportedServerVersions", versions},
                       {"status", "Available"}});
    }
    return {{"zone", zone},
            {"supportedHAMode", Json(offer.high_availability_modes(zone))},
            {"geoBackupSupported", false},
            {"zoneRedundantHaSupported", is_zone_redundant(offer, zone)},
            {"zoneRedundantHaAndGeoBackupSupported", false},
            {"supportedFlexibleServerEditions", all},
            {"supportedHyperscaleNodeEditions", Json::array()},
            {"fastProvisioningSupported", false},
            {"supportedFastProvisioningEditions", Json::array()},
            {"status", "Available"}};
}

Answer answer(Call& call) {
    HD_TRY(const auto offer, call.services.offers.current());
    Json values = Json::array();
    if (!offer->is_empty()) {
        if (call.shape == Shape::v2022_12_01) {
            for (const std::string& zone : offer->zones())
                values.push_back(old_capability(*offer, zone));
        } else {
            values.push_back(capability(*offer));
        }
    }
    return json_answer(200, list_body(std::move(values)));
}

}  // namespace

Answer list_capabilities_by_location(Call& call) {
    HD_CHECK(check_location(call.context, call.parameter("locationName"),
                            "Microsoft.DBforPostgreSQL/locations/capabilities"));
    return answer(call);
}

Answer list_capabilities_by_server(Call& call) {
    HD_CHECK(load_server(call, server_id(call)));
    return answer(call);
}

}  // namespace howdah::api::postgres
