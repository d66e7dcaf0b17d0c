#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "core/sizing/sku.h"
#include "model/records.h"
#include "store/store.h"

namespace howdah::api::postgres {

/// What the machines of this location can run, by their reports. Immutable.
struct Offer {
    std::vector<model::HostReport> hosts;

    bool is_empty() const { return hosts.empty(); }
    /// Majors, oldest first: {"15", "17"}.
    std::vector<std::string> majors() const;
    std::vector<std::string> zones() const;
    /// SameZone, ZoneRedundant: what machines with an engine allow for a server in this zone;
    /// empty zone: in some zone.
    std::vector<std::string> high_availability_modes(std::string_view zone = {}) const;
    /// Compute sizes that some machine has the processors and memory for; at least the smallest
    /// one, so that a small machine can be tried.
    std::vector<core::SkuInfo> skus() const;
    bool fits(const core::SkuInfo& sku) const;
    /// Storage sizes that some machine's disk holds; at least the smallest one.
    std::vector<core::StorageSize> storage_sizes() const;
    /// The engine of a major, of the named host if it has it; nullptr if nobody has it.
    const model::Engine* engine(std::string_view major, std::string_view host) const;
    const model::HostReport* host(std::string_view id) const;
};

inline constexpr std::string_view kTiers[] = {"Burstable", "GeneralPurpose", "MemoryOptimized"};

/// Reads the host reports from the store and keeps them decoded until one changes. Thread-safe.
class OfferCache {
  public:
    static constexpr Duration kRecent = std::chrono::seconds(1);

    OfferCache(store::Store& store, const Clock& clock) : store_(store), clock_(clock) {}
    /// As the store has it now: for decisions.
    Result<std::shared_ptr<const Offer>> current();
    /// At most kRecent old: for showing. Reports are large, and reads of servers are many.
    Result<std::shared_ptr<const Offer>> recent();

  private:
    using Versions = std::vector<std::pair<std::string, store::Revision>>;
    store::Store& store_;
    const Clock& clock_;
    std::mutex mutex_;
    std::shared_ptr<const Offer> offer_;  ///< guarded by mutex_
    Versions versions_;                   ///< guarded by mutex_
    Instant read_at_{};                   ///< guarded by mutex_
};

}  // namespace howdah::api::postgres
