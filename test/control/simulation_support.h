#pragma once

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "control/fleet/fleet.h"
#include "control/operations/operations.h"
#include "control/reconcile/certificate_source.h"
#include "control/reconcile/reconciler.h"
#include "model/records.h"
#include "model/resource_id.h"
#include "store/secret_box.h"
#include "store/store.h"

/// A control plane and its agents in one thread, with a clock that moves only when told, and with
/// every crash and every loss in the hands of the test.
namespace howdah::control {

/// By value, so that a range-based for may go over it; ends the test on an error.
std::vector<store::Entry> entries_of(Result<std::vector<store::Entry>> listed);

/// Passes everything on to another store until its n-th commit: there the process "dies", before
/// or after the commit happened, and nothing gets through until revive().
class DyingStore final : public store::Store {
  public:
    explicit DyingStore(store::Store& inner) : inner_(inner) {}
    void die_at(int commit, bool after) {
        commits_left_ = commit;
        after_ = after;
    }
    bool is_dead() const { return dead_; }
    void revive() { dead_ = false; }
    /// Called before each commit: what somebody else does between a read and a commit.
    std::function<void()> before_commit;

    Result<std::optional<store::Entry>> get(std::string_view key) override;
    Result<std::vector<store::Entry>> list(std::string_view prefix,
                                           const store::ListOptions& options) override;
    Result<store::Revision> commit(const store::Transaction& transaction) override;
    Result<store::Revision> revision() override;
    Result<std::unique_ptr<store::Watch>> watch(std::string_view prefix,
                                                store::Revision after) override;
    Result<store::LeaseId> grant_lease(Duration) override { return dead(); }
    Status keep_alive(store::LeaseId) override { return dead(); }
    Status revoke(store::LeaseId) override { return dead(); }

  private:
    static Error dead() { return {ErrorCode::unavailable, "the process is dead"}; }
    store::Store& inner_;
    int commits_left_ = -1;
    bool after_ = false;
    bool dead_ = false;
};

/// Certificates that are only a number and an end.
class FakeCertificates final : public CertificateSource {
  public:
    Result<model::TlsMaterial> issue(const std::vector<std::string>& dns_names,
                                     Timestamp now) override;
    Result<Timestamp> end_of(const std::string& certificate_pem) override;
    Result<bool> is_current(const std::string&) override { return true; }
    int issued = 0;
};

/// An agent that behaves: idempotent by action id and generation, its journal survives crashes.
/// It notes what it did so that a test can see what was done twice.
class FakeAgent {
  public:
    FakeAgent(std::string host, std::mt19937_64& random)
        : host_(std::move(host)), random_(random) {}

    struct Instance {
        model::InstanceSpec spec;
        std::set<std::string> databases;
        int creations = 0;
        int restarts = 0;
        int password_changes = 0;
        std::map<model::Generation, int> ensured;
    };

    const std::string& host() const { return host_; }
    /// Sends what is to be told; true if anything was. `deliver` hands a poll to the fleet.
    using Deliver = std::function<void(const std::string& body, Fleet::Reply reply)>;
    void poll(const Deliver& deliver);
    bool has_poll_out() const { return in_flight_ != nullptr && !in_flight_->answered; }
    /// The connection broke: what was parked is lost.
    void lose_connection() { in_flight_.reset(); }
    /// Takes the answer if it has come.
    void receive();
    /// Works on one action; may crash on the way.
    bool work_one();
    void crash();
    /// Somebody drops or creates a database with SQL.
    void use_sql();
    bool is_idle() const { return queue_.empty() && unacknowledged_.empty() && !dirty_; }

    std::string describe() const;

    double failure_rate = 0;  ///< of actions
    double crash_rate = 0;    ///< at each point inside an action
    double loss_rate = 0;     ///< of polls and of answers, each; and of duplicates

    std::map<std::string, Instance> instances;  ///< by incarnation; durable
    std::vector<std::string> complaints;        ///< what must not happen

  private:
    struct InFlight {
        bool answered = false;
        int status = 0;
        std::string body;
    };
    bool chance(double probability) {
        return std::uniform_real_distribution<double>(0, 1)(random_) < probability;
    }
    std::optional<model::Failure> execute(const model::Action& action);
    std::optional<model::Failure> ensure(const model::InstanceSpec& spec);
    std::optional<model::Failure> change_database(const model::Action& action);
    model::InstanceReport report_of(const std::string& incarnation) const;

    std::string host_;
    std::mt19937_64& random_;
    // Durable.
    std::map<std::string, model::ActionResult> journal_;
    std::map<std::string, model::ActionResult> unacknowledged_;
    std::map<std::string, std::string> deleted_;  ///< incarnation to server id
    std::map<std::string, model::Generation> deleted_generation_;
    // Lost in a crash.
    std::map<std::string, model::Action> queue_;
    std::map<std::string, std::string> reported_;  ///< by incarnation: as last answered
    std::map<std::string, std::string> sent_;
    bool host_reported_ = false;
    bool dirty_ = true;
    std::shared_ptr<InFlight> in_flight_;
};

/// The whole: store, control plane, agents, and a user.
class Simulation {
  public:
    explicit Simulation(std::uint64_t seed, int agent_count = 2);

    // The user. Each is one request as the api carries it out; false: it was refused or the
    // control plane died on the way.
    bool create_group();
    bool delete_group();
    bool create_server(const std::string& name);
    bool change_server(const std::string& name, const std::string& kind);
    bool delete_server(const std::string& name) { return change_server(name, "DeleteServer"); }
    bool change_database(const std::string& server, const std::string& database, bool create);

    void start_control();  ///< again after a crash
    void one_random_step();
    /// Everything takes its turn until nothing was done for so many rounds of half a second.
    bool run_until_idle(int idle_rounds_wanted);
    /// The same with all faults off, and for longer than every pause (30 s at most). False: it
    /// never ends.
    bool settle();
    std::string unfinished();
    /// Empty if all promises are kept; call after settle().
    std::string check();

    double fault_rate = 0;
    std::mt19937_64 random;
    FakeClock clock;
    FakeIdSource ids;
    std::unique_ptr<store::Store> durable;
    DyingStore store;
    store::SecretBox secrets;
    FakeCertificates certificates;
    std::vector<FakeAgent> agents;
    std::unique_ptr<Reconciler> reconciler;
    std::unique_ptr<Fleet> fleet;
    std::unique_ptr<Operations> operations;
    int restarts_of_control = 0;

  private:
    std::size_t pick(std::size_t count) { return random() % count; }
    void random_request();
    void interfere();
    void revive_if_dead();
    bool one_round();
    std::string check_server(const model::ServerSpec& spec);
    std::string check_leftovers();
    /// Who is at work: nobody interferes with itself.
    enum class Doing { nothing, reconciling, serving };
    Doing doing_ = Doing::nothing;
    bool work_one();
    void poll(FakeAgent& agent);
    bool is_interfering_ = false;
    int passwords_ = 0;
    std::map<std::string, int> asked_;  ///< requests, by incarnation and kind
};

}  // namespace howdah::control
