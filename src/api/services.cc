#include "api/services.h"

#include <fmt/core.h>

namespace howdah::api {

Result<Turnstile::Pass> Turnstile::enter(std::string_view key) {
    std::unique_lock lock(mutex_);
    const std::thread::id self = std::this_thread::get_id();
    const bool free = freed_.wait_for(lock, kWaitMax, [&] {
        const auto holder = busy_.find(key);
        return holder == busy_.end() || holder->second.thread == self;
    });
    if (!free)
        return Error{ErrorCode::unavailable,
                     fmt::format("too many changes of '{}' are waiting for one another", key), "",
                     "send the request again after some seconds"};
    ++busy_.try_emplace(std::string(key), Holder{self}).first->second.passes;
    return Pass(*this, std::string(key));
}

void Turnstile::leave(const std::string& key) {
    {
        const std::lock_guard lock(mutex_);
        const auto holder = busy_.find(key);
        if (--holder->second.passes > 0) return;
        busy_.erase(holder);
    }
    freed_.notify_all();
}

}  // namespace howdah::api
