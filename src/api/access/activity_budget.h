#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace howdah::api {

/// How many lines of the activity log each principal may cause, so that nobody pushes out the
/// lines of others: two buckets for each, that fill again with time. Bounded: when the table is
/// full of principals whose buckets are not, all others share one entry. Thread-safe.
class ActivityBudget {
  public:
    struct Bucket {
        double most;        ///< at once
        double per_second;  ///< after that
    };
    /// What is allowed: far more than people and pipelines do.
    static constexpr Bucket kChanges{5'000, 5};
    /// What is refused for want of a role: enough to see that it is tried.
    static constexpr Bucket kRefusals{60, 1.0 / 60};
    static constexpr std::size_t kPrincipalsMax = 4096;

    explicit ActivityBudget(const Clock& clock) : clock_(clock) {}

    /// False: the change has to wait.
    bool take_change(std::string_view principal);
    /// False: the refusal is not worth another line.
    bool take_refusal(std::string_view principal);
    std::size_t size() const;

  private:
    struct Entry {
        double changes = kChanges.most;
        double refusals = kRefusals.most;
        Instant filled{};
    };
    static void fill(Entry& entry, Instant now);
    Entry& entry_of(std::string_view principal);

    const Clock& clock_;
    mutable std::mutex mutex_;
    std::map<std::string, Entry, std::less<>> entries_;  ///< guarded by mutex_
};

}  // namespace howdah::api
