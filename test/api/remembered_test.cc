#include "api/remembered.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "store/memory/memory_store.h"

namespace howdah::api {
namespace {

using Text = std::shared_ptr<const std::string>;

class RememberedTest : public testing::Test {
  protected:
    void put(const std::string& key, const std::string& value) {
        store::Transaction txn;
        txn.put(key, value);
        ASSERT_TRUE(store_->commit(txn).ok());
    }
    Result<Text> get(const std::string& key) {
        return known_.get(key, [&](const Text& previous) -> Result<Text> {
            ++reads_;
            HD_TRY(const auto entry, store_->get(key));
            if (!entry) return Error{ErrorCode::not_found, "nothing there"};
            if (previous != nullptr && *previous == entry->value) return previous;
            ++decoded_;
            return std::make_shared<const std::string>(entry->value);
        });
    }

    SystemClock clock_;
    std::unique_ptr<store::Store> store_ = store::make_memory_store(clock_);
    Remembered<std::string> known_{*store_};
    int reads_ = 0;
    int decoded_ = 0;
};

TEST_F(RememberedTest, is_read_once_while_nothing_changes) {
    put("/a", "1");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(*get("/a").value(), "1");
    EXPECT_EQ(reads_, 1);
}

TEST_F(RememberedTest, any_change_makes_it_look_again_and_the_same_record_stays_decoded) {
    put("/a", "1");
    EXPECT_EQ(*get("/a").value(), "1");
    put("/b", "of somebody else");
    EXPECT_EQ(*get("/a").value(), "1");
    EXPECT_EQ(reads_, 2);
    EXPECT_EQ(decoded_, 1);
    put("/a", "2");
    EXPECT_EQ(*get("/a").value(), "2");
}

TEST_F(RememberedTest, what_is_deleted_is_gone_at_once_and_errors_are_not_kept) {
    put("/a", "1");
    EXPECT_TRUE(get("/a").ok());
    store::Transaction txn;
    txn.remove("/a");
    ASSERT_TRUE(store_->commit(txn).ok());
    EXPECT_EQ(get("/a").error().code, ErrorCode::not_found);
    EXPECT_EQ(get("/a").error().code, ErrorCode::not_found);
    EXPECT_EQ(reads_, 3);
    put("/a", "3");
    EXPECT_EQ(*get("/a").value(), "3");
}

TEST_F(RememberedTest, a_change_while_it_is_read_is_seen_by_the_next_one) {
    put("/a", "1");
    bool once = true;
    const auto slow = [&](const Text&) -> Result<Text> {
        const std::string read = store_->get("/a").value()->value;
        if (std::exchange(once, false)) put("/a", "2");
        return std::make_shared<const std::string>(read);
    };
    EXPECT_EQ(*known_.get("/a", slow).value(), "1");
    EXPECT_EQ(*known_.get("/a", slow).value(), "2");
}

TEST_F(RememberedTest, is_bounded) {
    for (std::size_t i = 0; i <= 2 * Remembered<std::string>::kValuesMax; ++i) {
        put("/" + std::to_string(i), "x");
        EXPECT_EQ(*get("/" + std::to_string(i)).value(), "x");
    }
    EXPECT_LE(known_.size(), Remembered<std::string>::kValuesMax);
}

TEST_F(RememberedTest, nobody_sees_less_than_what_was_committed_before_they_asked) {
    put("/count", "0");
    std::atomic<int> committed = 0;
    std::atomic<bool> done = false;
    std::vector<std::jthread> readers;
    std::atomic<int> stale = 0;
    for (int i = 0; i < 3; ++i) {
        readers.emplace_back([&] {
            while (!done) {
                const int at_least = committed;
                const auto seen = known_.get("/count", [&](const Text&) -> Result<Text> {
                    HD_TRY(const auto entry, store_->get("/count"));
                    return std::make_shared<const std::string>(entry->value);
                });
                if (!seen.ok() || std::stoi(**seen) < at_least) ++stale;
            }
        });
    }
    for (int i = 1; i <= 2000; ++i) {
        put("/count", std::to_string(i));
        committed = i;
    }
    done = true;
    readers.clear();
    EXPECT_EQ(stale, 0);
}

}  // namespace
}  // namespace howdah::api
