#include <gtest/gtest.h>
#include <poll.h>

#include "store/etcd_support.h"
#include "store/ha/ha_records.h"

namespace howdah::store {
namespace {

bool has_rung(HaRecords::Bell& bell) {
    pollfd fd{bell.fd(), POLLIN, 0};
    if (poll(&fd, 1, 0) != 1) return false;
    bell.clear();
    return true;
}

class EtcdBellTest : public testing::Test {
  protected:
    void SetUp() override {
        if (!Etcd::is_installed()) GTEST_SKIP() << "etcd is not installed";
        etcd_.emplace(Etcd::Settings{.members = 1});
        writer_ = open_ha_records(etcd_->options(), clock_).value();
        reader_ = open_ha_records(etcd_->options(), clock_).value();
        bell_ = reader_->bell();
        ASSERT_NE(bell_, nullptr);
        // It rings once it hears.
        ASSERT_TRUE(eventually([&] { return has_rung(*bell_); }));
    }
    bool write(const std::string& server) {
        const std::int64_t revision = writer_->read(server).value().revision;
        return writer_->replace(server, revision, "text").ok();
    }

    SystemClock clock_;
    std::optional<Etcd> etcd_;
    std::unique_ptr<HaRecords> writer_;
    std::unique_ptr<HaRecords> reader_;
    std::unique_ptr<HaRecords::Bell> bell_;
};

TEST_F(EtcdBellTest, rings_when_another_changes_a_record) {
    ASSERT_TRUE(write("orders"));
    EXPECT_TRUE(eventually([&] { return has_rung(*bell_); }));
}

TEST_F(EtcdBellTest, rings_for_everybody) {
    const auto second = reader_->bell();
    ASSERT_TRUE(write("orders"));
    EXPECT_TRUE(eventually([&] { return has_rung(*bell_); }));
    EXPECT_TRUE(eventually([&] { return has_rung(*second); }));
}

TEST_F(EtcdBellTest, renewals_do_not_ring) {
    ASSERT_TRUE(writer_->renew("a").ok());
    // Only what comes after it is heard.
    ASSERT_TRUE(write("orders"));
    ASSERT_TRUE(eventually([&] { return has_rung(*bell_); }));
    EXPECT_FALSE(has_rung(*bell_));
}

TEST_F(EtcdBellTest, rings_again_after_etcd_was_away) {
    etcd_->kill(0);
    etcd_->start(0);
    etcd_->wait_until_ready();
    ASSERT_TRUE(eventually([&] { return write("orders"); }));
    EXPECT_TRUE(eventually([&] { return has_rung(*bell_); }));
}

TEST_F(EtcdBellTest, outlives_the_records_in_silence) {
    reader_.reset();
    (void)has_rung(*bell_);
    ASSERT_TRUE(write("orders"));
    EXPECT_FALSE(has_rung(*bell_));
}

}  // namespace
}  // namespace howdah::store
