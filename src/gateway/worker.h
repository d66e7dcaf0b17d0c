#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "gateway/journal.h"
#include "gateway/pacing.h"
#include "gateway/routes.h"
#include "gateway/session.h"
#include "gateway/startup_packet.h"
#include "model/records.h"
#include "os/fd.h"

namespace howdah::gateway {

class Worker;

/// Bounds of all sessions together, and how long each phase may last.
struct Limits {
    std::int64_t sessions_max = 20000;
    /// Of the sockets of all sessions: what RLIMIT_NOFILE leaves. A session begins with one and
    /// has two when it relays.
    std::int64_t sockets_max = 40000;
    std::int64_t held_max = 2000;
    /// Sessions of one worker that have not begun yet; beyond it the oldest is dropped.
    std::int64_t beginners_max = 8192;
    Duration greeting = std::chrono::seconds(10);
    Duration hello = std::chrono::seconds(5);
    Duration hold = std::chrono::seconds(10);
    Duration connect = std::chrono::seconds(5);
    Duration closing = std::chrono::seconds(2);
};

/// What the workers have in common. Thread-safe as its members are; outlives the workers.
struct Shared {
    const Clock& clock;
    Limits limits;
    Journal& journal;
    std::optional<Address> source;  ///< of connections to other machines; none: the system chooses
    /// The parent of a process of this machine; 0 if there is none.
    std::function<std::int64_t(std::int64_t)> parent_of;
    /// False only if this machine certainly has no such process.
    std::function<bool(std::int64_t)> exists;
    Counters nowhere;  ///< sessions that found no server
    std::atomic<std::int64_t> sessions{0};
    std::atomic<std::int64_t> sockets{0};
    std::atomic<std::int64_t> held{0};
    std::vector<Worker*> workers;  ///< fixed before the first one runs
    struct {
        std::mutex mutex;
        CancelLimiter limiter;
    } cancels;
};

/// A client that was accepted and is on its way to a worker.
struct Accepted {
    os::Fd fd;
    Address client;
    std::uint16_t listen_port = 0;
    bool own_port = false;
    Instant time{};
};

/// A listening socket as the workers see it.
struct Listener {
    int fd = -1;
    std::uint16_t port = 0;
    bool own_port = false;  ///< belongs to one server
};

/// One thread of the gateway: an epoll loop over its own sessions, which never leave it. Nothing in
/// it blocks. All members but those named thread-safe belong to the thread inside run(), or to the
/// control thread while run() is not running.
class Worker {
  public:
    /// Bytes moved by one read and one write; the bound of each direction's buffer as well.
    static constexpr std::size_t kChunk = 16 * 1024;

    explicit Worker(Shared& shared);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    Status open();
    /// Serves until stop() was called. May be called again afterwards: nothing is lost between.
    void run();

    // Thread-safe.
    /// Runs `call` in the worker's thread between two rounds. While it does not run, the call
    /// waits.
    void post(std::function<void(Worker&)> call);
    void stop();
    void add_listener(const Listener& listener);
    void remove_listener(const Listener& listener);
    std::int64_t load() const { return load_.load(std::memory_order_relaxed); }

    // In the worker's thread, or while it does not run.
    void use_routes(std::shared_ptr<const Routes> routes);
    void take_mail();
    void describe_sessions(std::vector<model::GatewaySession>& out);
    /// Adds the bytes of sessions that have not ended yet.
    void add_live_bytes(
        std::unordered_map<const Counters*, std::array<std::int64_t, 2>>& out) const;
    /// Visits every session.
    void visit(const std::function<void(const Session&)>& visitor) const;
    /// Takes over a session of the process before us: its descriptors are open and valid.
    void restore(Session session, bool was_held);

  private:
    struct Waiting {  ///< the sessions that wait for one server, in the order they came
        std::list<Session> sessions;
        ReleaseGate gate;
    };

    // worker.cc: the loop, the lists and the clock.
    /// Whether its PostgreSQL is no longer the server's; if it still is, notes the newest term.
    bool went_away(Session& session) const;
    /// Lets those who wait for a server that has changed try it at once.
    void rouse_waiting(const Routes& before);
    Instant now();
    int timeout_ms();
    void dispatch(std::uint64_t tag, std::uint32_t events);
    void accept_from(std::uint64_t tag);
    void shed_connection(int listener);
    void adopt(Accepted accepted);
    bool watch(Session& session, Side side, std::uint32_t events, bool change = false);
    std::list<Session>& list_of(const Session& session);
    void move(Session& session, Phase phase, bool to_front = false);
    void run_timers();
    void expire(Phase phase, Duration limit);
    void finish(Session& session);
    void close_side(Session& session, Side side);
    void forget_done();
    void go_on();
    bool beginners_full() const;

    // opening.cc: from the first byte to the relay, or to a refusal.
    void on_opening(Session& session, std::uint32_t events);
    void read_greeting(Session& session);
    bool answer(Session& session, char byte);
    void read_hello(Session& session);
    void route_cancel(Session& session, const FirstPacketFacts& facts);
    const Route* find_route(const Session& session) const;
    /// Lets the session go on to its server, wait or go, by the table as it is now.
    void place(Session& session, bool released);
    std::optional<Refusal> objection(const Session& session, const Route& route) const;
    bool is_reachable(const Route& route) const;
    void hold(Session& session, bool to_front);
    void release_waiting();
    void release_from(Waiting& waiting, const Counters* server);
    std::optional<Instant> next_release() const;
    void connect_backend(Session& session, const Route& route);
    void on_connecting(Session& session);
    void on_asking(Session& session);
    void begin_answering(Session& session, std::size_t sent);
    void on_answering(Session& session, std::uint32_t events);
    void end_answering(Session& session);
    void backend_failed(Session& session, std::string_view why);
    void begin_relay(Session& session);
    /// `sqlstate` is for the rare refusal that has another one than its kind.
    void refuse(Session& session, Refusal refusal, std::string_view detail = {},
                std::string_view sqlstate = {});

    // relay.cc: moving bytes, and the end.
    void on_relay(Session& session, Side side, std::uint32_t events);
    void pump(Session& session, Side from, bool until_empty);
    bool write_out(Session& session, Side to, std::string_view bytes);
    bool flush(Session& session, Side to);
    void broken(Session& session, Side side);
    void settle(Session& session);
    void end_relay(Session& session, std::string_view why);
    void on_closing(Session& session);

    Shared& shared_;
    os::Fd epoll_;
    os::Fd wake_;
    os::Fd spare_;  ///< given up for a moment to turn a client away when descriptors run out
    bool stopping_ = false;
    bool has_mail_ = false;
    std::optional<Instant> now_;
    std::shared_ptr<const Routes> routes_ = Routes::none();
    std::array<std::list<Session>, kPhases> lists_;
    std::unordered_map<const Counters*, Waiting> waiting_;
    std::vector<Session*> unfinished_;  ///< were cut short for the sake of others
    std::atomic<std::int64_t> load_{0};
    std::unique_ptr<char[]> chunk_;
    struct {
        std::mutex mutex;
        std::vector<Accepted> accepted;
        std::vector<std::function<void(Worker&)>> calls;
    } mail_;
};

}  // namespace howdah::gateway
