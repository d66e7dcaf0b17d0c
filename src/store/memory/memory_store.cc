#include "store/memory/memory_store.h"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>

#include "store/common/lease_book.h"
#include "store/common/limits.h"
#include "store/common/watch_hub.h"

namespace howdah::store {
namespace {

class MemoryStore final : public Store, private HistorySource {
  public:
    MemoryStore(const Clock& clock, const MemoryOptions& options)
        : options_(options), leases_(clock), hub_(*this, 0) {}

    Result<std::optional<Entry>> get(std::string_view key) override;
    Result<std::vector<Entry>> list(std::string_view prefix, const ListOptions& options) override;
    Result<Revision> commit(const Transaction& transaction) override;
    Result<Revision> revision() override;
    Result<std::unique_ptr<Watch>> watch(std::string_view prefix, Revision after) override;
    Result<LeaseId> grant_lease(Duration time_to_live) override;
    Status keep_alive(LeaseId lease) override;
    Status revoke(LeaseId lease) override;

  private:
    struct Stored {
        Entry entry;
        LeaseId lease = kNoLease;
    };

    Result<Batch> history(std::string_view prefix, Revision after, Revision through) override;
    Status remove_due() override;
    Duration until_due(Duration longest) const override { return leases_.until_next(longest); }

    // REQUIRES of all below: mutex_.
    Status check_conditions(const Transaction& transaction) const;
    Revision apply(const std::vector<Transaction::Change>& changes);
    void remove_keys_of(LeaseId lease);

    const MemoryOptions options_;
    std::mutex mutex_;
    std::map<std::string, Stored, std::less<>> entries_;
    std::deque<Event> history_;
    Revision revision_ = 0;
    Revision compacted_ = 0;
    LeaseId next_lease_ = 1;
    LeaseBook leases_;
    WatchHub hub_;
};

Result<std::optional<Entry>> MemoryStore::get(std::string_view key) {
    HD_CHECK(remove_due());
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return std::optional<Entry>();
    return std::optional<Entry>(found->second.entry);
}

Result<std::vector<Entry>> MemoryStore::list(std::string_view prefix, const ListOptions& options) {
    HD_CHECK(check_list(prefix, options));
    HD_CHECK(remove_due());
    const std::lock_guard lock(mutex_);
    std::vector<Entry> found;
    auto at = entries_.lower_bound(prefix);
    if (options.after >= prefix) at = entries_.upper_bound(options.after);
    for (; at != entries_.end() && found.size() < options.limit; ++at) {
        if (!at->first.starts_with(prefix)) break;
        found.push_back(at->second.entry);
    }
    return found;
}

Status MemoryStore::check_conditions(const Transaction& transaction) const {
    for (const auto& condition : transaction.conditions()) {
        const auto found = entries_.find(condition.key);
        const Revision modified = found == entries_.end() ? 0 : found->second.entry.modified;
        if (modified != condition.modified) return conflict_on(condition.key);
    }
    for (const auto& change : transaction.changes()) {
        if (change.lease != kNoLease && !leases_.is_alive(change.lease))
            return no_such_lease(change.lease);
    }
    return {};
}

Result<Revision> MemoryStore::commit(const Transaction& transaction) {
    HD_CHECK(check_transaction(transaction));
    HD_CHECK(remove_due());
    const std::lock_guard lock(mutex_);
    HD_CHECK(check_conditions(transaction));
    return apply(transaction.changes());
}

Revision MemoryStore::apply(const std::vector<Transaction::Change>& changes) {
    const Revision revision = revision_ + 1;
    std::vector<std::string_view> keys;
    for (const auto& change : changes) {
        const auto found = entries_.find(change.key);
        Event event{change.key, std::nullopt, revision};
        if (change.value) {
            const Revision created =
                found == entries_.end() ? revision : found->second.entry.created;
            event.entry = Entry{change.key, *change.value, created, revision};
            entries_[change.key] = {*event.entry, change.lease};
        } else if (found != entries_.end()) {
            entries_.erase(found);
        } else {
            continue;  // removing what is not there changes nothing
        }
        keys.push_back(change.key);
        history_.push_back(std::move(event));
    }
    if (keys.empty()) return revision_;
    revision_ = revision;
    while (static_cast<Revision>(options_.history_revisions) <
           revision_ - history_.front().revision + 1) {
        compacted_ = history_.front().revision;
        history_.pop_front();
    }
    hub_.publish(revision_, keys);
    return revision_;
}

Result<Revision> MemoryStore::revision() {
    HD_CHECK(remove_due());
    const std::lock_guard lock(mutex_);
    return revision_;
}

Result<std::unique_ptr<Watch>> MemoryStore::watch(std::string_view prefix, Revision after) {
    return hub_.watch(prefix, after);
}

Result<HistorySource::Batch> MemoryStore::history(std::string_view prefix, Revision after,
                                                  Revision through) {
    const std::lock_guard lock(mutex_);
    if (after < compacted_) return history_gone(after, compacted_);
    const auto newer = [](Revision revision, const Event& event) {
        return revision < event.revision;
    };
    Batch batch;
    std::size_t bytes = 0;
    for (auto at = std::upper_bound(history_.begin(), history_.end(), after, newer);
         at != history_.end() && at->revision <= through; ++at) {
        if (!at->key.starts_with(prefix)) continue;
        const bool is_full = batch.events.size() + kTransactionChangesMax >= kWatchEventsMax ||
                             bytes >= kWatchBytesMax;
        if (is_full && batch.events.back().revision != at->revision) {
            batch.more = true;
            break;
        }
        bytes += at->key.size() + (at->entry ? at->entry->value.size() : 0);
        batch.events.push_back(*at);
    }
    return batch;
}

Result<LeaseId> MemoryStore::grant_lease(Duration time_to_live) {
    const std::lock_guard lock(mutex_);
    HD_CHECK(leases_.add(next_lease_, time_to_live));
    return next_lease_++;
}

Status MemoryStore::keep_alive(LeaseId lease) { return leases_.keep_alive(lease); }

Status MemoryStore::revoke(LeaseId lease) {
    HD_CHECK(remove_due());
    const std::lock_guard lock(mutex_);
    if (!leases_.contains(lease)) return no_such_lease(lease);
    remove_keys_of(lease);
    return {};
}

Status MemoryStore::remove_due() {
    if (!leases_.has_due()) return {};
    const std::lock_guard lock(mutex_);
    for (const LeaseId lease : leases_.due()) remove_keys_of(lease);
    return {};
}

void MemoryStore::remove_keys_of(LeaseId lease) {
    std::vector<Transaction::Change> changes;
    for (const auto& [key, stored] : entries_)
        if (stored.lease == lease) changes.push_back({key, std::nullopt, kNoLease});
    leases_.erase(lease);
    if (!changes.empty()) apply(changes);
}

}  // namespace

std::unique_ptr<Store> make_memory_store(const Clock& clock, const MemoryOptions& options) {
    return std::make_unique<MemoryStore>(clock, options);
}

}  // namespace howdah::store
