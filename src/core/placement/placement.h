#pragma once

#include <vector>

#include "model/records.h"

namespace howdah::core {

/// A host as far as decisions need it.
struct HostView {
    model::HostReport report;  ///< engines need not carry their parameters
    bool is_silent = false;    ///< not heard of for a while
};

/// The host that is to run a new server, or none: a host that is heard of and has the engine; the
/// asked availability zone wins, then the most free disk, then the lowest id. Pure.
const HostView* choose_host(const model::ServerSpec& spec, const std::vector<HostView>& hosts);

}  // namespace howdah::core
