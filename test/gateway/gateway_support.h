#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "gateway/gateway.h"
#include "model/records.h"
#include "os/fd.h"

/// What the gateway's tests share: packets, a client, a stand-in for PostgreSQL, a running gateway.
namespace howdah::gateway::testing {

/// Nothing in a test waits longer than this.
inline constexpr std::chrono::seconds kPatience{20};

/// True as soon as `fact` is; false if it does not become true in time.
bool eventually(const std::function<bool()>& fact);

struct HelloOptions {
    std::string server_name;           ///< empty: no such extension
    std::size_t record_bytes = 16384;  ///< the hello is cut into records of this size
    std::size_t padding = 0;           ///< bytes of a padding extension
};
/// A TLS ClientHello as OpenSSL would send it, in records.
std::string client_hello(const HelloOptions& options);
/// The handshake message alone.
std::string client_hello_message(const HelloOptions& options);
std::string in_records(std::string_view message, std::size_t record_bytes);
std::string startup_message(std::uint32_t protocol = 3 << 16);
std::string cancel_request(std::int32_t pid, std::string_view key);
std::string gss_request();
std::string big_endian_32(std::uint32_t value);

/// A folder of its own that goes with the object.
class TempFolder {
  public:
    TempFolder();
    ~TempFolder();
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

/// A client's socket. Everything has a deadline.
class Client {
  public:
    explicit Client(std::uint16_t port, const std::string& address = "127.0.0.1");
    bool connected() const { return fd_.valid(); }
    void send(std::string_view bytes);
    /// Exactly `count` bytes, or what came before the end of the stream.
    std::string read(std::size_t count);
    std::string read_to_end();
    /// Sends SSLRequest and returns the answer.
    std::string request_tls();
    void finish_writing();
    void close() { fd_.reset(); }
    void reset();  ///< closes with a reset instead of an end of stream
    std::uint16_t local_port() const;
    int fd() const { return fd_.get(); }

  private:
    os::Fd fd_;
};

/// Reads an ErrorResponse to the end of the stream and returns the field of that type.
std::string error_field(Client& client, char type);
/// A backend that sends everything back has got `opening`, and is reached further on.
void expect_relay(Client& client, std::string_view opening);

/// Listens like PostgreSQL: answers an SSLRequest with one byte, keeps what it got, sends back what
/// comes after the first packet. One thread per connection.
class FakeBackend {
  public:
    struct Options {
        std::uint16_t port = 0;
        std::string ssl_answer = "S";
        bool echo = true;
        bool read = true;  ///< false: leaves what comes after the negotiation unread
        /// Said to the first packet, instead of sending it back, before it hangs up.
        std::optional<std::string> farewell = {};
    };
    explicit FakeBackend(Options options);
    FakeBackend() : FakeBackend(Options{}) {}
    ~FakeBackend();

    std::uint16_t port() const { return port_; }
    int connections() const { return connections_; }
    int open_connections() const { return open_; }
    /// What came after the negotiation, one text per connection, in the order of connecting.
    std::vector<std::string> received() const;
    /// Ends every connection, as a PostgreSQL that stops.
    void hang_up();

  private:
    void accept_all(const std::stop_token& stop);
    void serve(int fd, std::size_t index, const std::stop_token& stop);

    Options options_;
    os::Fd listener_;
    std::uint16_t port_ = 0;
    std::atomic<int> connections_{0};
    std::atomic<int> open_{0};
    std::atomic<int> hang_ups_{0};
    mutable std::mutex mutex_;
    std::vector<std::string> received_;
    std::vector<std::jthread> sessions_;
    std::jthread acceptor_;
};

/// A gateway inside the test, with its control thread.
class TestGateway {
  public:
    explicit TestGateway(GatewayOptions options = {});
    ~TestGateway();

    std::uint16_t port() const { return gateway_->port(); }
    /// The port that the gateway opened for this server.
    void use(const std::vector<model::Route>& routes);  ///< returns when they are in force
    void write_routes(const std::string& text);
    model::GatewayStats stats();
    model::GatewayServerStats server_stats(const std::string& server_id);
    std::string admin(const std::string& command);
    const std::string& folder() const { return folder_.path(); }
    Gateway& gateway() { return *gateway_; }

  private:
    TempFolder folder_;
    SystemClock clock_;
    std::int64_t revision_ = 0;
    std::unique_ptr<Gateway> gateway_;
    std::jthread thread_;
};

std::string ask_admin(const std::string& path, const std::string& command);
std::int64_t refusals(const std::vector<model::GatewayRefusals>& all, std::string_view reason);

/// An open route to a backend on this machine that admits everybody.
model::Route route_to(const std::string& name, std::uint16_t backend_port);
/// A port that nothing listens on now.
std::uint16_t free_port();

}  // namespace howdah::gateway::testing
