#include "pooler/pgbouncer_files.h"

#include <fmt/core.h>

namespace howdah::pooler {
namespace {

/// Every name is written out: what a database has in its search path must not matter. A SCRAM
/// verifier is all that PgBouncer can log a client in with and then log in with itself.
constexpr std::string_view kAuthQuery =
    "SELECT rolname, rolpassword FROM pg_catalog.pg_authid "
    "WHERE rolname OPERATOR(pg_catalog.=) $1 AND rolcanlogin AND NOT rolsuper AND NOT "
    "rolreplication AND rolpassword OPERATOR(pg_catalog.~~) 'SCRAM-SHA-256$%' AND (rolvaliduntil "
    "IS NULL OR rolvaliduntil OPERATOR(pg_catalog.>) pg_catalog.now())";

/// For a value between quotes, as in SQL.
std::string quoted(std::string_view value) {
    std::string text;
    for (const char c : value) text += c == '\'' ? std::string(2, c) : std::string(1, c);
    return text;
}

}  // namespace

std::string ini_file(const PgBouncer& bouncer) {
    std::string text = fmt::format(
        "; Written by howdah-pooler; changes are lost.\n"
        "[databases]\n"
        "* = host='{}' port={}\n"
        "[pgbouncer]\n",
        quoted(bouncer.socket_folder), bouncer.backend_port);
    const auto add = [&text](std::string_view name, std::string_view value) {
        text += fmt::format("{} = {}\n", name, value);
    };
    for (const auto& [name, value] : bouncer.settings) add(name, value);
    add("listen_addr", "127.0.0.1");
    add("listen_port", std::to_string(bouncer.port));
    add("listen_backlog", "4096");
    add("unix_socket_dir", "");
    add("auth_type", "hba");
    add("auth_hba_file", bouncer.folder + kHbaFile);
    add("auth_file", bouncer.folder + kUsersFile);
    add("auth_user", model::kPoolerRole);
    add("auth_query", kAuthQuery);
    add("client_tls_sslmode", bouncer.require_tls ? "require" : "allow");
    add("client_tls_protocols", "secure");
    add("client_tls_cert_file", bouncer.folder + kTlsFile);
    add("client_tls_key_file", bouncer.folder + kTlsFile);
    // It is a unix socket.
    add("server_tls_sslmode", "disable");
    // A new primary must not wait for the next try at the old one.
    add("server_login_retry", "0.1");
    add("server_connect_timeout", "5");
    add("log_connections", "0");
    add("log_disconnections", "0");
    add("log_stats", "0");
    return text;
}

std::string hba_file(const PgBouncer& bouncer) {
    return fmt::format(
        "# Written by howdah-pooler; changes are lost.\n"
        "host    all  {}  0.0.0.0/0  reject\n"
        "{:<7} all  all  {}/32  scram-sha-256\n",
        model::kPoolerRole, bouncer.require_tls ? "hostssl" : "host", model::kGatewaySource);
}

std::string users_file(const Secret& password) {
    return fmt::format("\"{}\" \"{}\"\n", model::kPoolerRole, password.reveal());
}

}  // namespace howdah::pooler
