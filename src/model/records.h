#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/backups.h"
#include "model/failovers.h"

/// The nouns of Howdah as they are stored and sent. Plain values. Spec is what a user wants and is
/// written by `api`; status is what is so and is written by `control`. Times are ISO-8601 UTC
/// texts.
namespace howdah::model {

/// Grows by one with every change of a spec. Observed generation = the newest one that is in force.
using Generation = std::int64_t;
/// Fencing number of a server: an agent refuses an action with a lower term than it has seen.
using Term = std::int64_t;

/// A failure as kept in records: `code` is to_string(ErrorCode).
struct Failure {
    std::string code;
    std::string message;
    std::string hint;
    bool operator==(const Failure&) const = default;
};

// ---------------------------------------------------------------------------------------------
// Resources (spec)

struct Subscription {
    std::string id;  ///< UUID, lower case
    std::string display_name;
    std::string tenant_id;
};

struct ResourceGroup {
    std::string id;  ///< "/subscriptions/S/resourceGroups/RG" as the creator wrote it
    std::string name;
    std::string location;
    std::map<std::string, std::string> tags;
    std::string managed_by;
    bool deleting = false;
};

struct Sku {
    std::string name;  ///< "Standard_D2ds_v5"
    std::string tier;  ///< Burstable, GeneralPurpose, MemoryOptimized
    bool operator==(const Sku&) const = default;
};

struct StorageSpec {
    std::int64_t size_gb = 32;
    std::string auto_grow = "Disabled";
    std::string tier;  ///< performance tier P4...; empty: the default of the size
    std::int64_t iops = 0;
    std::int64_t throughput = 0;
    std::string type;  ///< "", Premium_LRS, PremiumV2_LRS
};

struct BackupSpec {
    std::int64_t retention_days = 7;
    std::string geo_redundant = "Disabled";
};

struct NetworkSpec {
    std::string public_access = "Enabled";
};

struct AuthSpec {
    std::string password = "Enabled";
    std::string active_directory = "Disabled";
    std::string tenant_id;
};

struct MaintenanceWindow {
    std::string custom = "Disabled";
    std::int64_t day_of_week = 0;
    std::int64_t start_hour = 0;
    std::int64_t start_minute = 0;
};

struct SystemData {
    std::string created_by;
    std::string created_by_type;
    std::string created_at;
    std::string last_modified_by;
    std::string last_modified_by_type;
    std::string last_modified_at;
};

struct FirewallRule {
    std::string id;
    std::string name;
    std::string start_ip;  ///< IPv4; 0.0.0.0 to 0.0.0.0 means "this host" (Azure: Azure services)
    std::string end_ip;
};

/// A principal that administers a server, with access tokens as its passwords.
struct TokenAdministrator {
    std::string id;         ///< ARM id
    std::string object_id;  ///< UUID, lower case: the claim "oid" of its tokens
    std::string role;       ///< its name in PostgreSQL
    std::string type;       ///< User, ServicePrincipal
    std::string tenant_id;
    bool operator==(const TokenAdministrator&) const = default;
};

/// What a user wants of one flexible server. Children that act on the whole server (parameters,
/// firewall rules) live inside it, so that one generation covers them all.
struct ServerSpec {
    std::string id;  ///< ARM id as its creator wrote it; the store key is its lower-case form
    std::string name;
    std::string location;
    std::map<std::string, std::string> tags;
    Sku sku;
    std::string version;  ///< PostgreSQL major, "15"
    std::string administrator_login;
    /// SCRAM-SHA-256 verifier, sealed by store::SecretBox; never the password.
    std::string sealed_verifier;
    /// Another with each password reset, and never one that was there before: the generation that
    /// brought it. So is restart_sequence.
    std::int64_t password_version = 1;
    StorageSpec storage;
    BackupSpec backup;
    NetworkSpec network;
    AuthSpec auth;
    MaintenanceWindow maintenance;
    std::string availability_zone;
    std::string high_availability_mode = "Disabled";  ///< Disabled, SameZone, ZoneRedundant
    std::string standby_availability_zone;            ///< asked for; empty: any that fits
    SystemData system_data;
    /// Parameters the customer set, name to value; what is not here has its sized default.
    std::map<std::string, std::string> parameters;
    /// Those of them that the customer wrote in another way than their normal form ("PG_TRGM" for
    /// "pg_trgm"), as written: clients compare what they read with what they wrote.
    std::map<std::string, std::string> parameter_spellings;
    std::vector<FirewallRule> firewall_rules;
    std::vector<TokenAdministrator> token_administrators;
    bool running = true;  ///< false: stopped by the user
    std::int64_t restart_sequence = 0;
    bool deleting = false;
    std::optional<RestoreSpec> restore;  ///< without its key; none: it began empty
    std::string incarnation;  ///< UUID of this life of the name; a server created anew has another
    Generation generation = 1;
};

struct DatabaseSpec {
    std::string id;
    std::string name;
    std::string charset = "UTF8";
    std::string collation = "en_US.utf8";
    /// Id of the operation that creates it: if that failed, the record stands for nothing.
    std::string operation_id;
};

// ---------------------------------------------------------------------------------------------
// Status

struct Condition {
    std::string type;    ///< "Ready"
    std::string status;  ///< True, False, Unknown
    std::string reason;  ///< CamelCase, for machines
    std::string message;
    std::string last_transition_time;
    Generation observed_generation = 0;
};

struct DatabaseStatus {
    std::string name;
    std::string charset;
    std::string collation;
    bool operator==(const DatabaseStatus&) const = default;
};

/// A host that is to delete the former member that it has.
struct LeavingMember {
    std::string host;
    std::int64_t retries = 0;  ///< deletions that failed
    std::string retry_at;      ///< not before this time
};

/// How far the hosts of a highly available server are (core/plan/members_plan.h).
struct MembersStatus {
    Term term = 0;          ///< the newest one of the members' record that was reported
    bool is_built = false;  ///< every commit waited for the present standby once
    std::vector<LeavingMember> leaving;
    Generation generation = 0;         ///< that the following are about
    std::vector<std::string> ensured;  ///< hosts that have carried it out
    bool is_primary_done = false;      ///< one of them did as primary
    std::int64_t attempts = 0;         ///< ensure actions that were put
    std::int64_t standby_retries = 0;
    std::string standby_retry_at;
};

/// Of a read replica.
struct ReplicaReport {
    bool is_streaming = false;   ///< it is connected to the server that it follows
    std::int64_t lag_bytes = 0;  ///< of what it has heard of, not replayed yet
    std::int64_t lag_s = 0;      ///< how old is what it has replayed last; 0: it has replayed all
    bool operator==(const ReplicaReport&) const = default;
};

/// The newest of a server's proofs that says whether its backups are good; where none does, the
/// newest.
struct ProofStatus {
    std::string outcome;     ///< proved, restored, failed
    std::string message;     ///< what was found
    std::string at;          ///< when that was
    std::string good_until;  ///< the next one should have been made by then
    bool operator==(const ProofStatus&) const = default;
};

struct ServerStatus {
    std::string server_id;  ///< lower-case id
    std::string incarnation;
    Generation observed_generation = 0;
    Term term = 1;
    /// Azure's word: Ready, Provisioning, Updating, Starting, Stopping, Stopped, Restarting,
    /// Dropping, Disabled, Inaccessible.
    std::string state = "Provisioning";
    /// Id of the host that was chosen; empty until placed. Of a highly available server: where its
    /// primary is, by the newest term that was reported.
    std::string host;
    std::string standby_host;  ///< where the other member is, or is to be; empty: none
    /// Azure's word: NotEnabled, CreatingStandby, ReplicatingData, FailingOver, Healthy,
    /// RemovingStandby.
    std::string high_availability_state = "NotEnabled";
    MembersStatus members;
    std::int64_t port = 0;                     ///< the server's own port at the gateway
    std::string minor_version;                 ///< "15.20"
    std::vector<RestorableSpan> restorable;    ///< by the agent's last report
    std::string backup_trouble;                ///< likewise
    std::optional<ProofStatus> proof;          ///< likewise
    std::optional<ReplicaReport> replica;      ///< likewise
    std::vector<DatabaseStatus> databases;     ///< what exists, likewise
    std::vector<std::string> pending_restart;  ///< parameters that wait for a restart
    std::optional<Failure> failure;            ///< of the newest generation that failed
    Generation failed_generation = 0;
    Generation retry_generation = 0;  ///< the generation that `retries` and `retry_at` are about
    std::int64_t retries = 0;         ///< failed attempts of it that are tried again
    std::string retry_at;             ///< not before this time
    std::vector<Condition> conditions;
};

/// A server that was deleted and can be brought back for a while.
struct DroppedServer {
    ServerSpec spec;
    std::vector<RestorableSpan> restorable;
    std::string host;  ///< that had its data
    std::string dropped_at;
};

/// What a server's spec was: the newest generation that is in force first, then those that were
/// begun after it. To it the spec goes back when a change fails.
struct ServerRevisions {
    std::vector<ServerSpec> specs;
};

/// A long-running request. Ends when the server's observed generation reaches `generation`, or
/// when the action `action_id` has a result, or Failed.
struct Operation {
    std::string id;    ///< UUID
    std::string kind;  ///< "CreateServer", "UpdateServer", "DeleteServer", "CreateDatabase", ...
    std::string subscription;
    std::string location;
    std::string resource_id;  ///< what operationResults shows when it succeeded
    std::string server_key;   ///< lower-case id of the server it belongs to; empty for a group
    std::string incarnation;
    Generation generation = 0;
    std::string action_id;
    std::string status = "InProgress";  ///< InProgress, Succeeded, Failed, Canceled
    /// One sentence in the present tense for a progress line: "starting PostgreSQL 15".
    std::string progress;
    std::string start_time;
    std::string end_time;
    std::optional<Failure> failure;
    std::int64_t retries = 0;    ///< of a database action: failed attempts that are tried again
    std::string retry_at;        ///< not before this time
    std::string failover;        ///< FailoverServer: planned, forced
    std::string restore_time;    ///< ProveBackups: to which time; empty: now
    std::string requested_by;    ///< app id
    std::string requester_name;  ///< as the activity log shows him; empty: requested_by
    std::string operation_name;  ///< in the activity log
    std::string correlation_id;
    /// CreateDatabase: what is to be created. The database's own record is that of the newest
    /// request, which may be another one.
    std::optional<DatabaseSpec> database;
};

/// One resource of a deployment. JSON is kept as text; "" is absent.
struct DeploymentStep {
    std::string operation_id;  ///< UUID
    std::string id;
    std::string type;
    std::string name;
    std::string state = "Pending";  ///< Pending, Running, Succeeded, Failed, Skipped
    std::string follow;             ///< path and query of what is asked while it runs
    std::int64_t attempts = 0;      ///< refused for a reason that passes
    std::int64_t http_status = 0;
    std::string started_at;
    std::string ended_at;
    std::string error;
};

/// A deployment of a template: what Azure shows of it and how far it has come. The template and
/// its parameters are beside it, sealed.
struct Deployment {
    std::string subscription;
    std::string resource_group;  ///< empty: to the subscription
    std::string name;
    std::string location;  ///< of a deployment to a subscription
    std::map<std::string, std::string> tags;
    std::string mode;          ///< Incremental
    std::string state;         ///< Accepted, Running, Succeeded, Failed, Canceled
    std::string operation_id;  ///< UUID; names this run, as the name may be used again
    std::string correlation_id;
    std::string caller_object_id;
    std::string caller_app_id;
    std::string caller_name;
    std::string started_at;
    std::string changed_at;
    std::string ended_at;
    std::int64_t depth = 0;  ///< deployments that this one is nested in
    std::string parent;      ///< operation_id of the one around it
    bool cancelling = false;
    std::string template_hash;
    std::string parameters;  ///< JSON, without secure values
    std::string outputs;
    std::string providers;
    std::string dependencies;
    std::string error;
    std::vector<DeploymentStep> steps;
};

// ---------------------------------------------------------------------------------------------
// Between control plane and agent

enum class ActionKind {
    ensure_instance,
    delete_instance,
    create_database,
    drop_database,
    fail_over,
    make_backup,
    drop_backup,
    prove_backup,
};

/// What howdahd's certificate is made out to, and no other. Agents and the command line ask for it,
/// because an address can be somebody else's while howdahd is down.
inline constexpr std::string_view kControlPlaneName = "howdahd";

struct TlsMaterial {
    std::string certificate_pem;  ///< leaf first, then the CA
    std::string key_pem;
    std::string ca_pem;
};

/// What one machine has to bring about for one server: the whole desired state, so that repeating
/// it is harmless and a newer one replaces an older.
struct InstanceSpec {
    std::string server_id;    ///< lower-case ARM id
    std::string server_name;  ///< first label of the host name
    std::string incarnation;
    Generation generation = 0;
    std::string major;  ///< "15"
    std::string administrator_login;
    std::string administrator_verifier;  ///< in clear only on the wire (mutual TLS)
    std::int64_t password_version = 0;
    bool running = true;
    std::int64_t restart_sequence = 0;
    Sku sku;
    std::int64_t vcores = 0;
    std::int64_t memory_mb = 0;
    std::int64_t iops = 0;
    std::int64_t storage_gb = 0;
    std::map<std::string, std::string> parameters;  ///< the customer's, not the sized defaults
    TlsMaterial tls;
    BackupSettings backup;
    /// Of the role that its read replicas stream as; in clear only on the wire (mutual TLS).
    std::string replica_password;
    std::optional<RestoreSpec> restore;   ///< before it is started for the first time
    std::vector<std::string> host_names;  ///< server names (SNI) that lead here
    std::int64_t port = 0;                ///< the server's own port at the gateway
    bool public_access = true;
    std::vector<FirewallRule> firewall_rules;
    bool password_logins = true;  ///< false: no client logs in with a password
    bool token_logins = false;
    /// In force only with token_logins; no two have the same role or object id.
    std::vector<TokenAdministrator> token_administrators;
    /// The hosts that are to have a member of this server, this one among them; empty: the server
    /// is not highly available.
    std::vector<std::string> member_hosts;
    /// Of a server that becomes highly available: the data of this host is the server's, the other
    /// members copy it. Without meaning once the members have a record of their own.
    bool is_founder = false;
};

/// One thing an agent has to do. Persisted before it is sent; its id makes it idempotent.
struct Action {
    std::string id;
    std::string host;
    std::string server_id;
    std::string incarnation;
    ActionKind kind = ActionKind::ensure_instance;
    Term term = 0;
    Generation generation = 0;
    std::optional<InstanceSpec> instance;  ///< ensure_instance
    std::optional<DatabaseSpec> database;  ///< create_database, drop_database
    std::string failover;                  ///< fail_over: planned, forced
    std::string backup;        ///< make_backup, drop_backup: its name; prove_backup: the proof's
    std::string restore_time;  ///< prove_backup: to which time; empty: now
};

struct ActionResult {
    std::string action_id;
    std::string server_id;
    std::string incarnation;
    ActionKind kind = ActionKind::ensure_instance;
    Generation generation = 0;
    std::optional<Failure> failure;  ///< none: it succeeded
    std::string host;                ///< filled in by the fleet
    /// Carried out by the server's primary, or by its only instance: also what needs SQL was done.
    bool as_primary = true;
};

/// What a member of a highly available server knows of it. The terms are those of the members'
/// own record (core/ha), not those of actions.
struct MemberReport {
    std::string role;                     ///< primary, standby; empty: neither (yet)
    Term term = 0;                        ///< of the record as last read; 0: there is none
    std::string primary_host;             ///< by that record
    std::vector<std::string> sync_hosts;  ///< whose disk every commit waits for, by that record
    bool serves = false;                  ///< clients are let in here
    bool operator==(const MemberReport&) const = default;
};

/// One of the log files that PostgreSQL wrote, as an agent saw it a while ago.
struct LogFile {
    std::string name;  ///< one word; without a folder
    std::int64_t bytes = 0;
    std::string created;
    std::string modified;
};

/// Observed facts about one instance; never conclusions.
struct InstanceReport {
    std::string server_id;
    std::string incarnation;
    std::string host;  ///< filled in by the fleet
    Term term = 0;
    Generation observed_generation = 0;
    /// absent, preparing, starting, running, stopping, stopped, failed; following: a standby, or
    /// what is to become one
    std::string state = "absent";
    std::string detail;  ///< what it does now, or why it failed; one sentence
    std::int64_t postmaster_pid = 0;
    std::int64_t backend_port = 0;
    std::string minor_version;
    std::vector<DatabaseStatus> databases;
    std::vector<std::string> pending_restart;
    /// Newest last, bounded; none unless the customer has switched downloads on.
    std::vector<LogFile> logs;
    std::optional<MemberReport> member;   ///< of a highly available server
    std::optional<BackupReport> backups;  ///< none: nothing is known of them here
    std::optional<ReplicaReport> replica;
    /// The newest ones that this member knows of, oldest first. The fleet keeps them apart.
    std::vector<FailoverPart> failovers;
};

/// One row of pg_settings, as the engine shows it in a fresh directory.
struct ParameterInfo {
    std::string name;
    std::string type;  ///< bool, integer, real, string, enum, set (several of `allowed`)
    std::string unit;
    std::string minimum;
    std::string maximum;
    std::vector<std::string> allowed;  ///< of an enum
    std::string boot_value;
    std::string
        context;  ///< postmaster, sighup, superuser, user, backend, superuser-backend, internal
    std::string category;
    std::string description;
};

/// A PostgreSQL major found on a host.
struct Engine {
    std::string major;    ///< "15"
    std::string version;  ///< "15.20"
    std::vector<ParameterInfo> parameters;
    std::vector<std::string> extensions;  ///< what can be created, with what allow-listing allows
    std::vector<std::string> collations;  ///< database locales this machine has
    /// Of what sorts text here: "glibc 2.36, ICU 72". Indexes that were built by another one are
    /// wrong. Empty: an older agent's.
    std::string collation_version;
};

/// Something a machine can or cannot do, said once and shown.
struct Capability {
    std::string name;  ///< "cgroup-limits", "unprivileged-users", ...
    bool available = false;
    std::string reason;  ///< why not, and what to install or change
};

struct HostReport {
    std::string host;  ///< id
    std::string name;  ///< host name
    std::string zone;
    std::string address;  ///< where the gateway of this host listens
    std::int64_t gateway_port = 0;
    std::int64_t pooler_port = 0;  ///< where pooled servers are reached; 0: there are none
    std::int64_t cpus = 0;
    std::int64_t memory_mb = 0;
    std::int64_t disk_gb = 0;
    std::int64_t disk_free_gb = 0;
    std::vector<Engine> engines;
    std::vector<Capability> capabilities;
};

/// What an agent needs to judge access tokens by itself, also while the control plane is dead.
/// Public, but whoever can change it can log in everywhere.
struct TokenKey {
    std::string id;  ///< "kid"
    std::string public_key_pem;
    bool operator==(const TokenKey&) const = default;
};
struct TokenTrust {
    std::string version;  ///< another one with every change
    std::string issuer;
    std::string tenant_id;
    std::vector<TokenKey> keys;
    bool operator==(const TokenTrust&) const = default;
};

/// POST /agent/v1/poll. The answer comes at once if there is something to do, else after wait_ms.
struct PollRequest {
    std::string host;
    std::string epoch;                      ///< UUID of this run of the agent
    std::optional<HostReport> host_report;  ///< on the first poll and when it changed
    std::vector<InstanceReport> reports;    ///< those that changed since the last answered poll
    std::vector<ActionResult> results;      ///< those not yet acknowledged
    std::vector<std::string> running;       ///< actions the agent has and works on
    std::string token_trust;  ///< version of the one it has; another one is sent at once
    std::int64_t wait_ms = 0;
};

/// What a user wants to have of a log file. The agent sends it to POST /agent/v1/logs piece by
/// piece, and hears after each which one is wanted next.
struct LogRequest {
    std::string id;
    std::string incarnation;
    std::string name;
    std::int64_t offset = 0;
};
struct LogReply {
    bool wanted = false;  ///< more of it; false: nothing of this request any more
    std::int64_t offset = 0;
};

struct PollResponse {
    std::vector<Action> actions;
    std::vector<std::string> acknowledged;  ///< results that are stored; the agent may forget them
    bool want_host_report = false;          ///< the control plane does not know this host (yet)
    std::vector<LogRequest> logs;           ///< what is wanted of log files
    std::optional<TokenTrust> token_trust;  ///< if the agent has another one
};

// ---------------------------------------------------------------------------------------------
// What an agent keeps on its own disk

/// agent/instances/<incarnation>/state.json: all an agent needs to run an instance without the
/// control plane. Holds no secret: the verifier and the TLS key are left out of `spec`.
struct InstanceState {
    InstanceSpec spec;                     ///< the newest one that was begun
    std::optional<InstanceSpec> previous;  ///< the one in force before, while `spec` is not yet
    Generation observed_generation = 0;    ///< the newest one that is in force
    Term term = 0;
    std::string os_user;  ///< whom PostgreSQL runs as; empty: the agent's own user
    std::int64_t backend_port = 0;
    std::int64_t password_version = 0;  ///< in force; 0: it is not known which
    std::string restart_token;          ///< what the postmaster was started for, or is next
    std::string minor_version;
    bool deleting = false;
    /// A restart that was begun: which postmaster it is to replace.
    std::string restart_begun;
    std::int64_t restart_pid = 0;
    std::int64_t restart_ticks = 0;
    /// The customer's parameters as the newest PostgreSQL that came up has them: what waits for a
    /// restart has its older value here.
    std::map<std::string, std::string> parameters_in_force;
    /// The token administrators that PostgreSQL has.
    std::vector<TokenAdministrator> token_administrators;
    bool are_token_administrators_known = true;  ///< false: a change of them was begun
    bool is_restored = false;                    ///< what `spec.restore` wants has been done
    bool is_replica = false;                     ///< its directory follows another server
    bool has_replica_role = false;               ///< of this server, for those that follow it
    std::string upstream_address;                ///< where the server that it follows was last
    std::int64_t upstream_port = 0;
    bool is_member = false;  ///< the rules of high availability decide what PostgreSQL does
    /// The newest term of the members' record that was seen; kept when the server is not highly
    /// available any more, so that routes of former members stay older.
    Term member_term = 0;
};

/// agent/journal.json: results that the control plane has not acknowledged yet.
struct AgentJournal {
    std::vector<ActionResult> results;
};

// ---------------------------------------------------------------------------------------------
// Between agent and gateway: the file routes.json, replaced atomically, watched by the gateway

/// The address the gateway's connections to a PostgreSQL of this machine come from, and the only
/// one that its pg_hba.conf lets in. No client library can choose an address, so nobody gets past
/// the firewall of a server by dblink or postgres_fdw in another one.
inline constexpr std::string_view kGatewaySource = "127.0.0.2";
/// The role that reads the verifiers of those who log in through a pooler (howdah-pooler).
inline constexpr std::string_view kPoolerRole = "howdah_pooler";
/// What its password is derived from the server's key for.
inline constexpr std::string_view kPoolerPassword = "howdah pooler";

/// Of a server whose connections are pooled: what howdah-pooler needs beside the rest of its route.
struct RoutePooling {
    std::string tls_path;  ///< the server's certificate and key, for root and the server to read
    /// Where PostgreSQL's unix socket is, for root, the server and its PgBouncer to enter. Empty:
    /// it is not on the pooler's machine.
    std::string socket_folder;
    std::map<std::string, std::string> settings;  ///< of PgBouncer, by its own names
};

struct Route {
    std::string server_id;
    std::string server_name;
    std::vector<std::string> host_names;  ///< lower case
    std::int64_t port = 0;                ///< own listening port; 0: none
    /// open: pass sessions on; hold: keep new ones waiting (bounded); closed: refuse.
    std::string state = "hold";
    std::string reason;  ///< of hold or closed: "the server is stopped"
    std::string backend_address = "127.0.0.1";
    std::int64_t backend_port = 0;
    std::int64_t postmaster_pid = 0;  ///< to resolve cancel requests on this machine; 0: unknown
    std::int64_t major = 0;
    bool require_tls = true;
    bool public_access = true;
    std::vector<FirewallRule> firewall_rules;
    /// Of a server that is or was highly available: of its members' record. Among several routes of
    /// one server the newest term is right; of one term "open" before "hold" before "closed".
    Term term = 0;
    std::optional<RoutePooling> pooling;  ///< none: clients reach PostgreSQL alone
};

struct RouteTable {
    std::int64_t revision = 0;  ///< grows with every change
    std::vector<Route> routes;
};

// ---------------------------------------------------------------------------------------------
// Between the agents of several machines, in etcd: each says what the others need to know of it

struct AgentNotice {
    std::string host;            ///< id
    std::string address;         ///< IPv4, where other machines reach its servers
    std::string gateway_source;  ///< IPv4, where the gateway of its machine comes from
    std::vector<Route> routes;
};
/// What an agent has heard last; a file of its own.
struct AgentNotices {
    std::vector<AgentNotice> notices;
};

// ---------------------------------------------------------------------------------------------
// A machine that becomes one of this Howdah's

/// In the store, until somebody comes with its ticket or its time is over.
struct HostInvitation {
    std::string name;
    std::string zone;
    std::string expires_at;
};
/// What whoever sets the machine up is given, as one word: base64url of its JSON. Secret.
struct JoinTicket {
    std::string api_url;
    std::string ca;     ///< PEM: of the control plane
    std::string token;  ///< good once
};
/// What the machine asks with it.
struct JoinRequest {
    std::string token;
};
/// The answer to that; what remains of it on the machine has no keys.
struct JoinedHost {
    std::string host;  ///< id
    std::string name;
    std::string zone;
    std::string agent_url;
    std::string ca;           ///< PEM: of the control plane
    std::string certificate;  ///< PEM: of the agent
    std::string key;          ///< PEM
    std::vector<std::string> etcd_endpoints;
    std::string etcd_ca;           ///< PEM; empty: the system's authorities
    std::string etcd_certificate;  ///< PEM; empty: none is shown
    std::string etcd_key;          ///< PEM
    // What the machine adds.
    std::string address;
    std::string gateway_source;
};
/// A new certificate for an agent whose old one is about to end.
struct AgentCertificate {
    std::string certificate;
    std::string key;
};

// ---------------------------------------------------------------------------------------------
// What the gateway says of itself: its status file, and the answers of its admin socket

/// One listening port of the gateway. `server_id` is empty for the port that all servers share.
struct GatewayPort {
    std::int64_t port = 0;
    std::string server_id;
    std::string error;  ///< why it does not listen; empty: it does
};

/// The gateway's status file, replaced atomically whenever it changes.
struct GatewayStatus {
    std::int64_t pid = 0;
    std::string address;
    std::int64_t port = 0;            ///< the shared port it really has
    std::int64_t requested_port = 0;  ///< the shared port it was asked to have
    std::string admin;                ///< path of the admin socket
    std::vector<GatewayPort> ports;   ///< one per server with a port of its own
};

/// Sessions that were refused for one reason.
struct GatewayRefusals {
    std::string reason;
    std::int64_t count = 0;
};

/// Counters of one server since the gateway first started; an upgrade keeps them.
struct GatewayServerStats {
    std::string server_id;
    std::string server_name;
    std::string state;          ///< open, hold, closed; empty: no longer in the table
    std::int64_t accepted = 0;  ///< sessions that reached PostgreSQL
    std::int64_t active = 0;
    std::int64_t held = 0;        ///< waiting now
    std::int64_t held_total = 0;  ///< sessions that waited
    std::int64_t held_ms = 0;     ///< what they waited together
    std::int64_t cancels = 0;     ///< plain cancel requests passed on
    std::int64_t bytes_in = 0;    ///< from clients
    std::int64_t bytes_out = 0;   ///< to clients
    std::vector<GatewayRefusals> refused;
};

/// One of the files with routes that a gateway reads.
struct GatewayTable {
    std::string path;           ///< absolute, with the links of its folder resolved
    std::int64_t revision = 0;  ///< of the content in force; 0: none is
    std::string error;          ///< why the newest content is not in force; empty: it is
};

struct GatewayStats {
    std::int64_t pid = 0;
    std::int64_t upgrades = 0;
    std::int64_t table_revision = 0;  ///< of the first table
    std::string table_error;          ///< the first of the tables' errors
    std::vector<GatewayTable> tables;
    std::int64_t sessions = 0;
    std::int64_t sessions_max = 0;
    std::int64_t log_lines_dropped = 0;
    bool draining = false;
    std::vector<GatewayPort> ports;
    std::vector<GatewayServerStats> servers;
    std::vector<GatewayRefusals> refused;  ///< where no server is known
};

/// One session. `backend_port` is what PostgreSQL shows as client_port: the two together tell who
/// is behind a backend.
struct GatewaySession {
    std::string server_id;
    std::string client_address;
    std::int64_t client_port = 0;
    std::int64_t backend_port = 0;
    std::string phase;
    bool tls = false;
    std::int64_t age_ms = 0;
    std::int64_t bytes_in = 0;
    std::int64_t bytes_out = 0;
};

}  // namespace howdah::model
