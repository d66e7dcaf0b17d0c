#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "base/result.h"

namespace howdah {

/// The clock of Instant: time since boot, counting suspends (CLOCK_BOOTTIME). For elapsed time and
/// deadlines; it never jumps with the calendar.
struct BootClock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<BootClock>;
    static constexpr bool is_steady = true;
};

using Instant = BootClock::time_point;
using Duration = BootClock::duration;
/// Calendar time, UTC, milliseconds.
using Timestamp = std::chrono::sys_time<std::chrono::milliseconds>;

/// The sum would be in nanoseconds, which end in the year 2262; certificates, tokens and hostile
/// input name later ones. What is added to calendar time is in milliseconds or coarser.
Timestamp operator+(Timestamp, Duration) = delete;
Timestamp operator-(Timestamp, Duration) = delete;

/// The only place where clocks are read. Thread-safe. Passed by reference to whoever needs time.
class Clock {
  public:
    virtual ~Clock() = default;
    virtual Instant now() const = 0;
    virtual Timestamp wall() const = 0;
};

class SystemClock final : public Clock {
  public:
    Instant now() const override;
    Timestamp wall() const override;
};

/// A clock for tests that moves only when told.
class FakeClock final : public Clock {
  public:
    Instant now() const override;
    Timestamp wall() const override;
    void advance(Duration by);

  private:
    mutable std::mutex mutex_;
    Duration offset_{std::chrono::hours(1)};
};

/// "2026-11-21T03:45:43.123Z".
std::string format_iso8601(Timestamp time);
/// Accepts "YYYY-MM-DDTHH:MM:SS[.fraction](Z|+HH:MM|-HH:MM)".
Result<Timestamp> parse_iso8601(std::string_view text);

}  // namespace howdah
