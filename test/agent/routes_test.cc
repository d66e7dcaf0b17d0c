#include <gtest/gtest.h>

#include "agent/instance.h"

namespace howdah::agent {
namespace {

model::InstanceSpec spec() {
    model::InstanceSpec spec;
    spec.server_id = "/subscriptions/s/orders";
    spec.server_name = "orders";
    spec.major = "15";
    spec.host_names = {"Orders.Example", "orders-2.example"};
    spec.port = 20001;
    spec.public_access = false;
    spec.firewall_rules = {{"/r", "office", "10.0.0.1", "10.0.0.9"}};
    return spec;
}

TEST(routes, sessions_are_let_through_only_while_the_server_runs) {
    const std::pair<const char*, const char*> all[] = {
        {"running", "open"},  {"restarting", "hold"}, {"preparing", "hold"},
        {"starting", "hold"}, {"stopping", "closed"}, {"stopped", "closed"},
        {"failed", "closed"}, {"absent", "closed"}};
    for (const auto& [state, expected] : all) {
        const model::Route route = make_route(spec(), state, 16000, 42);
        EXPECT_EQ(route.state, expected) << state;
        EXPECT_EQ(route.reason.empty(), route.state == "open") << state;
    }
}

TEST(routes, a_state_that_nobody_knows_holds_and_never_opens) {
    EXPECT_EQ(make_route(spec(), "new in a later version", 16000, 42).state, "hold");
}

TEST(routes, say_where_the_server_is_and_who_may_come) {
    const model::Route route = make_route(spec(), "running", 16000, 42);
    EXPECT_EQ(route.server_id, "/subscriptions/s/orders");
    EXPECT_EQ(route.host_names, (std::vector<std::string>{"orders.example", "orders-2.example"}));
    EXPECT_EQ(route.port, 20001);
    EXPECT_EQ(route.backend_address, "127.0.0.1");
    EXPECT_EQ(route.backend_port, 16000);
    EXPECT_EQ(route.postmaster_pid, 42);
    EXPECT_EQ(route.major, 15);
    EXPECT_FALSE(route.public_access);
    ASSERT_EQ(route.firewall_rules.size(), 1U);
    EXPECT_EQ(route.firewall_rules[0].end_ip, "10.0.0.9");
}

TEST(routes, plain_sessions_are_let_through_only_where_the_parameter_says_off) {
    model::InstanceSpec each = spec();
    EXPECT_TRUE(make_route(each, "running", 1, 1).require_tls);
    for (const char* value : {"on", "ON", "true", "", "nonsense"}) {
        each.parameters["require_secure_transport"] = value;
        EXPECT_TRUE(make_route(each, "running", 1, 1).require_tls) << value;
    }
    each.parameters["require_secure_transport"] = "off";
    EXPECT_FALSE(make_route(each, "running", 1, 1).require_tls);
}

}  // namespace
}  // namespace howdah::agent
