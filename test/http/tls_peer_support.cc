#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>

#include "base/text.h"
#include "http/openssl_handles.h"
#include "http/tls_peer.h"

namespace howdah::http {

namespace {

constexpr std::chrono::seconds kPatience{10};

using Context = std::unique_ptr<SSL_CTX, OpensslFree<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, OpensslFree<SSL_free>>;

class OpensslPeer final : public TlsPeer {
  public:
    OpensslPeer() = default;
    OpensslPeer(const OpensslPeer&) = delete;
    OpensslPeer& operator=(const OpensslPeer&) = delete;
    ~OpensslPeer() override {
        ssl_ = nullptr;
        if (fd_ >= 0) close(fd_);
    }

    bool open(const Options& options) {
        std::signal(SIGPIPE, SIG_IGN);
        fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(options.port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const timeval patience{.tv_sec = kPatience.count(), .tv_usec = 0};
        setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
            return false;
        }
        const Context context(SSL_CTX_new(TLS_client_method()));
        if (!set_up(context.get(), options)) return false;
        ssl_.reset(SSL_new(context.get()));
        SSL_set_fd(ssl_.get(), fd_);
        return SSL_connect(ssl_.get()) == 1;
    }

    bool send(std::string_view bytes) override {
        std::size_t written = 0;
        while (!bytes.empty()) {
            if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written) != 1) return false;
            bytes.remove_prefix(written);
        }
        return true;
    }

    std::string receive(std::chrono::milliseconds patience) override {
        if (ended_) return {};
        pollfd readable{.fd = fd_, .events = POLLIN, .revents = 0};
        if (SSL_pending(ssl_.get()) == 0 &&
            poll(&readable, 1, static_cast<int>(patience.count())) == 0) {
            return {};
        }
        std::string bytes(16384, '\0');
        std::size_t count = 0;
        if (SSL_read_ex(ssl_.get(), bytes.data(), bytes.size(), &count) != 1) {
            ended_ = true;
            return {};
        }
        bytes.resize(count);
        return bytes;
    }

    bool ended() const override { return ended_; }

  private:
    static bool set_up(SSL_CTX* context, const Options& options) {
        if (options.only_tls_1_1) {
            SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
            SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
        }
        if (!options.ca_pem.empty()) {
            const auto authority = certificate_from_pem(options.ca_pem);
            if (!authority.ok()) return false;
            X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority->get());
            SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
        }
        if (options.certificate.certificate_pem.empty()) return true;
        const auto own = certificate_from_pem(options.certificate.certificate_pem);
        const auto key = key_from_pem(options.certificate.key_pem);
        return own.ok() && key.ok() && SSL_CTX_use_certificate(context, own->get()) == 1 &&
               SSL_CTX_use_PrivateKey(context, key->get()) == 1;
    }

    int fd_ = -1;
    Session ssl_;
    bool ended_ = false;
};

}  // namespace

std::unique_ptr<TlsPeer> TlsPeer::connect(const Options& options) {
    auto peer = std::make_unique<OpensslPeer>();
    if (!peer->open(options)) return nullptr;
    return peer;
}

std::string TlsPeer::receive_answer(bool head) {
    for (;;) {
        const std::size_t end = buffered_.find("\r\n\r\n");
        if (end != std::string::npos) {
            const std::string header = to_lower(std::string_view(buffered_).substr(0, end + 2));
            const std::size_t field = header.find("\r\ncontent-length:");
            std::size_t size = end + 4;
            if (field != std::string::npos && !head) {
                size += std::strtoul(header.c_str() + field + 17, nullptr, 10);
            }
            if (buffered_.size() >= size) {
                std::string answer = buffered_.substr(0, size);
                buffered_.erase(0, size);
                return answer;
            }
        }
        const std::string more = receive(kPatience);
        if (more.empty()) return std::exchange(buffered_, {});
        buffered_ += more;
    }
}

bool TlsPeer::is_cut_within(std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!ended() && std::chrono::steady_clock::now() < deadline) {
        receive(std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now()));
    }
    return ended();
}

std::size_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::size_t pages = 0;
    statm >> pages >> pages;
    return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

void raise_file_limit() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace howdah::http
