#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace howdah::api {

/// Counts wrong secrets per client and address, so that guessing is slow. Bounded: when the table
/// is full the oldest entry goes. Thread-safe.
class FailureLimit {
  public:
    static constexpr int kFailuresMax = 10;  ///< within kWindow
    static constexpr Duration kWindow = std::chrono::minutes(1);
    static constexpr std::size_t kEntriesMax = 4096;

    explicit FailureLimit(const Clock& clock) : clock_(clock) {}

    /// How long the client has to wait; zero: it may try.
    Duration wait(std::string_view client);
    void record_failure(std::string_view client);
    void record_success(std::string_view client);
    std::size_t size() const;

  private:
    struct Entry {
        int failures = 0;
        Instant begin{};
    };
    const Clock& clock_;
    mutable std::mutex mutex_;
    std::map<std::string, Entry, std::less<>> entries_;  ///< guarded by mutex_
};

}  // namespace howdah::api
