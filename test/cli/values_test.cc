#include "cli/values.h"

#include <gtest/gtest.h>

#include <set>

namespace howdah::cli {
namespace {

TEST(values, tags_are_pairs_and_one_empty_word_means_none) {
    EXPECT_EQ(to_text(*tags_of({"a=b", "c", "d=e=f"})), R"({"a":"b","c":"","d":"e=f"})");
    EXPECT_EQ(to_text(*tags_of({""})), "{}");
    EXPECT_FALSE(tags_of({"=x"}).ok());
}

TEST(values, public_access_is_a_word_an_address_or_a_range) {
    EXPECT_TRUE(public_access_of("none")->enabled);
    EXPECT_EQ(public_access_of("none")->start_ip, "");
    EXPECT_FALSE(public_access_of("Disabled")->enabled);
    EXPECT_EQ(public_access_of("ALL")->end_ip, "255.255.255.255");
    EXPECT_EQ(public_access_of("10.0.0.7")->end_ip, "10.0.0.7");
    EXPECT_EQ(public_access_of("10.0.0.1-10.0.0.9")->end_ip, "10.0.0.9");
    for (const char* bad : {"", "10.0.0", "10.0.0.1-", "-", "::1", "10.0.0.1/8", "everybody"}) {
        const auto access = public_access_of(bad);
        ASSERT_FALSE(access.ok()) << bad;
        EXPECT_EQ(access.error().target, "--public-access");
    }
}

TEST(values, a_maintenance_window_is_day_hour_and_minute) {
    EXPECT_EQ(to_text(*maintenance_window_of("Mon:3:30")),
              R"({"customWindow":"Enabled","dayOfWeek":1,"startHour":3,"startMinute":30})");
    EXPECT_EQ(to_text(*maintenance_window_of("0")),
              R"({"customWindow":"Enabled","dayOfWeek":0,"startHour":0,"startMinute":0})");
    EXPECT_EQ(to_text(*maintenance_window_of("disabled")), R"({"customWindow":"Disabled"})");
    for (const char* bad : {"", "Mo", "7", "Mon:24", "Mon:1:60", "Mon:1:1:1", "Mon:x"}) {
        EXPECT_FALSE(maintenance_window_of(bad).ok()) << bad;
    }
}

TEST(values, the_tier_follows_from_the_name_of_the_size) {
    EXPECT_EQ(tier_of("Standard_B1ms"), "Burstable");
    EXPECT_EQ(tier_of("standard_d2ds_v5"), "GeneralPurpose");
    EXPECT_EQ(tier_of("E4s_v3"), "MemoryOptimized");
    EXPECT_EQ(tier_of("Standard_"), "");
    EXPECT_EQ(tier_of("Standard_X1"), "");
}

TEST(values, the_newest_version_is_the_largest_number) {
    EXPECT_EQ(newest_version({"9", "15", "14", "x"}), "15");
    EXPECT_EQ(newest_version({}), "");
}

TEST(values, a_made_up_password_fits_the_rules_and_is_never_the_same) {
    SystemIdSource ids;
    std::set<std::string> seen;
    for (int i = 0; i < 200; ++i) {
        const std::string text = generate_password(ids).reveal();
        EXPECT_EQ(text.size(), 24U);
        EXPECT_NE(text.find_first_of("abcdefghijklmnopqrstuvwxyz"), text.npos);
        EXPECT_NE(text.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), text.npos);
        EXPECT_NE(text.find_first_of("0123456789"), text.npos);
        EXPECT_EQ(text.find_first_of("-_ '\""), text.npos);
        EXPECT_TRUE(seen.insert(text).second);
    }
}

TEST(values, words_for_libpq_are_quoted) {
    EXPECT_EQ(conninfo_quote("a b"), "'a b'");
    EXPECT_EQ(conninfo_quote("it's \\"), "'it\\'s \\\\'");
    EXPECT_EQ(passfile_quote("a:b\\c"), "a\\:b\\\\c");
}

}  // namespace
}  // namespace howdah::cli
