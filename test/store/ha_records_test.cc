#include "store/ha/ha_records.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>
#include <vector>

#include "base/text.h"
#include "store/sqlite/connection.h"
#include "store/store_support.h"

namespace howdah::store {
namespace {

class HaRecordsTest : public testing::Test {
  protected:
    std::unique_ptr<HaRecords> open() const { return open_ha_records(path_).value(); }

    TemporaryFolder folder_;
    std::string path_ = folder_.file("ha.db");
};

TEST_F(HaRecordsTest, a_record_changes_by_compare_and_swap_alone) {
    const auto records = open();
    EXPECT_EQ(records->read("s").value().revision, 0);
    const std::int64_t first = records->replace("s", 0, "one").value();
    EXPECT_EQ(records->replace("s", 0, "two").error().code, ErrorCode::conflict);
    EXPECT_EQ(records->replace("s", first + 1, "two").error().code, ErrorCode::conflict);
    const std::int64_t second = records->replace("s", first, "two").value();
    EXPECT_GT(second, first);
    EXPECT_EQ(records->replace("s", first, "late").error().code, ErrorCode::conflict);
    EXPECT_EQ(records->read("s").value().record, "two");
    EXPECT_EQ(records->read("s").value().revision, second);
    EXPECT_EQ(records->read("other").value().revision, 0);
}

TEST_F(HaRecordsTest, a_record_that_is_made_again_has_a_revision_of_its_own) {
    const auto records = open();
    const std::int64_t first = records->replace("s", 0, "one").value();
    EXPECT_EQ(records->remove("s", first + 1).error().code, ErrorCode::conflict);
    ASSERT_TRUE(records->remove("s", first).ok());
    EXPECT_GT(records->replace("s", 0, "again").value(), first);
    EXPECT_EQ(records->replace("s", first, "late").error().code, ErrorCode::conflict);
}

TEST_F(HaRecordsTest, nobody_takes_over_from_who_has_renewed_its_lease) {
    const auto records = open();
    const std::int64_t first = records->replace("s", 0, "one").value();
    ASSERT_TRUE(records->renew("a").ok());
    const HaRecords::Lease seen{"a", records->read("s").value().leases.at("a")};
    ASSERT_TRUE(records->renew("a").ok());
    EXPECT_EQ(records->replace("s", first, "taken", seen).error().code, ErrorCode::conflict);
    EXPECT_EQ(records->read("s").value().record, "one");
    EXPECT_TRUE(
        records->replace("s", first, "taken", HaRecords::Lease{"a", seen.counter + 1}).ok());
    EXPECT_TRUE(records->replace("t", 0, "x", HaRecords::Lease{"never heard of", 0}).ok());
}

TEST_F(HaRecordsTest, agents_share_the_file_and_see_each_others_leases_move) {
    const auto one = open();
    const auto other = open();
    ASSERT_TRUE(one->renew("a").ok());
    ASSERT_TRUE(one->renew("a").ok());
    ASSERT_TRUE(other->renew("b").ok());
    const auto seen = other->read("s").value();
    EXPECT_EQ(seen.leases.at("a"), 2);
    EXPECT_EQ(seen.leases.at("b"), 1);
    const std::int64_t revision = one->replace("s", 0, "of one").value();
    EXPECT_EQ(other->read("s").value().record, "of one");
    EXPECT_EQ(other->replace("s", revision, "of other").value(), revision + 1);
    ASSERT_TRUE(other->forget("b").ok());
    EXPECT_EQ(one->read("s").value().leases.size(), 1U);
}

TEST_F(HaRecordsTest, everything_is_there_after_reopening_and_is_only_its_owners) {
    const std::string bytes("\0\xff'\n", 4);
    open()->replace("s", 0, bytes).value();
    EXPECT_EQ(open()->read("s").value().record, bytes);
    struct stat facts {};
    ASSERT_EQ(stat(path_.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777U, 0600U);
}

TEST_F(HaRecordsTest, refuses_what_is_beyond_its_bounds_and_files_of_others) {
    const auto records = open();
    const std::string large(HaRecords::kRecordBytesMax + 1, 'x');
    EXPECT_EQ(records->replace("s", 0, large).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(records->replace("", 0, "x").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(records->renew(std::string(HaRecords::kNameBytesMax + 1, 'a')).error().code,
              ErrorCode::invalid_argument);
    const std::string other = folder_.file("other.db");
    ASSERT_TRUE(Connection::open(other).value().execute("CREATE TABLE x (y)").ok());
    EXPECT_EQ(open_ha_records(other).error().code, ErrorCode::corrupt);
    const std::string garbage = folder_.file("garbage.db");
    std::ofstream(garbage) << std::string(5000, 'g');
    EXPECT_EQ(open_ha_records(garbage).error().code, ErrorCode::corrupt);
    ASSERT_TRUE(Connection::open(path_).value().execute("PRAGMA user_version = 99").ok());
    EXPECT_EQ(open_ha_records(path_).error().code, ErrorCode::not_supported);
    EXPECT_FALSE(open_ha_records(folder_.file("absent/ha.db")).ok());
}

TEST_F(HaRecordsTest, who_finds_the_file_busy_waits_a_bounded_time_and_says_so) {
    const auto records = open();
    Connection other = Connection::open(path_).value();
    ASSERT_TRUE(other.execute("BEGIN IMMEDIATE").ok());
    EXPECT_EQ(records->replace("s", 0, "x").error().code, ErrorCode::unavailable);
    EXPECT_EQ(records->renew("a").error().code, ErrorCode::unavailable);
    EXPECT_TRUE(records->read("s").ok()) << "reading never waits for who writes";
    ASSERT_TRUE(other.execute("ROLLBACK").ok());
    EXPECT_TRUE(records->replace("s", 0, "x").ok());
}

/// Adds one to the number in the record until it has done so `times` times.
void count_up(const std::string& path, int times) {
    const auto records = open_ha_records(path).value();
    for (int done = 0; done < times;) {
        const auto seen = records->read("s");
        if (!seen.ok()) continue;
        const std::int64_t number =
            seen->revision == 0 ? 0 : parse_integer(seen->record, 0, INT64_MAX).value();
        if (records->replace("s", seen->revision, std::to_string(number + 1)).ok()) ++done;
    }
}

TEST_F(HaRecordsTest, whoever_opens_them_waits_for_nobody_who_writes) {
    (void)open();
    Connection other = Connection::open(path_).value();
    ASSERT_TRUE(other.execute("BEGIN IMMEDIATE").ok());
    EXPECT_TRUE(open_ha_records(path_).ok());
}

TEST_F(HaRecordsTest, processes_that_count_together_lose_nothing) {
    constexpr int kProcesses = 4;
    constexpr int kTimes = 25;
    std::vector<pid_t> children;
    for (int i = 0; i < kProcesses; ++i) {
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            count_up(path_, kTimes);
            _exit(0);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    EXPECT_EQ(open()->read("s").value().record, std::to_string(kProcesses * kTimes));
}

TEST_F(HaRecordsTest, whoever_is_killed_leaves_a_whole_record_and_no_lock) {
    open()->replace("s", 0, "0").value();
    for (int round = 0; round < 10; ++round) {
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            count_up(path_, INT32_MAX);
            _exit(0);
        }
        const auto records = open();
        const std::int64_t before = records->read("s").value().revision;
        while (records->read("s").value().revision < before + 3 + round) std::this_thread::yield();
        ASSERT_EQ(kill(child, SIGKILL), 0);
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        const auto seen = records->read("s").value();
        EXPECT_EQ(seen.record, std::to_string(seen.revision - 1)) << "one step for each revision";
        EXPECT_TRUE(records->replace("s", seen.revision, seen.record + "").ok());
        // Keeps number and revision in step for the next round.
        const auto again = records->read("s").value();
        ASSERT_TRUE(records->replace("s", again.revision, std::to_string(again.revision)).ok());
    }
}

}  // namespace
}  // namespace howdah::store
