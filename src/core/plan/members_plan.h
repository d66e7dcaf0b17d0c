#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "core/placement/placement.h"
#include "model/records.h"

/// What the control plane concludes about the members of a highly available server. The members
/// fail over by themselves (core/ha); here their reports are followed, and a second member comes
/// and goes. Pure; the planner (core/plan/server_plan) turns it into actions.
///
/// A second member comes: a host is chosen (build), both hosts get the spec (pair), and the first
/// time that every commit waited for the standby, it is built. It goes: the primary's host leaves
/// high availability (release); only after it said as primary that it did, the other host is to
/// delete what it has (leave). To move a standby is to let it go and to build another one.
///
/// RULES
/// - Who is primary follows from the newest term alone. Terms never go back within one life of a
///   server, also not when high availability is switched off and on again.
/// - A host that answers as primary without being so by the reports has released nobody.
/// - A generation is in force when the primary has carried it out, and the standby's host too, or
///   is silent; and not before the standby is built.
/// - What fails at the standby's host for good fails the generation. What may pass does so only
///   while the standby is being built: a change that the primary of a built pair has made is not
///   taken back, the standby's host is asked again until it has made it too.
namespace howdah::core {

enum class MembersPhase {
    single,   ///< one instance, as ever
    build,    ///< a host for the standby is to be chosen
    pair,     ///< both hosts are to have the spec
    release,  ///< the primary's host is to leave high availability
    leave,    ///< it did; the former standby's host is to delete its instance
};

/// `is_settled`: the wanted generation is in force, so that nobody is moved.
MembersPhase members_phase(const model::ServerSpec& spec, const model::ServerStatus& status,
                           const std::vector<HostView>& hosts, bool is_settled);

/// The hosts that are to have a member in this phase; empty: high availability is off.
std::vector<std::string> member_hosts(const model::ServerStatus& status, MembersPhase phase);

/// Begins to count anew unless it is about this generation already.
void begin_members_generation(model::ServerStatus& status, model::Generation generation);

/// Follows the newest term: `host` and `standby_host` are exchanged when the other one is primary.
void follow_members(model::ServerStatus& status, const std::vector<model::InstanceReport>& reports);

/// Notes that the standby is built, if the primary's report says so.
void note_built(model::ServerStatus& status, const std::vector<model::InstanceReport>& reports);

/// A host has carried out the generation that `status.members` is about.
void note_ensured(model::ServerStatus& status, MembersPhase phase, bool wants_another,
                  const std::string& host, bool as_primary);

/// True while the hosts that are to delete a former member may soon say that they did.
bool waits_for_leaving(const model::ServerStatus& status, const std::vector<HostView>& hosts);

/// True if the generation that `status.members` is about is in force.
bool is_members_generation_in_force(const model::ServerSpec& spec,
                                    const model::ServerStatus& status,
                                    const std::vector<HostView>& hosts, MembersPhase phase);

bool is_host_silent(const std::vector<HostView>& hosts, const std::string& host);
bool has_ensured(const model::ServerStatus& status, const std::string& host);
model::LeavingMember* find_leaving(model::ServerStatus& status, const std::string& host);
const model::InstanceReport* find_report(const std::vector<model::InstanceReport>& reports,
                                         const std::string& host);

/// The report of `status.host`, unless it is not the primary's: that says nothing of databases.
const model::InstanceReport* primary_report(const model::ServerStatus& status,
                                            const std::vector<model::InstanceReport>& reports);

/// The hosts that have, or may have, an instance of the server.
std::vector<std::string> hosts_with_instances(const model::ServerStatus& status);

/// The instance of this host is gone. `is_deletion`: the server is to go as a whole.
void forget_instance(model::ServerStatus& status, const std::string& host, bool is_deletion);

/// What is known of a pair when somebody asks how highly available it is.
struct MembersView {
    const model::ServerSpec& spec;
    const model::ServerStatus& status;
    const std::vector<model::InstanceReport>& reports;
    bool is_settled = false;
    bool is_failing_over = false;  ///< somebody asked for it
};
/// Azure's word for highAvailability.state.
std::string high_availability_state(const MembersView& view);

/// Why a failover cannot be asked for now; none: it can. An error of the API and of the planner.
std::optional<model::Failure> failover_refusal(const model::ServerSpec& spec,
                                               const model::ServerStatus& status);

}  // namespace howdah::core
