#include "control/reconcile/work_queue.h"

#include <algorithm>
#include <chrono>

namespace howdah::control {
namespace {

constexpr Duration kSleepMax = std::chrono::seconds(1);

}  // namespace

void WorkQueue::add(const std::string& key) {
    const std::lock_guard lock(mutex_);
    add_locked(key);
}

void WorkQueue::add_locked(const std::string& key) {
    if (!waiting_.insert(key).second) return;
    if (working_.contains(key)) return;  // done() puts it into ready_
    ready_.push_back(key);
    changed_.notify_one();
}

void WorkQueue::add_after(const std::string& key, Duration pause) {
    const std::lock_guard lock(mutex_);
    if (pause <= Duration::zero()) return add_locked(key);
    const Instant due = clock_.now() + pause;
    const auto found = paused_.find(key);
    if (found != paused_.end()) {
        if (found->second <= due) return;
        by_time_.erase({found->second, key});
    }
    paused_[key] = due;
    by_time_.insert({due, key});
    changed_.notify_one();
}

void WorkQueue::release_due() {
    const Instant now = clock_.now();
    while (!by_time_.empty() && by_time_.begin()->first <= now) {
        const std::string key = by_time_.begin()->second;
        by_time_.erase(by_time_.begin());
        paused_.erase(key);
        add_locked(key);
    }
}

std::optional<std::string> WorkQueue::take_locked() {
    release_due();
    if (ready_.empty()) return std::nullopt;
    std::string key = std::move(ready_.front());
    ready_.pop_front();
    waiting_.erase(key);
    working_.insert(key);
    return key;
}

std::optional<std::string> WorkQueue::try_take() {
    const std::lock_guard lock(mutex_);
    return take_locked();
}

std::optional<std::string> WorkQueue::take(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        if (auto key = take_locked()) return key;
        Duration sleep = kSleepMax;
        if (!by_time_.empty()) sleep = std::min(sleep, by_time_.begin()->first - clock_.now());
        const bool had_ready = !ready_.empty();
        const auto paused = by_time_.size();
        changed_.wait_for(lock, stop, std::max(sleep, Duration(std::chrono::milliseconds(1))),
                          [&] { return ready_.empty() == had_ready || by_time_.size() != paused; });
    }
    return std::nullopt;
}

void WorkQueue::done(const std::string& key) {
    const std::lock_guard lock(mutex_);
    working_.erase(key);
    if (!waiting_.contains(key)) return;
    ready_.push_back(key);
    changed_.notify_one();
}

std::optional<Duration> WorkQueue::until_next() const {
    const std::lock_guard lock(mutex_);
    if (by_time_.empty()) return std::nullopt;
    return std::max(Duration::zero(), by_time_.begin()->first - clock_.now());
}

bool WorkQueue::is_idle() const {
    const std::lock_guard lock(mutex_);
    return ready_.empty() && working_.empty();
}

}  // namespace howdah::control
