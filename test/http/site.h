#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "http/certificates.h"
#include "http/client.h"
#include "http/server.h"
#include "http/tls_peer.h"

namespace howdah::http {

/// Responders that a test answers when it likes.
class Parking {
  public:
    void park(Responder responder) {
        {
            const std::lock_guard lock(mutex_);
            parked_.push_back(std::move(responder));
        }
        changed_.notify_all();
    }
    /// False if there are not `count` of them in time.
    bool wait_for(std::size_t count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(30),
                                 [&] { return parked_.size() >= count; });
    }
    std::vector<Responder> take() {
        const std::lock_guard lock(mutex_);
        return std::exchange(parked_, {});
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Responder> parked_;
};

/// A server with a certificate authority of its own.
class Site : public testing::Test {
  protected:
    Site()
        : now(SystemClock().wall()),
          authority(CertificateAuthority::create("Test CA", now).value()),
          certificate(authority
                          .issue({.common_name = "localhost",
                                  .dns_names = {"localhost"},
                                  .ip_addresses = {"127.0.0.1"}},
                                 now)
                          .value()) {
        options.certificate_pem = certificate.certificate_pem;
        options.key_pem = certificate.key_pem.reveal();
        // For tests that send much, on a machine that does much else.
        options.first_request_timeout = std::chrono::seconds(60);
    }
    void start(Handler handler) {
        auto started = Server::start(options, std::move(handler));
        ASSERT_TRUE(started.ok()) << started.error().describe();
        server = std::move(started).value();
    }
    /// Answers what it got: method, path, query, client, peer, length of the body, the body.
    void start_echo() {
        start([](Request request, Responder responder) {
            std::string text = request.method + " " + request.path;
            for (const auto& [name, value] : request.query) text += "|" + name + "=" + value;
            text += "|peer=" + request.peer_name + "|client=" + request.client_address;
            text += "|" + std::to_string(request.body.size()) + ":" + request.body.substr(0, 100);
            responder.send({.headers = {{"content-type", "text/plain"}}, .body = text});
        });
    }
    std::string url(const std::string& path) const {
        return "https://127.0.0.1:" + std::to_string(server->port()) + path;
    }
    ClientOptions client_options() const { return {.ca_pem = authority.certificate_pem()}; }
    std::unique_ptr<TlsPeer> peer() const {
        return TlsPeer::connect({.port = server->port(), .ca_pem = authority.certificate_pem()});
    }

    Timestamp now;
    CertificateAuthority authority;
    Certificate certificate;
    ServerOptions options;
    /// Here, so that it outlives the server, whose threads may still be in it.
    Parking parking;
    std::unique_ptr<Server> server;
};

}  // namespace howdah::http
