#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"

namespace howdah::store {

/// What a backend offers to its watches.
class HistorySource {
  public:
    virtual ~HistorySource() = default;
    struct Batch {
        std::vector<Event> events;
        bool more = false;  ///< cut at kWatchEventsMax or kWatchBytesMax, at a revision's end
    };
    /// Events below `prefix` with after < revision <= through, in order; history_gone if a part of
    /// that history is gone.
    virtual Result<Batch> history(std::string_view prefix, Revision after, Revision through) = 0;
    /// Removes what ended leases hold. Called without any lock of the hub.
    virtual Status remove_due() = 0;
    /// How long a watch may sleep before it has to call remove_due() again.
    virtual Duration until_due(Duration longest) const = 0;
};

/// Wakes the watches of one store. A watch keeps no events, only its position: it reads the
/// backend's history when it is told that something below its prefix changed. So a slow reader
/// costs no memory; what it missed beyond the kept history shows as history_gone. Thread-safe.
///
/// Lock order: the backend's locks, then the hub's. history() is called without the hub's lock.
class WatchHub {
  public:
    static constexpr std::size_t kWatchesMax = 1000;

    WatchHub(HistorySource& source, Revision latest) : source_(source), latest_(latest) {}

    /// resource_exhausted beyond kWatchesMax.
    Result<std::unique_ptr<Watch>> watch(std::string_view prefix, Revision after);
    /// REQUIRES: called in the order of revisions, after the change can be read.
    void publish(Revision revision, const std::vector<std::string_view>& keys);

  private:
    class HubWatch;

    HistorySource& source_;
    std::mutex mutex_;
    Revision latest_;              ///< guarded by mutex_
    std::set<HubWatch*> watches_;  ///< guarded by mutex_; a watch takes itself out when it dies
};

}  // namespace howdah::store
