#include "api/services.h"

#include <fmt/core.h>

namespace howdah::api {

Result<Turnstile::Pass> Turnstile::enter(std::string_view key) {
    std::unique_lock lock(mutex_);
    const bool free = freed_.wait_for(lock, kWaitMax, [&] { return !busy_.contains(key); });
    if (!free)
        return Error{ErrorCode::unavailable,
                     fmt::format("too many changes of '{}' are waiting for one another", key), "",
                     "send the request again after some seconds"};
    busy_.emplace(key);
    return Pass(*this, std::string(key));
}

void Turnstile::leave(const std::string& key) {
    {
        const std::lock_guard lock(mutex_);
        busy_.erase(key);
    }
    freed_.notify_all();
}

}  // namespace howdah::api
