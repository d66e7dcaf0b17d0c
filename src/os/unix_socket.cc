#include "os/unix_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>

#include "os/fd.h"

namespace howdah::os {
namespace {

int left_ms(const Clock& clock, Instant deadline) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock.now());
    return static_cast<int>(std::max<long long>(left.count(), 0));
}

}  // namespace

Result<std::string> ask_unix_socket(const std::string& path, std::string_view question,
                                    Duration timeout, AnswerEnd end) {
    const SystemClock clock;
    const Instant deadline = clock.now() + timeout;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const Error nobody{ErrorCode::unavailable, "nobody answers at " + path};
    if (path.size() >= sizeof address.sun_path) return nobody;
    std::memcpy(address.sun_path, path.data(), path.size());
    const Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return nobody;
    }
    if (send(fd.get(), question.data(), question.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(question.size())) {
        return nobody;
    }
    std::string answer;
    std::array<char, 16384> buffer{};
    for (;;) {
        pollfd waiting{fd.get(), POLLIN, 0};
        if (poll(&waiting, 1, left_ms(clock, deadline)) <= 0) {
            return Error{ErrorCode::timeout, "no answer in time from " + path};
        }
        const ssize_t got = recv(fd.get(), buffer.data(), buffer.size(), 0);
        if (got <= 0) return answer;
        answer.append(buffer.data(), static_cast<std::size_t>(got));
        if (end == AnswerEnd::at_line_break && answer.back() == '\n') return answer;
        if (answer.size() > kUnixAnswerBytesMax) {
            return Error{ErrorCode::too_large, "too long an answer from " + path};
        }
    }
}

}  // namespace howdah::os
