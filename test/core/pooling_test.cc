#include "core/sizing/pooling.h"

#include <gtest/gtest.h>

#include "core/sizing/parameters.h"

namespace howdah::core {
namespace {

std::vector<CustomerParameter> offered() {
    const model::Engine engine{
        .major = "15", .version = "15.8", .parameters = pooling_parameters()};
    return customer_parameters(engine, {});
}

TEST(pooling, is_off_until_it_is_chosen) {
    EXPECT_FALSE(wants_pooling({}));
    EXPECT_FALSE(wants_pooling({{"pgbouncer.enabled", "off"}}));
    EXPECT_TRUE(wants_pooling({{"pgbouncer.enabled", "on"}}));
}

TEST(pooling, has_azures_defaults_under_pgbouncers_names) {
    const auto settings = pooling_settings({});
    EXPECT_EQ(settings.at("pool_mode"), "transaction");
    EXPECT_EQ(settings.at("default_pool_size"), "50");
    EXPECT_EQ(settings.at("max_client_conn"), "5000");
    EXPECT_EQ(settings.count("enabled"), 0U);
}

TEST(pooling, takes_what_the_customer_chose) {
    EXPECT_EQ(pooling_settings({{"pgbouncer.pool_mode", "session"}}).at("pool_mode"), "session");
}

TEST(pooling, every_parameter_can_be_set_without_a_restart) {
    int seen = 0;
    for (const CustomerParameter& each : offered()) {
        if (!is_pooling_parameter(each.name)) continue;
        ++seen;
        EXPECT_TRUE(each.is_dynamic) << each.name;
        EXPECT_FALSE(each.is_read_only) << each.name;
        EXPECT_FALSE(each.allowed_values.empty()) << each.name;
        EXPECT_TRUE(check_parameter(offered(), each.name, each.default_value).ok()) << each.name;
    }
    EXPECT_EQ(seen, 8);
}

TEST(pooling, a_value_cannot_add_a_line) {
    for (const char* value :
         {"a\nauth_type = any", "geqo\nauth_type = any", "x;y", "%include /etc"})
        EXPECT_FALSE(check_parameter(offered(), "pgbouncer.ignore_startup_parameters", value).ok())
            << value;
    EXPECT_EQ(
        check_parameter(offered(), "pgbouncer.ignore_startup_parameters", "options, geqo").value(),
        "geqo,options");
}

TEST(pooling, what_only_a_newer_pgbouncer_has_is_not_there) {
    const auto refused = check_parameter(offered(), "pgbouncer.max_prepared_statements", "10");
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace howdah::core
