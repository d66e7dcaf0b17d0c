#include "control/operations/operations.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/failpoint.h"
#include "base/text.h"
#include "control/reconcile/records.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::control {
namespace {

namespace keys = store::keys;

/// Even, so that an event and the note of its refusal go together.
constexpr std::size_t kRemovalsAtOnce = 120;
static_assert(kRemovalsAtOnce <= store::kTransactionChangesMax);

/// Whose pending list an operation stands in: its server's, or its group's.
std::string owner_of(const model::Operation& operation) {
    return operation.server_key.empty() ? to_lower(operation.resource_id) : operation.server_key;
}

model::ActivityEvent event_of(const model::Operation& operation) {
    model::ActivityEvent event;
    event.id = operation.id;
    event.time = operation.end_time;
    event.subscription = operation.subscription;
    event.correlation_id = operation.correlation_id;
    event.operation_name = operation.operation_name;
    event.operation_id = operation.id;
    event.resource_id = operation.resource_id;
    event.caller =
        operation.requester_name.empty() ? operation.requested_by : operation.requester_name;
    event.status = operation.status == "Succeeded" ? "Succeeded" : "Failed";
    if (operation.failure) {
        event.error_code = operation.failure->code;
        event.message = operation.failure->message;
    }
    return event;
}

}  // namespace

model::Operation Operations::begin(store::Transaction& transaction,
                                   const OperationDraft& draft) const {
    model::Operation operation;
    operation.id = ids_.uuid();
    operation.kind = draft.kind;
    operation.subscription = draft.subscription;
    operation.location = draft.location;
    operation.resource_id = draft.resource_id;
    operation.server_key = draft.server_key;
    operation.incarnation = draft.incarnation;
    operation.generation = draft.generation;
    operation.action_id = draft.action_id;
    operation.progress = "accepted";
    operation.start_time = format_iso8601(clock_.wall());
    operation.requested_by = draft.requested_by;
    operation.requester_name = draft.requester_name;
    operation.operation_name = draft.operation_name;
    operation.correlation_id = draft.correlation_id;
    operation.database = draft.database;
    operation.failover = draft.failover;
    operation.restore_time = draft.restore_time;
    const std::string key = keys::operation(operation.id);
    transaction.expect_absent(key);
    transaction.put(key, model::to_json(operation));
    transaction.put(keys::pending(owner_of(operation), operation.id), "");
    return operation;
}

Result<store::Revision> Operations::commit(const store::Transaction& transaction) const {
    HD_FAILPOINT("howdahd.operation.before_commit");
    auto committed = store_.commit(transaction);
    HD_FAILPOINT("howdahd.operation.after_commit");
    return committed;
}

Result<model::Operation> Operations::find(std::string_view id) const {
    const Error unknown{ErrorCode::not_found, fmt::format("operation '{}' does not exist", id),
                        "operationId"};
    if (!is_uuid(id)) return unknown;
    HD_TRY(const auto entry, store_.get(keys::operation(id)));
    if (!entry) return unknown;
    return model::from_json<model::Operation>(entry->value);
}

void Operations::update(store::Transaction& transaction, const model::Operation& operation,
                        store::Revision modified) {
    const std::string key = keys::operation(operation.id);
    transaction.expect(key, modified);
    transaction.put(key, model::to_json(operation));
    if (operation.end_time.empty()) return;
    transaction.remove(keys::pending(owner_of(operation), operation.id));
    transaction.put(keys::ended(operation.end_time, operation.id), "");
    transaction.put(keys::activity(operation.end_time, operation.id),
                    model::to_json(event_of(operation)));
}

Result<std::size_t> Operations::sweep() const {
    const std::string newest_kept = format_iso8601(
        clock_.wall() - std::chrono::duration_cast<std::chrono::milliseconds>(kRetention));
    HD_TRY(const auto ended, store_.list("/ended/", {.limit = kSweepMax}));
    store::Transaction transaction;
    std::size_t removed = 0;
    for (const store::Entry& each : ended) {
        if (each.key >= "/ended/" + newest_kept) break;
        const std::size_t slash = each.key.rfind('/');
        transaction.remove(each.key);
        transaction.remove(keys::operation(each.key.substr(slash + 1)));
        ++removed;
    }
    if (removed > 0) HD_CHECK(store_.commit(transaction));
    return removed;
}

Result<std::size_t> Operations::sweep_activity() const {
    // Newest first: everything behind this moment is older.
    const std::string oldest_kept = format_iso8601(
        clock_.wall() - std::chrono::duration_cast<std::chrono::milliseconds>(kActivityRetention));
    HD_TRY(const auto old, store_.list("/activity/", {.after = keys::activity_at(oldest_kept),
                                                      .limit = kSweepMax}));
    HD_TRY(const auto refusals, store_.list("/refusal/", {.limit = kSweepMax}));
    store::Transaction transaction;
    for (const store::Entry& each : old) transaction.remove(each.key);
    for (const store::Entry& each : refusals)
        if (each.key < keys::refusal(oldest_kept, "")) transaction.remove(each.key);
    if (!transaction.empty()) HD_CHECK(store_.commit(transaction));
    return old.size();
}

Result<std::size_t> Operations::trim_activity(std::size_t most) const {
    std::size_t count = 0;
    HD_CHECK(for_each(store_, "/activity/", [&](const store::Entry&) -> Status {
        ++count;
        return {};
    }));
    if (count <= most) return 0;
    const std::size_t surplus = std::min(count - most, kTrimMax);
    HD_TRY(const std::size_t refusals, remove_refusals(surplus));
    if (refusals == surplus) return surplus;
    // Newest first: what comes behind so many is the oldest.
    std::size_t kept = count - surplus;
    std::vector<std::string> oldest;
    HD_CHECK(for_each(store_, "/activity/", [&](const store::Entry& each) -> Status {
        if (kept > 0)
            --kept;
        else if (oldest.size() < surplus - refusals)
            oldest.push_back(each.key);
        return {};
    }));
    HD_CHECK(remove_all(oldest));
    return surplus;
}

/// The oldest, at most so many; returns how many there were.
Result<std::size_t> Operations::remove_refusals(std::size_t most) const {
    std::size_t removed = 0;
    while (removed < most) {
        HD_TRY(const auto entries,
               store_.list("/refusal/", {.limit = std::min(kSweepMax, most - removed)}));
        if (entries.empty()) break;
        std::vector<std::string> doomed;
        for (const store::Entry& each : entries) {
            const std::size_t slash = each.key.rfind('/');
            const std::size_t begin = std::string_view("/refusal/").size();
            doomed.push_back(
                keys::activity(each.key.substr(begin, slash - begin), each.key.substr(slash + 1)));
            doomed.push_back(each.key);
        }
        HD_CHECK(remove_all(doomed));
        removed += entries.size();
    }
    return removed;
}

Status Operations::remove_all(const std::vector<std::string>& keys) const {
    for (std::size_t begin = 0; begin < keys.size(); begin += kRemovalsAtOnce) {
        store::Transaction transaction;
        for (std::size_t i = begin; i < std::min(keys.size(), begin + kRemovalsAtOnce); ++i)
            transaction.remove(keys[i]);
        HD_CHECK(store_.commit(transaction));
    }
    return {};
}

}  // namespace howdah::control
