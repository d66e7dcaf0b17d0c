#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "http/server.h"

namespace howdah::http {

struct ClientOptions {
    std::string ca_pem;  ///< what the server's certificate must be signed by; empty: the system's
    /// Not empty: the server's certificate must hold for this name, whatever host the URL says.
    /// Then http is refused even to loopback.
    std::string server_name;
    std::string certificate_pem;  ///< own certificate for mutual TLS; may be empty
    Secret key_pem;
    std::size_t body_bytes_max = 16 << 20;
};

struct Call {
    std::string method = "GET";
    std::string url;  ///< absolute, https only (http only to loopback)
    Headers headers;
    std::string body;
    Duration timeout = std::chrono::seconds(30);
    /// For the connection and its TLS handshake; never more than `timeout` and ten seconds.
    Duration connect_timeout = std::chrono::seconds(10);
};

/// An HTTPS client (libcurl) that keeps its connection alive between calls. Not thread-safe: one
/// per thread; `cancel` alone may come from any thread.
///
/// Errors: `unavailable` when no connection came about (nothing was sent), `timeout` (maybe_done)
/// when the answer did not come in time or broke off. An HTTP status is never an error here.
class Client {
  public:
    explicit Client(ClientOptions options);
    ~Client();
    Client(Client&&) noexcept;
    Result<Response> call(const Call& call);
    /// For an answer that goes on and on: returns with its status and headers, within the call's
    /// timeouts; its body comes from more(). Ends with the next call of either kind.
    Result<Response> begin(const Call& call);
    /// What has come of the body begun, as soon as there is some; empty once `timeout` has passed.
    /// While nobody asks, nothing is read. `unavailable` when it has ended.
    Result<std::string> more(Duration timeout);
    /// Makes a running and every later call (or more()) fail at once with `unavailable`.
    void cancel();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Percent-encodes what is not unreserved (RFC 3986).
std::string url_encode(std::string_view text);
Result<std::string> url_decode(std::string_view text);
/// application/x-www-form-urlencoded, bounded to 100 fields.
Result<std::vector<std::pair<std::string, std::string>>> parse_form(std::string_view body);

}  // namespace howdah::http
