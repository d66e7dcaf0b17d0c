#include "agent/server_logs.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "agent/log_transfer.h"
#include "os/file.h"

namespace howdah::agent {
namespace {

class ServerLogs : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/howdah-logs-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        folder_ = name;
        for (int hour = 0; hour < 10; ++hour)
            write(fmt::format("postgresql-2026-11-21_{:02}0000.json", hour));
    }
    void TearDown() override { EXPECT_TRUE(os::remove_tree(folder_).ok()); }

    void write(const std::string& name) {
        ASSERT_TRUE(os::write_file_atomic(folder_ + "/" + name, std::string(100, 'x')).ok());
    }
    std::vector<std::string> left() const {
        auto names = os::list_folder(folder_).value();
        std::sort(names.begin(), names.end());
        return names;
    }

    std::string folder_;
};

TEST_F(ServerLogs, within_the_bounds_stay) {
    EXPECT_TRUE(prune_logs(folder_).ok());
    EXPECT_EQ(left().size(), 10U);
}

TEST_F(ServerLogs, beyond_the_bytes_the_oldest_go) {
    EXPECT_TRUE(prune_logs(folder_, {.bytes_max = 350}).ok());
    EXPECT_EQ(left(), (std::vector<std::string>{"postgresql-2026-11-21_070000.json",
                                                "postgresql-2026-11-21_080000.json",
                                                "postgresql-2026-11-21_090000.json"}));
}

TEST_F(ServerLogs, beyond_the_number_the_oldest_go) {
    EXPECT_TRUE(prune_logs(folder_, {.files_max = 4}).ok());
    EXPECT_EQ(left().size(), 4U);
}

TEST_F(ServerLogs, what_is_being_written_stays_however_large) {
    EXPECT_TRUE(prune_logs(folder_, {.bytes_max = 0}).ok());
    EXPECT_EQ(left().size(), 2U);
}

TEST_F(ServerLogs, files_of_another_name_are_nobodys_business) {
    write("notes");
    EXPECT_TRUE(prune_logs(folder_, {.bytes_max = 0}).ok());
    EXPECT_EQ(left().size(), 3U);
}

TEST_F(ServerLogs, those_of_days_before_go) {
    EXPECT_TRUE(prune_logs(folder_, {.oldest = SystemClock().wall() - std::chrono::hours(1)}).ok());
    EXPECT_EQ(left().size(), 10U);
    EXPECT_TRUE(prune_logs(folder_, {.oldest = SystemClock().wall() + std::chrono::hours(1)}).ok());
    EXPECT_EQ(left(), (std::vector<std::string>{"postgresql-2026-11-21_080000.json",
                                                "postgresql-2026-11-21_090000.json"}));
}

TEST_F(ServerLogs, are_listed_newest_last_and_without_what_is_no_log) {
    write("notes");
    ASSERT_EQ(symlink("/etc/passwd", (folder_ + "/postgresql-2026-11-21_990000.json").c_str()), 0);
    ASSERT_EQ(mkdir((folder_ + "/postgresql-2026-11-21_980000.json").c_str(), 0700), 0);
    const auto files = list_logs(folder_);
    ASSERT_TRUE(files.ok());
    ASSERT_EQ(files->size(), 10U);
    EXPECT_EQ(files->front().name, "postgresql-2026-11-21_000000.json");
    EXPECT_EQ(files->back().name, "postgresql-2026-11-21_090000.json");
    EXPECT_EQ(files->back().bytes, 100);
    EXPECT_TRUE(parse_iso8601(files->back().modified).ok());
    EXPECT_TRUE(parse_iso8601(files->back().created).ok());
}

TEST_F(ServerLogs, only_a_plain_log_of_the_folder_can_be_opened) {
    const auto open = [&](const std::string& name, std::int64_t offset = 0) {
        return LogTransfer::open(folder_, {"id", "incarnation", name, offset}).ok();
    };
    const std::string good = "postgresql-2026-11-21_090000.json";
    ASSERT_EQ(symlink("/etc/passwd", (folder_ + "/postgresql-1.json").c_str()), 0);
    ASSERT_EQ(link((folder_ + "/" + good).c_str(), (folder_ + "/postgresql-2.json").c_str()), 0);
    write("notes");
    EXPECT_TRUE(open("postgresql-2026-11-21_080000.json"));
    EXPECT_FALSE(open(good)) << "it has a second name";
    for (const char* bad : {"", ".", "..", "notes", "postgresql-1.json", "postgresql-2.json",
                            "postgresql-../../state.json", "postgresql-9.json",
                            "../log/postgresql-2026-11-21_080000.json"})
        EXPECT_FALSE(open(bad)) << bad;
    EXPECT_FALSE(open("postgresql-2026-11-21_080000.json", -1));
}

TEST_F(ServerLogs, a_folder_that_is_a_link_is_not_followed) {
    const std::string other = folder_ + "-link";
    ASSERT_EQ(symlink(folder_.c_str(), other.c_str()), 0);
    EXPECT_FALSE(
        LogTransfer::open(other, {"id", "incarnation", "postgresql-2026-11-21_080000.json", 0})
            .ok());
    EXPECT_TRUE(os::remove_tree(other).ok());
}

}  // namespace
}  // namespace howdah::agent
