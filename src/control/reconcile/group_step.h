#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "control/reconcile/records.h"
#include "control/reconcile/server_step.h"
#include "model/records.h"
#include "store/store.h"

namespace howdah::control {

/// One step for one resource group that is being deleted: marks its servers as deleted, waits
/// until they are gone, then removes the group and ends the "DeleteGroup" operations. Thread-safe
/// for different groups; borrowed references must outlive it.
///
/// RELIES ON: whoever creates a server in a group expects the group's record unchanged in the same
/// transaction, so that none can be created once the group is being deleted.
class GroupStep {
  public:
    GroupStep(store::Store& store, const Clock& clock) : store_(store), clock_(clock) {}
    Result<StepOutcome> run(const std::string& group_key);

  private:
    struct Pending {
        model::Operation operation;
        store::Revision modified = 0;
    };
    struct Census {
        std::size_t servers = 0;
        std::size_t failed = 0;  ///< could not be deleted
        std::optional<model::Failure> failure;
    };
    Result<std::vector<Pending>> pending_of(const std::string& group_key);
    Status mark_servers(const std::string& group_key);
    Status mark_server(const store::Entry& entry);
    Result<Census> count_servers(const std::string& group_key);
    Status remove_deployments(const std::string& group_key);
    Status commit(const store::Transaction& transaction);
    Status end_all(store::Transaction transaction, std::vector<Pending> pending,
                   const std::string& status, const std::optional<model::Failure>& failure);
    Status show(std::vector<Pending> pending, const std::string& progress);
    Result<StepOutcome> give_up(const Versioned<model::ResourceGroup>& group,
                                std::vector<Pending> pending, const Census& census);

    store::Store& store_;
    const Clock& clock_;
};

}  // namespace howdah::control
