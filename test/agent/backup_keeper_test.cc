#include "agent/backup/backup_keeper.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace howdah::agent {
namespace {

std::vector<model::WalMark> minutes(int count) {
    std::vector<model::WalMark> marks;
    const Timestamp begin = parse_iso8601("2026-11-01T00:30:00Z").value();
    for (int i = 0; i < count; ++i)
        marks.push_back({i, format_iso8601(begin + std::chrono::minutes(i))});
    return marks;
}

TEST(thinned, few_marks_are_all_kept) { EXPECT_EQ(thinned(minutes(100), 100).size(), 100U); }

TEST(thinned, the_newest_and_the_last_of_each_hour_before_are_kept) {
    const auto all = minutes(60 * 40);
    const auto few = thinned(all, 1000);
    ASSERT_LE(few.size(), 1000U);
    EXPECT_EQ(few.back().at, all.back().at);
    for (std::size_t i = 0; i < 500; ++i)
        EXPECT_EQ(few[few.size() - 1 - i].at, all[all.size() - 1 - i].at);
    EXPECT_EQ(few.front().at, "2026-11-01T00:59:00.000Z");
    for (std::size_t i = 1; i < few.size(); ++i) EXPECT_LT(few[i - 1].at, few[i].at);
    // Again and again, as it happens to marks that come one by one.
    auto growing = minutes(0);
    for (const auto& each : minutes(60 * 24 * 60)) {
        growing.push_back(each);
        growing = thinned(std::move(growing), 300);
        ASSERT_LE(growing.size(), 300U);
    }
    EXPECT_EQ(growing.back().segment, 60 * 24 * 60 - 1);
    EXPECT_LT(growing.front().segment, 60 * 24 * 55) << "days ago";
}

}  // namespace
}  // namespace howdah::agent
