#include "control/reconcile/reconciler.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "control/fleet/fleet.h"
#include "control/reconcile/records.h"
#include "control/reconcile/work_queue.h"
#include "model/json.h"
#include "os/file.h"
#include "simulation_support.h"
#include "store/keys.h"
#include "store/memory/memory_store.h"
#include "store/sqlite/sqlite_store.h"

namespace howdah::control {
namespace {

namespace keys = store::keys;
using std::chrono::milliseconds;
using std::chrono::seconds;

// ---------------------------------------------------------------------------------------------
// The queue

TEST(work_queue, holds_a_key_once_and_gives_it_to_one_worker_at_a_time) {
    const FakeClock clock;
    WorkQueue queue(clock);
    queue.add("a");
    queue.add("a");
    queue.add("b");
    EXPECT_EQ(queue.try_take(), "a");
    queue.add("a");  // while it is worked on
    EXPECT_EQ(queue.try_take(), "b");
    EXPECT_EQ(queue.try_take(), std::nullopt) << "a is being worked on";
    queue.done("a");
    EXPECT_EQ(queue.try_take(), "a") << "it comes again";
    queue.done("a");
    queue.done("b");
    EXPECT_EQ(queue.try_take(), std::nullopt);
    EXPECT_TRUE(queue.is_idle());
}

TEST(work_queue, a_pause_ends_at_its_time_and_the_earlier_of_two_counts) {
    FakeClock clock;
    WorkQueue queue(clock);
    queue.add_after("a", seconds(10));
    queue.add_after("a", seconds(5));
    queue.add_after("a", seconds(20));
    EXPECT_EQ(queue.until_next(), seconds(5));
    clock.advance(milliseconds(4999));
    EXPECT_EQ(queue.try_take(), std::nullopt);
    clock.advance(milliseconds(1));
    EXPECT_EQ(queue.try_take(), "a");
    queue.done("a");
    clock.advance(seconds(60));
    EXPECT_EQ(queue.try_take(), std::nullopt);
}

TEST(work_queue, a_waiting_worker_wakes_for_a_key_and_for_a_stop) {
    const SystemClock clock;
    WorkQueue queue(clock);
    std::stop_source stop;
    auto worker = std::async(std::launch::async, [&] { return queue.take(stop.get_token()); });
    queue.add_after("a", milliseconds(5));
    EXPECT_EQ(worker.get(), "a");
    auto waiting = std::async(std::launch::async, [&] { return queue.take(stop.get_token()); });
    stop.request_stop();
    EXPECT_EQ(waiting.get(), std::nullopt);
}

// ---------------------------------------------------------------------------------------------
// Operations

class operations : public testing::Test {
  protected:
    model::Operation begin_and_commit() {
        store::Transaction transaction;
        const model::Operation begun = operations_.begin(
            transaction, {.kind = "UpdateServer", .server_key = "/s", .generation = 2});
        EXPECT_TRUE(operations_.commit(transaction).ok());
        return begun;
    }
    void end(model::Operation operation) {
        operation.status = "Succeeded";
        operation.end_time = format_iso8601(clock_.wall());
        const auto entry = store_->get(keys::operation(operation.id)).value();
        store::Transaction transaction;
        Operations::update(transaction, operation, entry->modified);
        EXPECT_LE(transaction.changes().size(), Operations::kChangesPerUpdate);
        EXPECT_TRUE(store_->commit(transaction).ok());
    }

    FakeClock clock_;
    FakeIdSource ids_;
    std::unique_ptr<store::Store> store_ = store::make_memory_store(clock_);
    Operations operations_{*store_, clock_, ids_};
};

TEST_F(operations, are_pending_until_they_end) {
    const model::Operation begun = begin_and_commit();
    EXPECT_EQ(begun.status, "InProgress");
    EXPECT_EQ(operations_.find(begun.id)->generation, 2);
    EXPECT_EQ(store_->list(keys::pending_of("/s")).value().size(), 1U);
    end(begun);
    EXPECT_EQ(operations_.find(begun.id)->status, "Succeeded");
    EXPECT_TRUE(store_->list(keys::pending_of("/s")).value().empty());
}

TEST_F(operations, of_unknown_ids_are_not_found) {
    for (const char* id : {"", "x", "../host/a", "00000000-0000-4000-8000-00000000ffff"})
        EXPECT_EQ(operations_.find(id).error().code, ErrorCode::not_found) << id;
}

TEST_F(operations, are_kept_for_a_day_after_their_end) {
    const model::Operation running = begin_and_commit();
    std::vector<model::Operation> ended;
    for (std::size_t i = 0; i < Operations::kSweepMax + 5; ++i) {
        ended.push_back(begin_and_commit());
        end(ended.back());
    }
    clock_.advance(Operations::kRetention);
    EXPECT_EQ(operations_.sweep().value(), 0U);
    clock_.advance(seconds(1));
    EXPECT_EQ(operations_.sweep().value(), Operations::kSweepMax) << "bounded";
    EXPECT_EQ(operations_.sweep().value(), 5U);
    EXPECT_EQ(operations_.find(ended[0].id).error().code, ErrorCode::not_found);
    EXPECT_TRUE(operations_.find(running.id).ok()) << "what runs is kept, however old";
    EXPECT_TRUE(store_->list("/ended/").value().empty());
}

TEST_F(operations, beyond_its_bound_the_activity_log_loses_refusals_first) {
    const auto put = [&](const std::string& time, const std::string& id, bool is_refusal) {
        store::Transaction transaction;
        transaction.put(keys::activity(time, id), "{}");
        if (is_refusal) transaction.put(keys::refusal(time, id), "");
        ASSERT_TRUE(store_->commit(transaction).ok());
    };
    for (int i = 0; i < 200; ++i) {
        put(fmt::format("2026-01-01T00:{:02}:{:02}.000Z", i / 60, i % 60), "e", false);
        put(fmt::format("2026-01-02T00:{:02}:{:02}.000Z", i / 60, i % 60), "r", true);
    }
    EXPECT_EQ(operations_.trim_activity(400).value(), 0U);
    EXPECT_EQ(operations_.trim_activity(250).value(), 150U);
    EXPECT_EQ(store_->list("/refusal/").value().size(), 50U);
    EXPECT_FALSE(store_->get(keys::activity("2026-01-02T00:02:29.000Z", "r")).value());
    EXPECT_TRUE(store_->get(keys::activity("2026-01-02T00:02:30.000Z", "r")).value());
    EXPECT_EQ(operations_.trim_activity(150).value(), 100U);
    EXPECT_TRUE(store_->list("/refusal/").value().empty());
    EXPECT_EQ(store_->list("/activity/").value().size(), 150U);
    EXPECT_FALSE(store_->get(keys::activity("2026-01-01T00:00:49.000Z", "e")).value());
    EXPECT_TRUE(store_->get(keys::activity("2026-01-01T00:00:50.000Z", "e")).value());
}

TEST_F(operations, old_refusals_go_with_their_events) {
    const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(
        Operations::kActivityRetention + std::chrono::hours(1));
    const std::string old = format_iso8601(clock_.wall() - age);
    const std::string now = format_iso8601(clock_.wall());
    for (const std::string& time : {old, now}) {
        store::Transaction transaction;
        transaction.put(keys::activity(time, "x"), "{}").put(keys::refusal(time, "x"), "");
        ASSERT_TRUE(store_->commit(transaction).ok());
    }
    EXPECT_EQ(operations_.sweep_activity().value(), 1U);
    EXPECT_EQ(store_->list("/activity/").value().size(), 1U);
    ASSERT_EQ(store_->list("/refusal/").value().size(), 1U);
    EXPECT_EQ(store_->list("/refusal/").value()[0].key, keys::refusal(now, "x"));
}

// ---------------------------------------------------------------------------------------------
// With threads, a store on disk and the real certificate authority

class control_plane : public testing::Test {
  protected:
    control_plane() {
        std::string pattern = testing::TempDir() + "howdah-control-XXXXXX";
        folder_ = mkdtemp(pattern.data());
        store_ = store::open_sqlite_store(folder_ + "/store.db", clock_).value();
        start(certificates_);
    }
    /// Also: howdahd was stopped, and this is the next one.
    void start(CertificateSource& certificates) {
        loops_.clear();
        fleet_.emplace(*store_, clock_, secrets_);
        reconciler_.emplace(
            *store_, clock_, ids_, secrets_, certificates,
            ReconcilerOptions{.host_suffix = "db.test", .first_port = 20000, .last_port = 29999});
        loops_.emplace_back([this](std::stop_token stop) { reconciler_->watch(stop); });
        loops_.emplace_back([this](std::stop_token stop) { reconciler_->work(stop); });
        loops_.emplace_back([this](std::stop_token stop) { reconciler_->work(stop); });
        loops_.emplace_back([this](std::stop_token stop) { fleet_->run(stop); });
    }
    ~control_plane() override {
        loops_.clear();
        fleet_.reset();
        reconciler_.reset();
        store_.reset();
        (void)os::remove_tree(folder_).ok();
    }

    std::future<model::PollResponse> poll(const model::PollRequest& request) {
        auto promise = std::make_shared<std::promise<model::PollResponse>>();
        fleet_->poll("host-a", model::to_json(request), [promise](int status, std::string body) {
            EXPECT_EQ(status, 200) << body;
            promise->set_value(model::from_json<model::PollResponse>(body).value());
        });
        return promise->get_future();
    }
    model::Operation create_server(const std::string& name) {
        const auto id = model::ResourceId::server("sub", "rg", name);
        model::ServerSpec spec;
        spec.id = id.to_string();
        spec.name = name;
        spec.version = "15";
        spec.incarnation = ids_.uuid();
        spec.sealed_verifier =
            secrets_.seal(keys::seal_name_of_verifier(id.key()), Secret("verifier"));
        const Operations begun(*store_, clock_, ids_);
        store::Transaction transaction;
        transaction.expect_absent(keys::server(id)).put(keys::server(id), model::to_json(spec));
        model::Operation operation = begun.begin(transaction, {.kind = "CreateServer",
                                                               .server_key = id.key(),
                                                               .incarnation = spec.incarnation,
                                                               .generation = 1});
        EXPECT_TRUE(begun.commit(transaction).ok());
        return operation;
    }

    SystemClock clock_;
    SystemIdSource ids_;
    std::string folder_;
    std::unique_ptr<store::Store> store_;
    store::SecretBox secrets_ = store::SecretBox::with_key(std::string(32, 'k'), ids_);
    http::CertificateAuthority authority_ =
        http::CertificateAuthority::create("Test", clock_.wall()).value();
    AuthorityCertificates certificates_{authority_};
    // Also members: the loops, which the destructor ends, use them.
    http::CertificateAuthority next_authority_ =
        http::CertificateAuthority::create("Test", clock_.wall()).value();
    AuthorityCertificates certificates_of_next_{next_authority_};
    std::optional<Fleet> fleet_;
    std::optional<Reconciler> reconciler_;
    std::vector<std::jthread> loops_;
};

TEST_F(control_plane, a_request_reaches_the_agent_within_milliseconds) {
    model::PollRequest hello;
    hello.host = "host-a";
    hello.host_report = model::HostReport{};
    hello.host_report->host = "host-a";
    hello.host_report->engines.push_back({"15", "15.20"});
    poll(hello).get();

    std::vector<milliseconds::rep> times;
    std::vector<std::string> running;
    for (int i = 0; i < 15; ++i) {
        model::PollRequest waiting;
        waiting.host = "host-a";
        waiting.wait_ms = 30'000;
        waiting.running = running;
        auto answer = poll(waiting);
        const auto begin = std::chrono::steady_clock::now();
        create_server(fmt::format("pg{}", i));
        ASSERT_EQ(answer.wait_for(seconds(20)), std::future_status::ready);
        times.push_back(std::chrono::duration_cast<std::chrono::microseconds>(
                            std::chrono::steady_clock::now() - begin)
                            .count());
        const model::PollResponse response = answer.get();
        ASSERT_EQ(response.actions.size(), 1U);
        const model::Action& action = response.actions[0];
        EXPECT_EQ(action.instance->administrator_verifier, "verifier");
        EXPECT_NE(action.instance->tls.key_pem.find("PRIVATE KEY"), std::string::npos);
        EXPECT_TRUE(http::certificate_end(action.instance->tls.certificate_pem).ok());
        running.push_back(action.id);
    }
    std::sort(times.begin(), times.end());
    const auto median = times[times.size() / 2];
    RecordProperty("request_to_agent_median_us", static_cast<int>(median));
    fmt::print("request to agent: median {} us, worst {} us\n", median, times.back());
    // The aim is 15 ms on an idle machine; this only catches a lost wake-up.
    EXPECT_LT(median, 2'000'000);
}

TEST_F(control_plane, a_whole_round_ends_the_operation) {
    model::PollRequest hello;
    hello.host = "host-a";
    hello.host_report = model::HostReport{};
    hello.host_report->host = "host-a";
    hello.host_report->engines.push_back({"15", "15.20"});
    poll(hello).get();
    const auto watch = store_->watch("/operation/", store_->revision().value()).value();
    const model::Operation operation = create_server("pg1");
    model::PollRequest waiting;
    waiting.host = "host-a";
    waiting.wait_ms = 30'000;
    const model::Action action = poll(waiting).get().actions.at(0);
    model::PollRequest done;
    done.host = "host-a";
    done.results.push_back({action.id, action.server_id, action.incarnation, action.kind,
                            action.generation, std::nullopt});
    EXPECT_EQ(poll(done).get().acknowledged.size(), 1U);
    model::Operation seen;
    for (int i = 0; i < 100 && seen.end_time.empty(); ++i) {
        const auto events = watch->next(seconds(5)).value();
        for (const store::Event& each : events)
            seen = model::from_json<model::Operation>(each.entry->value).value();
    }
    EXPECT_EQ(seen.id, operation.id);
    EXPECT_EQ(seen.status, "Succeeded");
    const auto status = read_record<model::ServerStatus>(*store_, keys::status(action.server_id));
    EXPECT_EQ(status->record->state, "Ready");
}

TEST_F(control_plane, servers_get_certificates_of_the_authority_that_is_new) {
    model::PollRequest hello;
    hello.host = "host-a";
    hello.host_report = model::HostReport{};
    hello.host_report->host = "host-a";
    hello.host_report->engines.push_back({"15", "15.20"});
    poll(hello).get();
    create_server("pg1");
    model::PollRequest waiting;
    waiting.host = "host-a";
    waiting.wait_ms = 30'000;
    const auto finish = [&](const model::Action& action) {
        model::PollRequest done;
        done.host = "host-a";
        done.results.push_back({action.id, action.server_id, action.incarnation, action.kind,
                                action.generation, std::nullopt});
        EXPECT_EQ(poll(done).get().acknowledged.size(), 1U);
    };
    const model::Action first = poll(waiting).get().actions.at(0);
    EXPECT_TRUE(certificates_.is_current(first.instance->tls.certificate_pem).value());
    finish(first);

    start(certificates_of_next_);
    const model::Action second = poll(waiting).get().actions.at(0);
    EXPECT_EQ(second.generation, first.generation) << "nothing else is asked of the server";
    EXPECT_TRUE(certificates_of_next_.is_current(second.instance->tls.certificate_pem).value());
    EXPECT_NE(second.instance->tls.key_pem, first.instance->tls.key_pem);
    EXPECT_EQ(second.instance->tls.ca_pem, next_authority_.certificate_pem());
    finish(second);

    start(certificates_of_next_);
    waiting.wait_ms = 500;
    EXPECT_TRUE(poll(waiting).get().actions.empty()) << "once";
}

}  // namespace
}  // namespace howdah::control
