#pragma once

#include <vector>

#include "model/records.h"

namespace howdah::gateway {

/// One table out of those of several agents: one route for each server. The members of a server
/// that is highly available live on several hosts, and each host's agent publishes what it knows.
/// Right is the newest term; of one term "open" before "hold" before "closed"; of equal ones the
/// first. The servers keep the order in which they come first, and the revision is that of the
/// first table. Pure. REQUIRES: no pointer is null.
model::RouteTable merge_tables(const std::vector<const model::RouteTable*>& tables);

}  // namespace howdah::gateway
