#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "pg/connection.h"
#include "pg/scram.h"

namespace howdah::pg {
namespace {

struct Known {
    const char* password;
    const char* verifier;
};

// Made by PostgreSQL 15 itself: CREATE ROLE ... PASSWORD, then pg_authid.rolpassword.
constexpr Known kKnown[] = {
    {"pencil",
     "SCRAM-SHA-256$4096:W+4itpbmNGGWm7YGeYwfcA==$jU03p/vsOmpIdGjqF+RJISUXF1CYDkY6VXaKAcUXAZg="
     ":3Bry9kRZrYBn1tmRxcsJjxokiPMkPfl2Bs68E+eiaas="},
    {"x y\"'\\~!",
     "SCRAM-SHA-256$4096:npuytLGm6/zXp11VRPFHiQ==$gmrPsDFMgr4myHv1kFMT2MWVip8NSsTuAfCilYFPMl0="
     ":fGgJFTwwDWN1eYg/ELjweHGP1HlDBkf45S2M9yM0BlM="},
};

TEST(scram, a_verifier_equals_the_one_postgresql_makes) {
    for (const Known& each : kKnown) {
        const std::string text = each.verifier;
        const std::string salt = text.substr(text.find(':') + 1, 24);
        const auto own = scram_verifier(Secret(each.password), *base64_decode(salt));
        ASSERT_TRUE(own.ok());
        EXPECT_EQ(*own, each.verifier);
    }
}

TEST(scram, only_the_right_password_matches) {
    for (const Known& each : kKnown) {
        EXPECT_TRUE(scram_matches(Secret(each.password), each.verifier));
        EXPECT_FALSE(scram_matches(Secret(std::string(each.password) + "x"), each.verifier));
        EXPECT_FALSE(scram_matches(Secret(each.password), "SCRAM-SHA-256$"));
        EXPECT_FALSE(scram_matches(Secret(), each.verifier));
    }
}

TEST(scram, texts_of_another_shape_are_no_verifiers) {
    EXPECT_TRUE(is_scram_verifier(kKnown[0].verifier));
    const std::string good = kKnown[0].verifier;
    for (std::size_t length = 0; length < good.size(); ++length)
        EXPECT_FALSE(is_scram_verifier(good.substr(0, length))) << length;
    EXPECT_FALSE(is_scram_verifier("md5d8578edf8458ce06fbc5bb76a58c5ca4"));
    EXPECT_FALSE(is_scram_verifier(good + ":x"));
    EXPECT_FALSE(is_scram_verifier("SCRAM-SHA-256$0" + good.substr(18)));
}

TEST(scram, a_password_that_saslprep_might_change_is_refused) {
    const std::string salt(16, 's');
    EXPECT_FALSE(scram_verifier(Secret(""), salt).ok());
    EXPECT_FALSE(scram_verifier(Secret("tab\t"), salt).ok());
    EXPECT_FALSE(scram_verifier(Secret("caf\xc3\xa9"), salt).ok());
    EXPECT_FALSE(scram_verifier(Secret(std::string(2000, 'x')), salt).ok());
}

TEST(quote, identifiers_and_literals_cannot_be_left) {
    EXPECT_EQ(quote_identifier("a\"b"), "\"a\"\"b\"");
    EXPECT_EQ(quote_literal("it's"), "'it''s'");
    EXPECT_EQ(quote_literal("back\\'slash"), "E'back\\\\''slash'");
}

/// A socket that listens on a free loopback port and never says a word.
class SilentServer {
  public:
    SilentServer() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(listen(fd_, 5), 0);
        socklen_t length = sizeof address;
        EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length), 0);
        port_ = ntohs(address.sin_port);
    }
    SilentServer(const SilentServer&) = delete;
    SilentServer& operator=(const SilentServer&) = delete;
    ~SilentServer() { stop(); }
    void stop() {
        if (fd_ >= 0) close(fd_);
        fd_ = -1;
    }
    int port() const { return port_; }

  private:
    int fd_;
    int port_ = 0;
};

TEST(connection, a_server_that_never_answers_costs_no_more_than_the_deadline) {
    const SilentServer server;
    const SystemClock clock;
    const Instant start = clock.now();
    const auto connection = Connection::open({.host = "127.0.0.1",
                                              .port = server.port(),
                                              .user = "x",
                                              .timeout = std::chrono::milliseconds(100)});
    ASSERT_FALSE(connection.ok());
    EXPECT_EQ(connection.error().code, ErrorCode::unavailable);
    EXPECT_GE(clock.now() - start, std::chrono::milliseconds(100));
    EXPECT_LT(clock.now() - start, std::chrono::seconds(20));
}

TEST(connection, a_closed_port_is_unavailable_at_once) {
    SilentServer server;
    server.stop();
    const auto connection = Connection::open(
        {.host = "127.0.0.1", .port = server.port(), .user = "x", .password = Secret("s3cret")});
    ASSERT_FALSE(connection.ok());
    EXPECT_EQ(connection.error().code, ErrorCode::unavailable);
    EXPECT_EQ(connection.error().message.find("s3cret"), std::string::npos);
}

}  // namespace
}  // namespace howdah::pg
