#include "http/client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <thread>

#include "http/site.h"

namespace howdah::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

class ClientTest : public Site {};

TEST_F(ClientTest, every_method_arrives_with_its_body) {
    start_echo();
    Client client(client_options());
    for (const char* method : {"GET", "PUT", "POST", "PATCH", "DELETE"}) {
        for (const std::string& body : {std::string(), std::string(300'000, 'b')}) {
            if (body.size() > 0 && std::string_view(method) == "GET") continue;
            const auto answer = client.call({.method = method, .url = url("/m"), .body = body});
            ASSERT_TRUE(answer.ok()) << answer.error().describe();
            EXPECT_TRUE(answer->body.starts_with(std::string(method) + " /m|")) << answer->body;
            EXPECT_NE(answer->body.find("|" + std::to_string(body.size()) + ":"),
                      std::string::npos);
        }
    }
    const auto head = client.call({.method = "HEAD", .url = url("/m")});
    ASSERT_TRUE(head.ok());
    EXPECT_EQ(head->status, 200);
    EXPECT_EQ(head->body, "");
}

TEST_F(ClientTest, headers_go_out_and_come_back_in_lower_case) {
    start([](Request request, Responder responder) {
        responder.send({.status = 404,
                        .headers = {{"X-Back", std::string(request.header("x-out"))}},
                        .body = "{}"});
    });
    Client client(client_options());
    const auto answer = client.call({.url = url("/"), .headers = {{"x-out", "there"}}});
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer->status, 404);
    EXPECT_EQ(answer->headers.at("x-back"), "there");
    EXPECT_FALSE(client.call({.url = url("/"), .headers = {{"x", "a\r\nb: c"}}}).ok());
}

TEST_F(ClientTest, a_server_of_a_foreign_authority_is_not_trusted) {
    start_echo();
    const auto other = CertificateAuthority::create("Test CA", now).value();
    Client client({.ca_pem = other.certificate_pem()});
    const auto answer = client.call({.url = url("/")});
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, ErrorCode::unavailable);
    Client of_the_system({});
    EXPECT_FALSE(of_the_system.call({.url = url("/")}).ok());
}

TEST_F(ClientTest, a_server_of_another_name_is_not_trusted) {
    certificate =
        authority.issue({.common_name = "x", .dns_names = {"other.example"}}, now).value();
    options.certificate_pem = certificate.certificate_pem;
    options.key_pem = certificate.key_pem.reveal();
    start_echo();
    Client client(client_options());
    EXPECT_EQ(client.call({.url = url("/")}).error().code, ErrorCode::unavailable);
}

TEST_F(ClientTest, a_server_must_have_the_name_that_was_asked_for_whatever_the_address_says) {
    start([](Request request, Responder responder) {
        responder.send({.body = std::string(request.header("host"))});
    });
    ClientOptions named = client_options();
    named.server_name = "howdahd";
    // Its certificate is right for the address, and that is not enough.
    EXPECT_EQ(Client(named).call({.url = url("/")}).error().code, ErrorCode::unavailable);
    server = nullptr;

    certificate =
        authority.issue({.common_name = "howdahd", .dns_names = {"howdahd"}}, now).value();
    options.certificate_pem = certificate.certificate_pem;
    options.key_pem = certificate.key_pem.reveal();
    start([](Request request, Responder responder) {
        responder.send({.body = std::string(request.header("host"))});
    });
    Client client(named);
    for (int i = 0; i < 2; ++i) {  // also on a connection that was kept
        const auto answer = client.call({.url = url("/")});
        ASSERT_TRUE(answer.ok()) << answer.error().describe();
        EXPECT_EQ("https://" + answer->body + "/", url("/"));
    }
    EXPECT_EQ(Client(client_options()).call({.url = url("/")}).error().code,
              ErrorCode::unavailable);
}

TEST_F(ClientTest, where_a_name_is_asked_for_nothing_goes_out_in_clear) {
    Client client({.ca_pem = authority.certificate_pem(), .server_name = "howdahd"});
    EXPECT_EQ(client.call({.url = "http://127.0.0.1:1/"}).error().code,
              ErrorCode::invalid_argument);
}

TEST_F(ClientTest, only_https_leaves_this_machine) {
    Client client({});
    for (const char* address : {"http://192.0.2.1/", "ftp://127.0.0.1/", "file:///etc/passwd", "",
                                "nonsense", "http://127.0.0.1.example/"}) {
        EXPECT_EQ(client.call({.url = address}).error().code, ErrorCode::invalid_argument)
            << address;
    }
}

TEST_F(ClientTest, nobody_listening_is_unavailable) {
    start_echo();
    const std::string address = url("/");
    server = nullptr;
    Client client(client_options());
    EXPECT_EQ(client.call({.url = address}).error().code, ErrorCode::unavailable);
}

TEST_F(ClientTest, an_answer_that_does_not_come_in_time_is_maybe_done) {
    start([&](Request, Responder responder) { parking.park(std::move(responder)); });
    Client client(client_options());
    const auto begin = steady_clock::now();
    const auto answer =
        client.call({.method = "POST", .url = url("/"), .timeout = milliseconds(200)});
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, ErrorCode::timeout);
    EXPECT_LT(steady_clock::now() - begin, seconds(5));
}

TEST_F(ClientTest, an_answer_beyond_the_limit_is_refused) {
    start(
        [](Request, Responder responder) { responder.send({.body = std::string(100'001, 'x')}); });
    ClientOptions limited = client_options();
    limited.body_bytes_max = 100'000;
    Client client(limited);
    EXPECT_EQ(client.call({.url = url("/")}).error().code, ErrorCode::too_large);
    limited.body_bytes_max = 100'001;
    Client enough(limited);
    EXPECT_TRUE(enough.call({.url = url("/")}).ok());
}

TEST_F(ClientTest, cancelling_ends_a_running_call_at_once_and_every_later_one) {
    start([&](Request, Responder responder) { parking.park(std::move(responder)); });
    Client client(client_options());
    std::jthread cancelling([&] {
        parking.wait_for(1);
        client.cancel();
    });
    const auto begin = steady_clock::now();
    const auto answer = client.call({.url = url("/")});
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, ErrorCode::unavailable);
    EXPECT_LT(steady_clock::now() - begin, seconds(5));
    EXPECT_EQ(client.call({.url = url("/")}).error().code, ErrorCode::unavailable);
}

/// A plain HTTP server that answers the first request of a connection, reads the second and hangs
/// up: what a server that is killed looks like. Killed for good, it takes no other connection.
class DyingServer {
  public:
    explicit DyingServer(bool for_good = false) : for_good_(for_good) {
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        bind(listener_, reinterpret_cast<const sockaddr*>(&address), size);
        listen(listener_, 16);
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
        url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
        thread_ = std::jthread([this] { serve(); });
    }
    ~DyingServer() {
        shutdown(listener_, SHUT_RDWR);
        thread_.join();
        close(listener_);
    }

    std::string url;
    std::atomic<int> requests = 0;

  private:
    void serve() {
        for (;;) {
            const int fd = accept(listener_, nullptr, nullptr);
            if (fd < 0) return;
            if (read_request(fd)) {
                const std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
                read_request(fd);
                // Whoever connects from now on is refused.
                if (for_good_) shutdown(listener_, SHUT_RDWR);
            }
            close(fd);
        }
    }
    bool read_request(int fd) {
        std::string text;
        char buffer[4096];
        while (text.find("\r\n\r\n") == std::string::npos || text.ends_with("Length: 4\r\n\r\n")) {
            const ssize_t count = recv(fd, buffer, sizeof buffer, 0);
            if (count <= 0) return false;
            text.append(buffer, static_cast<std::size_t>(count));
        }
        ++requests;
        return true;
    }

    const bool for_good_;
    int listener_ = -1;
    std::jthread thread_;
};

TEST(client, a_change_that_had_gone_out_is_in_doubt_even_if_nobody_can_be_reached_any_more) {
    for (const char* method : {"POST", "PATCH", "PUT", "DELETE"}) {
        DyingServer server(/*for_good=*/true);
        Client client({});
        ASSERT_TRUE(client.call({.url = server.url}).ok());
        const auto answer = client.call({.method = method, .url = server.url, .body = "body"});
        ASSERT_FALSE(answer.ok());
        EXPECT_EQ(answer.error().code, ErrorCode::timeout) << method << answer.error().describe();
        EXPECT_EQ(server.requests, 2) << method;
        EXPECT_EQ(client.call({.method = method, .url = server.url, .body = "body"}).error().code,
                  ErrorCode::unavailable);
    }
}

TEST(client, a_post_that_broke_off_is_never_sent_again) {
    for (const char* method : {"POST", "PATCH"}) {
        DyingServer server;
        Client client({});
        ASSERT_TRUE(client.call({.url = server.url}).ok());
        const auto answer = client.call({.method = method, .url = server.url, .body = "body"});
        ASSERT_FALSE(answer.ok());
        EXPECT_EQ(answer.error().code, ErrorCode::timeout);
        EXPECT_EQ(server.requests, 2) << method;
    }
}

/// Answers one request with a body whose end is never told, piece by piece.
class EndlessServer {
  public:
    EndlessServer() {
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        bind(listener_, reinterpret_cast<const sockaddr*>(&address), size);
        listen(listener_, 16);
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
        url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
        accepted_ = std::async(std::launch::async, [this] {
            const int fd = accept(listener_, nullptr, nullptr);
            // All of it: what is unread when a connection is closed would reset it.
            std::string text;
            char buffer[4096];
            while (!text.ends_with(text.starts_with("GET") ? "\r\n\r\n" : "body")) {
                const ssize_t count = recv(fd, buffer, sizeof buffer, 0);
                if (count <= 0) break;
                text.append(buffer, static_cast<std::size_t>(count));
            }
            return fd;
        });
    }
    ~EndlessServer() {
        hang_up();
        close(listener_);
    }
    void say(std::string_view text) {
        if (fd_ < 0) fd_ = accepted_.get();
        send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
    }
    void hang_up() {
        if (fd_ >= 0) close(fd_);
        fd_ = -1;
    }

    std::string url;

  private:
    int listener_ = -1;
    int fd_ = -1;
    std::future<int> accepted_;
};

constexpr std::string_view kEndless = "HTTP/1.1 200 OK\r\n\r\n";

TEST(client, an_endless_answer_comes_piece_by_piece_and_its_end_is_an_error) {
    EndlessServer server;
    Client client({});
    auto begun = std::async(std::launch::async, [&] {
        return client.begin({.method = "POST", .url = server.url, .body = "body"});
    });
    server.say(kEndless);
    EXPECT_EQ(begun.get().value().status, 200);
    EXPECT_EQ(client.more(milliseconds(20)).value(), "");
    server.say("one");
    EXPECT_EQ(client.more(seconds(20)).value(), "one");
    server.say("two");
    server.hang_up();
    EXPECT_EQ(client.more(seconds(20)).value(), "two");
    EXPECT_EQ(client.more(seconds(20)).error().code, ErrorCode::unavailable);
    EXPECT_EQ(client.more(seconds(20)).error().code, ErrorCode::unavailable);
}

TEST(client, an_answer_that_does_not_begin_is_not_waited_for_longer_than_was_said) {
    EndlessServer server;
    Client client({});
    const auto begun = client.begin(
        {.method = "POST", .url = server.url, .body = "body", .timeout = milliseconds(50)});
    ASSERT_FALSE(begun.ok());
    EXPECT_EQ(begun.error().code, ErrorCode::timeout);
    EXPECT_FALSE(client.more(milliseconds(1)).ok());
    server.say(kEndless);
}

TEST(client, waiting_for_more_can_be_cancelled) {
    EndlessServer server;
    Client client({});
    auto begun = std::async(std::launch::async, [&] { return client.begin({.url = server.url}); });
    server.say(kEndless);
    ASSERT_TRUE(begun.get().ok());
    auto waiting = std::async(std::launch::async, [&] { return client.more(seconds(600)); });
    client.cancel();
    EXPECT_EQ(waiting.get().error().code, ErrorCode::unavailable);
}

TEST(client, a_read_that_broke_off_is_sent_again_on_a_new_connection) {
    DyingServer server;
    Client client({});
    ASSERT_TRUE(client.call({.url = server.url}).ok());
    EXPECT_TRUE(client.call({.url = server.url}).ok());
    EXPECT_EQ(server.requests, 3);
}

TEST(client, an_empty_post_gets_a_connection_of_its_own) {
    DyingServer server;
    Client client({});
    ASSERT_TRUE(client.call({.url = server.url}).ok());
    // On the kept connection it would break off and be sent twice.
    EXPECT_FALSE(
        client.call({.method = "POST", .url = server.url, .timeout = milliseconds(200)}).ok());
    EXPECT_LE(server.requests, 2);
}

}  // namespace
}  // namespace howdah::http
