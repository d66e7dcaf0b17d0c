#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

/// What a repository has of one server's WAL, and how far it reaches without a gap. Pure.
namespace howdah::core::backup {

/// A WAL segment by the number that its place gives it, whatever its timeline: position / segment
/// size.
using SegmentNumber = std::uint64_t;

struct Segment {
    std::uint32_t timeline = 0;
    SegmentNumber number = 0;

    friend auto operator<=>(const Segment&, const Segment&) = default;
};

/// PostgreSQL's own default, and what initdb is run with here.
inline constexpr std::uint64_t kSegmentBytes = 16ULL << 20;

/// The name of 24 hexadecimal digits; what stands behind them (".partial", a checksum) is refused.
Result<Segment> parse_segment(std::string_view name, std::uint64_t segment_bytes = kSegmentBytes);
std::string segment_name(const Segment& segment, std::uint64_t segment_bytes = kSegmentBytes);
/// What PostgreSQL archives or asks for: a segment, also one that is not complete or with a
/// backup's label behind it, or the history of a timeline. Nothing else is part of a path.
bool is_archive_name(std::string_view name);

/// A timeline and the first segment that has its WAL. PostgreSQL copies what the segment held of
/// the timeline before, so from there on nobody needs the older one.
struct TimelineStart {
    std::uint32_t timeline = 0;
    SegmentNumber first = 0;

    friend bool operator==(const TimelineStart&, const TimelineStart&) = default;
};

/// What PostgreSQL's history file of `timeline` says, with that timeline at its end. `corrupt`: it
/// is none. Without such a file, a timeline has no other before it.
Result<std::vector<TimelineStart>> parse_history(std::string_view text, std::uint32_t timeline,
                                                 std::uint64_t segment_bytes = kSegmentBytes);

/// The segments of a repository, as ranges: months of WAL are a handful of numbers while nothing is
/// missing. Not thread-safe.
class WalArchive {
  public:
    struct Range {
        SegmentNumber first = 0;
        SegmentNumber last = 0;

        friend bool operator==(const Range&, const Range&) = default;
    };

    /// Repeatable: a segment may be archived twice.
    void add(const Segment& segment);

    /// The timelines that led to the present one, oldest first, each once, each `first` at least
    /// the one before and more than 0. Those of another branch are not among them, and their
    /// segments do not count.
    void set_history(std::vector<TimelineStart> history) { history_ = std::move(history); }
    const std::vector<TimelineStart>& history() const { return history_; }

    bool has(const Segment& segment) const;
    /// The last segment that a restore reaches from this one without a gap, on the way to the
    /// present timeline; none: this one is missing, or not on the way.
    std::optional<SegmentNumber> reach(const Segment& from) const;
    /// On the way to the present timeline.
    std::optional<SegmentNumber> newest() const;

    const std::map<std::uint32_t, std::vector<Range>>& ranges() const { return ranges_; }

  private:
    const Range* range_of(const Segment& segment) const;
    /// The first number behind the timeline at this place of the history.
    SegmentNumber end_of(std::size_t place) const;
    bool is_on_the_way(const Segment& segment) const;

    std::map<std::uint32_t, std::vector<Range>> ranges_;  ///< by timeline; sorted, never touching
    std::vector<TimelineStart> history_;
};

}  // namespace howdah::core::backup
