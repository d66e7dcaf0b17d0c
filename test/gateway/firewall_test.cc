#include "gateway/firewall.h"

#include <gtest/gtest.h>

namespace howdah::gateway {
namespace {

Address address(const std::string& text) { return Address::parse(text, 5).value(); }

Firewall firewall(const std::vector<std::pair<std::string, std::string>>& ranges) {
    std::vector<model::FirewallRule> rules;
    for (const auto& [first, last] : ranges)
        rules.push_back({.name = "rule", .start_ip = first, .end_ip = last});
    std::vector<std::string> faults;
    Firewall made(true, rules, faults);
    EXPECT_TRUE(faults.empty());
    return made;
}

TEST(firewall, without_a_rule_nobody_comes_in) {
    EXPECT_FALSE(firewall({}).admits(address("127.0.0.1"), {}));
    EXPECT_FALSE(firewall({}).admits(address("203.0.113.9"), {}));
    EXPECT_FALSE(firewall({}).admits(address("::1"), {}));
}

TEST(firewall, a_range_includes_both_its_ends_and_nothing_beyond) {
    const Firewall wall = firewall({{"192.0.2.10", "192.0.2.20"}});
    EXPECT_FALSE(wall.admits(address("192.0.2.9"), {}));
    EXPECT_TRUE(wall.admits(address("192.0.2.10"), {}));
    EXPECT_TRUE(wall.admits(address("192.0.2.20"), {}));
    EXPECT_FALSE(wall.admits(address("192.0.2.21"), {}));
}

TEST(firewall, ranges_may_overlap_nest_and_come_in_any_order) {
    const Firewall wall = firewall({{"10.0.0.50", "10.0.0.60"},
                                    {"10.0.0.0", "10.0.0.100"},
                                    {"10.0.0.90", "10.0.0.120"},
                                    {"10.0.1.0", "10.0.1.0"}});
    for (int last = 0; last < 256; ++last) {
        const std::string text = "10.0.0." + std::to_string(last);
        EXPECT_EQ(wall.admits(address(text), {}), last <= 120) << text;
    }
    EXPECT_TRUE(wall.admits(address("10.0.1.0"), {}));
    EXPECT_FALSE(wall.admits(address("10.0.1.1"), {}));
}

TEST(firewall, all_zeros_means_this_host_and_only_it) {
    const Firewall wall = firewall({{"0.0.0.0", "0.0.0.0"}});
    const HostAddresses host({address("198.51.100.7"), address("2001:db8::7")});
    EXPECT_TRUE(wall.admits(address("127.0.0.1"), host));
    EXPECT_TRUE(wall.admits(address("127.8.9.10"), host));
    EXPECT_TRUE(wall.admits(address("::1"), host));
    EXPECT_TRUE(wall.admits(address("::ffff:127.0.0.1"), host));
    EXPECT_TRUE(wall.admits(address("198.51.100.7"), host));
    EXPECT_TRUE(wall.admits(address("::ffff:198.51.100.7"), host));
    EXPECT_TRUE(wall.admits(address("2001:db8::7"), host));
    EXPECT_FALSE(wall.admits(address("198.51.100.8"), host));
    EXPECT_FALSE(wall.admits(address("2001:db8::8"), host));
}

TEST(firewall, mapped_ipv6_counts_as_ipv4_and_other_ipv6_matches_no_range) {
    const Firewall wall = firewall({{"0.0.0.0", "255.255.255.255"}});
    EXPECT_TRUE(wall.admits(address("::ffff:203.0.113.9"), {}));
    EXPECT_TRUE(wall.admits(address("::1"), {}));
    EXPECT_FALSE(wall.admits(address("2001:db8::1"), {}));
    EXPECT_FALSE(firewall({{"192.0.2.1", "192.0.2.2"}}).admits(address("::1"), {}));
}

TEST(firewall, without_public_access_no_rule_helps) {
    std::vector<std::string> faults;
    const Firewall wall(false, {{.start_ip = "0.0.0.0", .end_ip = "255.255.255.255"}}, faults);
    EXPECT_FALSE(wall.admits(address("127.0.0.1"), {}));
}

TEST(firewall, a_rule_that_is_no_range_admits_nobody_and_is_named) {
    std::vector<std::string> faults;
    const Firewall wall(true,
                        {{.name = "turned", .start_ip = "10.0.0.9", .end_ip = "10.0.0.1"},
                         {.name = "text", .start_ip = "localhost", .end_ip = "localhost"},
                         {.name = "six", .start_ip = "::1", .end_ip = "::1"},
                         {.name = "short", .start_ip = "10.1", .end_ip = "10.2"},
                         {.name = "empty"}},
                        faults);
    EXPECT_EQ(faults.size(), 5U);
    EXPECT_NE(faults[0].find("'turned'"), std::string::npos);
    EXPECT_FALSE(wall.admits(address("10.0.0.5"), {}));
    EXPECT_FALSE(wall.admits(address("127.0.0.1"), {}));
}

TEST(firewall, the_addresses_of_this_machine_include_loopback) {
    EXPECT_TRUE(HostAddresses::read().contains(address("127.0.0.1")));
    EXPECT_FALSE(HostAddresses::read().contains(address("203.0.113.254")));
}

TEST(address, prints_what_it_parses_and_mapped_ones_as_ipv4) {
    EXPECT_EQ(address("192.0.2.1").text(), "192.0.2.1");
    EXPECT_EQ(address("2001:db8::1").text(), "2001:db8::1");
    EXPECT_EQ(address("::ffff:192.0.2.1").text(), "192.0.2.1");
    EXPECT_EQ(address("*").text(), "::");
    EXPECT_EQ(address("2001:db8::1").with_port(4321).port(), 4321);
    EXPECT_FALSE(Address::parse("db.test", 1).ok());
    EXPECT_FALSE(Address::parse("127.0.0.1", 65536).ok());
    EXPECT_TRUE(address("::ffff:192.0.2.1").same_host(address("192.0.2.1")));
    EXPECT_EQ(address("::ffff:192.0.2.1").host_hash(), address("192.0.2.1").host_hash());
    EXPECT_FALSE(address("::").same_host(address("0.0.0.0")));
}

}  // namespace
}  // namespace howdah::gateway
