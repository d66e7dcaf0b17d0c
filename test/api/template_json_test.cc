#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "api/template_support.h"
#include "api/templates/lenient_json.h"

namespace howdah::api::templates {
namespace {

using ::testing::HasSubstr;

std::string read(const std::string& text) {
    const auto out = parse_lenient(text);
    return out.ok() ? out->dump() : "error: " + out.error().message;
}

TEST(template_json, plain_json_is_read_as_ever) {
    for (const char* text :
         {"{}", "[]", "null", "true", "-1", "0.5", "1e3", R"("a\"b\\c\/\b\f\n\r\tAé𝄞")",
          R"({"a":[1,{"b":null}],"c":"x"})", "  { \"a\" : [ ] }\n", "9223372036854775807"})
        EXPECT_EQ(read(text), Json::parse(text).dump()) << text;
}

TEST(template_json, what_az_sends_is_read_too) {
    EXPECT_EQ(
        read("{\"properties\": {\"parameters\": {}, \"mode\": \"Incremental\", "
             "template:{\"resources\":[] // none\n}\n}}"),
        R"({"properties":{"parameters":{},"mode":"Incremental","template":{"resources":[]}}})");
    EXPECT_EQ(read("/* a */ {'it''s': 1}").substr(0, 6), "error:");
    EXPECT_EQ(read(R"({'it\'s': 'a "b"', $x: [1, 2, ], })"), R"({"it's":"a \"b\"","$x":[1,2]})");
    EXPECT_EQ(read("\"[concat(\n  'a')]\""), R"("[concat(\n  'a')]")");
}

TEST(template_json, what_is_neither_is_refused_with_the_place) {
    for (const char* text : {"",
                             "{",
                             "[",
                             "[1",
                             "{\"a\"",
                             "{\"a\":",
                             "{\"a\":1",
                             "{a}",
                             "{,}",
                             "[,]",
                             "1 2",
                             "tru",
                             "nan",
                             "1e999",
                             "\"a",
                             "'a\"",
                             R"("\x")",
                             R"("\u12")",
                             R"("\ud800")",
                             R"("\ud800\u0041")",
                             R"("\udc00")",
                             "\"\x01\"",
                             "\"\xff\"",
                             "\"\xed\xa0\x80\"",
                             "/* x",
                             "{\"a\":1,\"a\":2}",
                             "-",
                             "1.2.3",
                             "--1",
                             "{1:2",
                             "/"})
        EXPECT_THAT(read(text), HasSubstr("is not JSON at byte")) << text;
    EXPECT_THAT(read(std::string("\"a\0b\"", 5)), HasSubstr("byte 2"));
    EXPECT_THAT(read(std::string("1\0", 2)), HasSubstr("byte 1"));
}

TEST(template_json, size_depth_and_count_are_bounded) {
    const LenientLimits small{.bytes = 64, .depth = 3, .values = 5, .fields = 2, .text_bytes = 4};
    const auto error = [&](const std::string& text) {
        const auto out = parse_lenient(text, small);
        return out.ok() ? "" : out.error().message;
    };
    EXPECT_EQ(error("[[[1]]]"), "");
    EXPECT_THAT(error("[[[[1]]]]"), HasSubstr("nested deeper than 3"));
    EXPECT_THAT(error("[1,2,3,4,5]"), HasSubstr("more than 5 values"));
    EXPECT_THAT(error("{a:1,b:2,c:3}"), HasSubstr("more than 2 fields"));
    EXPECT_THAT(error("'abcde'"), HasSubstr("more than 4 bytes in a text"));
    EXPECT_THAT(error(std::string(65, ' ')), HasSubstr("larger than 64 bytes"));
    EXPECT_THAT(read(std::string(1'000'000, '[')), HasSubstr("nested deeper"));
    EXPECT_THAT(read(std::string(1'000'000, '{')), HasSubstr("name is missing"));
}

}  // namespace
}  // namespace howdah::api::templates
