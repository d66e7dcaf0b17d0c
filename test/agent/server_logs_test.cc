#include "agent/server_logs.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>

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

}  // namespace
}  // namespace howdah::agent
