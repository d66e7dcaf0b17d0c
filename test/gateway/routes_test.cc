#include "gateway/routes.h"

#include <gtest/gtest.h>

#include "gateway/gateway_support.h"

namespace howdah::gateway {
namespace {

using testing::route_to;

struct Compiled {
    CounterBook book;
    std::vector<std::string> faults;
    Result<std::shared_ptr<const Routes>> routes = Routes::none();

    explicit Compiled(std::vector<model::Route> all) {
        routes = Routes::compile({.revision = 7, .routes = std::move(all)}, book, faults);
    }
};

TEST(routes, are_found_by_name_port_id_and_postmaster) {
    model::Route one = route_to("one", 7001);
    one.port = 6001;
    one.postmaster_pid = 123;
    one.host_names = {"One.DB.test", "reader.one.db.test"};
    const Compiled compiled({one, route_to("two", 7002)});
    const Routes& routes = **compiled.routes;
    EXPECT_EQ(routes.revision(), 7);
    EXPECT_EQ(routes.by_name("one.db.test")->server_id, "/servers/one");
    EXPECT_EQ(routes.by_name("reader.one.db.test"), routes.by_name("one.db.test"));
    EXPECT_EQ(routes.by_name("three.db.test"), nullptr);
    EXPECT_EQ(routes.by_name(""), nullptr);
    EXPECT_EQ(routes.by_port(6001)->server_id, "/servers/one");
    EXPECT_EQ(routes.by_port(0), nullptr);
    EXPECT_EQ(routes.by_postmaster(123)->server_id, "/servers/one");
    EXPECT_EQ(routes.by_postmaster(0), nullptr);
    EXPECT_EQ(routes.by_id("/servers/two")->backend.address.port(), 7002);
}

TEST(routes, a_field_that_makes_no_sense_refuses_the_table_and_is_named) {
    const auto error_of = [](void (*change)(model::Route&)) {
        model::Route route = route_to("one", 7001);
        change(route);
        const Compiled compiled({route_to("two", 7002), route});
        return compiled.routes.ok() ? std::string() : compiled.routes.error().target;
    };
    EXPECT_EQ(error_of([](model::Route&) {}), "");
    EXPECT_EQ(error_of([](model::Route& route) { route.state = "ajar"; }), "state");
    EXPECT_EQ(error_of([](model::Route& route) { route.port = 65536; }), "port");
    EXPECT_EQ(error_of([](model::Route& route) { route.backend_port = -1; }), "backend_address");
    EXPECT_EQ(error_of([](model::Route& route) { route.backend_port = 0; }), "backend_port");
    EXPECT_EQ(error_of([](model::Route& route) { route.backend_address = "db"; }),
              "backend_address");
    EXPECT_EQ(error_of([](model::Route& route) { route.server_id = ""; }), "server_id");
}

TEST(routes, a_name_or_port_belongs_to_the_first_that_has_it) {
    model::Route one = route_to("one", 7001);
    model::Route two = route_to("two", 7002);
    one.port = two.port = 6001;
    two.host_names.push_back("one.db.test");
    const Compiled compiled({one, two});
    EXPECT_EQ(compiled.faults.size(), 2U);
    const Routes& routes = **compiled.routes;
    EXPECT_EQ(routes.by_name("one.db.test")->server_id, "/servers/one");
    EXPECT_EQ(routes.by_name("two.db.test")->server_id, "/servers/two");
    EXPECT_EQ(routes.by_port(6001)->server_id, "/servers/one");
}

TEST(routes, the_postmaster_of_another_machine_is_not_looked_for_on_this_one) {
    model::Route here = route_to("one", 7001);
    model::Route far = route_to("two", 7001);
    here.postmaster_pid = far.postmaster_pid = 123;
    far.backend_address = "192.0.2.1";
    const Compiled compiled({far, here});
    const Routes& routes = **compiled.routes;
    EXPECT_EQ(routes.by_postmaster(123)->server_id, "/servers/one");
    EXPECT_EQ(routes.by_id("/servers/two")->local_postmaster, 0);
    EXPECT_EQ(routes.by_id("/servers/two")->backend.postmaster_pid, 123) << "it tells it apart";
}

TEST(routes, counters_outlive_a_table) {
    CounterBook book;
    std::vector<std::string> faults;
    const model::RouteTable table{.routes = {route_to("one", 7001)}};
    const auto first = Routes::compile(table, book, faults);
    ++(*first)->by_id("/servers/one")->counters->accepted;
    const auto second = Routes::compile(table, book, faults);
    EXPECT_EQ((*second)->by_id("/servers/one")->counters->accepted, 1);
}

TEST(routes, counters_of_servers_that_are_gone_are_swept) {
    CounterBook book;
    std::vector<std::string> faults;
    {
        const auto routes = Routes::compile({.routes = {route_to("one", 7001)}}, book, faults);
        book.sweep();
        EXPECT_EQ(book.all().size(), 1U);
    }
    book.sweep();
    EXPECT_TRUE(book.all().empty());
}

TEST(routes, a_backend_is_another_one_when_address_port_or_postmaster_differ) {
    const auto identity = [](const std::string& address, int port, std::int64_t pid) {
        return BackendIdentity{Address::parse(address, port).value(), pid};
    };
    const BackendIdentity one = identity("127.0.0.1", 7001, 10);
    EXPECT_TRUE(one.may_be(identity("127.0.0.1", 7001, 10)));
    EXPECT_TRUE(one.may_be(identity("127.0.0.1", 7001, 0)));
    EXPECT_FALSE(one.may_be(identity("127.0.0.1", 7001, 11)));
    EXPECT_FALSE(one.may_be(identity("127.0.0.1", 7002, 10)));
    EXPECT_FALSE(one.may_be(identity("127.0.0.2", 7001, 10)));
}

}  // namespace
}  // namespace howdah::gateway
