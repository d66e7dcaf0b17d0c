#pragma once

#include <sys/types.h>

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "os/fd.h"

/// Child processes without a shell. Descriptors are close-on-exec except those named. Secrets go
/// in by standard input or a file of mode 0600, never by arguments or environment.
namespace howdah::os {

struct User {
    uid_t uid = 0;
    gid_t gid = 0;
    bool operator==(const User&) const = default;
};

struct Command {
    std::vector<std::string> arguments;  ///< [0] is the absolute path of the program
    std::vector<std::string>
        environment;  ///< "NAME=value"; nothing is inherited but PATH, LANG, TZ
    std::string folder = "/";
    std::optional<User> user;  ///< only as root; supplementary groups are dropped
    Secret input;              ///< standard input
    Duration timeout = std::chrono::seconds(60);  ///< then the process group is killed
    std::optional<int> nice;
    std::size_t output_bytes_max = 1 << 20;  ///< of each stream; the rest is dropped
    std::stop_token stop = {};  ///< when asked to stop, the process group is killed within 0.1 s
};

struct Finished {
    int exit_code = -1;  ///< -1 when a signal ended it
    int signal = 0;
    bool timed_out = false;
    bool stopped = false;  ///< by Command::stop
    std::string output;
    std::string error_output;
    bool succeeded() const { return exit_code == 0 && !timed_out && !stopped; }
    std::string describe() const;  ///< "exit code 2: last line of error output"
};

/// Runs to the end, and no longer than the calling thread lives. Error only when it could not be
/// started.
Result<Finished> run(const Command& command);

struct Daemon {
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    std::string folder = "/";
    std::optional<User> user;
    std::string log_path;       ///< standard output and error are appended here
    std::vector<int> keep_fds;  ///< stay open under the same numbers (locks)
    std::optional<int> nice;
    /// Files named cgroup.procs that the process joins before it becomes `user` and runs.
    std::vector<std::string> cgroup_files;
};

/// Starts a process in a session of its own that outlives this one. Returns its pid. The caller is
/// the parent for as long as it lives and reaps it with `reap`.
Result<pid_t> start_daemon(const Daemon& daemon);
/// Collects exited children that have one of these pids, without waiting. Never touches others.
void reap(const std::vector<pid_t>& pids);

/// A process that is watched and signalled through a pidfd, so that a reused pid is never hit.
class ProcessHandle {
  public:
    /// ErrorCode::not_found if there is no such process.
    static Result<ProcessHandle> open(pid_t pid);
    pid_t pid() const { return pid_; }
    const Fd& fd() const { return fd_; }  ///< becomes readable when the process has ended
    bool is_alive() const;
    bool wait_exit(Duration timeout) const;  ///< true once it has ended
    Status signal(int number) const;         ///< not_found if it has ended

  private:
    ProcessHandle(pid_t pid, Fd fd) : pid_(pid), fd_(std::move(fd)) {}
    pid_t pid_ = 0;
    Fd fd_;
};

/// From /proc; empty or zero when the process is gone.
struct ProcessFacts {
    pid_t parent = 0;
    std::uint64_t start_ticks = 0;  ///< since boot; with the pid it names a process for good
    std::string executable;
    std::string folder;
    bool zombie = false;
};
std::optional<ProcessFacts> process_facts(pid_t pid);
std::vector<pid_t> children_of(pid_t pid);

bool is_root();
Result<User> find_user(const std::string& name);

/// From now on the calling thread goes before all that share the processor by turns (SCHED_RR): for
/// what does little, but must do it in time. What it starts does not. Without root nothing changes,
/// and the error says so.
Status go_first();

/// Blocks SIGTERM and SIGINT in this and later threads and returns a descriptor that becomes
/// readable when one arrives. Ignores SIGPIPE. REQUIRES: called before threads are made.
Result<Fd> termination_fd();

}  // namespace howdah::os
