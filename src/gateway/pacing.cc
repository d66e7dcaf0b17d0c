#include "gateway/pacing.h"

#include <algorithm>

#include "base/assert.h"

namespace howdah::gateway {

void ReleaseGate::released(Instant now) {
    HD_ASSERT(may_release(now), "a session was released ahead of its time");
    if (down_) {
        next_ = now + kProbePause;
        burst_left_ = 0;
    } else if (now >= next_) {
        next_ = now + kPause;
        burst_left_ = kBurst - 1;
    } else {
        --burst_left_;
    }
}

void ReleaseGate::refused(Instant now) {
    down_ = true;
    burst_left_ = 0;
    next_ = std::max(next_, now + kProbePause);
}

bool CancelLimiter::allow(std::uint64_t host, Instant now) {
    Instant& full_at = full_at_[host % kBuckets];
    const Instant after = std::max(full_at, now) + kRefill;
    if (after - now > kBurst * kRefill) return false;
    full_at = after;
    return true;
}

}  // namespace howdah::gateway
