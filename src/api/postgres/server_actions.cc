#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/postgres/change.h"
#include "api/postgres/handlers.h"
#include "base/text.h"
#include "core/plan/members_plan.h"
#include "store/keys.h"

// POST start, stop and restart of a server.

namespace howdah::api::postgres {
namespace {

/// These requests have no body, or an empty object.
Status expect_no_body(const Call& call) {
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    body.finish();
    if (problem) return *problem;
    return ok_status();
}

Answer act(Call& call, std::string kind, std::function<Status(ServerRecord&)> apply) {
    ServerChange change;
    change.kind = std::move(kind);
    change.server = server_id(call);
    change.resource_id = change.server.to_string();
    change.apply = std::move(apply);
    HD_TRY(const ChangedServer changed, change_server(call, change));
    return with_operation(call, http::Response{202, {}, ""}, changed.operation);
}

/// How a restart is to fail over: planned, forced; empty: it is to restart in place.
Result<std::string> read_restart_body(const Call& call) {
    constexpr std::string_view kModes[] = {"PlannedFailover", "ForcedFailover", "PlannedSwitchover",
                                           "ForcedSwitchover"};
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    const bool with_failover = body.boolean("restartWithFailover").value_or(false);
    const auto mode = body.one_of("failoverMode", kModes);
    body.finish();
    if (problem) return *problem;
    if (with_failover)
        return std::string(mode && mode->starts_with("Forced") ? "forced" : "planned");
    if (mode)
        return Error{
            ErrorCode::invalid_argument,
            fmt::format("the failover mode '{}' was given for a restart without failover", *mode),
            "failoverMode", "leave the field out"};
    return std::string();
}

/// Nothing else may be going on: a failover is judged by what the members report.
Status check_failover(const Call& call, const ServerRecord& server) {
    if (server.spec.deleting)
        return Error{ErrorCode::conflict,
                     fmt::format("the server '{}' is being deleted", server.spec.name),
                     server.spec.id, "wait until it is gone"};
    HD_TRY(const auto pending, pending_operations(call, to_lower(server.spec.id)));
    if (!pending.empty() && core::wants_standby(server.spec))
        return Error{ErrorCode::invalid_state,
                     fmt::format("cannot fail over while the server '{}' is busy processing "
                                 "another operation",
                                 server.spec.name),
                     server.spec.id, "send the request again when that has ended"};
    const auto refusal =
        core::failover_refusal(server.spec, server.status.value_or(model::ServerStatus{}));
    if (!refusal) return ok_status();
    return Error{error_code_from(refusal->code), refusal->message, server.spec.id, refusal->hint};
}

}  // namespace

Result<model::Operation> begin_failover(
    Call& call, const std::string& failover,
    const std::function<void(store::Transaction&, const ServerRecord&, const model::Operation&)>&
        also) {
    const model::ResourceId id = server_id(call);
    HD_TRY(const Turnstile::Pass pass, call.services.turnstile.enter(id.key()));
    for (int attempt = 0; attempt < kChangeAttemptsMax; ++attempt) {
        HD_TRY(const ServerRecord server, load_server(call, id));
        HD_CHECK(check_failover(call, server));
        control::OperationDraft draft =
            draft_for(call, "FailoverServer", server.spec, id.to_string());
        draft.generation = 0;
        draft.failover = failover;
        store::Transaction txn;
        txn.expect(store::keys::server(id), server.modified);
        const model::Operation operation = call.context.operations.begin(txn, draft);
        if (also) also(txn, server, operation);
        const auto revision = call.context.operations.commit(txn);
        if (revision.ok()) return operation;
        if (revision.error().code != ErrorCode::conflict) return revision.error();
    }
    return Error{ErrorCode::unavailable,
                 fmt::format("the server '{}' was changed by others at the same time, again and "
                             "again",
                             id.name()),
                 "", "send the request again"};
}

Answer start_server(Call& call) {
    HD_CHECK(expect_no_body(call));
    return act(call, "StartServer", [](ServerRecord& server) -> Status {
        server.spec.running = true;
        return ok_status();
    });
}

Answer stop_server(Call& call) {
    HD_CHECK(expect_no_body(call));
    return act(call, "StopServer", [](ServerRecord& server) -> Status {
        server.spec.running = false;
        return ok_status();
    });
}

Answer restart_server(Call& call) {
    HD_TRY(const std::string failover, read_restart_body(call));
    if (!failover.empty()) {
        HD_TRY(const model::Operation operation, begin_failover(call, failover));
        return with_operation(call, http::Response{202, {}, ""}, operation);
    }
    return act(call, "RestartServer", [](ServerRecord& server) -> Status {
        if (!server.spec.running)
            return Error{
                ErrorCode::invalid_state,
                fmt::format("the server '{}' is stopped and cannot be restarted", server.spec.name),
                server.spec.id, "start it instead"};
        server.spec.restart_sequence = server.spec.generation + 1;
        return ok_status();
    });
}

}  // namespace howdah::api::postgres
