#include "base/log.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace howdah {
namespace {

/// What a log call writes to standard error.
template <typename Do>
std::string written(const Do& action) {
    testing::internal::CaptureStderr();
    action();
    return testing::internal::GetCapturedStderr();
}

TEST(log, a_line_is_one_json_object_with_its_fields) {
    const std::string line = written([] {
        log::info("it happened", {{"text", "a \"b\"\n\\\x01"}, {"number", 7}, {"yes", true}});
    });
    EXPECT_EQ(line.substr(0, 11), "{\"time\":\"20");
    EXPECT_NE(line.find(R"("level":"info")"), line.npos);
    EXPECT_NE(line.find(R"("event":"it happened","text":"a \"b\"\n\\\u0001","number":7,"yes":true})"
                        "\n"),
              line.npos)
        << line;
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
}

TEST(log, lines_below_the_lowest_level_are_left_out) {
    log::init("test", log::Level::warn);
    EXPECT_EQ(written([] { log::info("quiet"); }), "");
    const std::string line = written([] { log::error("loud"); });
    EXPECT_NE(line.find(R"("level":"error","process":"test","event":"loud")"), line.npos) << line;
    log::init("test", log::Level::info);
}

}  // namespace
}  // namespace howdah
