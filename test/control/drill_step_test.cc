#include "control/reconcile/drill_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/reconcile/records.h"
#include "core/ha/failover_tracker.h"
#include "model/json.h"
#include "model/resource_id.h"
#include "store/keys.h"
#include "store/memory/memory_store.h"

namespace howdah::control {
namespace {

namespace keys = store::keys;
using namespace std::chrono_literals;

const model::ResourceId kId = model::ResourceId::server("sub", "Rg", "Pg1");
const std::string kServer = kId.key();

/// A healthy pair whose maintenance window is the next full hour of a Thursday: 2026-01-01T02:00Z,
/// an hour from the clock's beginning.
class drill_step : public testing::Test {
  protected:
    drill_step() {
        spec_.id = kId.to_string();
        spec_.name = "Pg1";
        spec_.location = "local";
        spec_.incarnation = "inc1";
        spec_.high_availability_mode = "ZoneRedundant";
        spec_.maintenance = {.custom = "Enabled", .day_of_week = 4, .start_hour = 2};
        status_.server_id = kServer;
        status_.incarnation = "inc1";
        status_.high_availability_state = "Healthy";
        status_.members.term = 3;
        put_server();
        put(keys::drill_schedule(kServer),
            model::DrillSchedule{.incarnation = "inc1",
                                 .recurrence = "weekly",
                                 .kind = "planned",
                                 .set_by = "me",
                                 .handled_until = format_iso8601(clock_.wall())});
    }

    void put_server() {
        put("/server" + kServer, spec_);
        put(keys::status(kServer), status_);
    }
    template <typename Record>
    void put(const std::string& key, const Record& record) {
        store_->commit(store::Transaction().put(key, model::to_json(record))).value();
    }
    std::optional<Duration> step() {
        auto pause = step_.run(kServer);
        EXPECT_TRUE(pause.ok()) << pause.error().describe();
        return pause.ok() ? *pause : std::nullopt;
    }
    std::vector<model::Drill> drills() {
        std::vector<model::Drill> all;
        const auto listed = store_->list(keys::drills_of(kServer)).value();
        for (const store::Entry& each : listed)
            all.push_back(model::from_json<model::Drill>(each.value).value());
        return all;
    }
    void end_operation(const std::string& id, const std::string& status) {
        auto read = read_record<model::Operation>(*store_, keys::operation(id)).value();
        read.record->status = status;
        read.record->end_time = format_iso8601(clock_.wall());
        store::Transaction transaction;
        Operations::update(transaction, *read.record, read.modified);
        ASSERT_TRUE(store_->commit(transaction).ok());
    }

    FakeClock clock_;
    FakeIdSource ids_;
    std::unique_ptr<store::Store> store_ = store::make_memory_store(clock_);
    Operations operations_{*store_, clock_, ids_};
    DrillStep step_{*store_, clock_, ids_, operations_};
    model::ServerSpec spec_;
    model::ServerStatus status_;
};

TEST_F(drill_step, fails_over_in_the_maintenance_window_and_keeps_a_report) {
    EXPECT_EQ(step(), 1h);
    clock_.advance(59min);
    EXPECT_EQ(step(), 1min);
    EXPECT_TRUE(drills().empty());
    clock_.advance(1min);
    step();
    ASSERT_EQ(drills().size(), 1U);
    EXPECT_EQ(drills()[0].status, "InProgress");
    const std::string id = drills()[0].operation_id;
    const auto operation = operations_.find(id).value();
    EXPECT_EQ(operation.kind, "FailoverServer");
    EXPECT_EQ(operation.failover, "planned");
    EXPECT_EQ(operation.requested_by, "me");
    EXPECT_EQ(operation.subscription, "sub");
    step();
    EXPECT_EQ(drills().size(), 1U) << "once";
    EXPECT_EQ(store_->list(keys::pending_of(kServer)).value().size(), 1U);

    status_.members.term = 4;
    put_server();
    end_operation(id, "Succeeded");
    EXPECT_EQ(step(), core::kTimelineDeadline) << "the members have not told yet";
    model::FailoverRecord record{.term = 4, .incarnation = "inc1"};
    record.parts = {
        {.term = 4, .host = "a", .old_primary = "a", .new_primary = "b", .is_over = true},
        {.term = 4, .host = "b", .old_primary = "a", .new_primary = "b", .is_over = true}};
    record.parts[0].steps = {{.at_ms = 1000, .kind = std::string(core::ha::step::kStopAsked)}};
    record.parts[1].steps = {{.at_ms = 1210, .kind = std::string(core::ha::step::kOpened)}};
    put(keys::failover(kServer, 4), record);
    step();
    ASSERT_EQ(drills().size(), 1U);
    EXPECT_EQ(drills()[0].status, "Succeeded");
    EXPECT_EQ(drills()[0].term, 4);
    EXPECT_EQ(drills()[0].writes_out_ms, 210);
    const auto marked =
        read_record<model::FailoverRecord>(*store_, keys::failover(kServer, 4)).value();
    EXPECT_EQ(marked.record->drill, drills()[0].name);
    EXPECT_EQ(marked.record->parts.size(), 2U);
    clock_.advance(7 * 24h);
    step();
    EXPECT_EQ(drills().size(), 2U) << "a week later";
}

TEST_F(drill_step, skips_a_server_that_is_not_healthy_or_busy) {
    status_.high_availability_state = "ReplicatingData";
    put_server();
    clock_.advance(1h);
    step();
    ASSERT_EQ(drills().size(), 1U);
    EXPECT_EQ(drills()[0].status, "Skipped");
    EXPECT_THAT(drills()[0].failure_message, testing::HasSubstr("ReplicatingData"));
    status_.high_availability_state = "Healthy";
    put_server();
    step();
    EXPECT_EQ(drills().size(), 1U) << "not before the next window";
    store::Transaction transaction;
    (void)operations_.begin(transaction, {.kind = "UpdateServer", .server_key = kServer});
    ASSERT_TRUE(operations_.commit(transaction).ok());
    clock_.advance(7 * 24h);
    step();
    ASSERT_EQ(drills().size(), 2U);
    EXPECT_THAT(drills()[1].failure_message, testing::HasSubstr("busy"));
}

TEST_F(drill_step, does_nothing_without_a_window_or_on_the_way_out) {
    spec_.maintenance.custom = "Disabled";
    put_server();
    clock_.advance(30 * 24h);
    EXPECT_EQ(step(), std::nullopt);
    spec_.maintenance.custom = "Enabled";
    spec_.deleting = true;
    put_server();
    EXPECT_EQ(step(), std::nullopt);
    EXPECT_TRUE(drills().empty());
}

TEST_F(drill_step, one_whose_operation_failed_says_why) {
    clock_.advance(1h);
    step();
    end_operation(drills()[0].operation_id, "Failed");
    step();
    EXPECT_EQ(drills()[0].status, "Failed");
    EXPECT_EQ(drills()[0].term, 0);
}

TEST_F(drill_step, reports_are_bounded) {
    for (std::size_t i = 0; i < core::kDrillsMax + 3; ++i) {
        const std::string name = core::drill_name(clock_.wall() + std::chrono::minutes(i));
        put(keys::drill(kServer, name),
            model::Drill{.name = name, .incarnation = "inc1", .status = "Succeeded"});
    }
    const std::string oldest = drills()[0].name;
    EXPECT_EQ(step_.run(kServer).error().code, ErrorCode::conflict) << "looks again at once";
    step();
    EXPECT_EQ(drills().size(), core::kDrillsMax);
    EXPECT_NE(drills()[0].name, oldest);
}

TEST_F(drill_step, nothing_is_left_of_a_server_that_is_gone) {
    clock_.advance(1h);
    step();
    for (int term = 1; term <= 150; ++term)
        put(keys::failover(kServer, term), model::FailoverRecord{.term = term});
    ASSERT_TRUE(store_->commit(store::Transaction().remove("/server" + kServer)).ok());
    step();
    for (const char* family : {"/failover", "/drill", "/drill-schedule"})
        EXPECT_TRUE(store_->list(family).value().empty()) << family;
}

TEST_F(drill_step, a_new_server_of_the_name_has_none_of_the_former_ones) {
    clock_.advance(1h);
    step();
    spec_.incarnation = status_.incarnation = "inc2";
    put_server();
    (void)step_.run(kServer);
    step();
    EXPECT_TRUE(drills().empty());
    EXPECT_FALSE(store_->get(keys::drill_schedule(kServer)).value());
}

}  // namespace
}  // namespace howdah::control
