#include "http/tls_port.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <list>
#include <system_error>
#include <vector>

#include "http/openssl_handles.h"

namespace howdah::http {
namespace {

constexpr int kBacklog = 64;
constexpr std::size_t kReadBytes = 16 << 10;
constexpr auto kPollMax = std::chrono::milliseconds(1000);
constexpr auto kFullPause = std::chrono::milliseconds(100);

using Context = std::unique_ptr<SSL_CTX, OpensslFree<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, OpensslFree<SSL_free>>;

struct Descriptor {
    int fd = -1;
    explicit Descriptor(int number) : fd(number) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd >= 0) close(fd);
    }
};

Result<Context> make_context(const Certificate& certificate) {
    Context context(SSL_CTX_new(TLS_server_method()));
    HD_TRY(const Key key, key_from_pem(certificate.key_pem));
    HD_TRY(const X509Certificate leaf, certificate_from_pem(certificate.certificate_pem));
    if (context == nullptr || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
        SSL_CTX_use_certificate(context.get(), leaf.get()) != 1 ||
        SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1) {
        return openssl_error(ErrorCode::internal, "cannot set up TLS");
    }
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    (void)SSL_CTX_set_num_tickets(context.get(), 0);
    return context;
}

Error socket_error(std::string_view what) {
    const ErrorCode code = errno == EADDRINUSE ? ErrorCode::conflict : ErrorCode::io;
    return {code, fmt::format("cannot {}: {}", what, std::generic_category().message(errno))};
}

/// One question and its answer.
class Connection {
  public:
    Connection(Session session, int fd, Instant deadline)
        : deadline_(deadline), descriptor_(fd), session_(std::move(session)) {}

    Instant deadline() const { return deadline_; }
    int fd() const { return descriptor_.fd; }
    short events() const { return events_; }

    /// Goes on as far as it can without waiting. False: it is over.
    bool go_on(const TlsPort::Handler& handler) {
        for (;;) {
            ERR_clear_error();
            if (!answer_.empty()) return write();
            const int read = SSL_read(session_.get(), buffer_, sizeof buffer_);
            if (read <= 0) return wait_for(read);
            received_.append(buffer_, static_cast<std::size_t>(read));
            if (received_.size() > TlsPort::kQuestionBytesMax) return false;
            auto answer = handler(received_);
            if (answer && answer->empty()) return false;
            if (answer) answer_ = std::move(*answer);
        }
    }

    ~Connection() {
        // What was received may be a password.
        OPENSSL_cleanse(received_.data(), received_.size());
        OPENSSL_cleanse(buffer_, sizeof buffer_);
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

  private:
    bool write() {
        const int size = static_cast<int>(answer_.size());
        const int written = SSL_write(session_.get(), answer_.data(), size);
        if (written <= 0) return wait_for(written);
        (void)SSL_shutdown(session_.get());
        return false;
    }

    bool wait_for(int result) {
        const int reason = SSL_get_error(session_.get(), result);
        if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) return false;
        events_ = reason == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
        return true;
    }

    const Instant deadline_;
    const Descriptor descriptor_;
    Session session_;
    short events_ = POLLIN;
    std::string received_;
    std::string answer_;
    char buffer_[kReadBytes] = {};
};

using Connections = std::list<Connection>;  // the oldest one first

}  // namespace

struct TlsPort::Listener {
    Context context;
    Descriptor listener{-1};
    Descriptor wake{-1};
    std::uint16_t port = 0;

    /// False: this process has no more descriptors for now.
    bool accept_all(Connections& connections, Instant deadline) const {
        for (std::size_t i = 0; i < kConnectionsMax; ++i) {
            const int fd = accept4(listener.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) return errno != EMFILE && errno != ENFILE;
            Session session(SSL_new(context.get()));
            if (session == nullptr || SSL_set_fd(session.get(), fd) != 1) {
                close(fd);
                continue;
            }
            SSL_set_accept_state(session.get());
            if (connections.size() >= kConnectionsMax) connections.pop_front();
            connections.emplace_back(std::move(session), fd, deadline);
        }
        return true;
    }
};

TlsPort::TlsPort(std::unique_ptr<Listener> listener) : listener_(std::move(listener)) {}
TlsPort::TlsPort(TlsPort&&) noexcept = default;
TlsPort& TlsPort::operator=(TlsPort&&) noexcept = default;
TlsPort::~TlsPort() = default;

Result<TlsPort> TlsPort::listen(const Certificate& certificate, std::uint16_t port) {
    auto made = std::make_unique<Listener>();
    HD_TRY(made->context, make_context(certificate));
    made->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    made->listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made->wake.fd < 0 || made->listener.fd < 0) return socket_error("make a socket");
    const int one = 1;
    (void)setsockopt(made->listener.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(made->listener.fd, generic, size) != 0 || ::listen(made->listener.fd, kBacklog) != 0 ||
        getsockname(made->listener.fd, generic, &size) != 0) {
        return socket_error(fmt::format("listen on port {}", port));
    }
    made->port = ntohs(address.sin_port);
    return TlsPort(std::move(made));
}

std::uint16_t TlsPort::port() const { return listener_->port; }

void TlsPort::run(std::stop_token stop, const Clock& clock, const Handler& handler) {
    const std::stop_callback wake(stop, [this] {
        const std::uint64_t one = 1;
        (void)!write(listener_->wake.fd, &one, sizeof one);
    });
    Connections connections;
    bool can_accept = true;
    while (!stop.stop_requested()) {
        std::vector<pollfd> fds = {{can_accept ? listener_->listener.fd : -1, POLLIN, 0},
                                   {listener_->wake.fd, POLLIN, 0}};
        for (const Connection& each : connections) fds.push_back({each.fd(), each.events(), 0});
        const auto pause = can_accept ? kPollMax : kFullPause;
        (void)poll(fds.data(), fds.size(), static_cast<int>(pause.count()));
        const Instant now = clock.now();
        std::size_t i = 2;
        for (auto each = connections.begin(); each != connections.end(); ++i) {
            const bool is_ready = fds[i].revents != 0;
            const bool goes_on = now < each->deadline() && (!is_ready || each->go_on(handler));
            each = goes_on ? std::next(each) : connections.erase(each);
        }
        can_accept =
            fds[0].revents == 0 || listener_->accept_all(connections, now + kConnectionMax);
    }
}

}  // namespace howdah::http
