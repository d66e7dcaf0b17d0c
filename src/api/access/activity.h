#pragma once

#include <string>
#include <string_view>

#include "api/access/activity_budget.h"
#include "api/call.h"

namespace howdah::api {

/// Writes the activity log: who changed what, when, and how it ended. What was begun is written
/// before it is done, so that no change is without a line, whatever is killed. Thread-safe.
///
/// Bounds: those of ActivityBudget for each principal. A change beyond its bound is refused; only
/// what was refused for want of a role may have no line. Operations::sweep_activity and
/// trim_activity end what is too old and too much.
class Activity {
  public:
    explicit Activity(const ApiContext& context) : context_(context), budget_(context.clock) {}

    /// A change that is allowed begins. The change must not happen if this fails:
    /// ErrorCode::too_many_requests, or an error of the store.
    Status begin(Call& call);
    /// It was answered. Failing to write is logged only: the change has happened.
    void end(const Call& call, const http::Response& response, std::string_view code,
             std::string_view message);

  private:
    Status write(const model::ActivityEvent& event, bool is_refusal);
    model::ActivityEvent event_of(const Call& call, std::string status) const;

    const ApiContext& context_;
    ActivityBudget budget_;
};

/// True for what changes something, and so belongs in the activity log.
bool is_change(const Call& call);

}  // namespace howdah::api
