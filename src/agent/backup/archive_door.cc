#include "agent/backup/archive_door.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <list>
#include <system_error>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/text.h"
#include "core/backup/wal_archive.h"

namespace howdah::agent {
namespace {

constexpr int kBacklog = 128;
constexpr int kPollMs = 200;
constexpr std::size_t kServerBytesMax = 64;

bool is_server(std::string_view text) {
    return !text.empty() && text.size() <= kServerBytesMax &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-';
           });
}

int left_ms(Instant deadline) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - SystemClock().now()).count();
    return static_cast<int>(std::max<long long>(left, 0));
}

Result<std::string> read_line(int fd) {
    const Instant deadline = SystemClock().now() + ArchiveDoor::kLineMax;
    std::string line;
    std::array<char, ArchiveDoor::kLineBytesMax> buffer{};
    while (line.find('\n') == std::string::npos) {
        pollfd waiting{fd, POLLIN, 0};
        if (line.size() >= ArchiveDoor::kLineBytesMax || poll(&waiting, 1, left_ms(deadline)) <= 0)
            return Error{ErrorCode::invalid_argument, "the question is not one short line"};
        const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
        if (got <= 0) return Error{ErrorCode::unavailable, "whoever asked has gone"};
        line.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return line.substr(0, line.find('\n'));
}

/// Whoever does not take it in time goes without.
void send_all(int fd, std::string_view text) {
    const Instant deadline = SystemClock().now() + ArchiveDoor::kSendMax;
    while (!text.empty()) {
        pollfd waiting{fd, POLLOUT, 0};
        if (poll(&waiting, 1, left_ms(deadline)) <= 0) return;
        const ssize_t sent = send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
}

/// On one line, whatever a program's words were.
std::string one_line(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c < ' ' && c != '\t'; }, ' ');
    return text;
}

std::string text_of(const ArchiveAnswer& answer) {
    if (answer.ok()) return fmt::format("ok {}\n{}", answer->size(), *answer);
    if (answer.error().code == ErrorCode::not_found) return "missing\n";
    return fmt::format("error {}\n", one_line(answer.error().describe()));
}

void serve(const os::Fd& client, const ArchiveDoor::Answer& answer) {
    ucred who{};
    socklen_t size = sizeof who;
    if (getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return;
    const auto line = read_line(client.get());
    auto question =
        line.ok() ? parse_archive_question(*line) : Result<ArchiveQuestion>(line.error());
    if (!question.ok()) return send_all(client.get(), text_of(question.error()));
    question->user = who.uid;
    send_all(client.get(), text_of(answer(*question)));
}

}  // namespace

Result<ArchiveQuestion> parse_archive_question(std::string_view line) {
    const std::vector<std::string> words = split(line, ' ');
    const bool is_known = words.size() == 3 && (words[0] == "push" || words[0] == "get");
    if (!is_known || !is_server(words[1]) || !core::backup::is_archive_name(words[2]))
        return Error{ErrorCode::invalid_argument, "this is no question about an archive"};
    return ArchiveQuestion{.is_push = words[0] == "push", .server = words[1], .file = words[2]};
}

Result<ArchiveDoor> ArchiveDoor::open(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return Error{ErrorCode::invalid_argument, "the path of a socket is too long: " + path};
    std::memcpy(address.sun_path, path.data(), path.size());
    (void)unlink(path.c_str());
    os::Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const bool listens =
        bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        chmod(path.c_str(), 0666) == 0 && listen(fd.get(), kBacklog) == 0;
    if (!listens)
        return Error{ErrorCode::io, fmt::format("cannot listen at {}: {}", path, strerror(errno))};
    return ArchiveDoor(std::move(fd));
}

void ArchiveDoor::run(const std::stop_token& stop, const Answer& answer) const {
    struct Visit {
        std::atomic<bool> is_over = false;
        std::jthread thread;
    };
    std::list<Visit> visits;
    while (!stop.stop_requested()) {
        visits.remove_if([](const Visit& each) { return each.is_over.load(); });
        pollfd waiting{listener_.get(), POLLIN, 0};
        if (visits.size() >= kOpenMax) waiting.fd = -1;
        if (poll(&waiting, 1, visits.size() >= kOpenMax ? kPollMs / 20 : kPollMs) <= 0) continue;
        os::Fd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!client.valid()) continue;
        Visit& visit = visits.emplace_back();
        try {
            visit.thread = std::jthread([&visit, &answer, fd = std::move(client)] {
                serve(fd, answer);
                visit.is_over = true;
            });
        } catch (const std::system_error& problem) {
            log::error("no thread is to be had", {{"reason", problem.what()}});
            visits.pop_back();
        }
    }
}

}  // namespace howdah::agent
