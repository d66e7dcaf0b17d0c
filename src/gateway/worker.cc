#include "gateway/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"

namespace howdah::gateway {
namespace {

constexpr int kEventsPerRound = 256;
/// Connections taken from a listener before the worker looks at its sessions again.
constexpr int kAcceptsPerWake = 16;
/// Sessions beyond the bound that are still told why they are refused.
constexpr std::int64_t kPoliteRefusals = 64;

// What epoll gives back: the low bits of the tag say what the rest is.
constexpr std::uint64_t kTagKinds = 7;
constexpr std::uint64_t kTagClient = 0;   // pointer to a session
constexpr std::uint64_t kTagBackend = 1;  // pointer to a session
constexpr std::uint64_t kTagListener = 2;
constexpr std::uint64_t kTagWake = 3;
static_assert(alignof(Session) > kTagKinds);

std::uint64_t tag_of(const Listener& listener) {
    return static_cast<std::uint64_t>(listener.fd) << 32 |
           static_cast<std::uint64_t>(listener.port) << 16 | (listener.own_port ? 8U : 0U) |
           kTagListener;
}

Listener listener_of(std::uint64_t tag) {
    return {.fd = static_cast<int>(tag >> 32),
            .port = static_cast<std::uint16_t>(tag >> 16),
            .own_port = (tag & 8U) != 0};
}

int milliseconds_up(Duration duration) {
    const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
    return static_cast<int>(std::clamp<std::int64_t>(rounded, 0, 60'000));
}

}  // namespace

Worker::Worker(Shared& shared) : shared_(shared), chunk_(std::make_unique<char[]>(kChunk)) {}

Worker::~Worker() {
    for (auto& list : lists_) {
        for (Session& session : list) {
            close_side(session, kClient);
            close_side(session, kBackend);
        }
    }
    for (auto& [server, waiting] : waiting_) {
        for (Session& session : waiting.sessions) close_side(session, kClient);
    }
}

Status Worker::open() {
    epoll_ = os::Fd(epoll_create1(EPOLL_CLOEXEC));
    wake_ = os::Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    spare_ = os::Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!epoll_.valid() || !wake_.valid() || !spare_.valid())
        return Error{ErrorCode::resource_exhausted,
                     fmt::format("no descriptors for a worker: {}", strerror(errno))};
    epoll_event event{.events = EPOLLIN, .data = {.u64 = kTagWake}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0)
        return Error{ErrorCode::io, fmt::format("epoll_ctl: {}", strerror(errno))};
    return ok_status();
}

void Worker::run() {
    stopping_ = false;
    std::array<epoll_event, kEventsPerRound> events;
    while (!stopping_) {
        const int count = epoll_wait(epoll_.get(), events.data(), kEventsPerRound, timeout_ms());
        now_.reset();
        for (int i = 0; i < count; ++i) {
            const epoll_event& event = events[static_cast<std::size_t>(i)];
            dispatch(event.data.u64, event.events);
        }
        // Only now: a message may take away what an event of this round is about.
        if (has_mail_) take_mail();
        go_on();
        run_timers();
        forget_done();
    }
}

void Worker::dispatch(std::uint64_t tag, std::uint32_t events) {
    const std::uint64_t kind = tag & kTagKinds;
    if (kind == kTagListener) return accept_from(tag);
    if (kind == kTagWake) {
        has_mail_ = true;
        return;
    }
    Session& session = *reinterpret_cast<Session*>(tag & ~kTagKinds);
    switch (session.phase) {
        case Phase::relay:
            return on_relay(session, kind == kTagClient ? kClient : kBackend, events);
        case Phase::closing:
            return on_closing(session);
        case Phase::done:
            return;
        default:
            if (kind == kTagClient) return on_opening(session, events);
            if (session.phase == Phase::connecting) return on_connecting(session);
            if (session.phase == Phase::asking) return on_asking(session);
            if (session.phase == Phase::answering) return on_answering(session, events);
    }
}

Instant Worker::now() {
    if (!now_) now_ = shared_.clock.now();
    return *now_;
}

// -------------------------------------------------------------------------------------------------
// Messages from other threads

void Worker::post(std::function<void(Worker&)> call) {
    {
        const std::lock_guard lock(mail_.mutex);
        mail_.calls.push_back(std::move(call));
    }
    eventfd_write(wake_.get(), 1);
}

void Worker::stop() {
    post([](Worker& worker) { worker.stopping_ = true; });
}

void Worker::take_mail() {
    has_mail_ = false;
    eventfd_t count = 0;
    eventfd_read(wake_.get(), &count);
    std::vector<Accepted> accepted;
    std::vector<std::function<void(Worker&)>> calls;
    {
        const std::lock_guard lock(mail_.mutex);
        accepted.swap(mail_.accepted);
        calls.swap(mail_.calls);
    }
    for (Accepted& each : accepted) {
        load_.fetch_sub(1, std::memory_order_relaxed);
        adopt(std::move(each));
    }
    for (const auto& call : calls) call(*this);
}

void Worker::add_listener(const Listener& listener) {
    epoll_event event{.events = EPOLLIN | EPOLLEXCLUSIVE, .data = {.u64 = tag_of(listener)}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener.fd, &event) != 0)
        log::error("a worker cannot watch a port",
                   {{"port", listener.port}, {"error", strerror(errno)}});
}

void Worker::remove_listener(const Listener& listener) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener.fd, nullptr);
}

void Worker::use_routes(std::shared_ptr<const Routes> routes) {
    const std::shared_ptr<const Routes> before = std::exchange(routes_, std::move(routes));
    for (const Phase phase : {Phase::connecting, Phase::asking, Phase::answering, Phase::relay}) {
        auto& list = lists_[static_cast<std::size_t>(phase)];
        for (auto it = list.begin(); it != list.end();) {
            Session& session = *it++;
            if (!session.counters || !went_away(session)) continue;
            if (phase == Phase::relay) {
                end_relay(session, "its PostgreSQL is no longer the server's");
                finish(session);
            } else {
                backend_failed(session, "PostgreSQL was replaced");
            }
        }
    }
    rouse_waiting(*before);
    release_waiting();
}

bool Worker::went_away(Session& session) const {
    const Route* route = routes_->by_id(session.counters->server_id);
    if (route == nullptr) return true;
    if (route->backend.may_be(session.backend)) {
        session.term = std::max(session.term, route->term);
        return false;
    }
    // A newer term has another primary, even while that one cannot be reached yet.
    return route->state == RouteState::open || route->term > session.term;
}

void Worker::rouse_waiting(const Routes& before) {
    for (auto& [server, waiting] : waiting_) {
        const Route* from = before.by_id(server->server_id);
        const Route* to = routes_->by_id(server->server_id);
        if (from == nullptr || to == nullptr) continue;
        const bool same_backend = from->backend.same_address(to->backend) &&
                                  from->backend.postmaster_pid == to->backend.postmaster_pid;
        // What the former backend refused says nothing about this one.
        if (from->state != to->state || !same_backend) waiting.gate = {};
    }
}

// -------------------------------------------------------------------------------------------------
// Accepting

void Worker::accept_from(std::uint64_t tag) {
    const Listener listener = listener_of(tag);
    for (int i = 0; i < kAcceptsPerWake; ++i) {
        sockaddr_storage storage{};
        socklen_t length = sizeof storage;
        auto* raw = reinterpret_cast<sockaddr*>(&storage);
        os::Fd fd(accept4(listener.fd, raw, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!fd.valid()) {
            if (errno == EMFILE || errno == ENFILE) shed_connection(listener.fd);
            if (errno == EINTR || errno == ECONNABORTED) continue;
            return;
        }
        HD_FAILPOINT("gateway.session.accepted");
        if (shared_.sessions.load() >= shared_.limits.sessions_max + kPoliteRefusals ||
            shared_.sockets.load() >= shared_.limits.sockets_max + kPoliteRefusals) {
            shared_.nowhere.count(Refusal::too_many_sessions);
            continue;
        }
        Accepted accepted{.fd = std::move(fd),
                          .client = Address(raw),
                          .listen_port = listener.port,
                          .own_port = listener.own_port,
                          .time = now()};
        Worker* least = this;
        for (Worker* each : shared_.workers) {
            if (each->load() < least->load()) least = each;
        }
        if (least == this) {
            adopt(std::move(accepted));
            continue;
        }
        least->load_.fetch_add(1, std::memory_order_relaxed);
        {
            const std::lock_guard lock(least->mail_.mutex);
            least->mail_.accepted.push_back(std::move(accepted));
        }
        eventfd_write(least->wake_.get(), 1);
    }
}

void Worker::shed_connection(int listener) {
    // Left in the queue, the connection would wake this thread again and again.
    spare_.reset();
    { const os::Fd refused(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)); }
    spare_ = os::Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    shared_.nowhere.count(Refusal::too_many_sessions);
    errno = EMFILE;
}

bool Worker::beginners_full() const {
    const auto beginners = lists_[static_cast<std::size_t>(Phase::greeting)].size() +
                           lists_[static_cast<std::size_t>(Phase::hello)].size();
    return static_cast<std::int64_t>(beginners) >= shared_.limits.beginners_max;
}

void Worker::adopt(Accepted accepted) {
    if (beginners_full()) {
        // Whoever opens connections and says nothing must not keep others out.
        auto& greeting = lists_[static_cast<std::size_t>(Phase::greeting)];
        auto& hello = lists_[static_cast<std::size_t>(Phase::hello)];
        Session& oldest = greeting.empty() ? hello.front() : greeting.front();
        shared_.nowhere.count(Refusal::handshake_timeout);
        finish(oldest);
    }
    auto& list = lists_[static_cast<std::size_t>(Phase::greeting)];
    Session& session = list.emplace_back();
    session.self = std::prev(list.end());
    session.fds[kClient] = accepted.fd.release();
    session.client = accepted.client;
    session.listen_port = accepted.listen_port;
    session.own_port = accepted.own_port;
    session.accepted = accepted.time;
    session.since = accepted.time;
    session.opening = std::make_unique<Opening>();
    load_.fetch_add(1, std::memory_order_relaxed);
    const bool no_socket = shared_.sockets.fetch_add(1) >= shared_.limits.sockets_max;
    session.over_limit = shared_.sessions.fetch_add(1) >= shared_.limits.sessions_max || no_socket;
    if (!watch(session, kClient, EPOLLIN | EPOLLRDHUP)) return finish(session);
    // Most clients have spoken by now; if not, the edge is still to come.
    read_greeting(session);
}

bool Worker::watch(Session& session, Side side, std::uint32_t events, bool change) {
    const std::uint64_t kind = side == kClient ? kTagClient : kTagBackend;
    epoll_event event{.events = events | EPOLLET,
                      .data = {.u64 = reinterpret_cast<std::uint64_t>(&session) | kind}};
    session.stalled[side] = (events & EPOLLOUT) != 0;
    return epoll_ctl(epoll_.get(), change ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, session.fds[side],
                     &event) == 0;
}

// -------------------------------------------------------------------------------------------------
// Phases

std::list<Session>& Worker::list_of(const Session& session) {
    if (session.phase == Phase::held) return waiting_[session.counters.get()].sessions;
    return lists_[static_cast<std::size_t>(session.phase)];
}

void Worker::move(Session& session, Phase phase, bool to_front) {
    HD_ASSERT(session.phase != Phase::done, "a session that is done stays so");
    const Phase before = session.phase;
    std::list<Session>& from = list_of(session);
    if (before == Phase::held) {
        --shared_.held;
        --session.counters->held;
    }
    session.phase = phase;
    session.since = now();
    if (phase == Phase::held) {
        HD_ASSERT(session.counters != nullptr, "a session waits for a known server");
        ++shared_.held;
        ++session.counters->held;
    }
    std::list<Session>& to = list_of(session);
    to.splice(to_front ? to.begin() : to.end(), from, session.self);
    if (before == Phase::held && from.empty() && phase != Phase::held)
        waiting_.erase(session.counters.get());
}

void Worker::close_side(Session& session, Side side) {
    if (session.fds[side] < 0) return;
    // Closing alone is not enough: while a child is being started it has a copy of the descriptor,
    // and epoll would go on to report events of a session that is gone.
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, session.fds[side], nullptr);
    close(session.fds[side]);
    session.fds[side] = -1;
    shared_.sockets.fetch_sub(1, std::memory_order_relaxed);
}

void Worker::finish(Session& session) {
    close_side(session, kClient);
    close_side(session, kBackend);
    move(session, Phase::done);
    load_.fetch_sub(1, std::memory_order_relaxed);
    shared_.sessions.fetch_sub(1);
}

void Worker::forget_done() {
    auto& done = lists_[static_cast<std::size_t>(Phase::done)];
    if (done.empty()) return;
    std::erase_if(unfinished_, [](const Session* each) { return each->phase == Phase::done; });
    done.clear();
}

void Worker::go_on() {
    if (unfinished_.empty()) return;
    std::vector<Session*> sessions;
    sessions.swap(unfinished_);
    for (Session* each : sessions) {
        each->waiting = false;
        if (each->phase != Phase::relay) continue;
        pump(*each, kClient, true);
        if (each->phase == Phase::relay) pump(*each, kBackend, true);
    }
}

// -------------------------------------------------------------------------------------------------
// Time

int Worker::timeout_ms() {
    if (!unfinished_.empty()) return 0;
    std::optional<Instant> first = next_release();
    const auto consider = [&](Phase phase, Duration limit) {
        const auto& list = lists_[static_cast<std::size_t>(phase)];
        if (list.empty()) return;
        const Instant deadline = list.front().since + limit;
        if (!first || deadline < *first) first = deadline;
    };
    consider(Phase::greeting, shared_.limits.greeting);
    consider(Phase::hello, shared_.limits.hello);
    consider(Phase::connecting, shared_.limits.connect);
    consider(Phase::asking, shared_.limits.connect);
    consider(Phase::answering, shared_.limits.hold);
    consider(Phase::closing, shared_.limits.closing);
    if (!first) return -1;
    return milliseconds_up(*first - now());
}

void Worker::run_timers() {
    if (!waiting_.empty()) release_waiting();
    expire(Phase::greeting, shared_.limits.greeting);
    expire(Phase::hello, shared_.limits.hello);
    expire(Phase::connecting, shared_.limits.connect);
    expire(Phase::asking, shared_.limits.connect);
    expire(Phase::answering, shared_.limits.hold);
    expire(Phase::closing, shared_.limits.closing);
}

void Worker::expire(Phase phase, Duration limit) {
    auto& list = lists_[static_cast<std::size_t>(phase)];
    while (!list.empty() && list.front().since + limit <= now()) {
        Session& session = list.front();
        if (phase == Phase::closing)
            finish(session);
        else if (phase == Phase::answering)
            end_answering(session);
        else if (phase == Phase::connecting || phase == Phase::asking)
            backend_failed(session, "PostgreSQL does not answer");
        else
            refuse(session, Refusal::handshake_timeout);
    }
}

// -------------------------------------------------------------------------------------------------
// What others want to know

void Worker::visit(const std::function<void(const Session&)>& visitor) const {
    for (std::size_t i = 0; i < kPhases; ++i) {
        if (i == static_cast<std::size_t>(Phase::done)) continue;
        for (const Session& session : lists_[i]) visitor(session);
    }
    for (const auto& [server, waiting] : waiting_) {
        for (const Session& session : waiting.sessions) visitor(session);
    }
}

void Worker::describe_sessions(std::vector<model::GatewaySession>& out) {
    visit([&](const Session& session) {
        const auto age = now() - session.accepted;
        out.push_back({.server_id = session.counters ? session.counters->server_id : "",
                       .client_address = session.client.text(),
                       .client_port = session.client.port(),
                       .backend_port = session.backend_port,
                       .phase = std::string(to_string(session.phase)),
                       .tls = session.tls,
                       .age_ms = std::chrono::duration_cast<std::chrono::milliseconds>(age).count(),
                       .bytes_in = session.bytes[kClient],
                       .bytes_out = session.bytes[kBackend]});
    });
}

void Worker::add_live_bytes(
    std::unordered_map<const Counters*, std::array<std::int64_t, 2>>& out) const {
    visit([&out](const Session& session) {
        if (!session.counters || session.phase != Phase::relay) return;
        auto& sums = out[session.counters.get()];
        for (const Side side : {kClient, kBackend}) sums[side] += session.bytes[side];
    });
}

void Worker::restore(Session from, bool was_held) {
    const Phase phase = from.phase;
    auto& list =
        was_held ? waiting_[from.counters.get()].sessions : lists_[static_cast<std::size_t>(phase)];
    Session& session = list.emplace_back(std::move(from));
    session.self = std::prev(list.end());
    load_.fetch_add(1, std::memory_order_relaxed);
    shared_.sessions.fetch_add(1);
    shared_.sockets.fetch_add(session.fds[kBackend] >= 0 ? 2 : 1);
    if (phase == Phase::held) {
        ++shared_.held;
        ++session.counters->held;
    }
    // Registering reports what is ready already, so no edge of the time between is lost.
    std::uint32_t client = EPOLLIN | EPOLLRDHUP;
    if (!session.pending[kClient].empty()) client |= EPOLLOUT;
    bool watched = watch(session, kClient, client);
    if (session.fds[kBackend] >= 0)
        watched = watched && watch(session, kBackend, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    if (!watched) finish(session);
}

}  // namespace howdah::gateway
