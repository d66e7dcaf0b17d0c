#include "api/postgres/offer.h"

#include <algorithm>
#include <map>

#include "base/text.h"
#include "core/placement/placement.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api::postgres {
namespace {

constexpr std::int64_t kMajorMax = 999;

std::int64_t number_of(const std::string& major) {
    return parse_integer(major, 0, kMajorMax).value_or(0);
}

bool holds(const model::HostReport& host, const core::SkuInfo& sku) {
    return sku.vcores <= host.cpus && sku.memory_mb <= host.memory_mb;
}

}  // namespace

std::vector<std::string> Offer::majors() const {
    std::vector<std::string> all;
    for (const model::HostReport& host : hosts)
        for (const model::Engine& engine : host.engines) all.push_back(engine.major);
    std::sort(all.begin(), all.end(), [](const std::string& a, const std::string& b) {
        return number_of(a) < number_of(b);
    });
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

std::vector<std::string> Offer::zones() const {
    std::vector<std::string> all;
    for (const model::HostReport& host : hosts) all.push_back(core::zone_of(host));
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

std::vector<std::string> Offer::high_availability_modes(std::string_view zone) const {
    std::map<std::string, int> machines;
    for (const model::HostReport& host : hosts)
        if (!host.engines.empty()) ++machines[core::zone_of(host)];
    bool is_same_zone = false;
    bool is_zone_redundant = false;
    for (const auto& each : machines) {
        if (!zone.empty() && each.first != zone) continue;
        is_same_zone = is_same_zone || each.second > 1;
        is_zone_redundant = is_zone_redundant || machines.size() > 1;
    }
    std::vector<std::string> modes;
    if (is_same_zone) modes.emplace_back("SameZone");
    if (is_zone_redundant) modes.emplace_back("ZoneRedundant");
    return modes;
}

bool Offer::fits(const core::SkuInfo& sku) const {
    const core::SkuInfo* smallest = nullptr;
    for (const core::SkuInfo& each : core::all_skus())
        if (smallest == nullptr || each.memory_mb < smallest->memory_mb) smallest = &each;
    if (smallest != nullptr && smallest->name == sku.name) return !hosts.empty();
    return std::any_of(hosts.begin(), hosts.end(),
                       [&](const model::HostReport& host) { return holds(host, sku); });
}

std::vector<core::SkuInfo> Offer::skus() const {
    std::vector<core::SkuInfo> all;
    for (const core::SkuInfo& each : core::all_skus())
        if (fits(each)) all.push_back(each);
    return all;
}

std::vector<core::StorageSize> Offer::storage_sizes() const {
    std::int64_t largest = 0;
    for (const model::HostReport& host : hosts) largest = std::max(largest, host.disk_gb);
    std::vector<core::StorageSize> all;
    for (const core::StorageSize& each : core::all_storage_sizes())
        if (all.empty() || each.size_gb <= largest) all.push_back(each);
    return all;
}

const model::HostReport* Offer::host(std::string_view id) const {
    for (const model::HostReport& each : hosts)
        if (each.host == id) return &each;
    return nullptr;
}

const model::Engine* Offer::engine(std::string_view major, std::string_view host_id) const {
    const model::Engine* found = nullptr;
    for (const model::HostReport& each : hosts) {
        for (const model::Engine& engine : each.engines) {
            if (engine.major != major) continue;
            if (each.host == host_id) return &engine;
            if (found == nullptr) found = &engine;
        }
    }
    return found;
}

Result<std::shared_ptr<const Offer>> OfferCache::recent() {
    {
        const std::lock_guard lock(mutex_);
        if (offer_ != nullptr && clock_.now() < read_at_ + kRecent) return offer_;
    }
    return current();
}

Result<std::shared_ptr<const Offer>> OfferCache::current() {
    const Instant now = clock_.now();
    HD_TRY(const auto entries, store_.list(store::keys::host("")));
    Versions versions;
    for (const store::Entry& entry : entries) versions.emplace_back(entry.key, entry.modified);
    {
        const std::lock_guard lock(mutex_);
        if (offer_ != nullptr && versions == versions_) {
            read_at_ = now;
            return offer_;
        }
    }
    auto offer = std::make_shared<Offer>();
    for (const store::Entry& entry : entries) {
        HD_TRY(model::HostReport report, model::from_json<model::HostReport>(entry.value));
        offer->hosts.push_back(std::move(report));
    }
    const std::lock_guard lock(mutex_);
    offer_ = std::move(offer);
    versions_ = std::move(versions);
    read_at_ = now;
    return offer_;
}

}  // namespace howdah::api::postgres
