#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "gateway/address.h"
#include "gateway/counters.h"

namespace howdah::gateway {

/// What happened to a session, for the log.
struct SessionEvent {
    enum class Kind { began, ended, refused } kind = Kind::began;
    std::shared_ptr<Counters> server;  ///< may be null
    Address client;
    std::uint16_t backend_port = 0;
    bool tls = false;
    bool cancel = false;
    Duration elapsed{};  ///< began, refused: since it was accepted; ended: since it began
    std::int64_t bytes_in = 0;
    std::int64_t bytes_out = 0;
    std::optional<Refusal> refusal;
    std::string detail;  ///< refused: what exactly; ended: why, if not by an end of stream
};

/// Carries session events from the worker threads to the control thread, which writes them to the
/// log, so that no worker waits for the log. Bounded: what does not fit is dropped and counted.
/// Refusals cost a client nothing, so their lines are bounded per second as well. Thread-safe,
/// except `write`, which one thread calls.
class Journal {
  public:
    static constexpr std::size_t kEventsMax = 8192;
    static constexpr int kRefusalLinesPerSecond = 100;

    /// `wake_fd` is an eventfd that is written when the journal stops being empty.
    explicit Journal(int wake_fd) : wake_fd_(wake_fd) {}

    void add(SessionEvent event);
    /// Writes and forgets all events.
    void write(Instant now);
    std::int64_t dropped() const { return dropped_; }

  private:
    void write_one(const SessionEvent& event);

    int wake_fd_;
    std::atomic<std::int64_t> dropped_{0};
    Instant second_{};
    int refusal_lines_ = 0;
    std::int64_t refusals_unwritten_ = 0;
    struct {
        std::mutex mutex;
        std::vector<SessionEvent> events;
    } shared_;
};

}  // namespace howdah::gateway
