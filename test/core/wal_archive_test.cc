#include "core/backup/wal_archive.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace howdah::core::backup {
namespace {

WalArchive archive_of(std::initializer_list<std::pair<std::uint32_t, SegmentNumber>> segments,
                      std::vector<TimelineStart> history) {
    WalArchive archive;
    for (const auto& [timeline, number] : segments) archive.add({timeline, number});
    archive.set_history(std::move(history));
    return archive;
}

TEST(wal_archive, names_of_segments_are_those_of_PostgreSQL) {
    EXPECT_EQ(segment_name({1, 0x1234}), "000000010000001200000034");
    EXPECT_EQ(parse_segment("0000000A00000001000000FF").value(), (Segment{10, 0x1FF}));
    EXPECT_EQ(parse_segment("000000010000000100000003", 1ULL << 30).value(), (Segment{1, 7}));
    for (const char* wrong :
         {"", "00000001000000120000003", "0000000100000012000000345", "000000010000001200000g34",
          "000000000000001200000034", "000000010000001200000134", "0000000a0000001200000034",
          "-00000010000001200000034", "00000001000000120000003 "})
        EXPECT_FALSE(parse_segment(wrong).ok()) << wrong;
}

TEST(wal_archive, a_name_read_and_written_is_the_same) {
    std::mt19937_64 random(5);
    for (int i = 0; i < 1000; ++i) {
        const std::uint64_t bytes = 1ULL << (20 + random() % 11);
        const std::uint64_t numbers = (1ULL << 32) * ((1ULL << 32) / bytes);
        const Segment segment{1 + static_cast<std::uint32_t>(random() % 0xFFFFFFFFU),
                              random() % numbers};
        EXPECT_EQ(parse_segment(segment_name(segment, bytes), bytes).value(), segment);
    }
}

TEST(wal_archive, a_history_tells_where_each_timeline_began) {
    using History = std::vector<TimelineStart>;
    const auto read = [](std::string_view text, std::uint32_t timeline) {
        return parse_history(text, timeline);
    };
    EXPECT_EQ(read("", 1).value(), (History{{1, 1}}));
    EXPECT_EQ(read("1\t0/301C410\tno recovery target specified\n", 2).value(),
              (History{{1, 1}, {2, 3}}));
    EXPECT_EQ(
        read("# a comment\n1\t0/301C410\tx\n\n3\t2/0\tbefore 2026-11-22 23:11:44\n", 7).value(),
        (History{{1, 1}, {3, 3}, {7, 0x200}}));
    for (const char* wrong :
         {"1", "1\t", "1\t0", "1\t0-301C410", "x\t0/1", "2\t0/301C410\tx", "0\t0/301C410\tx",
          "1\t0/0\tx", "1\t0/5000000\tx\n1\t0/6000000\tx", "1\t100000000/0\tx"}) {
        const auto answer = read(wrong, 2);
        ASSERT_FALSE(answer.ok()) << wrong;
        EXPECT_EQ(answer.error().code, ErrorCode::corrupt);
    }
    EXPECT_FALSE(read("1\t0/5000000\tx\n2\t0/4000000\tx\n", 3).ok()) << "backwards";
}

TEST(archive_name, is_one_that_postgresql_archives) {
    for (const char* good : {"000000010000000000000003", "00000001000000000000000A.partial",
                             "0000000A.history", "000000010000000000000003.00000028.backup"})
        EXPECT_TRUE(is_archive_name(good)) << good;
    for (const char* bad :
         {"", ".", "..", "/", "000000010000000000000003.ready", "000000010000000000000003/..",
          "000000000000000000000003", "0000000a.history", "A.history", ".history",
          "000000010000000000000003.28.backup", "RECOVERYXLOG", "00000001000000000000000300"})
        EXPECT_FALSE(is_archive_name(bad)) << bad;
}

TEST(wal_archive, what_comes_in_any_order_is_one_range) {
    WalArchive archive;
    for (const SegmentNumber each : {5U, 3U, 9U, 4U, 8U, 4U}) archive.add({1, each});
    EXPECT_EQ(archive.ranges().at(1), (std::vector<WalArchive::Range>{{3, 5}, {8, 9}}));
    archive.add({1, 6});
    archive.add({1, 7});
    EXPECT_EQ(archive.ranges().at(1), (std::vector<WalArchive::Range>{{3, 9}}));
}

TEST(wal_archive, a_missing_segment_ends_the_way) {
    const auto archive = archive_of({{1, 3}, {1, 4}, {1, 6}}, {{1, 1}});
    EXPECT_EQ(archive.reach({1, 3}), 4);
    EXPECT_EQ(archive.reach({1, 6}), 6);
    EXPECT_EQ(archive.reach({1, 5}), std::nullopt);
    EXPECT_EQ(archive.newest(), 6);
}

TEST(wal_archive, the_way_goes_on_with_the_timeline_of_who_was_promoted) {
    // 1 ended in segment 5, of which the old primary archived nothing.
    const auto archive = archive_of({{1, 3}, {1, 4}, {2, 5}, {2, 6}}, {{1, 1}, {2, 5}});
    EXPECT_EQ(archive.reach({1, 3}), 6);
    EXPECT_EQ(archive.reach({1, 5}), 6) << "a backup that began in the segment of the switch";
    EXPECT_EQ(archive.reach({2, 5}), 6);
    EXPECT_EQ(archive.reach({1, 6}), std::nullopt) << "of a primary that was deposed";
    EXPECT_EQ(archive.reach({3, 6}), std::nullopt);
}

TEST(wal_archive, what_an_old_primary_did_not_archive_is_a_gap) {
    const auto archive = archive_of({{1, 3}, {2, 5}, {2, 6}}, {{1, 1}, {2, 5}});
    EXPECT_EQ(archive.reach({1, 3}), 3);
    EXPECT_EQ(archive.newest(), 6);
}

TEST(wal_archive, a_branch_that_nobody_followed_closes_no_gap) {
    const auto archive =
        archive_of({{1, 3}, {1, 4}, {1, 5}, {1, 6}, {1, 7}, {2, 6}}, {{1, 1}, {2, 5}});
    EXPECT_EQ(archive.reach({1, 3}), 4);
    EXPECT_EQ(archive.newest(), 6);
}

TEST(wal_archive, two_promotions_in_one_segment) {
    const auto archive = archive_of({{1, 4}, {3, 5}, {3, 6}}, {{1, 1}, {2, 5}, {3, 5}});
    EXPECT_EQ(archive.reach({1, 4}), 6);
    EXPECT_EQ(archive.reach({2, 5}), 6);
}

/// Segment by segment, as a restore asks for them.
std::optional<SegmentNumber> walk(const std::set<Segment>& segments,
                                  const std::vector<TimelineStart>& history, const Segment& from) {
    bool is_on_the_way = false;
    for (std::size_t i = 0; i < history.size(); ++i) {
        const bool is_before_end = i + 1 == history.size() || from.number <= history[i + 1].first;
        if (history[i].timeline == from.timeline)
            is_on_the_way = history[i].first <= from.number && is_before_end;
    }
    if (!is_on_the_way) return std::nullopt;
    std::optional<SegmentNumber> reached;
    for (SegmentNumber number = from.number;; ++number) {
        std::uint32_t timeline = 0;
        for (const TimelineStart& each : history)
            if (each.first <= number) timeline = each.timeline;
        if (!segments.contains({timeline, number})) return reached;
        reached = number;
    }
}

TEST(wal_archive, ranges_say_what_a_walk_over_all_segments_says) {
    for (unsigned seed = 1; seed <= 3000; ++seed) {
        std::mt19937 random(seed);
        std::vector<TimelineStart> history{{1, 1 + random() % 3}};
        while (random() % 3 != 0)
            history.push_back(
                {history.back().timeline + 1 + static_cast<std::uint32_t>(random() % 2),
                 history.back().first + random() % 6});
        std::set<Segment> segments;
        WalArchive archive;
        archive.set_history(history);
        const SegmentNumber holes = 1 + random() % 20;
        for (int i = 0; i < 200; ++i) {
            const Segment segment{1 + static_cast<std::uint32_t>(random() % 5), random() % 25};
            if (segment.number % holes == holes - 1) continue;
            segments.insert(segment);
            archive.add(segment);
        }
        for (std::uint32_t timeline = 1; timeline < 7; ++timeline) {
            for (SegmentNumber number = 0; number < 26; ++number) {
                const Segment from{timeline, number};
                ASSERT_EQ(archive.has(from), segments.contains(from)) << "seed " << seed;
                ASSERT_EQ(archive.reach(from), walk(segments, history, from)) << "seed " << seed;
            }
        }
    }
}

}  // namespace
}  // namespace howdah::core::backup
