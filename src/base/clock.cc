#include "base/clock.h"

#include <fmt/core.h>
#include <time.h>

#include <cctype>

namespace howdah {

using std::chrono::milliseconds;

Instant SystemClock::now() const {
    timespec ts{};
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return Instant(std::chrono::seconds(ts.tv_sec) + std::chrono::nanoseconds(ts.tv_nsec));
}

Timestamp SystemClock::wall() const {
    return std::chrono::time_point_cast<milliseconds>(std::chrono::system_clock::now());
}

Instant FakeClock::now() const {
    const std::lock_guard lock(mutex_);
    return Instant(offset_);
}

Timestamp FakeClock::wall() const {
    const std::lock_guard lock(mutex_);
    // 2026-01-01T00:00:00Z plus what has been advanced.
    return Timestamp(milliseconds(1767225600000) +
                     std::chrono::duration_cast<milliseconds>(offset_));
}

void FakeClock::advance(Duration by) {
    const std::lock_guard lock(mutex_);
    offset_ += by;
}

std::string format_iso8601(Timestamp time) {
    const auto days = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(days);
    const std::chrono::hh_mm_ss clock(time - days);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                       clock.subseconds().count());
}

namespace {

/// Reads fixed-width fields from the front of a text.
class Cursor {
  public:
    explicit Cursor(std::string_view text) : text_(text) {}
    bool number(std::size_t width, int* value) {
        if (text_.size() < width) return false;
        *value = 0;
        for (std::size_t i = 0; i < width; ++i) {
            if (std::isdigit(static_cast<unsigned char>(text_[i])) == 0) return false;
            *value = *value * 10 + (text_[i] - '0');
        }
        text_.remove_prefix(width);
        return true;
    }
    bool literal(char wanted) {
        if (text_.empty() || text_.front() != wanted) return false;
        text_.remove_prefix(1);
        return true;
    }
    /// Milliseconds of an optional ".fraction" of one to nine digits.
    bool fraction(int* value) {
        *value = 0;
        if (!literal('.')) return true;
        int digits = 0;
        for (; !text_.empty() && std::isdigit(static_cast<unsigned char>(text_.front())) != 0;
             ++digits) {
            if (digits < 3) *value = *value * 10 + (text_.front() - '0');
            text_.remove_prefix(1);
        }
        for (int i = digits; i < 3; ++i) *value *= 10;
        return digits >= 1 && digits <= 9;
    }
    bool at_end() const { return text_.empty(); }

  private:
    std::string_view text_;
};

}  // namespace

Result<Timestamp> parse_iso8601(std::string_view text) {
    const Error bad{ErrorCode::invalid_argument,
                    fmt::format("'{}' is not an ISO-8601 time", text.substr(0, 64)), "",
                    "write it as 2026-01-31T23:59:59Z"};
    Cursor at(text);
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, millis = 0;
    if (!(at.number(4, &year) && at.literal('-') && at.number(2, &month) && at.literal('-') &&
          at.number(2, &day) && (at.literal('T') || at.literal('t') || at.literal(' ')) &&
          at.number(2, &hour) && at.literal(':') && at.number(2, &minute) && at.literal(':') &&
          at.number(2, &second) && at.fraction(&millis))) {
        return bad;
    }
    int sign = 0, zone_hour = 0, zone_minute = 0;
    if (at.literal('+'))
        sign = 1;
    else if (at.literal('-'))
        sign = -1;
    else if (!at.literal('Z') && !at.literal('z'))
        return bad;
    if (sign != 0 && !(at.number(2, &zone_hour) && at.literal(':') && at.number(2, &zone_minute)))
        return bad;
    const std::chrono::year_month_day date{std::chrono::year(year),
                                           std::chrono::month(static_cast<unsigned>(month)),
                                           std::chrono::day(static_cast<unsigned>(day))};
    if (!at.at_end() || !date.ok() || hour > 23 || minute > 59 || second > 59 || zone_hour > 23 ||
        zone_minute > 59) {
        return bad;
    }
    return Timestamp(std::chrono::sys_days(date)) + std::chrono::hours(hour - sign * zone_hour) +
           std::chrono::minutes(minute - sign * zone_minute) + std::chrono::seconds(second) +
           milliseconds(millis);
}

}  // namespace howdah
