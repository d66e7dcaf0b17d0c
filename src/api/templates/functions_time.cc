#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>

#include "api/templates/functions.h"
#include "api/templates/values.h"
#include "base/clock.h"
#include "base/text.h"

namespace howdah::api::templates {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kCompact = "yyyyMMddTHHmmssZ";
constexpr std::int64_t kDayMs = 86'400'000;
// Of the years 1 to 9999, in milliseconds since 1970.
constexpr std::int64_t kEarliestMs = -62'135'596'800'000;
constexpr std::int64_t kLatestMs = 253'402'300'799'999;
constexpr std::size_t kFormatBytesMax = 256;

/// A time with the format it was written in.
struct Written {
    Timestamp time;
    std::string form;
};

struct Parts {
    int year, hour;
    unsigned month, day, weekday;
    int minute, second, millisecond;
};

Parts parts_of(Timestamp time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(time - day);
    return {.year = static_cast<int>(date.year()),
            .hour = static_cast<int>(clock.hours().count()),
            .month = static_cast<unsigned>(date.month()),
            .day = static_cast<unsigned>(date.day()),
            .weekday = std::chrono::weekday(day).c_encoding(),
            .minute = static_cast<int>(clock.minutes().count()),
            .second = static_cast<int>(clock.seconds().count()),
            .millisecond = static_cast<int>(clock.subseconds().count())};
}

constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};
constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};

std::string named(std::string_view name, std::size_t letters) {
    return std::string(letters == 3 ? name.substr(0, 3) : name);
}

/// "fff": that many digits of the second's fraction, of which all after the third are 0.
std::string fraction(int millisecond, std::size_t letters) {
    std::string digits = fmt::format("{:03}", millisecond);
    digits.resize(letters, '0');
    return digits;
}

/// One run of the same letter of a .NET format. False: the letter means itself.
bool put_field(std::string& out, const Parts& t, char letter, std::size_t letters) {
    const auto two = [&](auto number) {
        out += letters == 1 ? fmt::format("{}", number) : fmt::format("{:02}", number);
        return true;
    };
    const int hour12 = t.hour % 12 == 0 ? 12 : t.hour % 12;
    switch (letter) {
        case 'y':
            if (letters <= 2) return two(t.year % 100);
            out += fmt::format("{:0{}}", t.year, letters);
            return true;
        case 'M':
            if (letters <= 2) return two(t.month);
            out += named(kMonths[t.month - 1], letters);
            return true;
        case 'd':
            if (letters <= 2) return two(t.day);
            out += named(kDays[t.weekday], letters);
            return true;
        case 'H':
            return two(t.hour);
        case 'h':
            return two(hour12);
        case 'm':
            return two(t.minute);
        case 's':
            return two(t.second);
        case 'f':
            out += fraction(t.millisecond, letters);
            return true;
        case 't':
            out += letters == 1 ? (t.hour < 12 ? "A" : "P") : (t.hour < 12 ? "AM" : "PM");
            return true;
        case 'z':
            out += letters == 1 ? "+0" : letters == 2 ? "+00" : "+00:00";
            return true;
        default:
            return false;
    }
}

/// The formats of .NET that are one letter, as custom formats; "" for one that is not known.
std::string standard_format(char letter) {
    switch (letter) {
        case 'd':
            return "MM/dd/yyyy";
        case 't':
            return "HH:mm";
        case 'T':
            return "HH:mm:ss";
        case 'g':
            return "MM/dd/yyyy HH:mm";
        case 'G':
            return "MM/dd/yyyy HH:mm:ss";
        case 'D':
            return "dddd, dd MMMM yyyy";
        case 'o':
        case 'O':
            return "yyyy-MM-ddTHH:mm:ss.fffffffZ";
        case 'r':
        case 'R':
            return "ddd, dd MMM yyyy HH:mm:ss 'GMT'";
        case 's':
            return "yyyy-MM-ddTHH:mm:ss";
        case 'u':
            return "yyyy-MM-dd HH:mm:ssZ";
        case 'y':
        case 'Y':
            return "yyyy MMMM";
        default:
            return "";
    }
}

Result<std::string> formatted(Call& call, Timestamp time, std::string form) {
    if (form.size() == 1) form = standard_format(form[0]);
    if (form.empty() || form.size() > kFormatBytesMax)
        return call.fails("the date and time format is not known.");
    const Parts parts = parts_of(time);
    std::string out;
    for (std::size_t at = 0; at < form.size();) {
        const char c = form[at];
        if (c == '\'' || c == '"') {
            const std::size_t end = std::min(form.find(c, at + 1), form.size());
            out += form.substr(at + 1, end - at - 1);
            at = end + 1;
        } else if (c == '\\' || c == '%') {
            if (c == '\\' && at + 1 < form.size()) out += form[at + 1];
            at += c == '\\' ? 2 : 1;
        } else {
            const std::size_t end = std::min(form.find_first_not_of(c, at), form.size());
            if (!put_field(out, parts, c, end - at)) out.append(end - at, c);
            at = end;
        }
    }
    return out;
}

/// "20200407T145314Z" as "2020-04-07T14:53:14Z"; "" if the text is not of that form.
std::string from_compact(const std::string& text) {
    if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') return "";
    return fmt::format("{}-{}-{}T{}:{}:{}Z", text.substr(0, 4), text.substr(4, 2),
                       text.substr(6, 2), text.substr(9, 2), text.substr(11, 2),
                       text.substr(13, 2));
}

Result<Written> parse_time(Call& call, const std::string& text) {
    std::string iso = text;
    std::string form = text.find('.') == std::string::npos ? "yyyy-MM-ddTHH:mm:ssZ"
                                                           : "yyyy-MM-ddTHH:mm:ss.fffffffZ";
    if (const std::string spelled = from_compact(text); !spelled.empty()) {
        iso = spelled;
        form = kCompact;
    } else if (text.size() == 10) {
        iso = text + "T00:00:00Z";
        form = "yyyy-MM-dd";
    } else if (text.size() > 10 && text[10] == ' ') {
        iso[10] = 'T';
        form = "u";
    }
    if (!iso.ends_with('Z') && iso.size() == 19) iso += 'Z';
    const auto time = parse_iso8601(iso);
    const bool fits = time.ok() && time->time_since_epoch().count() >= kEarliestMs &&
                      time->time_since_epoch().count() <= kLatestMs;
    if (!fits) return call.fails("the value is not a date and time.");
    return Written{*time, form};
}

struct Span {
    std::int64_t months = 0;
    std::int64_t milliseconds = 0;
};

/// Adds one "12D" of an ISO 8601 duration.
bool add_part(Span& span, std::string_view digits, char unit, bool is_time) {
    const auto number = parse_integer(digits, 0, 1'000'000'000);
    if (!number.ok()) return false;
    switch (unit) {
        case 'Y':
            span.months += *number * 12;
            return !is_time;
        case 'W':
            span.milliseconds += *number * 7 * kDayMs;
            return !is_time;
        case 'D':
            span.milliseconds += *number * kDayMs;
            return !is_time;
        case 'H':
            span.milliseconds += *number * 3'600'000;
            return is_time;
        case 'M':
            if (is_time)
                span.milliseconds += *number * 60'000;
            else
                span.months += *number;
            return true;
        case 'S':
            span.milliseconds += *number * 1000;
            return is_time;
        default:
            return false;
    }
}

Result<Span> parse_span(Call& call, std::string_view text) {
    const Error wrong = call.fails("the value is not a duration as in 'P1Y2M3DT4H5M6S'.");
    const bool is_negative = text.starts_with('-');
    if (is_negative) text.remove_prefix(1);
    if (!text.starts_with('P') || text.size() < 3 || text.size() > 64) return wrong;
    Span out;
    bool is_time = false;
    for (std::size_t at = 1; at < text.size();) {
        if (text[at] == 'T' && !is_time) {
            is_time = true;
            ++at;
            continue;
        }
        const std::size_t end = text.find_first_not_of("0123456789", at);
        if (end == std::string_view::npos ||
            !add_part(out, text.substr(at, end - at), text[end], is_time))
            return wrong;
        at = end + 1;
    }
    if (is_negative) out = {-out.months, -out.milliseconds};
    return out;
}

Result<Timestamp> moved(Call& call, Timestamp time, const Span& span) {
    const Error wrong = call.fails("the result is not within the years 1 to 9999.");
    if (std::abs(span.months) > 120'000 || std::abs(span.milliseconds) > kLatestMs - kEarliestMs)
        return wrong;
    const auto day = std::chrono::floor<std::chrono::days>(time);
    std::chrono::year_month_day date(day);
    date += std::chrono::months(span.months);
    if (!date.ok()) date = date.year() / date.month() / std::chrono::last;
    const std::int64_t sum = std::chrono::duration_cast<milliseconds>(
                                 std::chrono::sys_days(date).time_since_epoch() + (time - day))
                                 .count() +
                             span.milliseconds;
    if (sum < kEarliestMs || sum > kLatestMs) return wrong;
    return Timestamp(milliseconds(sum));
}

Result<Json> date_time_add(Call& call) {
    HD_TRY(const std::string base, call.text(0));
    HD_TRY(const std::string duration, call.text(1));
    HD_TRY(Written written, parse_time(call, base));
    HD_TRY(const Span span, parse_span(call, duration));
    HD_TRY(const Timestamp sum, moved(call, written.time, span));
    if (call.has(2)) {
        HD_TRY(written.form, call.text(2));
    }
    HD_TRY(std::string out, formatted(call, sum, written.form));
    return Json(std::move(out));
}

Result<Json> date_time_from_epoch(Call& call) {
    HD_TRY(const std::int64_t seconds, call.integer(0));
    if (seconds < kEarliestMs / 1000 || seconds > kLatestMs / 1000)
        return call.fails("the result is not within the years 1 to 9999.");
    HD_TRY(std::string out,
           formatted(call, Timestamp(std::chrono::seconds(seconds)), "yyyy-MM-ddTHH:mm:ssZ"));
    return Json(std::move(out));
}

Result<Json> date_time_to_epoch(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    HD_TRY(const Written written, parse_time(call, text));
    return Json(std::chrono::floor<std::chrono::seconds>(written.time).time_since_epoch().count());
}

Result<Json> utc_now(Call& call) {
    if (call.evaluator.place() != Place::parameter_default)
        return call.evaluator.not_expected("utcNow");
    std::string form(kCompact);
    if (call.has(0)) {
        HD_TRY(form, call.text(0));
    }
    HD_TRY(std::string out, formatted(call, call.evaluator.scope().now, form));
    return Json(std::move(out));
}

Result<Json> new_guid(Call& call) {
    if (call.evaluator.place() != Place::parameter_default)
        return call.evaluator.not_expected("newGuid");
    return Json(call.evaluator.next_guid());
}

constexpr std::array kRows = {
    FunctionRow{"dateTimeAdd", 2, 3, date_time_add},
    FunctionRow{"dateTimeFromEpoch", 1, 1, date_time_from_epoch},
    FunctionRow{"dateTimeToEpoch", 1, 1, date_time_to_epoch},
    FunctionRow{"utcNow", 0, 1, utc_now},
    FunctionRow{"newGuid", 0, 0, new_guid},
};

}  // namespace

std::span<const FunctionRow> time_functions() { return kRows; }

}  // namespace howdah::api::templates
