#pragma once

#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "gateway/admin.h"
#include "gateway/counters.h"
#include "gateway/handover.h"
#include "gateway/journal.h"
#include "gateway/listeners.h"
#include "gateway/routes.h"
#include "gateway/routes_file.h"
#include "gateway/worker.h"
#include "os/fd.h"

namespace howdah::gateway {

struct GatewayOptions {
    /// One for each agent whose servers are reached here, the own machine's first.
    std::vector<std::string> routes_paths;
    std::string address = "127.0.0.1";  ///< an IP address; "*": all of both families
    std::int64_t port = 5432;           ///< shared by all servers; 0: any
    bool port_fallback = false;         ///< take another shared port if that one is taken
    std::string status_path;            ///< empty: no status file
    std::string admin_path;             ///< empty: no admin socket
    std::string lock_path;              ///< empty: no lock
    /// Of connections to PostgreSQL on other machines, whose pg_hba.conf lets it in; empty: the
    /// system chooses.
    std::string source;
    int threads = 0;  ///< 0: the machine's cores, at most two
    Duration drain_timeout = std::chrono::seconds(5);
    Limits limits;
    /// How this program was started, for an upgrade: [0] is its absolute path. Without --resume-fd.
    std::vector<std::string> program;
    int resume_fd = -1;  ///< the state of the process before us; -1: a fresh start
};

/// The gateway as a whole: the control thread's work, and the worker threads. Everything that reads
/// or writes files, parses tables or logs happens in the control thread, off the way of sessions.
class Gateway {
  public:
    static constexpr std::size_t kRoutesFilesMax = 64;

    /// Opens the ports and begins to serve. REQUIRES: the signals of gateway_signals() are blocked.
    static Result<std::unique_ptr<Gateway>> start(GatewayOptions options, const Clock& clock);
    ~Gateway();
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    /// The control thread's loop: until a drain that SIGTERM, SIGINT, `drain` or request_stop()
    /// began is over. `signal_fd` may be -1. SIGUSR2 upgrades; SIGHUP reads the table again.
    void run(int signal_fd);
    /// Thread-safe: begins the drain; a second call ends it at once.
    void request_stop();

    std::uint16_t port() const { return listeners_->shared_port(); }
    /// Thread-safe.
    const Shared& shared() const { return shared_; }

  private:
    Gateway(GatewayOptions options, const Clock& clock);

    Status begin();
    Status begin_fresh();
    Status begin_resumed();
    Status take_lock();
    void raise_descriptor_limit();
    void start_workers();
    void stop_workers();

    /// One file with routes, and what of it is in force: its last good content.
    struct Source {
        std::string path;  ///< canonical
        std::unique_ptr<RoutesFile> file;
        std::string text;  ///< empty: none was good yet
        model::RouteTable table;
        std::string error;  ///< why the newest content is not in force
    };

    void load_routes();
    bool load(Source& source);  ///< true: there is something new
    static Status check(const model::RouteTable& table);
    void use_tables();
    void write_status();
    std::int64_t earlier_port() const;

    void read_signals(int signal_fd);
    void step_journal(Instant now);
    void begin_drain();
    bool drained() const;
    int timeout_ms() const;

    std::string answer_admin(const std::string& command, int client);
    std::string stats();
    std::string sessions();
    /// Replaces this process by the program on disk. Returns only if that was not possible.
    Error upgrade(int admin_client);
    Status check_program() const;
    std::string write_state(int admin_client, std::vector<int>& fds) const;
    Status read_state(const std::string& bytes);
    void read_tables(StateReader& in, std::int64_t version);
    /// Lets each worker add to one `Answer`, and waits for all, but not for long.
    template <typename Answer>
    Answer ask_workers(void (*question)(Worker&, Answer&));

    GatewayOptions options_;
    const Clock& clock_;
    os::Fd wake_;  ///< written by the journal and by request_stop()
    Journal journal_;
    Shared shared_;
    CounterBook book_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<std::jthread> threads_;
    std::unique_ptr<Listeners> listeners_;
    std::unique_ptr<AdminServer> admin_;
    std::vector<Source> sources_;
    std::shared_ptr<const Routes> routes_ = Routes::none();
    os::Fd lock_;
    std::int64_t upgrades_ = 0;
    std::atomic<int> stop_requests_{0};
    bool draining_ = false;
    Instant drain_deadline_{};
    Instant ports_retry_{};
    bool journal_waits_ = false;  ///< there are events, and they are let gather for a moment
    Instant journal_due_{};
};

/// Blocks the signals that the gateway reads from a descriptor, and returns that descriptor.
/// REQUIRES: called before threads are made.
Result<os::Fd> gateway_signals();

}  // namespace howdah::gateway
