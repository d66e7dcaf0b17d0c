#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/access/access_store.h"
#include "api/access/handlers.h"
#include "api/filter.h"
#include "api/paging.h"
#include "api/retry.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

// Management locks: they keep a scope and everything below it from changes, owners' included.

namespace howdah::api::access {
namespace {

constexpr std::string_view kType = "Microsoft.Authorization/locks";
constexpr std::string_view kLevels[] = {"CanNotDelete", "ReadOnly"};
constexpr std::size_t kNotesBytesMax = 512;
constexpr std::size_t kNameBytesMax = 260;
constexpr std::size_t kOwnersMax = 16;

std::string lock_id(const model::ManagementLock& lock) {
    return fmt::format("{}/providers/{}/{}", lock.scope == "/" ? "" : lock.scope, kType, lock.name);
}

Json lock_json(const model::ManagementLock& lock) {
    Json properties = {{"level", lock.level}};
    if (!lock.notes.empty()) properties["notes"] = lock.notes;
    if (!lock.owners.empty()) {
        Json owners = Json::array();
        for (const std::string& each : lock.owners) owners.push_back({{"applicationId", each}});
        properties["owners"] = std::move(owners);
    }
    return {{"properties", std::move(properties)},
            {"id", lock_id(lock)},
            {"type", kType},
            {"name", lock.name}};
}

Status check_lock_name(std::string_view name) {
    bool good = !name.empty() && name.size() <= kNameBytesMax && !name.ends_with('.');
    for (const char c : name)
        if (std::string_view("<>%&:\\?/|").find(c) != std::string_view::npos) good = false;
    if (good) return ok_status();
    return Error{ErrorCode::invalid_resource_name,
                 fmt::format("'{}' is not a valid name of a lock", name.substr(0, 128)), "lockName",
                 "use at most 260 characters, none of <>%&:\\?/| and no dot at the end"};
}

Result<model::ManagementLock> read_lock(const Call& call) {
    HD_TRY(const Json json, parse_body(call.request.body));
    if (json.is_null())
        return Error{ErrorCode::invalid_request, "the request needs a body, and has none"};
    Reader::Problem problem;
    Reader body(json, "", problem);
    model::ManagementLock lock;
    if (std::optional<Reader> properties = body.object("properties")) {
        lock.level = properties->one_of("level", kLevels).value_or("");
        lock.notes = properties->text("notes").value_or("");
        for (Reader& owner : properties->objects("owners", kOwnersMax)) {
            lock.owners.push_back(owner.text("applicationId").value_or(""));
            owner.finish();
        }
        properties->finish();
    }
    for (const char* each : {"id", "name", "type", "systemData"}) body.read_only(each);
    body.finish();
    if (problem) return *problem;
    if (lock.level.empty())
        return Error{ErrorCode::invalid_argument, "the level of the lock is missing",
                     "properties.level", "use CanNotDelete or ReadOnly"};
    if (lock.notes.size() > kNotesBytesMax)
        return Error{ErrorCode::invalid_argument,
                     fmt::format("the notes are longer than {} bytes", kNotesBytesMax),
                     "properties.notes"};
    return lock;
}

Result<std::optional<store::Entry>> find(const Call& call) {
    const std::string scope = core::access::scope_key(call.parameter("scope"));
    return call.context.store.get(store::keys::lock(scope, call.parameter("lockName")));
}

Error lock_not_found(const Call& call) {
    return {
        ErrorCode::lock_not_found,
        fmt::format("the lock '{}' could not be found at '{}'",
                    call.parameter("lockName").substr(0, kNameBytesMax), call.parameter("scope")),
        call.parameter("lockName").substr(0, kNameBytesMax)};
}

}  // namespace

Answer list_locks(Call& call) {
    HD_TRY(const auto terms, parse_filter(call.request.query_value("$filter").value_or("")));
    bool at_scope = false;
    for (const FilterTerm& term : terms) {
        if (term.name != "atscope")
            return unknown_filter(call.request.query_value("$filter").value_or(""), "atScope()");
        at_scope = true;
    }
    HD_TRY(const std::string scope, existing_scope(call, call.parameter("scope")));
    const std::string key = core::access::scope_key(scope);
    Json values = Json::array();
    if (key != "/") {
        HD_TRY(const auto locks, locks_in(call.context.store, call.subscription()));
        // Those above hold here too; those below are listed unless only this scope is asked for.
        for (const model::ManagementLock& each : locks) {
            const std::string at = core::access::scope_key(each.scope);
            const bool below = core::access::is_within(at, key);
            if (at_scope ? at == key : below || core::access::is_within(key, at))
                values.push_back(lock_json(each));
        }
    }
    return json_answer(200, list_body(std::move(values)));
}

Answer get_lock(Call& call) {
    HD_TRY(const auto entry, find(call));
    if (!entry) return lock_not_found(call);
    HD_TRY(const auto lock, model::from_json<model::ManagementLock>(entry->value));
    return json_answer(200, lock_json(lock));
}

namespace {

Answer try_put(const Call& call, model::ManagementLock lock, bool& overtaken) {
    store::Transaction txn;
    HD_TRY(lock.scope, lasting_scope(call, call.parameter("scope"), txn));
    if (lock.scope == "/")
        return Error{ErrorCode::invalid_argument, "a lock cannot be put on all subscriptions",
                     "scope", "put it on a subscription, a resource group or a resource"};
    HD_TRY(const auto locks, locks_in(call.context.store, call.subscription()));
    HD_TRY(const auto entry, find(call));
    if (!entry && locks.size() >= kLocksMax)
        return Error{ErrorCode::quota_exceeded,
                     fmt::format("the subscription has {} locks, which is the most", kLocksMax)};
    const std::string key = store::keys::lock(core::access::scope_key(lock.scope), lock.name);
    txn.expect(key, entry ? entry->modified : 0);
    txn.put(key, model::to_json(lock));
    HD_CHECK(commit_unless_overtaken(call.context.store, txn, overtaken));
    return json_answer(entry ? 200 : 201, lock_json(lock));
}

}  // namespace

Answer put_lock(Call& call) {
    HD_CHECK(check_lock_name(call.parameter("lockName")));
    HD_TRY(model::ManagementLock lock, read_lock(call));
    lock.name = call.parameter("lockName");
    HD_TRY(const Turnstile::Pass pass, call.services.turnstile.enter("/lock"));
    return until_not_overtaken(fmt::format("the lock '{}'", lock.name),
                               [&](bool& overtaken) { return try_put(call, lock, overtaken); });
}

Answer delete_lock(Call& call) {
    HD_TRY(const auto entry, find(call));
    if (!entry) return empty_answer(204);
    store::Transaction txn;
    txn.remove(entry->key);
    HD_CHECK(call.context.store.commit(txn));
    return empty_answer(200);
}

}  // namespace howdah::api::access
