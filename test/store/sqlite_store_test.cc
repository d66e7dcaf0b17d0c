// What only the store on disk has to prove: durability, migrations, damage, a full disk.

#include "store/sqlite/sqlite_store.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "os/fd.h"
#include "os/file.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/schema.h"
#include "store/store_support.h"

namespace howdah::store {
namespace {

using std::chrono::seconds;

class sqlite : public testing::Test {
  protected:
    std::unique_ptr<Store> open(const SqliteOptions& options = {}) {
        return open_sqlite_store(path_, clock_, options).value();
    }
    Error open_error(const SqliteOptions& options = {}) {
        const auto store = open_sqlite_store(path_, clock_, options);
        return store.ok() ? Error{ErrorCode::internal, "opened"} : store.error();
    }

    TemporaryFolder folder_;
    FakeClock clock_;
    std::string path_ = folder_.file("store.db");
};

TEST_F(sqlite, everything_is_there_after_reopening) {
    {
        const auto store = open();
        put(*store, "/a", "one");
        put(*store, "/a", "two");
        store->commit(Transaction().put("/b", "x").remove("/a")).value();
    }
    const auto store = open();
    EXPECT_EQ(store->revision().value(), 3);
    EXPECT_EQ(keys_of(store->list("/").value()), "/b");
    EXPECT_EQ(store->get("/b").value()->modified, 3);
    const auto watch = store->watch("/", 0).value();
    EXPECT_EQ(text_of(watch->next(seconds(5)).value()), "/a=one@1 /a=two@2 /b=x@3 /a-@3");
    EXPECT_EQ(put(*store, "/c", "y"), 4);
}

TEST_F(sqlite, only_its_owner_can_read_the_file) {
    const auto store = open();
    put(*store, "/a", "one");
    for (const char* suffix : {"", "-wal", "-shm"}) {
        struct stat facts {};
        ASSERT_EQ(stat((path_ + suffix).c_str(), &facts), 0) << suffix;
        EXPECT_EQ(facts.st_mode & 0777U, 0600U) << suffix;
    }
}

TEST_F(sqlite, leases_survive_a_restart_and_begin_anew) {
    LeaseId lease = kNoLease;
    {
        const auto store = open();
        lease = store->grant_lease(seconds(10)).value();
        store->commit(Transaction().put("/leased", "x", lease)).value();
    }
    clock_.advance(seconds(60));
    const auto store = open();
    EXPECT_EQ(value_of(*store, "/leased"), "x");
    EXPECT_TRUE(store->keep_alive(lease).ok());
    clock_.advance(seconds(10));
    EXPECT_EQ(value_of(*store, "/leased"), "<none>");
    EXPECT_GT(store->grant_lease(seconds(10)).value(), lease) << "an id is never used twice";
}

// ---------------------------------------------------------------------------------------------
// A crash

/// In a child: commits "/n/<i>" for i = 0, 1, ... and writes each i to `acknowledged` once its
/// commit returned, until somebody kills it.
[[noreturn]] void commit_until_killed(const std::string& path, int acknowledged) {
    const SystemClock clock;
    const auto store = open_sqlite_store(path, clock, {.history_revisions = 16}).value();
    for (std::int32_t i = 0;; ++i) {
        Transaction transaction;
        transaction.put(fmt::format("/n/{}", i), std::string(3000, 'v'));
        transaction.put("/last", std::to_string(i));
        if (!store->commit(transaction).ok()) _exit(1);
        if (write(acknowledged, &i, sizeof(i)) != sizeof(i)) _exit(2);
    }
}

/// Lets a child commit until it has acknowledged `count` commits, and kills it there. Returns the
/// last acknowledged number.
std::int32_t kill_while_committing(const std::string& path, int count) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const os::Fd reading(ends[0]);
    os::Fd writing(ends[1]);
    const pid_t child = fork();
    if (child == 0) commit_until_killed(path, writing.get());
    writing.reset();
    std::int32_t last = -1;
    std::int32_t number = 0;
    for (int i = 0; i < count && read(reading.get(), &number, sizeof(number)) > 0; ++i)
        last = number;
    kill(child, SIGKILL);
    while (read(reading.get(), &number, sizeof(number)) == sizeof(number)) last = number;
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status));
    return last;
}

TEST_F(sqlite, a_kill_in_the_middle_of_commits_loses_no_acknowledged_one) {
    for (int round = 0; round < 8; ++round) {
        SCOPED_TRACE(round);
        const std::string path = folder_.file(fmt::format("killed-{}.db", round));
        const std::int32_t last = kill_while_committing(path, 5 + 37 * round);
        ASSERT_GE(last, 0);
        const auto store = open_sqlite_store(path, clock_).value();
        // At most the one in flight is there beyond the acknowledged ones, and that one whole.
        const int newest = std::stoi(value_of(*store, "/last"));
        EXPECT_GE(newest, last);
        EXPECT_LE(newest, last + 1);
        EXPECT_EQ(store->revision().value(), newest + 1);
        for (int i = 0; i <= newest; ++i)
            EXPECT_EQ(value_of(*store, fmt::format("/n/{}", i)).size(), 3000U) << i;
        EXPECT_EQ(value_of(*store, fmt::format("/n/{}", newest + 1)), "<none>");
    }
}

// ---------------------------------------------------------------------------------------------
// Schema

/// A file as the program of schema version 1 left it.
void make_version_1(const std::string& path) {
    auto connection = Connection::open(path).value();
    ASSERT_TRUE(migrate(connection, 1).ok());
    ASSERT_TRUE(connection
                    .execute("INSERT INTO entry VALUES ('/a', 'one', 1, 1), ('/b', 'two', 2, 3);"
                             "INSERT INTO history VALUES (1024, '/a', 'one', 1),"
                             " (2048, '/b', 'x', 2), (3072, '/b', 'two', 2)")
                    .ok());
    ASSERT_EQ(connection.query_number("SELECT version FROM schema_version").value(), 1);
}

TEST_F(sqlite, an_older_schema_is_migrated_and_keeps_its_data) {
    make_version_1(path_);
    {
        const auto store = open();
        EXPECT_EQ(store->revision().value(), 3);
        EXPECT_EQ(value_of(*store, "/a"), "one");
        EXPECT_EQ(store->get("/b").value()->created, 2);
        const auto watch = store->watch("/", 2).value();
        EXPECT_EQ(text_of(watch->next(seconds(5)).value()), "/b=two@3");
        EXPECT_TRUE(store->grant_lease(seconds(10)).ok());
    }
    auto connection = Connection::open(path_).value();
    EXPECT_EQ(connection.query_number("SELECT version FROM schema_version").value(),
              newest_schema_version());
}

TEST_F(sqlite, every_older_schema_version_can_be_opened) {
    for (std::int64_t version = 0; version <= newest_schema_version(); ++version) {
        const std::string path = folder_.file(fmt::format("v{}.db", version));
        {
            auto connection = Connection::open(path).value();
            ASSERT_TRUE(migrate(connection, version).ok()) << version;
        }
        const auto store = open_sqlite_store(path, clock_);
        ASSERT_TRUE(store.ok()) << version;
        EXPECT_EQ(put(**store, "/a", "x"), 1);
    }
}

TEST_F(sqlite, a_newer_schema_is_refused_and_left_alone) {
    put(*open(), "/a", "one");
    {
        auto connection = Connection::open(path_).value();
        ASSERT_TRUE(connection.execute("UPDATE schema_version SET version = 99").ok());
    }
    const Error error = open_error();
    EXPECT_EQ(error.code, ErrorCode::not_supported);
    EXPECT_NE(error.message.find("schema version 99"), std::string::npos) << error.message;
    EXPECT_FALSE(error.hint.empty());
    auto connection = Connection::open(path_).value();
    EXPECT_EQ(connection.query_number("SELECT version FROM schema_version").value(), 99);
    EXPECT_EQ(connection.query_text("SELECT value FROM entry").value(), "one");
}

// ---------------------------------------------------------------------------------------------
// What can be wrong with the file or the disk

TEST_F(sqlite, a_file_that_is_no_database_is_refused_clearly) {
    ASSERT_TRUE(os::write_file_atomic(path_, std::string(8192, 'x')).ok());
    const Error error = open_error();
    EXPECT_EQ(error.code, ErrorCode::corrupt);
    EXPECT_NE(error.message.find(path_), std::string::npos) << error.message;
    EXPECT_FALSE(error.hint.empty());
}

TEST_F(sqlite, a_database_of_another_program_is_refused_and_left_alone) {
    {
        auto connection = Connection::open(path_).value();
        ASSERT_TRUE(connection.execute("CREATE TABLE notes (text TEXT)").ok());
    }
    EXPECT_EQ(open_error().code, ErrorCode::corrupt);
    auto connection = Connection::open(path_).value();
    EXPECT_EQ(connection.query_number("SELECT count(*) FROM sqlite_schema").value(), 1);
}

TEST_F(sqlite, a_damaged_page_is_found_when_the_file_is_opened) {
    {
        const auto store = open();
        for (int i = 0; i < 200; ++i)
            put(*store, fmt::format("/key/{:04}", i), std::string(500, 'v'));
    }
    std::string bytes = os::read_file(path_).value();
    ASSERT_GT(bytes.size(), 100'000U);
    for (std::size_t page = 8; page < 20; ++page) bytes.replace(page * 4096, 64, 64, '\x5a');
    ASSERT_TRUE(os::write_file_atomic(path_, bytes).ok());
    EXPECT_EQ(open_error().code, ErrorCode::corrupt);
}

TEST_F(sqlite, a_missing_folder_is_named) {
    path_ = folder_.file("no/such/folder/store.db");
    const Error error = open_error();
    EXPECT_EQ(error.code, ErrorCode::io);
    EXPECT_NE(error.message.find(path_), std::string::npos) << error.message;
}

TEST_F(sqlite, a_full_disk_refuses_the_commit_and_keeps_what_was_there) {
    const auto store = open({.file_bytes_max = 128 << 10});
    int written = 0;
    Error error{ErrorCode::internal, "the disk never got full"};
    for (; written < 1000; ++written) {
        const auto result =
            store->commit(Transaction().put(fmt::format("/n/{}", written), std::string(2000, 'v')));
        if (result.ok()) continue;
        error = result.error();
        break;
    }
    EXPECT_EQ(error.code, ErrorCode::resource_exhausted) << error.message;
    EXPECT_FALSE(error.hint.empty());
    EXPECT_EQ(store->revision().value(), written);
    EXPECT_EQ(store->list("/n/").value().size(), static_cast<std::size_t>(written));
    // Removing makes room again.
    EXPECT_TRUE(store->commit(Transaction().remove("/n/0")).ok());
}

TEST_F(sqlite, two_handles_on_one_file_never_both_win) {
    const auto first = open();
    const auto second = open();
    put(*first, "/a", "one");
    EXPECT_EQ(value_of(*second, "/a"), "one");
    EXPECT_TRUE(second->commit(Transaction().expect("/a", 1).put("/a", "two")).ok());
    EXPECT_EQ(first->commit(Transaction().expect("/a", 1).put("/a", "three")).error().code,
              ErrorCode::conflict);
    EXPECT_EQ(value_of(*first, "/a"), "two");
    EXPECT_EQ(put(*first, "/b", "x"), 3);
}

}  // namespace
}  // namespace howdah::store
