#include "control/reconcile/server_step.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/text.h"
#include "control/operations/operations.h"
#include "control/reconcile/access_removal.h"
#include "control/reconcile/records.h"
#include "core/plan/members_plan.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::control {
namespace {

namespace keys = store::keys;

/// A step begins anew this often after a conflict; then it goes to the end of the queue.
constexpr int kConflictsMax = 8;
/// Results and databases that one transaction has room for, beside operations and actions.
constexpr std::size_t kResultsPerStep = 16;
constexpr std::size_t kDatabasesPerRemoval = 32;

}  // namespace

/// What was read, with the revisions that the transaction expects.
struct ServerStep::Loaded {
    core::ServerView view;
    std::shared_ptr<const HostList> hosts;
    store::Revision spec_modified = 0;
    store::Revision status_modified = 0;
    store::Revision certificate_modified = 0;
    std::map<std::string, store::Revision> operations;  ///< by id
    std::map<std::string, store::Revision> databases;   ///< by store key
    std::vector<std::string> reports;                   ///< store keys
    bool has_more_results = false;
};

ServerStep::ServerStep(store::Store& store, const Clock& clock, const store::SecretBox& secrets,
                       CertificateSource& certificates, HostCache& hosts,
                       const ReconcilerOptions& options)
    : store_(store),
      clock_(clock),
      secrets_(secrets),
      certificates_(certificates),
      hosts_(hosts),
      options_(options),
      next_port_(options.first_port) {}

Result<StepOutcome> ServerStep::run(const std::string& server_key) {
    for (int attempt = 0; attempt < kConflictsMax; ++attempt) {
        HD_TRY(const Loaded loaded, load(server_key));
        const core::ServerDecision decision = core::decide_server(loaded.view, clock_.wall());
        if (decision.remove_server && loaded.databases.size() > kDatabasesPerRemoval) {
            HD_CHECK(trim_databases(loaded));
            continue;
        }
        HD_CHECK(remove_access_of(loaded, decision));
        HD_TRY(const store::Transaction transaction, transaction_for(loaded, decision));
        if (!transaction.empty()) {
            HD_FAILPOINT("howdahd.reconcile.before_commit");
            const auto committed = store_.commit(transaction);
            if (!committed.ok() && committed.error().code == ErrorCode::conflict) continue;
            if (!committed.ok()) return committed.error();
            HD_FAILPOINT("howdahd.reconcile.after_commit");
        }
        StepOutcome outcome{decision.ask_again, decision.waits_for_host};
        if (loaded.has_more_results) outcome.ask_again = Duration::zero();
        return outcome;
    }
    return StepOutcome{Duration::zero(), false};
}

/// What is gone takes with it what was assigned and locked there. A database that was dropped is
/// asked for by its operation until that has ended.
Status ServerStep::remove_access_of(const Loaded& loaded, const core::ServerDecision& decision) {
    // Without a spec there are leftovers only, and a new server of the name may be coming.
    if (decision.remove_server && loaded.view.spec)
        return remove_access(store_, loaded.view.server_key);
    for (const model::Operation& each : decision.operations)
        if (each.kind == "DropDatabase" && each.status == "Succeeded")
            HD_CHECK(remove_access(store_, each.resource_id));
    return {};
}

// ---------------------------------------------------------------------------------------------
// Reading

Result<ServerStep::Loaded> ServerStep::load(const std::string& server_key) {
    Loaded loaded;
    core::ServerView& view = loaded.view;
    view.server_key = server_key;
    HD_TRY(auto spec, read_record<model::ServerSpec>(store_, "/server" + server_key));
    HD_TRY(auto status, read_record<model::ServerStatus>(store_, keys::status(server_key)));
    view.spec = std::move(spec.record);
    view.status = std::move(status.record);
    HD_TRY(auto revisions,
           read_record<model::ServerRevisions>(store_, keys::revisions(server_key)));
    if (revisions.record) view.revisions = std::move(revisions.record->specs);
    // Of an earlier server of that name, if any.
    std::erase_if(view.revisions, [&](const model::ServerSpec& each) {
        return !view.spec || each.incarnation != view.spec->incarnation;
    });
    loaded.spec_modified = spec.modified;
    loaded.status_modified = status.modified;
    HD_CHECK(load_reports(loaded));
    HD_CHECK(load_operations(loaded));
    HD_CHECK(load_work(loaded));
    HD_TRY(loaded.hosts, hosts_.hosts());
    view.hosts = *loaded.hosts;
    if (!view.spec) return loaded;
    view.host_names = {fmt::format("{}.{}", to_lower(view.spec->name), options_.host_suffix)};
    if (!view.spec->deleting && (!view.status || view.status->port == 0)) {
        HD_TRY(view.free_port, find_free_port());
    }
    HD_CHECK(load_certificate(loaded));
    return loaded;
}

Status ServerStep::load_reports(Loaded& loaded) {
    core::ServerView& view = loaded.view;
    return for_each(store_, keys::reports_of(view.server_key),
                    [&](const store::Entry& each) -> Status {
                        HD_TRY(auto report, model::from_json<model::InstanceReport>(each.value));
                        loaded.reports.push_back(each.key);
                        if (!view.spec || report.incarnation == view.spec->incarnation)
                            view.reports.push_back(std::move(report));
                        return {};
                    });
}

Status ServerStep::load_operations(Loaded& loaded) {
    std::vector<std::pair<store::Revision, std::string>> ids;
    const std::string prefix = keys::pending_of(loaded.view.server_key);
    HD_CHECK(for_each(store_, prefix, [&](const store::Entry& each) -> Status {
        ids.emplace_back(each.created, each.key.substr(prefix.size()));
        return {};
    }));
    std::sort(ids.begin(), ids.end());
    loaded.view.has_more_pending = ids.size() > core::kOperationsPerDecision;
    ids.resize(std::min(ids.size(), core::kOperationsPerDecision));
    for (const auto& [begun, id] : ids) {
        HD_TRY(auto read, read_record<model::Operation>(store_, keys::operation(id)));
        if (!read.record || !read.record->end_time.empty()) continue;
        loaded.operations[id] = read.modified;
        loaded.view.pending.push_back(std::move(*read.record));
    }
    return {};
}

Status ServerStep::load_work(Loaded& loaded) {
    core::ServerView& view = loaded.view;
    HD_TRY(const auto results, store_.list(keys::results_of(view.server_key),
                                           {.after = "", .limit = kResultsPerStep + 1}));
    loaded.has_more_results = results.size() > kResultsPerStep;
    for (const store::Entry& each : results) {
        if (view.results.size() == kResultsPerStep) break;
        HD_TRY(auto result, model::from_json<model::ActionResult>(each.value));
        view.results.push_back(std::move(result));
    }
    const auto hosts =
        view.status ? core::hosts_with_instances(*view.status) : std::vector<std::string>();
    for (const std::string& host : hosts) {
        const std::string prefix = keys::actions_of(host) + view.status->incarnation + "-";
        HD_CHECK(for_each(store_, prefix, [&](const store::Entry& each) -> Status {
            HD_TRY(auto action, model::from_json<model::Action>(each.value));
            view.actions.push_back(std::move(action));
            return {};
        }));
    }
    return for_each(store_, keys::databases_of(view.server_key),
                    [&](const store::Entry& each) -> Status {
                        HD_TRY(auto database, model::from_json<model::DatabaseSpec>(each.value));
                        loaded.databases[each.key] = each.modified;
                        view.databases.push_back(std::move(database));
                        return {};
                    });
}

Status ServerStep::load_certificate(Loaded& loaded) {
    const std::string key = keys::server_tls(loaded.view.server_key);
    HD_TRY(const auto sealed, store_.get(key));
    if (!sealed) return {};
    loaded.certificate_modified = sealed->modified;
    HD_TRY(const Secret text, secrets_.unseal(key, sealed->value));
    HD_TRY(const auto tls, model::from_json<model::TlsMaterial>(text.reveal()));
    HD_TRY(loaded.view.certificate_end, certificates_.end_of(tls.certificate_pem));
    HD_TRY(const bool is_current, certificates_.is_current(tls.certificate_pem));
    loaded.view.certificate_is_outdated = !is_current;
    return {};
}

/// 0 if every port of the range is taken.
Result<std::int64_t> ServerStep::find_free_port() {
    const std::int64_t count = options_.last_port - options_.first_port + 1;
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t next = next_port_.load();
        const std::int64_t port = options_.first_port + (next - options_.first_port + i) % count;
        HD_TRY(const auto taken, store_.get(keys::port(port)));
        if (taken) continue;
        next_port_.store(port);
        return port;
    }
    return 0;
}

// ---------------------------------------------------------------------------------------------
// Writing

Result<store::Transaction> ServerStep::transaction_for(const Loaded& loaded,
                                                       const core::ServerDecision& decision) {
    const core::ServerView& view = loaded.view;
    store::Transaction transaction;
    transaction.expect("/server" + view.server_key, loaded.spec_modified);
    transaction.expect(keys::status(view.server_key), loaded.status_modified);
    if (decision.issue_certificate) HD_CHECK(add_certificate(transaction, loaded));
    for (const model::Action& each : decision.remove_actions)
        transaction.remove(keys::action(each.host, each.id));
    for (const model::Action& each : decision.put_actions)
        transaction.put(keys::action(each.host, each.id), model::to_json(each));
    for (const model::Operation& each : decision.operations)
        Operations::update(transaction, each, loaded.operations.at(each.id));
    for (const std::string& each : decision.consumed_results)
        transaction.remove(keys::result(view.server_key, each));
    if (decision.remove_server) {
        HD_CHECK(add_removal(transaction, loaded));
        return transaction;
    }
    HD_CHECK(add_databases(transaction, loaded, decision.removed_databases));
    add_specs(transaction, view.server_key, decision);
    if (decision.status)
        transaction.put(keys::status(view.server_key), model::to_json(*decision.status));
    if (decision.claim_port) {
        const std::string port = keys::port(decision.status->port);
        transaction.expect_absent(port);
        transaction.put(port, view.server_key);
    }
    return transaction;
}

void ServerStep::add_specs(store::Transaction& transaction, const std::string& server_key,
                           const core::ServerDecision& decision) {
    if (decision.restored_spec)
        transaction.put("/server" + server_key, model::to_json(*decision.restored_spec));
    if (!decision.revisions) return;
    const std::string text = model::to_json(model::ServerRevisions{*decision.revisions});
    // Without them a failed change cannot be taken back; nothing else depends on them.
    if (text.size() <= store::kValueBytesMax) transaction.put(keys::revisions(server_key), text);
}

Status ServerStep::add_certificate(store::Transaction& transaction, const Loaded& loaded) {
    HD_TRY(const auto tls, certificates_.issue(loaded.view.host_names, clock_.wall()));
    const std::string key = keys::server_tls(loaded.view.server_key);
    transaction.expect(key, loaded.certificate_modified);
    transaction.put(key, secrets_.seal(key, Secret(model::to_json(tls))));
    return {};
}

Status ServerStep::add_databases(store::Transaction& transaction, const Loaded& loaded,
                                 const std::vector<std::string>& ids) {
    std::size_t removed = 0;
    for (const std::string& each : ids) {
        HD_TRY(const auto id, model::ResourceId::parse(each));
        const auto found = loaded.databases.find(keys::database(id));
        if (found == loaded.databases.end() || ++removed > kDatabasesPerRemoval) continue;
        transaction.expect(found->first, found->second);
        transaction.remove(found->first);
    }
    return {};
}

/// Every record of the server goes; a mark stays that this life of it is over.
Status ServerStep::add_removal(store::Transaction& transaction, const Loaded& loaded) {
    const core::ServerView& view = loaded.view;
    std::string incarnation;
    if (view.spec)
        incarnation = view.spec->incarnation;
    else if (view.status)
        incarnation = view.status->incarnation;
    for (const auto& [key, modified] : loaded.databases) {
        transaction.expect(key, modified);
        transaction.remove(key);
    }
    const auto remove_own = [&](const std::string& key) -> Status {
        HD_TRY(const auto entry, store_.get(key));
        if (!entry || entry->value != view.server_key) return {};
        transaction.expect(key, entry->modified);
        transaction.remove(key);
        return {};
    };
    if (view.spec) HD_CHECK(remove_own(keys::server_name(view.spec->name)));
    if (view.status && view.status->port != 0) HD_CHECK(remove_own(keys::port(view.status->port)));
    transaction.remove("/server" + view.server_key);
    transaction.remove(keys::status(view.server_key));
    transaction.remove(keys::revisions(view.server_key));
    transaction.remove(keys::old_report(view.server_key));
    for (const std::string& each : loaded.reports) transaction.remove(each);
    transaction.remove(keys::server_tls(view.server_key));
    const std::string now = format_iso8601(clock_.wall());
    if (!incarnation.empty()) transaction.put(keys::gone(incarnation), now);
    if (view.spec && view.status && !view.status->restorable.empty()) {
        const model::DroppedServer dropped{*view.spec, view.status->restorable, view.status->host,
                                           now};
        const std::string text = model::to_json(dropped);
        if (text.size() <= store::kValueBytesMax)
            transaction.put(keys::dropped(view.server_key, incarnation), text);
    }
    return {};
}

/// So many database records that they do not fit into the last transaction go before it.
Status ServerStep::trim_databases(const Loaded& loaded) {
    store::Transaction transaction;
    transaction.expect("/server" + loaded.view.server_key, loaded.spec_modified);
    for (const auto& [key, modified] : loaded.databases) {
        if (transaction.changes().size() == store::kTransactionChangesMax / 2) break;
        transaction.remove(key);
    }
    const auto committed = store_.commit(transaction);
    if (!committed.ok() && committed.error().code != ErrorCode::conflict) return committed.error();
    return {};
}

}  // namespace howdah::control
