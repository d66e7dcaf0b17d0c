#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "base/clock.h"

namespace howdah::control {

/// Keys that wait to be worked on. A key is in the queue at most once and is worked on by at most
/// one worker at a time; added while it is worked on, it comes again afterwards. So the queue is
/// bounded by the number of things there are. Thread-safe.
class WorkQueue {
  public:
    explicit WorkQueue(const Clock& clock) : clock_(clock) {}

    void add(const std::string& key);
    /// Adds the key after a pause; the earlier of two pauses counts.
    void add_after(const std::string& key, Duration pause);

    /// Waits for a key; none once a stop is requested. The caller calls done() with it.
    std::optional<std::string> take(std::stop_token stop);
    /// A key that is due now, without waiting.
    std::optional<std::string> try_take();
    void done(const std::string& key);

    /// How long until the next paused key is due; none if there is none.
    std::optional<Duration> until_next() const;
    bool is_idle() const;  ///< nothing is due and nothing is worked on

  private:
    // REQUIRES of all below: mutex_.
    void add_locked(const std::string& key);
    void release_due();
    std::optional<std::string> take_locked();

    const Clock& clock_;
    mutable std::mutex mutex_;
    std::condition_variable_any changed_;
    std::deque<std::string> ready_;
    std::set<std::string> waiting_;  ///< in ready_, or to come after it is done
    std::set<std::string> working_;
    std::map<std::string, Instant> paused_;
    std::set<std::pair<Instant, std::string>> by_time_;  ///< the same as paused_
};

}  // namespace howdah::control
