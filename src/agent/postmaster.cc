#include "agent/postmaster.h"

#include <fmt/core.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <limits>
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
constexpr std::size_t kSegmentLine = 6;

std::vector<std::string> pid_file_lines(const std::string& data) {
    const auto text = os::read_file(data + "/postmaster.pid", 4096);
    return text.ok() ? split(*text, '\n') : std::vector<std::string>{};
}

/// Processes that have the file open: the postmaster and all it made inherit the lock's descriptor.
std::vector<pid_t> holders_of(const std::string& path) {
    std::vector<pid_t> found;
    const auto names = os::list_folder("/proc");
    if (!names.ok()) return found;
    for (const std::string& name : *names) {
        const auto pid = parse_integer(name, 2, 1 << 30);
        if (!pid.ok() || *pid == getpid()) continue;
        const std::string folder = "/proc/" + name + "/fd";
        const auto fds = os::list_folder(folder);
        if (!fds.ok()) continue;  // gone, or not ours
        for (const std::string& fd : *fds) {
            std::error_code failed;
            if (std::filesystem::read_symlink(folder + "/" + fd, failed) != path) continue;
            found.push_back(static_cast<pid_t>(*pid));
            break;
        }
    }
    return found;
}

/// The System V segment that postmaster.pid names, if it is still that directory's: ids are used
/// again after a boot, but a key is made from the directory's inode.
struct Segment {
    int id = -1;
    std::uint64_t attachments = 0;
};

std::optional<Segment> segment_of(const std::string& data) {
    const auto lines = pid_file_lines(data);
    if (lines.size() <= kSegmentLine) return std::nullopt;
    // "     key        id"
    const std::string_view line = trim(lines[kSegmentLine]);
    const std::size_t gap = line.find(' ');
    if (gap == std::string_view::npos) return std::nullopt;
    const auto key = parse_integer(line.substr(0, gap), 0, std::numeric_limits<int>::max());
    const auto id = parse_integer(trim(line.substr(gap)), 0, std::numeric_limits<int>::max());
    shmid_ds facts{};
    if (!key.ok() || !id.ok() || shmctl(static_cast<int>(*id), IPC_STAT, &facts) != 0 ||
        facts.shm_perm.__key != static_cast<key_t>(*key)) {
        return std::nullopt;
    }
    return Segment{static_cast<int>(*id), facts.shm_nattch};
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
    // A dead child that nobody has collected keeps PostgreSQL from starting: its pid is in a lock
    // file and counts as a live one.
    if (facts && facts->zombie) os::reap({static_cast<pid_t>(*pid)});
    if (!facts || facts->zombie || facts->folder != options_.paths.data()) return false;
    if (std::filesystem::path(facts->executable).filename().string().rfind("postgres", 0) != 0) {
        return false;
    }
    process_ = std::move(*handle);
    id_ = PostmasterId{*pid, static_cast<std::int64_t>(facts->start_ticks)};
    return true;
}

bool Postmaster::is_running() const { return process_ && process_->is_alive(); }

std::string Postmaster::state() const {
    if (!is_running()) return {};
    const auto lines = pid_file_lines(options_.paths.data());
    if (lines.size() <= kStatusLine || trim(lines[0]) != std::to_string(id_->pid)) return {};
    return std::string(trim(lines[kStatusLine]));
}

/// RULES, HA 10: nobody holds the lock, nobody is attached to the shared memory, and the control
/// group is empty.
bool Postmaster::is_proved_stopped() const {
    if (os::exists(options_.paths.lock()) && !os::FileLock::try_lock(options_.paths.lock()).ok()) {
        return false;
    }
    const auto segment = segment_of(options_.paths.data());
    if (segment && segment->attachments > 0) return false;
    return std::none_of(
        options_.cgroup_files.begin(), options_.cgroup_files.end(),
        [](const std::string& file) { return !trim(os::read_file(file).value_or("")).empty(); });
}

/// What has to be gone before the directory is free.
std::vector<pid_t> Postmaster::leftovers() const {
    std::vector<pid_t> all = holders_of(options_.paths.lock());
    for (const std::string& file : options_.cgroup_files) {
        for (const std::string& line : split(os::read_file(file).value_or(""), '\n')) {
            if (const auto pid = parse_integer(line, 2, 1 << 30); pid.ok())
                all.push_back(static_cast<pid_t>(*pid));
        }
    }
    return all;
}

void Postmaster::remove_shared_memory() const {
    if (!options_.user) {
        // Other servers have the same owner: only what the pid file names is this one's for sure.
        const auto segment = segment_of(options_.paths.data());
        if (segment && segment->attachments == 0) (void)shmctl(segment->id, IPC_RMID, nullptr);
        return;
    }
    // After several crashes there may be several. What the owner, who is this server's alone, has
    // left is the only way to tell them: postmaster.pid knows the last at most.
    struct shm_info totals {};
    // The kernel's interface wants the one structure where it takes the other.
    const int last = shmctl(0, SHM_INFO, reinterpret_cast<shmid_ds*>(&totals));
    for (int i = 0; i <= last; ++i) {
        shmid_ds facts{};
        const int id = shmctl(i, SHM_STAT, &facts);
        if (id >= 0 && facts.shm_perm.uid == options_.user->uid && facts.shm_nattch == 0)
            (void)shmctl(id, IPC_RMID, nullptr);
    }
    const std::string folder = "/dev/shm";
    for (const std::string& name : os::list_folder(folder).value_or({})) {
        struct stat file {};
        const std::string path = folder + "/" + name;
        if (name.starts_with("PostgreSQL.") && lstat(path.c_str(), &file) == 0 &&
            file.st_uid == options_.user->uid) {
            (void)unlink(path.c_str());
        }
    }
}

Status Postmaster::start(const std::stop_token& stop) {
    HD_CHECK(launch());
    return wait_ready(stop);
}

Status Postmaster::launch() {
    if (is_running()) return ok_status();
    // Children of a dead postmaster end by themselves; they get a moment to do so.
    HD_CHECK(end_leftovers(SIGQUIT));
    HD_TRY(const auto lock, os::FileLock::try_lock(options_.paths.lock()));
    const os::Daemon daemon{
        .arguments = {options_.program, "-D", options_.paths.data(), "-c",
                      "config_file=" + options_.paths.config() + "/postgresql.conf"},
        .environment = options_.environment,
        .folder = options_.paths.folder,
        .user = options_.user,
        .log_path = options_.paths.start_log(),
        .keep_fds = {lock.fd().get()},
        .nice = options_.nice,
        .cgroup_files = options_.cgroup_files};
    // What ALTER SYSTEM writes would outrank the configuration. Nobody may use it, but the file is
    // in a folder that PostgreSQL itself can write.
    std::optional<os::Owner> owner;
    if (options_.user) owner = os::Owner{options_.user->uid, options_.user->gid};
    HD_CHECK(os::replace_file(options_.paths.data() + "/postgresql.auto.conf", "", 0600, owner));
    HD_TRY(const pid_t pid, os::start_daemon(daemon));
    auto handle = os::ProcessHandle::open(pid);
    if (!handle.ok()) return handle.error().in("starting PostgreSQL");
    const auto facts = os::process_facts(pid);
    process_ = std::move(*handle);
    id_ = PostmasterId{pid, facts ? static_cast<std::int64_t>(facts->start_ticks) : 0};
    return ok_status();
}

Status Postmaster::wait_ready(const std::stop_token& stop) {
    const Instant deadline = clock_.now() + kStartMax;
    for (;;) {
        if (is_ready()) return ok_status();
        if (stop.stop_requested()) return Error{ErrorCode::cancelled, "it is not waited for"};
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
    HD_CHECK(end_leftovers(SIGQUIT));
    process_.reset();
    id_.reset();
    return ok_status();
}

Status Postmaster::kill() {
    if (is_running()) {
        (void)process_->signal(SIGKILL);
        (void)process_->wait_exit(kKillMax);
    }
    HD_CHECK(end_leftovers(SIGKILL));
    process_.reset();
    id_.reset();
    return ok_status();
}

/// After a postmaster was killed its children may live on; a new one must not meet them.
Status Postmaster::end_leftovers(int first_signal) {
    // A dead child that nobody has collected still counts as a process for PostgreSQL.
    if (id_ && !is_running()) os::reap({static_cast<pid_t>(id_->pid)});
    if (is_proved_stopped()) return ok_status();
    const Instant deadline = clock_.now() + kKillMax;
    int signal = first_signal;
    while (clock_.now() < deadline) {
        for (const pid_t pid : leftovers()) {
            const auto handle = os::ProcessHandle::open(pid);
            if (handle.ok()) (void)handle->signal(signal);
            os::reap({pid});
        }
        // To find who is left takes long, to see that nobody is does not.
        const Instant next = clock_.now() + kKillPoll;
        bool is_over = is_proved_stopped();
        while (!is_over && clock_.now() < next) {
            std::this_thread::sleep_for(kReadyPoll);
            is_over = is_proved_stopped();
        }
        if (is_over) {
            // One that died just now. PostgreSQL would take its pid in a lock file for a live one.
            if (id_) os::reap({static_cast<pid_t>(id_->pid)});
            return ok_status();
        }
        signal = SIGKILL;
    }
    return Error{ErrorCode::conflict,
                 "processes of " + options_.paths.data() + " do not end, even when killed", "",
                 "look for processes in state D: the storage may hang"};
}

Status Postmaster::reload() { return signal(SIGHUP); }

Status Postmaster::signal(int number) const {
    if (!process_) return Error{ErrorCode::invalid_state, "PostgreSQL is not running"};
    return process_->signal(number);
}

Result<pg::Connection> Postmaster::connect(const std::string& database, int port) const {
    return pg::Connection::open({.host = options_.paths.socket_folder,
                                 .port = port,
                                 .database = database,
                                 .user = std::string(kSuperuser),
                                 .application_name = "howdah-agent",
                                 .lock_timeout = kLockMax});
}

}  // namespace howdah::agent
