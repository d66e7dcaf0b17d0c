#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "gateway/routes_file.h"
#include "model/records.h"
#include "os/file.h"
#include "os/process.h"
#include "os/supervisor.h"
#include "pooler/pgbouncer_files.h"

/// Pooling of connections: a PgBouncer for each server that wants one, beside the gateway.
namespace howdah::pooler {

/// Where the pooler keeps what.
struct Places {
    std::string home;

    std::string folder() const { return home + "/pooler"; }
    /// The way to the PgBouncers, as a route table of the gateway in front of them.
    std::string routes() const { return folder() + "/routes.json"; }
    std::string log(const std::string& name) const { return home + "/log/" + name + ".log"; }
    std::string lock() const { return home + "/run/pooler.lock"; }
    std::string gateway_lock() const { return home + "/run/gateway-pooled.lock"; }
    std::string gateway_status() const { return home + "/run/gateway-pooled.json"; }
};

/// One server's PgBouncer: its folder, its files, its process, which outlives this object.
///
/// It follows the server's route: an open one is where its connections lead; while it is not open
/// no transaction begins, and sessions are closed as their transactions end (PAUSE). So a server
/// whose agent closes the route before it ends PostgreSQL changes its primary without an error.
/// Signals are all that PgBouncer is told with: they need no password and wait for nothing.
class Bouncer {
  public:
    Bouncer(std::string server_id, const Places& places);

    /// Makes folder and user, or takes over what an earlier run has left.
    Status begin();
    /// Brings files and process to what the route says. Repeatable.
    Status follow(const model::Route& route);
    /// Starts PgBouncer if it does not run. Returns when to call again at the latest.
    Instant tend(Instant now);
    /// Call it now and then.
    void bound_log() const;
    /// Ends PgBouncer and removes every trace. False: it has not ended yet, call again.
    bool remove();

    /// Of its folder.
    const std::string& name() const { return name_; }
    int watch_fd() const { return process_ ? process_->watch_fd() : -1; }
    /// The way to it; none: nobody can be let in yet.
    std::optional<model::Route> route() const;

  private:
    Status choose_port();
    Status use_route(const model::Route& route);
    Status end_former_life(const model::Route& route);
    Status write(const char* file, const std::string& content);
    std::optional<pid_t> running() const;
    bool has_begun();
    void tell(int number) const;

    const std::string server_id_;
    const std::string name_;
    const std::string folder_;
    const std::string log_path_;
    std::optional<os::Owner> owner_;
    std::optional<os::User> user_;
    PgBouncer files_;
    std::optional<model::Route> route_;  ///< that was followed last
    std::optional<os::Supervisor> process_;
    std::optional<pid_t> begun_;  ///< the process that is known to listen to signals
    int pauses_left_ = 0;         ///< how often it is yet told to pause, in case it did not hear
    bool is_paused_ = false;
    bool is_changed_ = false;  ///< files were written that the process has not read
};

/// All of a machine. Not thread-safe: one loop calls step().
class Pooler {
  public:
    struct Options {
        std::string home;
        std::vector<std::string> routes_paths;  ///< of all agents whose servers are reached here
        /// Runs once there is a server to be reached through it.
        os::SupervisedDaemon gateway;
    };

    Pooler(Options options, const Clock& clock);
    /// Takes over what an earlier run has left.
    Status begin();
    /// Returns when to call again at the latest; sooner if one of watch_fds() is readable.
    Instant step();
    std::vector<int> watch_fds() const;

  private:
    void read_routes();
    bool are_routes_known(Instant now) const;
    Status publish();

    struct Source {
        std::unique_ptr<gateway::RoutesFile> file;
        model::RouteTable table;
        bool is_known = false;  ///< it was read once: what it does not have is not there
        bool is_unread = true;  ///< it has changed since it was last read well
    };
    struct Entry {
        Bouncer bouncer;
        Instant wanted{};  ///< when its server was last seen to want it
    };
    Entry* entry_of(const model::Route& route);
    void follow_routes(Instant now);

    const Options options_;
    const Places places_;
    const Clock& clock_;
    std::vector<Source> sources_;
    model::RouteTable routes_;
    std::map<std::string, Entry> entries_;  ///< by server id
    std::optional<os::Supervisor> gateway_;
    std::string published_;
    std::int64_t revision_ = 0;
    Instant files_due_{};
    Instant begun_{};
    bool is_due_ = true;  ///< routes or files may have changed
};

}  // namespace howdah::pooler
