// howdah-fill-store HOME COUNT: writes COUNT servers that have all they want into the store of a
// home whose howdahd does not run, in the resource group "filled". For tools/bench/api.py: the
// servers are on a machine that does not exist, so that nobody does anything about them.

#include <fmt/core.h>

#include <cstdio>

#include "base/clock.h"
#include "base/id.h"
#include "base/text.h"
#include "model/json.h"
#include "model/records.h"
#include "model/resource_id.h"
#include "store/keys.h"
#include "store/sqlite/sqlite_store.h"

namespace howdah {
namespace {

constexpr long long kServersMax = 1'000'000;
constexpr std::string_view kGroup = "filled";
constexpr std::string_view kHost = "a-machine-that-is-not-there";
constexpr std::size_t kRecordsOfServer = 3;

Result<std::string> subscription_of(store::Store& store) {
    HD_TRY(const auto entries, store.list(store::keys::subscription("")));
    if (entries.empty()) return Error{ErrorCode::not_found, "the store has no subscription"};
    HD_TRY(const auto record, model::from_json<model::Subscription>(entries.front().value));
    return record.id;
}

void add_server(store::Transaction& transaction, const std::string& subscription,
                const std::string& name, IdSource& ids) {
    const auto id = model::ResourceId::server(subscription, kGroup, name);
    model::ServerSpec spec;
    spec.id = id.to_string();
    spec.name = name;
    spec.location = "local";
    spec.tags = {{"team", "bench"}};
    spec.sku = {"Standard_B1ms", "Burstable"};
    spec.version = "15";
    spec.administrator_login = "dba";
    spec.incarnation = ids.uuid();
    spec.firewall_rules = {
        {id.child("firewallRules", "here").to_string(), "here", "127.0.0.1", "127.0.0.1"}};
    model::ServerStatus status;
    status.server_id = id.key();
    status.incarnation = spec.incarnation;
    status.observed_generation = spec.generation;
    status.state = "Ready";
    status.host = kHost;
    status.minor_version = "15.1";
    transaction.put(store::keys::server(id), model::to_json(spec));
    transaction.put(store::keys::status(id.key()), model::to_json(status));
    transaction.put(store::keys::server_name(name), id.key());
}

Status fill(const std::string& home, long long count) {
    const SystemClock clock;
    SystemIdSource ids;
    HD_TRY(const auto store, store::open_sqlite_store(home + "/howdahd/store.db", clock));
    HD_TRY(const std::string subscription, subscription_of(*store));
    const auto group_id = model::ResourceId::group(subscription, kGroup);
    model::ResourceGroup group;
    group.id = group_id.to_string();
    group.name = kGroup;
    group.location = "local";
    store::Transaction first;
    first.put(store::keys::group(group_id), model::to_json(group));
    HD_CHECK(store->commit(first));
    for (long long done = 0; done < count;) {
        store::Transaction transaction;
        while (done < count &&
               transaction.changes().size() + kRecordsOfServer <= store::kTransactionChangesMax) {
            add_server(transaction, subscription, fmt::format("filled-{:06}", done++), ids);
        }
        HD_CHECK(store->commit(transaction));
    }
    return ok_status();
}

int run(int argc, char** argv) {
    const auto count =
        argc == 3 ? parse_integer(argv[2], 0, kServersMax) : Result<long long>(Error{});
    if (!count.ok()) {
        fmt::print(stderr, "usage: howdah-fill-store HOME COUNT\n");
        return 2;
    }
    const Status status = fill(argv[1], *count);
    if (status.ok()) return 0;
    fmt::print(stderr, "error: {}\n", status.error().describe());
    return 1;
}

}  // namespace
}  // namespace howdah

int main(int argc, char** argv) { return howdah::run(argc, argv); }
