#include "core/backup/wal_archive.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/text.h"
#include "core/lsn.h"

namespace howdah::core::backup {
namespace {

constexpr std::size_t kNameDigits = 24;
constexpr std::size_t kPartDigits = 8;

/// PostgreSQL writes upper case; a name in lower case is none.
std::optional<std::uint32_t> parse_part(std::string_view digits) {
    std::uint32_t value = 0;
    const bool is_upper = std::all_of(digits.begin(), digits.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
    });
    const auto [end, problem] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (!is_upper || problem != std::errc() || end != digits.data() + digits.size())
        return std::nullopt;
    return value;
}

std::uint64_t segments_per_log(std::uint64_t segment_bytes) { return (1ULL << 32) / segment_bytes; }

}  // namespace

Result<Segment> parse_segment(std::string_view name, std::uint64_t segment_bytes) {
    const Error wrong{ErrorCode::invalid_argument, "this is no name of a WAL segment"};
    if (name.size() != kNameDigits) return wrong;
    const auto timeline = parse_part(name.substr(0, kPartDigits));
    const auto log = parse_part(name.substr(kPartDigits, kPartDigits));
    const auto part = parse_part(name.substr(2 * kPartDigits));
    if (!timeline || !log || !part || *timeline == 0 || *part >= segments_per_log(segment_bytes))
        return wrong;
    return Segment{*timeline, *log * segments_per_log(segment_bytes) + *part};
}

std::string segment_name(const Segment& segment, std::uint64_t segment_bytes) {
    const std::uint64_t per_log = segments_per_log(segment_bytes);
    return fmt::format("{:08X}{:08X}{:08X}", segment.timeline, segment.number / per_log,
                       segment.number % per_log);
}

bool is_archive_name(std::string_view name) {
    constexpr std::string_view kHistory = ".history";
    if (name.size() == kPartDigits + kHistory.size() && name.ends_with(kHistory))
        return parse_part(name.substr(0, kPartDigits)).has_value();
    if (!parse_segment(name.substr(0, kNameDigits)).ok()) return false;
    const std::string_view behind = name.substr(kNameDigits);
    constexpr std::string_view kBackup = ".backup";
    const bool is_label = behind.size() == 1 + kPartDigits + kBackup.size() &&
                          behind.front() == '.' && behind.ends_with(kBackup) &&
                          parse_part(behind.substr(1, kPartDigits)).has_value();
    return behind.empty() || behind == ".partial" || is_label;
}

Result<std::vector<TimelineStart>> parse_history(std::string_view text, std::uint32_t timeline,
                                                 std::uint64_t segment_bytes) {
    std::vector<TimelineStart> history;
    // Nobody knows where the oldest began; the first segment that PostgreSQL writes has number 1.
    SegmentNumber first = 1;
    for (const std::string& line : split(text, '\n')) {
        const std::string_view trimmed = trim(line);
        if (trimmed.empty() || trimmed.front() == '#') continue;
        // "1\t0/301C410\treason": where the timeline was left.
        const std::vector<std::string> parts = split(trimmed, '\t');
        const auto number = parse_integer(parts[0], 1, std::numeric_limits<std::uint32_t>::max());
        const auto left = parse_lsn(parts.size() < 2 ? "" : parts[1]);
        const std::uint32_t before = history.empty() ? 0 : history.back().timeline;
        if (!number.ok() || !left.ok() || *number <= before || *number >= timeline ||
            *left / segment_bytes < first)
            return Error{ErrorCode::corrupt, "this is no history of a timeline"};
        history.push_back({static_cast<std::uint32_t>(*number), first});
        first = *left / segment_bytes;
    }
    history.push_back({timeline, first});
    return history;
}

// ---------------------------------------------------------------------------------------------

void WalArchive::add(const Segment& segment) {
    std::vector<Range>& ranges = ranges_[segment.timeline];
    const SegmentNumber number = segment.number;
    // The first range that ends at this number, just before it, or later.
    auto at =
        std::lower_bound(ranges.begin(), ranges.end(), number,
                         [](const Range& each, SegmentNumber n) { return each.last + 1 < n; });
    const bool touches = at != ranges.end() && at->first <= number + 1;
    if (!touches) {
        ranges.insert(at, {number, number});
        return;
    }
    at->first = std::min(at->first, number);
    at->last = std::max(at->last, number);
    const auto next = at + 1;
    if (next == ranges.end() || next->first > at->last + 1) return;
    at->last = next->last;
    ranges.erase(next);
}

const WalArchive::Range* WalArchive::range_of(const Segment& segment) const {
    const auto ranges = ranges_.find(segment.timeline);
    if (ranges == ranges_.end()) return nullptr;
    for (const Range& each : ranges->second)
        if (each.first <= segment.number && segment.number <= each.last) return &each;
    return nullptr;
}

bool WalArchive::has(const Segment& segment) const { return range_of(segment) != nullptr; }

SegmentNumber WalArchive::end_of(std::size_t place) const {
    return place + 1 == history_.size() ? std::numeric_limits<SegmentNumber>::max()
                                        : history_[place + 1].first;
}

bool WalArchive::is_on_the_way(const Segment& segment) const {
    for (std::size_t place = 0; place < history_.size(); ++place) {
        // The segment in which a timeline ended is there too, read from the next one.
        if (history_[place].timeline == segment.timeline)
            return history_[place].first <= segment.number && segment.number <= end_of(place);
    }
    return false;
}

std::optional<SegmentNumber> WalArchive::reach(const Segment& from) const {
    if (!is_on_the_way(from)) return std::nullopt;
    std::optional<SegmentNumber> reached;
    SegmentNumber wanted = from.number;
    for (std::size_t place = 0; place < history_.size(); ++place) {
        const SegmentNumber end = end_of(place);
        // Also one that was left in the segment in which it began.
        if (end <= wanted) continue;
        const Range* range = range_of({history_[place].timeline, wanted});
        if (range == nullptr) return reached;
        reached = std::min(range->last, end - 1);
        if (*reached + 1 < end) return reached;
        wanted = end;
    }
    return reached;
}

std::optional<SegmentNumber> WalArchive::newest() const {
    for (std::size_t place = history_.size(); place-- > 0;) {
        const auto ranges = ranges_.find(history_[place].timeline);
        if (ranges == ranges_.end()) continue;
        for (auto range = ranges->second.rbegin(); range != ranges->second.rend(); ++range) {
            const SegmentNumber last = std::min(range->last, end_of(place) - 1);
            if (last >= std::max(range->first, history_[place].first)) return last;
        }
    }
    return std::nullopt;
}

}  // namespace howdah::core::backup
