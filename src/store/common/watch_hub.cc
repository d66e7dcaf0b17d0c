#include "store/common/watch_hub.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "store/common/limits.h"

namespace howdah::store {
namespace {

/// Leases are looked at this often at least while a watch sleeps.
constexpr Duration kSleepMax = std::chrono::milliseconds(500);

}  // namespace

class WatchHub::HubWatch final : public Watch {
  public:
    HubWatch(WatchHub& hub, std::string prefix, Revision after)
        : hub_(hub), prefix_(std::move(prefix)), cursor_(after) {}
    ~HubWatch() override {
        const std::lock_guard lock(hub_.mutex_);
        hub_.watches_.erase(this);
    }

    Result<std::vector<Event>> next(Duration timeout) override;
    void stop() override {
        const std::lock_guard lock(hub_.mutex_);
        stopped_ = true;
        wake_.notify_all();
    }

    /// REQUIRES: the hub's lock.
    void offer(Revision revision, const std::vector<std::string_view>& keys) {
        if (dirty_ || revision <= cursor_) return;
        dirty_ = std::any_of(keys.begin(), keys.end(),
                             [&](std::string_view key) { return key.starts_with(prefix_); });
        // What is not below the prefix need not be read, so an idle watch never falls behind.
        if (!reading_) cursor_ = dirty_ ? revision - 1 : revision;
        if (dirty_) wake_.notify_all();
    }

  private:
    WatchHub& hub_;
    const std::string prefix_;
    std::condition_variable wake_;
    // Guarded by the hub's mutex.
    Revision cursor_;    ///< everything up to here was returned, or is not below the prefix
    bool dirty_ = true;  ///< something below the prefix may have happened after the cursor
    bool reading_ = false;
    bool stopped_ = false;
};

Result<std::vector<Event>> WatchHub::HubWatch::next(Duration timeout) {
    using Steady = std::chrono::steady_clock;
    const auto give_up = Steady::now() + std::min<Duration>(timeout, std::chrono::hours(24));
    for (;;) {
        HD_CHECK(hub_.source_.remove_due());
        std::unique_lock lock(hub_.mutex_);
        if (stopped_) return std::vector<Event>{};
        if (!dirty_) {
            const auto sleep = hub_.source_.until_due(kSleepMax);
            const auto until = std::min(
                give_up, Steady::now() + std::chrono::duration_cast<Steady::duration>(sleep));
            wake_.wait_until(lock, until, [&] { return dirty_ || stopped_; });
        }
        if (stopped_ || (!dirty_ && Steady::now() >= give_up)) return std::vector<Event>{};
        if (!dirty_) continue;

        const Revision after = cursor_;
        const Revision through = hub_.latest_;
        dirty_ = false;
        reading_ = true;
        lock.unlock();
        auto batch = hub_.source_.history(prefix_, after, through);
        lock.lock();
        reading_ = false;
        if (!batch.ok()) {
            dirty_ = true;
            return batch.error();
        }
        if (batch->more) {
            cursor_ = batch->events.back().revision;
            dirty_ = true;
        } else {
            cursor_ = std::max(cursor_, through);
        }
        if (!batch->events.empty()) return std::move(batch->events);
    }
}

Result<std::unique_ptr<Watch>> WatchHub::watch(std::string_view prefix, Revision after) {
    HD_CHECK(check_list(prefix, {}));
    auto watch = std::make_unique<HubWatch>(*this, std::string(prefix), after);
    const std::lock_guard lock(mutex_);
    if (watches_.size() >= kWatchesMax) {
        return Error{ErrorCode::resource_exhausted,
                     fmt::format("there are {} watches already", watches_.size())};
    }
    watches_.insert(watch.get());
    return std::unique_ptr<Watch>(std::move(watch));
}

void WatchHub::publish(Revision revision, const std::vector<std::string_view>& keys) {
    const std::lock_guard lock(mutex_);
    latest_ = std::max(latest_, revision);
    for (HubWatch* each : watches_) each->offer(revision, keys);
}

}  // namespace howdah::store
