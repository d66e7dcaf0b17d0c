#include "control/fleet/fleet.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "model/json.h"
#include "store/keys.h"
#include "store/memory/memory_store.h"

namespace howdah::control {
namespace {

namespace keys = store::keys;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const model::ResourceId kId = model::ResourceId::server("sub", "Rg", "Pg1");
const std::string kServer = kId.key();

struct Answer {
    int status = 0;
    std::string body;
    model::PollResponse response() const {
        return model::from_json<model::PollResponse>(body).value();
    }
};

class fleet : public testing::Test {
  protected:
    fleet() {
        model::ServerSpec spec;
        spec.id = kId.to_string();
        spec.name = "Pg1";
        spec.incarnation = "inc1";
        put("/server" + kServer, spec);
        model::ServerStatus status;
        status.server_id = kServer;
        status.incarnation = "inc1";
        status.host = "host-a";
        put(keys::status(kServer), status);
    }

    template <typename Record>
    void put(const std::string& key, const Record& record) {
        store_->commit(store::Transaction().put(key, model::to_json(record))).value();
    }
    bool exists(const std::string& key) { return store_->get(key).value().has_value(); }

    static model::PollRequest request(std::int64_t wait_ms = 0) {
        model::PollRequest request;
        request.host = "host-a";
        request.epoch = "e1";
        request.wait_ms = wait_ms;
        return request;
    }
    static model::HostReport host_report() {
        model::HostReport report;
        report.host = "host-a";
        report.engines.push_back({"15", "15.20"});
        return report;
    }
    static model::InstanceReport report(const std::string& state,
                                        const std::string& incarnation = "inc1") {
        model::InstanceReport report;
        report.server_id = kServer;
        report.incarnation = incarnation;
        report.state = state;
        report.term = 7;
        return report;
    }
    static model::ActionResult result(const std::string& id) {
        return {id, kServer, "inc1", model::ActionKind::ensure_instance, 1, std::nullopt};
    }
    /// An action that needs no secret.
    void put_action(const std::string& id, const std::string& host = "host-a") {
        model::Action action;
        action.id = id;
        action.host = host;
        action.server_id = kServer;
        action.incarnation = "inc1";
        action.kind = model::ActionKind::delete_instance;
        put(keys::action(host, id), action);
    }

    /// The answer if it came at once.
    std::shared_ptr<std::optional<Answer>> send(const std::string& body,
                                                const std::string& peer = "host-a") {
        auto answer = std::make_shared<std::optional<Answer>>();
        fleet_.poll(peer, body, [answer](int status, std::string text) {
            *answer = Answer{status, std::move(text)};
        });
        return answer;
    }
    model::PollResponse poll(const model::PollRequest& request) {
        const auto answer = send(model::to_json(request));
        EXPECT_TRUE(answer->has_value());
        EXPECT_EQ((*answer)->status, 200) << (*answer)->body;
        return (*answer)->response();
    }
    static std::vector<std::string> ids_of(const model::PollResponse& response) {
        std::vector<std::string> ids;
        for (const auto& each : response.actions) ids.push_back(each.id);
        return ids;
    }
    void step() { ASSERT_TRUE(fleet_.step(Duration::zero()).ok()); }

    FakeClock clock_;
    FakeIdSource ids_;
    std::unique_ptr<store::Store> store_ = store::make_memory_store(clock_);
    store::SecretBox secrets_ = store::SecretBox::with_key(std::string(32, 'k'), ids_);
    Fleet fleet_{*store_, clock_, secrets_};
};

// ---------------------------------------------------------------------------------------------
// Who may say what

TEST_F(fleet, a_certificate_speaks_for_its_own_host_only) {
    EXPECT_EQ((*send(model::to_json(request()), "host-b"))->status, 403);
    EXPECT_EQ((*send(model::to_json(request()), ""))->status, 403);
    EXPECT_EQ((*send(model::to_json(request())))->status, 200);
}

TEST_F(fleet, refuses_bodies_that_are_not_a_poll) {
    model::PollRequest bad_server = request();
    bad_server.reports.push_back(report("running"));
    bad_server.reports[0].server_id = "/../secret";
    model::PollRequest upper_case = bad_server;
    upper_case.reports[0].server_id = kId.to_string();
    model::PollRequest bad_action = request();
    bad_action.results.push_back(result("a/b"));
    model::PollRequest many = request();
    many.results.resize(Fleet::kReportsMax + 1, result("a"));
    for (const std::string& body :
         {std::string(), std::string("[]"), std::string("{\"host\":7}"), model::to_json(bad_server),
          model::to_json(upper_case), model::to_json(bad_action)}) {
        EXPECT_EQ((*send(body))->status, 400) << body;
    }
    EXPECT_EQ((*send(model::to_json(many)))->status, 413);
    model::PollRequest many_logs = request();
    many_logs.reports.push_back(report("running"));
    many_logs.reports[0].logs.resize(Fleet::kLogsMax + 1, {"postgresql-1.json", 1, "", ""});
    EXPECT_EQ((*send(model::to_json(many_logs)))->status, 413);
    model::PollRequest bad_host = request();
    bad_host.host = "a/b";
    EXPECT_EQ((*send(model::to_json(bad_host), "a/b"))->status, 400);
    model::PollRequest foreign = request();
    foreign.host_report = host_report();
    foreign.host_report->host = "host-b";
    EXPECT_EQ((*send(model::to_json(foreign)))->status, 400);
    EXPECT_FALSE(exists(keys::host("host-b")));
}

TEST_F(fleet, reports_about_servers_of_another_host_are_not_taken) {
    model::PollRequest foreign = request();
    foreign.host = "host-b";
    foreign.reports.push_back(report("running"));
    foreign.results.push_back(result("act"));
    EXPECT_EQ((*send(model::to_json(foreign), "host-b"))->status, 200);
    EXPECT_THAT(store_->list(keys::reports_of(kServer)).value(), IsEmpty());
    EXPECT_FALSE(exists(keys::result(kServer, "act")));
}

TEST_F(fleet, every_host_of_a_server_has_a_report_and_nobody_speaks_for_another) {
    model::ServerStatus status;
    status.server_id = kServer;
    status.incarnation = "inc1";
    status.host = "host-a";
    status.standby_host = "host-b";
    status.members.leaving = {{"host-c"}};
    put(keys::status(kServer), status);
    for (const char* host : {"host-a", "host-b", "host-c", "host-d"}) {
        model::PollRequest telling = request();
        telling.host = host;
        telling.reports = {report(std::string("state of ") + host)};
        telling.reports[0].host = "host-a";
        telling.results = {result(std::string("act-") + host)};
        telling.results[0].host = "host-a";
        EXPECT_EQ((*send(model::to_json(telling), host))->status, 200);
    }
    const auto reports = store_->list(keys::reports_of(kServer)).value();
    ASSERT_EQ(reports.size(), 3U) << "host-d has nothing to do with it";
    for (const store::Entry& each : reports) {
        const auto stored = model::from_json<model::InstanceReport>(each.value).value();
        EXPECT_EQ(each.key, keys::report(kServer, stored.host));
        EXPECT_EQ(stored.state, "state of " + stored.host);
    }
    const auto results = store_->list(keys::results_of(kServer)).value();
    ASSERT_EQ(results.size(), 3U);
    for (const store::Entry& each : results) {
        const auto stored = model::from_json<model::ActionResult>(each.value).value();
        EXPECT_EQ(stored.action_id, "act-" + stored.host);
    }
}

// ---------------------------------------------------------------------------------------------
// What is told

TEST_F(fleet, an_unknown_host_is_asked_for_its_report) {
    EXPECT_TRUE(poll(request(5000)).want_host_report) << "at once";
    model::PollRequest introduced = request();
    introduced.host_report = host_report();
    EXPECT_FALSE(poll(introduced).want_host_report);
    EXPECT_TRUE(exists(keys::host("host-a")));
    EXPECT_FALSE(poll(request()).want_host_report);
}

TEST_F(fleet, results_are_acknowledged_once_they_are_stored) {
    model::PollRequest telling = request();
    for (int i = 0; i < 200; ++i) telling.results.push_back(result(fmt::format("act{:03}", i)));
    const model::PollResponse response = poll(telling);
    EXPECT_EQ(response.acknowledged.size(), 200U);
    EXPECT_EQ(store_->list(keys::results_of(kServer)).value().size(), 200U);
    const store::Revision before = store_->revision().value();
    EXPECT_EQ(poll(telling).acknowledged.size(), 200U) << "told again, acknowledged again";
    EXPECT_EQ(store_->revision().value(), before) << "and nothing is written anew";
}

TEST_F(fleet, results_for_a_server_that_is_gone_are_acknowledged_and_dropped) {
    store_->commit(store::Transaction().remove("/server" + kServer)).value();
    model::PollRequest telling = request();
    telling.results.push_back(result("act"));
    EXPECT_THAT(poll(telling).acknowledged, ElementsAre("act"));
    EXPECT_FALSE(exists(keys::result(kServer, "act")));
}

TEST_F(fleet, the_report_of_an_older_life_does_not_hide_the_newer) {
    model::PollRequest telling = request();
    telling.reports = {report("running"), report("absent", "inc0")};
    poll(telling);
    const auto stored = store_->get(keys::report(kServer, "host-a")).value();
    ASSERT_TRUE(stored.has_value());
    EXPECT_EQ(model::from_json<model::InstanceReport>(stored->value)->state, "running");
}

TEST_F(fleet, an_instance_of_a_deleted_server_is_deleted) {
    put(keys::gone("inc0"), host_report());  // any value
    model::PollRequest telling = request();
    telling.reports.push_back(report("running", "inc0"));
    const model::PollResponse response = poll(telling);
    ASSERT_EQ(response.actions.size(), 1U);
    const model::Action& action = response.actions[0];
    EXPECT_EQ(action.kind, model::ActionKind::delete_instance);
    EXPECT_EQ(action.incarnation, "inc0");
    EXPECT_EQ(action.term, 7);
    // Done: the action goes with its result.
    model::PollRequest done = request();
    done.results.push_back(result(action.id));
    done.results[0].incarnation = "inc0";
    done.reports.push_back(report("absent", "inc0"));
    EXPECT_THAT(poll(done).acknowledged, ElementsAre(action.id));
    EXPECT_THAT(store_->list("/action/").value(), IsEmpty());
}

TEST_F(fleet, an_instance_of_an_unknown_server_is_left_alone) {
    model::PollRequest telling = request();
    telling.reports.push_back(report("running", "never-seen"));
    EXPECT_THAT(poll(telling).actions, IsEmpty());
    EXPECT_THAT(store_->list("/action/").value(), IsEmpty());
}

// ---------------------------------------------------------------------------------------------
// What is handed out

TEST_F(fleet, hands_out_what_is_not_running_and_not_done) {
    put_action("act1");
    put_action("act2");
    put_action("act3");
    put_action("other", "host-b");
    model::PollRequest asking = request();
    asking.running = {"act1"};
    asking.results.push_back(result("act2"));
    EXPECT_THAT(ids_of(poll(asking)), ElementsAre("act3"));
    EXPECT_THAT(ids_of(poll(request())), ElementsAre("act1", "act3")) << "until it is done";
}

TEST_F(fleet, an_answer_holds_a_bounded_number_of_actions) {
    for (std::size_t i = 0; i < Fleet::kActionsPerAnswer + 10; ++i)
        put_action(fmt::format("act{:03}", i));
    model::PollRequest asking = request();
    asking.running = ids_of(poll(request()));
    EXPECT_EQ(asking.running.size(), Fleet::kActionsPerAnswer);
    EXPECT_EQ(poll(asking).actions.size(), 10U);
}

TEST_F(fleet, secrets_are_in_clear_on_the_wire_only) {
    model::Action action;
    action.id = "act";
    action.host = "host-a";
    action.server_id = kServer;
    action.incarnation = "inc1";
    action.instance = model::InstanceSpec{};
    action.instance->administrator_verifier =
        secrets_.seal(keys::seal_name_of_verifier(kServer), Secret("SCRAM-SHA-256$x"));
    put(keys::action("host-a", "act"), action);
    const model::TlsMaterial tls{"certificate", "private key", "ca"};
    const std::string tls_key = keys::server_tls(kServer);
    store_
        ->commit(
            store::Transaction().put(tls_key, secrets_.seal(tls_key, Secret(model::to_json(tls)))))
        .value();
    const model::PollResponse response = poll(request());
    ASSERT_EQ(response.actions.size(), 1U);
    EXPECT_EQ(response.actions[0].instance->administrator_verifier, "SCRAM-SHA-256$x");
    EXPECT_EQ(response.actions[0].instance->tls.key_pem, "private key");
    for (const store::Entry& each : std::vector<store::Entry>(store_->list("/").value())) {
        EXPECT_EQ(each.value.find("SCRAM"), std::string::npos) << each.key;
        EXPECT_EQ(each.value.find("private key"), std::string::npos) << each.key;
    }
}

TEST_F(fleet, an_action_whose_secrets_cannot_be_opened_fails) {
    model::Action action;
    action.id = "act";
    action.host = "host-a";
    action.server_id = kServer;
    action.incarnation = "inc1";
    action.instance = model::InstanceSpec{};
    action.instance->administrator_verifier = "v1:nonsense";
    put(keys::action("host-a", "act"), action);
    EXPECT_THAT(poll(request()).actions, IsEmpty());
    const auto stored = store_->get(keys::result(kServer, "act")).value();
    ASSERT_TRUE(stored.has_value());
    EXPECT_EQ(model::from_json<model::ActionResult>(stored->value)->failure->code, "CorruptData");
}

// ---------------------------------------------------------------------------------------------
// Waiting

TEST_F(fleet, a_poll_without_news_waits_for_its_time) {
    put(keys::host("host-a"), host_report());
    const auto answer = send(model::to_json(request(5000)));
    step();
    EXPECT_FALSE(answer->has_value());
    clock_.advance(seconds(4));
    step();
    EXPECT_FALSE(answer->has_value());
    clock_.advance(seconds(1));
    step();
    ASSERT_TRUE(answer->has_value());
    EXPECT_THAT((*answer)->response().actions, IsEmpty());
}

TEST_F(fleet, a_wait_is_bounded) {
    put(keys::host("host-a"), host_report());
    const auto answer = send(model::to_json(request(std::int64_t{1} << 60)));
    EXPECT_FALSE(answer->has_value());
    clock_.advance(Fleet::kWaitMax);
    step();
    EXPECT_TRUE(answer->has_value());
}

TEST_F(fleet, an_action_wakes_the_poll_of_its_host_alone) {
    put(keys::host("host-a"), host_report());
    step();
    const auto answer = send(model::to_json(request(5000)));
    put_action("other", "host-b");
    step();
    EXPECT_FALSE(answer->has_value());
    put_action("act");
    step();
    ASSERT_TRUE(answer->has_value());
    EXPECT_THAT(ids_of((*answer)->response()), ElementsAre("act"));
}

TEST_F(fleet, an_action_that_came_before_the_poll_is_not_missed) {
    put(keys::host("host-a"), host_report());
    put_action("act");
    const auto answer = send(model::to_json(request(5000)));
    ASSERT_TRUE(answer->has_value());
    EXPECT_THAT(ids_of((*answer)->response()), ElementsAre("act"));
}

TEST_F(fleet, actions_go_to_the_poll_that_waits_for_them) {
    put(keys::host("host-a"), host_report());
    const auto waiting = send(model::to_json(request(5000)));
    put_action("act");
    EXPECT_THAT(poll(request()).actions, IsEmpty());
    EXPECT_FALSE(waiting->has_value());
    step();
    ASSERT_TRUE(waiting->has_value());
    EXPECT_THAT(ids_of((*waiting)->response()), ElementsAre("act"));
    EXPECT_THAT(ids_of(poll(request())), ElementsAre("act")) << "now nobody waits";
}

TEST_F(fleet, a_newer_poll_of_a_host_ends_the_older) {
    put(keys::host("host-a"), host_report());
    const auto older = send(model::to_json(request(5000)));
    const auto newer = send(model::to_json(request(5000)));
    ASSERT_TRUE(older->has_value());
    EXPECT_FALSE(newer->has_value());
    put_action("act");
    step();
    EXPECT_TRUE(newer->has_value());
}

TEST_F(fleet, a_poll_that_told_something_new_is_answered_at_once) {
    put(keys::host("host-a"), host_report());
    model::PollRequest telling = request(5000);
    telling.reports.push_back(report("running"));
    EXPECT_TRUE(send(model::to_json(telling))->has_value());
    EXPECT_FALSE(send(model::to_json(telling))->has_value()) << "the same again is no news";
}

TEST_F(fleet, silence_of_a_host_is_noted_and_forgotten) {
    model::PollRequest introduced = request();
    introduced.host_report = host_report();
    poll(introduced);
    clock_.advance(Fleet::kSilentAfter);
    step();
    EXPECT_FALSE(exists(keys::silent("host-a")));
    clock_.advance(seconds(2));
    step();
    EXPECT_TRUE(exists(keys::silent("host-a")));
    poll(request());
    EXPECT_FALSE(exists(keys::silent("host-a")));
}

TEST_F(fleet, a_host_with_a_waiting_poll_is_not_silent) {
    put(keys::host("host-a"), host_report());
    step();
    clock_.advance(seconds(29));
    const auto answer = send(model::to_json(request(30'000)));
    clock_.advance(seconds(29));
    step();
    EXPECT_FALSE(answer->has_value());
    EXPECT_FALSE(exists(keys::silent("host-a")));
}

TEST_F(fleet, a_silent_host_is_remembered_over_a_restart) {
    put(keys::host("host-a"), host_report());
    put(keys::silent("host-a"), host_report());
    Fleet restarted(*store_, clock_, secrets_);
    bool answered = false;
    restarted.poll("host-a", model::to_json(request()),
                   [&](int status, const std::string&) { answered = status == 200; });
    EXPECT_TRUE(answered);
    EXPECT_FALSE(exists(keys::silent("host-a")));
}

TEST_F(fleet, its_loop_wakes_a_waiting_poll_and_stops_when_asked) {
    put(keys::host("host-a"), host_report());
    std::promise<Answer> promise;
    std::jthread loop([&](std::stop_token stop) { fleet_.run(std::move(stop)); });
    fleet_.poll("host-a", model::to_json(request(30'000)), [&](int status, std::string body) {
        promise.set_value({status, std::move(body)});
    });
    put_action("act");
    auto answer = promise.get_future();
    ASSERT_EQ(answer.wait_for(seconds(10)), std::future_status::ready);
    EXPECT_THAT(ids_of(answer.get().response()), ElementsAre("act"));
}

// ---------------------------------------------------------------------------------------------
// Keys of tokens

TEST_F(fleet, an_agent_gets_the_keys_of_tokens_at_once_and_only_if_it_has_others) {
    put(keys::host("host-a"), host_report());
    model::TokenTrust trust{"v1", "https://authority/v2.0", "tenant", {{"key-1", "a pem"}}};
    Fleet with_trust(*store_, clock_, secrets_, nullptr, [&] { return trust; });
    const auto poll_with = [&](const std::string& version) {
        model::PollRequest waiting = request(30'000);
        waiting.token_trust = version;
        auto answer = std::make_shared<std::optional<model::PollResponse>>();
        with_trust.poll("host-a", model::to_json(waiting), [=](int, const std::string& body) {
            *answer = model::from_json<model::PollResponse>(body).value();
        });
        return answer;
    };
    const auto first = poll_with("");
    ASSERT_TRUE(first->has_value());
    EXPECT_EQ((*first)->token_trust, trust);
    const auto parked = poll_with("v1");
    EXPECT_FALSE(parked->has_value());
    trust.version = "v2";
    const auto changed = poll_with("v1");
    ASSERT_TRUE(changed->has_value());
    EXPECT_EQ((*changed)->token_trust->version, "v2");
}

// ---------------------------------------------------------------------------------------------
// Log files

TEST_F(fleet, a_log_file_that_is_wanted_wakes_the_poll_of_its_host_and_is_asked_for_again) {
    put(keys::host("host-a"), host_report());
    LogRelay relay(clock_, ids_, testing::TempDir());
    Fleet with_logs(*store_, clock_, secrets_, &relay);
    std::vector<model::PollResponse> answers;
    const auto wait_at = [&](const std::string& host) {
        model::PollRequest waiting = request(30'000);
        waiting.host = host;
        with_logs.poll(host, model::to_json(waiting), [&](int, const std::string& body) {
            answers.push_back(model::from_json<model::PollResponse>(body).value());
        });
    };
    put(keys::host("host-b"), host_report());
    wait_at("host-b");
    wait_at("host-a");
    ASSERT_THAT(answers, IsEmpty());
    std::string got;
    with_logs.fetch_log({.host = "host-a", .incarnation = "inc1", .name = "postgresql-1.json"},
                        [&](Result<LogPart> part) { got = part->body->read(0, 100).value(); });
    ASSERT_EQ(answers.size(), 1U);
    ASSERT_EQ(answers[0].logs.size(), 1U);
    EXPECT_EQ(answers[0].logs[0].name, "postgresql-1.json");
    wait_at("host-a");
    EXPECT_EQ(answers.size(), 1U) << "it was asked for already";
    clock_.advance(LogRelay::kAskAgainAfter);
    ASSERT_TRUE(with_logs.step(Duration::zero()).ok());
    ASSERT_EQ(answers.size(), 2U);
    ASSERT_EQ(answers[1].logs.size(), 1U);
    EXPECT_EQ(answers[1].logs[0].id, answers[0].logs[0].id);
    (void)relay.take("host-a", answers[0].logs[0].id, 0, 4, "text");
    EXPECT_EQ(got, "text");
}

}  // namespace
}  // namespace howdah::control
