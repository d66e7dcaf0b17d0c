// Moving bytes between a client and PostgreSQL, unread; and the end of a session.

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cstring>

#include "base/assert.h"
#include "gateway/worker.h"

namespace howdah::gateway {
namespace {

/// Full chunks moved for one session before the others have their turn.
constexpr int kChunksPerTurn = 8;
/// Bytes of a refused client that are read away so that it sees why, not a reset.
constexpr std::int64_t kDiscardMax = 1 << 20;
constexpr std::uint32_t kHungUp = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

}  // namespace

void Worker::on_relay(Session& session, Side side, std::uint32_t events) {
    if ((events & EPOLLOUT) != 0 && !session.pending[side].empty()) {
        if (!flush(session, side)) return;
        // The other side was not read meanwhile, and its edge is gone.
        if (session.pending[side].empty()) pump(session, other_side(side), true);
        if (session.phase != Phase::relay) return;
    }
    // A short read means that the socket is empty, unless the end of the stream waits behind it.
    if ((events & (EPOLLIN | kHungUp)) != 0) pump(session, side, (events & kHungUp) != 0);
}

void Worker::pump(Session& session, Side from, bool until_empty) {
    const Side to = other_side(from);
    for (int turn = 0; turn < kChunksPerTurn; ++turn) {
        // Backpressure: what one side does not take is not read from the other.
        if (!session.pending[to].empty() || session.ended[from]) return;
        const ssize_t count = recv(session.fds[from], chunk_.get(), kChunk, 0);
        if (count > 0) {
            const auto size = static_cast<std::size_t>(count);
            session.bytes[from] += count;
            if (!write_out(session, to, {chunk_.get(), size})) return;
            if (size < kChunk && !until_empty) return;
        } else if (count == 0) {
            session.ended[from] = true;
            return settle(session);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            // Linux reports a reset only after the bytes that came before it were read.
            session.ended[from] = true;
            return from == kBackend ? settle(session) : broken(session, from);
        }
    }
    if (session.waiting) return;
    session.waiting = true;
    unfinished_.push_back(&session);
}

bool Worker::write_out(Session& session, Side to, std::string_view bytes) {
    HD_ASSERT(session.pending[to].empty(), "bytes would overtake others");
    ssize_t count = send(session.fds[to], bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            broken(session, to);
            return false;
        }
        count = 0;
    }
    if (static_cast<std::size_t>(count) == bytes.size()) return true;
    session.pending[to].append(bytes.substr(static_cast<std::size_t>(count)));
    // From now on the socket's room is watched too; most sockets never need that.
    if (!session.stalled[to] && !watch(session, to, EPOLLIN | EPOLLOUT | EPOLLRDHUP, true)) {
        broken(session, to);
        return false;
    }
    return true;
}

bool Worker::flush(Session& session, Side to) {
    Pending& pending = session.pending[to];
    while (!pending.empty()) {
        const std::string_view rest = pending.rest();
        const ssize_t count = send(session.fds[to], rest.data(), rest.size(), MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EAGAIN) return true;
        if (count < 0) {
            broken(session, to);
            return false;
        }
        pending.consume(static_cast<std::size_t>(count));
    }
    settle(session);
    return session.phase == Phase::relay;
}

void Worker::broken(Session& session, Side side) {
    if (side == kClient) {
        end_relay(session, strerror(errno));
        return finish(session);
    }
    // PostgreSQL closed while it was being written to. Its last words are still to be read.
    session.pending[kBackend] = {};
    if (!session.ended[kBackend]) pump(session, kBackend, true);
    if (session.phase != Phase::relay || session.waiting || !session.pending[kClient].empty())
        return;
    session.ended[kBackend] = true;
    settle(session);
}

void Worker::settle(Session& session) {
    if (session.ended[kBackend] && session.pending[kClient].empty()) {
        end_relay(session, "");
        close_side(session, kBackend);
        if (session.ended[kClient]) return finish(session);
        move(session, Phase::closing);
        on_closing(session);
    } else if (session.ended[kClient] && session.pending[kBackend].empty() &&
               !session.shut[kBackend]) {
        session.shut[kBackend] = true;
        shutdown(session.fds[kBackend], SHUT_WR);
    }
}

void Worker::end_relay(Session& session, std::string_view why) {
    HD_ASSERT(session.phase == Phase::relay, "only a session that relays ends so");
    Counters& counters = *session.counters;
    --counters.active;
    counters.bytes_in += session.bytes[kClient];
    counters.bytes_out += session.bytes[kBackend];
    shared_.journal.add({.kind = SessionEvent::Kind::ended,
                         .server = session.counters,
                         .client = session.client,
                         .backend_port = session.backend_port,
                         .tls = session.tls,
                         .cancel = session.cancel,
                         .elapsed = now() - session.accepted,
                         .bytes_in = session.bytes[kClient],
                         .bytes_out = session.bytes[kBackend],
                         .detail = std::string(why)});
}

void Worker::on_closing(Session& session) {
    Pending& pending = session.pending[kClient];
    while (!pending.empty()) {
        const std::string_view rest = pending.rest();
        const ssize_t count = send(session.fds[kClient], rest.data(), rest.size(), MSG_NOSIGNAL);
        if (count >= 0) {
            pending.consume(static_cast<std::size_t>(count));
        } else if (errno == EAGAIN) {
            if (!session.stalled[kClient] &&
                !watch(session, kClient, EPOLLIN | EPOLLOUT | EPOLLRDHUP, true))
                finish(session);
            return;
        } else if (errno != EINTR) {
            return finish(session);
        }
    }
    if (!session.shut[kClient]) {
        session.shut[kClient] = true;
        shutdown(session.fds[kClient], SHUT_WR);
    }
    // Closing while bytes of the client are unread would reset the connection, and the client
    // might lose what it was just told.
    while (session.discarded < kDiscardMax) {
        const ssize_t count = recv(session.fds[kClient], chunk_.get(), kChunk, 0);
        if (count > 0)
            session.discarded += count;
        else if (count < 0 && errno == EAGAIN)
            return;
        else if (count == 0 || errno != EINTR)
            break;
    }
    finish(session);
}

}  // namespace howdah::gateway
