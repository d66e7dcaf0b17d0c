#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/postgres/change.h"
#include "api/postgres/handlers.h"

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

Status check_restart_body(const Call& call) {
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
        return Error{ErrorCode::not_supported,
                     "a restart with failover needs high availability, which is not supported yet",
                     "restartWithFailover", "use false, or leave the field out"};
    if (mode)
        return Error{
            ErrorCode::invalid_argument,
            fmt::format("the failover mode '{}' was given for a restart without failover", *mode),
            "failoverMode", "leave the field out"};
    return ok_status();
}

}  // namespace

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
    HD_CHECK(check_restart_body(call));
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
