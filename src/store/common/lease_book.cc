#include "store/common/lease_book.h"

#include <fmt/core.h>

#include <algorithm>

namespace howdah::store {

Error no_such_lease(LeaseId lease) {
    return Error{ErrorCode::not_found, fmt::format("lease {} has ended or never was", lease)};
}

Status check_time_to_live(Duration time_to_live) {
    if (time_to_live > Duration::zero() && time_to_live <= LeaseBook::kTimeToLiveMax) return {};
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("a lease of {} ms is outside 1 ms to 24 h",
                    std::chrono::duration_cast<std::chrono::milliseconds>(time_to_live).count())};
}

Status LeaseBook::add(LeaseId lease, Duration time_to_live) {
    HD_CHECK(check_time_to_live(time_to_live));
    const std::lock_guard lock(mutex_);
    if (leases_.size() >= kLeasesMax) {
        return Error{ErrorCode::resource_exhausted,
                     fmt::format("there are {} leases already", leases_.size())};
    }
    leases_[lease] = {time_to_live, clock_.now() + time_to_live};
    refresh_earliest();
    return {};
}

Status LeaseBook::keep_alive(LeaseId lease) {
    const std::lock_guard lock(mutex_);
    const auto found = leases_.find(lease);
    const Instant now = clock_.now();
    if (found == leases_.end() || found->second.deadline <= now) return no_such_lease(lease);
    found->second.deadline = now + found->second.time_to_live;
    refresh_earliest();
    return {};
}

bool LeaseBook::is_alive(LeaseId lease) const {
    const std::lock_guard lock(mutex_);
    const auto found = leases_.find(lease);
    return found != leases_.end() && found->second.deadline > clock_.now();
}

bool LeaseBook::contains(LeaseId lease) const {
    const std::lock_guard lock(mutex_);
    return leases_.contains(lease);
}

void LeaseBook::erase(LeaseId lease) {
    const std::lock_guard lock(mutex_);
    leases_.erase(lease);
    refresh_earliest();
}

bool LeaseBook::has_due() const {
    const Duration::rep earliest = earliest_.load();
    return earliest != Duration::max().count() &&
           earliest <= clock_.now().time_since_epoch().count();
}

std::vector<LeaseId> LeaseBook::due() const {
    const std::lock_guard lock(mutex_);
    std::vector<LeaseId> due;
    for (const auto& [id, lease] : leases_)
        if (lease.deadline <= clock_.now()) due.push_back(id);
    return due;
}

Duration LeaseBook::until_next(Duration longest) const {
    const Duration::rep earliest = earliest_.load();
    if (earliest == Duration::max().count()) return longest;
    const Duration left = Duration(earliest) - clock_.now().time_since_epoch();
    return std::clamp(left, Duration(std::chrono::milliseconds(1)), longest);
}

void LeaseBook::refresh_earliest() {
    Duration::rep earliest = Duration::max().count();
    for (const auto& [id, lease] : leases_)
        earliest = std::min(earliest, lease.deadline.time_since_epoch().count());
    earliest_.store(earliest);
}

}  // namespace howdah::store
