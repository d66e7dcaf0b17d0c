#include "base/failpoint.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <set>

namespace howdah {
namespace {

namespace fs = std::filesystem;

/// One folder for all: the process looks for its name once.
class Failpoints : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        GTEST_FLAG_SET(death_test_style, "threadsafe");
        // The child of a death test runs this anew and has to find the folder of its parent.
        if (const char* given = getenv("HOWDAH_FAILPOINTS"); given != nullptr) {
            folder_ = given;
            return;
        }
        std::string pattern = fs::temp_directory_path() / "howdah-failpoints-XXXXXX";
        folder_ = mkdtemp(pattern.data());
        setenv("HOWDAH_FAILPOINTS", folder_.c_str(), 1);
        owner_ = true;
    }
    static void TearDownTestSuite() {
        if (owner_) fs::remove_all(folder_);
    }
    static void arm(const std::string& name) {
        if (owner_) std::ofstream(folder_ + "/" + name) << "";
    }
    static bool exists(const std::string& name) { return fs::exists(folder_ + "/" + name); }

    static inline std::string folder_;
    static inline bool owner_ = false;
};

TEST_F(Failpoints, an_armed_one_kills_the_process_once_and_is_marked_as_hit) {
    arm("agent.instance.started");
    EXPECT_EXIT(HD_FAILPOINT("agent.instance.started"), testing::KilledBySignal(SIGKILL), "");
    EXPECT_FALSE(exists("agent.instance.started"));
    EXPECT_TRUE(exists("agent.instance.started.hit"));
    HD_FAILPOINT("agent.instance.started");
}

TEST_F(Failpoints, one_that_is_not_armed_does_nothing) {
    arm("agent.instance.claimed");
    HD_FAILPOINT("agent.instance.configured");
    EXPECT_TRUE(exists("agent.instance.claimed"));
    EXPECT_FALSE(exists("agent.instance.configured.hit"));
}

TEST(failpoint_names, are_unique_and_name_their_process) {
    std::set<std::string_view> seen;
    for (const std::string_view name : kFailpoints) {
        EXPECT_TRUE(seen.insert(name).second) << name;
        const std::string_view process = name.substr(0, name.find('.'));
        EXPECT_TRUE(process == "howdahd" || process == "agent" || process == "gateway") << name;
        EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_."), name.npos) << name;
    }
}

}  // namespace
}  // namespace howdah
