#include "http/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>
#include <tuple>

#include "http/site.h"

namespace howdah::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::Test;

#ifdef HOWDAH_SANITIZED
constexpr std::size_t kGrowthMax = std::size_t{400} << 20;  // the sanitizer's own bookkeeping
#else
constexpr std::size_t kGrowthMax = std::size_t{20} << 20;
#endif

bool has_status(const std::string& answer, const std::string& status) {
    return answer.starts_with("HTTP/1.1 " + status + " ");
}

class ServerTest : public Site {
  protected:
    /// Sends one request of its own connection and gives the answer.
    std::string exchange(const std::string& request) const {
        const auto connection = peer();
        if (connection == nullptr || !connection->send(request)) return "cannot send";
        return connection->receive_answer(request.starts_with("HEAD"));
    }
};

TEST_F(ServerTest, a_request_arrives_whole_and_its_answer_too) {
    start_echo();
    Client client(client_options());
    const auto answer =
        client.call({.method = "PUT", .url = url("/a/b?x=1&Y=%20"), .body = "hello"});
    ASSERT_TRUE(answer.ok()) << answer.error().describe();
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, "PUT /a/b|x=1|Y= |peer=|client=127.0.0.1|5:hello");
    EXPECT_EQ(answer->headers.at("content-type"), "text/plain");
}

TEST_F(ServerTest, path_and_query_are_decoded_once) {
    start_echo();
    EXPECT_NE(exchange("GET /a%2Fb%2520c+d?k%3d=v%26w&t=2026%253A00+x HTTP/1.1\r\n"
                       "Host: h\r\n\r\n")
                  .find("GET /a/b%20c+d|k==v&w|t=2026%3A00 x|"),
              std::string::npos);
}

TEST_F(ServerTest, header_names_come_in_lower_case_and_repeated_fields_joined) {
    start([](Request request, Responder responder) {
        responder.send({.body = std::string(request.header("x-more")) + "/" +
                                std::string(request.header("absent")) + "/" +
                                request.query_value("API-Version").value_or("none")});
    });
    EXPECT_NE(exchange("GET /?api-version=7 HTTP/1.1\r\nHost: h\r\nX-MORE: one\r\n"
                       "x-More: two\r\n\r\n")
                  .find("\r\n\r\none, two//7"),
              std::string::npos);
}

TEST_F(ServerTest, an_answer_is_json_unless_it_says_otherwise) {
    start([](Request, Responder responder) { responder.send({.status = 204}); });
    const std::string answer = exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(has_status(answer, "204")) << answer;
    EXPECT_NE(answer.find("application/json"), std::string::npos);
}

TEST_F(ServerTest, a_quick_handler_answers_and_leaves_the_rest_to_the_handler) {
    options.network_threads = 2;
    options.quick = [](const Request& request) -> std::optional<Response> {
        if (request.path != "/quick") return std::nullopt;
        return Response{.status = 203, .body = "quick " + request.body};
    };
    start_echo();
    const auto connection = peer();
    for (int i = 0; i < 3; ++i) {
        connection->send("POST /quick HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
        const std::string quick = connection->receive_answer();
        EXPECT_TRUE(has_status(quick, "203") && quick.ends_with("quick ab")) << quick;
        connection->send("POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
        const std::string slow = connection->receive_answer();
        EXPECT_TRUE(has_status(slow, "200") && slow.ends_with("|2:ab")) << slow;
    }
}

TEST_F(ServerTest, quick_answers_go_on_while_every_worker_is_busy) {
    options.workers = 1;
    options.quick = [](const Request& request) -> std::optional<Response> {
        if (request.path != "/quick") return std::nullopt;
        return Response{.status = 203};
    };
    std::latch go_on(1);
    std::latch busy(1);
    start([&](Request, Responder responder) {
        busy.count_down();
        go_on.wait();
        responder.send({.status = 200});
    });
    const auto waiting = peer();
    waiting->send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    busy.wait();
    EXPECT_TRUE(has_status(exchange("GET /quick HTTP/1.1\r\nHost: h\r\n\r\n"), "203"));
    go_on.count_down();
    EXPECT_TRUE(has_status(waiting->receive_answer(), "200"));
}

TEST_F(ServerTest, several_network_threads_serve_many_connections_and_stop_while_they_are_busy) {
    options.network_threads = 3;
    options.quick = [](const Request& request) -> std::optional<Response> {
        if (request.path != "/quick") return std::nullopt;
        return Response{.status = 203};
    };
    start([this](Request, Responder responder) { parking.park(std::move(responder)); });
    std::vector<std::unique_ptr<TlsPeer>> peers;
    for (int i = 0; i < 12; ++i) {
        peers.push_back(peer());
        ASSERT_NE(peers.back(), nullptr);
        peers.back()->send("GET /quick HTTP/1.1\r\nHost: h\r\n\r\n");
        EXPECT_TRUE(has_status(peers.back()->receive_answer(), "203")) << i;
        peers.back()->send("GET /parked HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    ASSERT_TRUE(parking.wait_for(peers.size()));
    server.reset();
    for (const auto& each : peers) EXPECT_TRUE(has_status(each->receive_answer(), "503"));
}

/// Letters that are made while they are read; breaks off at `broken_at`.
class Letters final : public BodySource {
  public:
    explicit Letters(std::int64_t size, std::int64_t broken_at = INT64_MAX)
        : size_(size), broken_at_(broken_at) {}
    std::int64_t size() const override { return size_; }
    Result<std::string> read(std::int64_t offset, std::size_t bytes_max) const override {
        if (offset >= broken_at_) return Error{ErrorCode::io, "the disk is broken"};
        std::string piece;
        while (piece.size() < bytes_max && offset < size_)
            piece += static_cast<char>('a' + offset++ % 26);
        return piece;
    }

  private:
    const std::int64_t size_;
    const std::int64_t broken_at_;
};

TEST_F(ServerTest, a_body_from_a_source_arrives_whole_and_with_its_length) {
    static constexpr std::int64_t kSize = 3'000'000;
    start([](Request, Responder responder) {
        responder.send({.headers = {{"content-type", "text/plain"}},
                        .body = "",
                        .source = std::make_shared<Letters>(kSize)});
    });
    const auto answer = Client(client_options()).call({.url = url("/")});
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer->headers.at("content-length"), std::to_string(kSize));
    EXPECT_EQ(answer->body, Letters(kSize).read(0, kSize).value());
}

TEST_F(ServerTest, a_source_that_fails_breaks_the_connection_off) {
    start([](Request, Responder responder) {
        responder.send(
            {.headers = {}, .body = "", .source = std::make_shared<Letters>(3'000'000, 1'000'000)});
    });
    EXPECT_FALSE(Client(client_options()).call({.url = url("/")}).ok());
}

TEST_F(ServerTest, a_head_request_gets_the_header_of_the_answer_alone) {
    start_echo();
    const auto connection = peer();
    ASSERT_TRUE(connection->send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n"));
    const std::string head = connection->receive_answer(true);
    EXPECT_TRUE(has_status(head, "200")) << head;
    EXPECT_TRUE(head.ends_with("\r\n\r\n"));
    ASSERT_TRUE(connection->send("GET /y HTTP/1.1\r\nHost: h\r\n\r\n"));
    EXPECT_TRUE(has_status(connection->receive_answer(), "200"));
}

TEST_F(ServerTest, requests_that_are_sent_at_once_are_answered_in_order) {
    start_echo();
    const auto connection = peer();
    ASSERT_TRUE(
        connection->send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\n"
                         "Content-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: h\r\n\r\n"));
    EXPECT_NE(connection->receive_answer().find("GET /1|"), std::string::npos);
    EXPECT_NE(connection->receive_answer().find("POST /2|peer=|client=127.0.0.1|3:abc"),
              std::string::npos);
    EXPECT_NE(connection->receive_answer().find("GET /3|"), std::string::npos);
}

TEST_F(ServerTest, a_chunked_body_is_put_together) {
    start_echo();
    EXPECT_NE(exchange("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n")
                  .find("|7:abcdefg"),
              std::string::npos);
}

TEST_F(ServerTest, a_body_of_the_greatest_length_passes_and_one_byte_more_is_refused) {
    options.body_bytes_max = 1000;
    start_echo();
    const auto post = [](std::size_t size) {
        return "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(size) +
               "\r\n\r\n" + std::string(size, 'x');
    };
    EXPECT_TRUE(has_status(exchange(post(1000)), "200"));
    const std::string refusal = exchange(post(1001));
    EXPECT_TRUE(has_status(refusal, "413")) << refusal;
    EXPECT_NE(refusal.find(R"({"error":{"code":"RequestEntityTooLarge",)"), std::string::npos);
    EXPECT_TRUE(has_status(exchange("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                                    "\r\n3e9\r\n" +
                                    std::string(1001, 'x') + "\r\n0\r\n\r\n"),
                           "413"));
}

TEST_F(ServerTest, a_client_that_asks_first_is_told_before_it_sends) {
    options.body_bytes_max = 1000;
    start_echo();
    EXPECT_TRUE(has_status(exchange("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n"
                                    "Expect: 100-continue\r\n\r\n"),
                           "413"));
}

/// 200 MB of something after `head`: what the server says, and how much memory it took to say it.
struct Flood {
    std::string answer;
    std::size_t growth = 0;
};

Flood flood(TlsPeer* connection, const std::string& head, const std::string& tail) {
    const std::string piece(1 << 20, 'x');
    const std::size_t before = resident_bytes();
    std::size_t highest = before;
    bool whole = connection->send(head);
    for (int i = 0; whole && i < 200; ++i) {
        whole = connection->send(piece);
        highest = std::max(highest, resident_bytes());
    }
    if (whole) connection->send(tail);
    return {connection->receive_answer(), std::max(highest, resident_bytes()) - before};
}

TEST_F(ServerTest, a_header_line_of_200_mb_takes_no_memory) {
    start_echo();
    const auto connection = peer();
    const Flood result =
        flood(connection.get(), "GET / HTTP/1.1\r\nHost: h\r\nX-Long: ", "\r\n\r\n");
    // The answer may be lost when the client is still sending while the connection closes.
    EXPECT_TRUE(result.answer.empty() || has_status(result.answer, "431")) << result.answer;
    EXPECT_LT(result.growth, kGrowthMax);
    EXPECT_TRUE(has_status(exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "200"));
}

TEST_F(ServerTest, a_request_line_of_200_mb_takes_no_memory) {
    start_echo();
    const auto connection = peer();
    const Flood result = flood(connection.get(), "GET /", " HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(result.answer.empty() || has_status(result.answer, "414") ||
                has_status(result.answer, "431"))
        << result.answer.substr(0, 100);
    EXPECT_LT(result.growth, kGrowthMax);
}

TEST_F(ServerTest, a_body_of_200_mb_is_refused_and_takes_no_memory) {
    start_echo();
    const auto connection = peer();
    const Flood result = flood(
        connection.get(),
        "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(200 << 20) + "\r\n\r\n",
        "");
    EXPECT_TRUE(has_status(result.answer, "413")) << result.answer;
    EXPECT_LT(result.growth, kGrowthMax);
    ASSERT_TRUE(connection->send("GET /after HTTP/1.1\r\nHost: h\r\n\r\n"));
    EXPECT_TRUE(has_status(connection->receive_answer(), "200"));
}

TEST_F(ServerTest, a_chunked_body_of_200_mb_is_refused_and_takes_no_memory) {
    start_echo();
    const auto connection = peer();
    const Flood result =
        flood(connection.get(),
              "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nC800000\r\n",
              "\r\n0\r\n\r\n");
    EXPECT_TRUE(has_status(result.answer, "413")) << result.answer;
    EXPECT_LT(result.growth, kGrowthMax);
}

TEST_F(ServerTest, a_body_beyond_all_measure_is_refused_at_once) {
    start_echo();
    EXPECT_TRUE(has_status(
        exchange("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n"), "413"));
}

TEST_F(ServerTest, a_header_just_too_large_gets_an_error_in_azures_shape) {
    options.header_bytes_max = 8 << 10;
    start_echo();
    const auto get = [](std::size_t size) {
        return "GET / HTTP/1.1\r\nHost: h\r\nX-Long: " + std::string(size, 'x') + "\r\n\r\n";
    };
    EXPECT_TRUE(has_status(exchange(get(8000)), "200"));
    const std::string refusal = exchange(get(9000));
    EXPECT_TRUE(has_status(refusal, "431")) << refusal;
    EXPECT_NE(refusal.find(R"("code":"RequestHeaderFieldsTooLarge")"), std::string::npos);
}

TEST_F(ServerTest, a_request_whose_end_is_not_clear_is_refused_and_the_connection_closed) {
    start_echo();
    for (const char* fields :
         {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
          "Content-Length: 3\r\nContent-Length: 4\r\n", "Transfer-Encoding: gzip, chunked\r\n",
          "Transfer-Encoding: identity\r\n", "Content-Length: -1\r\n", "Content-Length: 3x\r\n",
          "Content-Length: 99999999999999999999999999\r\n", "Host: other\r\n"}) {
        const auto connection = peer();
        connection->send(std::string("POST /first HTTP/1.1\r\nHost: h\r\n") + fields +
                         "\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
        const std::string answer = connection->receive_answer();
        EXPECT_TRUE(has_status(answer, "400") || has_status(answer, "413")) << fields << answer;
        EXPECT_TRUE(connection->is_cut_within(seconds(15))) << fields;
    }
}

TEST_F(ServerTest, garbage_never_reaches_the_handler) {
    std::atomic<int> handled = 0;
    start([&](Request, Responder responder) {
        ++handled;
        responder.send({});
    });
    for (const std::string& text :
         {std::string("\0\0\0\0\r\n\r\n", 8), std::string("GET\r\n\r\n"),
          std::string("\r\n\r\n\r\n\r\n"), std::string("GET / HTTP/1.1\r\n\r\n"),
          std::string("GET / HTTP/9.9\r\nHost: h\r\n\r\n"),
          std::string("GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n"),
          std::string("GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n"),
          std::string("GET /a%00b HTTP/1.1\r\nHost: h\r\n\r\n"),
          std::string("GET /a%0d%0ab HTTP/1.1\r\nHost: h\r\n\r\n"),
          std::string("GET /?a=%f HTTP/1.1\r\nHost: h\r\n\r\n"),
          std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
          std::string("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
          std::string("GET / HTTP/1.1\r\nHost: h\r\n\r\n").substr(0, 20) +
              std::string(100, '\xff') + "\r\n\r\n"}) {
        const auto connection = peer();
        ASSERT_NE(connection, nullptr);
        connection->send(text);
        connection->send("junk junk junk\r\n\r\n");
        const std::string answer = connection->receive_answer();
        EXPECT_FALSE(has_status(answer, "200")) << text;
    }
    EXPECT_EQ(handled, 0);
    EXPECT_TRUE(has_status(exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "200"));
}

class SlowClients : public ServerTest {
  protected:
    SlowClients() { options.idle_timeout = seconds(2); }

    /// Sends a byte every 50 ms; how long the server puts up with it.
    static milliseconds endures(TlsPeer* connection, const std::string& text) {
        const auto begin = steady_clock::now();
        for (const char each : text) {
            if (!connection->send(std::string(1, each))) break;
            connection->receive(milliseconds(50));
            if (connection->ended()) break;
        }
        return std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin);
    }
};

TEST_F(SlowClients, a_header_sent_byte_by_byte_is_cut) {
    start_echo();
    const auto connection = peer();
    EXPECT_LT(endures(connection.get(), "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(600, 'x')),
              seconds(15));
    EXPECT_TRUE(connection->ended());
}

TEST_F(SlowClients, a_first_request_has_less_time_than_a_later_one) {
    options.first_request_timeout = seconds(1);
    options.idle_timeout = seconds(60);
    start_echo();
    const auto silent = peer();
    const auto known = peer();
    known->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(has_status(known->receive_answer(), "200"));
    // Not from its last byte, nor from its request line.
    const auto slow = peer();
    EXPECT_LT(endures(slow.get(), "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(600, 'x')),
              seconds(15));
    EXPECT_TRUE(slow->ended());
    EXPECT_TRUE(silent->is_cut_within(seconds(15)));
    known->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(has_status(known->receive_answer(), "200"));
}

TEST_F(SlowClients, a_body_sent_byte_by_byte_is_cut) {
    start_echo();
    const auto connection = peer();
    connection->send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
    EXPECT_LT(endures(connection.get(), std::string(600, 'x')), seconds(15));
    EXPECT_TRUE(connection->ended());
}

TEST_F(SlowClients, an_idle_connection_is_closed) {
    start_echo();
    const auto connection = peer();
    connection->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(has_status(connection->receive_answer(), "200"));
    EXPECT_TRUE(connection->is_cut_within(seconds(15)));
}

TEST_F(SlowClients, a_client_that_does_not_take_its_answer_is_cut) {
    start([](Request, Responder responder) {
        responder.send({.body = std::string(std::size_t{64} << 20, 'x')});
    });
    const auto connection = peer();
    connection->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    // One record every 50 ms: alive, but far too slow for 64 MB.
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable pause;
    std::size_t taken = 0;
    for (int i = 0; i < 80; ++i) {
        taken += connection->receive(seconds(1)).size();
        pause.wait_for(lock, milliseconds(50));
    }
    // What the kernel still holds comes fast, then it ends.
    while (!connection->ended()) taken += connection->receive(seconds(10)).size();
    EXPECT_LT(taken, std::size_t{64} << 20);
}

TEST_F(SlowClients, a_request_that_we_think_about_is_never_cut) {
    start([&](Request, Responder responder) { parking.park(std::move(responder)); });
    const auto connection = peer();
    connection->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(parking.wait_for(1));
    EXPECT_FALSE(connection->is_cut_within(milliseconds(4500)));
    for (Responder& each : parking.take()) each.send({.body = "late"});
    EXPECT_NE(connection->receive_answer().find("\r\n\r\nlate"), std::string::npos);
}

TEST_F(ServerTest, a_thousand_idle_connections_disturb_nobody) {
    raise_file_limit();
    options.connections_per_address_max = 1500;
    start_echo();
    const std::size_t before = resident_bytes();
    std::vector<std::unique_ptr<TlsPeer>> idle;
    for (int i = 0; i < 1000; ++i) {
        idle.push_back(TlsPeer::connect({.port = server->port()}));
        ASSERT_NE(idle.back(), nullptr) << "connection " << i;
    }
    RecordProperty("resident_kilobytes_each",
                   static_cast<int>((resident_bytes() - before) / 1024 / 1000));
    const auto begin = steady_clock::now();
    EXPECT_TRUE(has_status(exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "200"));
    EXPECT_LT(steady_clock::now() - begin, seconds(10));
    for (const auto& each : idle) ASSERT_TRUE(each->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    for (const auto& each : idle) ASSERT_TRUE(has_status(each->receive_answer(), "200"));
}

/// One place too few, of an address or in all.
class FullHouse : public ServerTest,
                  public testing::WithParamInterface<std::tuple<bool, unsigned>> {
  protected:
    static constexpr unsigned kPlaces = 5;
    FullHouse() {
        const auto [by_address, threads] = GetParam();
        (by_address ? options.connections_per_address_max : options.connections_max) = kPlaces;
        options.network_threads = threads;
    }
    static constexpr const char* kGet = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
};

INSTANTIATE_TEST_SUITE_P(ServerTest, FullHouse,
                         testing::Combine(testing::Bool(), testing::Values(1U, 2U)));

TEST_P(FullHouse, those_who_say_nothing_give_way_the_oldest_first) {
    start_echo();
    const auto known = peer();
    known->send(kGet);
    EXPECT_TRUE(has_status(known->receive_answer(), "200"));
    std::vector<std::unique_ptr<TlsPeer>> silent;
    for (unsigned i = 0; i < 3 * kPlaces; ++i) {
        silent.push_back(peer());
        ASSERT_NE(silent.back(), nullptr) << i;
    }
    EXPECT_TRUE(has_status(exchange(kGet), "200"));
    for (unsigned i = 0; i < 2 * kPlaces; ++i)
        EXPECT_TRUE(silent[i]->is_cut_within(seconds(15))) << i;
    silent.back()->send(kGet);
    EXPECT_TRUE(has_status(silent.back()->receive_answer(), "200")) << "the newest had time";
    known->send(kGet);
    EXPECT_TRUE(has_status(known->receive_answer(), "200")) << "it has asked before";
}

TEST_P(FullHouse, then_those_who_have_idled_longest) {
    start_echo();
    std::vector<std::unique_ptr<TlsPeer>> known;
    for (unsigned i = 0; i < kPlaces; ++i) {
        known.push_back(peer());
        known.back()->send(kGet);
        EXPECT_TRUE(has_status(known.back()->receive_answer(), "200"));
    }
    known.front()->send(kGet);
    EXPECT_TRUE(has_status(known.front()->receive_answer(), "200"));
    EXPECT_TRUE(has_status(exchange(kGet), "200"));
    EXPECT_TRUE(known[1]->is_cut_within(seconds(15)));
    known.front()->send(kGet);
    EXPECT_TRUE(has_status(known.front()->receive_answer(), "200"));
}

TEST_P(FullHouse, but_nobody_who_waits_for_an_answer) {
    start([&](Request, Responder responder) { parking.park(std::move(responder)); });
    std::vector<std::unique_ptr<TlsPeer>> waiting;
    for (unsigned i = 0; i < kPlaces; ++i) {
        waiting.push_back(peer());
        waiting.back()->send(kGet);
        ASSERT_TRUE(parking.wait_for(i + 1));
    }
    EXPECT_EQ(peer(), nullptr);
    for (Responder& each : parking.take()) each.send({.body = "late"});
    for (const auto& each : waiting) EXPECT_TRUE(has_status(each->receive_answer(), "200"));
}

TEST_F(ServerTest, two_hundred_parked_requests_hold_no_thread) {
    options.workers = 2;
    start([&](Request request, Responder responder) {
        if (request.path != "/poll") return responder.send({.body = "quick"});
        parking.park(std::move(responder));
    });
    std::vector<std::unique_ptr<TlsPeer>> polls;
    for (int i = 0; i < 200; ++i) {
        polls.push_back(TlsPeer::connect({.port = server->port()}));
        ASSERT_NE(polls.back(), nullptr);
        ASSERT_TRUE(polls.back()->send("GET /poll HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
    ASSERT_TRUE(parking.wait_for(200));
    EXPECT_TRUE(has_status(exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "200"));
    std::jthread answering([&] {
        for (Responder& each : parking.take()) each.send({.body = "news"});
    });
    for (const auto& each : polls) {
        EXPECT_NE(each->receive_answer().find("\r\n\r\nnews"), std::string::npos);
    }
}

TEST_F(ServerTest, a_responder_that_is_dropped_answers_503) {
    start([](Request, Responder) {});
    const std::string answer = exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(has_status(answer, "503")) << answer;
    EXPECT_NE(answer.find("Retry-After: 1"), answer.find("retry-after: 1"));
}

TEST_F(ServerTest, a_responder_that_is_replaced_answers_503) {
    start([&](Request, Responder responder) { parking.park(std::move(responder)); });
    const auto first = peer();
    const auto second = peer();
    first->send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(parking.wait_for(1));
    second->send("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(parking.wait_for(2));
    auto parked = parking.take();
    parked[0] = std::move(parked[1]);
    EXPECT_TRUE(has_status(first->receive_answer(), "503"));
    parked[0].send({.status = 202});
    EXPECT_TRUE(has_status(second->receive_answer(), "202"));
}

TEST_F(ServerTest, requests_beyond_the_queue_get_503_and_a_time_to_retry) {
    std::latch running(1);
    std::latch release(1);
    options.workers = 1;
    options.queued_requests_max = 2;
    start([&](Request request, Responder responder) {
        if (request.path == "/block") {
            running.count_down();
            release.wait();
        }
        responder.send({});
    });
    const auto blocking = peer();
    blocking->send("GET /block HTTP/1.1\r\nHost: h\r\n\r\n");
    running.wait();
    std::vector<std::unique_ptr<TlsPeer>> others;
    for (int i = 0; i < 5; ++i) {
        others.push_back(peer());
        others.back()->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    std::vector<TlsPeer*> waiting;
    for (const auto& each : others) waiting.push_back(each.get());
    const auto deadline = steady_clock::now() + seconds(30);
    while (waiting.size() > 2 && steady_clock::now() < deadline) {
        std::erase_if(waiting, [](TlsPeer* each) {
            const std::string answer = each->receive(milliseconds(10));
            EXPECT_TRUE(answer.empty() || has_status(answer, "503")) << answer;
            return !answer.empty();
        });
    }
    EXPECT_EQ(waiting.size(), 2U);
    release.count_down();
    EXPECT_TRUE(has_status(blocking->receive_answer(), "200"));
    for (TlsPeer* each : waiting) EXPECT_TRUE(has_status(each->receive_answer(), "200"));
}

TEST_F(ServerTest, a_client_that_goes_away_harms_nobody) {
    start([&](Request request, Responder responder) {
        if (request.path == "/poll") return parking.park(std::move(responder));
        responder.send({});
    });
    {
        const auto gone = peer();
        gone->send("GET /poll HTTP/1.1\r\nHost: h\r\n\r\n");
        ASSERT_TRUE(parking.wait_for(1));
    }
    for (Responder& each : parking.take()) each.send({.body = std::string(1 << 20, 'x')});
    EXPECT_TRUE(has_status(exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "200"));
}

TEST_F(ServerTest, stopping_answers_what_is_pending_and_later_answers_are_harmless) {
    start([&](Request, Responder responder) { parking.park(std::move(responder)); });
    const auto connection = peer();
    connection->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(parking.wait_for(1));
    const std::uint16_t port = server->port();
    server = nullptr;
    EXPECT_TRUE(has_status(connection->receive_answer(), "503"));
    for (Responder& each : parking.take()) each.send({});
    EXPECT_EQ(TlsPeer::connect({.port = port}), nullptr);
}

TEST_F(ServerTest, stopping_ends_while_clients_are_in_every_state) {
    start_echo();
    const auto idle = peer();
    const auto half_header = peer();
    half_header->send("GET / HT");
    const auto half_body = peer();
    half_body->send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    server = nullptr;
    for (TlsPeer* each : {idle.get(), half_header.get(), half_body.get()}) {
        EXPECT_TRUE(each->is_cut_within(seconds(15)));
    }
}

TEST_F(ServerTest, old_tls_versions_are_refused) {
    start_echo();
    EXPECT_EQ(TlsPeer::connect({.port = server->port(), .only_tls_1_1 = true}), nullptr);
}

TEST_F(ServerTest, a_port_in_use_a_bad_address_and_a_bad_certificate_are_named) {
    start_echo();
    const auto start_error = [](const ServerOptions& wrong) {
        auto started = Server::start(wrong, [](Request, Responder) {});
        return started.ok() ? Error{} : started.error();
    };
    ServerOptions wrong = options;
    wrong.port = server->port();
    EXPECT_NE(start_error(wrong).message.find("in use"), std::string::npos);
    wrong = options;
    wrong.address = "localhost";
    EXPECT_EQ(start_error(wrong).code, ErrorCode::invalid_argument);
    wrong = options;
    wrong.certificate_pem = "garbage";
    EXPECT_EQ(start_error(wrong).code, ErrorCode::invalid_argument);
    const auto other = authority.issue({.common_name = "other"}, now).value();
    wrong = options;
    wrong.key_pem = other.key_pem.reveal();
    EXPECT_EQ(start_error(wrong).code, ErrorCode::invalid_argument);
}

TEST_F(ServerTest, an_ipv6_address_can_be_listened_on) {
    options.address = "::1";
    auto started = Server::start(options, [](Request, Responder responder) { responder.send({}); });
    if (!started.ok()) GTEST_SKIP() << "this machine has no ::1: " << started.error().describe();
    EXPECT_GT((*started)->port(), 0);
}

class MutualTls : public ServerTest {
  protected:
    MutualTls() { options.client_ca_pem = authority.certificate_pem(); }

    std::string answer_to(const Certificate& shown) const {
        const auto connection = TlsPeer::connect(
            {.port = server->port(), .ca_pem = authority.certificate_pem(), .certificate = shown});
        if (connection == nullptr) return "refused";
        connection->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        const std::string answer = connection->receive_answer();
        return answer.empty() ? "refused" : answer;
    }
};

TEST_F(MutualTls, a_client_is_known_by_the_name_in_its_certificate) {
    start_echo();
    const auto shown = authority.issue({.common_name = "node-1", .client = true}, now).value();
    EXPECT_NE(answer_to(shown).find("|peer=node-1|"), std::string::npos);
    ClientOptions with = client_options();
    with.certificate_pem = shown.certificate_pem;
    with.key_pem = shown.key_pem;
    Client client(with);
    for (int i = 0; i < 2; ++i) {
        const auto answer = client.call({.url = url("/")});
        ASSERT_TRUE(answer.ok()) << answer.error().describe();
        EXPECT_NE(answer->body.find("|peer=node-1|"), std::string::npos);
    }
}

TEST_F(MutualTls, a_client_without_a_certificate_is_refused) {
    start_echo();
    EXPECT_EQ(answer_to({}), "refused");
    Client client(client_options());
    EXPECT_FALSE(client.call({.url = url("/")}).ok());
}

TEST_F(MutualTls, a_certificate_of_a_foreign_authority_is_refused) {
    start_echo();
    const auto foreign = CertificateAuthority::create("Test CA", now).value();
    EXPECT_EQ(answer_to(foreign.issue({.common_name = "node-1", .client = true}, now).value()),
              "refused");
}

TEST_F(MutualTls, an_expired_certificate_and_one_of_the_future_are_refused) {
    start_echo();
    const auto expired = authority.issue(
        {.common_name = "node-1", .client = true, .valid_for = std::chrono::days(1)},
        now - std::chrono::days(2));
    EXPECT_EQ(answer_to(expired.value()), "refused");
    const auto future =
        authority.issue({.common_name = "node-1", .client = true}, now + std::chrono::days(1));
    EXPECT_EQ(answer_to(future.value()), "refused");
}

TEST_F(MutualTls, a_server_certificate_is_not_good_for_a_client) {
    start_echo();
    EXPECT_EQ(answer_to(authority.issue({.common_name = "node-1"}, now).value()), "refused");
}

}  // namespace
}  // namespace howdah::http
