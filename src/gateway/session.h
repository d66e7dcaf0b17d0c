#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "gateway/client_hello.h"
#include "gateway/routes.h"

namespace howdah::gateway {

/// The life of a session. Worker::move is the only place that changes it; each phase but `held` has
/// one list, in the order in which its sessions came, so that a deadline is looked for only at the
/// head. The numbers of all but `done` go through upgrades.
enum class Phase : std::uint8_t {
    greeting,    ///< the client's first packet is awaited
    hello,       ///< the client's TLS ClientHello is awaited
    held,        ///< waits until the server can be reached
    connecting,  ///< connect() to PostgreSQL is under way
    asking,      ///< PostgreSQL was asked for TLS; its one byte is awaited
    relay,       ///< bytes go both ways, unread
    closing,     ///< the last bytes go to the client, then its end of stream is awaited
    answering,   ///< the first packet went to PostgreSQL, which has not said anything yet
    done,        ///< closed; forgotten at the end of the round
};
inline constexpr std::size_t kPhases = 9;
std::string_view to_string(Phase phase);

enum Side : std::uint8_t { kClient = 0, kBackend = 1 };
inline Side other_side(Side side) { return side == kClient ? kBackend : kClient; }

/// Bytes that a socket did not take yet. Allocated only while there are any, and never more than
/// one read of the other side (kChunk).
class Pending {
  public:
    bool empty() const { return position_ == bytes_.size(); }
    std::string_view rest() const { return std::string_view(bytes_).substr(position_); }
    void append(std::string_view bytes);
    void consume(std::size_t count);

  private:
    std::string bytes_;
    std::size_t position_ = 0;
};

/// What is known only while a session begins; given up when it relays.
struct Opening {
    std::string bytes;     ///< received and not answered: what PostgreSQL will get first
    std::size_t sent = 0;  ///< of `bytes`, in the phase `answering`: what PostgreSQL got
    ClientHelloReader hello;
};

/// A client's connection and the connection to PostgreSQL that belongs to it. Owned by the lists of
/// one worker and touched by its thread only.
struct Session {
    int fds[2] = {-1, -1};
    Phase phase = Phase::greeting;
    bool own_port = false;      ///< came in on a server's own port
    bool tls = false;           ///< 'S' was answered, or the client began with TLS
    bool direct_tls = false;    ///< the client began with TLS, without SSLRequest
    bool gss_refused = false;   ///< 'N' was answered to a GSSENCRequest
    bool cancel = false;        ///< carries a cancel request and nothing else
    bool over_limit = false;    ///< was accepted only to be refused politely
    bool counted_held = false;  ///< is in `held_total` already
    bool stalled[2] = {};       ///< [side]: its socket is watched for room to write
    bool ended[2] = {};         ///< [side]: its end of stream was read
    bool shut[2] = {};          ///< [side]: it was sent our end of stream
    bool waiting = false;       ///< stands in the worker's list of sessions to go on with
    std::uint16_t listen_port = 0;
    std::uint16_t backend_port = 0;  ///< local port of our connection to PostgreSQL
    Instant accepted{};
    Instant since{};             ///< when the phase began
    Instant held_since{};        ///< when it first had to wait
    std::int64_t bytes[2] = {};  ///< [side]: read from it
    std::int64_t discarded = 0;  ///< bytes read away while closing
    Address client;
    BackendIdentity backend;
    model::Term term = 0;  ///< the newest in which `backend` was seen to be its server's
    std::shared_ptr<Counters> counters;  ///< of its server, as soon as that is known
    std::unique_ptr<Opening> opening;
    Pending pending[2];  ///< [side]: waits to be written to it
    std::list<Session>::iterator self;
};

}  // namespace howdah::gateway
