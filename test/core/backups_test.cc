#include "core/backup/backups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace howdah::core::backup {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;
using std::chrono::hours;

const Timestamp kBegin = parse_iso8601("2026-11-01T00:00:00Z").value();

/// A repository in which every hour has one segment, which is marked at its end; segment 1 is the
/// first hour.
struct Story {
    Repository repository;
    Timestamp now = kBegin;
    SegmentNumber segment = 1;

    Story() { repository.wal.set_history({{1, 1}}); }

    std::uint32_t timeline() const { return repository.wal.history().back().timeline; }

    void an_hour(bool is_archived = true) {
        now += 1h;
        if (is_archived) {
            repository.wal.add({timeline(), segment});
            repository.marks.push_back({segment, now});
        }
        ++segment;
    }
    void hours_pass(int count, bool are_archived = true) {
        for (int i = 0; i < count; ++i) an_hour(are_archived);
    }
    /// It begins and ends within an hour.
    void back_up(Kind kind, std::string on_demand = "") {
        Backup made;
        made.kind = kind;
        made.started = now;
        made.first = {timeline(), segment};
        made.last = segment;
        for (const Backup& each : repository.backups)
            if (kind == Kind::differential && each.kind == Kind::full) made.prior = each.label;
        an_hour();
        made.stopped = now;
        made.label = std::to_string(repository.backups.size()) + "-" + format_iso8601(now);
        made.on_demand = std::move(on_demand);
        repository.backups.push_back(made);
    }
    void promote() {
        auto history = repository.wal.history();
        history.push_back({timeline() + 1, segment});
        repository.wal.set_history(history);
    }
    bool can_restore(Timestamp target) const { return backup_for(repository, target).ok(); }
    void expire(const Expiry& what) {
        std::erase_if(repository.backups, [&](const Backup& each) {
            return std::find(what.labels.begin(), what.labels.end(), each.label) !=
                   what.labels.end();
        });
        if (!what.wal_before) return;
        WalArchive left;
        left.set_history(repository.wal.history());
        for (const auto& [timeline, ranges] : repository.wal.ranges()) {
            for (const auto& range : ranges) {
                for (SegmentNumber each = range.first; each <= range.last; ++each) {
                    const bool is_kept = std::any_of(
                        what.kept.begin(), what.kept.end(),
                        [&](const auto& kept) { return kept.first <= each && each <= kept.last; });
                    if (each >= *what.wal_before || is_kept) left.add({timeline, each});
                }
            }
        }
        repository.wal = left;
    }
};

bool covers(const std::vector<Span>& spans, Timestamp time) {
    return std::any_of(spans.begin(), spans.end(),
                       [&](const Span& each) { return each.from <= time && time <= each.to; });
}

TEST(backups, nothing_can_be_restored_before_the_first_backup_has_ended) {
    Story story;
    story.hours_pass(3);
    EXPECT_TRUE(restorable(story.repository).empty());
    const auto refused = backup_for(story.repository, story.now);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::not_found);
    EXPECT_NE(refused.error().hint.find("no backup yet"), std::string::npos);
}

TEST(backups, a_window_reaches_from_the_end_of_the_first_backup_to_the_last_mark) {
    Story story;
    story.back_up(Kind::full);
    const Timestamp from = story.now;
    story.hours_pass(5);
    EXPECT_EQ(restorable(story.repository), (std::vector<Span>{{from, story.now}}));
    EXPECT_TRUE(story.can_restore(from));
    EXPECT_TRUE(story.can_restore(from + 90min));
    EXPECT_TRUE(story.can_restore(story.now));
    const auto later = backup_for(story.repository, story.now + 1s);
    ASSERT_FALSE(later.ok());
    EXPECT_NE(
        later.error().hint.find("latest time that can be restored is " + format_iso8601(story.now)),
        std::string::npos);
    const auto earlier = backup_for(story.repository, from - 1s);
    ASSERT_FALSE(earlier.ok());
    EXPECT_NE(
        earlier.error().hint.find("earliest time that can be restored is " + format_iso8601(from)),
        std::string::npos);
}

TEST(backups, the_newest_backup_before_the_target_is_taken) {
    Story story;
    story.back_up(Kind::full);
    const Timestamp first = story.now;
    story.hours_pass(3);
    story.back_up(Kind::differential);
    const Timestamp second = story.now;
    story.hours_pass(3);
    EXPECT_EQ(backup_for(story.repository, second - 1s).value()->stopped, first);
    EXPECT_EQ(backup_for(story.repository, second).value()->stopped, second);
    EXPECT_EQ(backup_for(story.repository, story.now).value()->stopped, second);
}

TEST(backups, a_gap_is_refused_with_both_of_its_edges) {
    Story story;
    story.back_up(Kind::full);
    story.hours_pass(2);
    const Timestamp before = story.now;
    story.hours_pass(3, false);
    story.hours_pass(2);
    EXPECT_FALSE(story.can_restore(story.now)) << "no backup since";
    story.back_up(Kind::differential);
    const Timestamp after = story.now;
    story.hours_pass(2);
    EXPECT_EQ(restorable(story.repository).size(), 2U);
    const auto refused = backup_for(story.repository, before + 1s);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().hint.find(format_iso8601(before)), std::string::npos);
    EXPECT_NE(refused.error().hint.find(format_iso8601(after)), std::string::npos);
    EXPECT_TRUE(story.can_restore(before));
    EXPECT_TRUE(story.can_restore(after));
}

TEST(backups, a_backup_whose_own_wal_is_not_there_is_none) {
    Story story;
    story.back_up(Kind::full);
    story.repository.backups[0].last = story.segment;
    EXPECT_TRUE(restorable(story.repository).empty());
    story.an_hour();
    EXPECT_EQ(restorable(story.repository).size(), 1U);
}

TEST(backups, a_differential_without_its_full_one_is_none) {
    Story story;
    story.back_up(Kind::full);
    story.back_up(Kind::differential);
    story.repository.backups.erase(story.repository.backups.begin());
    EXPECT_TRUE(restorable(story.repository).empty());
}

TEST(backups, a_window_goes_on_across_a_promotion_when_the_old_timeline_is_archived_up_to_it) {
    Story story;
    story.back_up(Kind::full);
    const Timestamp from = story.now;
    story.hours_pass(2);
    story.promote();
    story.hours_pass(2);
    EXPECT_EQ(restorable(story.repository), (std::vector<Span>{{from, story.now}}));
    // What the old primary archived after it was deposed leads nowhere.
    story.repository.wal.add({1, story.segment});
    EXPECT_EQ(restorable(story.repository), (std::vector<Span>{{from, story.now}}));
}

TEST(backups, what_the_old_primary_did_not_archive_makes_a_new_backup_due) {
    Story story;
    story.back_up(Kind::full);
    story.an_hour();
    const Timestamp before = story.now;
    story.an_hour(false);
    story.promote();
    story.hours_pass(2);
    EXPECT_EQ(restorable(story.repository).back().to, before);
    EXPECT_EQ(due(story.repository, {}, {}, story.now), Kind::differential);
    story.back_up(Kind::differential);
    EXPECT_EQ(due(story.repository, {}, {}, story.now), std::nullopt);
    EXPECT_EQ(restorable(story.repository).back().to, story.now);
}

TEST(backups, first_a_full_one_then_differentials_by_day_and_a_full_one_by_week) {
    Story story;
    const Policy policy;
    std::string made;
    for (int hour = 0; hour < 24 * 16; ++hour) {
        if (const auto kind = due(story.repository, policy, {}, story.now)) {
            made += *kind == Kind::full ? 'F' : 'd';
            story.back_up(*kind);
        } else {
            story.an_hour();
        }
    }
    EXPECT_EQ(made, "FddddddFddddddFd");
}

TEST(backups, after_failures_it_waits_longer_and_longer_but_an_hour_at_most) {
    const Story story;
    const Timestamp failed = kBegin + days(1);
    const auto first_try = [&](std::int64_t count) {
        Timestamp now = failed;
        while (!due(story.repository, {}, {count, failed}, now)) now += 1s;
        return now - failed;
    };
    EXPECT_EQ(due(story.repository, {}, {}, failed), Kind::full);
    EXPECT_EQ(first_try(1), 10s);
    EXPECT_EQ(first_try(2), 20s);
    EXPECT_EQ(first_try(3), 40s);
    EXPECT_EQ(first_try(10), 1h);
    EXPECT_EQ(retry_at({}, {2, failed}), failed + 20s);
    EXPECT_EQ(first_try(1'000'000'000'000), 1h);
}

TEST(backups, nothing_expires_before_a_newer_backup_covers_the_whole_retention) {
    Story story;
    const Policy policy;
    for (int hour = 0; hour < 24 * 6; ++hour) {
        if (const auto kind = due(story.repository, policy, {}, story.now)) story.back_up(*kind);
        story.an_hour();
        EXPECT_EQ(expired(story.repository, policy, story.now), Expiry{});
    }
}

TEST(backups, a_backup_with_broken_pages_pushes_no_sound_one_out) {
    Story story;
    const Policy policy;
    for (int day = 0; day < 30; ++day) {
        story.back_up(day % 7 == 0 ? Kind::full : Kind::differential);
        if (day >= 7) story.repository.backups.back().has_errors = true;
        story.hours_pass(23);
        story.expire(expired(story.repository, policy, story.now));
    }
    const auto& left = story.repository.backups;
    EXPECT_TRUE(
        std::any_of(left.begin(), left.end(), [](const Backup& each) { return !each.has_errors; }));
}

TEST(backups, one_with_broken_pages_is_the_last_choice_and_so_is_what_is_built_upon_it) {
    Story story;
    story.back_up(Kind::full);
    const std::string sound = story.repository.backups[0].label;
    story.back_up(Kind::full);
    story.repository.backups[1].has_errors = true;
    story.back_up(Kind::differential);
    EXPECT_EQ(backup_for(story.repository, story.now).value()->label, sound);
    EXPECT_EQ(broken(story.repository), &story.repository.backups[1]);
    EXPECT_EQ(newest_sound(story.repository)->label, sound);
    story.repository.backups.erase(story.repository.backups.begin());
    EXPECT_EQ(backup_for(story.repository, story.now).value()->kind, Kind::differential);
    EXPECT_EQ(newest_sound(story.repository), nullptr);
    story.back_up(Kind::full);
    EXPECT_EQ(broken(story.repository), nullptr);
    EXPECT_EQ(newest_sound(story.repository), &story.repository.backups.back());
    EXPECT_EQ(broken({}), nullptr);
}

TEST(backups, nothing_that_may_be_dropped_at_any_time_is_relied_upon) {
    const Policy policy;
    Story story;
    story.back_up(Kind::full);
    story.hours_pass(10);
    story.back_up(Kind::differential, "mine");
    story.hours_pass(14);
    EXPECT_EQ(due(story.repository, policy, {}, story.now), Kind::differential)
        << "the schedule's own is a day old";
    story.hours_pass(24 * 7 - 13);
    const Expiry old = expired(story.repository, policy, story.now);
    EXPECT_TRUE(old.labels.empty()) << "the retention begins with the schedule's own";
}

TEST(backups, behind_a_gap_the_end_is_reached_from_the_backup_that_closed_it) {
    Story story;
    EXPECT_EQ(backup_for_the_end(story.repository), nullptr);
    story.back_up(Kind::full);
    story.hours_pass(3);
    story.an_hour(/*is_archived=*/false);
    story.an_hour();
    EXPECT_EQ(backup_for_the_end(story.repository), nullptr);
    story.back_up(Kind::differential);
    story.repository.marks.clear();
    EXPECT_EQ(backup_for_the_end(story.repository), &story.repository.backups.back());
}

TEST(backups, what_proves_the_end_of_a_backup_is_kept_with_it) {
    const Policy policy;
    Story story;
    story.back_up(Kind::full);
    story.back_up(Kind::differential, "mine");
    // As PostgreSQL does: the segment with a time behind its end is the next one.
    Backup& mine = story.repository.backups.back();
    mine.stopped += 30min;
    for (int day = 0; day < 20; ++day) {
        story.hours_pass(23);
        story.back_up(day % 7 == 0 ? Kind::full : Kind::differential);
        story.expire(expired(story.repository, policy, story.now));
    }
    const Backup& kept = story.repository.backups[1];
    ASSERT_EQ(kept.on_demand, "mine");
    EXPECT_TRUE(story.can_restore(kept.stopped));
    EXPECT_FALSE(story.can_restore(kept.stopped + 24h));
}

TEST(backups, what_was_asked_for_outlives_the_retention_and_can_still_be_restored) {
    Story story;
    const Policy policy;
    story.back_up(Kind::full);
    story.hours_pass(5);
    story.back_up(Kind::differential, "before the upgrade");
    const Timestamp wanted = story.now;
    for (int hour = 0; hour < 24 * 40; ++hour) {
        if (const auto kind = due(story.repository, policy, {}, story.now)) story.back_up(*kind);
        story.an_hour();
        story.expire(expired(story.repository, policy, story.now));
    }
    EXPECT_TRUE(story.can_restore(wanted));
    EXPECT_FALSE(story.can_restore(wanted + 10h)) << "its WAL has gone";
    EXPECT_LT(story.repository.backups.size(), 25U);
    EXPECT_LT(story.repository.wal.ranges().at(1).size(), 4U);
}

/// Whatever happens: no expiry takes a second of the retention away, and none leaves anything that
/// the next one would take at the same time.
TEST(backups, an_expiry_never_takes_what_the_retention_promises) {
    for (unsigned seed = 1; seed <= 30; ++seed) {
        std::mt19937 random(seed);
        Story story;
        const Policy policy{.retention_days = 7 + static_cast<std::int64_t>(random() % 5)};
        std::size_t asked = 0;
        for (int hour = 0; hour < 24 * 30; ++hour) {
            const bool fails = random() % 4 == 0;
            const auto kind = due(story.repository, policy, {}, story.now);
            if (kind && !fails) story.back_up(*kind);
            if (random() % 200 == 0 && !story.repository.backups.empty()) {
                story.back_up(Kind::differential, "asked");
                ++asked;
            }
            if (random() % 60 == 0) story.promote();
            story.an_hour(random() % 50 != 0);
            if (hour % 5 != 0) continue;
            const Timestamp begin = story.now - days(policy.retention_days);
            const auto before = restorable(story.repository);
            story.expire(expired(story.repository, policy, story.now));
            const auto after = restorable(story.repository);
            for (Timestamp each = begin; each <= story.now; each += 30min)
                ASSERT_TRUE(!covers(before, each) || covers(after, each))
                    << "seed " << seed << " hour " << hour << ": " << format_iso8601(each);
            ASSERT_TRUE(expired(story.repository, policy, story.now).labels.empty())
                << "seed " << seed;
            const auto& left = story.repository.backups;
            ASSERT_EQ(std::count_if(left.begin(), left.end(),
                                    [](const Backup& each) { return !each.on_demand.empty(); }),
                      static_cast<std::ptrdiff_t>(asked))
                << "seed " << seed;
        }
    }
}

TEST(backups, without_marks_the_newest_backup_before_a_time_is_taken) {
    Story story;
    story.back_up(Kind::full);
    story.hours_pass(5);
    story.back_up(Kind::differential);
    story.hours_pass(2, /*are_archived=*/false);
    story.back_up(Kind::differential);
    const auto label_before = [&](Timestamp target) {
        Repository unmarked = story.repository;
        const auto found = backup_before(unmarked, target);
        return found.ok() ? (*found)->label : found.error().describe();
    };
    const auto& backups = story.repository.backups;
    EXPECT_EQ(label_before(backups[0].stopped), backups[0].label);
    EXPECT_EQ(label_before(backups[1].stopped - 1s), backups[0].label);
    EXPECT_EQ(label_before(backups[1].stopped + 1s), backups[1].label);
    EXPECT_EQ(label_before(story.now + 1h), backups[2].label);
    EXPECT_THAT(label_before(kBegin), testing::HasSubstr("cannot be restored"));
}

}  // namespace
}  // namespace howdah::core::backup
