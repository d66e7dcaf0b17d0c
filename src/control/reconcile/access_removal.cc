#include "control/reconcile/access_removal.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/failpoint.h"
#include "control/reconcile/records.h"
#include "core/access/access.h"

namespace howdah::control {
namespace {

constexpr std::size_t kRemovalsAtOnce = 100;
static_assert(kRemovalsAtOnce <= store::kTransactionChangesMax);

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
    constexpr std::string_view kFamily = "/lock";
    HD_CHECK(for_each(store, std::string(kFamily) + gone, [&](const store::Entry& each) -> Status {
        // A name has no '|' in it.
        const std::string_view key = each.key;
        const std::size_t end = key.rfind('|');
        if (end == std::string_view::npos) return {};
        if (core::access::is_within(key.substr(kFamily.size(), end - kFamily.size()), gone))
            doomed.push_back(each.key);
        return {};
    }));
    return remove_all(store, doomed);
}

}  // namespace howdah::control
