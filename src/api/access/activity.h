#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "api/call.h"

namespace howdah::api {

/// Writes the activity log: who changed what, when, and how it ended. What was begun is written
/// before it is done, so that no change is without a line, whatever is killed. Thread-safe.
///
/// Bound: kEventsPerHourMax; beyond it changes go on and only the log of howdahd has them.
/// Operations::sweep ends what is too old.
class Activity {
  public:
    static constexpr int kEventsPerHourMax = 20'000;

    explicit Activity(const ApiContext& context) : context_(context) {}

    /// A change that is allowed begins. The change must not happen if this fails.
    Status begin(const Call& call);
    /// It was answered. Failing to write is logged only: the change has happened.
    void end(const Call& call, const http::Response& response, std::string_view code,
             std::string_view message);

  private:
    bool is_within_bound();
    Status write(const model::ActivityEvent& event);
    model::ActivityEvent event_of(const Call& call, std::string status) const;

    const ApiContext& context_;
    std::mutex mutex_;
    std::string hour_;  ///< guarded by mutex_
    int written_ = 0;   ///< in this hour; guarded by mutex_
};

/// True for what changes something, and so belongs in the activity log.
bool is_change(const Call& call);

}  // namespace howdah::api
