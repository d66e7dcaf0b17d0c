// What a postmaster that was killed leaves behind. That PostgreSQL is started, adopted and stopped
// is tested in test/integration/agent_test.cc.

#include "agent/postmaster.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include "os/file.h"

namespace howdah::agent {
namespace {

/// As an ordinary user all servers share one owner: only postmaster.pid tells whose a segment is.
class Leftovers : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/howdah-postmaster-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        paths_.folder = name;
        ASSERT_TRUE(os::make_folders(paths_.data()).ok());
        // Like PostgreSQL: a key that nobody has yet.
        for (key_ = 0x48440000; id_ < 0; ++key_)
            id_ = shmget(key_, 4096, IPC_CREAT | IPC_EXCL | 0600);
        --key_;
    }
    void TearDown() override {
        (void)shmctl(id_, IPC_RMID, nullptr);
        EXPECT_TRUE(os::remove_tree(paths_.folder).ok());
    }

    void write_pid_file(key_t key) {
        const std::string text =
            fmt::format("1\n{}\n1\n5432\n/tmp\n*\n  {:9} {:9}\nready\n", paths_.data(), key, id_);
        ASSERT_TRUE(os::write_file_atomic(paths_.data() + "/postmaster.pid", text).ok());
    }
    bool is_there() const {
        shmid_ds facts{};
        return shmctl(id_, IPC_STAT, &facts) == 0;
    }
    void remove_shared_memory() const {
        Postmaster({"", paths_, std::nullopt, {}}, clock_).remove_shared_memory();
    }

    SystemClock clock_;
    InstancePaths paths_;
    key_t key_ = 0;
    int id_ = -1;
};

TEST_F(Leftovers, the_segment_that_the_pid_file_names_is_freed) {
    write_pid_file(key_);
    remove_shared_memory();
    EXPECT_FALSE(is_there());
}

TEST_F(Leftovers, a_segment_that_somebody_uses_stays) {
    write_pid_file(key_);
    void* const attached = shmat(id_, nullptr, 0);
    remove_shared_memory();
    EXPECT_TRUE(is_there());
    EXPECT_EQ(shmdt(attached), 0);
}

TEST_F(Leftovers, a_segment_of_another_directory_stays) {
    write_pid_file(key_ + 1);
    remove_shared_memory();
    EXPECT_TRUE(is_there());
}

TEST_F(Leftovers, without_a_pid_file_nothing_is_touched) {
    remove_shared_memory();
    EXPECT_TRUE(is_there());
}

}  // namespace
}  // namespace howdah::agent
