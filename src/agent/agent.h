#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/config/render.h"
#include "agent/instance.h"
#include "agent/journal.h"
#include "agent/log_transfer.h"
#include "agent/machine.h"
#include "agent/prepared.h"
#include "agent/prover.h"
#include "agent/token_login/token_logins.h"
#include "http/client.h"
#include "model/records.h"

namespace howdah::agent {

struct LinkOptions {
    std::string url;  ///< of the fleet: "https://127.0.0.1:9443"
    std::string ca_path;
    std::string certificate_path;
    std::string key_path;
};

/// A client that talks to the control plane alone: one of the authority in `ca_path`, and of the
/// name that no other certificate has. The files are read now.
Result<http::Client> open_link(const LinkOptions& options);

/// The agent of one machine: its instances, the actions that wait for them, the journal of what
/// was done, the routes for the gateway, and the link to the control plane.
///
/// Run work(), watch(), prepare(), pull(), push(), send_logs(), check_tokens() and prove() in one
/// thread each. work() makes a thread for each instance that has something to do, for as long as it
/// has, so that no server ever waits behind what another's customer holds up; nobody else makes
/// any. At most `actions_max` actions run at a time, one of each instance; looking after instances,
/// which starts those that crashed, is not bounded by that and comes first. Destroying it leaves
/// PostgreSQL running.
class Agent {
  public:
    static constexpr int kPoolMax = 64;
    static constexpr std::size_t kQueuedActionsMax = 1000;  ///< of one instance
    static constexpr int kActionsMax = 64;                  ///< that run at a time
    static constexpr Duration kTendEvery = std::chrono::seconds(10);
    static constexpr Duration kCrashPauseMin = std::chrono::milliseconds(100);
    static constexpr Duration kCrashPauseMax = std::chrono::seconds(30);
    /// A prepared directory that was taken is made anew when nothing else has been done for this
    /// long, or in any case after the other: the server that took it is about to be used.
    static constexpr Duration kRefillQuiet = std::chrono::seconds(1);
    static constexpr Duration kRefillMax = std::chrono::seconds(15);
    static constexpr std::size_t kRemovedMax = 1000;  ///< removed instances that are remembered
    static constexpr Duration kPollWait = std::chrono::seconds(25);
    static constexpr std::size_t kReportsPerPoll = 100;
    static constexpr std::size_t kLogRequestsMax = 64;  ///< that are not done; more are dropped
    static constexpr std::size_t kLogPieceBytes = 1U << 20;
    static constexpr Duration kLinkPauseMin = std::chrono::milliseconds(50);
    static constexpr Duration kLinkPauseMax = std::chrono::seconds(2);

    /// `tokens`: borrowed; none: no server takes access tokens. `services`: likewise; none: no
    /// server is highly available. `backups`: likewise; none: nothing is said of any. `neighbours`:
    /// likewise; none: nobody else is told of the routes.
    Agent(const Machine& machine, LinkOptions link, Journal journal, const Clock& clock,
          IdSource& ids, int pool_size, int actions_max = kActionsMax,
          TokenLogins* tokens = nullptr, MemberServices* services = nullptr,
          Neighbours* neighbours = nullptr, BackupKeeper* backups = nullptr);
    ~Agent();

    /// Reads every instance from disk, takes over what runs, publishes the routes.
    Status load();

    /// True if the action is now ours. One that is already queued, running or in the journal is not
    /// taken again; a newer ensure replaces a waiting older one, and a delete replaces all that
    /// waits: what is replaced has no result of its own.
    bool accept(model::Action action);
    /// Results that the control plane has not acknowledged.
    std::vector<model::ActionResult> results() const { return journal_.results(); }
    Status acknowledge(const std::vector<std::string>& action_ids) {
        return journal_.forget(action_ids);
    }
    /// Who may connect to servers is another question now: other machines came or went.
    void neighbours_changed();
    /// What is known of a server's backups has changed.
    void backups_changed(const std::string& incarnation);
    /// All whose backups are kept here.
    std::vector<BackupServer> backup_servers();
    std::optional<model::InstanceReport> report_of(const std::string& incarnation);
    /// None before the engines have been looked at.
    std::optional<model::HostReport> host_report();

    void work(std::stop_token stop);  ///< carries out actions, tends; ends when no thread is left
    void look_at_pooler();
    void watch(std::stop_token stop);         ///< notices ended postmasters, asks for refreshes
    void prepare(std::stop_token stop);       ///< fills the pool, surveys engines
    void pull(std::stop_token stop);          ///< waits for actions
    void push(std::stop_token stop);          ///< sends reports and results as they come
    void send_logs(std::stop_token stop);     ///< sends what is wanted of log files, piece by piece
    void check_tokens(std::stop_token stop);  ///< answers PostgreSQL's questions about tokens
    void prove(std::stop_token stop);         ///< tries backups

  private:
    struct Job {
        std::optional<model::Action> action;  ///< none: tend
    };
    /// For work(): what is to begin, and whose threads have nothing more to do.
    struct Turn {
        std::vector<std::pair<std::string, Job>> begun;
        std::vector<std::string> ended;
        bool is_over() const { return begun.empty() && ended.empty(); }
    };
    struct Member {
        std::unique_ptr<Instance> instance;
        std::deque<Job> jobs;
        bool is_busy = false;
        bool is_tend_queued = false;
        std::uint64_t version = 0;       ///< grows when its view changes
        std::uint64_t sent_version = 0;  ///< newest one that the control plane has
        Duration crash_pause = kCrashPauseMin;
        Instant next_tend{};
        bool served = false;  ///< as the primary of a highly available server
    };
    struct Removed {
        std::string incarnation;
        model::Generation generation = 0;  ///< that wanted it removed
    };

    Member& member_locked(const std::string& incarnation);
    void replace_waiting_locked(Member& member, const model::Action& action);
    bool wait_for_quiet(std::stop_token stop, const std::string& major);
    model::InstanceReport report_locked(const Member& member) const;
    bool was_removed_locked(const std::string& incarnation) const;
    bool may_be_made_locked(const model::Action& ensure, model::Generation observed) const;
    bool has_host_report_locked() const;
    void queue_tend_locked(const std::string& incarnation, Member& member);
    Turn next_turn(std::stop_token stop);
    Turn take_turn_locked();
    void do_job(const std::string& incarnation, const Job& job);
    void finish_job(const std::string& incarnation, const Job& job, bool is_removed);
    void carry_out(Instance& instance, const model::Action& action);
    void keep_result(const model::Action& action, const Status& status, bool as_primary);
    void order_backup(const model::Action& action);
    void order_proof(const model::Action& action, std::function<void(const Status&)> done);
    std::optional<ProofOrder> proof_order_locked(const std::string& incarnation) const;
    std::optional<ProofOrder> due_proof();
    Status execute(Instance& instance, const model::Action& action);
    void tend(const std::string& incarnation, Instance& instance);
    void view_changed(const std::string& incarnation);
    void publish_routes();
    void publish_due_routes();
    void publish_routes_locked();
    Duration pause_of_closing_locked(const model::RouteTable& table) const;
    Status survey(const InstalledEngine& engine);
    Result<model::Engine> survey_with(const InstalledEngine& engine, const InstancePaths& paths,
                                      const std::string& user_name);

    std::optional<http::Client> make_client() const;
    Result<model::PollResponse> poll(http::Client& client, const model::PollRequest& request);
    void take_response(const model::PollResponse& response);
    void take_trust(const model::TokenTrust& trust);
    void queue_log(const model::LogRequest& request);
    std::vector<model::LogRequest> next_logs(std::stop_token stop, bool may_wait);
    Result<LogTransfer> open_log(const model::LogRequest& request);

    const Machine& machine_;
    const LinkOptions link_;
    Journal journal_;
    const Clock& clock_;
    IdSource& ids_;
    const int pool_size_;
    const int actions_max_;
    TokenLogins* const tokens_;
    MemberServices* const services_;
    Neighbours* const neighbours_;
    BackupKeeper* const backups_;
    const std::string epoch_;
    PreparedPool pool_;
    std::optional<Prover> prover_;  ///< none: there is no BackupKeeper

    std::mutex mutex_;
    std::condition_variable_any has_job_;
    std::condition_variable_any has_news_;
    std::condition_variable_any has_log_request_;
    std::vector<model::LogRequest> log_requests_;  ///< guarded by mutex_
    std::map<std::string, Member> members_;        ///< guarded by mutex_; by incarnation
    std::string trust_version_;                    ///< guarded by mutex_; of the keys of tokens
    std::set<std::string> running_;                ///< guarded by mutex_; ids of accepted actions
    int jobs_ = 0;                                 ///< guarded by mutex_; that have begun
    int actions_ = 0;                              ///< guarded by mutex_; actions among them
    std::vector<std::string> ended_;              ///< guarded by mutex_; incarnations of ended jobs
    std::vector<model::Engine> surveys_;          ///< guarded by mutex_
    std::deque<Removed> removed_;                 ///< guarded by mutex_; newest last
    Instant last_action_{};                       ///< guarded by mutex_; when one ended
    Instant next_pooler_look_{};                  ///< of watch() alone
    std::map<std::string, Instant> next_proofs_;  ///< of prove() alone; by incarnation
    bool are_engines_known_ = false;              ///< guarded by mutex_; surveyed, or it failed
    std::int64_t pooler_port_ = 0;                ///< guarded by mutex_; as last reported
    bool is_host_report_due_ = true;              ///< guarded by mutex_
    bool has_new_result_ = false;                 ///< guarded by mutex_
    bool is_pool_low_ = true;                     ///< guarded by mutex_

    std::mutex routes_mutex_;
    /// Routes are published only when every instance is known: one that is left out for a moment
    /// would lose its sessions at the gateway.
    bool is_loaded_ = false;             ///< guarded by routes_mutex_
    std::int64_t routes_revision_ = 0;   ///< guarded by routes_mutex_
    bool are_routes_due_ = false;        ///< guarded by routes_mutex_; they could not be written
    std::string routes_text_;            ///< guarded by routes_mutex_; what was published last
    std::set<std::string> open_routes_;  ///< guarded by routes_mutex_; ids of open servers
};

}  // namespace howdah::agent
