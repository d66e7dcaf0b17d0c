#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/records.h"

/// The configuration files of one instance and the SQL that gives it its roles and databases.
/// Pure: text from values, no file is read or written. Every value is quoted; a hostile one can
/// neither start a line nor a statement of its own.
namespace howdah::agent {

/// The superuser of every instance (initdb --username). It has no password: only the agent's
/// operating-system user becomes it, through the unix socket.
inline constexpr std::string_view kSuperuser = "howdah";
/// The role an administrator is a member of, as on Azure.
inline constexpr std::string_view kAdministratorsRole = "azure_pg_admin";
/// Whom standbys stream as. It has no other right.
inline constexpr std::string_view kReplicationRole = "howdah_replica";
/// The role that read replicas stream as: servers of their own, and no members.
inline constexpr std::string_view kFollowerRole = "howdah_follower";
/// Whom pgBackRest connects as, to begin and end a backup. It reads nothing but settings.
inline constexpr std::string_view kBackupRole = "howdah_backup";
/// The file beside postgresql.conf that holds what the rules of high availability decide.
inline constexpr std::string_view kHaConf = "ha.conf";
/// Marks the roles that Howdah made for token administrators. It has no rights, and no customer can
/// grant or revoke it.
inline constexpr std::string_view kTokenRolesMark = "howdah_token_role";
/// Where the agent connects once the bootstrap is done: no customer can connect to it or change
/// its settings. The bootstrap statements create it.
inline constexpr std::string_view kMaintenanceDatabase = "azure_maintenance";
/// The databases a customer can neither create, drop nor rename.
inline constexpr std::string_view kSystemDatabases[] = {"azure_maintenance", "azure_sys",
                                                        "postgres", "template0", "template1"};

struct RenderInput {
    const model::InstanceSpec& spec;  ///< borrowed for the call
    std::string data_folder;          ///< PGDATA
    std::string config_folder;        ///< holds postgresql.conf, pg_hba.conf, pg_ident.conf
    /// Of the server's operating-system user. It decides who reaches the socket: nobody else, and
    /// while the server is pooled its PgBouncer.
    std::string socket_folder;
    std::string log_folder;
    std::string certificate_path;
    std::string key_path;
    int backend_port = 0;
    /// Absolute path of howdah_guard-<major>.so; empty for a PostgreSQL that no customer reaches.
    std::string guard_path;
    /// Names of the modules in this engine's library folder, without ".so".
    std::vector<std::string> libraries;
    /// Name of the operating-system user the agent runs as ("root"); it alone may become
    /// kSuperuser.
    std::string agent_user;
    /// Of the operating-system user the server runs as, which reads its data for a backup; it alone
    /// may become kBackupRole.
    std::string server_user = {};
    /// False: only the socket is there, and who reads its folder. Then there is no certificate.
    bool takes_clients = true;
    /// Beside loopback, where PostgreSQL listens: IPv4; empty: nowhere.
    std::string listen_address = {};
    /// The only IPv4 addresses that clients' connections come from: of gateways.
    std::vector<std::string> gateway_sources = {std::string(model::kGatewaySource)};
    int token_port = 0;  ///< where tokens are checked (TokenLogins); 0: nowhere
    /// IPv4 addresses that standbys stream from. Empty: the server is not highly available; else
    /// kHaConf, which somebody else writes, is part of the configuration and wins.
    std::vector<std::string> member_addresses = {};
    /// PostgreSQL's command for every segment of WAL that is complete; empty: it keeps them for
    /// nobody.
    std::string archive_command = {};
    /// Of a server that is being restored: where its WAL comes from. Empty: it is not.
    std::string restore_command = {};
    /// Up to which time, as PostgreSQL writes it; empty: to the end.
    std::string restore_time = {};
    /// Of a read replica, which goes on for ever; none: it is none.
    struct Replica {
        std::string primary_conninfo;  ///< empty: it is not known where the source is
        std::map<std::string, std::int64_t> minimums;  ///< that a standby must have
    };
    std::optional<Replica> replica = {};
};

/// postgresql.conf: the sized parameters, then the customer's, then Howdah's own, which win. Start
/// with `postgres -D data_folder -c config_file=<config_folder>/postgresql.conf`. The customer's
/// parameters were checked by core::check_parameter; a name that is none is left out.
/// Logs: a file per hour in log_folder, named by its time; prune_logs() ends what is too much.
std::string postgresql_conf(const RenderInput& input);
std::string pg_hba_conf(const RenderInput& input);
std::string pg_ident_conf(const RenderInput& input);
/// Further files, path below config_folder to content: what is granted after an extension was
/// created. The server's operating-system user must be able to read them. Always the same.
std::map<std::string, std::string> extension_scripts();

/// What makes a new data directory (initdb --username=howdah) a Howdah one, for a PostgreSQL
/// major. Run one by one by kSuperuser in database "postgres", none in a transaction (one is CREATE
/// DATABASE). Each is one line and ends with ";", so that they can also be standard input of
/// `postgres --single`. Repeating them is an error: the first one fails.
std::vector<std::string> bootstrap_statements(int major);

/// Creates the administrator or brings it back to what it has to be, and sets its password. May be
/// repeated. One text for one simple query (Connection::execute), which is one transaction.
/// `verifier` is a SCRAM verifier.
std::string administrator_sql(std::string_view login, std::string_view verifier);
/// Creates kReplicationRole or gives it this password. As administrator_sql.
std::string replication_role_sql(std::string_view verifier);
/// Likewise of kFollowerRole.
std::string follower_role_sql(std::string_view verifier);
/// Likewise of model::kPoolerRole; since PostgreSQL core::kPoolingMajorMin.
std::string pooler_role_sql(std::string_view verifier);
/// Lets it into every database whose owner has taken that from PUBLIC.
std::string pooler_databases_sql();
/// Creates kBackupRole with what it may do, unless it is there. In kMaintenanceDatabase.
std::string backup_role_sql();
/// Makes exactly these roles the token administrators: like the administrator, but without a
/// password. Those that are not among them any more lose every right and cannot log in. One text as
/// administrator_sql. Error 42710 of PostgreSQL: a role of that name is there, and is a customer's.
std::string token_administrators_sql(const std::vector<std::string>& roles);
/// Ends the sessions of these roles; one query.
std::string end_sessions_sql(const std::vector<std::string>& roles);
/// Drops the marked roles that have lost their rights, if nothing depends on them. As above.
std::string drop_token_roles_sql();
/// One statement each; CREATE DATABASE cannot run in a transaction. The owner is
/// kAdministratorsRole.
std::string create_database_sql(const model::DatabaseSpec& database);
std::string no_template_sql(std::string_view name);
/// Ends the sessions of the database. Fine if it does not exist.
std::string drop_database_sql(std::string_view name);

}  // namespace howdah::agent
