#include <gtest/gtest.h>

#include "http/client.h"

namespace howdah::http {
namespace {

TEST(url, every_byte_survives_encoding_and_decoding) {
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
    EXPECT_EQ(url_decode(url_encode(bytes)).value(), bytes);
}

TEST(url, only_unreserved_letters_stay_as_they_are) {
    EXPECT_EQ(url_encode("aZ09-._~"), "aZ09-._~");
    EXPECT_EQ(url_encode("a b/c?d=e&f+g%"), "a%20b%2Fc%3Fd%3De%26f%2Bg%25");
}

TEST(url, a_percent_sign_without_two_digits_is_refused) {
    for (const char* text : {"%", "%1", "a%", "a%g0", "a%0g", "%%20"}) {
        EXPECT_EQ(url_decode(text).error().code, ErrorCode::invalid_argument) << text;
    }
    EXPECT_EQ(url_decode("%2f%2F%41").value(), "//A");
    EXPECT_EQ(url_decode("a+b").value(), "a+b");
    EXPECT_EQ(url_decode("%253A").value(), "%3A");
}

TEST(url, a_form_keeps_order_empty_values_and_repeated_names) {
    const auto fields = parse_form("a=1&b=&c&a=x+y%2B&&=z").value();
    const std::vector<std::pair<std::string, std::string>> expected = {
        {"a", "1"}, {"b", ""}, {"c", ""}, {"a", "x y+"}, {"", "z"}};
    EXPECT_EQ(fields, expected);
    EXPECT_TRUE(parse_form("").value().empty());
    EXPECT_FALSE(parse_form("a=%zz").ok());
}

TEST(url, a_form_of_more_than_a_hundred_fields_is_refused) {
    std::string form;
    for (int i = 0; i < 100; ++i) form += "a=1&";
    EXPECT_EQ(parse_form(form).value().size(), 100U);
    EXPECT_FALSE(parse_form(form + "a=1").ok());
}

}  // namespace
}  // namespace howdah::http
