// Servers whose members live on several hosts: several files with routes, terms, and sessions that
// are tried again.

#include <gtest/gtest.h>
#include <unistd.h>

#include "gateway/client_hello.h"
#include "gateway/gateway_support.h"
#include "gateway/startup_packet.h"
#include "model/json.h"
#include "os/file.h"

namespace howdah::gateway {
namespace {

using testing::Client;
using testing::client_hello;
using testing::error_field;
using testing::eventually;
using testing::expect_relay;
using testing::FakeBackend;
using testing::free_port;
using testing::refusals;
using testing::route_to;
using testing::startup_message;
using testing::TempFolder;
using testing::TestGateway;

const std::string kHello = client_hello({.server_name = "one.db.test"});
const std::string kStartingUp = error_response("57P03", "the database system is starting up", "");

GatewayOptions with_second_file(GatewayOptions options, const std::string& folder) {
    options.routes_paths = {folder + "/routes.json"};
    return options;
}

/// A gateway that reads the routes of two agents, and one server that has a member with each. Its
/// port of its own takes plain connections too.
struct TwoAgents {
    TempFolder second;
    TestGateway gateway;
    std::uint16_t port = free_port();
    std::int64_t revision = 100;

    explicit TwoAgents(GatewayOptions options = {})
        : gateway(with_second_file(std::move(options), second.path())) {}

    model::Route route(std::uint16_t backend_port, model::Term term,
                       const std::string& state = "open") const {
        model::Route made = route_to("one", backend_port);
        made.port = port;
        made.require_tls = false;
        made.term = term;
        made.state = state;
        return made;
    }
    void first_says(const std::vector<model::Route>& routes) { gateway.use(routes); }
    void write_second(const std::string& text) const {
        EXPECT_TRUE(os::write_file_atomic(second.path() + "/routes.json", text).ok());
    }
    void second_says(const std::vector<model::Route>& routes) {
        ++revision;
        write_second(model::to_json(model::RouteTable{.revision = revision, .routes = routes}));
        EXPECT_TRUE(eventually([&] { return second_table().revision == revision; }));
    }
    model::GatewayTable second_table() { return gateway.stats().tables.at(1); }
    bool is_held(int count = 1) {
        return eventually([&] { return gateway.server_stats("/servers/one").held_total == count; });
    }
    std::unique_ptr<Client> begin() const {
        auto client = std::make_unique<Client>(port);
        client->send(startup_message());
        return client;
    }
};

// -------------------------------------------------------------------------------------------------
// Several files

TEST(tables, servers_of_two_files_are_reached) {
    FakeBackend first;
    FakeBackend second;
    TwoAgents agents;
    agents.first_says({route_to("one", first.port())});
    agents.second_says({route_to("two", second.port())});
    for (const std::string name : {"one", "two"}) {
        const std::string hello = client_hello({.server_name = name + ".db.test"});
        Client client(agents.gateway.port());
        ASSERT_EQ(client.request_tls(), "S");
        client.send(hello);
        expect_relay(client, hello);
    }
    EXPECT_EQ(first.connections(), 1);
    EXPECT_EQ(second.connections(), 1);
    const auto stats = agents.gateway.stats();
    EXPECT_EQ(stats.table_revision, 1);
    ASSERT_EQ(stats.tables.size(), 2U);
    EXPECT_EQ(stats.tables[0].path, os::canonical_path(agents.gateway.folder() + "/routes.json"));
    EXPECT_EQ(stats.tables[0].revision, 1);
    EXPECT_EQ(stats.tables[1].revision, 101);
}

TEST(tables, a_file_that_is_not_there_keeps_no_other_from_being_in_force) {
    FakeBackend backend;
    TwoAgents agents;
    agents.second_says({agents.route(backend.port(), 5)});
    EXPECT_EQ(agents.gateway.stats().table_revision, 0);
    const auto client = agents.begin();
    expect_relay(*client, startup_message());
    EXPECT_TRUE(os::remove_tree(agents.second.path() + "/routes.json").ok());
    agents.first_says({});
    client->send("pong");
    EXPECT_EQ(client->read(4), "pong") << "what was in force of a file that is gone stays so";
}

TEST(tables, a_damaged_file_keeps_its_last_good_content_and_no_other_from_changing) {
    FakeBackend backend;
    FakeBackend other;
    TwoAgents agents;
    agents.first_says({});
    agents.second_says({agents.route(backend.port(), 5)});
    for (const std::string bad :
         {"{", R"({"revision":900,"routes":[{"server_id":"x","state":"ajar"}]})"}) {
        agents.write_second(bad);
        ASSERT_TRUE(eventually([&] { return !agents.second_table().error.empty(); })) << bad;
        const auto stats = agents.gateway.stats();
        EXPECT_NE(stats.table_error.find(agents.second.path()), std::string::npos)
            << stats.table_error;
        EXPECT_EQ(stats.tables[0].error, "");
        EXPECT_LT(stats.tables[1].revision, 900);
        const auto client = agents.begin();
        expect_relay(*client, startup_message());
        agents.first_says({route_to("two", other.port())});
        Client two(agents.gateway.port());
        ASSERT_EQ(two.request_tls(), "S");
        two.send(client_hello({.server_name = "two.db.test"}));
        EXPECT_EQ(two.read(1), "\x16");
        agents.first_says({});
        agents.second_says({agents.route(backend.port(), 5)});
        EXPECT_EQ(agents.gateway.stats().table_error, "");
    }
}

TEST(tables, too_many_files_or_none_are_refused) {
    const SystemClock clock;
    GatewayOptions options;
    options.port = 0;
    EXPECT_FALSE(Gateway::start(options, clock).ok());
    options.routes_paths.resize(Gateway::kRoutesFilesMax + 1, "/nowhere/routes.json");
    EXPECT_FALSE(Gateway::start(options, clock).ok());
}

// -------------------------------------------------------------------------------------------------
// Take-over

TEST(takeover, new_sessions_go_to_the_new_primary_and_old_ones_end) {
    FakeBackend a;
    FakeBackend b;
    TwoAgents agents;
    agents.first_says({agents.route(a.port(), 5)});
    agents.second_says({agents.route(b.port(), 5, "hold")});
    const auto old = agents.begin();
    expect_relay(*old, startup_message());
    agents.second_says({agents.route(b.port(), 6)});
    EXPECT_EQ(old->read_to_end(), "");
    const auto fresh = agents.begin();
    expect_relay(*fresh, startup_message());
    EXPECT_EQ(a.connections(), 1);
    EXPECT_EQ(b.connections(), 1);

    // The former primary comes back as a standby, and then is the primary again.
    agents.first_says({agents.route(a.port(), 6, "closed")});
    fresh->send("pong");
    EXPECT_EQ(fresh->read(4), "pong");
    agents.first_says({agents.route(a.port(), 7)});
    EXPECT_EQ(fresh->read_to_end(), "");
    const auto third = agents.begin();
    expect_relay(*third, startup_message());
    EXPECT_EQ(a.connections(), 2);
}

TEST(takeover, sessions_stay_while_their_backend_does) {
    FakeBackend a;
    FakeBackend b;
    TwoAgents agents;
    agents.first_says({agents.route(a.port(), 5)});
    const auto client = agents.begin();
    expect_relay(*client, startup_message());
    const auto expect_alive = [&client](std::string_view when) {
        client->send("pong");
        EXPECT_EQ(client->read(4), "pong") << when;
    };
    agents.second_says({agents.route(a.port(), 6)});
    expect_alive("the other file knows it in a newer term");
    agents.first_says({agents.route(b.port(), 6, "hold")});
    expect_alive("the standby's route of that term");
    agents.second_says({agents.route(a.port(), 6, "hold")});
    agents.first_says({agents.route(b.port(), 6, "closed")});
    expect_alive("its own server holds new sessions");
    agents.first_says({agents.route(b.port(), 6, "hold")});
    expect_alive("another member's route of the same term is in force, and not open");
    agents.first_says({agents.route(b.port(), 7, "hold")});
    EXPECT_EQ(client->read_to_end(), "") << "a newer term has another primary";
}

TEST(takeover, a_newer_term_that_holds_ends_old_sessions_and_keeps_new_ones_waiting) {
    FakeBackend a;
    FakeBackend b;
    TwoAgents agents;
    agents.first_says({agents.route(a.port(), 5)});
    const auto old = agents.begin();
    expect_relay(*old, startup_message());
    agents.second_says({agents.route(b.port(), 6, "hold")});
    EXPECT_EQ(old->read_to_end(), "");
    const auto fresh = agents.begin();
    ASSERT_TRUE(agents.is_held());
    agents.second_says({agents.route(b.port(), 6)});
    expect_relay(*fresh, startup_message());
    EXPECT_EQ(a.connections(), 1);
}

// -------------------------------------------------------------------------------------------------
// Trying again

TEST(again, a_refused_connection_is_tried_until_the_other_member_opens) {
    FakeBackend b;
    TwoAgents agents;
    agents.first_says({agents.route(free_port(), 5)});
    const auto plain = agents.begin();
    Client tls(agents.gateway.port());
    ASSERT_EQ(tls.request_tls(), "S");
    tls.send(kHello);
    ASSERT_TRUE(agents.is_held(2));
    agents.second_says({agents.route(b.port(), 6)});
    expect_relay(*plain, startup_message());
    expect_relay(tls, kHello);
}

TEST(again, a_postgresql_that_is_not_ready_is_not_shown_to_the_client) {
    for (const std::string& farewell :
         {kStartingUp, error_response("57P01", "terminating connection", "why not"),
          std::string()}) {
        FakeBackend a({.farewell = farewell});
        FakeBackend b;
        TwoAgents agents;
        agents.first_says({agents.route(a.port(), 5)});
        const auto client = agents.begin();
        ASSERT_TRUE(eventually([&] { return a.connections() >= 3; })) << "it tries again";
        for (const std::string& got : a.received()) {
            EXPECT_TRUE(got.empty() || got == startup_message()) << got;
        }
        agents.second_says({agents.route(b.port(), 6)});
        expect_relay(*client, startup_message());
        EXPECT_EQ(agents.gateway.server_stats("/servers/one").held_total, 1);
    }
}

TEST(again, the_same_member_is_waited_for_as_well) {
    const std::uint16_t port = free_port();
    TwoAgents agents;
    std::unique_ptr<Client> client;
    {
        FakeBackend starting({.port = port, .farewell = kStartingUp});
        agents.first_says({agents.route(port, 5)});
        client = agents.begin();
        ASSERT_TRUE(eventually([&] { return starting.connections() >= 2; }));
    }
    FakeBackend backend({.port = port});
    expect_relay(*client, startup_message());
}

TEST(again, a_hello_without_an_answer_is_tried_elsewhere) {
    FakeBackend a({.farewell = ""});
    FakeBackend b;
    TwoAgents agents;
    agents.first_says({agents.route(a.port(), 5)});
    Client client(agents.gateway.port());
    ASSERT_EQ(client.request_tls(), "S");
    client.send(kHello);
    ASSERT_TRUE(eventually([&] { return a.connections() >= 2; }));
    agents.second_says({agents.route(b.port(), 6)});
    expect_relay(client, kHello);
}

TEST(again, a_backend_that_hangs_is_left_as_soon_as_there_is_a_newer_term) {
    FakeBackend a({.echo = false});
    FakeBackend b;
    TwoAgents agents;
    agents.first_says({agents.route(a.port(), 5)});
    const auto client = agents.begin();
    ASSERT_TRUE(eventually(
        [&] { return a.connections() == 1 && a.received().at(0) == startup_message(); }));
    EXPECT_NE(agents.gateway.admin("sessions").find("\"answering\""), std::string::npos);
    agents.second_says({agents.route(b.port(), 6)});
    expect_relay(*client, startup_message());
}

TEST(again, nothing_behind_the_startup_packet_is_sent_before_the_answer) {
    FakeBackend a({.farewell = ""});
    FakeBackend b;
    TwoAgents agents;
    agents.first_says({agents.route(a.port(), 5)});
    Client client(agents.port);
    client.send(startup_message() + "delete everything");
    ASSERT_TRUE(eventually([&] { return a.connections() >= 2; }));
    agents.second_says({agents.route(b.port(), 6)});
    expect_relay(client, startup_message() + "delete everything");
    for (const std::string& got : a.received()) {
        EXPECT_TRUE(got.empty() || got == startup_message()) << got;
    }
}

TEST(again, other_errors_are_the_clients) {
    FakeBackend a({.farewell = error_response("28P01", "password authentication failed", "")});
    TwoAgents agents;
    agents.first_says({agents.route(a.port(), 5)});
    const auto client = agents.begin();
    EXPECT_EQ(error_field(*client, 'C'), "28P01");
    EXPECT_EQ(a.connections(), 1);
}

TEST(again, half_an_error_is_passed_on_when_no_more_comes) {
    FakeBackend a({.farewell = kStartingUp.substr(0, 20)});
    TwoAgents agents;
    agents.first_says({agents.route(a.port(), 5)});
    const auto client = agents.begin();
    EXPECT_EQ(client->read_to_end(), kStartingUp.substr(0, 20));
}

TEST(again, without_a_term_the_first_answer_is_the_clients) {
    FakeBackend a({.farewell = kStartingUp});
    TwoAgents agents;
    agents.first_says({agents.route(a.port(), 0)});
    const auto client = agents.begin();
    EXPECT_EQ(error_field(*client, 'M'), "the database system is starting up");
    EXPECT_EQ(a.connections(), 1);
    EXPECT_EQ(agents.gateway.server_stats("/servers/one").held_total, 0);
}

TEST(again, is_bounded_in_time) {
    GatewayOptions options;
    options.limits.hold = std::chrono::milliseconds(200);
    FakeBackend a({.farewell = kStartingUp});
    TwoAgents agents(options);
    agents.first_says({agents.route(a.port(), 5)});
    const auto not_ready = agents.begin();
    EXPECT_EQ(error_field(*not_ready, 'C'), "57P03");
    agents.first_says({agents.route(free_port(), 5)});
    const auto refused = agents.begin();
    EXPECT_EQ(error_field(*refused, 'C'), "57P03");
    EXPECT_EQ(refusals(agents.gateway.server_stats("/servers/one").refused, "hold_timeout"), 2);
}

TEST(again, is_bounded_in_number) {
    GatewayOptions options;
    options.limits.held_max = 1;
    options.threads = 1;
    TwoAgents agents(options);
    agents.first_says({agents.route(free_port(), 5, "hold")});
    const auto first = agents.begin();
    ASSERT_TRUE(agents.is_held());
    const auto second = agents.begin();
    EXPECT_EQ(error_field(*second, 'C'), "57P03");
    EXPECT_EQ(refusals(agents.gateway.server_stats("/servers/one").refused, "hold_full"), 1);
}

TEST(again, a_slow_first_answer_is_not_waited_for_longer_than_a_hold) {
    GatewayOptions options;
    options.limits.hold = std::chrono::milliseconds(100);
    FakeBackend a({.echo = false});
    TwoAgents agents(options);
    agents.first_says({agents.route(a.port(), 5)});
    Client client(agents.port);
    client.send(startup_message() + "behind");
    ASSERT_TRUE(eventually([&] {
        return a.connections() == 1 && a.received().at(0) == startup_message() + "behind";
    }));
    EXPECT_EQ(agents.gateway.server_stats("/servers/one").active, 1);
    EXPECT_EQ(a.connections(), 1);
}

TEST(again, a_client_that_goes_away_before_the_answer_takes_its_backend_along) {
    FakeBackend a({.echo = false});
    TwoAgents agents;
    agents.first_says({agents.route(a.port(), 5)});
    auto client = agents.begin();
    ASSERT_TRUE(eventually([&] { return a.open_connections() == 1; }));
    client.reset();
    EXPECT_TRUE(eventually([&] { return a.open_connections() == 0; }));
    EXPECT_TRUE(eventually([&] { return agents.gateway.stats().sessions == 0; }));
}

TEST(again, cancel_requests_are_sent_once) {
    FakeBackend a({.farewell = ""});
    TwoAgents agents;
    agents.first_says({agents.route(a.port(), 5)});
    Client client(agents.port);
    client.send(testing::cancel_request(4711, "keyk"));
    EXPECT_EQ(client.read_to_end(), "");
    EXPECT_EQ(a.connections(), 1);
    EXPECT_EQ(a.received().at(0), testing::cancel_request(4711, "keyk"));
}

}  // namespace
}  // namespace howdah::gateway
