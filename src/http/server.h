#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace howdah::http {

/// Name to value; names are lower case.
using Headers = std::map<std::string, std::string>;

struct Request {
    std::string method;                                      ///< "GET", upper case
    std::string path;                                        ///< percent-decoded, as sent otherwise
    std::vector<std::pair<std::string, std::string>> query;  ///< decoded, in order
    Headers headers;
    std::string body;
    std::string client_address;
    /// Common name of the verified client certificate; empty without one.
    std::string peer_name;

    std::string_view header(std::string_view lower_case_name) const;      ///< "" if absent
    std::optional<std::string> query_value(std::string_view name) const;  ///< name in any case
};

/// A body that is too large to be held in memory: read while it is sent, by the network thread, so
/// it must not wait for anybody. Immutable; thread-safe.
class BodySource {
  public:
    virtual ~BodySource() = default;
    virtual std::int64_t size() const = 0;
    /// At most `bytes_max` from `offset` on, at least one before the end. An error, or nothing,
    /// breaks the connection off.
    virtual Result<std::string> read(std::int64_t offset, std::size_t bytes_max) const = 0;
};

struct Response {
    int status = 200;
    Headers headers;
    std::string body;  ///< with content-type application/json unless `headers` say otherwise
    std::shared_ptr<const BodySource> source = nullptr;  ///< instead of `body`
};

/// The right to answer one request, once, from any thread, now or later (a long poll). Movable.
/// Dropped without an answer it answers 503. Answering after the client has gone is harmless.
class Responder {
  public:
    class Pending;  ///< private to the server
    explicit Responder(std::shared_ptr<Pending> pending) : pending_(std::move(pending)) {}
    Responder(Responder&&) noexcept = default;
    Responder& operator=(Responder&&) noexcept;
    ~Responder();
    void send(Response response);

  private:
    std::shared_ptr<Pending> pending_;
};

using Handler = std::function<void(Request request, Responder responder)>;
/// Answers a request in the network thread, which saves two changes of threads; or leaves it to the
/// Handler (none). While it runs other connections wait, so it must wait for nobody. Several
/// threads call it at the same time.
using QuickHandler = std::function<std::optional<Response>(const Request& request)>;

struct ServerOptions {
    std::string address = "127.0.0.1";
    std::uint16_t port = 0;  ///< 0: any free one
    std::string certificate_pem;
    std::string key_pem;
    /// Not empty: clients must show a certificate signed by one of these (mutual TLS).
    std::string client_ca_pem;
    QuickHandler quick = nullptr;             ///< none: every request goes to the handler
    unsigned network_threads = 1;             ///< that share the connections
    unsigned workers = 4;                     ///< threads that run handlers
    std::size_t body_bytes_max = 1 << 20;     ///< 413 beyond; never buffered beyond
    std::size_t header_bytes_max = 32 << 10;  ///< 431 beyond
    /// When there are as many, the oldest one whose client has not sent a whole request is closed
    /// for a new one, else the one that has idled longest; only if all are busy the new one is.
    unsigned connections_max = 2000;
    unsigned connections_per_address_max = 1000;
    unsigned queued_requests_max = 512;     ///< 503 with Retry-After beyond
    std::chrono::seconds idle_timeout{60};  ///< also bounds slow senders
    /// From the connection to the end of its first request: whoever says nothing, or not enough,
    /// holds a place no longer than this (nor than idle_timeout).
    std::chrono::seconds first_request_timeout{5};
};

/// An HTTPS server (libmicrohttpd, TLS 1.2 and newer): one network thread or a few, each with its
/// own connections; parked connections and long polls hold no thread; handlers run on a fixed pool.
/// Thread-safe.
class Server {
  public:
    static Result<std::unique_ptr<Server>> start(const ServerOptions& options, Handler handler);
    virtual ~Server() = default;  ///< stops; pending requests answer 503
    virtual std::uint16_t port() const = 0;
};

}  // namespace howdah::http
