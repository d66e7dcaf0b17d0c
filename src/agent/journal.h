#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/records.h"

namespace howdah::agent {

/// The results of actions, in a file before they are reported, until the control plane has stored
/// them: an action that comes again is answered from here, not done again. The file outlives the
/// agent; it is not synced, because a power loss costs only the repetition of work that is
/// idempotent. Thread-safe.
class Journal {
  public:
    /// Reads what an earlier run of the agent left.
    static Result<Journal> open(const std::string& path);
    Journal(Journal&& other) noexcept
        : path_(std::move(other.path_)), results_(std::move(other.results_)) {}

    Status add(const model::ActionResult& result);
    /// Results that are not acknowledged, oldest action id first.
    std::vector<model::ActionResult> results() const;
    bool contains(const std::string& action_id) const;
    Status forget(const std::vector<std::string>& action_ids);

  private:
    explicit Journal(std::string path) : path_(std::move(path)) {}
    Status save_locked() const;

    std::string path_;
    mutable std::mutex mutex_;
    std::map<std::string, model::ActionResult> results_;  ///< guarded by mutex_; by action id
};

}  // namespace howdah::agent
