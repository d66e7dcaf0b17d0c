#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "store/ha/ha_records.h"

namespace howdah::agent {

/// Renews the one lease of an agent (RULES HA 16). Run run() in a thread of its own, so that
/// nothing that is done to a server delays it. Thread-safe.
class LeaseKeeper {
  public:
    /// How long a renewal lasts, by the clock of who sent it.
    static constexpr Duration kLease = std::chrono::milliseconds(1000);
    /// How long a rival's counter must stand still before it counts as silent: longer, because
    /// clocks differ (2 % at most) and it is seen later than it moves.
    static constexpr Duration kRivalWait = std::chrono::milliseconds(1150);
    static constexpr Duration kRenewEvery = std::chrono::milliseconds(150);

    /// All borrowed. `may_renew`: what says no lets the lease run out; none: nothing does.
    LeaseKeeper(store::HaRecords& records, std::string node, const Clock& clock,
                std::function<bool()> may_renew = {})
        : records_(records),
          node_(std::move(node)),
          clock_(clock),
          may_renew_(std::move(may_renew)) {}

    void run(std::stop_token stop);
    /// When the newest renewal that has reached the records was sent. It is a lease only for a
    /// server whose record is read after this call and is still the agent's.
    std::optional<Instant> renewed() const;
    const std::string& node() const { return node_; }

  private:
    store::HaRecords& records_;
    const std::string node_;
    const Clock& clock_;
    const std::function<bool()> may_renew_;
    mutable std::mutex mutex_;
    std::optional<Instant> renewed_;  ///< guarded by mutex_
};

}  // namespace howdah::agent
