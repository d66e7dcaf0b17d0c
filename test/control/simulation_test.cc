// The control plane under crashes, lost and doubled messages and failing agents: every operation
// ends, nothing is done twice, nothing is left over, and in the end things are as wanted.

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <set>

#include "base/text.h"
#include "control/reconcile/records.h"
#include "model/json.h"
#include "simulation_support.h"
#include "store/keys.h"

namespace howdah::control {
namespace {

namespace keys = store::keys;

// Sanitizer builds are slower by an order; they look for other mistakes.
#ifdef HOWDAH_SANITIZED
constexpr int kStride = 9;
constexpr std::uint64_t kStories = 4;
#else
constexpr int kStride = 1;
constexpr std::uint64_t kStories = 20;
#endif

TEST(simulation, a_server_lives_its_life_without_faults) {
    Simulation world(1);
    ASSERT_TRUE(world.create_group());
    ASSERT_TRUE(world.create_server("pg0"));
    ASSERT_TRUE(world.settle()) << world.unfinished();
    EXPECT_EQ(world.check(), "");
    ASSERT_TRUE(world.change_database("pg0", "app", true));
    ASSERT_TRUE(world.change_server("pg0", "RestartServer"));
    ASSERT_TRUE(world.settle()) << world.unfinished();
    EXPECT_EQ(world.check(), "");
    FakeAgent& agent = world.agents[world.agents[0].instances.empty() ? 1 : 0];
    ASSERT_EQ(agent.instances.size(), 1U);
    EXPECT_EQ(agent.instances.begin()->second.restarts, 1);
    EXPECT_EQ(agent.instances.begin()->second.databases, std::set<std::string>{"app"});
    ASSERT_TRUE(world.delete_server("pg0"));
    ASSERT_TRUE(world.settle()) << world.unfinished();
    EXPECT_EQ(world.check(), "");
    EXPECT_TRUE(agent.instances.empty());
    EXPECT_TRUE(world.durable->list("/server/").value().empty());
    EXPECT_TRUE(world.durable->list("/database/").value().empty());
    EXPECT_EQ(world.certificates.issued, 1);
    for (const auto& entry : entries_of(world.durable->list("/operation/"))) {
        EXPECT_EQ(model::from_json<model::Operation>(entry.value)->status, "Succeeded")
            << entry.value;
    }
}

TEST(simulation, deleting_a_group_deletes_its_servers_first) {
    Simulation world(2);
    world.create_group();
    for (const char* name : {"pg0", "pg1", "pg2"}) ASSERT_TRUE(world.create_server(name));
    ASSERT_TRUE(world.settle()) << world.unfinished();
    ASSERT_TRUE(world.delete_group());
    EXPECT_FALSE(world.create_server("pg3")) << "none can be created any more";
    ASSERT_TRUE(world.settle()) << world.unfinished();
    EXPECT_EQ(world.check(), "");
    EXPECT_TRUE(world.durable->list("/server/").value().empty());
    EXPECT_TRUE(world.durable->list("/group/").value().empty());
    for (const FakeAgent& each : world.agents) EXPECT_TRUE(each.instances.empty());
}

std::string put_assignment(store::Store& store, const std::string& scope, int number) {
    model::RoleAssignment assignment;
    assignment.id = fmt::format("assignment-{}", number);
    assignment.scope = scope;
    assignment.principal_id = "somebody";
    const std::string key = store::keys::assignment("somebody", assignment.id);
    store.commit(store::Transaction().put(key, model::to_json(assignment))).value();
    return key;
}

std::string put_lock(store::Store& store, const std::string& scope) {
    const std::string key = store::keys::lock(to_lower(scope), "Stay");
    store.commit(store::Transaction().put(key, "{}")).value();
    return key;
}

std::set<std::string> keys_below(store::Store& store, const std::string& prefix) {
    std::set<std::string> keys;
    for (const auto& entry : entries_of(store.list(prefix))) keys.insert(entry.key);
    return keys;
}

TEST(simulation, what_was_assigned_and_locked_goes_with_what_it_was_at) {
    Simulation world(5);
    store::Store& store = *world.durable;
    world.create_group();
    for (const char* name : {"pg0", "pg1"}) ASSERT_TRUE(world.create_server(name));
    ASSERT_TRUE(world.change_database("pg0", "app", true));
    ASSERT_TRUE(world.settle()) << world.unfinished();
    const std::string group = "/subscriptions/sub/resourceGroups/Rg";
    const auto server = [&](const std::string& name) {
        return group + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/" + name;
    };
    store.commit(store::Transaction().put("/group" + to_lower(group) + "2", "{}")).value();
    std::set<std::string> assigned;
    std::set<std::string> locked;
    int number = 0;
    for (const std::string& scope :
         {std::string("/"), std::string("/subscriptions/sub"), group + "2"})
        assigned.insert(put_assignment(store, scope, ++number));
    locked.insert(put_lock(store, "/subscriptions/sub"));
    locked.insert(put_lock(store, group + "2"));
    const auto outside = assigned;
    const auto locked_outside = locked;
    for (const std::string& scope : {group, server("pg1"), server("pg1") + "/databases/postgres"})
        assigned.insert(put_assignment(store, scope, ++number));
    locked.insert(put_lock(store, group));
    locked.insert(put_lock(store, server("pg1")));
    put_assignment(store, server("pg0") + "/databases/APP", ++number);
    for (int i = 0; i < 300; ++i) put_assignment(store, server("PG0"), 1000 + i);
    put_lock(store, server("pg0"));
    put_lock(store, server("pg0") + "/firewallRules/x");

    ASSERT_TRUE(world.change_database("pg0", "app", false));
    ASSERT_TRUE(world.settle()) << world.unfinished();
    EXPECT_EQ(keys_below(store, "/assignment/").size(), assigned.size() + 300);
    ASSERT_TRUE(world.delete_server("pg0"));
    ASSERT_TRUE(world.settle()) << world.unfinished();
    EXPECT_EQ(keys_below(store, "/assignment/"), assigned);
    EXPECT_EQ(keys_below(store, "/lock/"), locked);
    ASSERT_TRUE(world.delete_group());
    ASSERT_TRUE(world.settle()) << world.unfinished();
    EXPECT_EQ(keys_below(store, "/assignment/"), outside);
    EXPECT_EQ(keys_below(store, "/lock/"), locked_outside);
}

TEST(simulation, what_older_versions_left_at_what_is_gone_goes_too) {
    Simulation world(6);
    store::Store& store = *world.durable;
    world.create_group();
    ASSERT_TRUE(world.create_server("pg0"));
    const std::string group = "/subscriptions/sub/resourceGroups/Rg";
    const std::string server = group + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg";
    const std::set<std::string> kept = {
        put_assignment(store, "/", 1), put_assignment(store, "/subscriptions/sub", 2),
        put_assignment(store, group, 3), put_assignment(store, server + "0/databases/postgres", 4)};
    put_assignment(store, group + "9", 5);
    put_assignment(store, server + "9", 6);
    const std::set<std::string> locked = {put_lock(store, "/subscriptions/sub"),
                                          put_lock(store, server + "0")};
    put_lock(store, group + "9");
    put_lock(store, server + "9/databases/x");
    world.clock.advance(std::chrono::hours(1));
    ASSERT_TRUE(world.settle()) << world.unfinished();
    EXPECT_EQ(keys_below(store, "/assignment/"), kept);
    EXPECT_EQ(keys_below(store, "/lock/"), locked);
}

TEST(simulation, a_group_whose_servers_cannot_be_deleted_stays_and_says_why) {
    Simulation world(3, 1);
    world.create_group();
    ASSERT_TRUE(world.create_server("pg0"));
    ASSERT_TRUE(world.settle()) << world.unfinished();
    ASSERT_TRUE(world.delete_group());
    world.agents[0].failure_rate = 1;
    for (int i = 0; i < 3000; ++i) {
        // No user: the group's deletion alone.
        (void)world.reconciler->feed(Duration::zero()).ok();
        while (world.reconciler->work_one()) {
        }
        FakeAgent& agent = world.agents[0];
        agent.work_one();
        agent.poll([&](const std::string& body, Fleet::Reply reply) {
            world.fleet->poll(agent.host(), body, std::move(reply));
        });
        (void)world.fleet->step(Duration::zero()).ok();
        agent.receive();
        world.clock.advance(std::chrono::milliseconds(100));
    }
    std::size_t failed = 0;
    for (const auto& entry : entries_of(world.durable->list("/operation/"))) {
        const auto operation = model::from_json<model::Operation>(entry.value).value();
        if (operation.kind != "DeleteGroup") continue;
        EXPECT_EQ(operation.status, "Failed");
        EXPECT_TRUE(operation.failure.has_value());
        ++failed;
    }
    EXPECT_EQ(failed, 1U);
    // Asked again, with the fault gone, it works.
    world.agents[0].failure_rate = 0;
    ASSERT_TRUE(world.delete_group());
    ASSERT_TRUE(world.settle()) << world.unfinished();
    EXPECT_EQ(world.check(), "");
    EXPECT_TRUE(world.durable->list("/group/").value().empty());
}

TEST(simulation, a_port_that_somebody_else_takes_meanwhile_is_left_to_him) {
    Simulation world(4);
    world.create_group();
    ASSERT_TRUE(world.create_server("pg0"));
    bool was_taken = false;
    world.store.before_commit = [&] {
        if (was_taken || world.durable->list("/host/").value().empty()) return;
        was_taken = true;
        world.durable->commit(store::Transaction().put("/port/20001", "/somebody/else")).value();
    };
    ASSERT_TRUE(world.settle()) << world.unfinished();
    ASSERT_TRUE(was_taken);
    const auto port = world.durable->get("/port/20001").value();
    EXPECT_EQ(port->value, "/somebody/else");
    const auto id = model::ResourceId::server("sub", "Rg", "pg0");
    const auto status =
        read_record<model::ServerStatus>(*world.durable, store::keys::status(id.key())).value();
    EXPECT_NE(status.record->port, 20001);
}

/// A fixed story; returns how often the control plane died in it.
int live_through(Simulation& world, int dying_commit, bool after) {
    world.create_group();
    const std::string group = "/subscriptions/sub/resourceGroups/Rg";
    put_assignment(*world.durable, group, 1);
    put_lock(*world.durable, group);
    world.store.die_at(dying_commit, after);
    const auto insist = [&](const std::function<bool()>& request) {
        // A client whose connection broke looks and asks again; here it just asks again, and a
        // refusal means that the first attempt did happen.
        for (int i = 0; i < 3 && !request(); ++i) {
            if (!world.store.is_dead()) break;
            ++world.restarts_of_control;
            world.start_control();
        }
    };
    const auto settle = [&] { world.run_until_idle(6); };
    insist([&] { return world.create_server("pg0"); });
    settle();
    for (int i = 2; i < 5; ++i)
        put_assignment(*world.durable,
                       group + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg0", i);
    insist([&] { return world.change_server("pg0", "RestartServer"); });
    insist([&] { return world.change_database("pg0", "app", true); });
    settle();
    insist([&] { return world.change_server("pg0", "ResetPassword"); });
    insist([&] { return world.change_database("pg0", "app", false); });
    insist([&] { return world.change_server("pg0", "StopServer"); });
    settle();
    insist([&] { return world.create_server("pg1"); });
    insist([&] { return world.delete_server("pg0"); });
    settle();
    insist([&] { return world.delete_group(); });
    settle();
    return world.restarts_of_control;
}

TEST(simulation, death_at_any_commit_is_only_a_retry) {
    for (const bool after : {false, true}) {
        int n = 1;
        for (;; n += kStride) {
            SCOPED_TRACE(fmt::format("death at commit {}, {}", n, after ? "after" : "before"));
            Simulation world(static_cast<std::uint64_t>(n));
            const int deaths = live_through(world, n, after);
            ASSERT_TRUE(world.settle()) << world.unfinished();
            ASSERT_EQ(world.check(), "") << world.unfinished();
            EXPECT_TRUE(world.durable->list("/server/").value().empty());
            EXPECT_TRUE(world.durable->list("/group/").value().empty());
            EXPECT_TRUE(world.durable->list("/assignment/").value().empty());
            EXPECT_TRUE(world.durable->list("/lock/").value().empty());
            for (const FakeAgent& each : world.agents) EXPECT_TRUE(each.instances.empty());
            if (deaths == 0) break;  // the story has fewer commits than n
        }
        EXPECT_GT(n, 30);
    }
}

void give_room_on_disks(Simulation& world) {
    for (const FakeAgent& each : world.agents) {
        const std::string key = keys::host(each.host());
        auto host = read_record<model::HostReport>(*world.durable, key).value().record.value();
        host.disk_free_gb = 100;
        world.durable->commit(store::Transaction().put(key, model::to_json(host))).value();
    }
}

/// What the fake agents lack of members is told for them: they say what real ones would.
TEST(simulation, a_pair_is_built_fails_over_and_goes_again) {
    Simulation world(3);
    world.create_group();
    ASSERT_TRUE(world.create_server("pg0"));
    ASSERT_TRUE(world.settle()) << world.unfinished();
    const std::string key = model::ResourceId::server("sub", "rg", "pg0").key();
    const auto status = [&] {
        return read_record<model::ServerStatus>(*world.durable, keys::status(key)).value().record;
    };
    const auto spec = [&] {
        return *read_record<model::ServerSpec>(*world.durable, "/server" + key).value().record;
    };
    const auto want = [&](const std::string& mode) {
        model::ServerSpec wanted = spec();
        wanted.high_availability_mode = mode;
        ++wanted.generation;
        store::Transaction transaction;
        transaction.put("/server" + key, model::to_json(wanted));
        world.operations->begin(transaction, {.kind = "UpdateServer",
                                              .resource_id = wanted.id,
                                              .server_key = key,
                                              .incarnation = wanted.incarnation,
                                              .generation = wanted.generation});
        ASSERT_TRUE(world.operations->commit(transaction).ok());
        world.run_until_idle(4);
    };
    const auto report = [&](const std::string& host, const std::string& role, model::Term term) {
        model::InstanceReport told;
        told.server_id = key;
        told.incarnation = spec().incarnation;
        told.host = host;
        told.observed_generation = spec().generation;
        told.state = role == "primary" ? "running" : "following";
        told.member = model::MemberReport{.role = role, .term = term};
        told.member->serves = role == "primary";
        for (const char* each : {"host-0", "host-1"})
            if (role == "primary" && host != each) told.member->sync_hosts.push_back(each);
        world.durable
            ->commit(store::Transaction().put(keys::report(key, host), model::to_json(told)))
            .value();
        world.run_until_idle(4);
    };
    give_room_on_disks(world);
    const std::string primary = status()->host;
    const std::string standby = primary == "host-0" ? "host-1" : "host-0";
    want("SameZone");
    EXPECT_EQ(status()->standby_host, standby);
    for (const FakeAgent& each : world.agents) EXPECT_EQ(each.instances.size(), 1U) << each.host();
    EXPECT_EQ(status()->observed_generation, 1) << "the copy goes on";
    report(primary, "primary", 1);
    EXPECT_EQ(status()->observed_generation, 2);
    EXPECT_EQ(status()->high_availability_state, "Healthy");
    report(standby, "primary", 2);
    EXPECT_EQ(status()->host, standby);
    EXPECT_EQ(status()->standby_host, primary);
    want("Disabled");
    EXPECT_EQ(status()->observed_generation, 3);
    EXPECT_EQ(status()->standby_host, "");
    for (const FakeAgent& each : world.agents)
        EXPECT_EQ(each.instances.size(), each.host() == standby ? 1U : 0U) << each.host();
    ASSERT_TRUE(world.delete_server("pg0"));
    ASSERT_TRUE(world.settle()) << world.unfinished();
    EXPECT_EQ(world.check(), "");
    EXPECT_TRUE(world.durable->list("/report/").value().empty());
}

TEST(simulation, any_story_with_any_faults_ends_well) {
    const char* fixed = getenv("HOWDAH_SIMULATION_SEED");
    const char* rounds = getenv("HOWDAH_SIMULATION_ROUNDS");
    const std::uint64_t first =
        fixed != nullptr ? strtoull(fixed, nullptr, 10) : std::random_device{}();
    const std::uint64_t count =
        fixed != nullptr ? 1 : (rounds != nullptr ? strtoull(rounds, nullptr, 10) : kStories);
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        SCOPED_TRACE(fmt::format("HOWDAH_SIMULATION_SEED={}", seed));
        Simulation world(seed);
        world.fault_rate = 0.02;
        for (FakeAgent& each : world.agents) {
            each.failure_rate = 0.1;
            each.crash_rate = 0.05;
            each.loss_rate = 0.05;
        }
        world.create_group();
        for (int i = 0; i < 1500; ++i) world.one_random_step();
        ASSERT_TRUE(world.settle()) << world.unfinished();
        ASSERT_EQ(world.check(), "") << world.unfinished();
    }
}

}  // namespace
}  // namespace howdah::control
