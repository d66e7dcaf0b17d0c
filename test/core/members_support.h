#pragma once

#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/plan/members_plan.h"
#include "core/plan/server_plan.h"

namespace howdah::core {

/// A machine with an agent, as far as one server is concerned.
struct FakeHost {
    bool is_alive = true;
    bool is_reachable = true;  ///< from the control plane
    bool has_instance = false;
    bool is_member = false;
    bool has_all_data = false;
    model::InstanceSpec spec;                  ///< the newest that was carried out
    std::vector<model::ActionResult> results;  ///< not told yet
    std::set<std::string> done;                ///< actions that have a result
};

/// One server, three machines (a and c in zone 1, b in zone 2), the members' own record, and the
/// planner. Every decision is carried out; `complaints` are what must never happen.
class MembersWorld {
  public:
    explicit MembersWorld(std::uint64_t seed = 1);

    // The user.
    void create(const std::string& mode = "Disabled");
    void change(const std::string& kind = "UpdateServer");
    void set_mode(const std::string& mode);
    void set_running(bool running);
    void fail_over(const std::string& how = "planned");
    void remove();

    // The machines.
    ServerDecision decide();
    /// Carries out the oldest action of a host. `failure`: instead.
    bool work(const std::string& host, const std::optional<model::Failure>& failure = {});
    void tell(const std::string& host);  ///< reports and results reach the control plane
    void notice();                       ///< who is silent
    /// The members' agents: a copy ends, a standby is let in or given up, a dead primary replaced.
    void members_step();
    void kill(const std::string& host);
    void revive(const std::string& host);
    bool take_over(std::string host);  ///< if it may; a copy: it may be one of `sync`
    /// Everything that wants to happen, until nothing does any more.
    bool settle();
    void one_random_step();

    model::InstanceReport report_of(const std::string& host) const;
    const model::ServerStatus& status() const { return *view.status; }
    std::string ha_state() const { return view.status->high_availability_state; }
    const model::Operation& ended(const std::string& id) { return ended_operations.at(id); }
    std::string condition(const std::string& type) const;
    std::string describe() const;
    int chance(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

    ServerView view;
    Timestamp now;
    std::map<std::string, FakeHost> hosts;
    std::map<std::string, model::Operation> ended_operations;
    std::vector<std::string> complaints;
    std::string last_operation;
    bool is_deleted = false;
    bool was_deletion_wanted = false;

    // The members' own record.
    bool has_record = false;
    model::Term term = 0;
    std::string primary;  ///< who has the data; empty: nobody yet
    std::set<std::string> sync;
    bool is_fresh_primary = false;  ///< it shows no databases yet

  private:
    void begin(const std::string& kind);
    void carry_out(const ServerDecision& decision);
    void judge(const ServerDecision& decision);
    model::ActionResult execute(const model::Action& action);
    void ensure(const std::string& id, const model::InstanceSpec& spec, bool* as_primary);
    void random_user();
    void random_machine();

    std::mt19937_64 random_;
    int operations_ = 0;
};

}  // namespace howdah::core
