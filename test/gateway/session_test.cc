// The gateway with real sockets and a stand-in for PostgreSQL.

#include <gtest/gtest.h>

#include <cstring>

#include "gateway/client_hello.h"
#include "gateway/gateway_support.h"
#include "gateway/startup_packet.h"
#include "model/json.h"
#include "os/file.h"

namespace howdah::gateway {
namespace {

using testing::cancel_request;
using testing::Client;
using testing::client_hello;
using testing::error_field;
using testing::eventually;
using testing::expect_relay;
using testing::FakeBackend;
using testing::free_port;
using testing::gss_request;
using testing::refusals;
using testing::route_to;
using testing::startup_message;
using testing::TestGateway;

const std::string kHello = client_hello({.server_name = "one.db.test"});

std::string alert(TlsAlert which) { return alert_record(which); }

/// One server, "one", with a port of its own that takes plain connections too.
struct OneServer {
    FakeBackend backend;
    TestGateway gateway;
    model::Route route;

    explicit OneServer(GatewayOptions options = {}) : gateway(std::move(options)) {
        route = route_to("one", backend.port());
        route.port = free_port();
        route.require_tls = false;
        gateway.use({route});
    }
    std::uint16_t own_port() const { return static_cast<std::uint16_t>(route.port); }
    void change(const std::function<void(model::Route&)>& how) {
        how(route);
        gateway.use({route});
    }
};

// -------------------------------------------------------------------------------------------------
// Beginning

TEST(session, tls_is_answered_at_once_and_routed_by_name) {
    OneServer one;
    Client client(one.gateway.port());
    ASSERT_EQ(client.request_tls(), "S");
    client.send(kHello);
    expect_relay(client, kHello);
    EXPECT_EQ(one.backend.received().at(0), kHello + "ping");
}

TEST(session, tls_is_routed_by_port_without_a_name) {
    OneServer one;
    const std::string hello = client_hello({});
    Client client(one.own_port());
    ASSERT_EQ(client.request_tls(), "S");
    client.send(hello);
    expect_relay(client, hello);
}

TEST(session, two_servers_are_told_apart_by_name) {
    FakeBackend first;
    FakeBackend second;
    TestGateway gateway;
    gateway.use({route_to("one", first.port()), route_to("two", second.port())});
    for (const std::string name : {"two", "one", "two"}) {
        const std::string hello = client_hello({.server_name = name + ".db.test"});
        Client client(gateway.port());
        ASSERT_EQ(client.request_tls(), "S");
        client.send(hello);
        expect_relay(client, hello);
    }
    EXPECT_EQ(first.connections(), 1);
    EXPECT_EQ(second.connections(), 2);
}

TEST(session, a_hello_cut_at_every_byte_arrives_whole) {
    OneServer one;
    for (std::size_t cut = 1; cut < kHello.size(); ++cut) {
        Client client(one.gateway.port());
        ASSERT_EQ(client.request_tls(), "S");
        client.send(std::string_view(kHello).substr(0, cut));
        // The admin socket answers from the workers: the first part has been read by then.
        if (cut % 16 == 0) one.gateway.stats();
        client.send(std::string_view(kHello).substr(cut));
        ASSERT_EQ(client.read(kHello.size()), kHello) << cut;
    }
}

TEST(session, a_client_that_ends_inside_its_hello_leaves_nothing_behind) {
    OneServer one;
    for (std::size_t cut = 0; cut < kHello.size(); ++cut) {
        Client client(one.gateway.port());
        ASSERT_EQ(client.request_tls(), "S");
        client.send(std::string_view(kHello).substr(0, cut));
        if (cut % 2 == 0) client.reset();
    }
    EXPECT_TRUE(eventually([&] { return one.gateway.stats().sessions == 0; }));
    EXPECT_EQ(one.backend.connections(), 0);
}

TEST(session, gss_is_refused_once_and_then_tls_or_plain_may_follow) {
    OneServer one;
    Client tls(one.own_port());
    tls.send(gss_request());
    ASSERT_EQ(tls.read(1), "N");
    ASSERT_EQ(tls.request_tls(), "S");
    tls.send(kHello);
    expect_relay(tls, kHello);

    Client plain(one.own_port());
    plain.send(gss_request());
    ASSERT_EQ(plain.read(1), "N");
    plain.send(startup_message());
    expect_relay(plain, startup_message());

    Client again(one.own_port());
    again.send(gss_request());
    ASSERT_EQ(again.read(1), "N");
    again.send(gss_request());
    EXPECT_EQ(error_field(again, 'C'), "08P01");
}

TEST(session, bytes_behind_a_negotiation_request_close_it) {
    OneServer one;
    for (const std::string& request : {std::string(ssl_request()), gss_request()}) {
        Client client(one.own_port());
        client.send(request + kHello);
        EXPECT_EQ(error_field(client, 'C'), "08P01");
    }
    EXPECT_EQ(one.backend.connections(), 0);
    EXPECT_EQ(refusals(one.gateway.stats().refused, "protocol"), 2);
}

TEST(session, plain_is_passed_on_only_where_the_server_allows_it) {
    OneServer one;
    Client allowed(one.own_port());
    allowed.send(startup_message());
    expect_relay(allowed, startup_message());

    one.change([](model::Route& route) { route.require_tls = true; });
    Client refused(one.own_port());
    refused.send(startup_message());
    EXPECT_EQ(error_field(refused, 'C'), "28000");

    Client shared(one.gateway.port());
    shared.send(startup_message());
    EXPECT_NE(error_field(shared, 'H').find("own port"), std::string::npos);
    EXPECT_EQ(one.backend.connections(), 1);
}

TEST(session, direct_tls_needs_postgresql_17) {
    OneServer one;
    Client older(one.gateway.port());
    older.send(kHello);
    EXPECT_EQ(older.read_to_end(), alert(TlsAlert::no_application_protocol));

    one.change([](model::Route& route) { route.major = 17; });
    Client newer(one.gateway.port());
    newer.send(kHello);
    expect_relay(newer, kHello);
    EXPECT_EQ(one.backend.received().at(0), kHello + "ping") << "no SSLRequest before it";
}

TEST(session, an_unknown_name_gets_its_alert) {
    OneServer one;
    for (const std::string& hello :
         {client_hello({.server_name = "two.db.test"}), client_hello({})}) {
        Client client(one.gateway.port());
        ASSERT_EQ(client.request_tls(), "S");
        client.send(hello);
        EXPECT_EQ(client.read_to_end(), alert(TlsAlert::unrecognized_name));
    }
    const auto stats = one.gateway.stats();
    EXPECT_EQ(refusals(stats.refused, "unknown_name"), 1);
    EXPECT_EQ(refusals(stats.refused, "no_name"), 1);
}

TEST(session, the_firewall_refuses_with_an_alert_or_an_error) {
    OneServer one;
    one.change([](model::Route& route) {
        route.firewall_rules = {{.name = "far", .start_ip = "192.0.2.1", .end_ip = "192.0.2.9"}};
    });
    Client tls(one.gateway.port());
    ASSERT_EQ(tls.request_tls(), "S");
    tls.send(kHello);
    EXPECT_EQ(tls.read_to_end(), alert(TlsAlert::access_denied));
    Client plain(one.own_port());
    plain.send(startup_message());
    EXPECT_EQ(error_field(plain, 'C'), "28000");
    EXPECT_EQ(one.backend.connections(), 0);

    one.change([](model::Route& route) {
        route.firewall_rules = {{.name = "host", .start_ip = "0.0.0.0", .end_ip = "0.0.0.0"}};
    });
    Client admitted(one.own_port());
    admitted.send(startup_message());
    expect_relay(admitted, startup_message());

    one.change([](model::Route& route) { route.public_access = false; });
    Client closed(one.own_port());
    closed.send(startup_message());
    EXPECT_NE(error_field(closed, 'M').find("public network access"), std::string::npos);
}

TEST(session, what_is_no_postgresql_gets_a_clean_error) {
    OneServer one;
    for (const std::string& hostile :
         {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(5000, '\xff'),
          testing::big_endian_32(7) + "abcd",
          testing::big_endian_32(10001) + std::string(20000, 'x'),
          testing::big_endian_32(9) + testing::big_endian_32(3 << 16) + "x"}) {
        Client client(one.own_port());
        client.send(hostile);
        EXPECT_EQ(error_field(client, 'C'), "08P01");
    }
    Client old(one.own_port());
    old.send(startup_message(2 << 16));
    EXPECT_EQ(error_field(old, 'C'), "0A000");
    Client no_tls(one.gateway.port());
    ASSERT_EQ(no_tls.request_tls(), "S");
    no_tls.send(startup_message());
    EXPECT_EQ(no_tls.read_to_end(), alert(TlsAlert::unexpected_message));
    EXPECT_EQ(one.backend.connections(), 0);
}

TEST(session, a_client_that_does_not_begin_is_closed_in_time) {
    GatewayOptions options;
    options.limits.greeting = options.limits.hello = std::chrono::milliseconds(100);
    OneServer one(options);
    Client silent(one.own_port());
    EXPECT_EQ(silent.read_to_end(), "");
    Client slow(one.own_port());
    slow.send(startup_message().substr(0, 20));
    EXPECT_EQ(error_field(slow, 'C'), "08P01");
    Client half(one.own_port());
    ASSERT_EQ(half.request_tls(), "S");
    half.send(kHello.substr(0, 20));
    EXPECT_EQ(half.read_to_end(), alert(TlsAlert::access_denied));
    EXPECT_EQ(refusals(one.gateway.stats().refused, "handshake_timeout"), 3);
}

TEST(session, ipv4_clients_of_a_dual_stack_port_are_judged_as_ipv4) {
    GatewayOptions options;
    options.address = "*";
    OneServer one(options);
    Client v4(one.own_port());
    v4.send(startup_message());
    expect_relay(v4, startup_message());
    Client v6(one.own_port(), "::1");
    ASSERT_TRUE(v6.connected());
    v6.send(startup_message());
    expect_relay(v6, startup_message());
}

// -------------------------------------------------------------------------------------------------
// The backend's answer

TEST(session, a_backend_without_tls_is_refused) {
    FakeBackend backend({.ssl_answer = "N"});
    TestGateway gateway;
    gateway.use({route_to("one", backend.port())});
    Client client(gateway.port());
    ASSERT_EQ(client.request_tls(), "S");
    client.send(kHello);
    EXPECT_EQ(client.read_to_end(), alert(TlsAlert::access_denied));
    EXPECT_EQ(refusals(gateway.server_stats("/servers/one").refused, "backend_without_tls"), 1);
}

TEST(session, exactly_one_byte_of_the_backends_answer_is_kept_back) {
    FakeBackend backend({.ssl_answer = "Sabc"});
    TestGateway gateway;
    gateway.use({route_to("one", backend.port())});
    Client client(gateway.port());
    ASSERT_EQ(client.request_tls(), "S");
    client.send(kHello);
    EXPECT_EQ(client.read(3), "abc");
}

// -------------------------------------------------------------------------------------------------
// Moving bytes

TEST(relay, megabytes_go_both_ways_unchanged) {
    OneServer one;
    Client client(one.own_port());
    client.send(startup_message());
    expect_relay(client, startup_message());
    std::string data(8 << 20, '\0');
    std::uint32_t state = 1;
    for (char& c : data) {
        state = state * 1664525 + 1013904223;
        c = static_cast<char>(state >> 24);
    }
    std::string back;
    std::jthread reader([&] { back = client.read(data.size()); });
    client.send(data);
    reader.join();
    EXPECT_EQ(back, data);
    client.close();
    EXPECT_TRUE(eventually([&] { return one.gateway.stats().sessions == 0; }));
    const auto stats = one.gateway.server_stats("/servers/one");
    EXPECT_EQ(stats.bytes_in,
              static_cast<std::int64_t>(startup_message().size() + 4 + data.size()));
    EXPECT_EQ(stats.bytes_out, stats.bytes_in);
    EXPECT_EQ(stats.accepted, 1);
    EXPECT_EQ(stats.active, 0);
}

TEST(relay, a_side_that_does_not_read_stops_the_other) {
    FakeBackend backend({.read = false});
    TestGateway gateway;
    model::Route route = route_to("one", backend.port());
    gateway.use({route});
    Client client(gateway.port());
    ASSERT_EQ(client.request_tls(), "S");
    client.send(kHello);
    // Sent without waiting until neither end nor the gateway takes more.
    const std::string block(64 * 1024, 'x');
    std::size_t sent = 0;
    int refused = 0;
    while (refused < 20 && sent < (std::size_t{256} << 20)) {
        const ssize_t count = ::send(client.fd(), block.data(), block.size(), MSG_DONTWAIT);
        if (count > 0) {
            sent += static_cast<std::size_t>(count);
            refused = 0;
        } else {
            ++refused;
            gateway.stats();  // lets the workers have their turn
        }
    }
    EXPECT_LT(sent, std::size_t{64} << 20) << "the kernel's buffers and one chunk, no more";
    const auto sessions =
        model::from_json<model::GatewayStats>(gateway.admin("stats")).value().servers;
    EXPECT_LE(sessions.at(0).bytes_in, static_cast<std::int64_t>(sent + kHello.size()));
}

TEST(relay, an_end_of_stream_passes_and_the_other_way_stays_open) {
    OneServer one;
    Client client(one.own_port());
    client.send(startup_message() + "the last request");
    client.finish_writing();
    EXPECT_EQ(client.read_to_end(), startup_message() + "the last request");
    EXPECT_TRUE(eventually([&] { return one.backend.open_connections() == 0; }));
    EXPECT_TRUE(eventually([&] { return one.gateway.stats().sessions == 0; }));
}

TEST(relay, the_end_of_either_side_ends_the_other) {
    OneServer one;
    Client client(one.own_port());
    client.send(startup_message());
    expect_relay(client, startup_message());
    one.backend.hang_up();
    EXPECT_EQ(client.read_to_end(), "");

    Client second(one.own_port());
    second.send(startup_message());
    expect_relay(second, startup_message());
    second.reset();
    EXPECT_TRUE(eventually([&] { return one.backend.open_connections() == 0; }));
    client.close();
    EXPECT_TRUE(eventually([&] { return one.gateway.stats().sessions == 0; }));
}

TEST(relay, what_is_sent_while_it_waits_is_not_lost) {
    OneServer one;
    one.change([](model::Route& route) { route.state = "hold"; });
    Client client(one.own_port());
    client.send(startup_message());
    ASSERT_TRUE(eventually([&] { return one.gateway.server_stats("/servers/one").held == 1; }));
    client.send("and more");
    one.change([](model::Route& route) { route.state = "open"; });
    expect_relay(client, startup_message() + "and more");
}

// -------------------------------------------------------------------------------------------------
// Waiting for a server

TEST(hold, a_session_waits_for_its_server_to_open) {
    OneServer one;
    one.change([](model::Route& route) { route.state = "hold"; });
    Client client(one.gateway.port());
    ASSERT_EQ(client.request_tls(), "S") << "the answer does not wait";
    client.send(kHello);
    ASSERT_TRUE(eventually([&] { return one.gateway.server_stats("/servers/one").held == 1; }));
    EXPECT_EQ(one.backend.connections(), 0);
    one.change([](model::Route& route) { route.state = "open"; });
    expect_relay(client, kHello);
    const auto stats = one.gateway.server_stats("/servers/one");
    EXPECT_EQ(stats.held, 0);
    EXPECT_EQ(stats.held_total, 1);
}

TEST(hold, sessions_are_released_in_the_order_they_came) {
    GatewayOptions options;
    options.threads = 1;  // the order holds within a worker
    OneServer one(options);
    one.change([](model::Route& route) { route.state = "hold"; });
    constexpr int kClients = 60;  // several bursts
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < kClients; ++i) {
        clients.push_back(std::make_unique<Client>(one.own_port()));
        clients.back()->send(startup_message() + "number " + std::to_string(100 + i));
        ASSERT_TRUE(
            eventually([&] { return one.gateway.server_stats("/servers/one").held == i + 1; }));
    }
    one.change([](model::Route& route) { route.state = "open"; });
    for (auto& client : clients) client->read(startup_message().size() + 10);
    const auto received = one.backend.received();
    ASSERT_EQ(received.size(), static_cast<std::size_t>(kClients));
    for (int i = 0; i < kClients; ++i)
        EXPECT_EQ(received[static_cast<std::size_t>(i)],
                  startup_message() + "number " + std::to_string(100 + i));
}

TEST(hold, a_server_that_refuses_connections_is_waited_for) {
    TestGateway gateway;
    model::Route route = route_to("one", free_port());
    route.port = free_port();
    route.require_tls = false;
    gateway.use({route});
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 5; ++i) {
        clients.push_back(std::make_unique<Client>(static_cast<std::uint16_t>(route.port)));
        clients.back()->send(startup_message());
    }
    ASSERT_TRUE(eventually([&] { return gateway.server_stats("/servers/one").held_total == 5; }));
    FakeBackend backend({.port = static_cast<std::uint16_t>(route.backend_port)});
    for (auto& client : clients) expect_relay(*client, startup_message());
}

TEST(hold, a_server_that_closes_before_its_answer_is_waited_for) {
    TestGateway gateway;
    const std::uint16_t port = free_port();
    Client client(gateway.port());
    {
        FakeBackend starting({.port = port, .ssl_answer = ""});
        gateway.use({route_to("one", port)});
        ASSERT_EQ(client.request_tls(), "S");
        client.send(kHello);
        ASSERT_TRUE(eventually([&] { return starting.connections() >= 2; })) << "it tries again";
    }
    FakeBackend backend({.port = port});
    expect_relay(client, kHello);
}

TEST(hold, a_table_whose_postmaster_is_dead_is_waited_out) {
    OneServer one;
    one.change([](model::Route& route) { route.postmaster_pid = 1 << 30; });
    Client client(one.own_port());
    client.send(startup_message());
    ASSERT_TRUE(eventually([&] { return one.gateway.server_stats("/servers/one").held == 1; }));
    EXPECT_EQ(one.backend.connections(), 0) << "whoever listens there now may not be ready";
    one.change([](model::Route& route) { route.postmaster_pid = getpid(); });
    expect_relay(client, startup_message());
}

TEST(hold, ends_with_a_refusal_after_its_time) {
    GatewayOptions options;
    options.limits.hold = std::chrono::milliseconds(100);
    OneServer one(options);
    one.change([](model::Route& route) {
        route.state = "hold";
        route.reason = "the server is restarting";
    });
    Client plain(one.own_port());
    plain.send(startup_message());
    EXPECT_EQ(error_field(plain, 'M'),
              "the server did not become ready in time: the server is restarting");
    Client tls(one.gateway.port());
    ASSERT_EQ(tls.request_tls(), "S");
    tls.send(kHello);
    EXPECT_EQ(tls.read_to_end(), alert(TlsAlert::access_denied));
    EXPECT_EQ(refusals(one.gateway.server_stats("/servers/one").refused, "hold_timeout"), 2);
}

TEST(hold, is_bounded_in_number) {
    GatewayOptions options;
    options.limits.held_max = 3;
    OneServer one(options);
    one.change([](model::Route& route) { route.state = "hold"; });
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(std::make_unique<Client>(one.own_port()));
        clients.back()->send(startup_message());
    }
    ASSERT_TRUE(eventually([&] { return one.gateway.server_stats("/servers/one").held == 3; }));
    Client late(one.own_port());
    late.send(startup_message());
    EXPECT_EQ(error_field(late, 'C'), "57P03");
    clients.pop_back();
    ASSERT_TRUE(eventually([&] { return one.gateway.server_stats("/servers/one").held == 2; }))
        << "a client that hangs up gives its place back";
    Client next(one.own_port());
    next.send(startup_message());
    EXPECT_TRUE(eventually([&] { return one.gateway.server_stats("/servers/one").held == 3; }));
}

TEST(hold, a_server_that_closes_refuses_those_who_wait) {
    OneServer one;
    one.change([](model::Route& route) { route.state = "hold"; });
    Client client(one.own_port());
    client.send(startup_message());
    ASSERT_TRUE(eventually([&] { return one.gateway.server_stats("/servers/one").held == 1; }));
    one.change([](model::Route& route) {
        route.state = "closed";
        route.reason = "the server is stopped";
    });
    EXPECT_EQ(error_field(client, 'M'), "the server takes no connections: the server is stopped");
}

TEST(hold, a_firewall_rule_taken_away_meanwhile_counts) {
    OneServer one;
    one.change([](model::Route& route) { route.state = "hold"; });
    Client client(one.own_port());
    client.send(startup_message());
    ASSERT_TRUE(eventually([&] { return one.gateway.server_stats("/servers/one").held == 1; }));
    one.change([](model::Route& route) {
        route.state = "open";
        route.firewall_rules.clear();
    });
    EXPECT_EQ(error_field(client, 'C'), "28000");
    EXPECT_EQ(one.backend.connections(), 0);
}

// -------------------------------------------------------------------------------------------------
// Changes of the table

TEST(table, sessions_of_a_replaced_postgresql_are_closed_at_once) {
    OneServer one;
    one.change([](model::Route& route) { route.postmaster_pid = getppid(); });
    Client client(one.own_port());
    client.send(startup_message());
    expect_relay(client, startup_message());
    one.change([](model::Route& route) { route.state = "hold"; });
    one.change([](model::Route& route) { route.state = "closed"; });
    client.send("pong");
    EXPECT_EQ(client.read(4), "pong") << "PostgreSQL ends its sessions itself";
    one.change([](model::Route& route) {
        route.state = "open";
        route.postmaster_pid = getpid();
    });
    EXPECT_EQ(client.read_to_end(), "");
    Client next(one.own_port());
    next.send(startup_message());
    expect_relay(next, startup_message());
    one.gateway.use({});
    EXPECT_EQ(next.read_to_end(), "") << "the server was deleted";
}

TEST(table, ports_open_and_close_while_it_runs) {
    OneServer one;
    const std::uint16_t before = one.own_port();
    EXPECT_TRUE(Client(before).connected());
    one.change([](model::Route& route) { route.port = free_port(); });
    EXPECT_TRUE(Client(one.own_port()).connected());
    EXPECT_TRUE(eventually([&] { return !Client(before).connected(); }));
}

TEST(table, a_port_that_is_taken_is_shown_and_opened_once_it_is_free) {
    auto squatter = std::make_unique<FakeBackend>();
    OneServer one;
    const std::uint16_t wanted = squatter->port();
    one.change([&](model::Route& route) { route.port = wanted; });
    const auto ports = one.gateway.stats().ports;
    ASSERT_EQ(ports.size(), 1U);
    EXPECT_NE(ports[0].error.find("in use"), std::string::npos);
    squatter.reset();
    one.change([](model::Route& route) { route.reason = "again"; });
    EXPECT_EQ(one.gateway.stats().ports.at(0).error, "");
    Client client(wanted);
    client.send(startup_message());
    expect_relay(client, startup_message());
}

TEST(table, the_last_good_one_stays_in_force) {
    OneServer one;
    for (const std::string bad :
         {"", "{", "[]", R"({"revision":9,"routes":[{"server_id":"x","state":"ajar"}]})",
          R"({"revision":9,"routes":[{"server_id":5}]})"}) {
        one.gateway.write_routes(bad);
        ASSERT_TRUE(eventually([&] { return !one.gateway.stats().table_error.empty(); })) << bad;
        EXPECT_EQ(one.gateway.stats().table_revision, 1) << bad;
        Client client(one.own_port());
        client.send(startup_message());
        expect_relay(client, startup_message());
        one.change([](model::Route&) {});
        EXPECT_EQ(one.gateway.stats().table_error, "");
        one.gateway.write_routes(model::to_json(model::RouteTable{1, {one.route}}));
        ASSERT_TRUE(eventually([&] { return one.gateway.stats().table_revision == 1; }));
    }
    EXPECT_TRUE(os::remove_tree(one.gateway.folder() + "/routes.json").ok());
    one.gateway.stats();
    Client client(one.own_port());
    client.send(startup_message());
    expect_relay(client, startup_message());
}

// -------------------------------------------------------------------------------------------------
// Cancel requests

TEST(cancel, on_a_servers_own_port_goes_to_that_server) {
    OneServer one;
    one.change([](model::Route& route) { route.require_tls = true; });
    for (const std::string& key : {std::string("keyk"), std::string(256, 'k')}) {
        const std::string request = cancel_request(4711, key);
        Client client(one.own_port());
        client.send(request);
        client.close();  // as clients do that expect no answer
        ASSERT_TRUE(eventually([&] {
            return !one.backend.received().empty() && one.backend.received().back() == request;
        })) << "plain, though the server requires TLS";
    }
    EXPECT_EQ(one.gateway.server_stats("/servers/one").cancels, 2);
}

TEST(cancel, on_the_shared_port_goes_to_the_server_whose_process_it_names) {
    FakeBackend other;
    OneServer one;
    // This test's own process stands for a backend, its parent for the postmaster.
    const auto pid = static_cast<std::int32_t>(getpid());
    model::Route two = route_to("two", other.port());
    two.postmaster_pid = 1 << 30;
    one.route.postmaster_pid = getppid();
    one.gateway.use({two, one.route});
    Client client(one.gateway.port());
    client.send(cancel_request(pid, "keyk"));
    EXPECT_EQ(client.read(16), cancel_request(pid, "keyk"));
    one.backend.hang_up();
    EXPECT_EQ(client.read_to_end(), "") << "the end tells that PostgreSQL has done it";
    EXPECT_EQ(other.connections(), 0);

    Client unknown(one.gateway.port());
    unknown.send(cancel_request(1 << 29, "keyk"));
    EXPECT_EQ(unknown.read_to_end(), "");
    EXPECT_EQ(refusals(one.gateway.stats().refused, "cancel_target"), 1);
}

TEST(cancel, passes_the_firewall_of_its_server) {
    OneServer one;
    one.change([](model::Route& route) { route.firewall_rules.clear(); });
    Client client(one.own_port());
    client.send(cancel_request(4711, "keyk"));
    EXPECT_EQ(client.read_to_end(), "");
    EXPECT_EQ(one.backend.connections(), 0);
    EXPECT_EQ(refusals(one.gateway.server_stats("/servers/one").refused, "firewall"), 1);
}

TEST(cancel, floods_are_bounded) {
    OneServer one;
    for (int i = 0; i < 3 * CancelLimiter::kBurst; ++i) {
        Client client(one.own_port());
        client.send(cancel_request(i + 1, "keyk"));
    }
    EXPECT_TRUE(
        eventually([&] { return refusals(one.gateway.stats().refused, "cancel_rate") > 0; }));
}

// -------------------------------------------------------------------------------------------------
// Bounds and answers

TEST(limits, a_session_too_many_is_told_so) {
    GatewayOptions options;
    options.limits.sessions_max = 2;
    OneServer one(options);
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 2; ++i) {
        clients.push_back(std::make_unique<Client>(one.own_port()));
        clients.back()->send(startup_message());
        expect_relay(*clients.back(), startup_message());
    }
    Client plain(one.own_port());
    plain.send(startup_message());
    EXPECT_EQ(error_field(plain, 'C'), "53300");
    Client tls(one.gateway.port());
    ASSERT_EQ(tls.request_tls(), "S");
    tls.send(kHello);
    EXPECT_EQ(tls.read_to_end(), alert(TlsAlert::access_denied));
    clients.clear();
    ASSERT_TRUE(eventually([&] { return one.gateway.stats().sessions <= 2; }));
    plain.close();
    tls.close();
    ASSERT_TRUE(eventually([&] { return one.gateway.stats().sessions == 0; }));
    Client next(one.own_port());
    next.send(startup_message());
    expect_relay(next, startup_message());
}

TEST(limits, whoever_says_nothing_makes_room_for_others) {
    GatewayOptions options;
    options.threads = 1;
    options.limits.beginners_max = 10;
    OneServer one(options);
    std::vector<std::unique_ptr<Client>> silent;
    for (int i = 0; i < 30; ++i) silent.push_back(std::make_unique<Client>(one.own_port()));
    Client client(one.own_port());
    client.send(startup_message());
    expect_relay(client, startup_message());
    EXPECT_EQ(silent.front()->read_to_end(), "") << "the oldest was dropped";
    EXPECT_LE(one.gateway.stats().sessions, 11);
}

TEST(admin, sessions_join_a_client_with_the_port_that_postgresql_sees) {
    OneServer one;
    Client client(one.gateway.port());
    ASSERT_EQ(client.request_tls(), "S");
    client.send(kHello);
    expect_relay(client, kHello);
    const std::string text = one.gateway.admin("sessions");
    ASSERT_EQ(text.front(), '[');
    const auto session =
        model::from_json<model::GatewaySession>(text.substr(1, text.rfind(']') - 1)).value();
    EXPECT_EQ(session.server_id, "/servers/one");
    EXPECT_EQ(session.client_address, "127.0.0.1");
    EXPECT_EQ(session.client_port, client.local_port());
    EXPECT_GT(session.backend_port, 0);
    EXPECT_EQ(session.phase, "relay");
    EXPECT_TRUE(session.tls);
    EXPECT_EQ(session.bytes_in, static_cast<std::int64_t>(8 + kHello.size() + 4));
    const auto live = one.gateway.server_stats("/servers/one");
    EXPECT_EQ(live.active, 1);
    EXPECT_EQ(live.bytes_in, session.bytes_in) << "bytes count while the session lives";
}

TEST(admin, an_unknown_command_is_an_error_and_a_long_line_is_cut_off) {
    OneServer one;
    EXPECT_NE(one.gateway.admin("dance").find("unknown command"), std::string::npos);
    EXPECT_EQ(one.gateway.admin(std::string(1000, 'x')), "");
    EXPECT_NE(one.gateway.admin("upgrade").find("does not know its own program"), std::string::npos)
        << "only a program can replace itself";
}

TEST(drain, new_clients_are_turned_away_and_old_ones_go_on) {
    GatewayOptions options;
    options.drain_timeout = testing::kPatience;
    OneServer one(options);
    Client client(one.own_port());
    client.send(startup_message());
    expect_relay(client, startup_message());
    EXPECT_NE(one.gateway.admin("drain").find("\"sessions\":1"), std::string::npos);
    EXPECT_TRUE(eventually([&] { return !Client(one.gateway.port()).connected(); }));
    EXPECT_TRUE(eventually([&] { return !Client(one.own_port()).connected(); }));
    client.send("more");
    EXPECT_EQ(client.read(4), "more");
}

}  // namespace
}  // namespace howdah::gateway
