#include "agent/postmaster.h"

#include <fmt/core.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "agent/config/render.h"
#include "base/log.h"
#include "base/text.h"
#include "os/file.h"

namespace howdah::agent {
namespace {

constexpr Duration kReadyPoll = std::chrono::milliseconds(2);
constexpr Duration kKillPoll = std::chrono::milliseconds(20);
constexpr std::size_t kLogTailBytes = 2000;
/// postmaster.pid has the pid in its first line and the state in its eighth.
constexpr std::size_t kStatusLine = 7;

std::vector<std::string> pid_file_lines(const std::string& data) {
    const auto text = os::read_file(data + "/postmaster.pid", 4096);
    return text.ok() ? split(*text, '\n') : std::vector<std::string>{};
}

/// Processes whose working directory is the data directory: postmaster and all its children.
std::vector<pid_t> processes_in(const std::string& data) {
    std::vector<pid_t> found;
    const auto names = os::list_folder("/proc");
    if (!names.ok()) return found;
    for (const std::string& name : *names) {
        const auto pid = parse_integer(name, 2, 1 << 30);
        if (!pid.ok()) continue;
        const auto facts = os::process_facts(static_cast<pid_t>(*pid));
        if (facts && facts->folder == data) found.push_back(static_cast<pid_t>(*pid));
    }
    return found;
}

}  // namespace

Postmaster::Postmaster(Options options, const Clock& clock)
    : options_(std::move(options)), clock_(clock) {}

bool Postmaster::adopt() {
    const auto lines = pid_file_lines(options_.paths.data());
    if (lines.empty()) return false;
    const auto pid = parse_integer(trim(lines[0]), 2, 1 << 30);
    if (!pid.ok()) return false;
    auto handle = os::ProcessHandle::open(static_cast<pid_t>(*pid));
    if (!handle.ok()) return false;
    // Looked at after the handle is ours: what we see is what we hold.
    const auto facts = os::process_facts(static_cast<pid_t>(*pid));
    if (!facts || facts->zombie || facts->folder != options_.paths.data()) return false;
    if (std::filesystem::path(facts->executable).filename().string().rfind("postgres", 0) != 0) {
        return false;
    }
    process_ = std::move(*handle);
    id_ = PostmasterId{*pid, static_cast<std::int64_t>(facts->start_ticks)};
    return true;
}

bool Postmaster::is_running() const { return process_ && process_->is_alive(); }

bool Postmaster::is_proved_stopped() const {
    return os::FileLock::try_lock(options_.paths.lock()).ok();
}

Status Postmaster::start() {
    HD_CHECK(end_leftovers());
    HD_TRY(const auto lock, os::FileLock::try_lock(options_.paths.lock()));
    const os::Daemon daemon{
        .arguments = {options_.program, "-D", options_.paths.data(), "-c",
                      "config_file=" + options_.paths.config() + "/postgresql.conf"},
        .folder = options_.paths.folder,
        .user = options_.user,
        .log_path = options_.paths.start_log(),
        .keep_fds = {lock.fd().get()},
        .cgroup_files = options_.cgroup_files};
    HD_TRY(const pid_t pid, os::start_daemon(daemon));
    auto handle = os::ProcessHandle::open(pid);
    if (!handle.ok()) return handle.error().in("starting PostgreSQL");
    const auto facts = os::process_facts(pid);
    process_ = std::move(*handle);
    id_ = PostmasterId{pid, facts ? static_cast<std::int64_t>(facts->start_ticks) : 0};
    return wait_ready();
}

Status Postmaster::wait_ready() {
    const Instant deadline = clock_.now() + kStartMax;
    const std::string own_pid = std::to_string(id_->pid);
    for (;;) {
        const auto lines = pid_file_lines(options_.paths.data());
        if (lines.size() > kStatusLine && trim(lines[0]) == own_pid &&
            trim(lines[kStatusLine]) == "ready") {
            return ok_status();
        }
        if (process_->wait_exit(kReadyPoll)) {
            os::reap({static_cast<pid_t>(id_->pid)});
            process_.reset();
            id_.reset();
            return Error{ErrorCode::postgres, "PostgreSQL did not start: " + log_tail()};
        }
        if (clock_.now() > deadline) {
            return Error{ErrorCode::timeout, "PostgreSQL is not ready yet", "",
                         "look at " + options_.paths.log()};
        }
    }
}

/// The last words of a PostgreSQL that gave up before its logger ran.
std::string Postmaster::log_tail() const {
    auto text = os::read_file(options_.paths.start_log());
    if (!text.ok()) return "it left no message";
    std::string tail = text->size() > kLogTailBytes ? text->substr(text->size() - kLogTailBytes)
                                                    : std::move(*text);
    std::vector<std::string> telling;
    for (const std::string& line : split(tail, '\n')) {
        for (const std::string_view word : {"FATAL:", "ERROR:", "HINT:", "PANIC:"}) {
            const std::size_t at = line.find(word);
            if (at != std::string::npos) telling.push_back(line.substr(at));
        }
    }
    if (telling.size() > 3) telling.erase(telling.begin(), telling.end() - 3);
    return telling.empty() ? std::string(trim(tail)) : join(telling, "; ");
}

Status Postmaster::stop() {
    if (is_running()) {
        (void)process_->signal(SIGINT);  // fast: ends sessions, writes a checkpoint
        if (!process_->wait_exit(kFastStopMax)) {
            log::warn("PostgreSQL does not stop in time and is ended at once",
                      {{"folder", options_.paths.folder}});
            (void)process_->signal(SIGQUIT);
            (void)process_->wait_exit(kKillMax);
        }
    }
    if (id_) os::reap({static_cast<pid_t>(id_->pid)});
    HD_CHECK(end_leftovers());
    process_.reset();
    id_.reset();
    return ok_status();
}

/// After a postmaster was killed its children may live on; a new one must not meet them.
Status Postmaster::end_leftovers() {
    // A dead child that nobody has collected still counts as a process for PostgreSQL.
    if (id_ && !is_running()) os::reap({static_cast<pid_t>(id_->pid)});
    if (!os::exists(options_.paths.lock()) || is_proved_stopped()) return ok_status();
    const Instant deadline = clock_.now() + kKillMax;
    // Children of a dead postmaster end by themselves; they get a moment to do so.
    int signal = SIGQUIT;
    while (clock_.now() < deadline) {
        for (const pid_t pid : processes_in(options_.paths.data())) {
            const auto handle = os::ProcessHandle::open(pid);
            if (handle.ok()) (void)handle->signal(signal);
            os::reap({pid});
        }
        std::this_thread::sleep_for(kKillPoll);
        if (is_proved_stopped()) return ok_status();
        signal = SIGKILL;
    }
    return Error{ErrorCode::conflict,
                 "processes of " + options_.paths.data() + " do not end, even when killed", "",
                 "look for processes in state D: the storage may hang"};
}

Status Postmaster::reload() {
    if (!process_) return Error{ErrorCode::invalid_state, "PostgreSQL is not running"};
    return process_->signal(SIGHUP);
}

Result<pg::Connection> Postmaster::connect(const std::string& database, int port) const {
    return pg::Connection::open({.host = options_.paths.socket_folder,
                                 .port = port,
                                 .database = database,
                                 .user = std::string(kSuperuser),
                                 .application_name = "howdah-agent"});
}

}  // namespace howdah::agent
