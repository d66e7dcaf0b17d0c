#pragma once

#include <map>
#include <optional>
#include <string>

#include "agent/ha/member_state.h"
#include "agent/layout.h"
#include "base/result.h"

/// What a read replica has to know of the server that it follows (docs/adr/0019-read-replicas.md).
namespace howdah::agent {

/// Where a server's primary is, by what the agents of this home tell the gateway: also while the
/// control plane is away, and after a failover. None: nobody tells.
std::optional<MemberAddress> find_upstream(const Layout& layout, const std::string& server_id);

/// What a standby must have no less of than its primary had, PostgreSQL's own words: by the control
/// file, where replay writes it. `programs`: folder of pg_controldata.
Result<std::map<std::string, std::int64_t>> standby_minimums(const std::string& programs,
                                                             const std::string& data);

}  // namespace howdah::agent
