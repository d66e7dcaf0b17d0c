#include "agent/journal.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "os/file.h"

namespace howdah::agent {
namespace {

class JournalTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/howdah-journal-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        folder_ = name;
    }
    void TearDown() override { EXPECT_TRUE(os::remove_tree(folder_).ok()); }

    std::string path() const { return folder_ + "/journal.json"; }
    static model::ActionResult result(const std::string& id) {
        return {.action_id = id, .server_id = "/s", .incarnation = "i", .generation = 7};
    }

    std::string folder_;
};

TEST_F(JournalTest, a_result_outlives_the_agent_until_it_is_acknowledged) {
    {
        Journal journal = Journal::open(path()).value();
        model::ActionResult failed = result("b");
        failed.failure = model::Failure{"Conflict", "it is taken", "take another"};
        ASSERT_TRUE(journal.add(result("a")).ok());
        ASSERT_TRUE(journal.add(failed).ok());
    }
    Journal journal = Journal::open(path()).value();
    EXPECT_TRUE(journal.contains("a"));
    const auto results = journal.results();
    ASSERT_EQ(results.size(), 2U);
    EXPECT_EQ(results[0].action_id, "a");
    EXPECT_EQ(results[0].generation, 7);
    ASSERT_TRUE(results[1].failure.has_value());
    EXPECT_EQ(results[1].failure->message, "it is taken");
    ASSERT_TRUE(journal.forget({"a", "never seen"}).ok());
    EXPECT_FALSE(Journal::open(path())->contains("a"));
    EXPECT_TRUE(Journal::open(path())->contains("b"));
}

TEST_F(JournalTest, a_result_that_cannot_be_written_is_still_told_by_this_run) {
    Journal journal = Journal::open(folder_ + "/no/such/folder/journal.json").value();
    EXPECT_FALSE(journal.add(result("a")).ok());
    EXPECT_EQ(journal.results().size(), 1U) << "on a full disk operations end all the same";
}

TEST_F(JournalTest, a_file_that_a_power_loss_has_damaged_begins_anew) {
    for (const char* damaged : {"", "{", "{\"results\":[{]}", "null", "\x00\xff"}) {
        ASSERT_TRUE(os::write_file_atomic(path(), damaged).ok());
        auto journal = Journal::open(path());
        ASSERT_TRUE(journal.ok()) << damaged;
        EXPECT_TRUE(journal->results().empty());
        EXPECT_TRUE(journal->add(result("a")).ok());
    }
}

}  // namespace
}  // namespace howdah::agent
