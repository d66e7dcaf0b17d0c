#include "agent/config/render.h"

#include <fmt/core.h>

#include <algorithm>

#include "agent/token_login/token_access.h"
#include "base/text.h"
#include "core/access/token_role.h"
#include "core/sizing/parameters.h"
#include "core/sizing/pooling.h"
#include "core/sizing/sku.h"
#include "pg/connection.h"

namespace howdah::agent {
namespace {

/// Connections that only the superuser gets; Azure keeps 15 as well.
constexpr int kReservedConnections = 15;
constexpr int kFirstMajorWithJsonLog = 15;
constexpr int kFirstMajorWithRecoveryPrefetch = 15;
constexpr int kFirstMajorWithAlterSystemSwitch = 17;

int major_of(const model::InstanceSpec& spec) {
    const auto major = parse_integer(spec.major, 1, 99);
    return major.ok() ? static_cast<int>(*major) : 0;
}

/// A value for postgresql.conf: in quotes, on one line, whatever it holds. PostgreSQL undoes '' and
/// the backslash sequences of C.
std::string conf_quote(std::string_view value) {
    std::string quoted = "'";
    for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\'') {
            quoted += "''";
        } else if (c == '\\') {
            quoted += "\\\\";
        } else if (c == '\0') {
            // The server could not hold it either.
        } else if (byte < 0x20 || byte == 0x7f) {
            quoted += fmt::format("\\{:03o}", byte);
        } else {
            quoted += c;
        }
    }
    return quoted + "'";
}

/// A parameter's name, and no directive such as "include".
bool is_parameter_name(std::string_view name) {
    constexpr std::string_view kFirst = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    constexpr std::string_view kRest =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789$.";
    if (name.empty() || kFirst.find(name.front()) == std::string_view::npos) return false;
    if (name.find_first_not_of(kRest) != std::string_view::npos) return false;
    return !iequals(name, "include") && !iequals(name, "include_dir") &&
           !iequals(name, "include_if_exists");
}

/// Collects lines "name = 'value'".
class Lines {
  public:
    void section(std::string_view title) { text_ += fmt::format("\n# {}\n", title); }
    void add(std::string_view name, std::string_view value) {
        text_ += fmt::format("{} = {}\n", name, conf_quote(value));
    }
    std::string text() && { return std::move(text_); }

  private:
    std::string text_ = "# Written by howdah-agent; changes are lost.\n";
};

std::string customer_value(const RenderInput& input, std::string_view name,
                           std::string_view fallback) {
    const auto found = input.spec.parameters.find(std::string(name));
    return found == input.spec.parameters.end() ? std::string(fallback) : found->second;
}

/// What is preloaded: the elevation for extensions, the customer's libraries, and last the guard,
/// because the library loaded last sees a statement first.
std::string preload_libraries(const RenderInput& input) {
    const auto exists = [&input](std::string_view name) {
        return std::find(input.libraries.begin(), input.libraries.end(), name) !=
               input.libraries.end();
    };
    std::vector<std::string> libraries;
    // Without the guard nothing would keep an extension's creation to those who may do it.
    if (!input.guard_path.empty() && exists("pgextwlist")) libraries.emplace_back("pgextwlist");
    const std::string wanted =
        customer_value(input, core::kPreloadLibraries, core::kDefaultLibrary);
    for (const std::string& item : split(wanted, ',')) {
        const std::string name(trim(item));
        if (exists(name)) libraries.push_back(name);
    }
    if (!input.guard_path.empty()) {
        libraries.push_back(pg::quote_identifier(input.guard_path));
    }
    return join(libraries, ",");
}

void add_replica(const RenderInput& input, Lines& lines) {
    lines.section("read replica");
    lines.add("restore_command", input.restore_command);
    lines.add("primary_conninfo", input.replica->primary_conninfo);
    lines.add("recovery_target_timeline", "latest");
    // While the source is away, its repository is asked again and again.
    lines.add("wal_retrieve_retry_interval", "2s");
    std::map<std::string, std::string> present =
        core::sized_parameters(input.spec.vcores, input.spec.memory_mb);
    for (const auto& [name, value] : input.spec.parameters) present[name] = value;
    for (const auto& [name, minimum] : input.replica->minimums) {
        const auto own = parse_integer(present.count(name) > 0 ? present[name] : "0", 0, 1 << 30);
        if (!own.ok() || *own < minimum) lines.add(name, std::to_string(minimum));
    }
}

void add_backups(const RenderInput& input, Lines& lines) {
    if (!input.archive_command.empty()) {
        lines.section("backups");
        // A standby asks too, so that it keeps what the repository does not have. What is recovered
        // is not asked for: it comes from a repository, and there is none of its own yet.
        // A read replica archives from its promotion on, without a restart.
        const bool is_recovered = !input.restore_command.empty();
        lines.add("archive_mode", input.replica ? "on" : is_recovered ? "off" : "always");
        lines.add("archive_command", input.archive_command);
        // With the heartbeat of BackupKeeper: what is committed is in the repository within five
        // minutes, also of a server with nothing to do.
        lines.add("archive_timeout", "240");
    }

    // A line that comes or goes would wait for a restart, whatever its value. During a restore
    // nobody is let in, and what the source had set higher does not matter then.
    const bool is_restored = !input.restore_command.empty() && !input.replica;
    lines.add("hot_standby", is_restored ? "off" : "on");
    if (input.replica) return add_replica(input, lines);
    if (!input.restore_command.empty()) {
        lines.section("restore");
        lines.add("restore_command", input.restore_command);
        // It would fetch all that was archived behind the target.
        if (major_of(input.spec) >= kFirstMajorWithRecoveryPrefetch)
            lines.add("recovery_prefetch", "off");
        if (!input.restore_time.empty()) {
            lines.add("recovery_target_time", input.restore_time);
            lines.add("recovery_target_action", "promote");
        }
    }
}

void add_own(const RenderInput& input, Lines& lines) {
    const int major = major_of(input.spec);
    lines.section("where the server is");
    lines.add("data_directory", input.data_folder);
    lines.add("hba_file", input.config_folder + "/pg_hba.conf");
    lines.add("ident_file", input.config_folder + "/pg_ident.conf");
    lines.add("external_pid_file", "");
    lines.add("cluster_name", input.spec.server_name);
    const std::string others = input.listen_address.empty() ? "" : "," + input.listen_address;
    lines.add("listen_addresses", input.takes_clients ? "127.0.0.1" + others : "");
    lines.add("port", std::to_string(input.backend_port));
    // A list: the quotes keep a comma in the folder's name.
    lines.add("unix_socket_directories", pg::quote_identifier(input.socket_folder));
    // The folder decides who reaches it.
    lines.add("unix_socket_permissions", "0777");
    lines.add("unix_socket_group", "");
    lines.add("superuser_reserved_connections", std::to_string(kReservedConnections));

    lines.section("who may enter");
    lines.add("ssl", input.takes_clients ? "on" : "off");
    lines.add("ssl_cert_file", input.certificate_path);
    lines.add("ssl_key_file", input.key_path);
    lines.add("ssl_ca_file", "");
    lines.add("ssl_crl_file", "");
    lines.add("ssl_ciphers", "HIGH:!aNULL");
    lines.add("ssl_max_protocol_version", "");
    lines.add("password_encryption", "scram-sha-256");
    lines.add("shared_preload_libraries", preload_libraries(input));
    lines.add("session_preload_libraries", "");
    lines.add("local_preload_libraries", "");
    lines.add("allow_system_table_mods", "off");
    if (major >= kFirstMajorWithAlterSystemSwitch) lines.add("allow_alter_system", "off");
    const std::string extensions = customer_value(input, core::kAllowedExtensions, "");
    lines.add(core::kAllowedExtensions, extensions);
    lines.add("extwlist.extensions", extensions);
    lines.add("extwlist.custom_path", input.config_folder + "/extensions");
    lines.add("howdah.administrator", input.spec.administrator_login);

    lines.section("no acknowledged commit is lost");
    lines.add("fsync", "on");
    lines.add("full_page_writes", "on");
    lines.add("zero_damaged_pages", "off");
    lines.add("ignore_checksum_failure", "off");
    lines.add("ignore_system_indexes", "off");

    add_backups(input, lines);

    lines.section("logs");
    lines.add("logging_collector", "on");
    lines.add("log_destination", major >= kFirstMajorWithJsonLog ? "jsonlog" : "csvlog");
    lines.add("log_directory", input.log_folder);
    lines.add("log_filename", "postgresql-%Y-%m-%d_%H%M%S.log");
    lines.add("log_file_mode", "0600");
    lines.add("log_rotation_age", "60");
    lines.add("log_rotation_size", "64MB");
    lines.add("log_truncate_on_rotation", "off");
}

}  // namespace

std::string postgresql_conf(const RenderInput& input) {
    Lines lines;
    lines.section(fmt::format("by the compute size: {} vCores, {} MB", input.spec.vcores,
                              input.spec.memory_mb));
    for (const auto& [name, value] :
         core::sized_parameters(input.spec.vcores, input.spec.memory_mb)) {
        lines.add(name, value);
    }
    lines.add("ssl_min_protocol_version", "TLSv1.2");
    lines.section("by the customer");
    for (const auto& [name, value] : input.spec.parameters) {
        const bool managed = iequals(name, core::kRequireSecureTransport) ||
                             iequals(name, core::kAllowedExtensions) ||
                             iequals(name, core::kPreloadLibraries) ||
                             iequals(name, core::kLogDownloads) ||
                             iequals(name, core::kLogRetention) || core::is_pooling_parameter(name);
        if (!managed && is_parameter_name(name)) lines.add(name, value);
    }
    add_own(input, lines);
    std::string text = std::move(lines).text();
    if (!input.member_addresses.empty()) text += fmt::format("\ninclude '{}'\n", kHaConf);
    return text;
}

namespace {

/// One for each token administrator: its password goes to TokenLogins, over TLS only. Without
/// tokens nobody logs in as one, not even with a password that it may have set itself.
std::string token_rules(const RenderInput& input) {
    std::string text;
    const bool has_tokens = input.spec.token_logins && input.token_port != 0;
    for (const model::TokenAdministrator& each : input.spec.token_administrators) {
        // The API lets no other names pass; the file has no way to write them.
        if (!core::is_token_role(each.role)) continue;
        for (const std::string& source : input.gateway_sources) {
            if (!has_tokens) break;
            text += fmt::format(
                "hostssl all                  \"{}\" {}/32  ldap ldapscheme=ldaps "
                "ldapserver=127.0.0.1 ldapport={} ldapprefix=\"{}\" ldapsuffix=\"{}\"\n",
                each.role, source, input.token_port, kLoginPrefix,
                login_suffix(input.spec.incarnation));
        }
        text += fmt::format("host    all                  \"{}\" all  reject\n", each.role);
    }
    return text;
}

std::string replication_rules(const RenderInput& input) {
    // Read replicas of this machine.
    std::string text = fmt::format(
        "hostssl replication          \"{}\" 127.0.0.1/32  scram-sha-256\n", kFollowerRole);
    for (const std::string& each : input.member_addresses)
        text += fmt::format("hostssl replication          \"{}\" {}/32  scram-sha-256\n",
                            kReplicationRole, each);
    return text;
}

/// Through the socket, whose folder lets nobody else in. PostgreSQL has one set of rules for all of
/// its sockets; what is Howdah's own stays closed here as it is closed to clients of the gateway.
std::string pooler_rules(const RenderInput& input) {
    if (!core::wants_pooling(input.spec.parameters)) return "";
    std::string text = fmt::format(
        "# Its PgBouncer, likewise.\n"
        "local   all                  \"{}\"     scram-sha-256\n"
        "local   replication          all                 reject\n"
        "local   all                  \"{}\",\"{}\",\"{}\"  reject\n"
        "local   \"{}\"  all                 reject\n",
        model::kPoolerRole, kAdministratorsRole, kReplicationRole, kFollowerRole,
        kMaintenanceDatabase);
    for (const model::TokenAdministrator& each : input.spec.token_administrators)
        if (core::is_token_role(each.role))
            text += fmt::format("local   all                  \"{}\"  reject\n", each.role);
    if (input.spec.password_logins)
        text += "local   all                  all                 scram-sha-256\n";
    return text;
}

std::string password_rules(const RenderInput& input) {
    if (!input.spec.password_logins) return "";
    const bool tls_only = customer_value(input, core::kRequireSecureTransport, "on") != "off";
    std::string text;
    for (const std::string& source : input.gateway_sources)
        text += fmt::format("{:<7} all                  all        {}/32  scram-sha-256\n",
                            tls_only ? "hostssl" : "host", source);
    return text;
}

}  // namespace

std::string pg_hba_conf(const RenderInput& input) {
    // "all" as an address is every IPv4 and IPv6 address.
    return fmt::format(
        "# Written by howdah-agent; changes are lost.\n"
        "# The agent, through the unix socket.\n"
        "local   all                  \"{0}\"            peer map=howdah\n"
        "local   \"{2}\"  \"{9}\"     peer map=howdah\n"
        "{8}"
        "local   all                  all                 reject\n"
        "# Standbys alone replicate, and the rest of what is Howdah's own is for the socket only.\n"
        "{5}"
        "host    replication          all        all      reject\n"
        "host    all                  \"{0}\",\"{1}\",\"{6}\",\"{7}\",\"{9}\",\"{10}\"  all  "
        "reject\n"
        "host    \"{2}\"  all        all      reject\n"
        "# Clients, through the gateway.\n"
        "{3}{4}"
        "host    all                  all        all      reject\n",
        kSuperuser, kAdministratorsRole, kMaintenanceDatabase, token_rules(input),
        password_rules(input), replication_rules(input), kReplicationRole, model::kPoolerRole,
        pooler_rules(input), kBackupRole, kFollowerRole);
}

std::string pg_ident_conf(const RenderInput& input) {
    std::string text = "# Written by howdah-agent; changes are lost.\n";
    const auto let = [&](const std::string& user, std::string_view role) {
        // The file has no escapes, and a leading slash would be a regular expression.
        const bool plain = !user.empty() && !user.starts_with('/') &&
                           user.find_first_of("\"\n\r") == std::string::npos;
        if (plain) text += fmt::format("howdah  \"{}\"  \"{}\"\n", user, role);
    };
    let(input.server_user, kBackupRole);
    let(input.agent_user, kSuperuser);
    return text;
}

}  // namespace howdah::agent
