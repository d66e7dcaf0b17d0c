#include "agent/ha/disk_watch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
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
    DiskWatch watch;
    watch.watch(std::filesystem::temp_directory_path().string());
    EXPECT_FALSE(watch.hangs());
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

TEST(disk_watch, what_is_forgotten_does_not_count_while_its_end_is_waited_for) {
    const Frozen frozen;
    DiskWatch watch(frozen.write());
    watch.watch("a");
    ASSERT_TRUE(comes_to(true, watch));
    std::jthread forgetting([&] { watch.forget("a"); });
    EXPECT_TRUE(comes_to(false, watch));
    frozen.thaw->count_down();
}

}  // namespace
}  // namespace howdah::agent
