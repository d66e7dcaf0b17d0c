#include <fmt/core.h>

#include <span>

#include "agent/config/render.h"
#include "pg/connection.h"

namespace howdah::agent {
namespace {

struct Since {
    std::string_view name;
    int major = 13;
};

/// What an administrator may do and hand on. Members of azure_pg_admin have these.
constexpr Since kAdministratorRights[] = {
    {"pg_monitor"},          {"pg_read_all_settings"},
    {"pg_read_all_stats"},   {"pg_signal_backend"},
    {"pg_stat_scan_tables"}, {"pg_checkpoint", 15},
    {"pg_maintain", 17},     {"pg_signal_autovacuum_worker", 18},
};
/// What an administrator may hand out (also to itself) but does not have by itself.
constexpr Since kGrantableRights[] = {{"pg_read_all_data", 14}, {"pg_write_all_data", 14}};
/// Since then CREATEROLE alone does not let anyone grant a role: it takes the ADMIN option.
constexpr int kFirstMajorWithGrantOptions = 16;

struct Setting {
    std::string_view name;
    std::string_view value;
    int major = 13;
};
/// The agent's sessions behave the same whatever the customer's parameters are, and the server
/// never logs their statements: they hold password verifiers.
constexpr Setting kSuperuserSettings[] = {
    {"search_path", "pg_catalog, pg_temp"},
    {"log_statement", "none"},
    {"log_min_duration_statement", "-1"},
    {"log_min_duration_sample", "-1"},
    {"log_transaction_sample_rate", "0"},
    {"log_duration", "off"},
    {"log_min_error_statement", "panic"},
    {"log_parameter_max_length_on_error", "0"},
    {"debug_print_parse", "off"},
    {"debug_print_rewritten", "off"},
    {"debug_print_plan", "off"},
    {"pg_stat_statements.track", "none"},
    {"pg_stat_statements.track_utility", "off"},
    {"auto_explain.log_min_duration", "-1"},
    {"pgaudit.log", "none"},
    {"statement_timeout", "0"},
    {"lock_timeout", "0"},
    {"idle_in_transaction_session_timeout", "0"},
    {"idle_session_timeout", "0", 14},
    {"transaction_timeout", "0", 17},
    {"default_transaction_isolation", "read committed"},
    {"default_transaction_read_only", "off"},
    {"default_transaction_deferrable", "off"},
    {"default_tablespace", ""},
    {"synchronous_commit", "on"},
    {"row_security", "on"},
    {"session_replication_role", "origin"},
    {"createrole_self_grant", "", 16},
    {"standard_conforming_strings", "on"},
    {"backslash_quote", "safe_encoding"},
    {"transform_null_equals", "off"},
    {"client_min_messages", "notice"},
    {"DateStyle", "ISO, MDY"},
    {"IntervalStyle", "postgres"},
    {"TimeZone", "UTC"},
    {"bytea_output", "hex"},
    {"extra_float_digits", "1"},
    {"jit", "off"},
};

std::string names(std::span<const Since> roles, int major) {
    std::string list;
    for (const Since& role : roles) {
        if (role.major > major) continue;
        if (!list.empty()) list += ", ";
        list += role.name;
    }
    return list;
}

/// One statement, so that a new directory needs one commit for it.
std::string superuser_settings(int major) {
    std::string body = "BEGIN ";
    for (const Setting& setting : kSuperuserSettings) {
        if (setting.major > major) continue;
        // search_path and DateStyle are lists: not as one quoted word.
        const bool list = setting.value.find(',') != std::string_view::npos;
        body += fmt::format("ALTER ROLE {} SET {} = {}; ", kSuperuser, setting.name,
                            list ? std::string(setting.value) : pg::quote_literal(setting.value));
    }
    return "DO " + pg::quote_literal(body + "END") + ";";
}

/// {} are: the roles as an array, the mark, the administrators' role. REVOKE ... CASCADE: since 16
/// what a role has handed on hangs on what it has.
constexpr std::string_view kTokenAdministrators = R"(DECLARE
  wanted text[] := {0};
  role text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{1}') THEN
    CREATE ROLE {1} NOLOGIN;
  END IF;
  FOREACH role IN ARRAY wanted LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role) THEN
      EXECUTE pg_catalog.format('CREATE ROLE %I', role);
      EXECUTE pg_catalog.format('GRANT {1} TO %I', role);
    ELSIF NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members m
        JOIN pg_catalog.pg_roles r ON r.oid = m.member
        JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
        WHERE r.rolname = role AND g.rolname = '{1}') THEN
      RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
        MESSAGE = pg_catalog.format('role "%s" already exists', role);
    END IF;
    EXECUTE pg_catalog.format('ALTER ROLE %I LOGIN INHERIT CREATEDB CREATEROLE NOSUPERUSER '
      'NOREPLICATION NOBYPASSRLS CONNECTION LIMIT -1 PASSWORD NULL VALID UNTIL %L',
      role, 'infinity');
    EXECUTE pg_catalog.format('GRANT {2} TO %I WITH ADMIN OPTION', role);
  END LOOP;
  FOR role IN SELECT r.rolname FROM pg_catalog.pg_auth_members m
      JOIN pg_catalog.pg_roles r ON r.oid = m.member
      JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
      WHERE g.rolname = '{1}' AND r.rolname <> ALL (wanted) LOOP
    EXECUTE pg_catalog.format(
      'ALTER ROLE %I NOLOGIN NOCREATEDB NOCREATEROLE PASSWORD NULL', role);
    EXECUTE pg_catalog.format('REVOKE {2} FROM %I CASCADE', role);
  END LOOP;
END)";

/// {} is the mark.
constexpr std::string_view kDropTokenRoles = R"(DECLARE
  role text;
BEGIN
  FOR role IN SELECT r.rolname FROM pg_catalog.pg_auth_members m
      JOIN pg_catalog.pg_roles r ON r.oid = m.member
      JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
      WHERE g.rolname = '{0}' AND NOT r.rolcanlogin LOOP
    BEGIN
      EXECUTE pg_catalog.format('DROP ROLE %I', role);
    EXCEPTION WHEN dependent_objects_still_exist THEN NULL;
    END;
  END LOOP;
END)";

std::string text_array(const std::vector<std::string>& texts) {
    std::string list;
    for (const std::string& each : texts) {
        if (!list.empty()) list += ", ";
        list += pg::quote_literal(each);
    }
    return "ARRAY[" + list + "]::pg_catalog.text[]";
}

}  // namespace

std::vector<std::string> bootstrap_statements(int major) {
    std::vector<std::string> statements = {
        fmt::format("CREATE ROLE {} NOLOGIN;", kAdministratorsRole),
        fmt::format("GRANT {} TO {} WITH ADMIN OPTION;", names(kAdministratorRights, major),
                    kAdministratorsRole),
    };
    if (major >= kFirstMajorWithGrantOptions) {
        statements.push_back(
            fmt::format("GRANT {} TO {} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;",
                        names(kGrantableRights, major), kAdministratorsRole));
    }
    statements.push_back(superuser_settings(major));
    // As on Azure. The owner may create schemas, and since 15 tables in the schema public.
    for (const std::string_view database : {"postgres", "template1"}) {
        statements.push_back(
            fmt::format("ALTER DATABASE {} OWNER TO {};", database, kAdministratorsRole));
    }
    statements.push_back(fmt::format("CREATE DATABASE {} TEMPLATE template0 CONNECTION LIMIT 0;",
                                     kMaintenanceDatabase));
    statements.push_back(
        fmt::format("REVOKE ALL ON DATABASE {} FROM PUBLIC;", kMaintenanceDatabase));
    return statements;
}

std::string administrator_sql(std::string_view login, std::string_view verifier) {
    const std::string name = pg::quote_identifier(login);
    const std::string create = fmt::format(
        "BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {}) THEN "
        "CREATE ROLE {}; END IF; END",
        pg::quote_literal(login), name);
    return fmt::format(
        "DO {}; "
        "ALTER ROLE {} LOGIN INHERIT CREATEDB CREATEROLE NOSUPERUSER NOREPLICATION NOBYPASSRLS "
        "CONNECTION LIMIT -1 PASSWORD {} VALID UNTIL 'infinity'; "
        "GRANT {} TO {} WITH ADMIN OPTION;",
        pg::quote_literal(create), name, pg::quote_literal(verifier), kAdministratorsRole, name);
}

namespace {

std::string own_role_sql(std::string_view name, std::string_view rights,
                         std::string_view verifier) {
    const std::string create = fmt::format(
        "BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {}) THEN "
        "CREATE ROLE {}; END IF; END",
        pg::quote_literal(name), name);
    return fmt::format(
        "DO {}; ALTER ROLE {} LOGIN {} NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS "
        "PASSWORD {};",
        pg::quote_literal(create), name, rights, pg::quote_literal(verifier));
}

}  // namespace

std::string replication_role_sql(std::string_view verifier) {
    return own_role_sql(kReplicationRole, "REPLICATION", verifier);
}

std::string follower_role_sql(std::string_view verifier) {
    return own_role_sql(kFollowerRole, "REPLICATION", verifier);
}

std::string pooler_role_sql(std::string_view verifier) {
    return own_role_sql(model::kPoolerRole, "INHERIT NOREPLICATION", verifier) +
           fmt::format(
               " ALTER ROLE {0} SET search_path = pg_catalog; "
               "ALTER ROLE {0} SET default_transaction_read_only = on; "
               "GRANT pg_read_all_data TO {0};",
               model::kPoolerRole);
}

std::string pooler_databases_sql() {
    const std::string body = fmt::format(
        "DECLARE name text; BEGIN FOR name IN SELECT datname FROM pg_catalog.pg_database "
        "WHERE datallowconn AND datname <> {1} AND NOT pg_catalog.has_database_privilege({0}, oid, "
        "'CONNECT') LOOP EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO {2}', name); "
        "END LOOP; END",
        pg::quote_literal(model::kPoolerRole), pg::quote_literal(kMaintenanceDatabase),
        model::kPoolerRole);
    return "DO " + pg::quote_literal(body) + ";";
}

std::string backup_role_sql() {
    // The database was closed to all but superusers. PUBLIC cannot connect to it, nor does
    // pg_hba.conf let anybody else in. Until PostgreSQL 14 the functions have other names; who may
    // call them is a matter of the database they are called in.
    const std::string body = fmt::format(
        "DECLARE name text; BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {0}) "
        "THEN RETURN; END IF; CREATE ROLE {1} LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE "
        "NOREPLICATION NOBYPASSRLS; GRANT pg_read_all_settings TO {1}; "
        "ALTER DATABASE {2} CONNECTION LIMIT 4; GRANT CONNECT ON DATABASE {2} TO {1}; "
        "FOREACH name IN ARRAY ARRAY['pg_backup_start(text,boolean)', 'pg_backup_stop(boolean)', "
        "'pg_start_backup(text,boolean,boolean)', 'pg_stop_backup(boolean,boolean)', "
        "'pg_create_restore_point(text)', 'pg_switch_wal()'] LOOP "
        "name := 'pg_catalog.' || name; "
        "IF pg_catalog.to_regprocedure(name) IS NOT NULL THEN "
        "EXECUTE 'GRANT EXECUTE ON FUNCTION ' || name || ' TO {1}'; END IF; END LOOP; END",
        pg::quote_literal(kBackupRole), kBackupRole, kMaintenanceDatabase);
    return "DO " + pg::quote_literal(body) + ";";
}

std::string token_administrators_sql(const std::vector<std::string>& roles) {
    return "DO " +
           pg::quote_literal(fmt::format(kTokenAdministrators, text_array(roles), kTokenRolesMark,
                                         kAdministratorsRole)) +
           ";";
}

std::string end_sessions_sql(const std::vector<std::string>& roles) {
    return fmt::format(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity "
        "WHERE usename = ANY ({});",
        text_array(roles));
}

std::string drop_token_roles_sql() {
    return "DO " + pg::quote_literal(fmt::format(kDropTokenRoles, kTokenRolesMark)) + ";";
}

std::string create_database_sql(const model::DatabaseSpec& database) {
    // template0, because only it allows another encoding or collation.
    return fmt::format(
        "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {};",
        pg::quote_identifier(database.name), kAdministratorsRole,
        pg::quote_literal(database.charset), pg::quote_literal(database.collation),
        pg::quote_literal(database.collation));
}

std::string no_template_sql(std::string_view name) {
    return fmt::format("ALTER DATABASE {} IS_TEMPLATE false;", pg::quote_identifier(name));
}

std::string drop_database_sql(std::string_view name) {
    return fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE);", pg::quote_identifier(name));
}

std::map<std::string, std::string> extension_scripts() {
    // Run by the superuser in the customer's database: no operator and no function is looked up
    // by search_path, because the customer could have made one that fits better.
    const auto grant_functions = [](std::string_view extension) {
        return fmt::format(
            "DO $howdah$ DECLARE member pg_catalog.regprocedure; BEGIN FOR member IN "
            "SELECT d.objid::pg_catalog.regprocedure FROM pg_catalog.pg_depend d "
            "JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid "
            "WHERE d.classid OPERATOR(pg_catalog.=) 1255::pg_catalog.oid "
            "AND d.refclassid OPERATOR(pg_catalog.=) 3079::pg_catalog.oid "
            "AND d.deptype OPERATOR(pg_catalog.=) 'e'::pg_catalog.\"char\" "
            "AND e.extname OPERATOR(pg_catalog.=) '{}'::pg_catalog.name "
            "LOOP EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO {} "
            "WITH GRANT OPTION', member); END LOOP; END $howdah$;\n",
            extension, kAdministratorsRole);
    };
    const auto grant_wrapper = [](std::string_view wrapper) {
        return fmt::format("GRANT USAGE ON FOREIGN DATA WRAPPER {} TO {} WITH GRANT OPTION;\n",
                           wrapper, kAdministratorsRole);
    };
    return {
        {"extensions/amcheck/after-create.sql", grant_functions("amcheck")},
        {"extensions/pg_stat_statements/after-create.sql", grant_functions("pg_stat_statements")},
        {"extensions/dblink/after-create.sql", grant_wrapper("dblink_fdw")},
        {"extensions/postgres_fdw/after-create.sql", grant_wrapper("postgres_fdw")},
    };
}

}  // namespace howdah::agent
