#include "gateway/pacing.h"

#include <gtest/gtest.h>

namespace howdah::gateway {
namespace {

constexpr Instant kStart{std::chrono::hours(1)};

TEST(release_gate, lets_a_burst_go_and_then_pauses) {
    ReleaseGate gate;
    Instant now = kStart;
    for (int round = 0; round < 3; ++round) {
        int released = 0;
        while (gate.may_release(now)) {
            gate.released(now);
            ++released;
        }
        EXPECT_EQ(released, ReleaseGate::kBurst);
        EXPECT_EQ(gate.next(), now + ReleaseGate::kPause);
        now = gate.next();
    }
}

TEST(release_gate, tries_one_at_a_time_while_the_server_refuses) {
    ReleaseGate gate;
    Instant now = kStart;
    gate.released(now);
    gate.refused(now);
    for (int round = 0; round < 3; ++round) {
        EXPECT_FALSE(gate.may_release(now));
        now = gate.next();
        EXPECT_TRUE(gate.may_release(now));
        gate.released(now);
        EXPECT_FALSE(gate.may_release(now));
    }
    gate.connected();
    now = gate.next();
    gate.released(now);
    EXPECT_TRUE(gate.may_release(now)) << "a server that answers gets whole bursts again";
}

TEST(cancel_limiter, lets_a_burst_pass_and_then_one_per_refill) {
    CancelLimiter limiter;
    Instant now = kStart;
    for (int i = 0; i < CancelLimiter::kBurst; ++i) EXPECT_TRUE(limiter.allow(7, now));
    EXPECT_FALSE(limiter.allow(7, now));
    EXPECT_TRUE(limiter.allow(8, now)) << "another address has its own allowance";
    now += CancelLimiter::kRefill;
    EXPECT_TRUE(limiter.allow(7, now));
    EXPECT_FALSE(limiter.allow(7, now));
    now += std::chrono::hours(1);
    int passed = 0;
    while (limiter.allow(7, now)) ++passed;
    EXPECT_EQ(passed, CancelLimiter::kBurst) << "a long pause earns no more than a burst";
}

}  // namespace
}  // namespace howdah::gateway
