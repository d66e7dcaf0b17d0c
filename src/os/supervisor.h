#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "os/file.h"
#include "os/process.h"

namespace howdah::os {

struct SupervisedDaemon {
    std::string name;  ///< for the log
    Daemon daemon;
    /// The daemon holds a flock on this file for as long as it lives, and writes its pid into it.
    std::string lock_path;
};

/// What a supervised daemon does with that file; it keeps the lock. `conflict`: another one has it.
Result<FileLock> lock_as_daemon(const std::string& path);

/// Keeps one daemon running beside this process. A daemon that already runs (this process was
/// killed and started anew) is adopted, not started twice; one that dies is started again, with a
/// growing pause if it dies young. The daemon outlives this object. Not thread-safe: one loop
/// calls step().
class Supervisor {
  public:
    static constexpr Duration kPauseMin = std::chrono::milliseconds(50);
    static constexpr Duration kPauseMax = std::chrono::seconds(5);
    /// A daemon that lived this long is started again without a growing pause.
    static constexpr Duration kSettledAfter = std::chrono::seconds(1);

    explicit Supervisor(SupervisedDaemon what) : what_(std::move(what)) {}

    /// Looks at the daemon, starts it if it is due. Returns when to call again at the latest; the
    /// caller may also poll watch_fd() to be woken at once when the daemon ends.
    Instant step(Instant now);
    /// Readable when the daemon has ended; -1 while there is none.
    int watch_fd() const { return process_ ? process_->fd().get() : -1; }
    std::optional<pid_t> pid() const;
    /// What the next start uses, e.g. after a port changed.
    void replace(Daemon daemon) { what_.daemon = std::move(daemon); }
    /// SIGTERM to the daemon; step() then starts it anew.
    void restart();

  private:
    bool adopt();
    void start(Instant now);

    SupervisedDaemon what_;
    std::optional<ProcessHandle> process_;
    std::optional<pid_t> child_;  ///< set if we started it, so that we reap it
    Instant started_{};
    Instant next_start_{};
    Duration pause_ = kPauseMin;
};

}  // namespace howdah::os
