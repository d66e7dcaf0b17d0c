#include "agent/backup/archive_door.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "os/file.h"
#include "os/unix_socket.h"

namespace howdah::agent {
namespace {

constexpr const char* kServer = "0b54f2a6-7b3b-4e0a-8f43-9c6ad24f3c11";
constexpr const char* kSegment = "000000010000000000000003";

class ArchiveDoorTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = "/tmp/howdah-door-XXXXXX";
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        door_.emplace(ArchiveDoor::open(path()).value());
        thread_ = std::jthread([this](const std::stop_token& stop) {
            door_->run(stop, [this](const ArchiveQuestion& each) { return answer_(each); });
        });
    }
    void TearDown() override {
        thread_.request_stop();
        thread_.join();
        EXPECT_TRUE(os::remove_tree(folder_).ok());
    }
    std::string path() const { return folder_ + "/archive"; }
    std::string ask(const std::string& question) const {
        const auto answer = os::ask_unix_socket(path(), question, std::chrono::seconds(30),
                                                os::AnswerEnd::at_close);
        return answer.ok() ? *answer : answer.error().describe();
    }

    std::function<ArchiveAnswer(const ArchiveQuestion&)> answer_ =
        [](const ArchiveQuestion&) -> ArchiveAnswer { return std::string(); };

  private:
    std::string folder_;
    std::optional<ArchiveDoor> door_;
    std::jthread thread_;
};

TEST(archive_question, takes_names_of_postgresql_and_nothing_else) {
    const auto good = parse_archive_question(fmt::format("push {} {}", kServer, kSegment)).value();
    EXPECT_TRUE(good.is_push);
    EXPECT_EQ(good.server, kServer);
    EXPECT_EQ(good.file, kSegment);
    EXPECT_FALSE(parse_archive_question(fmt::format("get {} 00000002.history", kServer))->is_push);
    for (const std::string wrong :
         {"", "push", "push a", "pull a 000000010000000000000003", "push a ../../etc/passwd",
          "push ../a 000000010000000000000003", "push A 000000010000000000000003",
          "push a 000000010000000000000003 b", "push  000000010000000000000003",
          "get a 00000001000000000000000g", "get a .history", "get a RECOVERYXLOG"})
        EXPECT_FALSE(parse_archive_question(wrong).ok()) << wrong;
}

TEST_F(ArchiveDoorTest, tells_who_asks_and_passes_the_answer_on) {
    std::atomic<uid_t> user = 12345;
    answer_ = [&](const ArchiveQuestion& each) -> ArchiveAnswer {
        user = each.user;
        if (each.is_push) return std::string();
        if (each.file == kSegment) return std::string("a\nb\0c\n", 6);
        if (each.file == "00000002.history") return Error{ErrorCode::not_found, "no"};
        return Error{ErrorCode::unavailable, "the repository\nis away"};
    };
    EXPECT_EQ(ask(fmt::format("push {} {}\n", kServer, kSegment)), "ok 0\n");
    EXPECT_EQ(user, getuid());
    EXPECT_EQ(ask(fmt::format("get {} {}\n", kServer, kSegment)),
              std::string("ok 6\na\nb\0c\n", 11));
    EXPECT_EQ(ask(fmt::format("get {} 00000002.history\n", kServer)), "missing\n");
    const std::string error = ask(fmt::format("get {} 00000003.history\n", kServer));
    EXPECT_TRUE(error.starts_with("error ")) << error;
    EXPECT_EQ(error.find('\n'), error.size() - 1) << error;
}

TEST_F(ArchiveDoorTest, a_segment_passes_whole_and_nonsense_is_refused) {
    const std::string segment(16 << 20, '\n');
    answer_ = [&](const ArchiveQuestion&) -> ArchiveAnswer { return segment; };
    const std::string answer = ask(fmt::format("get {} {}\n", kServer, kSegment));
    EXPECT_EQ(answer.size(), segment.size() + std::string_view("ok 16777216\n").size());
    EXPECT_TRUE(ask("nonsense\n").starts_with("error "));
    EXPECT_TRUE(ask(std::string(300, 'a') + "\n").starts_with("error "));
}

TEST_F(ArchiveDoorTest, more_questions_than_it_answers_at_a_time_wait) {
    std::atomic<int> open = 0;
    std::atomic<int> most = 0;
    answer_ = [&](const ArchiveQuestion&) -> ArchiveAnswer {
        const int now = ++open;
        int seen = most;
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        std::this_thread::yield();
        --open;
        return std::string();
    };
    std::atomic<int> well = 0;
    {
        std::vector<std::jthread> askers;
        for (int i = 0; i < 3 * ArchiveDoor::kOpenMax; ++i)
            askers.emplace_back([&] {
                if (ask(fmt::format("push {} {}\n", kServer, kSegment)) == "ok 0\n") ++well;
            });
    }
    EXPECT_EQ(well, 3 * ArchiveDoor::kOpenMax);
    EXPECT_LE(most, ArchiveDoor::kOpenMax);
}

}  // namespace
}  // namespace howdah::agent
