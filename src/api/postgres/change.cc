#include "api/postgres/change.h"

#include <fmt/core.h>

#include "api/postgres/replicas.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api::postgres {
namespace {

constexpr std::string_view kRetryAfterSeconds = "1";

}  // namespace

void stamp(const Call& call, model::SystemData& data) {
    data.last_modified_by = call.caller.app_id;
    data.last_modified_by_type = "Application";
    data.last_modified_at = call.now();
    if (!data.created_at.empty()) return;
    data.created_by = data.last_modified_by;
    data.created_by_type = data.last_modified_by_type;
    data.created_at = data.last_modified_at;
}

control::OperationDraft draft_for(const Call& call, std::string kind, const model::ServerSpec& spec,
                                  std::string resource_id) {
    control::OperationDraft draft;
    draft.kind = std::move(kind);
    draft.subscription = call.subscription();
    draft.location = call.context.location;
    draft.resource_id = std::move(resource_id);
    draft.server_key = server_id(call).key();
    draft.incarnation = spec.incarnation;
    draft.generation = spec.generation;
    draft.requested_by = call.caller.app_id;
    if (call.caller.is_foreign()) draft.requester_name = call.caller.name;
    draft.operation_name = call.requirement.action;
    draft.correlation_id = call.correlation_id;
    return draft;
}

control::OperationDraft draft_for_action(const Call& call, std::string kind,
                                         const ServerRecord& server, std::string resource_id,
                                         store::Transaction& txn) {
    control::OperationDraft draft =
        draft_for(call, std::move(kind), server.spec, std::move(resource_id));
    draft.generation = 0;
    draft.action_id = call.context.ids.uuid();
    txn.expect(store::keys::server(server_id(call)), server.modified);
    return draft;
}

Status check_server_can_change(const ServerRecord& server, std::string_view what) {
    if (server.spec.deleting)
        return Error{ErrorCode::conflict,
                     fmt::format("the server '{}' is being deleted", server.spec.name),
                     server.spec.id, "wait until it is gone"};
    if (!server.spec.running)
        return Error{ErrorCode::invalid_state,
                     fmt::format("the server '{}' is stopped, so its {} cannot be changed",
                                 server.spec.name, what),
                     server.spec.id, "start the server first"};
    if (is_replica(server.spec))
        return Error{ErrorCode::invalid_state,
                     fmt::format("the server '{}' is a read replica, so its {} cannot be changed",
                                 server.spec.name, what),
                     server.spec.id, "change its source, or promote it first"};
    return ok_status();
}

Status commit_attempt(const Call& call, const store::Transaction& txn, bool& overtaken) {
    const auto revision = call.context.operations.commit(txn);
    if (revision.ok()) return ok_status();
    overtaken = revision.error().code == ErrorCode::conflict;
    return revision.error();
}

Error overtaken_too_often(const model::ResourceId& server) {
    return {ErrorCode::unavailable,
            fmt::format("the server '{}' was changed by others at the same time, again and again",
                        server.name()),
            "", "send the request again"};
}

Result<ChangedServer> change_server(Call& call, const ServerChange& change) {
    const std::string key = change.server.key();
    HD_TRY(const Turnstile::Pass pass, call.services.turnstile.enter(key));
    for (int attempt = 0; attempt < kChangeAttemptsMax; ++attempt) {
        HD_TRY(ServerRecord server, load_server(call, change.server));
        if (server.spec.deleting)
            return Error{ErrorCode::conflict,
                         fmt::format("the server '{}' is being deleted", server.spec.name),
                         server.spec.id, "wait until it is gone"};
        HD_CHECK(change.apply(server));
        ++server.spec.generation;
        stamp(call, server.spec.system_data);
        store::Transaction txn;
        const std::string server_key = store::keys::server(change.server);
        txn.expect(server_key, server.modified);
        txn.put(server_key, model::to_json(server.spec));
        model::Operation operation = call.context.operations.begin(
            txn, draft_for(call, change.kind, server.spec, change.resource_id));
        const auto revision = call.context.operations.commit(txn);
        if (revision.ok()) return ChangedServer{std::move(server), std::move(operation)};
        if (revision.error().code != ErrorCode::conflict) return revision.error();
    }
    return overtaken_too_often(change.server);
}

http::Response with_operation(const Call& call, http::Response response,
                              const model::Operation& operation) {
    const std::string base =
        fmt::format("/subscriptions/{}/providers/{}/locations/{}", call.subscription(),
                    model::kPostgresNamespace, call.context.location);
    response.headers["azure-asyncoperation"] =
        call.link(fmt::format("{}/azureAsyncOperation/{}", base, operation.id));
    response.headers["location"] =
        call.link(fmt::format("{}/operationResults/{}", base, operation.id));
    response.headers["retry-after"] = kRetryAfterSeconds;
    return response;
}

bool may_follow(const Call& call, const model::Operation& operation) {
    if (operation.requested_by == call.caller.app_id) return true;
    const auto id = model::ResourceId::parse(operation.resource_id);
    return id.ok() && call.may_read(id->type(), operation.resource_id);
}

Result<std::vector<model::Operation>> pending_operations(const Call& call,
                                                         std::string_view owner_key) {
    const std::string prefix = store::keys::pending_of(owner_key);
    HD_TRY(const auto entries, call.context.store.list(prefix));
    std::vector<model::Operation> operations;
    for (const store::Entry& entry : entries) {
        // Beyond a group's own operations stand those of its servers.
        const std::string id = entry.key.substr(prefix.size());
        if (id.find('/') != std::string::npos) continue;
        const auto found = call.context.operations.find(id);
        if (!found.ok()) {
            if (found.error().code == ErrorCode::not_found) continue;
            return found.error();
        }
        if (found->status == "InProgress") operations.push_back(*found);
    }
    return operations;
}

}  // namespace howdah::api::postgres
