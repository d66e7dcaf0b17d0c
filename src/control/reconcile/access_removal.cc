#include "control/reconcile/access_removal.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/failpoint.h"
#include "control/reconcile/records.h"
#include "core/access/access.h"
#include "model/resource_id.h"
#include "store/keys.h"

namespace howdah::control {
namespace {

constexpr std::size_t kRemovalsAtOnce = 100;
static_assert(kRemovalsAtOnce <= store::kTransactionChangesMax);

constexpr std::string_view kLocks = "/lock";

/// "/lock/scope|name" -> "/scope"; a name has no '|' in it. Empty if it is no such key.
std::string_view scope_of_lock(std::string_view key) {
    const std::size_t end = key.rfind('|');
    if (end == std::string_view::npos || !key.starts_with(kLocks)) return {};
    return key.substr(kLocks.size(), end - kLocks.size());
}

Result<bool> is_gone(store::Store& store, std::string_view scope) {
    const auto id = model::ResourceId::parse(scope);
    if (!id.ok() || id->resource_group.empty()) return false;
    const auto group_id = model::ResourceId::group(id->subscription, id->resource_group);
    HD_TRY(const auto group, store.get(store::keys::group(group_id)));
    if (!group) return true;
    if (id->segments.empty()) return false;
    model::ResourceId server_id = *id;
    server_id.segments.resize(1);
    HD_TRY(const auto server, store.get(store::keys::server(server_id)));
    return !server;
}

/// Unless it was changed meanwhile.
Status remove_if_gone(store::Store& store, const store::Entry& entry, std::string_view scope) {
    HD_TRY(const bool gone, is_gone(store, scope));
    if (!gone) return {};
    store::Transaction transaction;
    transaction.expect(entry.key, entry.modified).remove(entry.key);
    const auto removed = store.commit(transaction);
    if (!removed.ok() && removed.error().code != ErrorCode::conflict) return removed.error();
    return {};
}

Status remove_all(store::Store& store, const std::vector<std::string>& keys) {
    for (std::size_t begin = 0; begin < keys.size(); begin += kRemovalsAtOnce) {
        store::Transaction transaction;
        for (std::size_t i = begin; i < std::min(keys.size(), begin + kRemovalsAtOnce); ++i)
            transaction.remove(keys[i]);
        HD_FAILPOINT("howdahd.reconcile.before_commit");
        HD_CHECK(store.commit(transaction));
        HD_FAILPOINT("howdahd.reconcile.after_commit");
    }
    return {};
}

}  // namespace

Status remove_access(store::Store& store, std::string_view scope) {
    const std::string gone = core::access::scope_key(scope);
    if (gone == "/") return {};  // an id that is missing; everything is never gone
    std::vector<std::string> doomed;
    HD_CHECK(for_each(store, "/assignment/", [&](const store::Entry& each) -> Status {
        const auto assignment = model::from_json<model::RoleAssignment>(each.value);
        // One that cannot be read grants nothing, and must not keep a server from going.
        if (!assignment.ok()) return {};
        if (core::access::is_within(core::access::scope_key(assignment->scope), gone))
            doomed.push_back(each.key);
        return {};
    }));
    HD_CHECK(for_each(store, std::string(kLocks) + gone, [&](const store::Entry& each) -> Status {
        const std::string_view locked = scope_of_lock(each.key);
        if (!locked.empty() && core::access::is_within(locked, gone)) doomed.push_back(each.key);
        return {};
    }));
    return remove_all(store, doomed);
}

Status sweep_access(store::Store& store) {
    HD_CHECK(for_each(store, "/assignment/", [&](const store::Entry& each) -> Status {
        const auto assignment = model::from_json<model::RoleAssignment>(each.value);
        if (!assignment.ok()) return {};
        return remove_if_gone(store, each, assignment->scope);
    }));
    return for_each(store, std::string(kLocks) + "/", [&](const store::Entry& each) {
        return remove_if_gone(store, each, scope_of_lock(each.key));
    });
}

}  // namespace howdah::control
