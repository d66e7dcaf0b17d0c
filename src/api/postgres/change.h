#pragma once

#include <functional>
#include <string>

#include "api/call.h"
#include "api/postgres/view.h"
#include "model/records.h"

namespace howdah::api::postgres {

inline constexpr int kChangeAttemptsMax = 16;

/// A change of one server that is asked for by a request.
struct ServerChange {
    std::string kind;  ///< of the operation: "UpdateServer"
    model::ResourceId server;
    std::string resource_id;  ///< what operationResults shows when it succeeded
    /// Applies the change to the newest spec; may run several times.
    std::function<Status(ServerRecord&)> apply;
};

struct ChangedServer {
    ServerRecord server;
    model::Operation operation;
};

/// Reads, applies and writes in one transaction with a new generation and an operation; repeats
/// (bounded) when somebody else was faster, so that concurrent changes merge. Errors: those of
/// `apply`; not_found; conflict for a server that is being deleted.
Result<ChangedServer> change_server(Call& call, const ServerChange& change);

/// Who changed it and when.
void stamp(const Call& call, model::SystemData& data);

/// The draft of an operation on a server, with what is the same for all.
control::OperationDraft draft_for(const Call& call, std::string kind, const model::ServerSpec& spec,
                                  std::string resource_id);

/// Of an operation that ends with an action's result, and not with a generation of the server. Adds
/// to the transaction that the server is as it was read: a concurrent deletion leaves no operation
/// behind.
control::OperationDraft draft_for_action(const Call& call, std::string kind,
                                         const ServerRecord& server, std::string resource_id,
                                         store::Transaction& txn);
/// invalid_state, conflict: it does not run. `what` of it is to be changed: "databases".
Status check_server_can_change(const ServerRecord& server, std::string_view what);
/// Commits; notes whether somebody else was faster, so that the attempt can be repeated.
Status commit_attempt(const Call& call, const store::Transaction& txn, bool& overtaken);
Error overtaken_too_often(const model::ResourceId& server);

/// Runs one attempt after the other until none is overtaken by somebody else's change.
template <typename Attempt>
auto with_retries(Call& call, const model::ResourceId& server, const Attempt& attempt)
    -> std::invoke_result_t<Attempt, bool&> {
    HD_TRY(const Turnstile::Pass pass, call.services.turnstile.enter(server.key()));
    for (int i = 0; i < kChangeAttemptsMax; ++i) {
        bool overtaken = false;
        auto done = attempt(overtaken);
        if (!overtaken) return done;
    }
    return overtaken_too_often(server);
}

/// Begins a failover (planned, forced) of the server that the path names, as `restart` with a
/// failover does. `also` adds to the transaction what is to be begun with it; may run several
/// times. Errors: not_found; why it cannot fail over now.
Result<model::Operation> begin_failover(
    Call& call, const std::string& failover,
    const std::function<void(store::Transaction&, const ServerRecord&, const model::Operation&)>&
        also = {});

/// Adds Azure-AsyncOperation, Location and Retry-After.
http::Response with_operation(const Call& call, http::Response response,
                              const model::Operation& operation);

/// True for who began the operation and for who may read what it is about.
bool may_follow(const Call& call, const model::Operation& operation);

/// The operations of a server, or of a group itself, that have not ended.
Result<std::vector<model::Operation>> pending_operations(const Call& call,
                                                         std::string_view owner_key);

}  // namespace howdah::api::postgres
