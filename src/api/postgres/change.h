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
