#include "agent/backup/repository_notes.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "agent/layout.h"
#include "os/file.h"

namespace howdah::agent {
namespace {

constexpr const char* kNow = "2026-11-23T04:05:06.000Z";

/// In a folder; test/e2e/test_backups_elsewhere.py has the other kinds.
class RepositoryNotesTest : public testing::Test {
  protected:
    void SetUp() override {
        if (!os::exists(std::string(kPgBackRest)))
            GTEST_SKIP() << "SKIPPED: pgBackRest is not installed";
        char name[] = "/tmp/howdah-notes-XXXXXX";
        folder_ = mkdtemp(name);
        ASSERT_TRUE(os::make_folders(repository() + "/archive", 0700).ok());
    }
    void TearDown() override {
        if (!folder_.empty()) {
            EXPECT_TRUE(os::remove_tree(folder_).ok());
        }
    }
    std::string repository() const { return folder_ + "/repository"; }
    RepositoryNotes notes(const std::string& place) const {
        RepositoryNotes made(core::backup::folder_place(place), folder_ + "/notes");
        EXPECT_TRUE(made.configure().ok());
        return made;
    }
    RepositoryNotes notes() const { return notes(repository()); }

    std::string folder_;
};

TEST_F(RepositoryNotesTest, what_was_kept_is_there_again) {
    EXPECT_TRUE(notes().kept("life")->marks.empty());
    const model::KeptBackups kept{
        .marks = {{7, kNow}, {9, "garbage"}}, .failures = 2, .failed_at = kNow};
    ASSERT_TRUE(notes().keep("life", kept).ok());
    EXPECT_EQ(notes().kept("life")->failures, 2);
    EXPECT_TRUE(notes().kept("other")->marks.empty());
    const auto marks = marks_of(*notes().kept("life"));
    ASSERT_EQ(marks.size(), 1U) << "what is no time is no mark";
    EXPECT_EQ(marks[0].number, 7U);
}

TEST_F(RepositoryNotesTest, a_repository_that_was_used_is_not_begun_anew_while_it_is_away) {
    const std::string used = folder_ + "/used";
    ASSERT_TRUE(os::remove_tree(repository()).ok());
    EXPECT_TRUE(notes().has_gone());
    EXPECT_TRUE(notes().check(used).ok()) << "it was never used";
    ASSERT_TRUE(os::make_folders(repository() + "/archive", 0700).ok());
    EXPECT_FALSE(notes().has_gone());
    ASSERT_TRUE(notes().note_used(used).ok());
    EXPECT_TRUE(notes().check(used).ok());
    ASSERT_TRUE(os::remove_tree(repository()).ok());
    EXPECT_EQ(notes().check(used).error().code, ErrorCode::unavailable);
    EXPECT_TRUE(notes().keep("life", {.failures = 1}).ok());
    EXPECT_FALSE(notes().mark_dropped("life", parse_iso8601(kNow).value()).ok());
    EXPECT_FALSE(notes().has_stanza("life").value_or(false));
    EXPECT_FALSE(os::exists(repository())) << "nothing is written where its disk should be";
    EXPECT_TRUE(notes(folder_ + "/other").check(used).ok()) << "another one may begin";
}

TEST_F(RepositoryNotesTest, a_place_that_cannot_be_used_says_why) {
    const RepositoryNotes wrong({.kind = core::backup::RepositoryPlace::Kind::folder,
                                 .path = repository(),
                                 .trouble = "'region' is missing"},
                                folder_ + "/notes");
    EXPECT_EQ(wrong.configure().error().message, "'region' is missing");
}

TEST_F(RepositoryNotesTest, what_is_damaged_is_nothing) {
    ASSERT_TRUE(os::make_folders(repository() + "/kept", 0700).ok());
    ASSERT_TRUE(os::write_file_atomic(repository() + "/kept/life.json", "{\"marks\":7}").ok());
    EXPECT_TRUE(notes().kept("life")->marks.empty());
}

TEST_F(RepositoryNotesTest, a_question_stays_until_it_is_taken) {
    EXPECT_TRUE(notes().questions()->empty());
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(notes().ask_for_mark("life").ok());
    EXPECT_EQ(*notes().questions(), std::vector<std::string>{"life"});
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(notes().take_question("life").ok());
    EXPECT_TRUE(notes().questions()->empty());
}

TEST_F(RepositoryNotesTest, of_a_deleted_server_nothing_is_left_but_what_is_others) {
    for (const char* each : {"archive/life", "backup/life", "archive/other"})
        ASSERT_TRUE(os::make_folders(repository() + "/" + each, 0700).ok());
    ASSERT_TRUE(os::write_file_atomic(repository() + "/archive/life/archive.info", "x").ok());
    EXPECT_TRUE(*notes().has_stanza("life"));
    EXPECT_FALSE(*notes().has_stanza("other"));
    EXPECT_TRUE(notes().dropped()->empty());
    ASSERT_TRUE(notes().keep("life", {}).ok());
    ASSERT_TRUE(notes().mark_dropped("life", parse_iso8601(kNow).value()).ok());
    ASSERT_EQ(notes().dropped()->size(), 1U);
    EXPECT_EQ(notes().dropped()->front().stanza, "life");
    EXPECT_EQ(format_iso8601(notes().dropped()->front().since), kNow);
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(notes().remove_stanza("life").ok());
    EXPECT_TRUE(notes().dropped()->empty());
    for (const char* each : {"/archive/life", "/backup/life", "/kept/life.json"})
        EXPECT_FALSE(os::exists(repository() + each)) << each;
    EXPECT_TRUE(os::exists(repository() + "/archive/other"));
}

}  // namespace
}  // namespace howdah::agent
