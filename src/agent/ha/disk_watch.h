#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "base/clock.h"

namespace howdah::agent {

/// Whether the disks of an agent's members still take writes.
///
/// A write that hangs (a frozen file system, a dead device) cannot be broken off, and a PostgreSQL
/// that waits for the same disk cannot be ended: neither answers, and neither fails. What is left
/// is to let the agent's lease run out, so that a standby with another disk goes on. One block is
/// written past the page cache and without a sync, because a sync waits for what others have
/// written too. A write that fails is an answer. Thread-safe; forgetting a disk that hangs, and the
/// end of this object, wait for it.
class DiskWatch {
  public:
    static constexpr Duration kEvery = std::chrono::milliseconds(100);
    /// Longer than a busy disk takes for one block, and short enough that with the lease it makes
    /// less than three seconds.
    static constexpr Duration kHungAfter = std::chrono::milliseconds(1400);

    /// `write` is called over and over, in a thread for each folder; it may hang for ever.
    using Write = std::function<void(const std::string& folder)>;
    explicit DiskWatch(Write write = {});

    /// Repeatable.
    void watch(const std::string& folder);
    void forget(const std::string& folder);
    bool hangs() const;

  private:
    struct Disk {
        std::atomic<Instant> begun{};  ///< of the write under way; zero: none is
        std::jthread thread;
    };
    void run(std::stop_token stop, Disk& disk, const std::string& folder) const;

    const Write write_;
    mutable std::mutex mutex_;
    std::map<std::string, std::unique_ptr<Disk>> disks_;  ///< guarded by mutex_; by folder
};

}  // namespace howdah::agent
