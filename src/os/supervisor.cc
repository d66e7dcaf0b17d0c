#include "os/supervisor.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "os/file.h"

namespace howdah::os {

Result<FileLock> lock_as_daemon(const std::string& path) {
    HD_TRY(auto lock, FileLock::try_lock(path));
    const std::string pid = std::to_string(getpid()) + "\n";
    if (ftruncate(lock.fd().get(), 0) != 0 ||
        pwrite(lock.fd().get(), pid.data(), pid.size(), 0) < 0)
        return Error{ErrorCode::io, "cannot write " + path};
    return lock;
}

std::optional<pid_t> Supervisor::pid() const {
    if (!process_) return std::nullopt;
    return process_->pid();
}

Instant Supervisor::step(Instant now) {
    if (process_) {
        if (process_->is_alive()) return now + std::chrono::seconds(1);
        if (child_) reap({*child_});
        log::warn("a daemon ended and is started again",
                  {{"daemon", what_.name}, {"pid", static_cast<int>(process_->pid())}});
        pause_ = now - started_ >= kSettledAfter ? kPauseMin : std::min(pause_ * 2, kPauseMax);
        next_start_ = now + pause_;
        process_.reset();
        child_.reset();
    }
    if (now < next_start_) return next_start_;
    if (!adopt()) start(now);
    return process_ ? now + std::chrono::seconds(1) : next_start_;
}

/// Looks for a daemon that an earlier run of this process has started.
bool Supervisor::adopt() {
    {
        const auto lock = FileLock::try_lock(what_.lock_path);
        if (lock.ok() || lock.error().code != ErrorCode::conflict) return false;
    }
    const auto text = read_file(what_.lock_path, 64);
    if (!text.ok()) return false;
    const auto number = parse_integer(trim(*text), 2, 1 << 30);
    if (!number.ok()) return false;
    auto handle = ProcessHandle::open(static_cast<pid_t>(*number));
    if (!handle.ok()) return false;
    process_ = std::move(*handle);
    log::info("adopted a running daemon", {{"daemon", what_.name}, {"pid", *number}});
    return true;
}

void Supervisor::start(Instant now) {
    started_ = now;
    const auto pid = start_daemon(what_.daemon);
    if (!pid.ok()) {
        pause_ = std::min(pause_ * 2, kPauseMax);
        next_start_ = now + pause_;
        log::error("a daemon could not be started",
                   {{"daemon", what_.name}, {"reason", pid.error().describe()}});
        return;
    }
    child_ = *pid;
    auto handle = ProcessHandle::open(*pid);
    if (handle.ok())
        process_ = std::move(*handle);
    else
        next_start_ = now + pause_;
    log::info("started a daemon", {{"daemon", what_.name}, {"pid", static_cast<int>(*pid)}});
}

void Supervisor::restart() {
    if (process_) (void)process_->signal(SIGTERM);
}

}  // namespace howdah::os
