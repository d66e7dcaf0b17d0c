#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "core/placement/placement.h"
#include "model/records.h"

/// What is to be done about one flexible server: a pure decision over everything that is known of
/// it. The caller carries the decision out in one store transaction and asks again when anything
/// changes, so that a crash at any point is only a retry.
namespace howdah::core {

/// Everything that is known of one server.
struct ServerView {
    std::string server_key;                 ///< lower-case ARM id
    std::optional<model::ServerSpec> spec;  ///< none: the record is gone
    std::optional<model::ServerStatus> status;
    std::vector<model::ServerSpec> revisions;    ///< as the last decision wanted them kept
    std::vector<model::InstanceReport> reports;  ///< each host's last, of this incarnation
    std::vector<model::ActionResult> results;    ///< not consumed yet
    /// Operations that have not ended, in the order in which they began; the first
    /// kOperationsPerDecision of them.
    std::vector<model::Operation> pending;
    bool has_more_pending = false;
    std::vector<model::Action> actions;  ///< of this incarnation, on its hosts
    std::vector<model::DatabaseSpec> databases;
    std::vector<HostView> hosts;               ///< all known hosts
    std::int64_t free_port = 0;                ///< a port that nobody has; 0: there is none
    std::optional<Timestamp> certificate_end;  ///< none: there is no certificate yet
    /// It is of an authority that issues for servers no more.
    bool certificate_is_outdated = false;
    std::vector<std::string> host_names;  ///< that the server is to have; lower case
};

/// What is to happen, all of it in one transaction.
struct ServerDecision {
    std::optional<model::ServerStatus> status;  ///< to write; none: unchanged
    /// To write: a change failed and is taken back, by a generation of its own.
    std::optional<model::ServerSpec> restored_spec;
    std::optional<std::vector<model::ServerSpec>> revisions;  ///< to keep; none: unchanged
    std::vector<model::Action> put_actions;
    std::vector<model::Action> remove_actions;
    /// Operations whose text or status changed; those with an end_time have ended.
    std::vector<model::Operation> operations;
    std::vector<std::string> consumed_results;   ///< action ids
    std::vector<std::string> removed_databases;  ///< resource ids whose record goes
    bool claim_port = false;                     ///< status.port becomes this server's
    bool issue_certificate = false;              ///< before put_actions are sent
    /// Every record of the server goes: it is deleted.
    bool remove_server = false;
    /// It waits until a host that can run it reports.
    bool waits_for_host = false;
    /// Ask again after this time even if nothing changes.
    std::optional<std::chrono::milliseconds> ask_again;
};

/// A transaction has room for this many operations to end.
inline constexpr std::size_t kOperationsPerDecision = 16;
/// A failure that may pass is tried again this often, after 0.5 s, 2 s, 8 s.
inline constexpr std::int64_t kRetriesMax = 3;
inline constexpr std::chrono::milliseconds kRetryPauseFirst = std::chrono::milliseconds(500);
inline constexpr std::chrono::milliseconds kRetryPauseMax = std::chrono::seconds(30);
/// Of a server; beyond that the oldest one that was begun is forgotten.
inline constexpr std::size_t kRevisionsMax = 4;
/// An operation whose action has no result after this time ends Failed.
inline constexpr std::chrono::milliseconds kOperationDeadline = std::chrono::hours(1);
/// A database operation waits no longer for its server to run.
inline constexpr std::chrono::milliseconds kDatabaseDeadline = std::chrono::minutes(15);
/// A backup on demand that has begun has this long.
inline constexpr std::chrono::milliseconds kBackupDeadline = std::chrono::hours(24);
/// As long as PostgreSQL may replay: a terabyte takes its hours.
inline constexpr std::chrono::milliseconds kRestoreDeadline = std::chrono::hours(3 * 24);
/// A server that no host can run is given up after this time.
inline constexpr std::chrono::milliseconds kPlacementDeadline = std::chrono::minutes(10);
/// A server that runs waits no longer for a host for its standby: other changes wait with it.
inline constexpr std::chrono::milliseconds kStandbyPlacementDeadline = std::chrono::minutes(1);
/// The copy of a standby may take this long, while both hosts answer.
inline constexpr std::chrono::milliseconds kBuildDeadline = std::chrono::hours(12);
/// A failover that has not come about after this time ends Failed.
inline constexpr std::chrono::milliseconds kFailoverDeadline = std::chrono::minutes(5);
/// A certificate is issued anew this long before its end.
inline constexpr std::chrono::milliseconds kCertificateRenewal = std::chrono::hours(24 * 30);

/// GUARANTEES, for any view:
/// - an action of a generation is put at most once per attempt, and none but the newest
///   generation's ensure action stays; one for each host of a highly available server;
/// - an instance of a server that is not deleted is deleted only after another host said, as its
///   primary, that it goes on without it (core/plan/members_plan.h);
/// - a change whose operation ends Failed is not made later: the spec goes back to the one that is
///   in force, and that is sent as a new generation, because the agent may have made some of it.
///   What has never been in force (a creation) and deletions stay wanted;
/// - an operation ends Succeeded only if the agent reported success for its generation or its
///   action, Failed only with a failure;
/// - the records of a placed server go only after the agent reported that its instance is gone;
/// - carrying out the decision and asking again with the same facts changes nothing more.
ServerDecision decide_server(const ServerView& view, Timestamp now);

/// "<incarnation>-<generation>-<kind>[-<subject>][-r<retry>]": the same work has the same id.
std::string action_id(const std::string& incarnation, model::Generation generation,
                      model::ActionKind kind, const std::string& subject, std::int64_t retry);

/// The desired state of a server as its agent gets it, but with the verifier still sealed and
/// without TLS material: those are filled in when it is sent.
model::InstanceSpec instance_of(const model::ServerSpec& spec, const model::ServerStatus& status,
                                const std::vector<std::string>& host_names);

}  // namespace howdah::core
