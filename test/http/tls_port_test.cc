#include "http/tls_port.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "http/tls_peer.h"

namespace howdah::http {
namespace {

constexpr std::chrono::seconds kPatience{20};

/// A port that answers "name:" with "name!", and nothing to "none:".
class TlsPortTest : public testing::Test {
  protected:
    TlsPortTest()
        : authority(CertificateAuthority::create("tests", clock.wall()).value()),
          port(TlsPort::listen(certificate(), 0).value()),
          thread([this](std::stop_token stop) {
              port.run(std::move(stop), clock, [](std::string_view received) {
                  if (!received.ends_with(':')) return std::optional<std::string>();
                  if (received == "none:") return std::optional<std::string>("");
                  return std::optional(std::string(received.substr(0, received.size() - 1)) + "!");
              });
          }) {}
    Certificate certificate() const {
        return authority.issue({.common_name = "port", .ip_addresses = {"127.0.0.1"}}, clock.wall())
            .value();
    }
    std::unique_ptr<TlsPeer> connect(const std::string& ca_pem) const {
        return TlsPeer::connect({.port = port.port(), .ca_pem = ca_pem});
    }
    std::unique_ptr<TlsPeer> connect() const { return connect(authority.certificate_pem()); }
    std::string ask(const std::string& question) const {
        const auto peer = connect();
        if (peer == nullptr || !peer->send(question)) return "not sent";
        return peer->receive(kPatience);
    }
    /// A connection that never says anything.
    int open_plain() const {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port.port());
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        return fd;
    }

    SystemClock clock;
    CertificateAuthority authority;
    TlsPort port;
    std::jthread thread;  // ends first
};

TEST_F(TlsPortTest, answers_each_connection_once_and_ends_it) {
    EXPECT_EQ(ask("ada:"), "ada!");
    const auto peer = connect();
    ASSERT_NE(peer, nullptr);
    ASSERT_TRUE(peer->send("piece"));
    ASSERT_TRUE(peer->send("meal:"));
    EXPECT_EQ(peer->receive(kPatience), "piecemeal!");
    EXPECT_TRUE(peer->is_cut_within(kPatience));
    EXPECT_EQ(ask("none:"), "");
}

TEST_F(TlsPortTest, is_not_believed_without_its_authority) {
    const auto other = CertificateAuthority::create("tests", clock.wall()).value();
    EXPECT_EQ(connect(other.certificate_pem()), nullptr);
    EXPECT_EQ(ask("ada:"), "ada!");
}

TEST_F(TlsPortTest, ends_a_question_that_is_too_long) {
    const auto peer = connect();
    ASSERT_NE(peer, nullptr);
    (void)peer->send(std::string(TlsPort::kQuestionBytesMax + 20'000, 'x'));
    EXPECT_TRUE(peer->is_cut_within(kPatience));
    EXPECT_EQ(ask("ada:"), "ada!");
}

TEST_F(TlsPortTest, is_kept_from_nobody_by_connections_that_say_nothing) {
    raise_file_limit();
    std::vector<int> silent;
    for (std::size_t i = 0; i < 3 * TlsPort::kConnectionsMax; ++i) silent.push_back(open_plain());
    EXPECT_EQ(ask("ada:"), "ada!");
    for (const int fd : silent) close(fd);
    EXPECT_EQ(ask("ada:"), "ada!");
}

TEST_F(TlsPortTest, takes_no_port_that_is_another_ones) {
    const auto second = TlsPort::listen(certificate(), port.port());
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, ErrorCode::conflict);
}

}  // namespace
}  // namespace howdah::http
