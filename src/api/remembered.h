#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "store/store.h"

namespace howdah::api {

/// What was read from the store and decoded, kept while the store stays as it is: decoding costs a
/// request more than everything else. Whatever changes in the store, the next request looks again,
/// so nobody is served what is gone. Bounded. Thread-safe; no lock is held while something is read.
template <typename Value>
class Remembered {
  public:
    static constexpr std::size_t kValuesMax = 512;
    using Shared = std::shared_ptr<const Value>;

    explicit Remembered(store::Store& store) : store_(store) {}

    /// `read(previous)` gives the Result<Shared>: it reads the store, and may return `previous`
    /// (nullptr the first time) if that is still the same. Errors are not remembered.
    template <typename Read>
    Result<Shared> get(std::string_view key, const Read& read) {
        // Asked before reading: what others change meanwhile makes this value an old one.
        HD_TRY(const store::Revision revision, store_.revision());
        Shared previous;
        {
            const std::lock_guard lock(mutex_);
            const auto found = values_.find(key);
            if (found != values_.end()) {
                if (found->second.revision == revision) return found->second.value;
                previous = found->second.value;
            }
        }
        HD_TRY(Shared value, read(previous));
        const std::lock_guard lock(mutex_);
        // Starting anew is simple, and costs each key one reading.
        if (values_.size() >= kValuesMax) values_.clear();
        values_.insert_or_assign(std::string(key), Kept{revision, value});
        return value;
    }

    std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return values_.size();
    }

  private:
    struct Kept {
        store::Revision revision = 0;
        Shared value;
    };
    store::Store& store_;
    mutable std::mutex mutex_;
    std::map<std::string, Kept, std::less<>> values_;  ///< guarded by mutex_
};

}  // namespace howdah::api
