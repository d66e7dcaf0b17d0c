#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "core/placement/placement.h"
#include "store/store.h"

namespace howdah::control {

using HostList = std::vector<core::HostView>;

/// All hosts as decisions need them, read from the store once and again after invalidate():
/// a host's record is large (every parameter of every engine). Thread-safe.
class HostCache {
  public:
    explicit HostCache(store::Store& store) : store_(store) {}
    Result<std::shared_ptr<const HostList>> hosts();
    void invalidate();

  private:
    Result<HostList> read() const;

    store::Store& store_;
    std::mutex mutex_;
    std::shared_ptr<const HostList> hosts_;  ///< guarded by mutex_; null: to be read
    std::uint64_t invalidations_ = 0;        ///< guarded by mutex_
};

}  // namespace howdah::control
