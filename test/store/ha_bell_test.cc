#include <gtest/gtest.h>
#include <poll.h>

#include "store/ha/ha_records.h"
#include "store_support.h"

namespace howdah::store {
namespace {

bool has_rung(const HaRecords::Bell& bell) {
    pollfd fd{bell.fd(), POLLIN, 0};
    return poll(&fd, 1, 0) == 1;
}

class HaBellTest : public testing::Test {
  protected:
    // Two processes that open the same file.
    TemporaryFolder folder_;
    std::unique_ptr<HaRecords> writer_ = open_ha_records(folder_.file("records.db")).value();
    std::unique_ptr<HaRecords> reader_ = open_ha_records(folder_.file("records.db")).value();
    std::unique_ptr<HaRecords::Bell> bell_ = reader_->bell();
};

TEST_F(HaBellTest, rings_when_another_changes_a_record) {
    EXPECT_FALSE(has_rung(*bell_));
    ASSERT_TRUE(writer_->replace("orders", 0, "first").ok());
    EXPECT_TRUE(has_rung(*bell_));
}

TEST_F(HaBellTest, is_silent_once_it_was_heard) {
    ASSERT_TRUE(writer_->replace("orders", 0, "first").ok());
    bell_->clear();
    EXPECT_FALSE(has_rung(*bell_));
}

TEST_F(HaBellTest, rings_when_a_record_is_removed) {
    const auto revision = writer_->replace("orders", 0, "first");
    bell_->clear();
    ASSERT_TRUE(writer_->remove("orders", revision.value()).ok());
    EXPECT_TRUE(has_rung(*bell_));
}

TEST_F(HaBellTest, a_refused_change_and_a_renewal_do_not_ring) {
    ASSERT_FALSE(writer_->replace("orders", 7, "late").ok());
    ASSERT_TRUE(writer_->renew("a").ok());
    EXPECT_FALSE(has_rung(*bell_));
}

}  // namespace
}  // namespace howdah::store
