#pragma once

#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "http/pending.h"

namespace howdah::http {

/// The open connections of a server, and the thread that cuts those that are too slow.
///
/// libmicrohttpd's own timeout starts anew with every byte, so a client that sends one byte at a
/// time would be served for ever. Here the peer has one limited time for each of: the TLS handshake
/// with the first request line, a whole request, taking the whole answer, and the next request
/// line. While we think about an answer no time runs. Thread-safe.
class Connections {
  public:
    class Connection {
      public:
        /// Common name of the client's certificate, once somebody has asked. Used by the network
        /// thread only.
        std::optional<std::string> peer_name;

      private:
        friend class Connections;
        int fd = -1;
        Instant since;
        bool peer_is_due = false;
        std::shared_ptr<Responder::Pending> pending;
        std::list<Connection>::iterator self;
    };

    explicit Connections(Duration limit);
    /// REQUIRES: every connection has been removed.
    ~Connections() = default;
    Connections(const Connections&) = delete;
    Connections& operator=(const Connections&) = delete;

    /// `fd` must stay open until remove().
    Connection* add(int fd);
    void remove(Connection* connection);
    /// From now on it is the peer's turn.
    void expect_peer(Connection* connection);
    /// It is our turn: `pending` will be answered some time.
    void begin_answer(Connection* connection, std::shared_ptr<Responder::Pending> pending);
    /// The request that was pending is over.
    void end_answer(Connection* connection);
    /// Answers every pending request with `response` and waits until all answers are sent, at most
    /// for `limit`.
    void answer_all(const Response& response, Duration limit);

  private:
    void cut_slow_peers(const std::stop_token& stop);

    struct Shared {
        std::mutex mutex;
        std::condition_variable_any changed;
        std::list<Connection> all;
    };

    const Duration limit_;
    SystemClock clock_;
    Shared shared_;
    std::jthread cutter_;
};

}  // namespace howdah::http
