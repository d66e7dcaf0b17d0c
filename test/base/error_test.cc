#include "base/error.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "base/result.h"
#include "base/secret.h"
#include "base/version.h"
#include "places.h"

namespace howdah {
namespace {

constexpr ErrorCode kAll[] = {
#define HD_CODE(id, name, status, retry) ErrorCode::id,
    HOWDAH_ERROR_CODES(HD_CODE)
#undef HD_CODE
};

TEST(error, every_code_has_a_name_of_its_own_that_leads_back_to_it) {
    std::set<std::string_view> names;
    for (const ErrorCode code : kAll) {
        EXPECT_TRUE(names.insert(to_string(code)).second) << to_string(code);
        EXPECT_EQ(error_code_from(to_string(code)), code) << to_string(code);
        EXPECT_GE(http_status(code), 400) << to_string(code);
        EXPECT_LE(http_status(code), 507) << to_string(code);
    }
    EXPECT_EQ(error_code_from("NoSuchCode"), ErrorCode::internal);
}

TEST(error, context_is_put_before_the_message_and_changes_nothing_else) {
    const Error error{ErrorCode::io, "disk full", "path", "free some space"};
    const Error in = error.in("cannot write x");
    EXPECT_EQ(in.describe(), "cannot write x: disk full (free some space)");
    EXPECT_EQ(in.code, ErrorCode::io);
    EXPECT_EQ(in.target, "path");
}

Result<int> half(int number) {
    if (number % 2 != 0) return Error{ErrorCode::invalid_argument, "odd"};
    return number / 2;
}
Result<int> quarter(int number) {
    HD_TRY(const int first, half(number));
    HD_TRY(const int second, half(first));
    return second;
}
Status check_quarter(int number) {
    HD_CHECK(quarter(number));
    return ok_status();
}

TEST(result, a_failure_is_passed_on_and_a_value_is_taken_out) {
    EXPECT_EQ(quarter(12).value(), 3);
    EXPECT_EQ(quarter(6).error().message, "odd");
    EXPECT_TRUE(check_quarter(8).ok());
    EXPECT_FALSE(check_quarter(7).ok());
    EXPECT_EQ(quarter(7).value_or(-1), -1);
}

TEST(result_death, taking_the_wrong_side_ends_the_program_and_says_why) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(static_cast<void>(quarter(6).value()), "odd");
    EXPECT_DEATH(static_cast<void>(quarter(8).error()), "holds a value");
}

TEST(secret, is_not_printed) {
    std::ostringstream out;
    out << Secret("hidden");
    EXPECT_EQ(out.str(), "***");
}

TEST(version, is_the_one_of_the_build) {
    std::ifstream in(test::source_dir() + "/CMakeLists.txt");
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    EXPECT_NE(text.find(std::string("VERSION ") + kVersion + " "), std::string::npos);
}

}  // namespace
}  // namespace howdah
