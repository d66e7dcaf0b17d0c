#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "model/records.h"
#include "store/store.h"

namespace howdah::control {

/// What the api knows when it begins a long-running request.
struct OperationDraft {
    std::string kind;  ///< "CreateServer"
    std::string subscription;
    std::string location;
    std::string resource_id;
    std::string server_key;
    std::string incarnation;
    model::Generation generation = 0;  ///< ends when the server has observed it; 0: by action_id
    std::string action_id;             ///< see database actions below
    std::string requested_by;
    std::string requester_name;
    std::string operation_name;  ///< "Microsoft.DBforPostgreSQL/flexibleServers/write"
    std::string correlation_id;
    std::optional<model::DatabaseSpec> database = std::nullopt;  ///< of CreateDatabase
    std::string failover = {};      ///< of FailoverServer: planned, forced
    std::string restore_time = {};  ///< of ProveBackups; empty: now
};

/// Durable operations. Stateless beside the store; thread-safe.
///
/// A change of a server is ONE transaction: the new spec (generation + 1) and the operation:
///
///     Transaction txn; txn.expect(key, entry.modified); txn.put(key, to_json(spec));
///     const Operation op = operations.begin(txn, draft);
///     HD_TRY(auto revision, operations.commit(txn));
///
/// `commit` passes the failpoints howdahd.operation.before_commit and after_commit. On conflict
/// the caller reads the spec again and re-applies its change (bounded).
///
/// Databases are not part of the server's generation: creating or dropping one is an action of its
/// own. The api writes (or removes) the DatabaseSpec record and begins an operation of kind
/// "CreateDatabase" or "DropDatabase" with a fresh action_id and resource_id = the database's id;
/// the reconciler turns it into that action and ends the operation with the action's result.
class Operations {
  public:
    Operations(store::Store& store, const Clock& clock, IdSource& ids)
        : store_(store), clock_(clock), ids_(ids) {}

    /// Adds the operation (InProgress) to the transaction.
    model::Operation begin(store::Transaction& transaction, const OperationDraft& draft) const;
    Result<store::Revision> commit(const store::Transaction& transaction) const;
    /// ErrorCode::not_found for an unknown id.
    Result<model::Operation> find(std::string_view id) const;

    /// Adds to the transaction what an operation that was changed by the reconciler needs: its
    /// record, and if it has an end_time the move from the pending to the ended ones and the last
    /// line of the activity log. `modified` is the record's revision that was read.
    static void update(store::Transaction& transaction, const model::Operation& operation,
                       store::Revision modified);
    /// Changes that update() adds at most.
    static constexpr std::size_t kChangesPerUpdate = 4;

    /// Ended operations can be asked for this long.
    static constexpr Duration kRetention = std::chrono::hours(24);
    /// Removes ended operations that are older, at most kSweepMax; returns how many it removed.
    static constexpr std::size_t kSweepMax = 60;
    Result<std::size_t> sweep() const;
    /// The activity log goes back this far, as Azure's does. Removes at most kSweepMax older
    /// events; returns how many.
    static constexpr Duration kActivityRetention = std::chrono::hours(90 * 24);
    Result<std::size_t> sweep_activity() const;
    /// The activity log holds so many events at most (some hundred megabytes). Counts them, which
    /// takes seconds when they are many, and removes what is beyond, at most kTrimMax: the oldest
    /// refusals first, as anybody can cause these, then the oldest of all. Returns how many.
    static constexpr std::size_t kActivityEventsMax = 500'000;
    static constexpr std::size_t kTrimMax = 6'000;
    Result<std::size_t> trim_activity(std::size_t most = kActivityEventsMax) const;

  private:
    Result<std::size_t> remove_refusals(std::size_t most) const;
    Status remove_all(const std::vector<std::string>& keys) const;

    store::Store& store_;
    const Clock& clock_;
    IdSource& ids_;
};

}  // namespace howdah::control
