#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "control/operations/operations.h"
#include "core/plan/drills.h"
#include "store/store.h"

namespace howdah::control {

/// The drills of one server (core/plan/drills): begins those whose maintenance window has come, by
/// the same operation as a user's failover, and ends the reports of those that are over. Also takes
/// away what is left of failovers and drills of a server that is gone. Thread-safe for different
/// servers; borrowed references must outlive it.
class DrillStep {
  public:
    DrillStep(store::Store& store, const Clock& clock, IdSource& ids, const Operations& operations)
        : store_(store), clock_(clock), ids_(ids), operations_(operations) {}

    /// `conflict`: something has changed meanwhile; try again. None: until something changes there
    /// is nothing to do.
    Result<std::optional<Duration>> run(const std::string& server_key);

  private:
    struct Loaded;
    Result<Loaded> load(const std::string& server_key) const;
    Status remove_all(const std::string& server_key) const;
    Status remove_surplus(const Loaded& loaded) const;
    Result<std::optional<Duration>> follow(const Loaded& loaded, const model::Drill& drill,
                                           store::Revision modified) const;
    Result<std::optional<Duration>> follow_schedule(const Loaded& loaded) const;
    Result<std::optional<model::Failure>> refusal(const Loaded& loaded) const;
    Status begin(store::Transaction& transaction, const Loaded& loaded, model::Drill& drill) const;

    store::Store& store_;
    const Clock& clock_;
    IdSource& ids_;
    const Operations& operations_;
};

}  // namespace howdah::control
