#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <iostream>
#include <thread>

#include "cli/world.h"
#include "os/fd.h"

// The command line program: the real world for src/cli.

extern char** environ;

namespace {

using howdah::Error;
using howdah::ErrorCode;
using howdah::Result;
using howdah::Secret;
using howdah::Status;

std::map<std::string, std::string> read_environment() {
    std::map<std::string, std::string> variables;
    for (char** each = environ; *each != nullptr; ++each) {
        const std::string text = *each;
        const std::size_t equals = text.find('=');
        if (equals != std::string::npos) {
            variables[text.substr(0, equals)] = text.substr(equals + 1);
        }
    }
    return variables;
}

/// No echo while it lives.
class SilentTerminal {
  public:
    SilentTerminal() {
        known_ = tcgetattr(STDIN_FILENO, &before_) == 0;
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        if (known_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    SilentTerminal(const SilentTerminal&) = delete;
    SilentTerminal& operator=(const SilentTerminal&) = delete;
    ~SilentTerminal() {
        if (known_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    }

  private:
    termios before_{};
    bool known_ = false;
};

Result<Secret> ask_secret(const std::string& prompt) {
    std::cerr << prompt << std::flush;
    std::string line;
    {
        const SilentTerminal silent;
        if (!std::getline(std::cin, line)) {
            return Error{ErrorCode::cancelled, "the input ended"};
        }
    }
    std::cerr << "\n";
    return Secret(std::move(line));
}

Error system_error(std::string_view doing) {
    return {ErrorCode::io, fmt::format("cannot {}: {}", doing, strerrordesc_np(errno))};
}

/// The text in memory only, readable through /proc/self/fd/N by the program that follows.
Result<std::string> secret_file(const Secret& text) {
    howdah::os::Fd fd(memfd_create("howdah-password", 0));
    if (!fd.valid()) return system_error("make a file in memory");
    const std::string& bytes = text.reveal();
    if (write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
        fchmod(fd.get(), 0600) != 0) {
        return system_error("write a file in memory");
    }
    return fmt::format("/proc/self/fd/{}", fd.release());
}

Status become(const howdah::cli::Successor& successor) {
    if (!successor.password_file.empty()) {
        HD_TRY(const std::string path, secret_file(successor.password_file));
        setenv("PGPASSFILE", path.c_str(), 1);
    }
    std::vector<char*> arguments;
    for (const std::string& each : successor.arguments) {
        arguments.push_back(const_cast<char*>(each.c_str()));
    }
    arguments.push_back(nullptr);
    signal(SIGPIPE, SIG_DFL);
    execvp(arguments[0], arguments.data());
    const int number = errno;
    Error error = system_error("start " + successor.arguments[0]);
    if (number == ENOENT) error.hint = "install it: apt-get install postgresql-client-15";
    return error;
}

}  // namespace

int main(int argc, char** argv) {
    // A closed pipe is an error of writing, not the end of the program without a word.
    signal(SIGPIPE, SIG_IGN);
    const howdah::SystemClock clock;
    howdah::SystemIdSource ids;
    howdah::cli::World world{
        .in = std::cin,
        .out = std::cout,
        .err = std::cerr,
        .in_is_terminal = isatty(STDIN_FILENO) == 1,
        .out_is_terminal = isatty(STDOUT_FILENO) == 1,
        .err_is_terminal = isatty(STDERR_FILENO) == 1,
        .environment = read_environment(),
        .clock = clock,
        .ids = ids,
        .pause = [](howdah::Duration time) { std::this_thread::sleep_for(time); },
        .ask_secret = ask_secret,
        .become = become,
    };
    return howdah::cli::run({argv + 1, argv + argc}, world);
}
