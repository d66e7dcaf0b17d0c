#include "agent/prepared.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <set>
#include <thread>

#include "os/file.h"
#include "os/server_users.h"

namespace howdah::agent {
namespace {

/// The pool with folders made by hand; what initdb makes is a matter of the integration tests.
class Prepared : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/howdah-prepared-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        layout_.home = name;
        ASSERT_TRUE(os::make_folders(layout_.prepared()).ok());
        ASSERT_TRUE(os::make_folders(layout_.instances()).ok());
    }
    void TearDown() override { EXPECT_TRUE(os::remove_tree(layout_.home).ok()); }

    void put(const std::string& name, const std::string& user = "") {
        const std::string folder = layout_.prepared() + "/" + name;
        ASSERT_TRUE(os::make_folders(folder + "/data").ok());
        ASSERT_TRUE(os::write_file_atomic(folder + "/user", user).ok());
        ASSERT_TRUE(os::write_file_atomic(folder + "/name", name).ok());
    }
    std::vector<std::string> left() const { return os::list_folder(layout_.prepared()).value(); }
    std::string target(const std::string& name) const { return layout_.instances() + "/" + name; }

    Layout layout_;
    SystemIdSource ids_;
    /// Its programs do not exist: whatever needs them fails.
    const InstalledEngine engine_{.major = "15", .programs = "/nonexistent"};
};

TEST_F(Prepared, only_half_made_folders_are_cleaned_away) {
    put("half-1");
    put("half-survey-2");
    put("ready-15-3");
    put("lost+found");
    PreparedPool pool(layout_, ids_);
    EXPECT_TRUE(pool.clean().ok());
    EXPECT_EQ(left(), (std::vector<std::string>{"lost+found", "ready-15-3"}));
    EXPECT_TRUE(pool.clean().ok()) << "again";
}

TEST_F(Prepared, cleaning_makes_the_folder_of_a_new_home) {
    ASSERT_TRUE(os::remove_tree(layout_.prepared()).ok());
    EXPECT_TRUE(PreparedPool(layout_, ids_).clean().ok());
    EXPECT_TRUE(left().empty());
}

TEST_F(Prepared, a_half_made_folder_takes_its_user_with_it) {
    if (!os::is_root()) GTEST_SKIP() << "SKIPPED: only root makes users";
    const std::string user = os::ServerUsers::create(ids_.uuid()).value();
    put("half-1", user);
    EXPECT_TRUE(PreparedPool(layout_, ids_).clean().ok());
    EXPECT_FALSE(os::find_user(user).ok());
    // A crash between the name on disk and the user: the name alone is no hindrance.
    put("half-2", user);
    EXPECT_TRUE(PreparedPool(layout_, ids_).clean().ok());
    EXPECT_TRUE(left().empty());
}

TEST_F(Prepared, those_of_one_major_are_counted_and_taken) {
    put("ready-15-1");
    put("ready-16-2");
    put("ready-1-3");
    put("half-15-4");
    PreparedPool pool(layout_, ids_);
    EXPECT_EQ(pool.count("15"), 1U);
    EXPECT_EQ(pool.count("1"), 1U);
    EXPECT_EQ(pool.count("17"), 0U);
    ASSERT_TRUE(pool.claim(engine_, target("a")).ok());
    EXPECT_EQ(os::read_file(target("a/name")).value(), "ready-15-1");
    EXPECT_EQ(pool.count("15"), 0U);
    EXPECT_EQ(pool.count("16"), 1U);
}

TEST_F(Prepared, a_claim_says_whose_the_directory_is) {
    put("ready-15-1", "howdah-12345678");
    PreparedPool pool(layout_, ids_);
    EXPECT_EQ(pool.claim(engine_, target("a")).value(), "howdah-12345678");
}

TEST_F(Prepared, a_claim_that_is_repeated_takes_no_second_directory) {
    put("ready-15-1", "one");
    put("ready-15-2", "two");
    PreparedPool pool(layout_, ids_);
    EXPECT_EQ(pool.claim(engine_, target("a")).value(), "one");
    EXPECT_EQ(pool.claim(engine_, target("a")).value(), "one");
    EXPECT_EQ(pool.count("15"), 1U);
}

TEST_F(Prepared, no_two_claims_get_the_same_directory) {
    constexpr int kClaims = 24;
    constexpr int kThreads = 4;
    for (int i = 0; i < kClaims; ++i) put("ready-15-" + std::to_string(i));
    PreparedPool pool(layout_, ids_);
    {
        std::vector<std::jthread> threads;
        for (int thread = 0; thread < kThreads; ++thread) {
            threads.emplace_back([this, &pool, thread] {
                for (int i = thread; i < kClaims; i += kThreads)
                    EXPECT_TRUE(pool.claim(engine_, target(std::to_string(i))).ok());
            });
        }
    }
    std::set<std::string> taken;
    for (int i = 0; i < kClaims; ++i)
        taken.insert(os::read_file(target(std::to_string(i)) + "/name").value());
    EXPECT_EQ(taken.size(), static_cast<std::size_t>(kClaims));
    EXPECT_TRUE(left().empty());
}

TEST_F(Prepared, what_cannot_be_made_leaves_no_folder_and_no_user) {
    class OneId final : public IdSource {
      public:
        explicit OneId(std::string id) : id_(std::move(id)) {}
        std::string uuid() override { return id_; }
        std::string random_bytes(std::size_t count) override { return std::string(count, 'x'); }

      private:
        const std::string id_;
    } one(ids_.uuid());
    PreparedPool pool(layout_, one);
    const auto claimed = pool.claim(engine_, target("a"));
    ASSERT_FALSE(claimed.ok());
    EXPECT_NE(claimed.error().describe().find("initdb"), std::string::npos)
        << claimed.error().describe();
    EXPECT_TRUE(left().empty());
    EXPECT_FALSE(os::exists(target("a")));
    EXPECT_FALSE(os::find_user("howdah-" + one.uuid().substr(0, 8)).ok());
}

}  // namespace
}  // namespace howdah::agent
