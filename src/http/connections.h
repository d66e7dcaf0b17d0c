#pragma once

#include <condition_variable>
#include <list>
#include <map>
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
/// time would be served for ever. Here the peer has one limited time for each of: everything up to
/// the end of its first request, a later request, taking the whole answer, and the next request
/// line. While we think about an answer no time runs.
///
/// And when libmicrohttpd has all the connections it may have, it lets nobody in. Here a new one
/// takes the place of one that asks for nothing. Thread-safe.
class Connections {
  public:
    struct Limits {
        Duration patience;       ///< for each of the above
        Duration first_request;  ///< for the first of them
        std::size_t all_max = 0;
        std::size_t per_address_max = 0;
    };
    class Connection {
      public:
        /// Common name of the client's certificate, once somebody has asked. Used by the network
        /// thread only.
        std::optional<std::string> peer_name;

      private:
        friend class Connections;
        int fd = -1;
        std::string address;
        Instant since;
        bool peer_is_due = false;
        bool had_request = false;  ///< a whole one
        bool is_idle = true;       ///< between requests, or before the end of the first
        bool is_cut = false;       ///< it ends, and counts no more
        std::shared_ptr<Responder::Pending> pending;
        std::list<Connection>::iterator self;
    };

    explicit Connections(Limits limits);
    /// REQUIRES: every connection has been removed.
    ~Connections() = default;
    Connections(const Connections&) = delete;
    Connections& operator=(const Connections&) = delete;

    /// `fd` must stay open until remove(). If that is one too many, another is cut, or this one.
    Connection* add(int fd, const std::string& address);
    void remove(Connection* connection);
    /// The peer has begun to send a request.
    void begin_request(Connection* connection);
    /// The peer has sent a whole request, and from now on takes the answer.
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
    void make_room_locked(Connection& added);
    void cut_locked(Connection& connection);
    void uncount_locked(Connection& connection);

    struct Shared {
        std::mutex mutex;
        // Two, so that a request wakes nobody when there is nobody to wake.
        std::condition_variable_any used;           ///< there is a connection, after there was none
        std::condition_variable_any answered;       ///< a request or a connection has ended
        std::list<Connection> all;                  ///< oldest first
        std::size_t count = 0;                      ///< of those that are not cut
        std::map<std::string, std::size_t> counts;  ///< likewise, by address
    };

    const Limits limits_;
    SystemClock clock_;
    Shared shared_;
    std::jthread cutter_;
};

}  // namespace howdah::http
