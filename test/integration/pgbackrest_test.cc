// pgBackRest itself with a real PostgreSQL, driven as the agent drives it.

#include "agent/backup/pgbackrest.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "integration/postgres_support.h"
#include "os/file.h"
#include "pg/connection.h"

namespace howdah::agent {
namespace {

using core::backup::Kind;
using core::backup::Repository;

constexpr const char* kProgram = "/usr/bin/pgbackrest";
constexpr const char* kKey = "c2VjcmV0LW9mLXRoaXMtdGVzdC1hbG9uZQ";

/// A plain PostgreSQL with trust and sockets alone, so that ports never matter.
class Cluster {
  public:
    Cluster(std::string folder, std::optional<os::User> user)
        : folder_(std::move(folder)), user_(user) {}
    ~Cluster() {
        if (!os::exists(data() + "/postmaster.pid")) return;
        (void)run({program("pg_ctl"), "-D", data(), "-m", "immediate", "-w", "stop"});
    }
    Cluster(const Cluster&) = delete;
    Cluster& operator=(const Cluster&) = delete;

    std::string data() const { return folder_ + "/data"; }
    Status make_folder() const {
        HD_CHECK(os::make_folders(folder_, 0700));
        return user_ ? os::change_owner(folder_, {user_->uid, user_->gid}) : ok_status();
    }
    Status init() const {
        HD_CHECK(make_folder());
        return run(
            {program("initdb"), "-D", data(), "-A", "trust", "-U", "howdah", "-k", "--no-sync"});
    }
    Status start(const std::string& archive_command) const {
        return run({program("pg_ctl"), "-D", data(), "-w", "-t", "60", "-l", folder_ + "/log", "-o",
                    fmt::format("-c listen_addresses= -c unix_socket_directories={} "
                                "-c archive_mode={} -c \"archive_command={}\" -c hot_standby=on",
                                folder_, archive_command.empty() ? "off" : "on", archive_command),
                    "start"});
    }
    Result<pg::Connection> connect() const {
        return pg::Connection::open(
            {.host = folder_, .port = 5432, .database = "postgres", .user = "howdah"});
    }
    /// One value.
    std::string ask(const std::string& sql) const {
        auto session = connect();
        if (!session.ok()) return session.error().describe();
        const auto rows = session->query(sql);
        return rows.ok() ? rows->at(0, 0) : rows.error().describe();
    }

  private:
    static std::string program(const std::string& name) {
        return test::engine_folder() + "/bin/" + name;
    }
    Status run(std::vector<std::string> arguments) const {
        HD_TRY(const os::Finished done, os::run({.arguments = std::move(arguments),
                                                 .environment = {"LC_ALL=C.UTF-8"},
                                                 .folder = "/",
                                                 .user = user_,
                                                 .timeout = std::chrono::seconds(90)}));
        if (done.succeeded()) return ok_status();
        return Error{ErrorCode::postgres, done.describe()};
    }

    std::string folder_;
    std::optional<os::User> user_;
};

class PgBackRestTest : public testing::Test {
  protected:
    void SetUp() override {
        if (test::engine_folder().empty()) GTEST_SKIP() << "SKIPPED: no PostgreSQL is installed";
        if (!os::exists(kProgram)) GTEST_SKIP() << "SKIPPED: pgBackRest is not installed";
        char name[] = "/tmp/howdah-pgbackrest-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        folder_ = name;
        ASSERT_EQ(chmod(name, 0711), 0);
        if (os::is_root()) user_ = os::find_user("postgres").value();
        cluster_ = std::make_unique<Cluster>(folder_ + "/first", user_);
        ASSERT_TRUE(os::make_folders(folder_ + "/pushed", 0755).ok());
        const Status made = cluster_->init();
        ASSERT_TRUE(made.ok()) << made.error().describe();
        // The agent's word: what is there has been pushed. The name is for pgBackRest, which looks
        // for it.
        const Status started =
            cluster_->start(fmt::format("test -e {}/pushed/%f # pgbackrest", folder_));
        ASSERT_TRUE(started.ok()) << started.error().describe();
        ASSERT_TRUE(repository_of("first").configure().ok());
    }
    void TearDown() override {
        archiver_ = {};
        cluster_.reset();
        if (!folder_.empty()) {
            EXPECT_TRUE(os::remove_tree(folder_).ok());
        }
    }

    PgBackRest repository_of(const std::string& stanza, const char* key = kKey) const {
        return PgBackRest({.program = kProgram,
                           .stanza = stanza,
                           .repository = core::backup::folder_place(folder_ + "/repository"),
                           .key = Secret(key),
                           .folder = folder_ + "/pgbackrest",
                           .data = cluster_->data(),
                           .socket_folder = folder_ + "/first",
                           .port = 5432,
                           .database = "postgres",
                           .user = "howdah",
                           .reads_as = user_});
    }
    /// Pushes what PostgreSQL wants archived, as it comes.
    void archive() {
        archiver_ = std::jthread([this, pusher = repository_of("first")](std::stop_token stop) {
            const std::string wal = cluster_->data() + "/pg_wal/";
            while (!stop.stop_requested()) {
                const auto names = os::list_folder(wal + "archive_status").value_or({});
                for (std::string name : names) {
                    if (!name.ends_with(".ready")) continue;
                    name.resize(name.size() - 6);
                    const std::string mark = folder_ + "/pushed/" + name;
                    if (os::exists(mark)) continue;
                    const Status done = pusher.push(wal + name);
                    must(done);
                    if (done.ok()) must(os::replace_file(mark, "", 0644));
                }
                std::unique_lock lock(pause_mutex_);
                (void)pause_.wait_for(lock, stop, std::chrono::milliseconds(50),
                                      [] { return false; });
            }
        });
    }
    /// PostgreSQL's time when the row was there, more than a second after what came before.
    Timestamp insert(int value) const {
        auto session = cluster_->connect();
        EXPECT_TRUE(session.ok());
        must(session->execute("SELECT pg_catalog.pg_sleep(1.2)"));
        must(session->execute(fmt::format("INSERT INTO t VALUES ({})", value)));
        // The time is cut to milliseconds, and may not be that of before the commit.
        must(session->execute("SELECT pg_catalog.pg_sleep(0.1)"));
        const std::string now = session
                                    ->query(
                                        "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', "
                                        "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
                                    ->at(0, 0);
        must(session->execute("SELECT pg_catalog.pg_sleep(1.2)"));
        return parse_iso8601(now).value();
    }
    /// Until everything up to now is in the repository.
    void archive_all() const {
        auto session = cluster_->connect();
        ASSERT_TRUE(session.ok());
        const std::string last =
            session->query("SELECT pg_walfile_name(pg_switch_wal())")->at(0, 0);
        const Instant end = clock_.now() + std::chrono::minutes(3);
        while (session->query("SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver")
                   ->at(0, 0) < last) {
            ASSERT_LT(clock_.now(), end);
            std::this_thread::yield();
        }
    }
    template <typename Done>
    static void must(const Done& done) {
        if (!done.ok()) ADD_FAILURE() << done.error().describe();
    }
    /// What a restore to this time has in its table, added up.
    std::string restored(Timestamp target) const {
        const PgBackRest repository = repository_of("first");
        auto found = repository.list();
        if (!found.ok()) return found.error().describe();
        // A mark that a test of this length does without: all of it was archived.
        found->marks.push_back({*found->wal.newest(), clock_.wall()});
        const auto backup = core::backup::backup_for(*found, target);
        if (!backup.ok()) return backup.error().describe();
        const Cluster copy(folder_ + "/copy", user_);
        must(os::remove_tree(folder_ + "/copy"));
        must(copy.make_folder());
        must(os::make_folders(copy.data(), 0700));
        // PostgreSQL's user asks pgBackRest itself here.
        for (const char* each : {"/repository", "/pgbackrest"})
            if (user_) must(os::change_owner_tree(folder_ + each, user_->uid, user_->gid));
        must(repository.restore(
            (*backup)->label, target, copy.data(),
            fmt::format("{} --config={} --stanza=first --pg1-path={} archive-get %f %p", kProgram,
                        repository.configuration_path(), copy.data()),
            {}));
        const Status started = copy.start("");
        if (!started.ok())
            return started.error().describe() + os::read_file(folder_ + "/copy/log").value_or("");
        const Instant end = clock_.now() + std::chrono::seconds(60);
        while (copy.ask("SELECT pg_is_in_recovery()") != "f" && clock_.now() < end)
            std::this_thread::yield();
        return copy.ask("SELECT coalesce(string_agg(a::text, ' ' ORDER BY a), '') FROM t");
    }

    SystemClock clock_;
    std::string folder_;
    std::optional<os::User> user_;
    std::unique_ptr<Cluster> cluster_;
    std::mutex pause_mutex_;
    std::condition_variable_any pause_;
    std::jthread archiver_;
};

TEST_F(PgBackRestTest, what_was_backed_up_is_listed_restored_to_a_second_and_expires) {
    const PgBackRest repository = repository_of("first");
    EXPECT_TRUE(repository.list()->backups.empty());
    for (int i = 0; i < 2; ++i) must(repository.create_stanza());
    archive();
    must(cluster_->connect()->execute("CREATE TABLE t (a int)"));
    must(repository.back_up(Kind::full, "", {}));
    const Timestamp one = insert(1);
    const Timestamp two = insert(2);
    must(repository.back_up(Kind::differential, "before the upgrade", {}));
    const Timestamp three = insert(3);
    (void)insert(4);
    archive_all();

    const Repository found = repository.list().value();
    ASSERT_EQ(found.backups.size(), 2U);
    EXPECT_EQ(found.backups[0].kind, Kind::full);
    EXPECT_EQ(found.backups[1].kind, Kind::differential);
    EXPECT_EQ(found.backups[1].prior, found.backups[0].label);
    EXPECT_EQ(found.backups[1].on_demand, "before the upgrade");
    EXPECT_GT(found.backups[1].bytes, found.backups[1].repository_bytes);
    EXPECT_TRUE(core::backup::restorable(found).empty()) << "without marks nothing is known";
    EXPECT_EQ(found.wal.reach(found.backups[0].first), found.wal.newest());

    EXPECT_EQ(restored(one), "1");
    EXPECT_EQ(restored(two), "1 2");
    EXPECT_EQ(restored(three), "1 2 3");
    EXPECT_NE(restored(found.backups[0].stopped - std::chrono::minutes(1))
                  .find("The earliest time that can be restored"),
              std::string::npos);

    // The last full one may not go; so there is another.
    must(repository.back_up(Kind::full, "", {}));
    const core::backup::Segment next = repository.list()->backups.back().first;
    const core::backup::Expiry all{.labels = {found.backups[1].label, found.backups[0].label},
                                   .wal_before = next.number,
                                   .kept = {}};
    for (int i = 0; i < 2; ++i) must(repository.expire(all));
    const Repository left = repository.list().value();
    ASSERT_EQ(left.backups.size(), 1U);
    EXPECT_EQ(left.backups[0].first, next);
    EXPECT_FALSE(left.wal.has({1, next.number - 1}));
    EXPECT_EQ(left.wal.reach(next), left.wal.newest());
}

TEST_F(PgBackRestTest, who_has_not_the_key_reads_nothing_and_is_told_without_it) {
    must(repository_of("first").create_stanza());
    const PgBackRest thief = repository_of("first", "another-key-of-nobody");
    must(thief.configure());
    const auto refused = thief.list();
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::unavailable) << refused.error().describe();
    EXPECT_EQ(refused.error().describe().find("another-key"), std::string::npos);
}

TEST_F(PgBackRestTest, a_link_in_the_data_does_not_lead_to_what_its_owner_may_not_read) {
    if (!user_) GTEST_SKIP() << "SKIPPED: only as root can the agent read more than its servers";
    const PgBackRest repository = repository_of("first");
    must(repository.create_stanza());
    archive();
    must(os::write_file_atomic(folder_ + "/secret", "of root", 0600));
    const std::string link = cluster_->data() + "/extra.conf";
    ASSERT_EQ(symlink((folder_ + "/secret").c_str(), link.c_str()), 0);
    const auto refused = repository.back_up(Kind::full, "", {});
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().message.find("extra.conf"), std::string::npos)
        << refused.error().describe();
    ASSERT_EQ(unlink(link.c_str()), 0);
    must(repository.back_up(Kind::full, "", {}));
    EXPECT_EQ(repository.list()->backups.size(), 1U);
}

TEST_F(PgBackRestTest, a_segment_is_pushed_again_but_not_another_one_of_its_name) {
    const PgBackRest repository = repository_of("first");
    const std::string name = cluster_->ask("SELECT pg_walfile_name(pg_current_wal_lsn())");
    (void)cluster_->ask("SELECT pg_switch_wal()");
    const std::string path = cluster_->data() + "/pg_wal/" + name;
    EXPECT_FALSE(repository.push(path).ok()) << "there is no stanza";
    must(repository.create_stanza());
    for (int i = 0; i < 2; ++i) must(repository.push(path));
    std::string other = os::read_file(path, 32 << 20).value();
    other[other.size() / 2] = static_cast<char>(other[other.size() / 2] + 1);
    const auto owner = os::owner_of(path).value();
    must(os::is_root() ? os::write_file_atomic(path, other, 0600, owner)
                       : os::write_file_atomic(path, other, 0600));
    EXPECT_FALSE(repository.push(path).ok());
}

}  // namespace
}  // namespace howdah::agent
