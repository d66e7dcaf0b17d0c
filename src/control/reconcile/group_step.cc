#include "control/reconcile/group_step.h"

#include <fmt/core.h>

#include <cstring>

#include "base/failpoint.h"
#include "base/text.h"
#include "control/operations/operations.h"
#include "control/reconcile/access_removal.h"
#include "store/keys.h"

namespace howdah::control {
namespace {

namespace keys = store::keys;

constexpr Duration kLookAgain = std::chrono::milliseconds(500);
/// Operations that one transaction ends; more end in the next step.
constexpr std::size_t kOperationsPerStep = 32;
/// Operation::generation of a deletion that has marked its servers.
constexpr model::Generation kMarked = 1;

}  // namespace

Result<std::vector<GroupStep::Pending>> GroupStep::pending_of(const std::string& group_key) {
    std::vector<Pending> pending;
    const std::string prefix = keys::pending_of(group_key);
    HD_TRY(const auto entries, store_.list(prefix, {.after = "", .limit = kOperationsPerStep}));
    for (const store::Entry& each : entries) {
        // Beyond the group's own operations stand those of its servers.
        const std::string id = each.key.substr(prefix.size());
        if (id.find('/') != std::string::npos) break;
        HD_TRY(auto read, read_record<model::Operation>(store_, keys::operation(id)));
        if (read.record) pending.push_back({std::move(*read.record), read.modified});
    }
    return pending;
}

Result<StepOutcome> GroupStep::run(const std::string& group_key) {
    HD_TRY(auto pending, pending_of(group_key));
    HD_TRY(const auto group, read_record<model::ResourceGroup>(store_, "/group" + group_key));
    if (!group.record) {
        HD_CHECK(end_all({}, std::move(pending), "Succeeded", {}));
        return StepOutcome{};
    }
    if (!group.record->deleting) {
        HD_CHECK(end_all({}, std::move(pending), "Canceled",
                         model::Failure{std::string(to_string(ErrorCode::cancelled)),
                                        "the group is not being deleted", ""}));
        return StepOutcome{};
    }
    const bool is_new = pending.empty() || pending.front().operation.generation < kMarked;
    if (is_new) HD_CHECK(mark_servers(group_key));
    HD_TRY(const Census census, count_servers(group_key));
    if (census.servers == 0) {
        HD_CHECK(remove_deployments(group_key));
        HD_CHECK(remove_access(store_, group_key));
        store::Transaction transaction;
        transaction.expect("/group" + group_key, group.modified);
        transaction.remove("/group" + group_key);
        HD_CHECK(end_all(std::move(transaction), std::move(pending), "Succeeded", {}));
        return StepOutcome{};
    }
    if (!is_new && census.failed == census.servers)
        return give_up(group, std::move(pending), census);
    HD_CHECK(show(std::move(pending), fmt::format("deleting {} servers", census.servers)));
    return StepOutcome{kLookAgain, false};
}

/// Nothing is left to wait for: what could not be deleted stays, and the group with it.
Result<StepOutcome> GroupStep::give_up(const Versioned<model::ResourceGroup>& group,
                                       std::vector<Pending> pending, const Census& census) {
    model::ResourceGroup kept = *group.record;
    kept.deleting = false;
    const std::string key = "/group" + to_lower(kept.id);
    store::Transaction transaction;
    transaction.expect(key, group.modified);
    transaction.put(key, model::to_json(kept));
    HD_CHECK(end_all(std::move(transaction), std::move(pending), "Failed", census.failure));
    return StepOutcome{};
}

Status GroupStep::mark_servers(const std::string& group_key) {
    return for_each(store_, "/server" + group_key + "/",
                    [&](const store::Entry& each) { return mark_server(each); });
}

/// A server whose earlier deletion failed is asked for anew, by a new generation.
Status GroupStep::mark_server(const store::Entry& entry) {
    HD_TRY(auto spec, model::from_json<model::ServerSpec>(entry.value));
    HD_TRY(const auto status, read_record<model::ServerStatus>(
                                  store_, keys::status(entry.key.substr(std::strlen("/server")))));
    const bool has_failed = status.record && status.record->failed_generation >= spec.generation;
    if (spec.deleting && !has_failed) return {};
    spec.deleting = true;
    ++spec.generation;
    store::Transaction transaction;
    transaction.expect(entry.key, entry.modified);
    transaction.put(entry.key, model::to_json(spec));
    return commit(transaction);
}

Result<GroupStep::Census> GroupStep::count_servers(const std::string& group_key) {
    Census census;
    HD_CHECK(for_each(store_, "/server" + group_key + "/", [&](const store::Entry& each) -> Status {
        ++census.servers;
        HD_TRY(const auto spec, model::from_json<model::ServerSpec>(each.value));
        HD_TRY(const auto status,
               read_record<model::ServerStatus>(store_, keys::status(to_lower(spec.id))));
        if (!status.record || status.record->failed_generation < spec.generation) return {};
        ++census.failed;
        census.failure = status.record->failure;
        return {};
    }));
    return census;
}

/// What was deployed to the group is told by nobody once it is gone.
Status GroupStep::remove_deployments(const std::string& group_key) {
    for (const std::string& prefix : {store::keys::deployments_in(group_key),
                                      store::keys::deployment_template(group_key, "")}) {
        HD_CHECK(for_each(store_, prefix, [&](const store::Entry& each) {
            store::Transaction transaction;
            transaction.remove(each.key);
            return commit(transaction);
        }));
    }
    return {};
}

Status GroupStep::commit(const store::Transaction& transaction) {
    if (transaction.empty()) return {};
    HD_FAILPOINT("howdahd.reconcile.before_commit");
    HD_CHECK(store_.commit(transaction));
    HD_FAILPOINT("howdahd.reconcile.after_commit");
    return {};
}

Status GroupStep::end_all(store::Transaction transaction, std::vector<Pending> pending,
                          const std::string& status, const std::optional<model::Failure>& failure) {
    for (Pending& each : pending) {
        each.operation.status = status;
        each.operation.failure = failure;
        each.operation.progress.clear();
        each.operation.end_time = format_iso8601(clock_.wall());
        Operations::update(transaction, each.operation, each.modified);
    }
    return commit(transaction);
}

Status GroupStep::show(std::vector<Pending> pending, const std::string& progress) {
    store::Transaction transaction;
    for (Pending& each : pending) {
        if (each.operation.progress == progress && each.operation.generation == kMarked) continue;
        each.operation.progress = progress;
        each.operation.generation = kMarked;
        Operations::update(transaction, each.operation, each.modified);
    }
    return commit(transaction);
}

}  // namespace howdah::control
