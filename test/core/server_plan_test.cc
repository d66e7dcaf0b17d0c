#include "core/plan/server_plan.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "model/json.h"

namespace howdah::core {
namespace {

using model::ActionKind;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kServer =
    "/subscriptions/s/resourcegroups/g/providers/microsoft.dbforpostgresql/flexibleservers/pg1";
const std::string kServerAsWritten =
    "/subscriptions/S/resourceGroups/G/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg1";
const Timestamp kNow = parse_iso8601("2026-11-21T12:00:00Z").value();

/// A world of one server: what is known of it, and how a decision changes that.
class World {
  public:
    World() {
        view.server_key = kServer;
        view.hosts = {{host("host-a", "15"), false}};
        view.free_port = 20001;
        view.host_names = {"pg1.db.test"};
    }

    static model::HostReport host(const std::string& id, const std::string& major) {
        model::HostReport report;
        report.host = id;
        report.disk_free_gb = 100;
        report.engines.push_back({major, major + ".20"});
        return report;
    }

    /// A server as the api creates it, with its operation.
    void create() {
        model::ServerSpec spec;
        spec.id = kServerAsWritten;
        spec.name = "pg1";
        spec.version = "15";
        spec.sku = {"Standard_D2ds_v5", "GeneralPurpose"};
        spec.administrator_login = "boss";
        spec.sealed_verifier = "v1:sealed";
        spec.incarnation = "inc1";
        view.spec = spec;
        begin("CreateServer");
    }
    void change(const std::string& kind) {
        ++view.spec->generation;
        begin(kind);
    }
    model::Operation& begin(const std::string& kind) {
        model::Operation operation;
        operation.id = fmt::format("op{}", ++operations_begun);
        operation.kind = kind;
        operation.server_key = kServer;
        operation.incarnation = "inc1";
        operation.generation = view.spec->generation;
        operation.start_time = format_iso8601(now);
        view.pending.push_back(operation);
        return view.pending.back();
    }
    void begin_database(const std::string& kind, const std::string& name) {
        model::Operation& operation = begin(kind);
        operation.generation = 0;
        operation.action_id = "fresh";
        operation.resource_id = kServerAsWritten + "/databases/" + name;
        if (kind == "CreateDatabase")
            view.databases.push_back({operation.resource_id, name, "UTF8", "C"});
    }

    void begin_backup(const std::string& kind, const std::string& name) {
        model::Operation& operation = begin(kind);
        operation.generation = 0;
        operation.action_id = "fresh";
        operation.resource_id = kServerAsWritten + "/backups/" + name;
    }

    /// Decides and carries the decision out.
    ServerDecision decide() {
        ServerDecision decision = decide_server(view, now);
        if (decision.remove_server) {
            view.spec.reset();
            view.status.reset();
            view.reports.clear();
            view.databases.clear();
        }
        if (decision.status) view.status = decision.status;
        if (decision.restored_spec) view.spec = decision.restored_spec;
        if (decision.revisions) view.revisions = *decision.revisions;
        if (decision.issue_certificate) {
            view.certificate_end = now + hours(24 * 825);
            view.certificate_is_outdated = false;
        }
        for (const auto& each : decision.remove_actions)
            std::erase_if(view.actions, [&](const auto& action) { return action.id == each.id; });
        for (const auto& each : decision.put_actions) view.actions.push_back(each);
        for (const auto& each : decision.consumed_results)
            std::erase_if(view.results, [&](const auto& r) { return r.action_id == each; });
        for (const auto& each : decision.removed_databases)
            std::erase_if(view.databases, [&](const auto& d) { return d.id == each; });
        for (const auto& changed : decision.operations) {
            const auto is_it = [&](const auto& each) { return each.id == changed.id; };
            if (!changed.end_time.empty()) {
                ended[changed.id] = changed;
                std::erase_if(view.pending, is_it);
            } else {
                *std::find_if(view.pending.begin(), view.pending.end(), is_it) = changed;
            }
        }
        return decision;
    }

    /// The agent ends its first action.
    void finish(std::optional<model::Failure> failure = {}) {
        const model::Action action = view.actions.at(0);
        view.results.push_back({action.id, action.server_id, action.incarnation, action.kind,
                                action.generation, std::move(failure)});
    }
    void report(const std::string& state) {
        model::InstanceReport report;
        report.server_id = kServer;
        report.incarnation = "inc1";
        report.state = state;
        report.observed_generation = view.status ? view.status->observed_generation : 0;
        report.minor_version = "15.20";
        report.host = view.status ? view.status->host : "host-a";
        if (!view.reports.empty()) report.databases = view.reports[0].databases;
        view.reports = {report};
    }
    /// A server that runs.
    void create_and_run() {
        create();
        decide();
        finish();
        decide();
        report("running");
        decide();
    }

    std::vector<std::string> action_ids() const {
        std::vector<std::string> ids;
        for (const auto& each : view.actions) ids.push_back(each.id);
        return ids;
    }
    std::string state() const { return view.status->state; }
    std::string condition(const std::string& type) const {
        for (const auto& each : view.status->conditions)
            if (each.type == type) return each.status + " " + each.reason;
        return "";
    }

    ServerView view;
    Timestamp now = kNow;
    int operations_begun = 0;
    std::map<std::string, model::Operation> ended;
};

model::Failure failure(ErrorCode code) { return {std::string(to_string(code)), "it broke", ""}; }

// ---------------------------------------------------------------------------------------------
// Creation

TEST(server_plan, a_new_server_is_placed_and_ensured_in_one_decision) {
    World world;
    world.create();
    const ServerDecision decision = world.decide();
    EXPECT_TRUE(decision.claim_port);
    EXPECT_TRUE(decision.issue_certificate);
    EXPECT_EQ(world.view.status->host, "host-a");
    EXPECT_EQ(world.view.status->port, 20001);
    EXPECT_EQ(world.state(), "Provisioning");
    ASSERT_THAT(world.action_ids(), ElementsAre("inc1-1-ensure_instance"));
    const model::Action& action = world.view.actions[0];
    EXPECT_EQ(action.host, "host-a");
    EXPECT_EQ(action.term, 1);
    EXPECT_EQ(action.generation, 1);
    EXPECT_EQ(action.instance->port, 20001);
    EXPECT_EQ(action.instance->vcores, 2);
    EXPECT_EQ(action.instance->memory_mb, 8192);
    EXPECT_THAT(action.instance->host_names, ElementsAre("pg1.db.test"));
    EXPECT_EQ(action.instance->administrator_verifier, "v1:sealed") << "still sealed";
    EXPECT_TRUE(action.instance->tls.key_pem.empty());
}

TEST(server_plan, success_makes_it_ready_and_ends_the_operation) {
    World world;
    world.create();
    world.decide();
    world.report("starting");
    world.view.reports.at(0).detail = "starting PostgreSQL 15";
    world.decide();
    EXPECT_EQ(world.view.pending.at(0).progress, "starting PostgreSQL 15");
    world.finish();
    world.decide();
    EXPECT_EQ(world.state(), "Ready") << "an older report does not say otherwise";
    EXPECT_EQ(world.ended.at("op1").status, "Succeeded");
    EXPECT_EQ(world.ended.at("op1").end_time, format_iso8601(kNow));
    EXPECT_THAT(world.view.actions, IsEmpty());
    EXPECT_THAT(world.view.results, IsEmpty());
    EXPECT_EQ(world.condition("Ready"), "True Ready");
    world.report("running");
    world.decide();
    EXPECT_EQ(world.view.status->minor_version, "15.20");
}

TEST(server_plan, without_a_fitting_host_it_waits_and_then_gives_up) {
    World world;
    world.view.hosts = {{World::host("host-a", "14"), false}, {World::host("host-b", "15"), true}};
    world.create();
    const ServerDecision decision = world.decide();
    EXPECT_TRUE(decision.waits_for_host);
    EXPECT_TRUE(decision.ask_again.has_value());
    EXPECT_THAT(world.view.actions, IsEmpty());
    EXPECT_THAT(world.view.pending.at(0).progress, HasSubstr("waiting for a host"));
    world.now += kPlacementDeadline + seconds(1);
    world.decide();
    EXPECT_EQ(world.ended.at("op1").status, "Failed");
    EXPECT_THAT(world.ended.at("op1").failure->message, HasSubstr("no host has PostgreSQL 15"));
    EXPECT_EQ(world.state(), "Inaccessible");
}

TEST(server_plan, a_taken_port_range_fails_the_creation) {
    World world;
    world.view.free_port = 0;
    world.create();
    world.decide();
    EXPECT_EQ(world.ended.at("op1").failure->code, to_string(ErrorCode::resource_exhausted));
    EXPECT_EQ(world.view.status->host, "");
}

TEST(placement, prefers_the_asked_zone_then_free_disk_then_the_lowest_id) {
    model::ServerSpec spec;
    spec.version = "15";
    std::vector<HostView> hosts;
    for (const char* id : {"c", "b", "a"}) hosts.push_back({World::host(id, "15"), false});
    EXPECT_EQ(choose_host(spec, hosts)->report.host, "a");
    hosts[1].report.disk_free_gb = 200;
    EXPECT_EQ(choose_host(spec, hosts)->report.host, "b");
    spec.availability_zone = hosts[0].report.zone = "2";
    EXPECT_EQ(choose_host(spec, hosts)->report.host, "c");
    hosts[0].is_silent = true;
    EXPECT_EQ(choose_host(spec, hosts)->report.host, "b");
    EXPECT_EQ(choose_host(spec, {}), nullptr);
}

// ---------------------------------------------------------------------------------------------
// Changes

TEST(server_plan, a_newer_generation_replaces_the_older_action) {
    World world;
    world.create();
    world.decide();
    world.change("UpdateServer");
    world.decide();
    EXPECT_THAT(world.action_ids(), ElementsAre("inc1-2-ensure_instance"));
    EXPECT_EQ(world.view.pending.size(), 2U);
    world.finish();
    world.decide();
    EXPECT_EQ(world.ended.at("op1").status, "Succeeded");
    EXPECT_EQ(world.ended.at("op2").status, "Succeeded");
    EXPECT_EQ(world.view.status->observed_generation, 2);
}

TEST(server_plan, a_result_of_the_older_generation_ends_only_its_own_operations) {
    World world;
    world.create();
    world.decide();
    world.finish();
    world.change("UpdateServer");
    world.decide();
    EXPECT_EQ(world.ended.at("op1").status, "Succeeded");
    EXPECT_EQ(world.view.pending.size(), 1U);
    EXPECT_THAT(world.action_ids(), ElementsAre("inc1-2-ensure_instance"));
    EXPECT_EQ(world.state(), "Updating");
}

TEST(server_plan, the_state_word_follows_what_is_being_done) {
    const std::pair<const char*, const char*> words[] = {{"StartServer", "Starting"},
                                                         {"StopServer", "Stopping"},
                                                         {"RestartServer", "Restarting"},
                                                         {"UpdateServer", "Updating"},
                                                         {"UpdateConfiguration", "Updating"}};
    for (const auto& [kind, word] : words) {
        World world;
        world.create_and_run();
        world.change(kind);
        world.decide();
        EXPECT_EQ(world.state(), word) << kind;
    }
}

TEST(server_plan, the_state_word_follows_the_report_once_settled) {
    const std::tuple<bool, const char*, const char*> rows[] = {
        {true, "running", "Ready"},       {true, "starting", "Starting"},
        {true, "preparing", "Starting"},  {true, "stopping", "Restarting"},
        {true, "stopped", "Starting"},    {true, "failed", "Inaccessible"},
        {true, "absent", "Inaccessible"}, {false, "stopped", "Stopped"},
        {false, "stopping", "Stopping"},  {false, "running", "Stopping"},
        {false, "failed", "Stopped"},
    };
    for (const auto& [running, reported, word] : rows) {
        World world;
        world.create();
        world.view.spec->running = running;
        world.decide();
        world.finish();
        world.decide();
        world.report(reported);
        world.decide();
        EXPECT_EQ(world.state(), word) << running << " " << reported;
    }
}

// ---------------------------------------------------------------------------------------------
// Failures

TEST(server_plan, a_final_failure_fails_the_generation_and_keeps_the_server_usable) {
    World world;
    world.create_and_run();
    world.change("UpdateServer");
    world.decide();
    world.finish(failure(ErrorCode::invalid_argument));
    world.decide();
    EXPECT_EQ(world.ended.at("op2").status, "Failed");
    EXPECT_EQ(world.ended.at("op2").failure->message, "it broke");
    EXPECT_EQ(world.state(), "Ready");
    EXPECT_THAT(world.view.actions, IsEmpty());
    world.change("UpdateServer");
    world.decide();
    EXPECT_THAT(world.action_ids(), ElementsAre("inc1-3-ensure_instance"));
    world.finish();
    world.decide();
    EXPECT_EQ(world.ended.at("op3").status, "Succeeded");
    EXPECT_FALSE(world.view.status->failure.has_value());
}

/// A password and a parameter, as the api changes them.
void change_password(World& world) {
    world.change("UpdateServer");
    world.view.spec->password_version = world.view.spec->generation;
    world.view.spec->sealed_verifier = "v1:other";
    world.view.spec->parameters["work_mem"] = "7001";
}

TEST(server_plan, a_change_that_failed_is_taken_back_and_not_made_later) {
    for (const bool passes : {false, true}) {
        World world;
        world.create_and_run();
        change_password(world);
        world.decide();
        for (std::int64_t i = 0; i <= (passes ? kRetriesMax : 0); ++i) {
            EXPECT_THAT(world.ended, testing::SizeIs(1)) << "not before the last attempt";
            world.finish(failure(passes ? ErrorCode::conflict : ErrorCode::invalid_argument));
            world.decide();
            world.now += kRetryPauseMax;
            if (i < kRetriesMax && passes) world.decide();
        }
        EXPECT_EQ(world.ended.at("op2").status, "Failed");
        EXPECT_EQ(world.view.spec->generation, 3) << "a number is never used for two specs";
        EXPECT_EQ(world.view.spec->sealed_verifier, "v1:sealed");
        EXPECT_THAT(world.view.spec->parameters, IsEmpty());
        // The agent hears of it: some of the change may have been made.
        world.decide();
        ASSERT_THAT(world.action_ids(), ElementsAre("inc1-3-ensure_instance"));
        EXPECT_EQ(world.view.actions[0].instance->administrator_verifier, "v1:sealed");
        EXPECT_EQ(world.view.actions[0].instance->password_version, 1);
        world.finish();
        world.decide();
        EXPECT_EQ(world.state(), "Ready");
        EXPECT_EQ(world.view.status->observed_generation, 3);
        world.change("UpdateServer");
        world.decide();
        EXPECT_EQ(world.view.actions.at(0).instance->administrator_verifier, "v1:sealed");
        EXPECT_THAT(world.view.actions.at(0).instance->parameters, IsEmpty());
    }
}

TEST(server_plan, a_change_without_an_answer_is_taken_back_even_if_it_was_made) {
    World world;
    world.create_and_run();
    change_password(world);
    world.decide();
    const model::Action late = world.view.actions.at(0);
    world.now += kOperationDeadline + seconds(1);
    world.decide();
    EXPECT_EQ(world.ended.at("op2").status, "Failed");
    world.decide();
    ASSERT_THAT(world.action_ids(), ElementsAre("inc1-3-ensure_instance"));
    world.view.results.push_back({late.id, kServer, "inc1", late.kind, late.generation, {}});
    world.decide();
    ASSERT_THAT(world.action_ids(), ElementsAre("inc1-3-ensure_instance"));
    EXPECT_EQ(world.view.actions[0].instance->administrator_verifier, "v1:sealed");
    world.finish();
    world.decide();
    EXPECT_EQ(world.view.status->observed_generation, 3);
    EXPECT_EQ(world.view.spec->sealed_verifier, "v1:sealed");
}

TEST(server_plan, what_succeeded_before_the_change_that_failed_stays) {
    World world;
    world.create_and_run();
    change_password(world);
    world.decide();
    const model::Action first = world.view.actions.at(0);
    world.change("UpdateServer");
    world.view.spec->parameters["work_mem"] = "a lot";
    world.decide();
    world.view.results.push_back({first.id, kServer, "inc1", first.kind, first.generation, {}});
    world.decide();
    EXPECT_EQ(world.ended.at("op2").status, "Succeeded");
    world.finish(failure(ErrorCode::invalid_argument));
    world.decide();
    EXPECT_EQ(world.ended.at("op3").status, "Failed");
    EXPECT_EQ(world.view.spec->parameters["work_mem"], "7001");
    EXPECT_EQ(world.view.spec->sealed_verifier, "v1:other");
    EXPECT_EQ(world.view.spec->password_version, 2);
}

TEST(server_plan, a_change_that_a_later_one_contains_does_not_fail_before_it) {
    World world;
    world.create_and_run();
    change_password(world);
    world.decide();
    const model::Action first = world.view.actions.at(0);
    world.change("UpdateServer");
    world.view.spec->parameters["work_mem"] = "7002";
    world.view.results.push_back({first.id, kServer, "inc1", first.kind, first.generation,
                                  failure(ErrorCode::invalid_argument)});
    world.decide();
    EXPECT_FALSE(world.ended.contains("op2")) << "it may yet be made, as the next one has it in it";
    world.finish();
    world.decide();
    EXPECT_EQ(world.ended.at("op2").status, "Succeeded");
    EXPECT_EQ(world.ended.at("op3").status, "Succeeded");
    EXPECT_EQ(world.view.spec->sealed_verifier, "v1:other");
}

TEST(server_plan, changes_that_fail_together_are_all_taken_back_and_say_so) {
    World world;
    world.create_and_run();
    const auto before = world.view.spec->parameters;
    world.change("UpdateServer");
    world.view.spec->parameters["work_mem"] = "a lot";
    change_password(world);
    world.decide();
    world.finish(failure(ErrorCode::invalid_argument));
    world.decide();
    for (const char* each : {"op2", "op3"}) {
        EXPECT_EQ(world.ended.at(each).status, "Failed");
        EXPECT_NE(world.ended.at(each).failure->hint.find("2 changes were made together"),
                  std::string::npos);
    }
    EXPECT_EQ(world.view.spec->parameters, before);
    EXPECT_EQ(world.view.spec->sealed_verifier, "v1:sealed");
}

/// A read replica that runs, and the promotion of it that was begun.
void promote_replica(World& world) {
    world.create();
    world.view.spec->restore = model::RestoreSpec{.source_id = "/s/source", .follows = true};
    world.decide();
    world.finish();
    world.decide();
    world.report("running");
    world.view.reports[0].replica = model::ReplicaReport{.is_streaming = true, .lag_bytes = 7};
    world.decide();
    world.change("UpdateServer");
    world.view.spec->restore->follows = false;
    world.view.spec->restore->promotion = "planned";
    world.decide();
}

TEST(server_plan, a_read_replica_tells_how_it_follows_and_has_no_backups) {
    World world;
    promote_replica(world);
    ASSERT_TRUE(world.view.revisions.front().restore->follows);
    ASSERT_EQ(world.view.actions.at(0).instance->restore->promotion, "planned");
    world.finish(failure(ErrorCode::invalid_argument));
    world.decide();
    EXPECT_EQ(world.ended.at("op2").status, "Failed");
    EXPECT_TRUE(world.view.spec->restore->follows) << "it goes on following";
    world.view.reports[0].backups = model::BackupReport{};
    world.decide();
    EXPECT_EQ(world.condition("Replicating"), "True Streaming");
    EXPECT_EQ(world.condition("BackedUp"), "");
    world.view.reports[0].replica->is_streaming = false;
    world.decide();
    EXPECT_EQ(world.condition("Replicating"), "False NotConnected");
}

TEST(server_plan, what_was_promoted_never_follows_again_whatever_failed_behind_that) {
    World world;
    promote_replica(world);
    world.view.reports[0].replica.reset();
    world.finish(failure(ErrorCode::invalid_argument));
    world.decide();
    EXPECT_EQ(world.ended.at("op2").status, "Failed");
    EXPECT_FALSE(world.view.spec->restore->follows);
    EXPECT_EQ(world.condition("Replicating"), "");
}

TEST(server_plan, taking_back_that_fails_itself_is_not_taken_back_again) {
    World world;
    world.create_and_run();
    change_password(world);
    world.decide();
    world.finish(failure(ErrorCode::invalid_argument));
    world.decide();
    world.decide();
    world.finish(failure(ErrorCode::invalid_argument));
    world.decide();
    EXPECT_EQ(world.view.spec->generation, 3);
    EXPECT_EQ(world.state(), "Ready");
    EXPECT_THAT(world.view.actions, IsEmpty());
    const ServerDecision decision = world.decide();
    EXPECT_FALSE(decision.restored_spec.has_value());
    EXPECT_FALSE(decision.status.has_value());
}

TEST(server_plan, as_many_changes_as_may_be_begun_keep_what_is_in_force) {
    World world;
    world.create_and_run();
    for (int i = 0; i < 20; ++i) {
        change_password(world);
        world.decide();
        EXPECT_LE(world.view.revisions.size(), kRevisionsMax);
    }
    world.finish(failure(ErrorCode::invalid_argument));
    world.decide();
    EXPECT_EQ(world.view.spec->sealed_verifier, "v1:sealed");
    EXPECT_EQ(world.view.spec->generation, 22);
}

TEST(server_plan, a_failure_that_may_pass_is_tried_again_with_growing_pauses) {
    World world;
    world.create();
    world.decide();
    milliseconds last_pause{};
    for (int retry = 1; retry <= kRetriesMax; ++retry) {
        world.finish(failure(ErrorCode::io));
        const ServerDecision decision = world.decide();
        EXPECT_THAT(world.view.actions, IsEmpty()) << "not before the pause is over";
        ASSERT_TRUE(decision.ask_again.has_value());
        EXPECT_GT(*decision.ask_again, last_pause);
        last_pause = *decision.ask_again;
        world.now += last_pause;
        world.decide();
        EXPECT_THAT(world.action_ids(),
                    ElementsAre(fmt::format("inc1-1-ensure_instance-r{}", retry)));
        EXPECT_THAT(world.ended, IsEmpty());
    }
    world.finish(failure(ErrorCode::io));
    world.decide();
    EXPECT_EQ(world.ended.at("op1").status, "Failed");
    EXPECT_EQ(world.ended.at("op1").failure->code, "StorageFailure");
}

TEST(server_plan, a_new_generation_does_not_wait_for_the_retries_of_the_old) {
    World world;
    world.create();
    world.decide();
    world.finish(failure(ErrorCode::io));
    world.decide();
    world.change("UpdateServer");
    world.decide();
    EXPECT_THAT(world.action_ids(), ElementsAre("inc1-2-ensure_instance"));
    EXPECT_EQ(world.view.status->retries, 0);
}

TEST(server_plan, a_duplicate_of_an_old_failure_changes_nothing) {
    World world;
    world.create();
    world.decide();
    const model::Action action = world.view.actions.at(0);
    const model::ActionResult old{action.id,   kServer, "inc1",
                                  action.kind, 1,       failure(ErrorCode::io)};
    world.view.results = {old};
    world.decide();
    world.now += seconds(1);
    world.decide();
    ASSERT_THAT(world.action_ids(), ElementsAre("inc1-1-ensure_instance-r1"));
    world.view.results = {old};
    world.decide();
    EXPECT_EQ(world.view.status->retries, 1);
    EXPECT_THAT(world.action_ids(), ElementsAre("inc1-1-ensure_instance-r1"));
    world.finish();
    world.decide();
    world.view.results = {old};
    world.view.results[0].failure = failure(ErrorCode::invalid_argument);
    world.decide();
    EXPECT_EQ(world.view.status->failed_generation, 0);
    EXPECT_THAT(world.view.results, IsEmpty());
}

TEST(server_plan, an_operation_without_an_answer_ends_but_what_is_wanted_stays_wanted) {
    World world;
    world.create();
    world.decide();
    world.now += kOperationDeadline + seconds(1);
    world.decide();
    EXPECT_EQ(world.ended.at("op1").status, "Failed");
    EXPECT_EQ(world.ended.at("op1").failure->code, to_string(ErrorCode::timeout));
    EXPECT_EQ(world.state(), "Inaccessible");
    EXPECT_THAT(world.action_ids(), ElementsAre("inc1-1-ensure_instance"));
    world.finish();  // the host is back
    world.decide();
    EXPECT_EQ(world.state(), "Ready");
    EXPECT_FALSE(world.view.status->failure.has_value());
}

TEST(server_plan, what_can_be_restored_stays_known_until_an_agent_has_read_it_again) {
    World world;
    world.create_and_run();
    world.view.reports[0].backups = model::BackupReport{.restorable = {{"a", "b"}}};
    world.decide();
    world.view.reports[0].backups = model::BackupReport{.is_unknown = true, .trouble = "away"};
    world.decide();
    EXPECT_EQ(world.view.status->restorable.size(), 1U);
    EXPECT_EQ(world.view.status->backup_trouble, "away");
    world.view.reports[0].backups = model::BackupReport{};
    world.decide();
    EXPECT_THAT(world.view.status->restorable, IsEmpty());
}

TEST(server_plan, a_restore_has_days) {
    World world;
    world.create();
    world.view.spec->restore = model::RestoreSpec{.source_incarnation = "inc0"};
    world.decide();
    world.now += kOperationDeadline + seconds(1);
    world.decide();
    EXPECT_THAT(world.ended, IsEmpty());
    world.now += kRestoreDeadline;
    world.decide();
    EXPECT_EQ(world.ended.at("op1").status, "Failed");
}

TEST(server_plan, a_deletion_without_an_answer_still_happens_when_the_host_is_back) {
    World world;
    world.create_and_run();
    world.view.spec->deleting = true;
    world.change("DeleteServer");
    world.decide();
    world.now += kOperationDeadline + seconds(1);
    world.decide();
    EXPECT_EQ(world.ended.at("op2").status, "Failed");
    EXPECT_FALSE(world.decide().remove_server);
    world.finish();
    EXPECT_TRUE(world.decide().remove_server);
}

// ---------------------------------------------------------------------------------------------
// Deletion

TEST(server_plan, deletion_removes_the_records_only_after_the_agent_is_done) {
    World world;
    world.create_and_run();
    world.view.spec->deleting = true;
    world.change("DeleteServer");
    EXPECT_FALSE(world.decide().remove_server);
    EXPECT_EQ(world.state(), "Dropping");
    ASSERT_THAT(world.action_ids(), ElementsAre("inc1-2-delete_instance"));
    EXPECT_FALSE(world.decide().remove_server);
    world.finish();
    EXPECT_TRUE(world.decide().remove_server);
    EXPECT_EQ(world.ended.at("op2").status, "Succeeded");
    EXPECT_THAT(world.view.actions, IsEmpty());
    EXPECT_THAT(world.view.results, IsEmpty());
}

TEST(server_plan, deletion_overtakes_a_creation_that_is_under_way) {
    World world;
    world.create();
    world.decide();
    world.view.spec->deleting = true;
    world.change("DeleteServer");
    world.decide();
    EXPECT_THAT(world.action_ids(), ElementsAre("inc1-2-delete_instance"));
    world.finish();
    world.decide();
    EXPECT_EQ(world.ended.at("op1").status, "Canceled");
    EXPECT_TRUE(world.ended.at("op1").failure.has_value());
    EXPECT_EQ(world.ended.at("op2").status, "Succeeded");
}

TEST(server_plan, a_server_that_was_never_placed_is_deleted_at_once) {
    World world;
    world.view.hosts.clear();
    world.create();
    world.decide();
    world.view.spec->deleting = true;
    world.change("DeleteServer");
    EXPECT_TRUE(world.decide().remove_server);
    EXPECT_EQ(world.ended.at("op1").status, "Canceled");
    EXPECT_EQ(world.ended.at("op2").status, "Succeeded");
}

TEST(server_plan, a_deletion_that_failed_can_be_asked_for_again) {
    World world;
    world.create_and_run();
    world.view.spec->deleting = true;
    world.change("DeleteServer");
    world.decide();
    world.finish(failure(ErrorCode::invalid_argument));
    EXPECT_FALSE(world.decide().remove_server);
    EXPECT_EQ(world.ended.at("op2").status, "Failed");
    EXPECT_THAT(world.view.actions, IsEmpty());
    world.change("DeleteServer");
    world.decide();
    EXPECT_THAT(world.action_ids(), ElementsAre("inc1-3-delete_instance"));
    world.finish();
    EXPECT_TRUE(world.decide().remove_server);
    EXPECT_EQ(world.ended.at("op3").status, "Succeeded");
}

TEST(server_plan, more_operations_than_fit_end_before_the_records_go) {
    World world;
    world.create_and_run();
    for (int i = 0; i < 3; ++i) world.change("UpdateServer");
    world.view.spec->deleting = true;
    world.change("DeleteServer");
    world.decide();
    world.finish();
    world.view.has_more_pending = true;
    const ServerDecision first = world.decide();
    EXPECT_FALSE(first.remove_server);
    EXPECT_EQ(first.ask_again, milliseconds::zero());
    EXPECT_EQ(world.view.results.size(), 1U) << "what it rests on stays";
    world.view.has_more_pending = false;
    EXPECT_TRUE(world.decide().remove_server);
}

TEST(server_plan, what_is_left_of_a_server_without_a_record_goes) {
    World world;
    world.create();
    world.decide();
    world.view.spec.reset();
    world.finish();
    const ServerDecision decision = world.decide();
    EXPECT_TRUE(decision.remove_server);
    EXPECT_EQ(world.ended.at("op1").status, "Canceled");
    EXPECT_THAT(world.view.actions, IsEmpty());
    EXPECT_THAT(world.view.results, IsEmpty());
}

// ---------------------------------------------------------------------------------------------
// Databases

TEST(server_plan, a_database_is_created_and_dropped_by_actions_of_their_own) {
    World world;
    world.create_and_run();
    world.begin_database("CreateDatabase", "App");
    world.decide();
    ASSERT_THAT(world.action_ids(), ElementsAre("inc1-0-create_database-op2"));
    EXPECT_EQ(world.view.actions[0].database->name, "App");
    EXPECT_EQ(world.view.actions[0].database->collation, "C");
    EXPECT_EQ(world.state(), "Ready") << "a database does not make the server busy";
    world.finish();
    world.decide();
    EXPECT_EQ(world.ended.at("op2").status, "Succeeded");
    EXPECT_EQ(world.view.databases.size(), 1U) << "no report has shown it yet";

    world.view.databases.clear();
    world.begin_database("DropDatabase", "App");
    world.decide();
    ASSERT_THAT(world.action_ids(), ElementsAre("inc1-0-drop_database-op3"));
    EXPECT_EQ(world.view.actions[0].database->name, "App");
    world.finish();
    world.decide();
    EXPECT_EQ(world.ended.at("op3").status, "Succeeded");
}

TEST(server_plan, database_work_waits_for_the_server) {
    World world;
    world.create();
    world.begin_database("CreateDatabase", "app");
    world.decide();
    EXPECT_THAT(world.action_ids(), ElementsAre("inc1-1-ensure_instance"));
    world.finish();
    world.decide();
    EXPECT_THAT(world.view.actions, IsEmpty()) << "not reported running yet";
    world.report("running");
    world.decide();
    EXPECT_THAT(world.action_ids(), ElementsAre("inc1-0-create_database-op2"));
}

TEST(server_plan, database_work_is_refused_while_stopped_or_deleted) {
    World stopped;
    stopped.create_and_run();
    stopped.view.spec->running = false;
    stopped.begin_database("CreateDatabase", "app");
    stopped.decide();
    EXPECT_EQ(stopped.ended.at("op2").status, "Failed");
    EXPECT_EQ(stopped.ended.at("op2").failure->code, "OperationNotAllowed");
    EXPECT_THAT(stopped.view.databases, IsEmpty()) << "the record of a failed creation goes";

    World deleted;
    deleted.create_and_run();
    deleted.begin_database("CreateDatabase", "app");
    deleted.decide();
    deleted.view.spec->deleting = true;
    deleted.change("DeleteServer");
    deleted.decide();
    EXPECT_EQ(deleted.ended.at("op2").status, "Failed");
    EXPECT_THAT(deleted.action_ids(), ElementsAre("inc1-2-delete_instance"));
}

TEST(server_plan, what_was_sent_to_a_server_that_stops_keeps_its_own_result) {
    World world;
    world.create_and_run();
    world.begin_database("CreateDatabase", "app");
    world.decide();
    world.view.spec->running = false;
    world.change("StopServer");
    world.decide();
    EXPECT_EQ(world.view.actions.size(), 2U);
    world.finish();
    world.decide();
    EXPECT_EQ(world.ended.at("op2").status, "Succeeded");
}

TEST(server_plan, a_backup_on_demand_may_take_hours_once_it_has_begun) {
    World world;
    world.create_and_run();
    world.begin_backup("CreateBackup", "Before-Upgrade");
    world.decide();
    ASSERT_THAT(world.action_ids(), ElementsAre("inc1-0-make_backup-op2"));
    EXPECT_EQ(world.view.actions[0].backup, "Before-Upgrade");
    EXPECT_FALSE(world.view.actions[0].database);
    EXPECT_EQ(world.state(), "Ready") << "a backup does not make the server busy";
    world.view.reports[0].backups = model::BackupReport{.activity = "a full backup is made"};
    world.decide();
    EXPECT_EQ(world.view.pending.at(0).progress, "a full backup is made");
    world.now += hours(23);
    world.decide();
    EXPECT_EQ(world.view.pending.size(), 1U);
    world.finish();
    world.decide();
    EXPECT_EQ(world.ended.at("op2").status, "Succeeded");

    world.begin_backup("DeleteBackup", "Before-Upgrade");
    world.decide();
    ASSERT_THAT(world.action_ids(), ElementsAre("inc1-0-drop_backup-op3"));
    world.now += hours(25);
    world.decide();
    EXPECT_EQ(world.ended.at("op3").failure->code, "OperationTimedOut");
    EXPECT_THAT(world.view.actions, IsEmpty());
}

TEST(server_plan, backups_are_proved_by_an_action_and_the_condition_tells_the_last_outcome) {
    World world;
    world.create_and_run();
    const auto condition = [&]() -> std::string {
        for (const auto& each : world.view.status->conditions)
            if (each.type == "Proved") return each.status + " " + each.message;
        return "";
    };
    world.begin_backup("ProveBackups", "20261123-040506-000");
    world.view.pending.back().restore_time = "2026-11-23T04:00:00.000Z";
    world.decide();
    ASSERT_THAT(world.action_ids(), ElementsAre("inc1-0-prove_backup-op2"));
    EXPECT_EQ(world.view.actions[0].backup, "20261123-040506-000");
    EXPECT_EQ(world.view.actions[0].restore_time, "2026-11-23T04:00:00.000Z");
    EXPECT_EQ(world.state(), "Ready");
    EXPECT_EQ(condition(), "") << "never tried";
    const auto proof = [&](const std::string& outcome, std::chrono::hours ago) {
        world.view.reports[0].backups->proofs = {
            {{.outcome = outcome,
              .reason = outcome == "failed" ? "what came back is damaged" : "",
              .time = "2026-11-23T04:00:00.000Z",
              .ended_at = format_iso8601(world.now - ago)},
             ""}};
    };
    world.view.reports[0].backups = model::BackupReport{};
    proof("proved", std::chrono::hours(1));
    world.finish();
    world.decide();
    EXPECT_EQ(world.ended.at("op2").status, "Succeeded");
    EXPECT_THAT(condition(), testing::StartsWith("True restored to 2026-11-23T04:00:00.000Z"));
    proof("failed", std::chrono::hours(1));
    world.decide();
    EXPECT_THAT(condition(), testing::StartsWith("False what came back is damaged"));
    proof("proved", std::chrono::hours(24 * 15));
    world.decide();
    EXPECT_THAT(condition(), testing::StartsWith("Unknown restored to")) << "too long ago";
    proof("restored", std::chrono::hours(1));
    world.decide();
    EXPECT_THAT(condition(), testing::StartsWith("Unknown restored to")) << "nothing compared";
    // Nobody has heard of it: what was known still is.
    proof("proved", std::chrono::hours(1));
    world.decide();
    world.view.reports[0].backups = model::BackupReport{.is_unknown = true};
    world.decide();
    EXPECT_THAT(condition(), testing::StartsWith("True"));
}

TEST(server_plan, the_condition_tells_whether_the_last_moments_can_be_brought_back) {
    World world;
    world.create_and_run();
    const auto condition = [&]() -> std::string {
        for (const auto& each : world.view.status->conditions)
            if (each.type == "BackedUp") return each.status + " " + each.reason;
        return "";
    };
    EXPECT_EQ(condition(), "") << "no backups are kept there";
    const auto told = [&](const model::BackupReport& report) {
        world.view.reports[0].backups = report;
        world.decide();
        return condition();
    };
    EXPECT_EQ(told({}), "False FirstBackup");
    EXPECT_EQ(told({.restorable = {{"a", "b"}}}), "True EverySecond");
    EXPECT_EQ(told({.restorable = {{"a", "b"}, {"c", "d"}}}), "True WithGaps");
    EXPECT_EQ(told({.restorable = {{"a", "b"}}, .trouble = "the disk is full"}), "False Trouble");
    EXPECT_EQ(world.view.status->conditions[1].message, "the disk is full");
}

TEST(server_plan, requests_for_one_database_are_done_one_after_another) {
    World world;
    world.create_and_run();
    world.begin_database("CreateDatabase", "app");
    world.begin_database("DropDatabase", "app");
    world.begin_database("CreateDatabase", "other");
    world.decide();
    EXPECT_THAT(world.action_ids(),
                ElementsAre("inc1-0-create_database-op2", "inc1-0-create_database-op4"));
    world.finish();
    world.decide();
    EXPECT_THAT(world.action_ids(),
                ElementsAre("inc1-0-create_database-op4", "inc1-0-drop_database-op3"));
}

TEST(server_plan, a_creation_has_its_own_wishes_whatever_became_of_the_record) {
    World world;
    world.create_and_run();
    const auto begin = [&](const char* kind, const char* collation) {
        world.begin_database(kind, "app");
        model::Operation& operation = world.view.pending.back();
        world.view.databases.clear();  // the newest request wrote or removed the record
        if (operation.kind != "CreateDatabase") return;
        operation.database = {operation.resource_id, "app", "UTF8", collation, operation.id};
        world.view.databases.push_back(*operation.database);
    };
    begin("CreateDatabase", "C");
    begin("DropDatabase", "");
    begin("CreateDatabase", "POSIX");
    begin("DropDatabase", "");
    for (const auto& [action, collation] : {std::pair("inc1-0-create_database-op2", "C"),
                                            {"inc1-0-drop_database-op3", ""},
                                            {"inc1-0-create_database-op4", "POSIX"},
                                            {"inc1-0-drop_database-op5", ""}}) {
        world.decide();
        ASSERT_THAT(world.action_ids(), ElementsAre(action));
        if (*collation != 0) {
            EXPECT_EQ(world.view.actions[0].database->collation, collation);
        }
        world.finish();
    }
    world.decide();
    EXPECT_THAT(world.action_ids(), IsEmpty());
    for (const char* each : {"op2", "op3", "op4", "op5"})
        EXPECT_EQ(world.ended.at(each).status, "Succeeded") << each;
}

TEST(server_plan, a_failed_database_action_is_tried_again_and_then_fails) {
    World world;
    world.create_and_run();
    world.begin_database("CreateDatabase", "app");
    world.decide();
    for (int retry = 1; retry <= kRetriesMax; ++retry) {
        world.finish(failure(ErrorCode::postgres));
        const ServerDecision decision = world.decide();
        EXPECT_THAT(world.view.actions, IsEmpty());
        world.now += decision.ask_again.value();
        world.decide();
        EXPECT_THAT(world.action_ids(),
                    ElementsAre(fmt::format("inc1-0-create_database-op2-r{}", retry)));
    }
    world.finish(failure(ErrorCode::postgres));
    world.decide();
    EXPECT_EQ(world.ended.at("op2").status, "Failed");
    EXPECT_THAT(world.view.databases, IsEmpty());
}

TEST(server_plan, a_failed_creation_leaves_the_record_to_a_later_request) {
    World world;
    world.create_and_run();
    world.begin_database("CreateDatabase", "app");
    world.decide();
    world.begin_database("CreateDatabase", "app");
    world.view.databases.pop_back();  // the later request wrote the same record
    world.finish(failure(ErrorCode::invalid_argument));
    world.decide();
    EXPECT_EQ(world.ended.at("op2").status, "Failed");
    EXPECT_EQ(world.view.databases.size(), 1U);
    EXPECT_THAT(world.action_ids(), ElementsAre("inc1-0-create_database-op3"));
    world.finish();
    world.decide();
    EXPECT_EQ(world.ended.at("op3").status, "Succeeded");
}

TEST(server_plan, a_database_that_was_dropped_by_sql_loses_its_record) {
    World world;
    world.create_and_run();
    world.begin_database("CreateDatabase", "app");
    world.decide();
    world.finish();
    world.report("running");  // an older report, without it
    world.decide();
    ASSERT_EQ(world.view.databases.size(), 1U);
    world.view.reports.at(0).databases = {{"app", "UTF8", "C"}, {"by_sql", "UTF8", "C"}};
    world.decide();
    ASSERT_EQ(world.view.databases.size(), 1U);
    EXPECT_EQ(world.view.status->databases.size(), 2U);
    world.view.reports.at(0).state = "stopped";
    world.view.reports.at(0).databases.clear();
    world.decide();
    EXPECT_EQ(world.view.databases.size(), 1U) << "a stopped server shows nothing";
    world.view.reports.at(0).state = "running";
    world.view.reports.at(0).databases = {{"by_sql", "UTF8", "C"}};
    world.decide();
    EXPECT_THAT(world.view.databases, IsEmpty());
}

// ---------------------------------------------------------------------------------------------
// Certificates, hosts, capabilities

TEST(server_plan, a_certificate_is_renewed_before_it_ends) {
    World world;
    world.create_and_run();
    EXPECT_FALSE(world.decide().issue_certificate);
    world.now = *world.view.certificate_end - kCertificateRenewal + seconds(1);
    const ServerDecision decision = world.decide();
    EXPECT_TRUE(decision.issue_certificate);
    ASSERT_EQ(world.view.actions.size(), 1U);
    EXPECT_THAT(world.view.actions[0].id, HasSubstr("inc1-1-ensure_instance-tls"));
    EXPECT_FALSE(world.decide().issue_certificate) << "once";
    world.finish();
    world.decide();
    EXPECT_THAT(world.view.actions, IsEmpty());
    EXPECT_EQ(world.state(), "Ready");
    EXPECT_FALSE(world.decide().issue_certificate);
}

TEST(server_plan, a_certificate_of_another_authority_is_replaced_when_nothing_else_is_done) {
    World world;
    world.create_and_run();
    world.view.certificate_is_outdated = true;
    const ServerDecision decision = world.decide();
    EXPECT_TRUE(decision.issue_certificate);
    ASSERT_EQ(world.view.actions.size(), 1U);
    EXPECT_THAT(world.view.actions[0].id, HasSubstr("inc1-1-ensure_instance-tls"));
    EXPECT_EQ(world.state(), "Ready") << "nobody has to wait for it";
    EXPECT_FALSE(world.decide().issue_certificate) << "once";
    world.finish();
    world.decide();
    EXPECT_THAT(world.view.actions, IsEmpty());
    EXPECT_FALSE(world.decide().issue_certificate);
}

TEST(server_plan, a_certificate_of_another_authority_is_replaced_by_the_next_action) {
    World world;
    world.create_and_run();
    world.view.certificate_is_outdated = true;
    world.view.spec->generation = 2;
    EXPECT_TRUE(world.decide().issue_certificate);
    ASSERT_THAT(world.action_ids(), ElementsAre("inc1-2-ensure_instance"));
    world.finish();
    world.decide();
    EXPECT_THAT(world.view.actions, IsEmpty()) << "that was enough";
}

TEST(server_plan, a_renewal_that_fails_is_given_up_after_its_retries) {
    World world;
    world.create_and_run();
    world.now = *world.view.certificate_end - kCertificateRenewal + seconds(1);
    world.decide();
    int sent = 0;
    for (; sent < 20 && !world.view.actions.empty(); ++sent) {
        world.finish(failure(ErrorCode::io));
        const ServerDecision decision = world.decide();
        world.now += decision.ask_again.value_or(milliseconds{});
        world.decide();
    }
    EXPECT_EQ(sent, 1 + kRetriesMax);
    EXPECT_EQ(world.state(), "Ready");
}

TEST(server_plan, a_renewal_that_succeeds_at_the_second_attempt_is_done) {
    World world;
    world.create_and_run();
    world.now = *world.view.certificate_end - kCertificateRenewal + seconds(1);
    world.decide();
    world.finish(failure(ErrorCode::io));
    world.decide();
    world.now += kRetryPauseMax;
    world.decide();
    ASSERT_EQ(world.view.actions.size(), 1U);
    world.finish();
    world.decide();
    world.now += kRetryPauseMax;
    world.decide();
    EXPECT_THAT(world.view.actions, IsEmpty());
}

TEST(server_plan, silence_of_the_host_and_missing_capabilities_are_conditions) {
    World world;
    world.view.hosts[0].report.capabilities = {{"cgroup-limits", false, "not root"},
                                               {"io-limits", true, ""}};
    world.create_and_run();
    EXPECT_EQ(world.condition("HostReachable"), "True HeardOf");
    EXPECT_EQ(world.condition("Capability.cgroup-limits"), "False NotAvailable");
    EXPECT_EQ(world.condition("Capability.io-limits"), "");
    const std::string since = world.view.status->conditions[1].last_transition_time;
    world.now += hours(1);
    world.view.hosts[0].is_silent = true;
    world.decide();
    EXPECT_EQ(world.condition("HostReachable"), "False NotHeardOf");
    EXPECT_EQ(world.state(), "Ready") << "the data plane does not depend on the control plane";
    EXPECT_NE(world.view.status->conditions[1].last_transition_time, since);
}

// ---------------------------------------------------------------------------------------------
// For any view

/// Every reachable view, as deep as `depth` events: after each the decision is carried out, and
/// asking again changes nothing more.
void explore(const World& world, int depth, int* seen) {
    ++*seen;
    World again = world;
    const ServerDecision decision = again.decide();
    if (decision.ask_again != milliseconds::zero()) {
        EXPECT_FALSE(decision.status.has_value());
        EXPECT_FALSE(decision.restored_spec.has_value());
        EXPECT_FALSE(decision.revisions.has_value());
        EXPECT_THAT(decision.put_actions, IsEmpty());
        EXPECT_THAT(decision.remove_actions, IsEmpty());
        EXPECT_THAT(decision.operations, IsEmpty());
        EXPECT_FALSE(decision.remove_server);
    }
    int ensures = 0;
    for (const auto& each : world.view.actions) {
        if (each.kind != ActionKind::ensure_instance) continue;
        ++ensures;
        EXPECT_EQ(each.generation, world.view.spec->generation);
    }
    EXPECT_LE(ensures, 1);
    for (const auto& [id, operation] : world.ended)
        EXPECT_EQ(operation.status != "Succeeded", operation.failure.has_value()) << id;
    if (depth == 0 || !world.view.spec) return;

    const auto branch = [&](const std::function<void(World&)>& event) {
        World next = world;
        event(next);
        // What is taken back is carried out by the next decision, which is asked for at once.
        if (next.decide().restored_spec) next.decide();
        explore(next, depth - 1, seen);
    };
    if (!world.view.actions.empty()) {
        branch([](World& next) { next.finish(); });
        branch([](World& next) { next.finish(failure(ErrorCode::io)); });
        branch([](World& next) { next.finish(failure(ErrorCode::invalid_argument)); });
    }
    for (const char* state : {"running", "failed", "stopped"})
        branch([&](World& next) { next.report(state); });
    branch([](World& next) {
        next.change("UpdateServer");
        next.view.spec->parameters["work_mem"] = std::to_string(next.view.spec->generation);
    });
    branch([](World& next) { next.begin_database("CreateDatabase", "app"); });
    branch([](World& next) {
        next.view.spec->deleting = true;
        next.change("DeleteServer");
    });
    branch([](World& next) { next.now += seconds(10); });
}

TEST(server_plan, carrying_a_decision_out_and_asking_again_changes_nothing_more) {
    World world;
    world.create();
    world.decide();
    int seen = 0;
#ifdef HOWDAH_SANITIZED
    explore(world, 3, &seen);
#else
    explore(world, 4, &seen);
#endif
    EXPECT_GT(seen, 200);
}

}  // namespace
}  // namespace howdah::core
