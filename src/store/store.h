#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace howdah::store {

/// The position of the store in its own history: every transaction that changes something has the
/// next one. 0 is before the first.
using Revision = std::int64_t;

struct Entry {
    std::string key;
    std::string value;
    Revision created = 0;   ///< revision at which the key came to be
    Revision modified = 0;  ///< revision of its last change
};

struct ListOptions {
    std::string after;         ///< only keys greater than this; for paging
    std::size_t limit = 1000;  ///< at most kListMax
};

using LeaseId = std::int64_t;
inline constexpr LeaseId kNoLease = 0;

/// A transaction: all conditions hold, and then all changes happen at one revision; else nothing.
/// A key may be changed once per transaction.
class Transaction {
  public:
    struct Condition {
        std::string key;
        Revision modified = 0;  ///< the key's `modified`; 0: the key must not exist
    };
    struct Change {
        std::string key;
        std::optional<std::string> value;  ///< none: delete
        LeaseId lease = kNoLease;          ///< the key goes when the lease ends
    };

    Transaction& expect(std::string key, Revision modified);
    Transaction& expect_absent(std::string key) { return expect(std::move(key), 0); }
    Transaction& put(std::string key, std::string value, LeaseId lease = kNoLease);
    Transaction& remove(std::string key);

    bool empty() const { return changes_.empty(); }
    const std::vector<Condition>& conditions() const { return conditions_; }
    const std::vector<Change>& changes() const { return changes_; }

  private:
    std::vector<Condition> conditions_;
    std::vector<Change> changes_;
};

struct Event {
    std::string key;
    std::optional<Entry> entry;  ///< none: the key was deleted
    Revision revision = 0;
};

/// Changes below a prefix, in order, none left out. One reader thread; outlives nothing: it must
/// be destroyed before its Store.
class Watch {
  public:
    virtual ~Watch() = default;
    /// Waits until there are events, at most until `timeout` has passed; then an empty vector.
    /// Error `refetch`-class (ErrorCode::conflict): history before the asked revision is gone;
    /// list anew and watch from there.
    virtual Result<std::vector<Event>> next(Duration timeout) = 0;
    /// Makes a waiting and every later next() return at once with an empty vector. Any thread.
    virtual void stop() = 0;
};

inline constexpr std::size_t kKeyBytesMax = 2048;
inline constexpr std::size_t kValueBytesMax = 4 << 20;
inline constexpr std::size_t kListMax = 1000;
inline constexpr std::size_t kTransactionChangesMax = 128;

/// The revisioned key-value store that holds all state of the control plane. Three backends behind
/// this interface: sqlite, memory, later etcd. Keys are ordered as bytes. Thread-safe.
///
/// GUARANTEES: a commit that returned a revision is durable (sqlite: synced) and seen by every
/// later get, list and watch. A commit that failed with `conflict` changed nothing. A commit that
/// failed with a maybe_done error may have happened: read before repeating.
class Store {
  public:
    virtual ~Store() = default;

    virtual Result<std::optional<Entry>> get(std::string_view key) = 0;
    /// Entries whose key starts with `prefix`, in key order.
    virtual Result<std::vector<Entry>> list(std::string_view prefix,
                                            const ListOptions& options = {}) = 0;
    /// ErrorCode::conflict if a condition did not hold; invalid_argument beyond the bounds above.
    /// Removing an absent key changes nothing; a transaction that changes nothing returns the
    /// revision as it is. not_found for a lease that has ended.
    virtual Result<Revision> commit(const Transaction& transaction) = 0;
    /// Of the last change. Cheap enough to be asked before everything that was remembered is used.
    virtual Result<Revision> revision() = 0;
    /// Events with a revision greater than `after`.
    virtual Result<std::unique_ptr<Watch>> watch(std::string_view prefix, Revision after) = 0;

    /// A lease ends unless it is kept alive within its time to live; its keys are deleted then
    /// (with events), at the latest one second after.
    virtual Result<LeaseId> grant_lease(Duration time_to_live) = 0;
    virtual Status keep_alive(LeaseId lease) = 0;
    virtual Status revoke(LeaseId lease) = 0;
};

}  // namespace howdah::store
