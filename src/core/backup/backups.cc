#include "core/backup/backups.h"

#include <algorithm>
#include <set>

namespace howdah::core::backup {
namespace {

constexpr std::string_view kNothing = "There is no backup yet; look at the server's conditions.";

/// The last time that is known to be in the WAL up to and with this segment.
std::optional<Timestamp> newest_mark(const std::vector<Mark>& marks, SegmentNumber last) {
    const auto after = std::upper_bound(
        marks.begin(), marks.end(), last,
        [](SegmentNumber number, const Mark& each) { return number < each.number; });
    return after == marks.begin() ? std::nullopt : std::optional(std::prev(after)->at);
}

const Backup* find(const Repository& repository, const std::string& label) {
    const auto& all = repository.backups;
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const Backup& each) { return each.label == label; });
    return found == all.end() ? nullptr : &*found;
}

/// What can be restored from it; none: nothing, not even its own end. PostgreSQL replays up to a
/// time only if it meets a commit behind it.
std::optional<Span> span_of(const Repository& repository, const Backup& backup) {
    if (!backup.prior.empty() && find(repository, backup.prior) == nullptr) return std::nullopt;
    const auto reached = repository.wal.reach(backup.first);
    if (!reached || *reached < backup.last) return std::nullopt;
    const auto mark = newest_mark(repository.marks, *reached);
    if (!mark || *mark < backup.stopped) return std::nullopt;
    return Span{backup.stopped, *mark};
}

/// What it is built upon counts too: pages that did not change are taken from there.
bool is_sound(const Repository& repository, const Backup& backup) {
    if (backup.prior.empty()) return !backup.has_errors;
    const Backup* const prior = find(repository, backup.prior);
    return !backup.has_errors && prior != nullptr && !prior->has_errors;
}

/// The WAL behind it reaches to the newest that there is.
bool leads_to_the_end(const Repository& repository, const Backup& backup) {
    const auto reached = repository.wal.reach(backup.first);
    return reached && *reached >= backup.last && reached == repository.wal.newest();
}

bool is_older(Timestamp when, Duration than, Timestamp now) {
    return now - when >= std::chrono::duration_cast<std::chrono::milliseconds>(than);
}

/// The segment with the first time behind the backup's end: without it PostgreSQL does not take the
/// end for reached.
SegmentNumber proof_of(const Repository& repository, const Backup& backup) {
    const auto mark = std::find_if(
        repository.marks.begin(), repository.marks.end(),
        [&](const Mark& each) { return each.number >= backup.last && each.at >= backup.stopped; });
    return mark == repository.marks.end() ? backup.last + 1 : mark->number;
}

std::string nearest(const std::vector<Span>& spans, Timestamp target) {
    if (spans.empty()) return std::string(kNothing);
    const Span* before = nullptr;
    const Span* after = nullptr;
    for (const Span& each : spans) {
        if (each.to < target) before = &each;
        if (each.from > target && after == nullptr) after = &each;
    }
    if (before == nullptr)
        return "The earliest time that can be restored is " + format_iso8601(after->from) + ".";
    if (after == nullptr)
        return "The latest time that can be restored is " + format_iso8601(before->to) + ".";
    return "The nearest times that can be restored are " + format_iso8601(before->to) + " and " +
           format_iso8601(after->from) + ".";
}

}  // namespace

std::vector<Span> restorable(const Repository& repository) {
    std::vector<Span> found;
    for (const Backup& each : repository.backups)
        if (const auto span = span_of(repository, each)) found.push_back(*span);
    std::sort(found.begin(), found.end(), [](const Span& a, const Span& b) {
        return a.from != b.from ? a.from < b.from : a.to < b.to;
    });
    std::vector<Span> merged;
    for (const Span& each : found) {
        if (!merged.empty() && each.from <= merged.back().to)
            merged.back().to = std::max(merged.back().to, each.to);
        else
            merged.push_back(each);
    }
    return merged;
}

Result<const Backup*> backup_for(const Repository& repository, Timestamp target) {
    const Backup* best = nullptr;
    const auto rank = [&](const Backup& each) {
        return std::pair(is_sound(repository, each), each.stopped);
    };
    for (const Backup& each : repository.backups) {
        const auto span = span_of(repository, each);
        if (!span || target < span->from || target > span->to) continue;
        if (best == nullptr || rank(each) > rank(*best)) best = &each;
    }
    if (best != nullptr) return best;
    return Error{ErrorCode::not_found, format_iso8601(target) + " cannot be restored", "",
                 nearest(restorable(repository), target)};
}

const Backup* backup_for_the_end(const Repository& repository) {
    const Backup* best = nullptr;
    const auto rank = [&](const Backup& each) {
        return std::pair(is_sound(repository, each), each.stopped);
    };
    for (const Backup& each : repository.backups) {
        const bool is_whole = each.prior.empty() || find(repository, each.prior) != nullptr;
        if (!is_whole || !leads_to_the_end(repository, each)) continue;
        if (best == nullptr || rank(each) > rank(*best)) best = &each;
    }
    return best;
}

Result<const Backup*> backup_before(Repository& repository, Timestamp target) {
    repository.marks.clear();
    for (const Backup& each : repository.backups)
        if (const auto reached = repository.wal.reach(each.first))
            repository.marks.push_back({*reached, target});
    std::sort(repository.marks.begin(), repository.marks.end(),
              [](const Mark& a, const Mark& b) { return a.number < b.number; });
    return backup_for(repository, target);
}

const Backup* broken(const Repository& repository) {
    if (repository.backups.empty()) return nullptr;
    const Backup& newest = repository.backups.back();
    if (newest.has_errors) return &newest;
    const Backup* const prior = newest.prior.empty() ? nullptr : find(repository, newest.prior);
    return prior != nullptr && prior->has_errors ? prior : nullptr;
}

const Backup* newest_sound(const Repository& repository) {
    const auto& all = repository.backups;
    const auto found = std::find_if(all.rbegin(), all.rend(),
                                    [&](const Backup& each) { return is_sound(repository, each); });
    return found == all.rend() ? nullptr : &*found;
}

Timestamp retry_at(const Policy& policy, const Failures& failures) {
    Duration pause = policy.retry_min;
    for (std::int64_t i = 1; i < failures.count && pause < policy.retry_max; ++i) pause *= 2;
    pause = std::min(pause, policy.retry_max);
    return failures.last + std::chrono::duration_cast<std::chrono::milliseconds>(pause);
}

std::optional<Kind> due(const Repository& repository, const Policy& policy,
                        const Failures& failures, Timestamp now) {
    if (failures.count > 0 && now < retry_at(policy, failures)) return std::nullopt;
    const Backup* newest = nullptr;
    const Backup* full = nullptr;
    for (const Backup& each : repository.backups) {
        // What was made on demand may be dropped at any time.
        if (!each.on_demand.empty()) continue;
        if (newest == nullptr || each.stopped > newest->stopped) newest = &each;
        if (each.kind == Kind::full && (full == nullptr || each.stopped > full->stopped))
            full = &each;
    }
    if (full == nullptr || is_older(full->stopped, policy.full_every, now)) return Kind::full;
    // A gap: what comes behind it can be restored from a new backup alone.
    if (!leads_to_the_end(repository, *newest)) return Kind::differential;
    return is_older(newest->stopped, policy.differential_every, now)
               ? std::optional(Kind::differential)
               : std::nullopt;
}

Expiry expired(const Repository& repository, const Policy& policy, Timestamp now) {
    const Timestamp begin = now - std::chrono::hours(24 * policy.retention_days);
    // With which the retention begins: the newest one that is older and reaches into it.
    const Backup* anchor = nullptr;
    for (const Backup& each : repository.backups) {
        const auto span = span_of(repository, each);
        const bool covers = span && each.stopped <= begin && begin <= span->to;
        if (!covers || !is_sound(repository, each) || !each.on_demand.empty()) continue;
        if (anchor == nullptr || each.stopped > anchor->stopped) anchor = &each;
    }
    Expiry out;
    // Nothing sound covers the beginning: everything is kept rather than a window too short.
    if (anchor == nullptr) return out;
    std::set<std::string> needed;
    for (const Backup& each : repository.backups) {
        if (each.stopped < anchor->stopped && each.on_demand.empty()) continue;
        needed.insert(each.label);
        if (!each.prior.empty()) needed.insert(each.prior);
    }
    SegmentNumber before = anchor->first.number;
    for (const Backup& each : repository.backups) {
        if (!needed.contains(each.label)) {
            out.labels.push_back(each.label);
        } else if (each.stopped >= anchor->stopped) {
            before = std::min(before, each.first.number);
        } else if (!each.on_demand.empty()) {
            out.kept.push_back({each.first.number, proof_of(repository, each)});
        }
    }
    std::reverse(out.labels.begin(), out.labels.end());
    out.wal_before = before;
    return out;
}

}  // namespace howdah::core::backup
