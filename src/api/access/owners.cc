#include "api/access/owners.h"

#include <algorithm>
#include <set>

#include "api/access/access_store.h"

namespace howdah::api {
namespace {

bool holds(const Principal::Credential& credential, std::string_view now) {
    return credential.expires_at.empty() || credential.expires_at > now;
}

/// Whether the principal can log in, without what it loses.
bool can_log_in(const Principal& principal, const Loss& loss, std::string_view now) {
    const bool loses =
        loss.principal != nullptr && loss.principal->client_id == principal.client_id;
    if (principal.application_only || (loses && loss.credential_id.empty())) return false;
    return std::any_of(principal.credentials.begin(), principal.credentials.end(),
                       [&](const Principal::Credential& each) {
                           return holds(each, now) && !(loses && each.id == loss.credential_id);
                       });
}

/// Whether the principal could log in with what it loses.
bool is_of_use(const Loss& loss, std::string_view now) {
    if (loss.credential_id.empty()) return true;
    const auto& all = loss.principal->credentials;
    return std::any_of(all.begin(), all.end(), [&](const Principal::Credential& each) {
        return each.id == loss.credential_id && holds(each, now);
    });
}

}  // namespace

Status check_owner_remains(const Call& call, const Loss& loss) {
    HD_TRY(const auto assignments, all_assignments(call.context.store));
    std::set<std::string, std::less<>> owners;
    bool is_owners = false;
    for (const model::RoleAssignment& each : assignments) {
        if (each.scope != "/" || each.role_id != core::access::kOwnerRole) continue;
        const bool is_lost = each.id == loss.assignment_id;
        if (!is_lost) owners.insert(each.principal_id);
        if (is_lost ||
            (loss.principal != nullptr && each.principal_id == loss.principal->object_id))
            is_owners = true;
    }
    const std::string now = call.now();
    if (!is_owners || !is_of_use(loss, now)) return ok_status();
    HD_TRY(const auto principals, all_principals(call.context.store));
    for (const Principal& each : principals)
        if (owners.contains(each.object_id) && can_log_in(each, loss, now)) return ok_status();
    return Error{
        ErrorCode::invalid_state,
        "nobody would remain who owns everything and has a secret to log in with",
        loss.principal != nullptr ? loss.principal->client_id : std::string(loss.assignment_id),
        "add another secret first, or assign the role Owner at the scope / to somebody else"};
}

}  // namespace howdah::api
