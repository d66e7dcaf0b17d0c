// What the agent does with its actions and routes; no PostgreSQL is started. Instances with a real
// one are in test/integration/agent_test.cc.

#include "agent/agent.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <thread>

#include "model/json.h"
#include "os/file.h"

namespace howdah::agent {
namespace {

using model::Action;
using model::ActionKind;

class AgentQueue : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/howdah-queue-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        home_ = name;
        for (const char* each : {"agent", "gateway", "run"})
            ASSERT_TRUE(os::make_folders(home_ + "/" + each).ok());
        MachineOptions options;
        options.layout.home = home_;
        machine_.emplace(options);
        start_agent();
    }
    void TearDown() override {
        agent_.reset();
        EXPECT_TRUE(os::remove_tree(home_).ok());
    }

    /// Also: the agent was killed, and this is the next one.
    void start_agent() {
        agent_.reset();
        agent_ = std::make_unique<Agent>(*machine_, LinkOptions{},
                                         Journal::open(machine_->layout().journal()).value(),
                                         clock_, ids_, /*pool_size=*/0);
        ASSERT_TRUE(agent_->load().ok());
    }

    Action action(ActionKind kind, model::Generation generation, model::Term term = 1) {
        Action action{.id = "action-" + std::to_string(++actions_),
                      .server_id = "/s/orders",
                      .incarnation = incarnation_,
                      .kind = kind,
                      .term = term,
                      .generation = generation};
        if (kind == ActionKind::ensure_instance) {
            // Of a major that no machine has: it ends at its first step.
            action.instance = model::InstanceSpec{.server_id = "/s/orders",
                                                  .server_name = "orders",
                                                  .incarnation = incarnation_,
                                                  .generation = generation,
                                                  .major = "99"};
        } else if (kind != ActionKind::delete_instance) {
            action.database = model::DatabaseSpec{"/d", "app", "UTF8", "C.UTF-8", ""};
        }
        return action;
    }
    /// Carries out what waits. One that is told to stop still does what it has accepted.
    void work() {
        std::stop_source stop;
        stop.request_stop();
        agent_->work(stop.get_token());
    }
    std::vector<std::string> done() const {
        std::vector<std::string> ids;
        for (const model::ActionResult& each : agent_->results()) ids.push_back(each.action_id);
        return ids;
    }
    std::string failure_of(const Action& action) const {
        for (const model::ActionResult& each : agent_->results()) {
            if (each.action_id == action.id) return each.failure ? each.failure->code : "";
        }
        return "no result";
    }

    std::string home_;
    SystemClock clock_;
    SystemIdSource ids_;
    const std::string incarnation_ = ids_.uuid();
    std::optional<Machine> machine_;
    std::unique_ptr<Agent> agent_;
    int actions_ = 0;
};

using Ids = std::vector<std::string>;

TEST_F(AgentQueue, an_action_is_taken_once_until_its_result_is_acknowledged) {
    const Action one = action(ActionKind::ensure_instance, 1);
    EXPECT_TRUE(agent_->accept(one));
    EXPECT_FALSE(agent_->accept(one)) << "it waits";
    work();
    EXPECT_EQ(done(), Ids{one.id});
    EXPECT_FALSE(agent_->accept(one)) << "it is in the journal";
    start_agent();
    EXPECT_FALSE(agent_->accept(one)) << "also for the next agent";
    ASSERT_TRUE(agent_->acknowledge({one.id}).ok());
    EXPECT_TRUE(agent_->accept(one));
}

TEST_F(AgentQueue, an_action_about_no_instance_is_not_taken) {
    Action stray = action(ActionKind::delete_instance, 1);
    for (const char* incarnation : {"", "..", "../../etc", "nobody"}) {
        stray.incarnation = incarnation;
        EXPECT_FALSE(agent_->accept(stray)) << incarnation;
    }
}

TEST_F(AgentQueue, an_action_that_does_not_say_what_it_is_about_fails) {
    for (const ActionKind kind :
         {ActionKind::ensure_instance, ActionKind::create_database, ActionKind::drop_database}) {
        Action empty = action(kind, 1);
        empty.instance.reset();
        empty.database.reset();
        EXPECT_TRUE(agent_->accept(empty));
        work();
        EXPECT_EQ(failure_of(empty), to_string(ErrorCode::invalid_argument));
    }
}

TEST_F(AgentQueue, a_newer_ensure_replaces_a_waiting_older_one_which_may_come_again) {
    const Action older = action(ActionKind::ensure_instance, 1);
    const Action newer = action(ActionKind::ensure_instance, 2);
    EXPECT_TRUE(agent_->accept(older));
    EXPECT_TRUE(agent_->accept(newer));
    work();
    EXPECT_EQ(done(), Ids{newer.id});
    EXPECT_TRUE(agent_->accept(older)) << "what was replaced is not held to be running";
}

TEST_F(AgentQueue, an_ensure_that_comes_late_does_not_replace_a_newer_one) {
    const Action older = action(ActionKind::ensure_instance, 1);
    const Action newer = action(ActionKind::ensure_instance, 2);
    EXPECT_TRUE(agent_->accept(newer));
    EXPECT_TRUE(agent_->accept(older));
    work();
    EXPECT_NE(failure_of(newer), "no result");
}

TEST_F(AgentQueue, an_action_of_an_older_term_replaces_nothing) {
    const Action present = action(ActionKind::ensure_instance, 1, 5);
    const Action late = action(ActionKind::delete_instance, 1, 4);
    EXPECT_TRUE(agent_->accept(present));
    EXPECT_TRUE(agent_->accept(late));
    work();
    EXPECT_NE(failure_of(present), "no result");
    EXPECT_EQ(failure_of(late), to_string(ErrorCode::conflict));
}

TEST_F(AgentQueue, an_ensure_leaves_waiting_databases_alone) {
    const Action database = action(ActionKind::create_database, 1);
    const Action ensure = action(ActionKind::ensure_instance, 2);
    EXPECT_TRUE(agent_->accept(database));
    EXPECT_TRUE(agent_->accept(ensure));
    work();
    EXPECT_EQ(failure_of(database), to_string(ErrorCode::invalid_state)) << "nothing runs";
    EXPECT_NE(failure_of(ensure), "no result");
}

TEST_F(AgentQueue, a_delete_replaces_all_that_waits) {
    const Action remove = action(ActionKind::delete_instance, 3);
    EXPECT_TRUE(agent_->accept(action(ActionKind::ensure_instance, 1)));
    EXPECT_TRUE(agent_->accept(action(ActionKind::create_database, 1)));
    EXPECT_TRUE(agent_->accept(action(ActionKind::drop_database, 2)));
    EXPECT_TRUE(agent_->accept(remove));
    work();
    EXPECT_EQ(done(), Ids{remove.id});
    EXPECT_EQ(failure_of(remove), "");
}

TEST_F(AgentQueue, a_delete_is_taken_however_much_waits) {
    for (std::size_t i = 0; i < Agent::kQueuedActionsMax; ++i)
        ASSERT_TRUE(agent_->accept(action(ActionKind::create_database, 1)));
    EXPECT_FALSE(agent_->accept(action(ActionKind::create_database, 1))) << "the queue is full";
    const Action remove = action(ActionKind::delete_instance, 1);
    EXPECT_TRUE(agent_->accept(remove));
    work();
    EXPECT_EQ(done(), Ids{remove.id});
}

TEST_F(AgentQueue, an_ensure_after_the_delete_does_not_bring_the_server_back) {
    const Action remove = action(ActionKind::delete_instance, 2);
    const Action waiting = action(ActionKind::ensure_instance, 1);
    EXPECT_TRUE(agent_->accept(remove));
    EXPECT_TRUE(agent_->accept(waiting));
    work();
    const Action late = action(ActionKind::ensure_instance, 3);
    EXPECT_TRUE(agent_->accept(late));
    work();
    start_agent();
    const Action later = action(ActionKind::ensure_instance, 4);
    EXPECT_TRUE(agent_->accept(later)) << "the next agent knows it from the journal";
    work();
    for (const Action& each : {waiting, late, later})
        EXPECT_EQ(failure_of(each), to_string(ErrorCode::conflict)) << each.id;
    EXPECT_TRUE(os::list_folder(machine_->layout().instances())->empty());
}

TEST_F(AgentQueue, a_host_that_a_standby_was_taken_from_may_get_one_again) {
    EXPECT_TRUE(agent_->accept(action(ActionKind::delete_instance, 2)));
    work();
    Action late = action(ActionKind::ensure_instance, 2);
    late.instance->member_hosts = {"elsewhere", "here"};
    Action founder = action(ActionKind::ensure_instance, 3);
    founder.instance->member_hosts = {"here", "elsewhere"};
    founder.instance->is_founder = true;
    Action again = action(ActionKind::ensure_instance, 3);
    again.instance->member_hosts = {"elsewhere", "here"};
    for (const Action& each : {late, founder, again}) {
        EXPECT_TRUE(agent_->accept(each));
        work();
    }
    const std::string refusal(to_string(ErrorCode::conflict));
    EXPECT_EQ(failure_of(late), refusal) << "it is of the life before";
    EXPECT_EQ(failure_of(founder), refusal) << "its data is gone";
    EXPECT_NE(failure_of(again), refusal);
}

TEST_F(AgentQueue, nothing_is_kept_in_mind_of_a_deleted_server) {
    EXPECT_TRUE(agent_->accept(action(ActionKind::delete_instance, 2)));
    EXPECT_TRUE(agent_->accept(action(ActionKind::ensure_instance, 1)));
    work();
    EXPECT_EQ(agent_->report_of(incarnation_), std::nullopt);
    EXPECT_TRUE(agent_->accept(action(ActionKind::ensure_instance, 3)));
    work();
    EXPECT_EQ(agent_->report_of(incarnation_), std::nullopt) << "not of a late repetition either";
}

/// routes.json of an agent with one server, which is stopped.
class AgentRoutes : public AgentQueue {
  protected:
    void put_server() {
        model::InstanceState state;
        state.spec = *action(ActionKind::ensure_instance, 1).instance;
        state.spec.running = false;
        ASSERT_FALSE(machine_->engines().empty());
        state.spec.major = machine_->engines().back().major;
        state.observed_generation = 1;
        const InstancePaths paths = instance_paths(machine_->layout(), incarnation_);
        ASSERT_TRUE(os::make_folders(paths.folder).ok());
        ASSERT_TRUE(os::write_file_atomic(paths.state(), model::to_json(state)).ok());
    }
    std::optional<model::RouteTable> table() const {
        const auto text = os::read_file(machine_->layout().routes());
        if (!text.ok()) return std::nullopt;
        return model::from_json<model::RouteTable>(*text).value();
    }
};

TEST_F(AgentRoutes, are_there_before_any_action_and_their_revision_goes_on) {
    if (machine_->engines().empty()) GTEST_SKIP() << "SKIPPED: no PostgreSQL is installed";
    ASSERT_TRUE(table().has_value());
    EXPECT_TRUE(table()->routes.empty());
    const std::int64_t before = table()->revision;
    put_server();
    start_agent();
    ASSERT_EQ(table()->routes.size(), 1U);
    EXPECT_EQ(table()->routes[0].server_id, "/s/orders");
    EXPECT_EQ(table()->routes[0].state, "closed");
    EXPECT_GT(table()->revision, before);
}

TEST_F(AgentRoutes, end_with_their_server) {
    if (machine_->engines().empty()) GTEST_SKIP() << "SKIPPED: no PostgreSQL is installed";
    put_server();
    start_agent();
    EXPECT_TRUE(agent_->accept(action(ActionKind::delete_instance, 2)));
    work();
    EXPECT_TRUE(table()->routes.empty());
    EXPECT_FALSE(os::exists(instance_paths(machine_->layout(), incarnation_).folder));
}

TEST_F(AgentRoutes, that_could_not_be_written_are_written_when_it_is_possible_again) {
    if (machine_->engines().empty()) GTEST_SKIP() << "SKIPPED: no PostgreSQL is installed";
    put_server();
    ASSERT_TRUE(os::remove_tree(home_ + "/gateway").ok());
    start_agent();
    ASSERT_FALSE(table().has_value());
    ASSERT_TRUE(os::make_folders(home_ + "/gateway").ok());
    std::jthread watcher([this](std::stop_token stop) { agent_->watch(std::move(stop)); });
    const Instant end = clock_.now() + std::chrono::seconds(10);
    while (!table() && clock_.now() < end) std::this_thread::yield();
    ASSERT_TRUE(table().has_value());
    EXPECT_EQ(table()->routes.size(), 1U);
}

}  // namespace
}  // namespace howdah::agent
