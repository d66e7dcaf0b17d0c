#include <fmt/core.h>

#include <atomic>
#include <limits>

#include "base/text.h"
#include "store/common/limits.h"
#include "store/etcd/etcd_bells.h"
#include "store/etcd/etcd_client.h"
#include "store/ha/ha_records.h"
#include "store/ha/limits.h"

namespace howdah::store {
namespace {

using model::etcd::Compare;
using model::etcd::Delete;
using model::etcd::KeyValue;
using model::etcd::Put;
using model::etcd::Range;
using model::etcd::RangeAnswer;
using model::etcd::Txn;
using model::etcd::TxnAnswer;

constexpr long long kVersion = 1;
constexpr int kAgentsMax = 1000;
/// Each renewal is a revision: without an end of its history an etcd would be full in some weeks.
constexpr std::int64_t kHistoryRevisions = 100'000;

/// A record is the value of a key, its revision the key's. A lease is a key without a value: its
/// counter is the key's revision, which each renewal moves, and which never comes again, even after
/// the lease was forgotten. No lease of etcd's own: those are extended by a new leader.
class EtcdHaRecords final : public HaRecords {
  public:
    EtcdHaRecords(std::unique_ptr<EtcdClient> client, const std::string& prefix, const Clock& clock,
                  Duration wait_max)
        : client_(std::move(client)),
          format_key_(prefix + "ha/format"),
          records_(prefix + "ha/record/"),
          leases_(prefix + "ha/lease/"),
          leases_end_(prefix_end(leases_).value()),
          clock_(clock),
          wait_max_(wait_max),
          bells_(*client_, clock, records_) {}

    std::unique_ptr<Bell> bell() override { return bells_.make(); }

    Result<Seen> read(std::string_view server) override;
    Result<std::int64_t> replace(std::string_view server, std::int64_t revision,
                                 std::string_view record,
                                 const std::optional<Lease>& silent) override;
    Status remove(std::string_view server, std::int64_t revision) override;
    Status renew(std::string_view agent) override;
    Status forget(std::string_view agent) override;

  private:
    Instant deadline() const { return clock_.now() + wait_max_; }
    std::string record_key(std::string_view server) const { return records_ + std::string(server); }
    std::string lease_key(std::string_view agent) const { return leases_ + std::string(agent); }
    Status check_format(Instant deadline);
    Result<TxnAnswer> change(const Txn& txn);

    const std::unique_ptr<EtcdClient> client_;
    const std::string format_key_;
    const std::string records_;
    const std::string leases_;
    const std::string leases_end_;
    const Clock& clock_;
    const Duration wait_max_;
    std::atomic<bool> is_checked_ = false;
    EtcdBells bells_;
};

std::int64_t revision_of(const RangeAnswer& answer) {
    return answer.entries.empty() ? 0 : answer.entries[0].modified;
}

/// Says which version the records have, or finds out that it is one we do not know. Once for each
/// object, because etcd need not be there when it is made.
Status EtcdHaRecords::check_format(Instant deadline) {
    if (is_checked_) return ok_status();
    auto answer = client_->txn({.compares = {{format_key_, 0}},
                                .success = {Put{format_key_, std::to_string(kVersion)}},
                                .failure = {Range{format_key_}}},
                               deadline);
    if (!answer.ok()) {
        // Whether this happened does not matter: what was asked for has not.
        Error error = answer.error();
        if (error.code == ErrorCode::timeout) error.code = ErrorCode::unavailable;
        return error;
    }
    if (!answer->succeeded) {
        const auto& entries = answer->steps[0].entries;
        const std::string text = entries.empty() ? std::string() : entries[0].value;
        const auto version = parse_integer(text, 1, std::numeric_limits<int>::max());
        if (!version.ok())
            return Error{ErrorCode::corrupt, fmt::format("'{}' in etcd is not ours", format_key_)};
        if (*version > kVersion)
            return Error{ErrorCode::not_supported,
                         fmt::format("the HA records have version {}, this program knows {}",
                                     *version, kVersion),
                         "", "use the newer howdah-agent"};
    }
    is_checked_ = true;
    return ok_status();
}

Result<TxnAnswer> EtcdHaRecords::change(const Txn& txn) {
    const Instant until = deadline();
    HD_CHECK(check_format(until));
    return client_->txn(txn, until);
}

Result<HaRecords::Seen> EtcdHaRecords::read(std::string_view server) {
    HD_CHECK(check_ha_name(server));
    HD_TRY(
        const TxnAnswer answer,
        change({.success = {Range{record_key(server)}, Range{leases_, leases_end_, kAgentsMax}}}));
    if (answer.steps[1].more)
        return Error{ErrorCode::resource_exhausted,
                     fmt::format("there are more than {} agents", kAgentsMax), "",
                     "remove the leases of agents that are gone"};
    Seen seen;
    for (const KeyValue& each : answer.steps[0].entries) {
        seen.revision = each.modified;
        seen.record = each.value;
    }
    for (const KeyValue& each : answer.steps[1].entries)
        seen.leases[each.key.substr(leases_.size())] = each.modified;
    return seen;
}

Result<std::int64_t> EtcdHaRecords::replace(std::string_view server, std::int64_t revision,
                                            std::string_view record,
                                            const std::optional<Lease>& silent) {
    HD_CHECK(check_ha_record(server, record));
    const std::string key = record_key(server);
    Txn txn{.compares = {{key, revision}},
            .success = {Put{key, std::string(record)}},
            .failure = {Range{key}}};
    if (silent) HD_CHECK(check_ha_name(silent->agent));
    if (silent) txn.compares.push_back({lease_key(silent->agent), silent->counter});
    HD_TRY(const TxnAnswer answer, change(txn));
    if (answer.succeeded) return answer.revision;
    const std::int64_t found = revision_of(answer.steps[0]);
    if (found != revision) return other_ha_revision(server, found, revision);
    return lease_has_moved(silent ? silent->agent : "");
}

Status EtcdHaRecords::remove(std::string_view server, std::int64_t revision) {
    HD_CHECK(check_ha_name(server));
    const std::string key = record_key(server);
    HD_TRY(
        const TxnAnswer answer,
        change({.compares = {{key, revision}}, .success = {Delete{key}}, .failure = {Range{key}}}));
    if (answer.succeeded) return ok_status();
    return other_ha_revision(server, revision_of(answer.steps[0]), revision);
}

Status EtcdHaRecords::renew(std::string_view agent) {
    HD_CHECK(check_ha_name(agent));
    HD_TRY(const TxnAnswer answer, change({.success = {Put{lease_key(agent), ""}}}));
    client_->compact_behind(answer.revision, kHistoryRevisions, deadline());
    return ok_status();
}

Status EtcdHaRecords::forget(std::string_view agent) {
    HD_CHECK(check_ha_name(agent));
    HD_CHECK(change({.success = {Delete{lease_key(agent)}}}));
    return ok_status();
}

}  // namespace

Result<std::unique_ptr<HaRecords>> open_ha_records(const EtcdOptions& options, const Clock& clock,
                                                   Duration wait_max) {
    HD_TRY(auto client, EtcdClient::open(options, clock));
    return std::unique_ptr<HaRecords>(
        std::make_unique<EtcdHaRecords>(std::move(client), options.prefix, clock, wait_max));
}

}  // namespace howdah::store
