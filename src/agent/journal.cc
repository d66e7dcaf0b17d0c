#include "agent/journal.h"

#include "base/log.h"
#include "model/json.h"
#include "os/file.h"

namespace howdah::agent {

Result<Journal> Journal::open(const std::string& path) {
    Journal journal(path);
    const auto text = os::read_file(path);
    if (!text.ok()) {
        if (text.error().code == ErrorCode::not_found) return journal;
        return text.error();
    }
    const auto read = model::from_json<model::AgentJournal>(*text);
    if (!read.ok()) {
        // A power loss may take what was not synced. Actions without a result come again.
        log::warn("the journal cannot be read and begins anew",
                  {{"path", path}, {"reason", read.error().describe()}});
        return journal;
    }
    const model::AgentJournal& stored = *read;
    for (const model::ActionResult& each : stored.results) journal.results_[each.action_id] = each;
    return journal;
}

Status Journal::add(const model::ActionResult& result) {
    const std::lock_guard lock(mutex_);
    results_[result.action_id] = result;
    return save_locked();
}

std::vector<model::ActionResult> Journal::results() const {
    const std::lock_guard lock(mutex_);
    std::vector<model::ActionResult> all;
    for (const auto& [id, result] : results_) all.push_back(result);
    return all;
}

bool Journal::contains(const std::string& action_id) const {
    const std::lock_guard lock(mutex_);
    return results_.contains(action_id);
}

Status Journal::forget(const std::vector<std::string>& action_ids) {
    const std::lock_guard lock(mutex_);
    bool changed = false;
    for (const std::string& id : action_ids) changed = results_.erase(id) > 0 || changed;
    return changed ? save_locked() : ok_status();
}

Status Journal::save_locked() const {
    model::AgentJournal stored;
    for (const auto& [id, result] : results_) stored.results.push_back(result);
    return os::replace_file(path_, model::to_json(stored), 0600);
}

}  // namespace howdah::agent
