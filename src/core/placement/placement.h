#pragma once

#include <string>
#include <vector>

#include "model/records.h"

namespace howdah::core {

/// A host as far as decisions need it.
struct HostView {
    model::HostReport report;  ///< engines need not carry their parameters
    bool is_silent = false;    ///< not heard of for a while
};

/// The availability zone of a host; one that names none is in zone 1.
std::string zone_of(const model::HostReport& host);

/// True if a server is to have a second member.
bool wants_standby(const model::ServerSpec& spec);

/// The host that is to run a new server, or none: a host that is heard of and has the engine; the
/// asked availability zone wins, then that another host can have the standby that is wanted, then
/// the most free disk, then the lowest id. Pure.
const HostView* choose_host(const model::ServerSpec& spec, const std::vector<HostView>& hosts);

/// The host that is to have the standby of a server that wants one, or none: never the primary's;
/// heard of, with the engine, free disk, and the same way to sort text; of another zone
/// (ZoneRedundant) or of the same one (SameZone), and of the zone that was asked for. The most free
/// disk wins, then the lowest id. Pure.
const HostView* choose_standby_host(const model::ServerSpec& spec,
                                    const std::vector<HostView>& hosts,
                                    const std::string& primary_host);

/// Why choose_standby_host found none: a sentence about each other host, "; " between them.
std::string why_no_standby(const model::ServerSpec& spec, const std::vector<HostView>& hosts,
                           const std::string& primary_host);

/// Whether two members are where the server wants them. A failover changes nothing about that: the
/// zone that was asked for has either of them. What is not known of hosts is taken to be right.
bool are_members_placed(const model::ServerSpec& spec, const std::vector<HostView>& hosts,
                        const std::string& primary_host, const std::string& standby_host);

}  // namespace howdah::core
