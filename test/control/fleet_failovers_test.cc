#include <gtest/gtest.h>

#include "control/fleet/fleet.h"
#include "control/reconcile/records.h"
#include "model/json.h"
#include "model/resource_id.h"
#include "store/keys.h"
#include "store/memory/memory_store.h"

namespace howdah::control {
namespace {

namespace keys = store::keys;

const model::ResourceId kId = model::ResourceId::server("sub", "Rg", "Pg1");
const std::string kServer = kId.key();

class fleet_failovers : public testing::Test {
  protected:
    fleet_failovers() {
        model::ServerSpec spec;
        spec.id = kId.to_string();
        spec.incarnation = "inc1";
        put("/server" + kServer, spec);
        model::ServerStatus status;
        status.incarnation = "inc1";
        status.host = "host-a";
        status.standby_host = "host-b";
        put(keys::status(kServer), status);
    }
    template <typename Record>
    void put(const std::string& key, const Record& record) {
        store_->commit(store::Transaction().put(key, model::to_json(record))).value();
    }
    /// The status of the answer.
    int tell(const std::string& host, std::vector<model::FailoverPart> parts,
             const std::string& incarnation = "inc1") {
        model::PollRequest request{.host = host, .epoch = "e"};
        request.reports.push_back(
            {.server_id = kServer, .incarnation = incarnation, .failovers = std::move(parts)});
        int answered = 0;
        fleet_.poll(host, model::to_json(request),
                    [&](int status, const std::string&) { answered = status; });
        return answered;
    }
    model::FailoverRecord record(std::int64_t term) {
        const auto read =
            read_record<model::FailoverRecord>(*store_, keys::failover(kServer, term)).value();
        return read.record.value_or(model::FailoverRecord{});
    }

    FakeClock clock_;
    std::unique_ptr<store::Store> store_ = store::make_memory_store(clock_);
    FakeIdSource ids_;
    store::SecretBox secrets_ = store::SecretBox::with_key(std::string(32, 'k'), ids_);
    Fleet fleet_{*store_, clock_, secrets_};
};

TEST_F(fleet_failovers, what_each_member_tells_is_kept_side_by_side) {
    EXPECT_EQ(tell("host-a", {{.term = 2, .host = "somebody else"}}), 200);
    EXPECT_EQ(tell("host-b", {{.term = 2, .is_over = true}}), 200);
    EXPECT_EQ(tell("host-a", {{.term = 2, .is_over = true}}), 200);
    ASSERT_EQ(record(2).parts.size(), 2U);
    EXPECT_EQ(record(2).parts[0].host, "host-a") << "whose word it is, the certificate says";
    EXPECT_TRUE(record(2).parts[0].is_over);
    EXPECT_EQ(record(2).incarnation, "inc1");
    const auto report =
        read_record<model::InstanceReport>(*store_, keys::report(kServer, "host-a")).value();
    EXPECT_TRUE(report.record->failovers.empty()) << "kept apart";
    const auto before = store_->revision().value();
    EXPECT_EQ(tell("host-a", {{.term = 2, .is_over = true}}), 200);
    EXPECT_EQ(store_->revision().value(), before) << "no news";
}

TEST_F(fleet_failovers, a_drill_stays_marked) {
    put(keys::failover(kServer, 2),
        model::FailoverRecord{.term = 2, .incarnation = "inc1", .drill = "d"});
    EXPECT_EQ(tell("host-a", {{.term = 2}}), 200);
    EXPECT_EQ(record(2).drill, "d");
    EXPECT_EQ(record(2).parts.size(), 1U);
}

TEST_F(fleet_failovers, of_another_life_or_host_they_are_not_taken) {
    EXPECT_EQ(tell("host-a", {{.term = 2}}, "inc0"), 200);
    EXPECT_EQ(tell("host-c", {{.term = 2}}), 200);
    EXPECT_TRUE(record(2).parts.empty());
    put(keys::failover(kServer, 2),
        model::FailoverRecord{.term = 2, .incarnation = "inc0", .drill = "old"});
    EXPECT_EQ(tell("host-a", {{.term = 2}}), 200);
    EXPECT_EQ(record(2).drill, "") << "a former server's";
}

TEST_F(fleet_failovers, the_newest_are_kept) {
    for (std::int64_t term = 1; term <= 103; ++term)
        ASSERT_EQ(tell("host-a", {{.term = term}}), 200);
    const auto kept = store_->list(keys::failovers_of(kServer)).value();
    EXPECT_EQ(kept.size(), Fleet::kFailoversKeptMax);
    EXPECT_TRUE(record(3).parts.empty());
    EXPECT_EQ(record(103).parts.size(), 1U);
}

TEST_F(fleet_failovers, too_much_is_refused) {
    const std::string long_text(Fleet::kFailoverTextMax + 1, 'x');
    EXPECT_EQ(tell("host-a", std::vector<model::FailoverPart>(17, {.term = 1})), 413);
    EXPECT_EQ(tell("host-a", {{.term = 2, .received = long_text}}), 413);
    EXPECT_EQ(tell("host-a", {{.term = 2, .steps = {{.text = long_text}}}}), 413);
    EXPECT_EQ(tell("host-a", {{.term = 0}}), 413);
}

}  // namespace
}  // namespace howdah::control
