#include "os/file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/process.h"

namespace howdah::os {
namespace {

class file : public testing::Test {
  protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "howdah-file-XXXXXX";
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        home_ = name;
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(home_).ok()); }

    std::string at(const std::string& name) const { return home_ + "/" + name; }
    static mode_t mode_of(const std::string& path) {
        struct stat facts {};
        EXPECT_EQ(lstat(path.c_str(), &facts), 0);
        return facts.st_mode & 07777;
    }

    std::string home_;
};

TEST_F(file, has_one_canonical_path_whoever_names_it) {
    ASSERT_TRUE(make_folders(at("real")).ok());
    ASSERT_EQ(symlink(at("real").c_str(), at("link").c_str()), 0);
    const std::string path = canonical_path(at("real/x"));
    EXPECT_EQ(canonical_path(at("link/x")), path) << "the file need not be there";
    EXPECT_EQ(canonical_path(at("link/./y/../x")), path);
    ASSERT_TRUE(write_file_atomic(at("real/x"), "content").ok());
    EXPECT_EQ(canonical_path(at("link/x")), path);
    EXPECT_EQ(canonical_path("x"), canonical_path("./x"));
    EXPECT_EQ(canonical_path("x")[0], '/');
}

TEST_F(file, an_atomic_write_replaces_content_and_mode_and_leaves_nothing_else) {
    ASSERT_TRUE(write_file_atomic(at("a"), "one", 0644).ok());
    ASSERT_TRUE(write_file_atomic(at("a"), "two").ok());
    EXPECT_EQ(*read_file(at("a")), "two");
    EXPECT_EQ(mode_of(at("a")), 0600U);
    EXPECT_EQ(list_folder(home_)->size(), 1U);
}

TEST_F(file, a_write_that_cannot_be_done_keeps_the_old_content_and_no_temporary_file) {
    ASSERT_TRUE(make_folders(at("a/b")).ok());
    EXPECT_FALSE(write_file_atomic(at("a"), "text").ok());  // a folder cannot be replaced
    EXPECT_EQ(list_folder(home_)->size(), 1U);
    EXPECT_EQ(write_file_atomic(at("none/x"), "text").error().code, ErrorCode::not_found);
}

TEST_F(file, reading_is_bounded_and_an_absent_file_is_not_found) {
    ASSERT_TRUE(write_file_atomic(at("a"), std::string(1000, 'x')).ok());
    EXPECT_TRUE(read_file(at("a"), 1000).ok());
    EXPECT_EQ(read_file(at("a"), 999).error().code, ErrorCode::io);
    EXPECT_EQ(read_file(at("b")).error().code, ErrorCode::not_found);
}

TEST_F(file, removing_a_tree_does_not_follow_links) {
    ASSERT_TRUE(make_folders(at("keep")).ok());
    ASSERT_TRUE(write_file_atomic(at("keep/file"), "text").ok());
    ASSERT_TRUE(make_folders(at("tree/deep/deeper")).ok());
    ASSERT_EQ(symlink(at("keep").c_str(), at("tree/deep/link").c_str()), 0);
    ASSERT_TRUE(write_file_atomic(at("tree/deep/x"), "text").ok());
    ASSERT_TRUE(sync_tree(at("tree")).ok());
    ASSERT_TRUE(remove_tree(at("tree")).ok());
    EXPECT_FALSE(exists(at("tree")));
    EXPECT_EQ(*read_file(at("keep/file")), "text");
    EXPECT_TRUE(remove_tree(at("tree")).ok());
}

TEST_F(file, a_tree_that_is_nested_too_deeply_is_refused) {
    std::string path = at("t");
    for (int i = 0; i <= kTreeDepthMax; ++i) path += "/d";
    ASSERT_TRUE(make_folders(path).ok());
    EXPECT_FALSE(sync_tree(at("t")).ok());
    // Two halves are each shallow enough to remove.
    std::string half = at("t");
    for (int i = 0; i < kTreeDepthMax / 2; ++i) half += "/d";
    ASSERT_TRUE(remove_tree(half).ok());
}

TEST_F(file, a_lock_is_refused_to_a_second_holder_until_the_first_is_gone) {
    {
        auto first = FileLock::try_lock(at("lock"));
        ASSERT_TRUE(first.ok());
        EXPECT_EQ(FileLock::try_lock(at("lock")).error().code, ErrorCode::conflict);
    }
    EXPECT_TRUE(FileLock::try_lock(at("lock")).ok());
}

TEST_F(file, a_lock_is_held_by_a_daemon_that_inherited_it) {
    pid_t pid = 0;
    {
        auto lock = FileLock::try_lock(at("lock"));
        ASSERT_TRUE(lock.ok());
        auto started =
            start_daemon({.arguments = {"/bin/sleep", "60"}, .keep_fds = {lock->fd().get()}});
        ASSERT_TRUE(started.ok());
        pid = *started;
    }
    EXPECT_EQ(FileLock::try_lock(at("lock")).error().code, ErrorCode::conflict);
    auto handle = ProcessHandle::open(pid);
    ASSERT_TRUE(handle.ok());
    ASSERT_TRUE(handle->signal(SIGKILL).ok());
    ASSERT_TRUE(handle->wait_exit(std::chrono::seconds(10)));
    reap({pid});
    EXPECT_TRUE(FileLock::try_lock(at("lock")).ok());
}

TEST_F(file, a_log_that_is_too_long_is_kept_once_and_begins_anew) {
    const std::string path = at("log");
    EXPECT_TRUE(bound_log(path, 4).ok()) << "there is none";
    ASSERT_TRUE(replace_file(path, "abcd").ok());
    EXPECT_TRUE(bound_log(path, 4).ok());
    EXPECT_EQ(*read_file(path), "abcd");
    ASSERT_TRUE(replace_file(path, "abcdef").ok());
    EXPECT_TRUE(bound_log(path, 4).ok());
    EXPECT_EQ(*read_file(path), "");
    EXPECT_EQ(*read_file(path + std::string(kOlderLog)), "cdef");
}

TEST_F(file, only_a_socket_is_opened_to_everybody) {
    ASSERT_TRUE(write_file_atomic(at("plain"), "x").ok());
    ASSERT_EQ(symlink("plain", at("link").c_str()), 0);
    EXPECT_EQ(let_everybody_connect(at("plain")).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(let_everybody_connect(at("link")).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(let_everybody_connect(at("none")).error().code, ErrorCode::not_found);
    ASSERT_EQ(mknod(at("socket").c_str(), S_IFSOCK | 0600, 0), 0);
    ASSERT_TRUE(let_everybody_connect(at("socket")).ok());
    struct stat facts {};
    ASSERT_EQ(stat(at("socket").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777U, 0777U);
}

TEST_F(file, a_temporary_file_has_no_name_and_holds_what_is_written) {
    const auto fd = make_temporary_file(home_);
    ASSERT_TRUE(fd.ok()) << fd.error().describe();
    EXPECT_TRUE(list_folder(home_).value().empty());
    ASSERT_TRUE(write_at(*fd, 3, "defg").ok());
    ASSERT_TRUE(write_at(*fd, 0, "abc").ok());
    EXPECT_EQ(read_at(*fd, 0, 100).value(), "abcdefg");
    EXPECT_EQ(read_at(*fd, 2, 3).value(), "cde");
    EXPECT_EQ(read_at(*fd, 7, 3).value(), "");
    EXPECT_FALSE(make_temporary_file(at("none")).ok());
}

TEST_F(file, only_a_plain_file_of_the_folder_itself_is_opened) {
    ASSERT_TRUE(write_file_atomic(at("plain"), "12345").ok());
    const auto plain = open_plain_file(home_, "plain");
    ASSERT_TRUE(plain.ok());
    EXPECT_EQ(plain->bytes, 5);
    EXPECT_LT(SystemClock().wall() - plain->modified, std::chrono::minutes(5));
    ASSERT_TRUE(make_folders(at("folder")).ok());
    ASSERT_TRUE(write_file_atomic(at("folder/inner"), "x").ok());
    ASSERT_EQ(symlink("plain", at("link").c_str()), 0);
    ASSERT_EQ(mkfifo(at("pipe").c_str(), 0600), 0);
    ASSERT_TRUE(write_file_atomic(at("twice"), "x").ok());
    ASSERT_EQ(::link(at("twice").c_str(), at("thrice").c_str()), 0);
    for (const char* name : {"", ".", "..", "none", "folder", "folder/inner", "../plain", "link",
                             "pipe", "twice", "thrice"}) {
        const auto refused = open_plain_file(home_, name);
        ASSERT_FALSE(refused.ok()) << name;
        EXPECT_EQ(refused.error().code, ErrorCode::not_found) << name;
    }
    ASSERT_EQ(symlink("folder", at("folder-link").c_str()), 0);
    EXPECT_EQ(open_plain_file(at("folder-link"), "inner").error().code, ErrorCode::not_found);
    EXPECT_TRUE(open_plain_file(at("folder"), "inner").ok());
}

TEST_F(file, disk_space_of_an_existing_folder_is_known) {
    const auto space = disk_space(home_);
    ASSERT_TRUE(space.ok());
    EXPECT_GT(space->total_bytes, space->free_bytes);
    EXPECT_FALSE(disk_space(at("none")).ok());
}

}  // namespace
}  // namespace howdah::os
