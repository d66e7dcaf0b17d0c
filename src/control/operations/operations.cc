#include "control/operations/operations.h"

#include <fmt/core.h>

#include "base/failpoint.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::control {
namespace {

namespace keys = store::keys;

/// Whose pending list an operation stands in: its server's, or its group's.
std::string owner_of(const model::Operation& operation) {
    return operation.server_key.empty() ? to_lower(operation.resource_id) : operation.server_key;
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
    operation.correlation_id = draft.correlation_id;
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

}  // namespace howdah::control
