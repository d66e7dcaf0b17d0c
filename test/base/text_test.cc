#include "base/text.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/id.h"

namespace howdah {
namespace {

TEST(text, base64_round_trips_every_length) {
    FakeIdSource ids;
    for (std::size_t length = 0; length < 70; ++length) {
        const std::string bytes = ids.random_bytes(length);
        EXPECT_EQ(base64_decode(base64_encode(bytes)).value(), bytes);
        EXPECT_EQ(base64url_decode(base64url_encode(bytes)).value(), bytes);
    }
    EXPECT_EQ(base64_encode("fo"), "Zm8=");
}

TEST(text, base64_refuses_foreign_characters_and_rest_bits) {
    EXPECT_FALSE(base64_decode("Zm8").ok());
    EXPECT_FALSE(base64_decode("Zm9=").ok());
    EXPECT_FALSE(base64_decode("Z===").ok());
    EXPECT_FALSE(base64url_decode("Zm8=").ok());
    EXPECT_FALSE(base64url_decode("Z").ok());
}

TEST(text, a_shell_takes_what_was_quoted_as_one_word) {
    EXPECT_EQ(shell_quoted("/a b"), "'/a b'");
    EXPECT_EQ(shell_quoted(""), "''");
    EXPECT_EQ(shell_quoted("it's"), "'it'\\''s'");
}

TEST(text, integers_are_whole_and_in_range) {
    EXPECT_EQ(parse_integer("42", 0, 100).value(), 42);
    for (const char* bad : {"", "4 2", "101", "-1", "0x10", "99999999999999999999"}) {
        EXPECT_FALSE(parse_integer(bad, 0, 100).ok()) << bad;
    }
}

TEST(clock, iso8601_round_trips_and_refuses_nonsense) {
    const std::string text = "2026-11-21T03:45:43.120Z";
    EXPECT_EQ(format_iso8601(parse_iso8601(text).value()), text);
    EXPECT_EQ(format_iso8601(parse_iso8601("2026-11-21T03:45:43+01:30").value()),
              "2026-11-21T02:15:43.000Z");
    for (const char* bad :
         {"", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z",
          "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Zx"}) {
        EXPECT_FALSE(parse_iso8601(bad).ok()) << bad;
    }
}

TEST(id, uuids_have_the_uuid_form) {
    SystemIdSource ids;
    EXPECT_TRUE(is_uuid(ids.uuid()));
    EXPECT_NE(ids.uuid(), ids.uuid());
    EXPECT_FALSE(is_uuid("6f1c"));
    EXPECT_FALSE(is_uuid("zzzzzzzz-0000-4000-8000-000000000001"));
}

TEST(id, a_name_leads_to_the_same_uuid_everywhere) {
    const std::string dns = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    EXPECT_EQ(uuid_from_name(dns, "www.example.com"), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    EXPECT_NE(uuid_from_name(dns, ""), uuid_from_name(dns, "a"));
}

}  // namespace
}  // namespace howdah
