#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"

namespace howdah::gateway {

/// Says when the next waiting session of one server may try to reach it: paced, so that a server
/// that has just started is not trampled, and one at a time while it refuses. Pure; not
/// thread-safe.
class ReleaseGate {
  public:
    static constexpr int kBurst = 16;
    static constexpr Duration kPause = std::chrono::milliseconds(20);
    /// Between two tries of a server that refuses connections.
    static constexpr Duration kProbePause = std::chrono::milliseconds(50);

    bool may_release(Instant now) const { return now >= next_ || burst_left_ > 0; }
    /// One session was let go. REQUIRES: may_release(now).
    void released(Instant now);
    /// What became of it: it reached the server, or was refused.
    void connected() { down_ = false; }
    void refused(Instant now);
    Instant next() const { return next_; }

  private:
    Instant next_{};
    int burst_left_ = 0;
    bool down_ = false;
};

/// Bounds how often one client address may send cancel requests. Addresses share a fixed number of
/// buckets, so that no flood of addresses costs memory. Pure; not thread-safe.
class CancelLimiter {
  public:
    static constexpr int kBurst = 100;
    static constexpr Duration kRefill = std::chrono::milliseconds(20);  ///< of one request
    static constexpr std::size_t kBuckets = 512;

    /// `host` is Address::host_hash().
    bool allow(std::uint64_t host, Instant now);

  private:
    /// The time at which each bucket is full again: what lies ahead of now is spent.
    std::array<Instant, kBuckets> full_at_{};
};

}  // namespace howdah::gateway
