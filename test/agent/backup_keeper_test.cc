#include "agent/backup/backup_keeper.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "os/file.h"

namespace howdah::agent {
namespace {

std::vector<model::WalMark> minutes(int count) {
    std::vector<model::WalMark> marks;
    const Timestamp begin = parse_iso8601("2026-11-01T00:30:00Z").value();
    for (int i = 0; i < count; ++i)
        marks.push_back({i, format_iso8601(begin + std::chrono::minutes(i))});
    return marks;
}

TEST(thinned, few_marks_are_all_kept) { EXPECT_EQ(thinned(minutes(100), 100).size(), 100U); }

TEST(thinned, the_newest_and_the_last_of_each_hour_before_are_kept) {
    const auto all = minutes(60 * 40);
    const auto few = thinned(all, 1000);
    ASSERT_LE(few.size(), 1000U);
    EXPECT_EQ(few.back().at, all.back().at);
    for (std::size_t i = 0; i < 500; ++i)
        EXPECT_EQ(few[few.size() - 1 - i].at, all[all.size() - 1 - i].at);
    EXPECT_EQ(few.front().at, "2026-11-01T00:59:00.000Z");
    for (std::size_t i = 1; i < few.size(); ++i) EXPECT_LT(few[i - 1].at, few[i].at);
    // Again and again, as it happens to marks that come one by one.
    auto growing = minutes(0);
    for (const auto& each : minutes(60 * 24 * 60)) {
        growing.push_back(each);
        growing = thinned(std::move(growing), 300);
        ASSERT_LE(growing.size(), 300U);
    }
    EXPECT_EQ(growing.back().segment, 60 * 24 * 60 - 1);
    EXPECT_LT(growing.front().segment, 60 * 24 * 55) << "days ago";
}

/// A server that is being made is known before its port; a standby's comes later still.
TEST(backup_keeper, its_pgbackrest_follows_the_server_to_another_port) {
    char name[] = "/tmp/howdah-keeper-XXXXXX";
    const std::string folder = mkdtemp(name);
    ASSERT_TRUE(os::make_folders(folder + "/repository/archive", 0700).ok());
    ASSERT_TRUE(os::write_file_atomic(folder + "/key", "secret", 0600).ok());
    BackupServer server{.incarnation = "life",
                        .server_id = "/x",
                        .folder = folder + "/backup",
                        .key_path = folder + "/key",
                        .data = folder + "/data",
                        .socket_folder = folder,
                        .user = {geteuid(), getegid()}};
    std::atomic<int> port = 0;
    const SystemClock clock;
    BackupKeeper keeper({.repository = core::backup::folder_place(folder + "/repository"),
                         .used_path = folder + "/used",
                         .notes_folder = folder + "/notes",
                         .gone_folder = folder + "/gone",
                         .program = "/bin/true"},
                        clock, [](const std::string&) {});
    const auto servers = [&] {
        BackupServer now = server;
        now.port = port;
        now.is_primary = port != 0;
        return std::vector<BackupServer>{now};
    };
    const auto configured = [&](const std::string& line) {
        for (const Instant end = clock.now() + std::chrono::seconds(60); clock.now() < end;) {
            const auto text = os::read_file(server.folder + "/pgbackrest.conf");
            if (text.value_or("").find("\n" + line + "\n") != std::string::npos) return true;
            std::this_thread::yield();
        }
        return false;
    };
    std::jthread thread([&](const std::stop_token& stop) { keeper.run(stop, servers); });
    EXPECT_TRUE(configured("pg1-port=0"));
    port = 5433;
    EXPECT_TRUE(configured("pg1-port=5433"));
    thread.request_stop();
    thread.join();
    EXPECT_TRUE(os::remove_tree(folder).ok());
}

}  // namespace
}  // namespace howdah::agent
