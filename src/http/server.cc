#include "http/server.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "base/log.h"
#include "base/text.h"
#include "http/client.h"
#include "http/connections.h"
#include "http/peer.h"
#include "http/pending.h"
#include "http/worker_pool.h"

// How a request goes: libmicrohttpd's network thread calls on_target (request line), then on_access
// once for the header, once for each piece of the body and once at the end. There the quick handler
// may answer. Else the connection is suspended and the request goes to the worker pool.
// Responder::send resumes the connection from whatever thread, and libmicrohttpd calls on_access
// again, which queues the answer.

namespace howdah::http {

namespace {

/// Beyond it a body that is too large is not even read and thrown away.
constexpr std::size_t kDiscardBytesMax = 256 << 20;
/// Room beside the request header for libmicrohttpd's tables and the answer's header.
constexpr std::size_t kConnectionBytesExtra = 16 << 10;
constexpr std::size_t kConnectionBytesStep = 4 << 10;
constexpr std::size_t kStackBytes = 512 << 10;
/// Of a source that are read at a time.
constexpr std::size_t kSourceBytes = 64 << 10;
constexpr int kBacklog = 512;
/// Connections that were cut to make room and that libmicrohttpd has not closed yet; beyond that it
/// lets nobody in for the moment.
constexpr unsigned kClosingMax = 256;
constexpr std::chrono::seconds kStopLimit{2};
constexpr const char* kPriorities = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

/// Header fields that make a request ambiguous when they come twice.
constexpr std::array<std::string_view, 6> kSingleHeaders = {"authorization",  "content-encoding",
                                                            "content-length", "content-type",
                                                            "host",           "transfer-encoding"};

Response error_response(int status, std::string_view code, std::string_view message) {
    Response response;
    response.status = status;
    // Constant texts without characters that JSON would escape.
    response.body = fmt::format(R"({{"error":{{"code":"{}","message":"{}"}}}})", code, message);
    if (status == 503) response.headers["retry-after"] = "1";
    return response;
}

Response bad_request(std::string_view message) {
    Response response = error_response(400, "InvalidRequestContent", message);
    // Where the request ends is not sure: nothing after it on this connection can be trusted.
    response.headers["connection"] = "close";
    return response;
}

Response too_busy() {
    return error_response(503, "ServiceUnavailable", "The service is too busy, try again later.");
}

Response going_away() {
    return error_response(503, "ServiceUnavailable", "The service is stopping, try again later.");
}

Response body_too_large() {
    return error_response(413, "RequestEntityTooLarge", "The request body is too large.");
}

/// One request while it comes in.
struct Exchange {
    std::string target;  ///< as in the request line
    bool header_seen = false;
    std::optional<Response> refusal;
    Request request;
    std::size_t body_bytes = 0;
    std::shared_ptr<Responder::Pending> pending;
};

struct HeaderReader {
    Headers headers;
    bool ambiguous = false;

    static MHD_Result on_header(void* context, MHD_ValueKind, const char* key, std::size_t key_size,
                                const char* value, std::size_t value_size) {
        auto& self = *static_cast<HeaderReader*>(context);
        std::string name = to_lower(std::string_view(key, key_size));
        const std::string_view text =
            value == nullptr ? std::string_view() : std::string_view(value, value_size);
        const auto [at, added] = self.headers.emplace(std::move(name), text);
        if (added) return MHD_YES;
        for (const std::string_view single : kSingleHeaders) {
            if (at->first == single) self.ambiguous = true;
        }
        at->second += ", ";
        at->second += text;
        return MHD_YES;
    }
};

bool has_control_characters(std::string_view text) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) return true;
    }
    return false;
}

/// Fills path and query.
std::optional<Response> read_target(std::string_view target, Request* request) {
    const std::size_t mark = target.find('?');
    auto path = url_decode(target.substr(0, mark));
    if (!path.ok() || has_control_characters(*path)) {
        return bad_request("The path of the request is not well formed.");
    }
    request->path = std::move(path).value();
    if (mark == std::string_view::npos) return std::nullopt;
    auto query = parse_form(target.substr(mark + 1));
    if (!query.ok()) return bad_request("The query of the request is not well formed.");
    request->query = std::move(query).value();
    return std::nullopt;
}

std::string address_text(const sockaddr* address) {
    char text[INET6_ADDRSTRLEN] = {};
    if (address->sa_family == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    } else if (address->sa_family == AF_INET6) {
        const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    }
    return text;
}

void free_body(void* body) { delete static_cast<std::string*>(body); }

using Source = std::shared_ptr<const BodySource>;

void free_source(void* source) { delete static_cast<Source*>(source); }

ssize_t read_source(void* context, std::uint64_t offset, char* buffer, std::size_t room) {
    const Source& source = *static_cast<Source*>(context);
    const auto piece = source->read(static_cast<std::int64_t>(offset), room);
    if (!piece.ok() || piece->empty() || piece->size() > room)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    std::memcpy(buffer, piece->data(), piece->size());
    return static_cast<ssize_t>(piece->size());
}

/// Takes the body out of a response.
MHD_Response* raw_response(Response* response) {
    if (response->source != nullptr) {
        auto source = std::make_unique<Source>(std::move(response->source));
        MHD_Response* raw =
            MHD_create_response_from_callback(static_cast<std::uint64_t>((*source)->size()),
                                              kSourceBytes, read_source, source.get(), free_source);
        if (raw != nullptr) static_cast<void>(source.release());
        return raw;
    }
    auto body = std::make_unique<std::string>(std::move(response->body));
    MHD_Response* raw = MHD_create_response_from_buffer_with_free_callback_cls(
        body->size(), body->data(), free_body, body.get());
    if (raw != nullptr) static_cast<void>(body.release());
    return raw;
}

MHD_Result queue_response(MHD_Connection* connection, Response response) {
    if (response.status < 200 || response.status > 599) {
        log::error("a handler answered with an impossible status",
                   {{"status", static_cast<long>(response.status)}});
        response = error_response(500, "InternalServerError", "The service made an error.");
    }
    MHD_Response* raw = raw_response(&response);
    if (raw == nullptr) return MHD_NO;
    if (!response.headers.contains("content-type")) {
        response.headers["content-type"] = "application/json; charset=utf-8";
    }
    for (const auto& [name, value] : response.headers) {
        if (MHD_add_response_header(raw, name.c_str(), value.c_str()) != MHD_YES) {
            log::error("a header of an answer cannot be sent", {{"name", name}});
        }
    }
    const MHD_Result result =
        MHD_queue_response(connection, static_cast<unsigned>(response.status), raw);
    MHD_destroy_response(raw);
    return result;
}

// The format comes from libmicrohttpd.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
void on_log(void*, const char* format, va_list arguments) {
    char text[512] = {};
    vsnprintf(text, sizeof text, format, arguments);
    log::debug("libmicrohttpd", {{"text", trim(text)}});
}
#pragma GCC diagnostic pop

Result<int> listen_on(const std::string& address, std::uint16_t port) {
    sockaddr_in6 v6{};
    sockaddr_in v4{};
    const bool is_v4 = inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) != 1) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("'{}' is not an IP address", address)};
    }
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    const auto* generic =
        is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
    const int fd =
        socket(generic->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    const int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, generic, is_v4 ? sizeof v4 : sizeof v6) != 0 || listen(fd, kBacklog) != 0) {
        const int problem = errno;
        if (fd >= 0) close(fd);
        return Error{
            ErrorCode::unavailable,
            fmt::format("cannot listen on {} port {}: {}", address, port,
                        std::generic_category().message(problem)),
            {},
            problem == EADDRINUSE ? "Choose another port, or stop what uses this one." : ""};
    }
    return fd;
}

class HttpsServer final : public Server {
  public:
    HttpsServer(const ServerOptions& options, Handler handler)
        : limits_{options.body_bytes_max, options.header_bytes_max},
          mutual_tls_(!options.client_ca_pem.empty()),
          quick_(options.quick),
          handler_(std::move(handler)),
          connections_({.patience = options.idle_timeout,
                        .first_request = options.first_request_timeout,
                        .all_max = options.connections_max,
                        .per_address_max = options.connections_per_address_max}),
          workers_(options.workers, options.queued_requests_max) {}
    ~HttpsServer() override { stop(); }

    Status listen(const ServerOptions& options);
    std::uint16_t port() const override { return port_; }

  private:
    struct Limits {
        std::size_t body_bytes_max;
        std::size_t header_bytes_max;
    };

    static void on_connection(void* self, MHD_Connection* connection, void** context,
                              MHD_ConnectionNotificationCode what);
    static void* on_target(void* self, const char* target, MHD_Connection* connection);
    static MHD_Result on_access(void* self, MHD_Connection* connection, const char* url,
                                const char* method, const char* version, const char* data,
                                std::size_t* size, void** context);
    static void on_completed(void* self, MHD_Connection* connection, void** context,
                             MHD_RequestTerminationCode why);

    std::optional<Response> read_header(MHD_Connection* connection, const char* method,
                                        Exchange* exchange) const;
    std::optional<Response> check_body_header(Exchange* exchange) const;
    MHD_Result take_body(Exchange* exchange, std::string_view piece) const;
    MHD_Result dispatch(MHD_Connection* connection, Exchange* exchange);
    std::string peer_name(MHD_Connection* connection) const;
    static Connections::Connection* state_of(MHD_Connection* connection);
    void stop();

    const Limits limits_;
    const bool mutual_tls_;
    const QuickHandler quick_;
    const Handler handler_;
    Connections connections_;
    WorkerPool workers_;
    std::atomic<bool> stopping_ = false;
    MHD_Daemon* daemon_ = nullptr;
    std::uint16_t port_ = 0;
};

Connections::Connection* HttpsServer::state_of(MHD_Connection* connection) {
    const MHD_ConnectionInfo* info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    HD_ASSERT(info != nullptr && info->socket_context != nullptr, "a connection without state");
    return static_cast<Connections::Connection*>(info->socket_context);
}

void HttpsServer::on_connection(void* context, MHD_Connection* connection, void** state,
                                MHD_ConnectionNotificationCode what) {
    auto& self = *static_cast<HttpsServer*>(context);
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*state != nullptr) {
            self.connections_.remove(static_cast<Connections::Connection*>(*state));
        }
        *state = nullptr;
        return;
    }
    const auto* fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    HD_ASSERT(fd != nullptr, "a connection without a socket");
    const auto* client = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    HD_ASSERT(client != nullptr && client->client_addr != nullptr, "a connection without address");
    *state = self.connections_.add(fd->connect_fd, address_text(client->client_addr));
    if (!self.mutual_tls_) return;
    const auto* tls = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    HD_ASSERT(tls != nullptr && tls->tls_session != nullptr, "a connection without TLS");
    require_client_certificate(static_cast<gnutls_session_t>(tls->tls_session));
}

void* HttpsServer::on_target(void* context, const char* target, MHD_Connection* connection) {
    auto& self = *static_cast<HttpsServer*>(context);
    self.connections_.begin_request(state_of(connection));
    auto exchange = std::make_unique<Exchange>();
    exchange->target = target;
    return exchange.release();
}

void HttpsServer::on_completed(void* context, MHD_Connection* connection, void** state,
                               MHD_RequestTerminationCode) {
    auto& self = *static_cast<HttpsServer*>(context);
    const std::unique_ptr<Exchange> exchange(static_cast<Exchange*>(*state));
    *state = nullptr;
    self.connections_.end_answer(state_of(connection));
}

MHD_Result HttpsServer::on_access(void* context, MHD_Connection* connection, const char*,
                                  const char* method, const char*, const char* data,
                                  std::size_t* size, void** state) {
    auto& self = *static_cast<HttpsServer*>(context);
    auto* const exchange = static_cast<Exchange*>(*state);
    HD_ASSERT(exchange != nullptr, "a request without a request line");
    if (!exchange->header_seen) {
        exchange->header_seen = true;
        auto refusal = self.read_header(connection, method, exchange);
        if (refusal.has_value()) return queue_response(connection, std::move(*refusal));
        return MHD_YES;
    }
    if (*size > 0) {
        const std::string_view piece(data, *size);
        *size = 0;
        return self.take_body(exchange, piece);
    }
    if (exchange->refusal.has_value()) {
        return queue_response(connection, std::move(*exchange->refusal));
    }
    if (exchange->pending == nullptr) return self.dispatch(connection, exchange);
    auto response = exchange->pending->take();
    if (!response.has_value()) return MHD_YES;
    self.connections_.expect_peer(state_of(connection));
    return queue_response(connection, std::move(*response));
}

std::optional<Response> HttpsServer::read_header(MHD_Connection* connection, const char* method,
                                                 Exchange* exchange) const {
    const auto* size = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (size != nullptr && size->header_size > limits_.header_bytes_max) {
        Response response = error_response(431, "RequestHeaderFieldsTooLarge",
                                           "The header of the request is too large.");
        response.headers["connection"] = "close";
        return response;
    }
    HeaderReader reader;
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, HeaderReader::on_header, &reader);
    if (reader.ambiguous) return bad_request("A header field of the request is repeated.");
    Request& request = exchange->request;
    request.method = method;
    request.headers = std::move(reader.headers);
    auto refusal = read_target(exchange->target, &request);
    if (refusal.has_value()) return refusal;
    const auto* peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (peer != nullptr && peer->client_addr != nullptr) {
        request.client_address = address_text(peer->client_addr);
    }
    if (mutual_tls_) request.peer_name = peer_name(connection);
    return check_body_header(exchange);
}

/// A body that is announced as too large is still read and thrown away, because a client that is
/// busy sending would otherwise see a broken connection and not the answer; unless it has asked
/// first (100-continue) or the body is beyond all measure.
std::optional<Response> HttpsServer::check_body_header(Exchange* exchange) const {
    const Request& request = exchange->request;
    const std::string_view length = request.header("content-length");
    const std::string_view coding = request.header("transfer-encoding");
    if (!coding.empty() && (!length.empty() || !iequals(coding, "chunked"))) {
        return bad_request("The length of the request body is not clear.");
    }
    if (length.empty()) return std::nullopt;
    const auto bytes = parse_integer(length, 0, INT64_MAX);
    if (!bytes.ok()) return bad_request("The length of the request body is not a number.");
    const auto announced = static_cast<std::size_t>(*bytes);
    if (announced <= limits_.body_bytes_max) return std::nullopt;
    if (announced > kDiscardBytesMax || !request.header("expect").empty()) {
        Response response = body_too_large();
        response.headers["connection"] = "close";
        return response;
    }
    exchange->refusal = body_too_large();
    return std::nullopt;
}

MHD_Result HttpsServer::take_body(Exchange* exchange, std::string_view piece) const {
    exchange->body_bytes += piece.size();
    if (exchange->body_bytes > kDiscardBytesMax) return MHD_NO;
    if (exchange->body_bytes > limits_.body_bytes_max) {
        if (!exchange->refusal.has_value()) exchange->refusal = body_too_large();
        exchange->request.body = std::string();
        return MHD_YES;
    }
    if (!exchange->refusal.has_value()) exchange->request.body += piece;
    return MHD_YES;
}

MHD_Result HttpsServer::dispatch(MHD_Connection* connection, Exchange* exchange) {
    if (stopping_) return queue_response(connection, going_away());
    if (quick_ != nullptr) {
        if (auto response = quick_(exchange->request)) {
            connections_.expect_peer(state_of(connection));
            return queue_response(connection, std::move(*response));
        }
    }
    exchange->pending = std::make_shared<Responder::Pending>(connection);
    connections_.begin_answer(state_of(connection), exchange->pending);
    // Before anybody can answer, because answering resumes the connection.
    MHD_suspend_connection(connection);
    auto request = std::make_shared<Request>(std::move(exchange->request));
    // A job that finds no room is dropped, and with it its responder: that answers 503.
    static_cast<void>(
        workers_.push([this, request, responder = std::make_shared<Responder>(exchange->pending)] {
            handler_(std::move(*request), std::move(*responder));
        }));
    return MHD_YES;
}

std::string HttpsServer::peer_name(MHD_Connection* connection) const {
    std::optional<std::string>& known = state_of(connection)->peer_name;
    if (!known.has_value()) {
        const auto* tls = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        HD_ASSERT(tls != nullptr && tls->tls_session != nullptr, "a connection without TLS");
        known = peer_common_name(static_cast<gnutls_session_t>(tls->tls_session));
    }
    return *known;
}

Status HttpsServer::listen(const ServerOptions& options) {
    HD_TRY(const int fd, listen_on(options.address, options.port));
    sockaddr_storage bound{};
    socklen_t bound_size = sizeof bound;
    getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &bound_size);
    port_ =
        ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                                          : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
    std::vector<MHD_OptionItem> more;
    if (mutual_tls_) {
        more.push_back(
            {MHD_OPTION_HTTPS_MEM_TRUST, 0, const_cast<char*>(options.client_ca_pem.c_str())});
    }
    // A pool of one would be refused.
    if (options.network_threads > 1)
        more.push_back({MHD_OPTION_THREAD_POOL_SIZE, options.network_threads, nullptr});
    more.push_back({MHD_OPTION_END, 0, nullptr});
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TLS | MHD_USE_SUSPEND_RESUME |
                           MHD_USE_ERROR_LOG |
                           (bound.ss_family == AF_INET6 ? unsigned{MHD_USE_IPv6} : 0U);
    // clang-format off
    daemon_ = MHD_start_daemon(
        flags, port_, nullptr, nullptr, on_access, this,
        MHD_OPTION_EXTERNAL_LOGGER, on_log, nullptr,
        MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_HTTPS_MEM_CERT, options.certificate_pem.c_str(),
        MHD_OPTION_HTTPS_MEM_KEY, options.key_pem.c_str(),
        MHD_OPTION_HTTPS_PRIORITIES, kPriorities,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, options.header_bytes_max + kConnectionBytesExtra,
        MHD_OPTION_CONNECTION_MEMORY_INCREMENT, kConnectionBytesStep,
        MHD_OPTION_CONNECTION_LIMIT, options.connections_max + kClosingMax,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, options.connections_per_address_max + kClosingMax,
        MHD_OPTION_THREAD_STACK_SIZE, kStackBytes,
        MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, this,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, this,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, this,
        MHD_OPTION_ARRAY, more.data(),
        MHD_OPTION_END);
    // clang-format on
    if (daemon_ == nullptr) {
        // libmicrohttpd has closed the socket.
        return Error{
            ErrorCode::invalid_argument,
            fmt::format("cannot start the HTTPS server on {} port {}", options.address, port_),
            {},
            "Check its certificate and key."};
    }
    return ok_status();
}

void HttpsServer::stop() {
    stopping_ = true;
    if (daemon_ == nullptr) return;
    const MHD_socket listener = MHD_quiesce_daemon(daemon_);
    workers_.stop();
    // libmicrohttpd must not be stopped while connections are suspended.
    connections_.answer_all(going_away(), kStopLimit);
    MHD_stop_daemon(daemon_);
    daemon_ = nullptr;
    if (listener != MHD_INVALID_SOCKET) close(listener);
}

}  // namespace

Responder& Responder::operator=(Responder&& other) noexcept {
    if (this != &other) {
        if (pending_ != nullptr) pending_->answer(too_busy());
        pending_ = std::move(other.pending_);
    }
    return *this;
}

Responder::~Responder() {
    if (pending_ != nullptr) pending_->answer(too_busy());
}

void Responder::send(Response response) {
    HD_ASSERT(pending_ != nullptr, "a request is answered twice");
    pending_->answer(std::move(response));
    pending_ = nullptr;
}

Result<std::unique_ptr<Server>> Server::start(const ServerOptions& options, Handler handler) {
    HD_ASSERT(options.workers > 0, "a server without workers");
    HD_ASSERT(options.network_threads > 0, "a server without network threads");
    auto server = std::make_unique<HttpsServer>(options, std::move(handler));
    HD_CHECK(server->listen(options));
    return std::unique_ptr<Server>(std::move(server));
}

}  // namespace howdah::http
