// What is true of the SQLite file alone; ha_records_test.cc has what every backend promises.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "store/ha/ha_records.h"
#include "store/sqlite/connection.h"
#include "store/store_support.h"

namespace howdah::store {
namespace {

class SqliteHaRecords : public testing::Test {
  protected:
    std::unique_ptr<HaRecords> open() const { return open_ha_records(path_).value(); }

    TemporaryFolder folder_;
    std::string path_ = folder_.file("ha.db");
};

TEST_F(SqliteHaRecords, the_file_is_only_its_owners) {
    (void)open();
    struct stat facts {};
    ASSERT_EQ(stat(path_.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777U, 0600U);
}

TEST_F(SqliteHaRecords, files_of_others_and_of_newer_programs_are_refused) {
    (void)open();
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

TEST_F(SqliteHaRecords, who_finds_the_file_busy_waits_a_bounded_time_and_says_so) {
    const auto records = open();
    Connection other = Connection::open(path_).value();
    ASSERT_TRUE(other.execute("BEGIN IMMEDIATE").ok());
    EXPECT_EQ(records->replace("s", 0, "x").error().code, ErrorCode::unavailable);
    EXPECT_EQ(records->renew("a").error().code, ErrorCode::unavailable);
    EXPECT_TRUE(records->read("s").ok()) << "reading never waits for who writes";
    ASSERT_TRUE(other.execute("ROLLBACK").ok());
    EXPECT_TRUE(records->replace("s", 0, "x").ok());
}

TEST_F(SqliteHaRecords, whoever_opens_them_waits_for_nobody_who_writes) {
    (void)open();
    Connection other = Connection::open(path_).value();
    ASSERT_TRUE(other.execute("BEGIN IMMEDIATE").ok());
    EXPECT_TRUE(open_ha_records(path_).ok());
}

}  // namespace
}  // namespace howdah::store
