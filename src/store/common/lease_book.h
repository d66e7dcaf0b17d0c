#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "store/store.h"

namespace howdah::store {

/// The deadlines of all leases of one store. There is no thread: whoever looks at the store (a
/// get, a list, a commit, a waiting watch) first lets the backend remove what is due, so that
/// nobody can observe a key beyond its lease. Thread-safe; takes no other lock.
class LeaseBook {
  public:
    static constexpr Duration kTimeToLiveMax = std::chrono::hours(24);
    static constexpr std::size_t kLeasesMax = 10'000;

    explicit LeaseBook(const Clock& clock) : clock_(clock) {}

    /// invalid_argument for a time to live that is not positive or beyond kTimeToLiveMax;
    /// resource_exhausted beyond kLeasesMax.
    Status add(LeaseId lease, Duration time_to_live);
    /// not_found once the lease has ended, whether or not its keys are removed yet.
    Status keep_alive(LeaseId lease);
    bool is_alive(LeaseId lease) const;
    bool contains(LeaseId lease) const;
    void erase(LeaseId lease);

    /// Cheap: one atomic load when nothing is due.
    bool has_due() const;
    std::vector<LeaseId> due() const;
    /// How long a watch may sleep before the next lease can end; `longest` without leases.
    Duration until_next(Duration longest) const;

  private:
    struct Lease {
        Duration time_to_live{};
        Instant deadline{};
    };
    void refresh_earliest();

    const Clock& clock_;
    mutable std::mutex mutex_;
    std::map<LeaseId, Lease> leases_;  ///< guarded by mutex_
    std::atomic<Duration::rep> earliest_{Duration::max().count()};
};

/// invalid_argument for a time to live that is not positive or beyond LeaseBook::kTimeToLiveMax.
Status check_time_to_live(Duration time_to_live);
/// What keep_alive, put and revoke say about a lease that is not (any more).
Error no_such_lease(LeaseId lease);

}  // namespace howdah::store
