#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/records.h"
#include "store/store.h"

namespace howdah::agent {

/// What the agents of several machines tell each other, in etcd: where each one is and what it
/// routes, so that every machine's gateway leads to every server, and every PostgreSQL lets the
/// other machines' gateways and standbys in. Nobody of the control plane takes part.
///
/// What was heard last is kept in two files, and counts for as long as nothing newer is heard: an
/// agent that is gone still has servers that run. Thread-safe.
class Neighbours {
  public:
    static constexpr std::size_t kNoticesMax = 500;  ///< more are not listened to
    static constexpr Duration kPauseMin = std::chrono::milliseconds(50);
    static constexpr Duration kPauseMax = std::chrono::seconds(2);
    /// How often it is looked whether etcd still has what was told.
    static constexpr Duration kRepeat = std::chrono::seconds(20);

    struct Options {
        model::AgentNotice own;   ///< its routes are told later
        std::string heard_path;   ///< model::AgentNotices
        std::string routes_path;  ///< model::RouteTable, for the gateway of this machine
    };
    /// `store` is borrowed.
    Neighbours(Options options, store::Store& store)
        : options_(std::move(options)), store_(store) {}

    /// Reads what was heard last. A damaged file is as none: all is heard again.
    void load();

    /// Whoever is on another machine, without routes.
    std::vector<model::AgentNotice> others() const;
    /// These are this agent's routes from now on. Returns at once.
    void tell(const std::vector<model::Route>& routes);

    // In a thread each, until a stop is requested.
    void talk(std::stop_token stop);
    /// `changed` is called when the addresses of others() change.
    void listen(std::stop_token stop, const std::function<void()>& changed);

  private:
    Status put(const std::string& text);
    Status hear_from_scratch(std::unique_ptr<store::Watch>& watch);
    void take(std::string_view key, const std::optional<store::Entry>& entry);
    Status note();
    bool pause(std::stop_token stop, Duration longest);

    const Options options_;
    store::Store& store_;

    mutable std::mutex mutex_;
    std::condition_variable_any wake_;
    model::AgentNotice own_;   ///< guarded by mutex_
    bool is_untold_ = false;   ///< guarded by mutex_
    bool has_routes_ = false;  ///< guarded by mutex_; before, an earlier agent's are left alone
    std::map<std::string, model::AgentNotice> heard_;  ///< guarded by mutex_; by host, others' only
    // Of listen() alone.
    std::int64_t revision_ = 0;  ///< of the table
    bool is_unnoted_ = true;     ///< what was heard is not in the files yet
};

/// The table for the gateway of this machine: what the others route, reached where they are.
/// Without what only means something on their own machine.
std::vector<model::Route> routes_of_others(const std::vector<model::AgentNotice>& notices);

}  // namespace howdah::agent
