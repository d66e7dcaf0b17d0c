#include "api/arm_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace howdah::api {
namespace {

std::string refused(const std::string& text) {
    const auto parsed = parse_body(text);
    return parsed.ok() ? "" : parsed.error().message;
}

std::string nested(int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']');
}

TEST(parse_body, an_empty_body_is_null) {
    EXPECT_TRUE(parse_body("")->is_null());
    EXPECT_TRUE(parse_body(" \r\n")->is_null());
}

TEST(parse_body, what_is_not_json_is_refused_with_the_place) {
    EXPECT_NE(refused(R"({"a": })").find("not JSON at byte"), std::string::npos);
    for (const char* text : {"{", "[1,]", "{'a':1}", "NaN", "1e999", "\"\\ud800\"", "\xff\xfe{}",
                             "{} {}", "{\"a\":\"\xc3(\"}"})
        EXPECT_NE(refused(text), "") << text;
    EXPECT_NE(refused(std::string("\0", 1)), "");
}

TEST(parse_body, depth_is_bounded) {
    EXPECT_EQ(refused(nested(kBodyDepthMax)), "");
    EXPECT_NE(refused(nested(kBodyDepthMax + 1)), "");
    EXPECT_NE(refused(std::string(100'000, '[')), "");
}

TEST(parse_body, a_field_given_twice_is_refused) {
    EXPECT_NE(refused(R"({"a":{"b":1,"b":2}})").find("'b' is given twice"), std::string::npos);
    EXPECT_EQ(refused(R"({"a":{"b":1},"b":{"b":2}})"), "");
}

TEST(parse_body, size_and_count_are_bounded) {
    EXPECT_EQ(parse_body(std::string(kBodyBytesMax + 1, ' ')).error().code, ErrorCode::too_large);
    std::string many = "[0";
    for (std::size_t i = 0; i < kBodyFieldsMax; ++i) many += ",0";
    EXPECT_NE(refused(many + "]"), "");
    std::string wide = "{\"x\":0";
    for (std::size_t i = 0; i < kObjectFieldsMax; ++i) wide += ",\"" + std::to_string(i) + "\":0";
    EXPECT_NE(refused(wide + "}"), "");
    EXPECT_NE(refused("\"" + std::string(kFieldTextBytesMax + 1, 'x') + "\""), "");
}

TEST(reader, the_first_problem_is_kept_with_its_path) {
    const Json body = parse_body(R"({"a":{"b":"x","c":5}})").value();
    Reader::Problem problem;
    Reader reader(body, "", problem);
    auto inner = reader.object("a");
    ASSERT_TRUE(inner);
    EXPECT_FALSE(inner->integer("b", 0, 9));
    EXPECT_FALSE(inner->text("c"));
    ASSERT_TRUE(problem);
    EXPECT_EQ(problem->target, "a.b");
}

TEST(reader, null_and_the_empty_text_are_absent) {
    const Json body = parse_body(R"({"a":null,"b":"","c":"","d":"","e":""})").value();
    Reader::Problem problem;
    Reader reader(body, "", problem);
    EXPECT_FALSE(reader.text("a"));
    EXPECT_FALSE(reader.text("b"));
    EXPECT_FALSE(reader.integer("c", 0, 1));
    EXPECT_FALSE(reader.boolean("d"));
    EXPECT_FALSE(reader.object("e"));
    reader.finish();
    EXPECT_FALSE(problem) << problem->message;
}

TEST(reader, a_field_that_nobody_asked_for_is_refused) {
    const Json body = parse_body(R"({"Location":"x"})").value();
    Reader::Problem problem;
    Reader reader(body, "", problem);
    reader.text("location");
    reader.finish();
    ASSERT_TRUE(problem);
    EXPECT_EQ(problem->target, "Location");
    EXPECT_NE(problem->hint.find("'location'"), std::string::npos);
}

TEST(reader, numbers_beyond_every_range_are_refused) {
    for (const char* text : {R"({"n":18446744073709551615})", R"({"n":-9223372036854775808})",
                             R"({"n":1.0})", R"({"n":"1"})", R"({"n":true})"}) {
        const Json body = parse_body(text).value();
        Reader::Problem problem;
        Reader reader(body, "", problem);
        EXPECT_FALSE(reader.integer("n", 0, 100)) << text;
        EXPECT_TRUE(problem) << text;
    }
}

TEST(reader, a_word_is_found_in_any_letter_case) {
    constexpr std::string_view kWords[] = {"Enabled", "Disabled"};
    const Json body = parse_body(R"({"a":"enabled","b":"On"})").value();
    Reader::Problem problem;
    Reader reader(body, "", problem);
    EXPECT_EQ(reader.one_of("a", kWords), "Enabled");
    EXPECT_FALSE(reader.one_of("b", kWords));
    ASSERT_TRUE(problem);
    EXPECT_NE(problem->hint.find("Enabled, Disabled"), std::string::npos);
}

}  // namespace
}  // namespace howdah::api
