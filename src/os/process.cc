#include "os/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/text.h"
#include "os/file.h"

// glibc 2.36 declares these without C linkage.
extern "C" {
#include <sys/pidfd.h>
}

namespace howdah::os {
namespace {

/// How soon a command that is to be broken off is.
constexpr Duration kStopLook = std::chrono::milliseconds(100);

std::string error_text(int number) {
    std::array<char, 128> buffer{};
    return strerror_r(number, buffer.data(), buffer.size());
}

struct Pipe {
    Fd read;
    Fd write;
};

Result<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0)
        return Error{ErrorCode::resource_exhausted,
                     fmt::format("cannot make a pipe: {}", error_text(errno))};
    return Pipe{Fd(ends[0]), Fd(ends[1])};
}

/// Everything a child needs between fork and exec, made before the fork: there, only
/// async-signal-safe calls are allowed, because other threads may hold locks.
struct Launch {
    std::vector<char*> argv;
    std::vector<char*> envp;
    const char* folder = "/";
    int input = -1;
    int output = -1;
    int error_output = -1;
    std::optional<User> user;
    bool own_session = false;
    bool ends_with_parent = false;
    std::vector<int> keep_fds;
    std::optional<int> nice;
    std::vector<Fd> cgroup_fds;
    int report = -1;  ///< errno of a failed step goes here; closed by exec
};

std::vector<std::string> whole_environment(const std::vector<std::string>& extra) {
    std::vector<std::string> all;
    for (const char* name : {"PATH", "LANG", "TZ"}) {
        const bool given = std::any_of(extra.begin(), extra.end(), [name](const auto& each) {
            return each.rfind(std::string(name) + "=", 0) == 0;
        });
        const char* value = getenv(name);
        if (!given && value != nullptr) all.push_back(std::string(name) + "=" + value);
    }
    all.insert(all.end(), extra.begin(), extra.end());
    return all;
}

std::vector<char*> pointers(std::vector<std::string>* texts) {
    std::vector<char*> result;
    for (std::string& each : *texts) result.push_back(each.data());
    result.push_back(nullptr);
    return result;
}

void restore_signals() {
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number) sigaction(number, &standard, nullptr);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
}

bool become(const User& user) {
    return setgroups(0, nullptr) == 0 && setresgid(user.gid, user.gid, user.gid) == 0 &&
           setresuid(user.uid, user.uid, user.uid) == 0;
}

/// Runs in the child; returns only if a step failed, with errno.
void enter(const Launch& launch) {
    if (launch.own_session ? setsid() < 0 : setpgid(0, 0) != 0) return;
    restore_signals();
    for (const Fd& each : launch.cgroup_fds)
        if (write(each.get(), "0", 1) != 1) return;
    if (launch.nice) (void)setpriority(PRIO_PROCESS, 0, *launch.nice);
    if (dup2(launch.input, 0) < 0 || dup2(launch.output, 1) < 0 || dup2(launch.error_output, 2) < 0)
        return;
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return;
    for (const int fd : launch.keep_fds)
        if (fcntl(fd, F_SETFD, 0) != 0) return;
    if (launch.user && !become(*launch.user)) return;
    // After the change of user, which would clear it.
    if (launch.ends_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return;
    if (chdir(launch.folder) != 0) return;
    umask(0077);
    execve(launch.argv[0], launch.argv.data(), launch.envp.data());
}

/// Forks and execs; an error of any step up to and including exec comes back here.
Result<pid_t> launch_child(Launch* launch) {
    HD_TRY(Pipe report, make_pipe());
    launch->report = report.write.get();
    const pid_t pid = fork();
    if (pid < 0)
        return Error{ErrorCode::resource_exhausted,
                     fmt::format("cannot start a process: {}", error_text(errno))};
    if (pid == 0) {
        enter(*launch);
        const int number = errno;
        (void)!write(launch->report, &number, sizeof number);
        _exit(127);
    }
    report.write.reset();
    int number = 0;
    ssize_t count = 0;
    do {
        count = read(report.read.get(), &number, sizeof number);
    } while (count < 0 && errno == EINTR);
    if (count == static_cast<ssize_t>(sizeof number)) {
        while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
        return Error{ErrorCode::unavailable,
                     fmt::format("cannot start '{}': {}", launch->argv[0], error_text(number))};
    }
    return pid;
}

/// The pipes of a running child, moved by poll().
class Conversation {
  public:
    Conversation(const Command& command, Finished* finished)
        : bytes_max_(command.output_bytes_max),
          input_left_(command.input.reveal()),
          finished_(finished) {}

    Fd input, output, error_output;

    /// Moves what can be moved within `wait`; true when `process` has ended.
    bool step(const Fd& process, int wait_ms) {
        std::array<pollfd, 4> polled{};
        polled[0] = {process.get(), POLLIN, 0};
        polled[1] = {output.get(), POLLIN, 0};
        polled[2] = {error_output.get(), POLLIN, 0};
        polled[3] = {input.get(), POLLOUT, 0};
        if (poll(polled.data(), polled.size(), wait_ms) < 0) return false;
        if (polled[1].revents != 0) take(&output, &finished_->output);
        if (polled[2].revents != 0) take(&error_output, &finished_->error_output);
        if (polled[3].revents != 0) give();
        return polled[0].revents != 0;
    }

    /// What is in the pipes when the child is gone; a grandchild may keep them open, so that the
    /// end of the pipe is not waited for.
    void drain() {
        while (take(&output, &finished_->output)) continue;
        while (take(&error_output, &finished_->error_output)) continue;
    }

  private:
    bool take(Fd* from, std::string* to) {
        if (!from->valid()) return false;
        std::array<char, 16384> buffer{};
        const ssize_t count = read(from->get(), buffer.data(), buffer.size());
        if (count < 0) return errno == EINTR;
        if (count == 0) {
            from->reset();
            return false;
        }
        const std::size_t room = bytes_max_ - std::min(bytes_max_, to->size());
        to->append(buffer.data(), std::min(room, static_cast<std::size_t>(count)));
        return true;
    }

    void give() {
        if (input_left_.empty()) return input.reset();
        const ssize_t count = write(input.get(), input_left_.data(), input_left_.size());
        if (count < 0) {
            if (errno != EAGAIN && errno != EINTR) input.reset();
            return;
        }
        input_left_.remove_prefix(static_cast<std::size_t>(count));
        if (input_left_.empty()) input.reset();
    }

    std::size_t bytes_max_;
    std::string_view input_left_;
    Finished* finished_;
};

int milliseconds_until(Instant end, Instant now) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - now).count();
    return static_cast<int>(std::clamp<long long>(left, 0, 3'600'000));
}

void set_result(int status, Finished* finished) {
    if (WIFEXITED(status)) finished->exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) finished->signal = WTERMSIG(status);
}

/// The fields of /proc/PID/stat after the command's name, which may hold anything.
std::optional<std::vector<std::string>> stat_fields(pid_t pid) {
    const auto text = read_file(fmt::format("/proc/{}/stat", pid), 8192);
    if (!text.ok()) return std::nullopt;
    const std::size_t end = text->rfind(')');
    if (end == std::string::npos) return std::nullopt;
    auto fields = split(trim(std::string_view(*text).substr(end + 1)), ' ');
    if (fields.size() < 20) return std::nullopt;
    return fields;
}

std::string read_link(const std::string& path) {
    std::array<char, 4096> buffer{};
    const ssize_t count = readlink(path.c_str(), buffer.data(), buffer.size());
    return count < 0 ? std::string() : std::string(buffer.data(), static_cast<std::size_t>(count));
}

}  // namespace

std::string Finished::describe() const {
    std::string_view last = trim(error_output);
    if (const std::size_t line = last.find_last_of('\n'); line != std::string_view::npos)
        last = last.substr(line + 1);
    const std::string how = timed_out     ? "it took too long"
                            : stopped     ? "it was broken off"
                            : signal != 0 ? fmt::format("signal {}", signal)
                                          : fmt::format("exit code {}", exit_code);
    return last.empty() ? how : fmt::format("{}: {}", how, last.substr(0, 1024));
}

Result<Finished> run(const Command& command) {
    HD_ASSERT(!command.arguments.empty(), "a command without a program");
    const SystemClock clock;
    const Instant end = clock.now() + command.timeout;
    HD_TRY(Pipe input, make_pipe());
    HD_TRY(Pipe output, make_pipe());
    HD_TRY(Pipe error_output, make_pipe());
    std::vector<std::string> arguments = command.arguments;
    std::vector<std::string> environment = whole_environment(command.environment);
    Launch launch;
    launch.argv = pointers(&arguments);
    launch.envp = pointers(&environment);
    launch.folder = command.folder.c_str();
    launch.input = input.read.get();
    launch.output = output.write.get();
    launch.error_output = error_output.write.get();
    launch.user = command.user;
    launch.ends_with_parent = true;
    launch.nice = command.nice;
    HD_TRY(const pid_t pid, launch_child(&launch));

    Finished finished;
    Conversation conversation(command, &finished);
    conversation.input = std::move(input.write);
    conversation.output = std::move(output.read);
    conversation.error_output = std::move(error_output.read);
    for (const Fd* fd : {&conversation.input, &conversation.output, &conversation.error_output})
        fcntl(fd->get(), F_SETFL, O_NONBLOCK);
    output.write.reset();
    error_output.write.reset();
    input.read.reset();
    const Fd process(pidfd_open(pid, 0));
    for (;;) {
        const Instant now = clock.now();
        const Instant next = command.stop.stop_possible() ? std::min(end, now + kStopLook) : end;
        if (conversation.step(process, milliseconds_until(next, now))) break;
        finished.stopped = command.stop.stop_requested();
        finished.timed_out = !finished.stopped && clock.now() >= end;
        if (finished.stopped || finished.timed_out) break;
    }
    // The group and not only the child: what it left behind must not go on.
    kill(-pid, SIGKILL);
    if (finished.timed_out || finished.stopped) kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    set_result(status, &finished);
    conversation.drain();
    return finished;
}

Result<pid_t> start_daemon(const Daemon& daemon) {
    HD_ASSERT(!daemon.arguments.empty(), "a daemon without a program");
    const Fd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::string log_path = daemon.log_path.empty() ? "/dev/null" : daemon.log_path;
    const Fd log(open(log_path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    if (!log.valid() || !null.valid())
        return Error{ErrorCode::io,
                     fmt::format("cannot open '{}': {}", log_path, error_text(errno))};
    std::vector<std::string> arguments = daemon.arguments;
    std::vector<std::string> environment = whole_environment(daemon.environment);
    Launch launch;
    launch.argv = pointers(&arguments);
    launch.envp = pointers(&environment);
    launch.folder = daemon.folder.c_str();
    launch.input = null.get();
    launch.output = log.get();
    launch.error_output = log.get();
    launch.user = daemon.user;
    launch.own_session = true;
    launch.keep_fds = daemon.keep_fds;
    launch.nice = daemon.nice;
    for (const std::string& path : daemon.cgroup_files) {
        Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
        if (!fd.valid())
            return Error{ErrorCode::io,
                         fmt::format("cannot open '{}': {}", path, error_text(errno))};
        launch.cgroup_fds.push_back(std::move(fd));
    }
    return launch_child(&launch);
}

void reap(const std::vector<pid_t>& pids) {
    for (const pid_t pid : pids)
        while (waitpid(pid, nullptr, WNOHANG) < 0 && errno == EINTR) continue;
}

Result<ProcessHandle> ProcessHandle::open(pid_t pid) {
    Fd fd(pid > 0 ? pidfd_open(pid, 0) : -1);
    if (!fd.valid())
        return Error{pid <= 0 || errno == ESRCH || errno == EINVAL ? ErrorCode::not_found
                                                                   : ErrorCode::resource_exhausted,
                     fmt::format("there is no process {}", pid)};
    return ProcessHandle(pid, std::move(fd));
}

bool ProcessHandle::is_alive() const { return !wait_exit(Duration::zero()); }

bool ProcessHandle::wait_exit(Duration timeout) const {
    const SystemClock clock;
    const Instant end = clock.now() + timeout;
    while (true) {
        pollfd polled{fd_.get(), POLLIN, 0};
        const int count = poll(&polled, 1, milliseconds_until(end, clock.now()));
        if (count > 0) return true;
        if (clock.now() >= end) return false;
    }
}

Status ProcessHandle::signal(int number) const {
    if (pidfd_send_signal(fd_.get(), number, nullptr, 0) == 0) return {};
    if (errno == ESRCH)
        return Error{ErrorCode::not_found, fmt::format("process {} has ended", pid_)};
    return Error{ErrorCode::io, fmt::format("cannot send signal {} to process {}: {}", number, pid_,
                                            error_text(errno))};
}

std::optional<ProcessFacts> process_facts(pid_t pid) {
    const auto fields = stat_fields(pid);
    if (!fields) return std::nullopt;
    ProcessFacts facts;
    facts.zombie = (*fields)[0] == "Z" || (*fields)[0] == "X";
    facts.parent = static_cast<pid_t>(parse_integer((*fields)[1], 0, 1 << 30).value_or(0));
    facts.start_ticks = static_cast<std::uint64_t>(
        parse_integer((*fields)[19], 0, std::numeric_limits<long long>::max()).value_or(0));
    facts.executable = read_link(fmt::format("/proc/{}/exe", pid));
    facts.folder = read_link(fmt::format("/proc/{}/cwd", pid));
    return facts;
}

std::vector<pid_t> children_of(pid_t pid) {
    std::vector<pid_t> children;
    const auto names = list_folder("/proc");
    if (!names.ok()) return children;
    for (const std::string& name : *names) {
        const auto number = parse_integer(name, 1, 1 << 30);
        if (!number.ok()) continue;
        const auto each = static_cast<pid_t>(*number);
        const auto fields = stat_fields(each);
        if (fields && (*fields)[1] == std::to_string(pid)) children.push_back(each);
    }
    return children;
}

bool is_root() { return geteuid() == 0; }

Result<User> find_user(const std::string& name) {
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, 16384> buffer{};
    const int number = getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found == nullptr)
        return Error{number == 0 ? ErrorCode::not_found : ErrorCode::io,
                     fmt::format("there is no operating-system user '{}'", name)};
    return User{found->pw_uid, found->pw_gid};
}

Status go_first() {
    sched_param priority{};
    priority.sched_priority = 1;
    if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &priority) == 0) return {};
    return Error{ErrorCode::not_supported,
                 fmt::format("this thread cannot go before others: {}", error_text(errno)), "",
                 "run howdah as root"};
}

Result<Fd> termination_fd() {
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    ::signal(SIGPIPE, SIG_IGN);
    if (pthread_sigmask(SIG_BLOCK, &wanted, nullptr) != 0)
        return Error{ErrorCode::internal, "cannot block signals"};
    Fd fd(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd.valid())
        return Error{ErrorCode::resource_exhausted,
                     fmt::format("cannot watch signals: {}", error_text(errno))};
    return fd;
}

}  // namespace howdah::os
