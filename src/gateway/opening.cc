// From a session's first byte to its relay, or to its refusal.

#include <errno.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "gateway/startup_packet.h"
#include "gateway/worker.h"

namespace howdah::gateway {
namespace {

/// The first PostgreSQL that takes TLS without an SSLRequest.
constexpr std::int64_t kDirectTlsMajor = 17;
constexpr char kTlsYes = 'S';
constexpr char kTlsNo = 'N';

/// How a refusal looks to a client: the SQLSTATE and hint of a plain one, the alert of a TLS one.
struct Wording {
    Refusal refusal;
    std::string_view sqlstate;
    std::string_view hint;
    TlsAlert alert = TlsAlert::access_denied;
};
constexpr std::string_view kNotAuthorized = "28000";
constexpr std::string_view kNotNow = "57P03";
constexpr Wording kWordings[] = {
    {Refusal::unknown_name, kNotAuthorized, "Check the host name and the port.",
     TlsAlert::unrecognized_name},
    {Refusal::no_name, kNotAuthorized,
     "Use sslmode=require or stricter with the server's host name, or the server's own port.",
     TlsAlert::unrecognized_name},
    {Refusal::firewall, kNotAuthorized, "Add a firewall rule for the client's address."},
    {Refusal::public_access, kNotAuthorized, "Enable public network access of the server."},
    {Refusal::tls_required, kNotAuthorized,
     "Use sslmode=require or stricter, or turn require_secure_transport off."},
    {Refusal::direct_tls, kNotAuthorized, "Use sslnegotiation=postgres.",
     TlsAlert::no_application_protocol},
    {Refusal::closed, kNotNow, "Start the server."},
    {Refusal::hold_timeout, kNotNow, "Try again in a moment."},
    {Refusal::hold_full, kNotNow, "Try again in a moment."},
    {Refusal::backend, kNotNow, "Try again in a moment."},
    {Refusal::backend_without_tls, kNotNow, "Check the server's parameter ssl."},
    {Refusal::protocol, "08P01", ""},
    {Refusal::handshake_timeout, "08P01", ""},
    {Refusal::too_many_sessions, "53300", "Try again in a moment."},
};

Wording wording_of(Refusal refusal) {
    for (const Wording& each : kWordings) {
        if (each.refusal == refusal) return each;
    }
    return {.refusal = refusal, .sqlstate = kNotNow, .hint = ""};
}

/// A server that is highly available has another primary in a moment. Until PostgreSQL has said its
/// first word nothing has happened that the client could see, so the session may begin anew there.
bool is_tried_again(const Session& session) { return session.term > 0 && !session.cancel; }

/// What PostgreSQL gets before it has answered. Of a session that may be tried again it is the
/// first packet alone: a query behind it might be executed twice.
std::string_view first_bytes(const Session& session) {
    const std::string_view bytes = session.opening->bytes;
    if (session.tls || !is_tried_again(session)) return bytes;
    return bytes.substr(0, classify_first_packet(bytes).length);
}

}  // namespace

// -------------------------------------------------------------------------------------------------
// What the client says first

void Worker::on_opening(Session& session, std::uint32_t events) {
    if (session.phase == Phase::greeting)
        read_greeting(session);
    else if (session.phase == Phase::hello)
        read_hello(session);
    const bool waits = session.phase == Phase::held || session.phase == Phase::connecting ||
                       session.phase == Phase::asking || session.phase == Phase::answering;
    // What the client sends while it waits stays with the kernel, but one that went away is not
    // waited for. Who sends a cancel request may go at once: it gets no answer.
    if (waits && !session.cancel && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        finish(session);
}

void Worker::read_greeting(Session& session) {
    std::string& bytes = session.opening->bytes;
    while (session.phase == Phase::greeting) {
        const ssize_t count = recv(session.fds[kClient], chunk_.get(), kChunk, 0);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EAGAIN) return;
        if (count <= 0) return finish(session);
        bytes.append(chunk_.get(), static_cast<std::size_t>(count));
        session.bytes[kClient] += count;
        const FirstPacketFacts facts = classify_first_packet(bytes);
        switch (facts.kind) {
            case FirstPacket::incomplete:
                break;
            case FirstPacket::ssl_request:
            case FirstPacket::gss_request: {
                const bool gss = facts.kind == FirstPacket::gss_request;
                // Bytes behind the request would be taken for bytes of the encrypted stream.
                if (bytes.size() > facts.length || (gss && session.gss_refused))
                    return refuse(session, Refusal::protocol, "bytes behind a negotiation request");
                bytes.clear();
                if (!answer(session, gss ? kTlsNo : kTlsYes)) return finish(session);
                session.gss_refused = session.gss_refused || gss;
                if (gss) break;
                session.tls = true;
                move(session, Phase::hello);
                return;  // the ClientHello cannot be there yet: its edge is still to come
            }
            case FirstPacket::cancel_request:
                return route_cancel(session, facts);
            case FirstPacket::startup:
                return place(session, false);
            case FirstPacket::direct_tls:
                session.tls = session.direct_tls = true;
                move(session, Phase::hello);
                return read_hello(session);
            case FirstPacket::malformed:
                return refuse(session, Refusal::protocol, facts.fault, facts.sqlstate);
        }
    }
}

bool Worker::answer(Session& session, char byte) {
    // A new connection has room for one byte; if not, something is very wrong with it.
    return send(session.fds[kClient], &byte, 1, MSG_NOSIGNAL) == 1;
}

void Worker::read_hello(Session& session) {
    Opening& opening = *session.opening;
    bool first = session.direct_tls && !opening.bytes.empty();
    while (session.phase == Phase::hello) {
        if (!first) {
            const std::size_t room =
                std::min(kChunk, ClientHelloReader::kBytesMax - opening.bytes.size());
            const ssize_t count = recv(session.fds[kClient], chunk_.get(), room, 0);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0 && errno == EAGAIN) return;
            if (count <= 0) return finish(session);
            opening.bytes.append(chunk_.get(), static_cast<std::size_t>(count));
            session.bytes[kClient] += count;
        }
        first = false;
        switch (opening.hello.advance(opening.bytes)) {
            case ClientHelloReader::State::incomplete:
                break;
            case ClientHelloReader::State::complete:
                return place(session, false);
            case ClientHelloReader::State::malformed:
                return refuse(session, Refusal::protocol, opening.hello.fault());
        }
    }
}

// -------------------------------------------------------------------------------------------------
// Where it goes

const Route* Worker::find_route(const Session& session) const {
    if (session.counters) return routes_->by_id(session.counters->server_id);
    if (session.own_port) return routes_->by_port(session.listen_port);
    if (!session.tls) return nullptr;
    return routes_->by_name(session.opening->hello.server_name());
}

std::optional<Refusal> Worker::objection(const Session& session, const Route& route) const {
    if (!route.firewall.public_access()) return Refusal::public_access;
    if (!route.firewall.admits(session.client, routes_->host())) return Refusal::firewall;
    if (session.cancel) return std::nullopt;
    if (!session.tls && route.require_tls) return Refusal::tls_required;
    if (session.direct_tls && route.major < kDirectTlsMajor) return Refusal::direct_tls;
    if (route.state == RouteState::closed) return Refusal::closed;
    return std::nullopt;
}

bool Worker::is_reachable(const Route& route) const {
    // A table whose postmaster has died is out of date: what listens on that port now may not be
    // ready, or may not be meant to be reached yet. The next table will tell.
    const std::int64_t pid = route.local_postmaster;
    return route.state == RouteState::open && (pid == 0 || shared_.exists(pid));
}

void Worker::place(Session& session, bool released) {
    if (session.over_limit) return refuse(session, Refusal::too_many_sessions);
    const Route* route = find_route(session);
    if (route == nullptr) {
        const bool named = session.own_port || session.counters ||
                           (session.tls && !session.opening->hello.server_name().empty());
        return refuse(session, named ? Refusal::unknown_name : Refusal::no_name,
                      session.tls ? session.opening->hello.server_name() : "");
    }
    session.counters = route->counters;
    if (const auto refusal = objection(session, *route))
        return refuse(session, *refusal,
                      *refusal == Refusal::closed ? route->reason : std::string());
    const auto waiting = waiting_.find(route->counters.get());
    const bool queue = waiting != waiting_.end() && !released;
    if (!is_reachable(*route) || queue) return hold(session, released);
    connect_backend(session, *route);
}

void Worker::route_cancel(Session& session, const FirstPacketFacts& facts) {
    session.cancel = true;
    session.opening->bytes.resize(facts.length);
    {
        const std::lock_guard lock(shared_.cancels.mutex);
        if (!shared_.cancels.limiter.allow(session.client.host_hash(), now()))
            return refuse(session, Refusal::cancel_rate);
    }
    // A plain cancel request names a process and nothing else. On a server's own port PostgreSQL
    // judges the process; on the shared port its parent tells whose it is.
    const Route* route = session.own_port
                             ? routes_->by_port(session.listen_port)
                             : routes_->by_postmaster(shared_.parent_of(facts.cancel_pid));
    if (route == nullptr) return refuse(session, Refusal::cancel_target);
    session.counters = route->counters;
    if (const auto refusal = objection(session, *route)) return refuse(session, *refusal);
    ++route->counters->cancels;
    connect_backend(session, *route);
}

// -------------------------------------------------------------------------------------------------
// Waiting

void Worker::hold(Session& session, bool to_front) {
    if (session.held_since == Instant{}) session.held_since = now();
    const bool new_here = !session.counted_held;
    if (new_here) {
        if (shared_.held.load() >= shared_.limits.held_max)
            return refuse(session, Refusal::hold_full);
        session.counted_held = true;
        ++session.counters->held_total;
    }
    move(session, Phase::held, to_front);
}

void Worker::release_waiting() {
    // A released session may come back and a queue may go away: names first, then each by itself.
    std::vector<const Counters*> servers;
    for (const auto& [server, waiting] : waiting_) servers.push_back(server);
    for (const Counters* server : servers) {
        const auto found = waiting_.find(server);
        if (found != waiting_.end()) release_from(found->second, server);
    }
}

void Worker::release_from(Waiting& waiting, const Counters* server) {
    const Route* route = routes_->by_id(server->server_id);
    const bool hopeless = route == nullptr || route->state == RouteState::closed;
    const bool open = route != nullptr && is_reachable(*route);
    std::size_t left = waiting.sessions.size();  // those that come back wait for the next round
    while (left-- > 0) {
        Session& first = waiting.sessions.front();
        const bool last = waiting.sessions.size() == 1;
        if (first.held_since + shared_.limits.hold <= now()) {
            refuse(first, Refusal::hold_timeout, route != nullptr ? route->reason : "");
        } else if (hopeless) {
            place(first, true);  // which says why not
        } else if (open && waiting.gate.may_release(now())) {
            waiting.gate.released(now());
            place(first, true);
            // Refused at once: the others would be, too.
            if (first.phase == Phase::held) return;
        } else {
            return;
        }
        if (last) return;  // the queue may be gone with its last session
    }
}

std::optional<Instant> Worker::next_release() const {
    std::optional<Instant> next;
    for (const auto& [server, waiting] : waiting_) {
        Instant due = waiting.sessions.front().held_since + shared_.limits.hold;
        const Route* route = routes_->by_id(server->server_id);
        if (route != nullptr && is_reachable(*route)) due = std::min(due, waiting.gate.next());
        if (!next || due < *next) next = due;
    }
    return next;
}

// -------------------------------------------------------------------------------------------------
// Reaching PostgreSQL

void Worker::connect_backend(Session& session, const Route& route) {
    session.backend = route.backend;
    session.term = route.term;
    const Address& address = route.backend.address;
    if (shared_.sockets.load() >= shared_.limits.sockets_max)
        return refuse(session, Refusal::too_many_sessions, "the limit of open files");
    const int fd = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return refuse(session, Refusal::too_many_sessions, strerror(errno));
    session.fds[kBackend] = fd;
    shared_.sockets.fetch_add(1, std::memory_order_relaxed);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!address.is_loopback()) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    // Where PostgreSQL lets nobody else come from; the port is chosen with the connection.
    if (address.is_loopback() && address.family() == AF_INET) {
        static const Address source = Address::parse(std::string(model::kGatewaySource), 0).value();
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(fd, source.raw(), source.length()) != 0)
            return backend_failed(session, strerror(errno));
    } else if (shared_.source && shared_.source->family() == address.family()) {
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(fd, shared_.source->raw(), shared_.source->length()) != 0)
            return backend_failed(session, strerror(errno));
    }
    move(session, Phase::connecting);
    if (connect(fd, address.raw(), address.length()) != 0 && errno != EINPROGRESS)
        return backend_failed(session, strerror(errno));
    if (!watch(session, kBackend, EPOLLIN | EPOLLOUT | EPOLLRDHUP))
        return refuse(session, Refusal::too_many_sessions, strerror(errno));
    // On this machine the connection stands already; if not, the edge tells.
    on_connecting(session);
}

void Worker::on_connecting(Session& session) {
    const bool ask = session.tls && !session.direct_tls;
    const std::string_view first = ask ? ssl_request() : first_bytes(session);
    const ssize_t count = send(session.fds[kBackend], first.data(), first.size(), MSG_NOSIGNAL);
    if (count < 0 && (errno == EAGAIN || errno == ENOTCONN || errno == EINTR)) return;
    if (count < 0) return backend_failed(session, strerror(errno));
    session.backend_port = Address::local_of(session.fds[kBackend]).port();
    const auto sent = static_cast<std::size_t>(count);
    if (ask) {
        if (sent != first.size()) return backend_failed(session, "PostgreSQL takes no bytes");
        return move(session, Phase::asking);
    }
    if (is_tried_again(session)) return begin_answering(session, sent);
    session.opening->bytes.erase(0, sent);
    begin_relay(session);
}

void Worker::on_asking(Session& session) {
    char byte = 0;
    // Exactly one byte: what follows belongs to the encrypted stream.
    const ssize_t count = recv(session.fds[kBackend], &byte, 1, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) return backend_failed(session, count == 0 ? "it closed" : strerror(errno));
    if (byte == kTlsNo) return refuse(session, Refusal::backend_without_tls);
    // Anything else is the beginning of an error that cannot be shown to the client.
    if (byte != kTlsYes) return backend_failed(session, "PostgreSQL is not ready");
    if (is_tried_again(session)) return begin_answering(session, 0);
    begin_relay(session);
}

void Worker::begin_answering(Session& session, std::size_t sent) {
    session.opening->sent = sent;
    move(session, Phase::answering);
    on_answering(session, 0);
}

void Worker::on_answering(Session& session, std::uint32_t events) {
    const int fd = session.fds[kBackend];
    const std::string_view first = first_bytes(session);
    std::size_t& sent = session.opening->sent;
    while (sent < first.size()) {
        const ssize_t count = send(fd, first.data() + sent, first.size() - sent, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) break;  // reading tells whether it is full or gone
        sent += static_cast<std::size_t>(count);
    }
    // Left in the socket: what is for the client goes to it like all that follows.
    const ssize_t count = recv(fd, chunk_.get(), kChunk, MSG_PEEK);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) return backend_failed(session, count == 0 ? "it closed" : strerror(errno));
    if (!session.tls) {
        const auto answer = classify_first_answer({chunk_.get(), static_cast<std::size_t>(count)});
        const bool ended = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        if (answer == FirstAnswer::incomplete && !ended) return;
        if (answer == FirstAnswer::not_now)
            return backend_failed(session, "PostgreSQL is not ready");
    }
    end_answering(session);
}

void Worker::end_answering(Session& session) {
    session.opening->bytes.erase(0, session.opening->sent);
    begin_relay(session);
}

void Worker::backend_failed(Session& session, std::string_view why) {
    close_side(session, kBackend);
    session.backend_port = 0;
    session.opening->sent = 0;
    if (session.cancel) return refuse(session, Refusal::backend, why);
    const bool was_held = session.counted_held;
    if (was_held && session.held_since + shared_.limits.hold <= now())
        return refuse(session, Refusal::hold_timeout, why);
    // A session that was ahead of the others stays so.
    hold(session, was_held);
    if (session.phase == Phase::held) waiting_[session.counters.get()].gate.refused(now());
}

void Worker::begin_relay(Session& session) {
    Counters& counters = *session.counters;
    const auto waiting = waiting_.find(&counters);
    if (waiting != waiting_.end()) waiting->second.gate.connected();
    const std::unique_ptr<Opening> opening = std::move(session.opening);
    move(session, Phase::relay);
    ++counters.accepted;
    ++counters.active;
    if (session.counted_held) {
        const auto waited = now() - session.held_since;
        counters.held_ms += std::chrono::duration_cast<std::chrono::milliseconds>(waited).count();
    }
    shared_.journal.add({.kind = SessionEvent::Kind::began,
                         .server = session.counters,
                         .client = session.client,
                         .backend_port = session.backend_port,
                         .tls = session.tls,
                         .cancel = session.cancel,
                         .elapsed = now() - session.accepted});
    if (!opening->bytes.empty() && !write_out(session, kBackend, opening->bytes)) return;
    // The edges of bytes that came while it waited are gone.
    pump(session, kClient, true);
    if (session.phase == Phase::relay) pump(session, kBackend, true);
}

// -------------------------------------------------------------------------------------------------
// Refusing

void Worker::refuse(Session& session, Refusal refusal, std::string_view detail,
                    std::string_view sqlstate) {
    Counters& counters = session.counters ? *session.counters : shared_.nowhere;
    counters.count(refusal);
    shared_.journal.add({.kind = SessionEvent::Kind::refused,
                         .server = session.counters,
                         .client = session.client,
                         .tls = session.tls,
                         .cancel = session.cancel,
                         .elapsed = now() - session.accepted,
                         .refusal = refusal,
                         .detail = std::string(detail)});
    const Wording wording = wording_of(refusal);
    std::string last;
    const bool silent =
        session.cancel || !session.opening ||
        (session.phase == Phase::greeting && session.opening->bytes.empty() && !session.tls);
    if (session.tls) {
        const bool broken_hello =
            refusal == Refusal::protocol && session.opening &&
            session.opening->hello.state() == ClientHelloReader::State::malformed;
        last = alert_record(broken_hello ? session.opening->hello.alert() : wording.alert);
    } else if (!silent) {
        const bool explain = !detail.empty() && refusal != Refusal::too_many_sessions;
        last = error_response(
            sqlstate.empty() ? wording.sqlstate : sqlstate,
            explain ? fmt::format("{}: {}", explanation(refusal), detail) : explanation(refusal),
            wording.hint);
    }
    session.opening.reset();
    close_side(session, kBackend);
    move(session, Phase::closing);
    session.pending[kClient].append(last);
    on_closing(session);
}

}  // namespace howdah::gateway
