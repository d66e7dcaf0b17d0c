#include "agent/backup/repository_notes.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "os/file.h"

namespace howdah::agent {
namespace {

class RepositoryNotesTest : public testing::Test {
  protected:
    RepositoryNotesTest() {
        char name[] = "/tmp/howdah-notes-XXXXXX";
        folder_ = mkdtemp(name);
    }
    ~RepositoryNotesTest() override { EXPECT_TRUE(os::remove_tree(folder_).ok()); }

    std::string folder_;
};

TEST_F(RepositoryNotesTest, what_was_kept_is_there_again_until_it_is_forgotten) {
    const RepositoryNotes notes(folder_);
    EXPECT_TRUE(notes.kept("life").marks.empty());
    const model::KeptBackups kept{.marks = {{7, "2026-11-23T04:05:06.000Z"}, {9, "garbage"}},
                                  .failures = 2,
                                  .failed_at = "2026-11-23T04:00:00.000Z"};
    ASSERT_TRUE(os::make_folders(folder_ + "/archive", 0700).ok());
    ASSERT_TRUE(notes.keep("life", kept).ok());
    EXPECT_EQ(RepositoryNotes(folder_).kept("life").failures, 2);
    EXPECT_TRUE(notes.kept("other").marks.empty());
    const auto marks = marks_of(notes.kept("life"));
    ASSERT_EQ(marks.size(), 1U) << "what is no time is no mark";
    EXPECT_EQ(marks[0].number, 7U);
    ASSERT_TRUE(notes.forget("life").ok());
    EXPECT_TRUE(notes.kept("life").marks.empty());
}

TEST_F(RepositoryNotesTest, a_repository_that_was_used_is_not_begun_anew_while_it_is_away) {
    const std::string used = folder_ + "/used";
    const std::string path = folder_ + "/repository";
    const RepositoryNotes notes(path);
    EXPECT_TRUE(notes.check(used).ok()) << "it was never used";
    ASSERT_TRUE(os::make_folders(path + "/archive", 0700).ok());
    ASSERT_TRUE(notes.note_used(used).ok());
    EXPECT_TRUE(notes.check(used).ok());
    ASSERT_TRUE(os::remove_tree(path).ok());
    EXPECT_EQ(notes.check(used).error().code, ErrorCode::unavailable);
    EXPECT_TRUE(notes.keep("life", {.failures = 1}).ok());
    EXPECT_FALSE(os::exists(path)) << "nothing is written where its disk should be";
    EXPECT_TRUE(RepositoryNotes(folder_ + "/other").check(used).ok()) << "another one may begin";
}

TEST_F(RepositoryNotesTest, what_cannot_be_read_is_nothing) {
    const RepositoryNotes notes(folder_);
    ASSERT_TRUE(os::make_folders(folder_ + "/kept", 0700).ok());
    ASSERT_TRUE(os::write_file_atomic(folder_ + "/kept/life.json", "{\"marks\":7}").ok());
    EXPECT_TRUE(notes.kept("life").marks.empty());
}

TEST_F(RepositoryNotesTest, a_question_is_taken_once) {
    const RepositoryNotes notes(folder_);
    EXPECT_FALSE(notes.take_question("life"));
    ASSERT_TRUE(notes.ask_for_mark("life").ok());
    ASSERT_TRUE(notes.ask_for_mark("life").ok());
    EXPECT_FALSE(notes.take_question("other"));
    EXPECT_TRUE(notes.take_question("life"));
    EXPECT_FALSE(notes.take_question("life"));
}

}  // namespace
}  // namespace howdah::agent
