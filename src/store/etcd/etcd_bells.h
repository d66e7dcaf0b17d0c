#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "base/clock.h"
#include "store/etcd/etcd_client.h"
#include "store/ha/ha_records.h"

namespace howdah::store {

/// The bells of one EtcdHaRecords: one watch on all records, in a thread of its own that begins
/// with the first bell, rings all of them; and when it begins, because something may have been
/// missed before. What changes while etcd is away rings when it is back. `client` and `clock` must
/// outlive it; bells may outlive it, silent. Thread-safe.
class EtcdBells {
  public:
    static constexpr Duration kPause = std::chrono::milliseconds(200);

    /// `records` is what the keys of all records begin with.
    EtcdBells(EtcdClient& client, const Clock& clock, std::string records)
        : client_(client), clock_(clock), records_(std::move(records)) {}
    ~EtcdBells();

    /// None if the system has no more descriptors.
    std::unique_ptr<HaRecords::Bell> make();

    struct Ringers;  ///< private

  private:
    void run(const std::stop_token& stop);
    Status listen(const std::stop_token& stop);

    EtcdClient& client_;
    const Clock& clock_;
    const std::string records_;
    std::atomic<int> open_watches_{0};
    std::mutex mutex_;
    std::shared_ptr<Ringers> ringers_;  ///< guarded by mutex_; set once
    std::jthread thread_;               ///< guarded by mutex_
};

}  // namespace howdah::store
