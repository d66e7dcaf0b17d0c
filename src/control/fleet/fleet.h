#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "control/fleet/log_relay.h"
#include "http/server.h"
#include "model/records.h"
#include "store/secret_box.h"
#include "store/store.h"

namespace howdah::control {

/// The agents' side of the control plane: takes what they report into the store, and hands them
/// their actions. Agents poll; a poll that has nothing to tell and nothing to get is parked until
/// an action appears or its time is over. Parked polls hold no thread.
///
/// It makes no threads: handle() runs on the workers of an http::Server with mutual TLS, run() in
/// one thread of its own. Borrowed references must outlive it. Thread-safe.
///
/// What it guarantees to an agent: a result that was acknowledged is stored; an action is offered
/// again until its result is stored, unless the agent says that it works on it; the same action
/// always has the same id. An instance is deleted without a user's request only if its server is
/// known to have been deleted: one that is merely unknown is left alone (the store may be new).
class Fleet {
  public:
    static constexpr Duration kWaitMax = std::chrono::seconds(30);
    static constexpr Duration kSilentAfter = std::chrono::seconds(30);
    static constexpr std::size_t kHostsMax = 1000;
    static constexpr std::size_t kReportsMax = 2000;  ///< of one poll; and results as many
    static constexpr std::size_t kActionsPerAnswer = 64;
    static constexpr std::size_t kLogsMax = 1000;            ///< of one report
    static constexpr std::size_t kFailoversMax = 16;         ///< of one report
    static constexpr std::size_t kFailoverStepsMax = 64;     ///< of one failover
    static constexpr std::size_t kFailoverTextMax = 300;     ///< bytes of one text in it
    static constexpr std::size_t kBackupsMax = 1000;         ///< of one report
    static constexpr std::size_t kBackupTextMax = 1000;      ///< bytes of one text of it
    static constexpr std::size_t kProofsMax = 10;            ///< of one report; and what each lists
    static constexpr std::size_t kProofBytesMax = 64 << 10;  ///< of its signed text
    static constexpr std::size_t kFailoversKeptMax = 100;    ///< of one server, the newest

    /// What agents judge access tokens by, at this moment; called from any thread.
    using TrustSource = std::function<model::TokenTrust()>;

    /// `logs`: borrowed; none: nobody wants log files. `trust`: none: no tokens are judged.
    Fleet(store::Store& store, const Clock& clock, const store::SecretBox& secrets,
          LogRelay* logs = nullptr, TrustSource trust = {});
    ~Fleet();

    /// POST /agent/v1/poll and POST /agent/v1/logs.
    void handle(http::Request request, http::Responder responder);

    /// Gets the HTTP status and the body of the answer, once, from any thread.
    using Reply = std::function<void(int status, std::string body)>;
    /// The same without HTTP: `peer_name` is the name in the client's certificate.
    void poll(const std::string& peer_name, std::string_view body, Reply reply);

    /// Asks an agent for a part of a log file. REQUIRES: a LogRelay.
    void fetch_log(LogWanted wanted, LogDone done);

    /// Wakes parked polls and notices silent hosts until a stop is requested.
    void run(std::stop_token stop);
    /// One round of run().
    Status step(Duration timeout);

  private:
    struct Parked {
        std::uint64_t ticket = 0;
        std::set<std::string> running;
        Instant deadline{};
        Reply reply;
    };
    struct Host {
        Instant last_heard{};
        bool is_silent = false;
        bool is_known = false;  ///< has a HostReport in the store
        std::optional<Parked> parked;
    };
    struct Stored {
        bool changed = false;  ///< the store has learned something
        std::vector<std::string> acknowledged;
    };
    /// What one poll says about one life of a server.
    struct News {
        std::optional<model::InstanceReport> report;
        std::vector<model::ActionResult> results;
    };

    void take_log(const http::Request& request, const Reply& reply);
    bool has_log_requests(const std::string& host);
    std::vector<model::LogRequest> log_requests(const std::string& host);
    Status load();
    Result<bool> hear(const std::string& host);
    Result<Stored> take(const model::PollRequest& request);
    Result<bool> take_host_report(const std::string& host, const model::HostReport& report);
    Result<bool> take_news(const std::string& host, const std::string& server_key,
                           const News& news);
    Result<bool> add_failovers(store::Transaction& transaction, const std::string& server_key,
                               const model::InstanceReport& report);
    Status trim_failovers(const std::string& server_key);
    Result<bool> take_orphan(const std::string& host, const std::string& server_key,
                             const News& news);
    Result<std::vector<model::Action>> actions_for(const std::string& host,
                                                   const std::set<std::string>& running);
    Result<bool> unseal(model::Action& action);
    std::optional<model::TokenTrust> trust_for(const model::PollRequest& request) const;
    Status refuse(const model::Action& action, const Error& error);
    bool is_waiting(const std::string& host);
    void answer(const Reply& reply, const model::PollResponse& response);
    void park(const model::PollRequest& request, Reply reply);
    void wake(const std::string& host);
    void end_overdue_polls();
    Status notice_silence();

    store::Store& store_;
    const Clock& clock_;
    const store::SecretBox& secrets_;
    LogRelay* const logs_;
    const TrustSource trust_;

    std::mutex mutex_;
    bool is_loaded_ = false;             ///< guarded by mutex_
    std::map<std::string, Host> hosts_;  ///< guarded by mutex_
    std::uint64_t next_ticket_ = 1;      ///< guarded by mutex_
    std::set<std::string> warned_;       ///< guarded by mutex_; unknown incarnations, bounded

    // Used by the thread of run() alone.
    std::shared_ptr<store::Watch> watch_;
    Instant next_silence_check_{};
};

}  // namespace howdah::control
