#include "agent/ha/lease_keeper.h"

#include <condition_variable>

#include "base/log.h"

namespace howdah::agent {

void LeaseKeeper::run(std::stop_token stop) {
    std::mutex mutex;
    std::condition_variable_any never;
    bool was_ok = true;
    while (!stop.stop_requested()) {
        // From before it is sent: what comes after may take any time.
        const Instant sent = clock_.now();
        const bool may_renew = !may_renew_ || may_renew_();
        const Status renewed = may_renew ? records_.renew(node_)
                                         : Status(Error{ErrorCode::unavailable, "a disk hangs"});
        if (renewed.ok()) {
            const std::lock_guard lock(mutex_);
            renewed_ = sent;
        } else if (was_ok) {
            log::warn("the lease cannot be renewed", {{"reason", renewed.error().describe()}});
        }
        was_ok = renewed.ok();
        std::unique_lock lock(mutex);
        (void)never.wait_for(lock, stop, kRenewEvery, [] { return false; });
    }
}

std::optional<Instant> LeaseKeeper::renewed() const {
    const std::lock_guard lock(mutex_);
    return renewed_;
}

}  // namespace howdah::agent
