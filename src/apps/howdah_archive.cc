// howdah-archive: PostgreSQL's archive_command and restore_command. It hands the question to
// howdah-agent, which alone reaches the repository, and waits for its word.

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/text.h"
#include "os/file.h"
#include "os/unix_socket.h"

namespace howdah {
namespace {

constexpr int kMissing = 1;
/// PostgreSQL takes 1 to 125 from restore_command for "there is no such file", and ends a recovery
/// there. More than that ends PostgreSQL, which is started anew and asks again.
constexpr int kCannotAsk = 200;
constexpr Duration kAnswerMax = std::chrono::minutes(6);
/// How long an agent that is not there is waited for: it may be about to be started anew.
constexpr Duration kAgentMax = std::chrono::seconds(60);
constexpr Duration kPause = std::chrono::milliseconds(500);
constexpr std::size_t kWords = 5;

struct Arguments {
    std::string socket;
    std::string server;
    std::string verb;
    std::string file;
    std::string path;  ///< of get
};

/// "ok BYTES", a line break, the content.
Result<std::string> content_of(const std::string& answer) {
    const std::size_t end = answer.find('\n');
    const std::string line = answer.substr(0, end);
    if (line == "missing") return Error{ErrorCode::not_found, "the archive does not have it"};
    if (end == std::string::npos || !line.starts_with("ok "))
        return Error{ErrorCode::unavailable, line.empty() ? "howdah-agent has gone" : line};
    const auto bytes = parse_integer(line.substr(3), 0, 1LL << 32);
    if (!bytes.ok() || static_cast<std::size_t>(*bytes) != answer.size() - end - 1)
        return Error{ErrorCode::unavailable, "the answer of howdah-agent is not whole"};
    return answer.substr(end + 1);
}

Result<std::string> ask(const Arguments& arguments) {
    const SystemClock clock;
    const Instant deadline = clock.now() + kAgentMax;
    const std::string question =
        fmt::format("{} {} {}\n", arguments.verb, arguments.server, arguments.file);
    for (;;) {
        const auto answer =
            os::ask_unix_socket(arguments.socket, question, kAnswerMax, os::AnswerEnd::at_close);
        const auto content = answer.ok() ? content_of(*answer) : answer;
        const bool is_final = content.ok() || content.error().code != ErrorCode::unavailable;
        if (is_final || arguments.verb == "push" || clock.now() > deadline) return content;
        std::this_thread::sleep_for(kPause);
    }
}

int carry_out(const Arguments& arguments) {
    const auto content = ask(arguments);
    const bool is_push = arguments.verb == "push";
    if (!content.ok()) {
        const bool is_missing = content.error().code == ErrorCode::not_found;
        if (is_push || !is_missing)
            fmt::print(stderr, "howdah-archive: {}: {}\n", arguments.file,
                       content.error().describe());
        return is_push || is_missing ? kMissing : kCannotAsk;
    }
    if (is_push) return 0;
    const Status written = os::replace_file(arguments.path, *content, 0600);
    if (written.ok()) return 0;
    fmt::print(stderr, "howdah-archive: {}\n", written.error().describe());
    return kCannotAsk;
}

int run(const std::vector<std::string>& words) {
    const bool is_push = words.size() == kWords - 1 && words[2] == "push";
    const bool is_get = words.size() == kWords && words[2] == "get";
    if (!is_push && !is_get) {
        fmt::print(stderr,
                   "usage: howdah-archive SOCKET SERVER push FILE\n"
                   "       howdah-archive SOCKET SERVER get FILE PATH\n"
                   "PostgreSQL runs it; nobody else needs to.\n");
        return kCannotAsk;
    }
    return carry_out({words[0], words[1], words[2], words[3], is_get ? words[4] : ""});
}

}  // namespace
}  // namespace howdah

int main(int argc, char** argv) { return howdah::run({argv + 1, argv + argc}); }
