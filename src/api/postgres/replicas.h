#pragma once

#include <vector>

#include "api/call.h"
#include "api/postgres/server_body.h"
#include "base/result.h"
#include "model/records.h"

namespace howdah::api::postgres {

inline constexpr std::size_t kReplicasMax = 5;  ///< of a server, as on Azure

/// True: the server replays what another one commits, and nobody writes to it.
bool is_replica(const model::ServerSpec& spec);

/// The read replicas of a server, by name.
Result<std::vector<model::ServerSpec>> replicas_of(const Call& call,
                                                   const model::ResourceId& source);

/// invalid_state: a server that is to get a read replica has its number of them, is one itself, or
/// does not run.
Status check_may_have_replica(const Call& call, const model::ResourceId& id,
                              const model::ServerSpec& source);

/// conflict: somebody's read replicas follow the server.
Status check_has_no_replicas(const Call& call, const model::ResourceId& source);

/// What a change says of the replication of the server: that it becomes one of its own, or nothing.
Status apply_replication(const Call& call, const ServerBody& body, model::ServerSpec& spec);

/// invalid_argument: the change is of something that a read replica has from its source.
Status check_replica_change(const model::ServerSpec& before, const model::ServerSpec& after);

}  // namespace howdah::api::postgres
