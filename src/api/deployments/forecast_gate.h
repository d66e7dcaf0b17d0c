#pragma once

#include <condition_variable>
#include <mutex>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace howdah::api::deployments {

/// Lets few templates be validated or looked ahead at at the same time, since each holds a thread
/// of the API while it lasts (kForecastMax) and there are four of them. Thread-safe.
class ForecastGate {
  public:
    static constexpr std::size_t kRunningMax = 2;
    static constexpr std::size_t kOfOneCallerMax = 1;
    /// Waiting holds a thread too.
    static constexpr std::size_t kWaitingMax = 1;
    static constexpr Duration kWaitMax = std::chrono::milliseconds(500);

    /// The right to look ahead; gives it back when it dies.
    class Pass {
      public:
        Pass(ForecastGate& gate, std::string caller) : gate_(&gate), caller_(std::move(caller)) {}
        Pass(Pass&& other) noexcept
            : gate_(std::exchange(other.gate_, nullptr)), caller_(std::move(other.caller_)) {}
        Pass& operator=(Pass&&) = delete;
        ~Pass() {
            if (gate_ != nullptr) gate_->leave(caller_);
        }

      private:
        ForecastGate* gate_;
        std::string caller_;
    };

    /// `caller` is an object id. ErrorCode::too_many_requests beyond the bounds above.
    Result<Pass> enter(const std::string& caller);
    /// How many wait at the moment; for tests.
    std::size_t waiting() const;

  private:
    bool is_free(const std::string& caller) const {
        return running_.size() < kRunningMax && running_.count(caller) < kOfOneCallerMax;
    }
    void leave(const std::string& caller);

    mutable std::mutex mutex_;
    std::condition_variable freed_;
    std::multiset<std::string> running_;  ///< callers; guarded by mutex_
    std::size_t waiting_ = 0;             ///< guarded by mutex_
};

}  // namespace howdah::api::deployments
