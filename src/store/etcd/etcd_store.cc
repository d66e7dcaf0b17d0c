#include "store/etcd/etcd_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <limits>

#include "base/text.h"
#include "store/common/lease_book.h"
#include "store/common/limits.h"
#include "store/etcd/etcd_client.h"
#include "store/etcd/etcd_watch.h"

namespace howdah::store {
namespace {

using model::etcd::Delete;
using model::etcd::KeyValue;
using model::etcd::Put;
using model::etcd::Range;
using model::etcd::RangeAnswer;
using model::etcd::Txn;
using model::etcd::TxnAnswer;

constexpr long long kVersion = 1;
constexpr int kWatchesMax = 1000;

class EtcdStore final : public Store {
  public:
    EtcdStore(std::unique_ptr<EtcdClient> client, const std::string& prefix, const Clock& clock,
              const EtcdStoreOptions& options)
        : client_(std::move(client)),
          root_(prefix + "store/"),
          format_key_(prefix + "store-format"),
          clock_(clock),
          options_(options) {}

    Result<std::optional<Entry>> get(std::string_view key) override;
    Result<std::vector<Entry>> list(std::string_view prefix, const ListOptions& options) override;
    Result<Revision> commit(const Transaction& transaction) override;
    Result<Revision> revision() override;
    Result<std::unique_ptr<Watch>> watch(std::string_view prefix, Revision after) override;
    Result<LeaseId> grant_lease(Duration time_to_live) override;
    Status keep_alive(LeaseId lease) override;
    Status revoke(LeaseId lease) override;

  private:
    Instant deadline() const { return clock_.now() + options_.timeout; }
    Entry entry_of(const KeyValue& found) const;
    Status check_format(Instant deadline);
    Result<TxnAnswer> ask(const Txn& txn);
    Txn txn_of(const Transaction& transaction) const;

    const std::unique_ptr<EtcdClient> client_;
    const std::string root_;
    const std::string format_key_;
    const Clock& clock_;
    const EtcdStoreOptions options_;
    std::atomic<bool> is_checked_ = false;
    std::atomic<bool> is_marked_ = false;  ///< etcd says which version the store has
    std::atomic<int> open_watches_ = 0;
};

/// Refuses the store of a newer program; once for each object, because etcd need not be there when
/// it is made.
Status EtcdStore::check_format(Instant deadline) {
    if (is_checked_) return ok_status();
    HD_TRY(const TxnAnswer answer, client_->txn({.success = {Range{format_key_}}}, deadline));
    const auto& entries = answer.steps[0].entries;
    if (!entries.empty()) {
        const auto version = parse_integer(entries[0].value, 1, std::numeric_limits<int>::max());
        if (!version.ok())
            return Error{ErrorCode::corrupt, fmt::format("'{}' in etcd is not ours", format_key_)};
        if (*version > kVersion)
            return Error{
                ErrorCode::not_supported,
                fmt::format("the store has version {}, this program knows {}", *version, kVersion),
                "", "use the newer howdahd"};
        is_marked_ = true;
    }
    is_checked_ = true;
    return ok_status();
}

Result<TxnAnswer> EtcdStore::ask(const Txn& txn) {
    const Instant until = deadline();
    HD_CHECK(check_format(until));
    return client_->txn(txn, until);
}

Entry EtcdStore::entry_of(const KeyValue& found) const {
    return {found.key.substr(root_.size()), found.value, store_revision(found.created),
            store_revision(found.modified)};
}

Result<std::optional<Entry>> EtcdStore::get(std::string_view key) {
    if (key.size() > kKeyBytesMax) return std::optional<Entry>();
    HD_TRY(const TxnAnswer answer, ask({.success = {Range{root_ + std::string(key)}}}));
    const auto& entries = answer.steps[0].entries;
    return entries.empty() ? std::optional<Entry>() : entry_of(entries[0]);
}

Result<std::vector<Entry>> EtcdStore::list(std::string_view prefix, const ListOptions& options) {
    HD_CHECK(check_list(prefix, options));
    // The smallest key behind `after`.
    std::string first = root_ + options.after + '\0';
    std::string below = root_ + std::string(prefix);
    const std::string end = prefix_end(below).value_or(std::string());
    first = options.after.empty() ? below : std::max(first, below);
    std::vector<Entry> found;
    if (first >= end) return found;
    HD_TRY(const TxnAnswer answer,
           ask({.success = {Range{first, end, static_cast<std::int64_t>(options.limit)}}}));
    for (const KeyValue& each : answer.steps[0].entries) found.push_back(entry_of(each));
    return found;
}

Txn EtcdStore::txn_of(const Transaction& transaction) const {
    Txn txn;
    for (const auto& each : transaction.conditions()) {
        const std::string key = root_ + each.key;
        txn.compares.push_back({key, etcd_revision(each.modified)});
        txn.failure.push_back(Range{.key = key, .keys_only = true});
    }
    for (const auto& each : transaction.changes()) {
        const std::string key = root_ + each.key;
        if (each.value)
            txn.success.push_back(Put{key, *each.value, each.lease});
        else
            txn.success.push_back(Delete{key});
    }
    return txn;
}

Result<Revision> EtcdStore::commit(const Transaction& transaction) {
    HD_CHECK(check_transaction(transaction));
    if (transaction.empty() && transaction.conditions().empty()) return revision();
    const Instant until = deadline();
    HD_CHECK(check_format(until));
    Txn txn = txn_of(transaction);
    // In the same transaction, so that the mark has no revision of its own.
    const bool puts = std::any_of(txn.success.begin(), txn.success.end(), [](const auto& each) {
        return std::holds_alternative<Put>(each);
    });
    const bool marks = !is_marked_ && puts && txn.success.size() < kTransactionChangesMax;
    if (marks) txn.success.push_back(Put{format_key_, std::to_string(kVersion)});
    auto answer = client_->txn(txn, until);
    if (!answer.ok()) {
        if (answer.error().code == ErrorCode::not_found)
            return Error{ErrorCode::not_found, "a lease of the transaction has ended or never was"};
        return answer.error();
    }
    if (answer->succeeded) {
        if (marks) is_marked_ = true;
        client_->compact_behind(answer->revision,
                                static_cast<std::int64_t>(options_.history_revisions), until);
        return store_revision(answer->revision);
    }
    for (std::size_t i = 0; i < transaction.conditions().size(); ++i) {
        const auto& condition = transaction.conditions()[i];
        const RangeAnswer& found = answer->steps[i];
        const Revision modified =
            found.entries.empty() ? 0 : store_revision(found.entries[0].modified);
        if (modified != condition.modified) return conflict_on(condition.key);
    }
    return Error{ErrorCode::corrupt, "etcd refused a transaction whose conditions hold"};
}

Result<Revision> EtcdStore::revision() {
    HD_TRY(const TxnAnswer answer,
           ask({.success = {Range{.key = format_key_, .keys_only = true}}}));
    return store_revision(answer.revision);
}

Result<std::unique_ptr<Watch>> EtcdStore::watch(std::string_view prefix, Revision after) {
    HD_CHECK(check_list(prefix, {}));
    const Instant until = deadline();
    HD_CHECK(check_format(until));
    if (++open_watches_ > kWatchesMax) {
        --open_watches_;
        return Error{ErrorCode::resource_exhausted,
                     fmt::format("there are {} watches already", kWatchesMax)};
    }
    auto watch = std::make_unique<EtcdWatch>(*client_, clock_, root_, prefix, after, open_watches_);
    HD_CHECK(watch->begin(until));
    return std::unique_ptr<Watch>(std::move(watch));
}

Result<LeaseId> EtcdStore::grant_lease(Duration time_to_live) {
    HD_CHECK(check_time_to_live(time_to_live));
    return client_->grant_lease(std::chrono::ceil<std::chrono::seconds>(time_to_live).count(),
                                deadline());
}

Status EtcdStore::keep_alive(LeaseId lease) {
    const Status renewed = client_->renew_lease(lease, deadline());
    const bool is_gone = !renewed.ok() && renewed.error().code == ErrorCode::not_found;
    return is_gone ? Status(no_such_lease(lease)) : renewed;
}

Status EtcdStore::revoke(LeaseId lease) {
    const Status revoked = client_->revoke_lease(lease, deadline());
    const bool is_gone = !revoked.ok() && revoked.error().code == ErrorCode::not_found;
    return is_gone ? Status(no_such_lease(lease)) : revoked;
}

}  // namespace

Result<std::unique_ptr<Store>> open_etcd_store(const EtcdOptions& options, const Clock& clock,
                                               const EtcdStoreOptions& store_options) {
    HD_TRY(auto client, EtcdClient::open(options, clock));
    return std::unique_ptr<Store>(
        std::make_unique<EtcdStore>(std::move(client), options.prefix, clock, store_options));
}

}  // namespace howdah::store
