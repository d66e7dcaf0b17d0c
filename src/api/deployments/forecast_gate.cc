#include "api/deployments/forecast_gate.h"

namespace howdah::api::deployments {

Result<ForecastGate::Pass> ForecastGate::enter(const std::string& caller) {
    std::unique_lock lock(mutex_);
    bool free = is_free(caller);
    if (!free && waiting_ < kWaitingMax) {
        ++waiting_;
        free = freed_.wait_for(lock, kWaitMax, [&] { return is_free(caller); });
        --waiting_;
    }
    if (!free)
        return Error{ErrorCode::too_many_requests,
                     "too many templates are being validated or looked ahead at", "",
                     "send the request again after some seconds"};
    running_.insert(caller);
    return Pass(*this, caller);
}

std::size_t ForecastGate::waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting_;
}

void ForecastGate::leave(const std::string& caller) {
    {
        const std::lock_guard lock(mutex_);
        running_.erase(running_.find(caller));
    }
    freed_.notify_all();
}

}  // namespace howdah::api::deployments
