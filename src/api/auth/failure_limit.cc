#include "api/auth/failure_limit.h"

#include <algorithm>

namespace howdah::api {

Duration FailureLimit::wait(std::string_view client) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(client);
    if (found == entries_.end()) return Duration::zero();
    const Duration left = found->second.begin + kWindow - clock_.now();
    if (left <= Duration::zero()) {
        entries_.erase(found);
        return Duration::zero();
    }
    return found->second.failures >= kFailuresMax ? left : Duration::zero();
}

void FailureLimit::record_failure(std::string_view client) {
    const std::lock_guard lock(mutex_);
    const Instant now = clock_.now();
    if (entries_.size() >= kEntriesMax && !entries_.contains(client)) {
        std::erase_if(entries_,
                      [&](const auto& each) { return each.second.begin + kWindow <= now; });
        if (entries_.size() >= kEntriesMax)
            entries_.erase(std::min_element(
                entries_.begin(), entries_.end(),
                [](const auto& a, const auto& b) { return a.second.begin < b.second.begin; }));
    }
    Entry& entry = entries_[std::string(client)];
    if (entry.failures == 0) entry.begin = now;
    ++entry.failures;
}

void FailureLimit::record_success(std::string_view client) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(client);
    if (found != entries_.end()) entries_.erase(found);
}

std::size_t FailureLimit::size() const {
    const std::lock_guard lock(mutex_);
    return entries_.size();
}

}  // namespace howdah::api
