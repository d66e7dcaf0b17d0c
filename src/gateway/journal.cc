#include "gateway/journal.h"

#include <fmt/core.h>
#include <sys/eventfd.h>

#include "base/log.h"

namespace howdah::gateway {
namespace {

std::int64_t milliseconds(Duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

std::string_view kind_of(const SessionEvent& event) {
    return event.cancel ? "cancel" : event.tls ? "tls" : "plain";
}

}  // namespace

void Journal::add(SessionEvent event) {
    bool was_empty = false;
    {
        const std::lock_guard lock(shared_.mutex);
        if (shared_.events.size() >= kEventsMax) {
            ++dropped_;
            return;
        }
        was_empty = shared_.events.empty();
        shared_.events.push_back(std::move(event));
    }
    if (was_empty) eventfd_write(wake_fd_, 1);
}

void Journal::write(Instant now) {
    std::vector<SessionEvent> events;
    {
        const std::lock_guard lock(shared_.mutex);
        events.swap(shared_.events);
    }
    if (now - second_ >= std::chrono::seconds(1)) {
        if (refusals_unwritten_ > 0)
            log::warn("refused sessions left out of the log", {{"count", refusals_unwritten_}});
        second_ = now;
        refusal_lines_ = 0;
        refusals_unwritten_ = 0;
    }
    for (const SessionEvent& event : events) write_one(event);
}

void Journal::write_one(const SessionEvent& event) {
    const std::string_view server = event.server ? std::string_view(event.server->server_id) : "";
    const std::string client = fmt::format("{}:{}", event.client.text(), event.client.port());
    switch (event.kind) {
        case SessionEvent::Kind::began:
            log::info("session began", {{"server", server},
                                        {"client", client},
                                        {"backend_port", event.backend_port},
                                        {"kind", kind_of(event)},
                                        {"opening_ms", milliseconds(event.elapsed)}});
            return;
        case SessionEvent::Kind::ended:
            log::info("session ended", {{"server", server},
                                        {"client", client},
                                        {"backend_port", event.backend_port},
                                        {"duration_ms", milliseconds(event.elapsed)},
                                        {"bytes_in", event.bytes_in},
                                        {"bytes_out", event.bytes_out},
                                        {"why", event.detail}});
            return;
        case SessionEvent::Kind::refused:
            if (++refusal_lines_ > kRefusalLinesPerSecond) {
                ++refusals_unwritten_;
                return;
            }
            log::info("session refused", {{"server", server},
                                          {"client", client},
                                          {"kind", kind_of(event)},
                                          {"reason", to_string(*event.refusal)},
                                          {"detail", event.detail}});
            return;
    }
}

}  // namespace howdah::gateway
