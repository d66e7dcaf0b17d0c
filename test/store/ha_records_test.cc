// What every backend of the HA records promises, run against each of them.

#include "store/ha/ha_records.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/text.h"
#include "store/etcd_support.h"
#include "store/store_support.h"

namespace howdah::store {
namespace {

/// This machine may be busy with other things: no test is about how fast it is.
constexpr std::chrono::seconds kPatience(20);

/// All tests share an etcd for each way to reach it; each has a prefix of its own in it.
class HaRecordsTest : public testing::TestWithParam<std::string> {
  public:
    static void TearDownTestSuite() {
        plain_.reset();
        secured_.reset();
    }

  protected:
    void SetUp() override {
        if (GetParam() == "sqlite") return;
        if (!Etcd::is_installed()) GTEST_SKIP() << "SKIPPED: etcd is not installed";
        auto& etcd = GetParam() == "etcd" ? plain_ : secured_;
        if (!etcd) etcd = std::make_unique<Etcd>(Etcd::Settings{.tls = GetParam() != "etcd"});
        options_ = etcd->options();
        options_.prefix = fmt::format("/test-{}/", ++tests_);
    }
    std::unique_ptr<HaRecords> open() const {
        if (GetParam() == "sqlite") return open_ha_records(folder_.file("ha.db")).value();
        return open_ha_records(options_, clock_, kPatience).value();
    }
    void count_up(int times) const;

    TemporaryFolder folder_;
    SystemClock clock_;
    EtcdOptions options_;

  private:
    static inline std::unique_ptr<Etcd> plain_;
    static inline std::unique_ptr<Etcd> secured_;
    static inline int tests_ = 0;
};

INSTANTIATE_TEST_SUITE_P(all, HaRecordsTest, testing::Values("sqlite", "etcd", "etcd_over_tls"),
                         [](const auto& tested) { return tested.param; });

TEST_P(HaRecordsTest, a_record_changes_by_compare_and_swap_alone) {
    const auto records = open();
    EXPECT_EQ(records->read("s").value().revision, 0);
    const std::int64_t first = records->replace("s", 0, "one").value();
    EXPECT_EQ(records->replace("s", 0, "two").error().code, ErrorCode::conflict);
    EXPECT_EQ(records->replace("s", first + 1, "two").error().code, ErrorCode::conflict);
    const std::int64_t second = records->replace("s", first, "two").value();
    EXPECT_GT(second, first);
    EXPECT_EQ(records->replace("s", first, "late").error().code, ErrorCode::conflict);
    EXPECT_EQ(records->read("s").value().record, "two");
    EXPECT_EQ(records->read("s").value().revision, second);
    EXPECT_EQ(records->read("other").value().revision, 0);
}

TEST_P(HaRecordsTest, a_record_that_is_made_again_has_a_revision_of_its_own) {
    const auto records = open();
    const std::int64_t first = records->replace("s", 0, "one").value();
    EXPECT_EQ(records->remove("s", first + 1).error().code, ErrorCode::conflict);
    EXPECT_EQ(records->remove("s", 0).error().code, ErrorCode::conflict);
    ASSERT_TRUE(records->remove("s", first).ok());
    EXPECT_EQ(records->read("s").value().revision, 0);
    EXPECT_GT(records->replace("s", 0, "again").value(), first);
    EXPECT_EQ(records->replace("s", first, "late").error().code, ErrorCode::conflict);
}

TEST_P(HaRecordsTest, nobody_takes_over_from_who_has_renewed_its_lease) {
    const auto records = open();
    const std::int64_t first = records->replace("s", 0, "one").value();
    ASSERT_TRUE(records->renew("a").ok());
    const HaRecords::Lease seen{"a", records->read("s").value().leases.at("a")};
    ASSERT_TRUE(records->renew("a").ok());
    EXPECT_EQ(records->replace("s", first, "taken", seen).error().code, ErrorCode::conflict);
    EXPECT_EQ(records->read("s").value().record, "one");
    const HaRecords::Lease moved{"a", records->read("s").value().leases.at("a")};
    EXPECT_GT(moved.counter, seen.counter);
    EXPECT_TRUE(records->replace("s", first, "taken", moved).ok());
    EXPECT_TRUE(records->replace("t", 0, "x", HaRecords::Lease{"never heard of", 0}).ok());
    EXPECT_EQ(records->replace("u", 0, "x", HaRecords::Lease{"a", 0}).error().code,
              ErrorCode::conflict);
}

TEST_P(HaRecordsTest, agents_see_each_others_records_and_leases_move) {
    const auto one = open();
    const auto other = open();
    ASSERT_TRUE(one->renew("a").ok());
    const auto before = other->read("s").value();
    ASSERT_TRUE(one->renew("a").ok());
    ASSERT_TRUE(other->renew("b").ok());
    const auto seen = other->read("s").value();
    EXPECT_EQ(seen.leases.size(), 2U);
    EXPECT_GT(seen.leases.at("a"), before.leases.at("a"));
    EXPECT_GT(seen.leases.at("b"), 0);
    const std::int64_t revision = one->replace("s", 0, "of one").value();
    EXPECT_EQ(other->read("s").value().record, "of one");
    EXPECT_GT(other->replace("s", revision, "of other").value(), revision);
    ASSERT_TRUE(other->forget("b").ok());
    ASSERT_TRUE(other->forget("never heard of").ok());
    EXPECT_EQ(one->read("s").value().leases.size(), 1U);
}

TEST_P(HaRecordsTest, any_bytes_are_there_after_reopening) {
    const std::string bytes("\0\xff'\n", 4);
    open()->replace("s", 0, bytes).value();
    EXPECT_EQ(open()->read("s").value().record, bytes);
    const std::string large(HaRecords::kRecordBytesMax, '\xff');
    const std::string name = "a/\"\\\xff b";
    open()->replace(name, 0, large).value();
    EXPECT_EQ(open()->read(name).value().record, large);
    open()->replace("empty", 0, "").value();
    EXPECT_GT(open()->read("empty").value().revision, 0);
}

TEST_P(HaRecordsTest, refuses_what_is_beyond_its_bounds) {
    const auto records = open();
    const std::string large(HaRecords::kRecordBytesMax + 1, 'x');
    const std::string long_name(HaRecords::kNameBytesMax + 1, 'a');
    EXPECT_EQ(records->replace("s", 0, large).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(records->replace("", 0, "x").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(records->renew(long_name).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(records->read(long_name).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(records->remove("", 0).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(records->forget("").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(records->read("s").value().revision, 0);
}

/// Adds one to the number in the record until it has done so `times` times.
void HaRecordsTest::count_up(int times) const {
    const auto records = open();
    for (int done = 0; done < times;) {
        const auto seen = records->read("s");
        if (!seen.ok()) continue;
        const std::int64_t number =
            seen->revision == 0 ? 0 : parse_integer(seen->record, 0, INT64_MAX).value();
        if (records->replace("s", seen->revision, std::to_string(number + 1)).ok()) ++done;
    }
}

TEST_P(HaRecordsTest, processes_that_count_together_lose_nothing) {
    constexpr int kProcesses = 4;
    constexpr int kTimes = 25;
    std::vector<pid_t> children;
    for (int i = 0; i < kProcesses; ++i) {
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            count_up(kTimes);
            _exit(0);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    EXPECT_EQ(open()->read("s").value().record, std::to_string(kProcesses * kTimes));
}

TEST_P(HaRecordsTest, threads_that_count_with_one_object_lose_nothing) {
    const auto records = open();
    std::atomic<int> done = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                for (int tries = 0; tries < 25; ++tries) {
                    const auto seen = records->read("s").value();
                    const long long number =
                        seen.revision == 0 ? 0 : parse_integer(seen.record, 0, INT64_MAX).value();
                    if (records->replace("s", seen.revision, std::to_string(number + 1)).ok())
                        ++done;
                    EXPECT_TRUE(records->renew("a").ok());
                }
            });
        }
    }
    EXPECT_GT(done, 0);
    EXPECT_EQ(records->read("s").value().record, std::to_string(done));
}

TEST_P(HaRecordsTest, whoever_is_killed_leaves_a_whole_record_and_no_lock) {
    // Revisions and numbers go in step from here on.
    const std::int64_t start = open()->replace("s", 0, "0").value();
    for (int round = 0; round < 10; ++round) {
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            count_up(INT32_MAX);
            _exit(0);
        }
        const auto records = open();
        const std::int64_t before = records->read("s").value().revision;
        while (records->read("s").value().revision < before + 3 + round) std::this_thread::yield();
        ASSERT_EQ(kill(child, SIGKILL), 0);
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        // What it had sent may still arrive.
        EXPECT_TRUE(eventually([&] {
            const auto seen = records->read("s").value();
            EXPECT_EQ(seen.record, std::to_string(seen.revision - start));
            return records->replace("s", seen.revision, std::to_string(seen.revision - start + 1))
                .ok();
        }));
    }
}

}  // namespace
}  // namespace howdah::store
