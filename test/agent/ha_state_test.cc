// What an agent writes down about a member, and the names of members towards PostgreSQL.

#include <gtest/gtest.h>
#include <stdlib.h>

#include "agent/ha/fence.h"
#include "agent/ha/member_postgres.h"
#include "agent/ha/member_state.h"
#include "os/file.h"

namespace howdah::agent {
namespace {

using core::ha::MemberId;
using core::ha::Record;

const MemberId kFirst{"host-1", "0123456789abcdef"};
const MemberId kSecond{"host 2", "fedcba9876543210"};

Record some_record() {
    return {.term = 7,
            .primary = kFirst,
            .sync_set = {kSecond},
            .timelines = {{1, 0}, {5, 0x16B374D848}},
            .successor = kSecond,
            .given_up = {{"c", "3"}},
            .wants_standby = false};
}

TEST(wal_bytes_counted, knows_where_pg_waldump_met_the_end) {
    const std::string counted =
        "WAL statistics between 0/1552B70 and 0/16056A0:\nType     N\nTotal   10039\n";
    const std::string end = "pg_waldump: error: error in WAL record at 0/1605508: invalid record";
    EXPECT_EQ(wal_bytes_counted(counted, end, 0x1552B70), 0x16056A0 - 0x1552B70);
    EXPECT_EQ(
        wal_bytes_counted("", "pg_waldump: error: could not find a valid record after 0/1F5B0A8",
                          0x1F5B0A8),
        0);
    EXPECT_EQ(wal_bytes_counted("Type  N\n", end, 1), std::nullopt) << "before PostgreSQL 15";
    EXPECT_EQ(wal_bytes_counted(counted, end, 0x20000000), std::nullopt);
    EXPECT_EQ(wal_bytes_counted("WAL statistics between 0/1 and x:\n", end, 1), std::nullopt);
    EXPECT_EQ(wal_bytes_counted("", "pg_waldump: error: could not open file", 1), std::nullopt);
}

TEST(ha_state, a_record_comes_back_as_it_was) {
    const auto back = record_from_text(to_text(some_record()));
    ASSERT_TRUE(back.ok()) << back.error().describe();
    EXPECT_EQ(*back, some_record());
}

TEST(ha_state, a_state_comes_back_as_it_was) {
    const MemberState state{.directory = kFirst.incarnation,
                            .timelines = {{1, 0}},
                            .was_primary = true,
                            .promoting = 8,
                            .promoting_from = 3,
                            .known = some_record(),
                            .known_revision = 41,
                            .doubt_base = 40,
                            .doubt_names = {kSecond}};
    const auto back = member_state_from_text(to_text(state));
    ASSERT_TRUE(back.ok()) << back.error().describe();
    EXPECT_EQ(*back, state);
    const auto none = member_state_from_text(to_text(MemberState{}));
    ASSERT_TRUE(none.ok());
    EXPECT_EQ(*none, MemberState{});
    for (const char* text : {"", "7", "{\"directory\":7}", "{\"known\":{}}"})
        EXPECT_FALSE(member_state_from_text(text).ok()) << text;
}

TEST(ha_state, what_is_damaged_is_an_error_at_every_cut) {
    const std::string record = to_text(some_record());
    for (std::size_t i = 0; i < record.size(); ++i)
        EXPECT_FALSE(record_from_text(record.substr(0, i)).ok()) << i;
    for (const char* text :
         {"", "null", "[]", "{}", "{\"term\":\"7\"}", "7",
          "{\"term\":7,\"primary\":{\"node\":\"a\"},\"timelines\":[{\"at\":\"x\"}]}"}) {
        EXPECT_FALSE(record_from_text(text).ok()) << text;
        EXPECT_FALSE(member_address_from_text(text).ok()) << text;
    }
}

TEST(ha_state, an_address_cannot_carry_options_of_a_connection) {
    const MemberAddress good{"10.1.2.3", 5432};
    EXPECT_EQ(member_address_from_text(to_text(good)).value(), good);
    EXPECT_TRUE(member_address_from_text(to_text(MemberAddress{"fe80::1", 1})).ok());
    for (const MemberAddress& bad :
         {MemberAddress{"10.1.2.3 user=postgres", 5432}, MemberAddress{"", 5432},
          MemberAddress{"/tmp", 5432}, MemberAddress{"10.1.2.3", 0},
          MemberAddress{"10.1.2.3", 65536}})
        EXPECT_FALSE(member_address_from_text(to_text(bad)).ok()) << bad.host << " " << bad.port;
}

TEST(ha_state, a_member_is_known_by_the_name_it_streams_under) {
    EXPECT_EQ(member_of(replication_name(kFirst)), kFirst);
    EXPECT_EQ(member_of(replication_name(kSecond)), kSecond);
    for (const char* name : {"", "walreceiver", "0123456789abcdef", "0123456789abcdef@",
                             "0123456789abcdeg@host", "0123456789ABCDEF@host", "x@host"})
        EXPECT_FALSE(member_of(name).has_value()) << name;
}

TEST(ha_state, every_member_of_the_set_is_waited_for) {
    EXPECT_EQ(synchronous_names({}), "");
    EXPECT_EQ(synchronous_names({kFirst}), "1 (\"0123456789abcdef@host-1\")");
    EXPECT_EQ(synchronous_names({kFirst, kSecond}),
              "2 (\"fedcba9876543210@host 2\", \"0123456789abcdef@host-1\")");
}

TEST(ha_state, whom_postgresql_waits_for_is_read_from_its_setting) {
    for (const core::ha::Members& each :
         {core::ha::Members{}, core::ha::Members{kFirst}, core::ha::Members{kFirst, kSecond}})
        EXPECT_EQ(members_of(synchronous_names(each)), each);
    EXPECT_TRUE(members_of("ANY 1 (\"replica\", other)").empty());
}

TEST(ha_fence, a_limit_that_never_was_has_passed_and_is_not_none) {
    char folder[] = "/tmp/howdah-fence-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    const std::string path = std::string(folder) + "/fence";
    FenceFile agent = FenceFile::open(path).value();
    const FenceFile fence = FenceFile::open(path).value();
    EXPECT_FALSE(fence.until().has_value());
    agent.set(Instant{});
    ASSERT_TRUE(fence.until().has_value());
    EXPECT_LT(*fence.until(), SystemClock().now());
    agent.set(Instant(std::chrono::hours(7)));
    EXPECT_EQ(fence.until(), Instant(std::chrono::hours(7)));
    agent.set(std::nullopt);
    EXPECT_FALSE(fence.until().has_value());
    EXPECT_TRUE(os::remove_tree(folder).ok());
}

TEST(ha_state, the_last_switch_of_a_history_is_found) {
    const auto last = last_history_line(
        "1\t0/3000148\tno recovery target specified\n\n2\t0/5000000\tno recovery target "
        "specified\n");
    ASSERT_TRUE(last.ok());
    EXPECT_EQ(last->timeline, 2);
    EXPECT_EQ(last->left_at, 0x5000000U);
    for (const char* text : {"", "# nothing\n", "1 0/1\n", "x\t0/1\n", "1\tx\n", "0\t0/1\n"})
        EXPECT_FALSE(last_history_line(text).ok()) << text;
}

TEST(ha_conf, a_primary_waits_and_follows_nobody) {
    const std::string text =
        ha_conf({.self = kFirst, .sync_names = {kSecond}, .pass_file = "/home/it's"});
    EXPECT_NE(text.find("synchronous_standby_names = '1 (\"fedcba9876543210@host 2\")'\n"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("primary_conninfo = ''\n"), std::string::npos);
    EXPECT_NE(text.find("restart_after_crash = 'off'\n"), std::string::npos);
}

TEST(ha_conf, a_standby_streams_under_its_name_and_with_a_file_for_its_password) {
    const std::string text = ha_conf({.self = kSecond,
                                      .upstream = Upstream{kFirst, {"127.0.0.1", 5433}},
                                      .pass_file = "/home/it's"});
    EXPECT_NE(text.find("synchronous_standby_names = ''\n"), std::string::npos);
    const std::size_t at = text.find("primary_conninfo = '");
    ASSERT_NE(at, std::string::npos);
    const std::string line = text.substr(at, text.find('\n', at) - at);
    // In quotes within quotes: those of the connection string, then those of the file.
    EXPECT_NE(line.find("passfile=''/home/it\\\\''s''"), std::string::npos) << line;
    EXPECT_NE(line.find("host=127.0.0.1 port=5433 "), std::string::npos) << line;
    EXPECT_NE(line.find("application_name=''fedcba9876543210@host 2''"), std::string::npos) << line;
    EXPECT_EQ(line.find("password="), std::string::npos);
}

}  // namespace
}  // namespace howdah::agent
