// What every store backend promises, run against each of them.

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <functional>
#include <future>
#include <random>
#include <thread>

#include "store/etcd/etcd_store.h"
#include "store/etcd_support.h"
#include "store/memory/memory_store.h"
#include "store/sqlite/sqlite_store.h"
#include "store/store.h"
#include "store/store_support.h"

namespace howdah::store {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kHistory = 512;

struct Backend {
    std::string name;
    /// None: a real etcd is started.
    std::function<std::unique_ptr<Store>(const TemporaryFolder&, const Clock&)> open;
};

const Backend kBackends[] = {
    {"memory",
     [](const TemporaryFolder&, const Clock& clock) {
         return make_memory_store(clock, {.history_revisions = kHistory});
     }},
    {"sqlite",
     [](const TemporaryFolder& folder, const Clock& clock) {
         return open_sqlite_store(folder.file("store.db"), clock, {.history_revisions = kHistory})
             .value();
     }},
    {"etcd", nullptr},
};

class store : public testing::TestWithParam<Backend> {
  protected:
    void SetUp() override {
        if (GetParam().open) {
            store_ = GetParam().open(folder_, clock_);
            return;
        }
        if (!Etcd::is_installed()) GTEST_SKIP() << "SKIPPED: etcd is not installed";
        // For each test a new one: revisions begin at its beginning.
        etcd_ = std::make_unique<Etcd>();
        store_ = open_etcd_store(etcd_->options(), system_clock_,
                                 {.history_revisions = kHistory, .timeout = seconds(30)})
                     .value();
    }

    /// Lets time pass: for etcd, which has a clock of its own, less of it.
    void pass(seconds time) {
        if (etcd_)
            poll(nullptr, 0, static_cast<int>(scaled(time).count()));
        else
            clock_.advance(time);
    }
    Result<LeaseId> grant_lease(seconds time) { return store_->grant_lease(scaled(time)); }
    milliseconds scaled(seconds time) const { return etcd_ ? time * 3 / 10 : milliseconds(time); }
    /// The keys that are there, once they are these: a lease may end a second late.
    std::string keys_soon(const std::string& expected) {
        const auto keys = [&] { return keys_of(store_->list("/").value()); };
        if (etcd_) (void)eventually([&] { return keys() == expected; });
        return keys();
    }

    TemporaryFolder folder_;
    /// The next `count` events: etcd may send those of several revisions in several answers.
    static std::vector<Event> events_of(Watch& watch, std::size_t count) {
        std::vector<Event> events;
        while (events.size() < count) {
            auto more = watch.next(seconds(5)).value();
            if (more.empty()) break;
            events.insert(events.end(), more.begin(), more.end());
        }
        return events;
    }

    FakeClock clock_;
    SystemClock system_clock_;
    std::unique_ptr<Etcd> etcd_;
    std::unique_ptr<Store> store_;
};

INSTANTIATE_TEST_SUITE_P(all, store, testing::ValuesIn(kBackends),
                         [](const auto& tested) { return tested.param.name; });

// ---------------------------------------------------------------------------------------------
// Get and commit

TEST_P(store, begins_empty_at_revision_zero) {
    EXPECT_EQ(store_->revision().value(), 0);
    EXPECT_FALSE(store_->get("/a").value().has_value());
    EXPECT_TRUE(store_->list("").value().empty());
}

TEST_P(store, each_commit_has_the_next_revision_and_entries_carry_it) {
    EXPECT_EQ(put(*store_, "/a", "one"), 1);
    EXPECT_EQ(put(*store_, "/b", "two"), 2);
    EXPECT_EQ(put(*store_, "/a", "three"), 3);
    const Entry entry = store_->get("/a").value().value();
    EXPECT_EQ(entry.key, "/a");
    EXPECT_EQ(entry.value, "three");
    EXPECT_EQ(entry.created, 1);
    EXPECT_EQ(entry.modified, 3);
    EXPECT_EQ(store_->revision().value(), 3);
}

TEST_P(store, a_key_that_was_removed_and_made_anew_has_a_new_creation) {
    put(*store_, "/a", "one");
    EXPECT_EQ(store_->commit(Transaction().remove("/a")).value(), 2);
    EXPECT_EQ(value_of(*store_, "/a"), "<none>");
    put(*store_, "/a", "two");
    EXPECT_EQ(store_->get("/a").value()->created, 3);
}

TEST_P(store, a_lost_compare_and_swap_changes_nothing) {
    put(*store_, "/a", "one");
    const auto lost =
        store_->commit(Transaction().expect("/a", 1).expect("/b", 7).put("/a", "x").put("/c", "x"));
    ASSERT_FALSE(lost.ok());
    EXPECT_EQ(lost.error().code, ErrorCode::conflict);
    EXPECT_EQ(lost.error().target, "/b");
    EXPECT_EQ(value_of(*store_, "/a"), "one");
    EXPECT_EQ(value_of(*store_, "/c"), "<none>");
    EXPECT_EQ(store_->revision().value(), 1);
}

TEST_P(store, expecting_absence_fails_once_the_key_exists) {
    EXPECT_TRUE(store_->commit(Transaction().expect_absent("/a").put("/a", "1")).ok());
    EXPECT_EQ(store_->commit(Transaction().expect_absent("/a").put("/a", "2")).error().code,
              ErrorCode::conflict);
    EXPECT_EQ(value_of(*store_, "/a"), "1");
}

TEST_P(store, all_changes_of_a_transaction_happen_at_one_revision) {
    put(*store_, "/gone", "x");
    store_->commit(Transaction().put("/a", "1").put("/b", "2").remove("/gone")).value();
    EXPECT_EQ(modified_of(*store_, "/a"), 2);
    EXPECT_EQ(modified_of(*store_, "/b"), 2);
    EXPECT_EQ(modified_of(*store_, "/gone"), 0);
}

TEST_P(store, the_revision_is_never_behind_what_was_committed) {
    std::atomic<Revision> committed = 0;
    std::atomic<int> behind = 0;
    std::jthread reader([&](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            const Revision at_least = committed;
            if (store_->revision().value() < at_least) ++behind;
        }
    });
    for (int i = 0; i < 200; ++i) committed = put(*store_, "/a", std::to_string(i));
    reader.request_stop();
    reader.join();
    EXPECT_EQ(behind, 0);
    EXPECT_EQ(store_->revision().value(), 200);
}

TEST_P(store, what_changes_nothing_has_no_revision) {
    put(*store_, "/a", "1");
    EXPECT_EQ(store_->commit(Transaction().remove("/absent")).value(), 1);
    EXPECT_EQ(store_->commit(Transaction().expect("/a", 1)).value(), 1);
    EXPECT_EQ(store_->commit(Transaction().expect("/a", 9)).error().code, ErrorCode::conflict);
    EXPECT_EQ(put(*store_, "/b", "2"), 2);
}

TEST_P(store, values_and_keys_hold_any_bytes) {
    const std::string bytes("\0\x01\xff'\"\n", 6);
    put(*store_, "/k" + bytes, bytes);
    put(*store_, "/empty", "");
    EXPECT_EQ(value_of(*store_, "/k" + bytes), bytes);
    EXPECT_EQ(value_of(*store_, "/empty"), "");
    EXPECT_EQ(store_->list("/k").value().at(0).key, "/k" + bytes);
}

TEST_P(store, refuses_what_is_beyond_its_bounds_and_changes_nothing) {
    const auto refused = [&](const Transaction& transaction) {
        const auto result = store_->commit(transaction);
        return !result.ok() && result.error().code == ErrorCode::invalid_argument;
    };
    EXPECT_TRUE(refused(Transaction().put("", "x")));
    EXPECT_TRUE(refused(Transaction().put(std::string(kKeyBytesMax + 1, 'k'), "x")));
    EXPECT_TRUE(refused(Transaction().put("/a", std::string(kValueBytesMax + 1, 'v'))));
    EXPECT_TRUE(refused(Transaction().put("/a", "1").put("/a", "2")));
    EXPECT_TRUE(refused(Transaction().put("/a", "1").remove("/a")));
    Transaction many;
    for (std::size_t i = 0; i <= kTransactionChangesMax; ++i) many.put(fmt::format("/{}", i), "x");
    EXPECT_TRUE(refused(many));
    EXPECT_FALSE(store_->list("/", {.limit = 0}).ok());
    EXPECT_FALSE(store_->list("/", {.limit = kListMax + 1}).ok());
    EXPECT_EQ(store_->revision().value(), 0);

    EXPECT_TRUE(store_
                    ->commit(Transaction().put(std::string(kKeyBytesMax, 'k'),
                                               std::string(kValueBytesMax, 'v')))
                    .ok());
}

// ---------------------------------------------------------------------------------------------
// List

TEST_P(store, lists_are_in_byte_order_and_below_the_prefix_only) {
    for (const char* key : {"/s/b", "/s/a", "/s", "/s/a/x", "/t", "/s/B", "/r/z"})
        put(*store_, key, key);
    EXPECT_EQ(keys_of(store_->list("/s/").value()), "/s/B /s/a /s/a/x /s/b");
    EXPECT_EQ(keys_of(store_->list("/s").value()), "/s /s/B /s/a /s/a/x /s/b");
    EXPECT_EQ(keys_of(store_->list("/t").value()), "/t");
    EXPECT_EQ(keys_of(store_->list("").value()), "/r/z /s /s/B /s/a /s/a/x /s/b /t");
    EXPECT_EQ(store_->list("/s/b").value().at(0).value, "/s/b");
}

TEST_P(store, pages_join_up_to_the_whole_list) {
    for (int i = 0; i < 25; ++i) put(*store_, fmt::format("/p/{:02}", i), "x");
    put(*store_, "/q", "x");
    std::size_t count = 0;
    std::string after;
    for (;;) {
        const auto page = store_->list("/p/", {.after = after, .limit = 10}).value();
        for (const Entry& each : page) EXPECT_EQ(each.key, fmt::format("/p/{:02}", count++));
        if (page.size() < 10) break;
        after = page.back().key;
    }
    EXPECT_EQ(count, 25U);
    EXPECT_TRUE(store_->list("/p/", {.after = "/q"}).value().empty());
    EXPECT_EQ(store_->list("/p/", {.after = "/a"}).value().size(), 25U);
    // A page may begin after a key that does not exist (any more).
    EXPECT_EQ(store_->list("/p/", {.after = "/p/03x", .limit = 1}).value().at(0).key, "/p/04");
}

TEST_P(store, a_prefix_that_ends_in_the_highest_byte_is_bounded_rightly) {
    put(*store_, "/\xff", "1");
    put(*store_, "/\xff\xff", "2");
    put(*store_, "0", "3");
    EXPECT_EQ(store_->list("/\xff").value().size(), 2U);
    put(*store_, "\xff", "4");
    EXPECT_EQ(store_->list("\xff").value().size(), 1U);
}

// ---------------------------------------------------------------------------------------------
// Watch

TEST_P(store, a_watch_sees_every_change_below_its_prefix_in_order) {
    put(*store_, "/a/1", "old");
    const auto watch = store_->watch("/a/", store_->revision().value()).value();
    put(*store_, "/a/1", "new");
    put(*store_, "/b/1", "other");
    store_->commit(Transaction().put("/a/2", "x").remove("/a/1").put("/b/2", "y")).value();
    EXPECT_EQ(text_of(events_of(*watch, 3)), "/a/1=new@2 /a/2=x@4 /a/1-@4");
    EXPECT_EQ(text_of(watch->next(milliseconds(0)).value()), "");
    put(*store_, "/a/3", "z");
    EXPECT_EQ(text_of(watch->next(seconds(5)).value()), "/a/3=z@5");
}

TEST_P(store, a_watch_from_an_older_revision_replays_history) {
    for (int i = 1; i <= 5; ++i) put(*store_, fmt::format("/a/{}", i), "v");
    const auto watch = store_->watch("/a/", 2).value();
    EXPECT_EQ(text_of(events_of(*watch, 3)), "/a/3=v@3 /a/4=v@4 /a/5=v@5");
    const auto all = store_->watch("", 0).value();
    EXPECT_EQ(events_of(*all, 5).size(), 5U);
}

TEST_P(store, a_watch_event_carries_the_entry_as_it_was_then) {
    put(*store_, "/a", "one");
    put(*store_, "/a", "two");
    const auto watch = store_->watch("/a", 0).value();
    const auto events = events_of(*watch, 2);
    ASSERT_EQ(text_of(events), "/a=one@1 /a=two@2");
    EXPECT_EQ(events[1].entry->created, 1);
    EXPECT_EQ(events[1].entry->modified, 2);
}

TEST_P(store, a_watch_from_before_the_kept_history_says_so) {
    for (std::size_t i = 0; i < 2 * kHistory + 300; ++i) put(*store_, "/a", std::to_string(i));
    const auto old = store_->watch("/a", 1).value();
    const auto events = old->next(seconds(5));
    ASSERT_FALSE(events.ok());
    EXPECT_EQ(events.error().code, ErrorCode::conflict);
    EXPECT_EQ(retry_class(events.error().code), RetryClass::refetch);
    const Revision now = store_->revision().value();
    const auto recent = store_->watch("/a", now - static_cast<Revision>(kHistory) + 1).value();
    std::size_t seen = 0;
    while (seen + 1 < kHistory) seen += recent->next(seconds(5)).value().size();
    EXPECT_EQ(seen + 1, kHistory);
}

TEST_P(store, an_idle_watch_outlives_the_history_if_it_missed_nothing) {
    const auto watch = store_->watch("/quiet/", 0).value();
    EXPECT_TRUE(watch->next(milliseconds(0)).value().empty());
    for (std::size_t i = 0; i < 2 * kHistory + 300; ++i) put(*store_, "/loud", std::to_string(i));
    const Revision revision = put(*store_, "/quiet/1", "x");
    EXPECT_EQ(text_of(watch->next(seconds(5)).value()), fmt::format("/quiet/1=x@{}", revision));
}

TEST_P(store, a_long_backlog_comes_in_whole_revisions) {
    std::size_t written = 0;
    for (int i = 0; i < 20; ++i) {
        Transaction transaction;
        for (std::size_t j = 0; j < kTransactionChangesMax - 1; ++j, ++written)
            transaction.put(fmt::format("/{}/{}", i, j), "v");
        store_->commit(transaction).value();
    }
    const auto watch = store_->watch("/", 0).value();
    std::map<Revision, std::size_t> seen;
    std::size_t batches = 0;
    for (std::size_t read = 0; read < written; ++batches) {
        std::map<Revision, std::size_t> in_batch;
        const auto events = watch->next(seconds(5)).value();
        ASSERT_FALSE(events.empty());
        for (const Event& each : events) ++in_batch[each.revision];
        for (const auto& [revision, count] : in_batch) {
            EXPECT_EQ(count, kTransactionChangesMax - 1) << revision;
            EXPECT_TRUE(seen.emplace(revision, count).second) << revision;
        }
        read += events.size();
    }
    EXPECT_EQ(seen.size(), 20U);
    EXPECT_GT(batches, 1U);
}

TEST_P(store, a_waiting_watch_wakes_at_once) {
    const auto watch = store_->watch("/a", 0).value();
    auto waiting = std::async(std::launch::async, [&] { return watch->next(seconds(20)); });
    const auto begin = std::chrono::steady_clock::now();
    put(*store_, "/a", "x");
    EXPECT_EQ(text_of(waiting.get().value()), "/a=x@1");
    // Far below the timeout and the interval in which leases are looked at.
    EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(400));
}

TEST_P(store, a_watch_can_be_stopped_from_another_thread) {
    const auto watch = store_->watch("/a", 0).value();
    auto waiting = std::async(std::launch::async, [&] { return watch->next(seconds(600)); });
    watch->stop();
    EXPECT_TRUE(waiting.get().value().empty());
    put(*store_, "/a", "x");
    EXPECT_TRUE(watch->next(seconds(600)).value().empty());
}

// ---------------------------------------------------------------------------------------------
// Leases

TEST_P(store, keys_go_with_their_lease_and_watches_see_it) {
    const LeaseId lease = grant_lease(seconds(10)).value();
    store_->commit(Transaction().put("/leased", "x", lease).put("/kept", "y")).value();
    const auto watch = store_->watch("/", store_->revision().value()).value();
    pass(seconds(7));
    EXPECT_EQ(value_of(*store_, "/leased"), "x");
    pass(seconds(3));
    EXPECT_EQ(keys_soon("/kept"), "/kept");
    EXPECT_EQ(value_of(*store_, "/leased"), "<none>");
    EXPECT_EQ(value_of(*store_, "/kept"), "y");
    EXPECT_EQ(text_of(watch->next(seconds(5)).value()), "/leased-@2");
}

TEST_P(store, a_waiting_watch_notices_the_end_of_a_lease) {
    const LeaseId lease = grant_lease(seconds(10)).value();
    store_->commit(Transaction().put("/leased", "x", lease)).value();
    const auto watch = store_->watch("/", 1).value();
    auto waiting = std::async(std::launch::async, [&] { return watch->next(seconds(20)); });
    pass(seconds(10));
    EXPECT_EQ(text_of(waiting.get().value()), "/leased-@2");
}

TEST_P(store, a_lease_that_is_kept_alive_stays) {
    const LeaseId lease = grant_lease(seconds(10)).value();
    store_->commit(Transaction().put("/leased", "x", lease)).value();
    for (int i = 0; i < 3; ++i) {
        pass(seconds(6));
        EXPECT_TRUE(store_->keep_alive(lease).ok());
    }
    EXPECT_EQ(value_of(*store_, "/leased"), "x");
    pass(seconds(10));
    EXPECT_EQ(store_->keep_alive(lease).error().code, ErrorCode::not_found);
    EXPECT_EQ(keys_soon(""), "");
    EXPECT_EQ(value_of(*store_, "/leased"), "<none>");
}

TEST_P(store, a_revoked_lease_takes_its_keys_at_once) {
    const LeaseId lease = store_->grant_lease(seconds(10)).value();
    for (std::size_t i = 0; i < 2 * kTransactionChangesMax; ++i)
        store_->commit(Transaction().put(fmt::format("/leased/{}", i), "x", lease)).value();
    EXPECT_TRUE(store_->revoke(lease).ok());
    EXPECT_TRUE(store_->list("/").value().empty());
    EXPECT_EQ(store_->revoke(lease).error().code, ErrorCode::not_found);
    EXPECT_EQ(store_->commit(Transaction().put("/a", "x", lease)).error().code,
              ErrorCode::not_found);
}

TEST_P(store, a_key_that_is_written_anew_belongs_to_its_last_lease) {
    const LeaseId first = grant_lease(seconds(10)).value();
    const LeaseId second = grant_lease(seconds(30)).value();
    store_->commit(Transaction().put("/moved", "1", first).put("/freed", "1", first)).value();
    store_->commit(Transaction().put("/moved", "2", second).put("/freed", "2")).value();
    pass(seconds(15));
    EXPECT_EQ(keys_of(store_->list("/").value()), "/freed /moved");
    pass(seconds(15));
    EXPECT_EQ(keys_soon("/freed"), "/freed");
}

TEST_P(store, refuses_leases_of_no_or_endless_length) {
    EXPECT_EQ(store_->grant_lease(seconds(0)).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(store_->grant_lease(seconds(-1)).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(store_->grant_lease(std::chrono::hours(1000)).error().code,
              ErrorCode::invalid_argument);
}

// ---------------------------------------------------------------------------------------------
// Concurrency

/// Increments random counters by compare-and-swap; returns how often it succeeded.
int increment_counters(Store& store, unsigned seed, int rounds) {
    std::mt19937 random(seed);
    int done = 0;
    for (int i = 0; i < rounds; ++i) {
        const std::string a = fmt::format("/counter/{}", random() % 3);
        const std::string b = fmt::format("/counter/{}", 3 + random() % 3);
        const auto entry_a = store.get(a).value();
        const auto entry_b = store.get(b).value();
        const auto next = [](const std::optional<Entry>& entry) {
            return std::to_string((entry ? std::stoi(entry->value) : 0) + 1);
        };
        Transaction transaction;
        transaction.expect(a, entry_a ? entry_a->modified : 0);
        transaction.expect(b, entry_b ? entry_b->modified : 0);
        transaction.put(a, next(entry_a)).put(b, next(entry_b));
        const auto result = store.commit(transaction);
        if (result.ok())
            ++done;
        else
            EXPECT_EQ(result.error().code, ErrorCode::conflict) << result.error().describe();
    }
    return done;
}

TEST_P(store, no_increment_of_concurrent_writers_is_lost_or_done_twice) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const auto watch = store_->watch("/counter/", 0).value();
    std::vector<std::future<int>> writers;
    for (unsigned i = 0; i < 4; ++i) {
        writers.push_back(std::async(std::launch::async, [this, seed, i] {
            return increment_counters(*store_, seed + i, 60);
        }));
    }
    int done = 0;
    for (auto& each : writers) done += each.get();
    int sum = 0;
    for (const Entry& each : entries_of(store_->list("/counter/"))) sum += std::stoi(each.value);
    EXPECT_GT(done, 0);
    EXPECT_EQ(sum, 2 * done);
    EXPECT_EQ(store_->revision().value(), done);
    // The watch saw each increment once, in order.
    std::map<std::string, int> last;
    for (int seen = 0; seen < sum;) {
        const auto events = watch->next(seconds(5)).value();
        ASSERT_FALSE(events.empty());
        for (const Event& each : events) {
            EXPECT_EQ(std::stoi(each.entry->value), last[each.key] + 1);
            last[each.key] = std::stoi(each.entry->value);
            ++seen;
        }
    }
}

}  // namespace
}  // namespace howdah::store
