#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "api/remembered.h"
#include "base/clock.h"
#include "base/result.h"
#include "core/access/access.h"
#include "store/store.h"

namespace howdah::api {

/// Lets one change of a resource pass at a time, so that concurrent changes queue instead of
/// racing for the same revision. What protects against lost updates is still the store's
/// compare-and-swap. A thread that has a pass gets another one for the same key at once.
/// Thread-safe; no lock is held while a pass is out.
class Turnstile {
  public:
    static constexpr Duration kWaitMax = std::chrono::seconds(20);

    /// The right to change one resource; gives it back when it dies, in the thread that got it.
    class Pass {
      public:
        Pass(Turnstile& turnstile, std::string key)
            : turnstile_(&turnstile), key_(std::move(key)) {}
        Pass(Pass&& other) noexcept
            : turnstile_(std::exchange(other.turnstile_, nullptr)), key_(std::move(other.key_)) {}
        Pass& operator=(Pass&&) = delete;
        ~Pass() {
            if (turnstile_ != nullptr) turnstile_->leave(key_);
        }

      private:
        Turnstile* turnstile_;
        std::string key_;
    };

    /// ErrorCode::unavailable if others held it for longer than kWaitMax.
    Result<Pass> enter(std::string_view key);

  private:
    void leave(const std::string& key);

    struct Holder {
        std::thread::id thread;
        int passes = 0;
    };

    std::mutex mutex_;
    std::condition_variable freed_;
    std::map<std::string, Holder, std::less<>> busy_;  ///< guarded by mutex_
};

namespace postgres {
class OfferCache;
struct ServerRecord;
}  // namespace postgres
namespace deployments {
class ForecastGate;
}
class InnerApi;

/// What nearly every request reads.
struct Known {
    explicit Known(store::Store& store) : subscriptions(store), access(store), servers(store) {}

    Remembered<bool> subscriptions;              ///< whether there is one, by its key
    Remembered<core::access::Access> access;     ///< by object id
    Remembered<postgres::ServerRecord> servers;  ///< by key
};

/// What requests share. Thread-safe.
struct Services {
    Turnstile& turnstile;
    Known& known;
    postgres::OfferCache& offers;
    InnerApi& inner;
    deployments::ForecastGate& forecasts;
};

}  // namespace howdah::api
