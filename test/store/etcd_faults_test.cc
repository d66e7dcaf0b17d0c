// What the HA records and the store in etcd do when members of it die, hang, are cut off or lie.
// Real members, with their data on a disk.

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <thread>

#include "base/text.h"
#include "http/certificates.h"
#include "http/server.h"
#include "os/file.h"
#include "store/etcd/etcd_client.h"
#include "store/etcd/etcd_store.h"
#include "store/etcd_support.h"
#include "store/ha/ha_records.h"

namespace howdah::store {
namespace {

using std::chrono::milliseconds;

/// A call may wait kWaitMaxMs; the rest is for a machine that is busy with other things.
constexpr milliseconds kCallMax(HaRecords::kWaitMaxMs + 5000);

/// An agent that counts up in a record for as long as it lives, and remembers what it was told.
class Counter {
  public:
    Counter(const EtcdOptions& options, std::string server)
        : server_(std::move(server)),
          records_(open_ha_records(options, clock_).value()),
          thread_([this](const std::stop_token& stop) { run(stop); }) {}

    long long acknowledged() const { return acknowledged_; }
    long long unknown() const { return unknown_; }
    milliseconds longest_call() const { return milliseconds(longest_call_.load()); }
    /// The longest time between two successes since it was asked last.
    milliseconds longest_gap() { return milliseconds(longest_gap_.exchange(0)); }
    /// What it sees is never before what was acknowledged, nor beyond what may have happened.
    bool has_lost_nothing() const { return !is_wrong_; }
    bool goes_on() const {
        const long long before = acknowledged_;
        return eventually([&] { return acknowledged_ > before + 2; });
    }
    void stop() {
        thread_.request_stop();
        thread_.join();
    }

  private:
    void run(const std::stop_token& stop);
    void step();
    template <typename Call>
    auto timed(const Call& call) {
        const Instant begin = clock_.now();
        auto result = call();
        const auto took = std::chrono::duration_cast<milliseconds>(clock_.now() - begin).count();
        longest_call_ = std::max<long long>(longest_call_, took);
        return result;
    }
    void note_success();

    const SystemClock clock_;
    const std::string server_;
    const std::unique_ptr<HaRecords> records_;
    Instant success_ = clock_.now();
    long long certain_ = 0;  ///< what the record has at least
    std::atomic<long long> acknowledged_ = 0;
    std::atomic<long long> unknown_ = 0;
    std::atomic<long long> longest_call_ = 0;
    std::atomic<long long> longest_gap_ = 0;
    std::atomic<bool> is_wrong_ = false;
    std::jthread thread_;
};

void Counter::run(const std::stop_token& stop) {
    while (!stop.stop_requested()) step();
}

void Counter::note_success() {
    const auto gap = std::chrono::duration_cast<milliseconds>(clock_.now() - success_).count();
    longest_gap_ = std::max<long long>(longest_gap_, gap);
    success_ = clock_.now();
}

void Counter::step() {
    const auto seen = timed([&] { return records_->read(server_); });
    if (!seen.ok()) {
        if (seen.error().code != ErrorCode::unavailable) {
            ADD_FAILURE() << seen.error().describe();
            is_wrong_ = true;
        }
        return;
    }
    const long long number =
        seen->revision == 0 ? 0 : parse_integer(seen->record, 0, INT64_MAX).value();
    // Alone with this record: it has all that was acknowledged and perhaps what was in doubt.
    if (number < certain_ || number > certain_ + 1) {
        ADD_FAILURE() << fmt::format("read {} after {}", number, certain_);
        is_wrong_ = true;
    }
    certain_ = number;
    const auto replaced = timed(
        [&] { return records_->replace(server_, seen->revision, std::to_string(number + 1)); });
    if (replaced.ok()) {
        certain_ = number + 1;
        ++acknowledged_;
        note_success();
        return;
    }
    // What was in doubt may arrive after the read: then this one is told of a conflict.
    if (replaced.error().code == ErrorCode::timeout)
        ++unknown_;
    else if (replaced.error().code != ErrorCode::unavailable &&
             replaced.error().code != ErrorCode::conflict)
        ADD_FAILURE() << replaced.error().describe();
}

class EtcdFaults : public testing::Test {
  protected:
    void SetUp() override {
        if (!Etcd::is_installed()) GTEST_SKIP() << "SKIPPED: etcd is not installed";
    }
    /// Everything that was acknowledged is there, and nothing that nobody asked for.
    void audit(Counter& counter, const EtcdOptions& options, const std::string& server) {
        counter.stop();
        EXPECT_TRUE(counter.has_lost_nothing());
        const auto records = open_ha_records(options, clock_, std::chrono::seconds(20)).value();
        const long long number =
            parse_integer(records->read(server).value().record, 0, INT64_MAX).value();
        EXPECT_GE(number, counter.acknowledged());
        EXPECT_LE(number, counter.acknowledged() + counter.unknown());
        RecordProperty("acknowledged", fmt::format("{}", counter.acknowledged()));
        RecordProperty("in_doubt", fmt::format("{}", counter.unknown()));
        RecordProperty("longest_call_ms", fmt::format("{}", counter.longest_call().count()));
        EXPECT_LT(counter.longest_call(), kCallMax);
    }

    SystemClock clock_;
};

TEST_F(EtcdFaults, nothing_acknowledged_is_lost_whoever_is_killed) {
    Etcd etcd({.members = 3});
    Counter counter(etcd.options(), "s");
    ASSERT_TRUE(counter.goes_on());
    const auto injected = [&](const char* fault) {
        ASSERT_TRUE(counter.goes_on()) << fault;
        RecordProperty(fault, fmt::format("{}", counter.longest_gap().count()));
    };
    (void)counter.longest_gap();

    int dead = etcd.leader();
    etcd.kill(dead);
    injected("gap_ms_leader_killed");
    etcd.start(dead);
    etcd.wait_until_ready();

    dead = (etcd.leader() + 1) % 3;
    etcd.kill(dead);
    injected("gap_ms_follower_killed");
    etcd.start(dead);
    etcd.wait_until_ready();

    const int hung = etcd.leader();
    etcd.stop(hung);
    injected("gap_ms_leader_hangs");
    etcd.go_on(hung);
    etcd.wait_until_ready();

    for (int i = 0; i < 3; ++i) etcd.kill(i);
    for (int i = 0; i < 3; ++i) etcd.start(i);
    injected("gap_ms_all_killed_and_started");
    audit(counter, etcd.options(), "s");
}

TEST_F(EtcdFaults, without_a_majority_nothing_is_acknowledged_and_it_resumes_by_itself) {
    Etcd etcd({.members = 3});
    Counter counter(etcd.options(), "s");
    ASSERT_TRUE(counter.goes_on());
    const int first = etcd.leader();
    const int second = (first + 1) % 3;
    etcd.kill(first);
    etcd.kill(second);

    const auto records = open_ha_records(etcd.options(), clock_).value();
    for (int i = 0; i < 3; ++i) {
        const Instant begin = clock_.now();
        const auto read = records->read("s");
        const auto renewed = records->renew("a");
        EXPECT_LT(clock_.now() - begin, 2 * kCallMax);
        ASSERT_FALSE(read.ok());
        EXPECT_EQ(read.error().code, ErrorCode::unavailable);
        // Whether the version of the records could be looked at decides which.
        ASSERT_FALSE(renewed.ok());
        EXPECT_TRUE(renewed.error().code == ErrorCode::unavailable ||
                    renewed.error().code == ErrorCode::timeout)
            << renewed.error().describe();
        EXPECT_NE(renewed.error().message.find("127.0.0.1"), std::string::npos)
            << renewed.error().describe();
    }
    const long long without = counter.acknowledged();
    EXPECT_FALSE(records->read("s").ok());
    EXPECT_EQ(counter.acknowledged(), without);

    etcd.start(second);
    ASSERT_TRUE(counter.goes_on());
    EXPECT_TRUE(eventually([&] { return records->renew("a").ok(); }));
    EXPECT_TRUE(records->read("s").ok());
    audit(counter, etcd.options(), "s");
}

TEST_F(EtcdFaults, an_etcd_that_lost_its_data_is_not_believed) {
    Etcd etcd;
    const auto records = open_ha_records(etcd.options(), clock_, std::chrono::seconds(5)).value();
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(records->renew("a").ok());
    const std::int64_t revision = records->replace("s", 0, "one").value();
    etcd.kill(0);
    EXPECT_EQ(records->read("s").error().code, ErrorCode::unavailable);
    etcd.wipe(0);
    etcd.start(0);
    etcd.wait_until_ready();
    const auto read = records->read("s");
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code, ErrorCode::corrupt) << read.error().describe();
    // For ever, also when its revisions have come as far again.
    const auto stranger = open_ha_records(etcd.options(), clock_, std::chrono::seconds(5)).value();
    for (std::int64_t i = 0; i < revision; ++i) ASSERT_TRUE(stranger->renew("b").ok());
    EXPECT_EQ(records->renew("a").error().code, ErrorCode::corrupt);
    EXPECT_EQ(records->replace("s", 0, "two").error().code, ErrorCode::corrupt);
}

TEST_F(EtcdFaults, records_of_newer_programs_and_of_strangers_are_left_alone) {
    Etcd etcd;
    const auto say = [&](const std::string& prefix, const std::string& version) {
        for (const char* key : {"ha/format", "store-format"}) {
            const std::string body =
                fmt::format(R"({{"key":"{}","value":"{}"}})", base64_encode(prefix + key),
                            base64_encode(version));
            ASSERT_TRUE(etcd.post(0, "/v3/kv/put", body).has_value());
        }
    };
    EtcdOptions options = etcd.options();
    say("/newer/", "2");
    say("/stranger/", "hello");
    for (const auto& [prefix, code] : {std::pair{"/newer/", ErrorCode::not_supported},
                                       std::pair{"/stranger/", ErrorCode::corrupt}}) {
        options.prefix = prefix;
        const auto store = open_etcd_store(options, clock_).value();
        EXPECT_EQ(store->get("/a").error().code, code);
        EXPECT_EQ(store->commit(Transaction().put("/a", "x")).error().code, code);
    }
    options.prefix = "/newer/";
    const auto newer = open_ha_records(options, clock_, std::chrono::seconds(5)).value();
    EXPECT_EQ(newer->read("s").error().code, ErrorCode::not_supported);
    EXPECT_EQ(newer->replace("s", 0, "x").error().code, ErrorCode::not_supported);
    options.prefix = "/stranger/";
    const auto stranger = open_ha_records(options, clock_, std::chrono::seconds(5)).value();
    EXPECT_EQ(stranger->renew("a").error().code, ErrorCode::corrupt);
}

TEST_F(EtcdFaults, who_shows_no_certificate_is_not_let_in) {
    Etcd etcd({.tls = true});
    EtcdOptions options = etcd.options();
    const auto welcome = open_ha_records(options, clock_, std::chrono::seconds(5)).value();
    EXPECT_TRUE(welcome->replace("s", 0, "x").ok());
    options.certificate_file.clear();
    EXPECT_EQ(open_ha_records(options, clock_).error().code, ErrorCode::invalid_argument);
    options.key_file.clear();
    const auto nobody = open_ha_records(options, clock_, std::chrono::seconds(5)).value();
    EXPECT_EQ(nobody->read("s").error().code, ErrorCode::unavailable);
    options = etcd.options();
    options.ca_file.clear();
    const auto distrustful = open_ha_records(options, clock_, std::chrono::seconds(5)).value();
    EXPECT_EQ(distrustful->read("s").error().code, ErrorCode::unavailable);
}

/// Commits one number after the other until it is told to stop; gives back how many are there.
int write_numbers(Store& store, const std::stop_token& stop, std::atomic<int>& written) {
    while (!stop.stop_requested()) {
        const auto before = store.get("/n");
        if (!before.ok()) continue;
        const Revision modified = *before ? (*before)->modified : 0;
        const int number = *before ? std::stoi((*before)->value) : 0;
        written = std::max(written.load(), number);
        const auto done = store.commit(
            Transaction().expect("/n", modified).put("/n", std::to_string(number + 1)));
        if (done.ok()) written = number + 1;
    }
    return written;
}

TEST_F(EtcdFaults, a_watch_leaves_out_nothing_and_repeats_nothing_whoever_dies_or_hangs) {
    Etcd etcd({.members = 3});
    const auto store = open_etcd_store(etcd.options(), clock_).value();
    const auto watch = store->watch("/", 0).value();
    std::atomic<int> written = 0;
    std::jthread writer([&](const std::stop_token& stop) { write_numbers(*store, stop, written); });
    std::vector<int> seen;
    Revision last = 0;
    const auto look = [&] {
        const std::vector<Event> events = watch->next(milliseconds(200)).value();
        for (const Event& each : events) {
            EXPECT_GT(each.revision, last);
            last = each.revision;
            seen.push_back(std::stoi(each.entry->value));
        }
    };
    const auto sees = [&](int number) {
        return eventually([&] {
            look();
            return !seen.empty() && seen.back() >= number;
        });
    };
    ASSERT_TRUE(sees(3));
    for (int member = 0; member < 3; ++member) {
        etcd.kill(member);
        EXPECT_TRUE(sees(seen.back() + 3)) << "killed " << member;
        etcd.start(member);
        etcd.wait_until_ready();
    }
    for (int member = 0; member < 2; ++member) {
        etcd.stop(member);
        EXPECT_TRUE(sees(written + 3)) << "stopped " << member;
        etcd.go_on(member);
        etcd.wait_until_ready();
    }
    for (int member = 0; member < 3; ++member) etcd.kill(member);
    for (int i = 0; i < 3; ++i) look();
    for (int member = 0; member < 3; ++member) etcd.start(member);
    EXPECT_TRUE(sees(written + 3));
    writer.request_stop();
    writer.join();
    EXPECT_TRUE(sees(written));
    RecordProperty("events", fmt::format("{}", seen.size()));
    for (std::size_t i = 0; i < seen.size(); ++i)
        ASSERT_EQ(seen[i], static_cast<int>(i) + 1) << "each number once, in order";
}

TEST_F(EtcdFaults, a_watch_can_be_stopped_while_nobody_answers) {
    Etcd etcd;
    const auto store =
        open_etcd_store(etcd.options(), clock_, {.timeout = milliseconds(300)}).value();
    const auto watch = store->watch("/", 0).value();
    etcd.kill(0);
    EXPECT_EQ(store->get("/a").error().code, ErrorCode::unavailable);
    EXPECT_EQ(store->watch("/", 0).error().code, ErrorCode::unavailable);
    auto waiting =
        std::async(std::launch::async, [&] { return watch->next(std::chrono::seconds(600)); });
    watch->stop();
    EXPECT_TRUE(waiting.get().value().empty());
}

TEST_F(EtcdFaults, a_revision_larger_than_a_message_arrives_whole) {
    Etcd etcd;
    const auto store =
        open_etcd_store(etcd.options(), clock_, {.timeout = std::chrono::seconds(60)}).value();
    const std::string large(1 << 20, 'x');
    for (int i = 0; i < 4; ++i)
        store->commit(Transaction().put("/a", large).put("/b", large).put("/c", large)).value();
    const auto watch = store->watch("/", 0).value();
    std::map<Revision, int> seen;
    while (seen.size() < 4) {
        std::map<Revision, int> batch;
        const auto events = watch->next(std::chrono::seconds(20)).value();
        ASSERT_FALSE(events.empty());
        for (const Event& each : events) {
            EXPECT_EQ(each.entry->value.size(), large.size());
            ++batch[each.revision];
        }
        for (const auto& [revision, count] : batch) {
            EXPECT_EQ(count, 3) << revision;
            EXPECT_TRUE(seen.emplace(revision, count).second) << revision;
        }
    }
}

TEST_F(EtcdFaults, the_history_is_bounded) {
    Etcd etcd;
    const auto client = EtcdClient::open(etcd.options(), clock_).value();
    const auto soon = [&] { return clock_.now() + std::chrono::seconds(5); };
    const model::etcd::Txn put{.success = {model::etcd::Put{"/howdah/x", "y"}}};
    for (int i = 0; i < 20; ++i) {
        const auto revision = client->txn(put, soon()).value().revision;
        client->compact_behind(revision, 10, soon());
    }
    // What is before the last ten revisions is gone, so it cannot be compacted once more.
    const auto compacted = etcd.post(0, "/v3/kv/compaction", R"({"revision":"5"})");
    EXPECT_FALSE(compacted.has_value());
    EXPECT_TRUE(etcd.post(0, "/v3/kv/compaction", R"({"revision":"19"})").has_value());
}

TEST(EtcdOptions, what_is_no_address_is_refused) {
    const SystemClock clock;
    const auto code = [&](const EtcdOptions& options) {
        const auto opened = open_ha_records(options, clock);
        return opened.ok() ? ErrorCode::postgres : opened.error().code;
    };
    EXPECT_EQ(code({}), ErrorCode::invalid_argument);
    EXPECT_EQ(code({.endpoints = {"127.0.0.1:2379"}}), ErrorCode::invalid_argument);
    EXPECT_EQ(code({.endpoints = std::vector<std::string>(10, "https://h")}),
              ErrorCode::invalid_argument);
    EXPECT_EQ(code({.endpoints = {"https://h"}, .prefix = "/"}), ErrorCode::invalid_argument);
    EXPECT_NE(code({.endpoints = {"https://h"}, .ca_file = "/absent"}), ErrorCode::postgres);
    const auto plain = open_ha_records({.endpoints = {"http://192.0.2.1:1"}}, clock).value();
    EXPECT_EQ(plain->read("s").error().code, ErrorCode::invalid_argument);
}

// ---------------------------------------------------------------------------------------------
// A member that says what no etcd says

class LyingEtcd : public testing::Test {
  protected:
    void start() {
        const Timestamp now = clock_.wall();
        const auto authority = http::CertificateAuthority::create("liar", now).value();
        const auto own =
            authority.issue({.common_name = "l", .ip_addresses = {"127.0.0.1"}}, now).value();
        server_ = http::Server::start(
                      {.certificate_pem = own.certificate_pem, .key_pem = own.key_pem.reveal()},
                      [this](http::Request, http::Responder responder) {
                          responder.send({.status = status_, .body = body_});
                      })
                      .value();
        const std::string ca = folder_.file("ca.pem");
        ASSERT_TRUE(os::write_file_atomic(ca, authority.certificate_pem()).ok());
        client_ =
            EtcdClient::open({.endpoints = {fmt::format("https://127.0.0.1:{}", server_->port())},
                              .ca_file = ca},
                             clock_)
                .value();
    }
    ErrorCode code_of(const model::etcd::Txn& txn) {
        const auto answer = client_->txn(txn, clock_.now() + std::chrono::seconds(20));
        return answer.ok() ? ErrorCode::postgres : answer.error().code;
    }

    const model::etcd::Txn read_{.success = {model::etcd::Range{"/k"}}};
    const model::etcd::Txn write_{.success = {model::etcd::Put{"/k", "v"}}};
    TemporaryFolder folder_;
    SystemClock clock_;
    int status_ = 200;
    std::string body_;
    std::unique_ptr<http::Server> server_;
    std::unique_ptr<EtcdClient> client_;
};

TEST_F(LyingEtcd, answers_that_cannot_be_understood_leave_a_change_in_doubt) {
    start();
    for (const std::string body :
         {"", "garbage", "[]", "{}", R"({"header":{"cluster_id":"1","revision":"1"}})",
          R"({"header":{"cluster_id":1,"revision":"x"},"succeeded":true,"responses":[{}]})",
          R"({"header":{"cluster_id":"1","revision":"1"},"succeeded":"yes","responses":[7]})"}) {
        body_ = body;
        EXPECT_EQ(code_of(read_), ErrorCode::corrupt) << body;
        EXPECT_EQ(code_of(write_), ErrorCode::timeout) << body;
    }
    body_ = std::string(100'000, '[');
    EXPECT_EQ(code_of(read_), ErrorCode::corrupt);
}

TEST_F(LyingEtcd, refusals_that_are_certain_are_told_from_those_that_are_not) {
    start();
    const auto refusal = [&](int status, int code, const std::string& message) {
        status_ = status;
        body_ = fmt::format(R"({{"error":"{0}","message":"{0}","code":{1}}})", message, code);
        return code_of(write_);
    };
    EXPECT_EQ(refusal(400, 3, "etcdserver: request is too large"), ErrorCode::too_large);
    EXPECT_EQ(refusal(404, 5, "etcdserver: requested lease not found"), ErrorCode::not_found);
    EXPECT_EQ(refusal(403, 7, "etcdserver: permission denied"), ErrorCode::permission_denied);
    EXPECT_EQ(refusal(429, 8, "etcdserver: too many requests"), ErrorCode::unavailable);
    EXPECT_EQ(refusal(429, 8, "etcdserver: mvcc: database space exceeded"),
              ErrorCode::resource_exhausted);
    EXPECT_EQ(refusal(503, 14, "etcdserver: request timed out"), ErrorCode::timeout);
    EXPECT_EQ(refusal(500, 13, "anything else"), ErrorCode::timeout);
    EXPECT_EQ(code_of(read_), ErrorCode::unavailable);
    status_ = 404;
    body_ = "Not Found";
    EXPECT_EQ(code_of(write_), ErrorCode::not_supported);
    status_ = 502;
    EXPECT_EQ(code_of(write_), ErrorCode::timeout);
}

TEST_F(LyingEtcd, a_member_of_another_cluster_is_noticed) {
    start();
    body_ = R"({"header":{"cluster_id":"1","revision":"5"},"succeeded":true,)"
            R"("responses":[{"response_range":{}}]})";
    EXPECT_EQ(code_of(read_), ErrorCode::postgres);
    body_.replace(body_.find("\"1\""), 3, "\"2\"");
    EXPECT_EQ(code_of(read_), ErrorCode::corrupt);
}

}  // namespace
}  // namespace howdah::store
