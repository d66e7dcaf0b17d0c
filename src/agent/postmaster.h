#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/layout.h"
#include "base/clock.h"
#include "base/result.h"
#include "os/process.h"
#include "pg/connection.h"

namespace howdah::agent {

/// Which run of a postmaster: pids are reused, a pid with its start time is not.
struct PostmasterId {
    std::int64_t pid = 0;
    std::int64_t start_ticks = 0;
    bool operator==(const PostmasterId&) const = default;
};

/// The PostgreSQL process of one data directory. Outlives this object. Not thread-safe.
///
/// A lock beside the data directory is inherited by the postmaster and every process it makes, and
/// held by nobody else: while one of them lives, no second postmaster can be started, not even
/// from another PID namespace, and a free lock proves that all of them are gone (RULES, HA 10).
class Postmaster {
  public:
    static constexpr Duration kStartMax = std::chrono::minutes(10);  ///< crash recovery takes long
    static constexpr Duration kFastStopMax = std::chrono::seconds(30);
    static constexpr Duration kKillMax = std::chrono::seconds(10);
    /// Sessions of ours wait no longer for a lock: customers may hold one as long as they like.
    static constexpr Duration kLockMax = std::chrono::seconds(10);

    struct Options {
        std::string program;  ///< absolute path of `postgres`
        InstancePaths paths;
        std::optional<os::User> user;
        std::vector<std::string> cgroup_files;
        std::vector<std::string> environment = {};  ///< "NAME=value"
        std::optional<int> nice = {};
    };

    Postmaster(Options options, const Clock& clock);

    /// Takes over a postmaster that already runs here (RULES, HA 11). False if there is none.
    bool adopt();
    /// Starts, or goes on with one that is starting, and waits until connections are accepted.
    /// Errors: `conflict` if processes of this directory still live; `postgres` with the end of its
    /// log if it gave up; `timeout` if it is still at it.
    Status start(const std::stop_token& stop = {});
    /// The same without waiting: is_ready() tells. Fine if it runs already.
    Status launch();
    /// Ends it with SIGKILL; ok only when it is proved that nothing of it is left.
    Status kill();
    /// Ends it, the hard way if need be; ok only when it is proved that nothing of it is left.
    Status stop();
    Status reload();
    Status signal(int number) const;
    bool is_running() const;
    bool is_ready() const { return state() == "ready"; }  ///< running, and past its recovery
    /// By postmaster.pid: starting, ready, standby or stopping; empty if it does not run.
    std::string state() const;
    std::optional<PostmasterId> id() const { return id_; }
    /// Readable when the postmaster has ended; -1: none.
    int watch_fd() const { return process_ ? process_->fd().get() : -1; }
    /// The last words of a PostgreSQL that gave up before its logger ran.
    std::string log_tail() const;
    /// Frees the shared memory a killed postmaster left behind. REQUIRES: proved stopped.
    void remove_shared_memory() const;
    /// A session of the superuser through the unix socket.
    Result<pg::Connection> connect(const std::string& database, int port) const;
    void set_cgroup_files(std::vector<std::string> files) {
        options_.cgroup_files = std::move(files);
    }

  private:
    Status wait_ready(const std::stop_token& stop);
    Status end_leftovers(int first_signal);
    bool is_proved_stopped() const;
    std::vector<pid_t> leftovers() const;

    Options options_;
    const Clock& clock_;
    std::optional<os::ProcessHandle> process_;
    std::optional<PostmasterId> id_;
};

}  // namespace howdah::agent
