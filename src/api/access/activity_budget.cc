#include "api/access/activity_budget.h"

#include <algorithm>

namespace howdah::api {
namespace {

bool take(double& left) {
    if (left < 1) return false;
    left -= 1;
    return true;
}

}  // namespace

void ActivityBudget::fill(Entry& entry, Instant now) {
    const double seconds = std::chrono::duration<double>(now - entry.filled).count();
    entry.changes = std::min(kChanges.most, entry.changes + seconds * kChanges.per_second);
    entry.refusals = std::min(kRefusals.most, entry.refusals + seconds * kRefusals.per_second);
    entry.filled = now;
}

ActivityBudget::Entry& ActivityBudget::entry_of(std::string_view principal) {
    const Instant now = clock_.now();
    auto found = entries_.find(principal);
    if (found == entries_.end()) {
        if (entries_.size() >= kPrincipalsMax) {
            std::erase_if(entries_, [&](const auto& each) {
                Entry filled = each.second;
                fill(filled, now);
                return filled.changes >= kChanges.most && filled.refusals >= kRefusals.most;
            });
        }
        const bool is_full = entries_.size() >= kPrincipalsMax;
        const std::string key(is_full ? std::string_view() : principal);
        found = entries_.try_emplace(key, Entry{.filled = now}).first;
    }
    fill(found->second, now);
    return found->second;
}

bool ActivityBudget::take_change(std::string_view principal) {
    const std::lock_guard lock(mutex_);
    return take(entry_of(principal).changes);
}

bool ActivityBudget::take_refusal(std::string_view principal) {
    const std::lock_guard lock(mutex_);
    return take(entry_of(principal).refusals);
}

std::size_t ActivityBudget::size() const {
    const std::lock_guard lock(mutex_);
    return entries_.size();
}

}  // namespace howdah::api
