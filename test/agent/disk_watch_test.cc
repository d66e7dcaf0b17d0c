#include "agent/ha/disk_watch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>

namespace howdah::agent {
namespace {

constexpr Duration kPatience = std::chrono::seconds(10);

bool comes_to(bool wanted, const DiskWatch& watch) {
    const Instant deadline = SystemClock().now() + kPatience;
    while (watch.hangs() != wanted && SystemClock().now() < deadline) std::this_thread::yield();
    return watch.hangs() == wanted;
}

/// A disk whose writes hang until it is thawed, and never again.
struct Frozen {
    std::shared_ptr<std::latch> thaw = std::make_shared<std::latch>(1);
    std::shared_ptr<std::latch> is_written = std::make_shared<std::latch>(1);

    DiskWatch::Write write() const {
        return [thaw = thaw, written = is_written,
                first = std::make_shared<std::atomic<bool>>(true)](auto&) {
            if (first->exchange(false)) written->count_down();
            thaw->wait();
        };
    }
};

TEST(disk_watch, nothing_hangs_where_nothing_is_watched) { EXPECT_FALSE(DiskWatch().hangs()); }

TEST(disk_watch, a_disk_that_writes_does_not_hang) {
    std::atomic<int> writes = 0;
    DiskWatch watch([&](const std::string&) { ++writes; });
    watch.watch("a");
    const Instant end = SystemClock().now() + DiskWatch::kHungAfter * 2;
    while (SystemClock().now() < end) {
        ASSERT_FALSE(watch.hangs());
        std::this_thread::yield();
    }
    EXPECT_GT(writes, 1);
}

TEST(disk_watch, a_write_that_fails_is_an_answer) {
    DiskWatch watch;
    watch.watch("/nonexistent/folder");
    const Instant end = SystemClock().now() + DiskWatch::kHungAfter * 2;
    while (SystemClock().now() < end) {
        ASSERT_FALSE(watch.hangs());
        std::this_thread::yield();
    }
}

TEST(disk_watch, a_write_that_takes_too_long_hangs_until_it_ends) {
    const Frozen frozen;
    DiskWatch watch(frozen.write());
    watch.watch("a");
    frozen.is_written->wait();
    EXPECT_FALSE(watch.hangs()) << "a moment is nothing";
    EXPECT_TRUE(comes_to(true, watch));
    frozen.thaw->count_down();
    EXPECT_TRUE(comes_to(false, watch));
}

TEST(disk_watch, what_is_forgotten_counts_until_its_last_write_has_ended) {
    const Frozen frozen;
    DiskWatch watch(frozen.write());
    watch.watch("a");
    ASSERT_TRUE(comes_to(true, watch));
    std::jthread forgetting([&] { watch.forget("a"); });
    EXPECT_TRUE(watch.hangs());
    frozen.thaw->count_down();
    EXPECT_TRUE(comes_to(false, watch));
}

}  // namespace
}  // namespace howdah::agent
