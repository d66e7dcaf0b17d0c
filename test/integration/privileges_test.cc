#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "agent/config/render.h"
#include "base/text.h"
#include "integration/postgres_support.h"
#include "os/file.h"
#include "places.h"

/// An administrator attacks a real server, and does its everyday work on it.
namespace howdah::test {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kAllowed =
    "dblink,earthdistance,hstore,pg_stat_statements,pgcrypto,postgres_fdw,uuid-ossp";

class Privileges : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (engine_folder().empty()) return;
        auto started = PostgresServer::start({{"azure.extensions", kAllowed}});
        ASSERT_TRUE(started.ok()) << started.error().describe();
        server_ = std::move(started).value();
        auto superuser = server_->as_superuser();
        ASSERT_TRUE(superuser.ok()) << superuser.error().describe();
        // What an attacker may find: a second role and a customer's database.
        auto admin = server_->as_administrator();
        ASSERT_TRUE(admin.ok()) << admin.error().describe();
        for (const char* sql : {"CREATE ROLE bob LOGIN PASSWORD 'Bob-Password-1'",
                                "CREATE DATABASE sales", "CREATE TABLE notes(text text)",
                                "CREATE EXTENSION dblink", "CREATE EXTENSION pgcrypto"}) {
            const Status done = admin->execute(sql);
            ASSERT_TRUE(done.ok()) << sql << ": " << done.error().describe();
        }
    }
    static void TearDownTestSuite() { server_.reset(); }
    void SetUp() override {
        if (engine_folder().empty()) GTEST_SKIP() << "PostgreSQL is not installed";
        ASSERT_NE(server_, nullptr) << "the server did not start";
    }

    static pg::Connection administrator(const std::string& database = "postgres") {
        auto session = server_->as_administrator(database);
        EXPECT_TRUE(session.ok()) << session.error().describe();
        return std::move(session).value();
    }
    static std::string ask_superuser(const std::string& sql) {
        auto session = server_->as_superuser();
        EXPECT_TRUE(session.ok()) << session.error().describe();
        const auto rows = session->query(sql);
        EXPECT_TRUE(rows.ok()) << rows.error().describe();
        return rows.ok() && !rows->rows.empty() ? rows->rows[0][0].value_or("NULL") : "no row";
    }

    static inline std::unique_ptr<PostgresServer> server_;
};

struct Attack {
    const char* sql;
    const char* code = "42501";  ///< the SQLSTATE that has to come
};

// The ways out of the database, and into what is Howdah's. None of them may work.
constexpr Attack kAttacks[] = {
    // A shell and the files of the host, by every statement that makes members.
    {"GRANT pg_execute_server_program TO ada"},
    {"GRANT pg_read_server_files TO ada"},
    {"GRANT pg_write_server_files TO CURRENT_USER"},
    {"GRANT pg_monitor, pg_execute_server_program TO bob"},
    {"CREATE ROLE mallory IN ROLE pg_execute_server_program"},
    {"CREATE USER mallory IN GROUP pg_write_server_files"},
    {"CREATE ROLE mallory ROLE pg_monitor"},
    {"CREATE ROLE mallory ADMIN howdah"},
    {"ALTER GROUP pg_execute_server_program ADD USER ada"},
    {"ALTER GROUP pg_read_server_files ADD USER CURRENT_USER"},
    {"GRANT howdah TO ada"},
    {"ALTER GROUP howdah ADD USER ada"},
    {"DO $$BEGIN GRANT pg_execute_server_program TO ada; END$$"},
    {"DO $$BEGIN EXECUTE 'GRANT ' || 'pg_execute_server' || '_program TO ada'; END$$"},
    {"CREATE FUNCTION f() RETURNS void LANGUAGE sql SECURITY DEFINER AS "
     "'GRANT pg_execute_server_program TO ada'; SELECT f()"},
    {"CREATE PROCEDURE p() LANGUAGE plpgsql AS "
     "'BEGIN GRANT pg_execute_server_program TO ada; END'; CALL p()"},
    {"SET ROLE pg_execute_server_program"},
    {"SET ROLE howdah"},
    {"SET SESSION AUTHORIZATION howdah"},
    // More attributes than an administrator has.
    {"ALTER ROLE ada SUPERUSER"},
    {"ALTER ROLE ada REPLICATION"},
    {"ALTER ROLE ada BYPASSRLS"},
    {"CREATE ROLE mallory SUPERUSER"},
    {"CREATE ROLE mallory REPLICATION LOGIN"},
    {"CREATE ROLE mallory BYPASSRLS"},
    // Howdah's own roles.
    {"ALTER ROLE howdah PASSWORD 'x'"},
    {"ALTER ROLE howdah NOSUPERUSER"},
    {"ALTER ROLE howdah RENAME TO mallory"},
    {"ALTER ROLE howdah SET search_path = public"},
    {"ALTER ROLE ALL SET search_path = public"},
    {"DROP ROLE howdah"},
    {"ALTER ROLE azure_pg_admin LOGIN PASSWORD 'x'"},
    {"ALTER ROLE azure_pg_admin RENAME TO mallory"},
    {"ALTER ROLE azure_pg_admin SET role = 'howdah'"},
    {"DROP ROLE azure_pg_admin"},
    {"REVOKE pg_monitor FROM azure_pg_admin"},
    {"ALTER GROUP pg_monitor DROP USER azure_pg_admin"},
    {"DROP OWNED BY azure_pg_admin"},
    {"DROP OWNED BY howdah"},
    {"REASSIGN OWNED BY azure_pg_admin TO ada"},
    {"REASSIGN OWNED BY howdah TO ada"},
    {"REASSIGN OWNED BY bob TO howdah"},
    {"COMMENT ON ROLE pg_monitor IS 'mine'"},
    {"COMMENT ON ROLE howdah IS 'mine'"},
    {"DROP ROLE ada"},
    {"DROP ROLE CURRENT_USER"},
    {"ALTER ROLE ada RENAME TO mallory"},
    {"CREATE ROLE azure_superuser"},
    {"CREATE ROLE azuresu"},
    {"CREATE ROLE howdah_agent LOGIN"},
    {"CREATE ROLE pg_mallory"},
    {"ALTER ROLE bob RENAME TO azure_bob"},
    // Extensions.
    {"CREATE EXTENSION file_fdw"},
    {"CREATE EXTENSION adminpack"},
    {"CREATE EXTENSION citext"},  // trusted, but not on the list
    {"CREATE EXTENSION IF NOT EXISTS citext"},
    {"DO $$BEGIN EXECUTE 'CREATE EXTENSION citext'; END$$"},
    {"CREATE EXTENSION earthdistance CASCADE"},  // on the list, but its cube is not
    {"CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
     "ALTER EXTENSION pgcrypto ADD FUNCTION g()"},
    {"ALTER EXTENSION plpgsql UPDATE"},
    {"DROP EXTENSION plpgsql"},
    {"COMMENT ON EXTENSION plpgsql IS 'mine'"},
    {"CREATE EXTENSION hstore VERSION 'x/../../../tmp/evil'"},
    {"ALTER EXTENSION pgcrypto UPDATE TO '/tmp/evil'"},
    {"SET extwlist.extensions = 'file_fdw'"},
    {"SET azure.extensions = 'file_fdw'", "55P02"},
    {"LOAD 'auto_explain'"},
    {"LOAD '$libdir/plugins/x'"},
    // Code and files.
    {"COPY (SELECT 1) TO PROGRAM 'id'"},
    {"COPY notes FROM PROGRAM 'id'"},
    {"COPY notes FROM '/etc/passwd'"},
    {"COPY notes TO '/tmp/howdah-notes'"},
    {"DO $$BEGIN COPY notes FROM PROGRAM 'id'; END$$"},
    {"SELECT pg_read_file('/etc/passwd')"},
    {"SELECT pg_read_binary_file('PG_VERSION')"},
    {"SELECT pg_ls_dir('/')"},
    {"SELECT pg_stat_file('/etc/passwd')"},
    {"SELECT lo_import('/etc/passwd')"},
    {"SELECT lo_export(1, '/tmp/howdah-lo')"},
    {"CREATE FUNCTION h() RETURNS int LANGUAGE c AS 'libc.so.6', 'system'"},
    {"CREATE FUNCTION h() RETURNS int LANGUAGE internal AS 'pg_reload_conf'"},
    {"CREATE LANGUAGE plpython3u"},
    {"CREATE TABLESPACE mine LOCATION '/tmp'"},
    {"CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION nothing()"},
    {"CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1' PUBLICATION p"},
    {"CREATE PUBLICATION p FOR ALL TABLES"},
    {"SELECT pg_create_physical_replication_slot('s')"},
    {"SELECT pg_create_logical_replication_slot('s', 'pgoutput')"},
    // The server's configuration.
    {"ALTER SYSTEM SET fsync = off"},
    {"SELECT pg_reload_conf()"},
    {"SELECT pg_rotate_logfile()"},
    {"SET session_replication_role = replica"},
    {"SET zero_damaged_pages = on"},
    {"SET session_preload_libraries = 'x'"},
    {"SET allow_system_table_mods = on"},
    {"ALTER ROLE ada SET session_preload_libraries = 'x'"},
    {"ALTER ROLE ada SET local_preload_libraries = 'x'"},
    {"ALTER DATABASE postgres SET local_preload_libraries = 'x'"},
    {"ALTER DATABASE postgres SET dynamic_library_path = '/tmp'"},
    {"ALTER ROLE ada SET howdah.administrator = ''"},
    // The catalogs.
    {"UPDATE pg_authid SET rolsuper = true WHERE rolname = 'ada'"},
    {"SELECT rolpassword FROM pg_authid"},
    {"INSERT INTO pg_auth_members(roleid, member, grantor) VALUES (4571, 10, 10)"},
    {"GRANT SELECT ON pg_authid TO ada; SELECT rolpassword FROM pg_authid"},
    {"ALTER FUNCTION pg_reload_conf() OWNER TO ada"},
    {"CREATE TABLE pg_catalog.mine(a int)"},
    // pg_group is a view over pg_authid that can be written, and pg_write_all_data may.
    {"GRANT pg_write_all_data TO ada; UPDATE pg_group SET groname = 'harmless' "
     "WHERE groname = 'pg_execute_server_program'"},
    {"GRANT pg_write_all_data TO ada; DELETE FROM pg_group WHERE groname = 'azure_pg_admin'"},
    {"GRANT pg_write_all_data TO ada; INSERT INTO pg_group(groname) VALUES ('azure_x')"},
    {"GRANT pg_write_all_data TO ada; CREATE VIEW mine AS SELECT * FROM pg_group; "
     "UPDATE mine SET groname = 'harmless' WHERE groname = 'pg_monitor'"},
    {"GRANT pg_write_all_data TO ada; WITH u AS (UPDATE pg_group SET groname = 'harmless' "
     "WHERE groname = 'pg_monitor' RETURNING 1) SELECT * FROM u"},
    {"GRANT pg_write_all_data TO ada; LOCK TABLE pg_roles IN ACCESS EXCLUSIVE MODE"},
    {"GRANT pg_write_all_data TO ada; LOCK pg_catalog.pg_group, notes NOWAIT"},
    {"GRANT pg_write_all_data TO ada; LOCK ONLY pg_shadow IN SHARE MODE"},
    {"GRANT pg_write_all_data TO ada; DO $$BEGIN EXECUTE 'LOCK pg_us' || 'er'; END$$"},
    {"GRANT pg_write_all_data TO ada; CREATE VIEW mine AS SELECT * FROM pg_roles; LOCK mine"},
    {"GRANT pg_write_all_data TO ada; DELETE FROM information_schema.sql_features"},
    {"GRANT pg_write_all_data TO ada; COPY information_schema.sql_features FROM STDIN"},
    // The server's databases.
    {"ALTER DATABASE postgres RENAME TO mine"},
    {"ALTER DATABASE postgres OWNER TO ada"},
    {"ALTER DATABASE postgres ALLOW_CONNECTIONS false"},
    {"ALTER DATABASE postgres CONNECTION LIMIT 0"},
    {"ALTER DATABASE template1 IS_TEMPLATE false"},
    {"ALTER DATABASE azure_maintenance OWNER TO ada"},
    {"ALTER DATABASE azure_maintenance SET search_path = public"},
    {"ALTER DATABASE sales RENAME TO azure_sys"},
    {"DROP DATABASE template1"},
    {"DROP DATABASE azure_maintenance"},
    {"CREATE DATABASE azure_sys"},
    {"CREATE DATABASE mine TEMPLATE azure_maintenance"},
    {"CREATE DATABASE mine OWNER howdah"},
    // The superuser's sessions.
    {"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'howdah'"},
    {"SELECT dblink_connect_u('host=/tmp user=howdah')"},
};

TEST_F(Privileges, no_attack_of_an_administrator_works) {
    auto superuser = server_->as_superuser();  // somebody for pg_terminate_backend to end
    ASSERT_TRUE(superuser.ok());
    for (const Attack& attack : kAttacks) {
        SCOPED_TRACE(attack.sql);
        auto session = administrator();
        const Status result = session.execute(attack.sql);
        if (result.ok()) {
            ADD_FAILURE() << "it worked";
            continue;
        }
        EXPECT_EQ(result.error().target, attack.code) << result.error().describe();
    }
    EXPECT_TRUE(superuser->execute("SELECT 1").ok()) << "the superuser's session was ended";
    EXPECT_EQ(ask_superuser("SELECT count(*) FROM pg_roles WHERE rolsuper OR rolreplication"), "1");
    EXPECT_EQ(
        ask_superuser("SELECT string_agg(r.rolname, ',') FROM pg_auth_members m "
                      "JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member "
                      "WHERE u.rolname IN ('ada', 'bob', 'mallory') AND r.rolname <> 'bob'"),
        "azure_pg_admin");
    EXPECT_EQ(ask_superuser("SELECT count(*) FROM pg_roles WHERE rolname = 'mallory'"), "0");
}

TEST_F(Privileges, dropping_the_database_postgres_from_another_one_is_refused) {
    auto session = administrator("sales");
    const Status result = session.execute("DROP DATABASE postgres");
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().target, "42501");
}

// A view of the customer's own is no way around either: a name may come to mean another relation
// while LOCK waits for it.
TEST_F(Privileges, a_name_that_changes_its_meaning_locks_no_catalog) {
    auto first = administrator();
    auto second = administrator();
    ASSERT_TRUE(first
                    .execute("GRANT pg_write_all_data TO ada; CREATE SCHEMA evil; "
                             "CREATE TABLE evil.pg_roles(a int)")
                    .ok());
    ASSERT_TRUE(second.execute("BEGIN; DROP TABLE evil.pg_roles").ok());
    Status locked;
    std::jthread locker([&] {
        locked = first.execute("SET search_path = evil, pg_catalog; BEGIN; LOCK TABLE pg_roles");
    });
    while (ask_superuser("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") ==
           "0")
        std::this_thread::yield();
    ASSERT_TRUE(second.execute("COMMIT").ok());
    locker.join();
    ASSERT_FALSE(locked.ok());
    EXPECT_EQ(locked.error().target, "42501") << locked.error().describe();
    auto third = administrator();
    ASSERT_TRUE(third.execute("REVOKE pg_write_all_data FROM ada; DROP SCHEMA evil CASCADE").ok());
}

TEST_F(Privileges, lock_table_does_what_it_did) {
    auto session = administrator();
    const auto held = [&](const std::string& what) {
        const auto rows = session.query(
            "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND mode = "
            "'ShareRowExclusiveLock' AND relation = '" +
            what + "'::regclass");
        return rows.ok() ? rows->at(0, 0) : rows.error().describe();
    };
    ASSERT_TRUE(session
                    .execute("CREATE TABLE part(a int) PARTITION BY LIST (a); "
                             "CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1); "
                             "CREATE TABLE alone(a int)")
                    .ok());
    EXPECT_EQ(session.execute("LOCK TABLE alone").error().target, "25P01") << "no transaction";
    ASSERT_TRUE(session.execute("BEGIN; LOCK part, alone IN SHARE ROW EXCLUSIVE MODE NOWAIT").ok());
    for (const char* each : {"part", "part1", "alone"}) EXPECT_EQ(held(each), "1") << each;
    ASSERT_TRUE(
        session.execute("ROLLBACK; BEGIN; LOCK ONLY part IN SHARE ROW EXCLUSIVE MODE").ok());
    EXPECT_EQ(held("part"), "1");
    EXPECT_EQ(held("part1"), "0");
    ASSERT_TRUE(
        session.execute("ROLLBACK; CREATE ROLE nobody; GRANT nobody TO ada; SET ROLE nobody").ok());
    const Status refused = session.execute("BEGIN; LOCK TABLE alone IN ACCESS SHARE MODE");
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().target, "42501") << "the role has no right on the table";
    ASSERT_TRUE(
        session.execute("ROLLBACK; RESET ROLE; DROP ROLE nobody; DROP TABLE part, alone").ok());
}

TEST_F(Privileges, functions_of_extensions_have_the_rights_of_who_calls_them) {
    auto session = administrator("sales");
    ASSERT_TRUE(session.execute("CREATE EXTENSION dblink").ok());
    const auto rows = session.query(
        "SELECT count(*) FILTER (WHERE prosecdef), count(*) FROM pg_proc "
        "WHERE proname LIKE 'dblink_connect%'");
    ASSERT_TRUE(rows.ok());
    EXPECT_EQ(rows->at(0, 0), "0") << "dblink_connect_u is SECURITY DEFINER in its script";
    EXPECT_EQ(rows->at(0, 1), "4");
    ASSERT_TRUE(session.execute("DROP EXTENSION dblink").ok());
}

// A stand-in for a careless function of an extension that runs a customer's code.
TEST_F(Privileges, code_that_runs_as_the_superuser_by_mistake_stays_inside) {
    auto superuser = server_->as_superuser("postgres");
    ASSERT_TRUE(superuser
                    ->execute("CREATE FUNCTION public.careless(text) RETURNS void LANGUAGE plpgsql "
                              "SECURITY DEFINER AS 'BEGIN EXECUTE $1; END'")
                    .ok());
    auto session = administrator();
    for (const char* sql : {"SELECT pg_read_file('/etc/passwd')", "SELECT lo_import('/etc/passwd')",
                            "SELECT lo_export(1, '/tmp/howdah-lo')", "SELECT pg_ls_dir('/')",
                            "CREATE FUNCTION h() RETURNS int LANGUAGE c AS 'libc.so.6', 'system'",
                            "CREATE FUNCTION h() RETURNS int LANGUAGE INTERNAL AS 'pg_reload_conf'",
                            "COPY notes FROM '/etc/passwd'", "ALTER ROLE ada SUPERUSER",
                            "ALTER SYSTEM SET fsync = off", "UPDATE pg_authid SET rolsuper = true",
                            "LOCK pg_authid", "GRANT howdah TO ada"}) {
        const auto done = session.query("SELECT careless($1)", {sql});
        ASSERT_FALSE(done.ok()) << sql;
        EXPECT_EQ(done.error().target, "42501") << sql << ": " << done.error().describe();
    }
    ASSERT_TRUE(superuser->execute("DROP FUNCTION public.careless").ok());
}

TEST_F(Privileges, a_refusal_says_what_to_do) {
    auto session = administrator();
    const Status result = session.execute("CREATE EXTENSION citext");
    ASSERT_FALSE(result.ok());
    EXPECT_THAT(result.error().message, HasSubstr("extension \"citext\" is not allowed"));
    EXPECT_EQ(ask_superuser("SELECT count(*) FROM pg_extension WHERE extname = 'citext'"), "0");
}

TEST_F(Privileges, an_extension_is_allowed_and_forbidden_by_a_reload) {
    const std::string more = std::string(kAllowed) + ",citext";
    ASSERT_TRUE(server_->reconfigure({{"azure.extensions", more}}).ok());
    for (int attempt = 0; attempt < 200 && ask_superuser("SHOW azure.extensions") != more;)
        ++attempt;
    auto session = administrator("sales");
    const Status made = session.execute("CREATE EXTENSION citext");
    EXPECT_TRUE(made.ok()) << made.error().describe();
    EXPECT_TRUE(session.execute("DROP EXTENSION citext").ok());
    ASSERT_TRUE(server_->reconfigure({{"azure.extensions", kAllowed}}).ok());
    for (int attempt = 0; attempt < 200 && ask_superuser("SHOW azure.extensions") == more;)
        ++attempt;
    session = administrator("sales");
    EXPECT_FALSE(session.execute("CREATE EXTENSION citext").ok());
}

TEST_F(Privileges, nobody_becomes_the_superuser_through_dblink_and_the_socket) {
    auto session = administrator();
    for (const std::string& how : {std::string(), std::string(" password=x")}) {
        const std::string target = fmt::format("host={} port={} dbname=postgres user=howdah{}",
                                               server_->folder("socket"), server_->port(), how);
        const auto rows = session.query("SELECT * FROM dblink('" + target +
                                        "', 'SELECT current_user') AS t(name text)");
        EXPECT_FALSE(rows.ok()) << rows->at(0, 0);
    }
}

/// Behind one may be another server of the machine, and where all run as one operating-system user
/// no folder would keep them apart.
TEST_F(Privileges, no_session_opens_a_unix_socket) {
    auto session = administrator();
    const std::string ask = fmt::format(
        "SELECT x FROM dblink('host={} port={} dbname=postgres user=root password=x', 'SELECT 1') "
        "AS t(x int)",
        server_->folder("socket"), server_->port());
    const auto refused = [&](std::string_view sql) {
        const auto rows = session.query(sql);
        ASSERT_FALSE(rows.ok()) << sql;
        EXPECT_THAT(rows.error().message, HasSubstr("could not establish connection")) << sql;
        EXPECT_THAT(rows.error().describe(), HasSubstr("could not create socket: Permission"))
            << sql;
    };
    refused(ask);
    // A customer can call what it likes safe for parallel workers.
    ASSERT_TRUE(session
                    .execute(fmt::format("CREATE FUNCTION by_worker() RETURNS int LANGUAGE plpgsql "
                                         "PARALLEL SAFE AS $f$ BEGIN RETURN ({}); END $f$",
                                         ask))
                    .ok());
    // Since PostgreSQL 16 under another name.
    ASSERT_TRUE(session
                    .query("SELECT pg_catalog.set_config(name, 'on', false) FROM pg_settings "
                           "WHERE name IN ('force_parallel_mode', 'debug_parallel_query')")
                    .ok());
    refused("SELECT by_worker()");
    // Before anything is executed: the plan is made with the other server's help.
    for (const std::string& sql :
         {std::string("CREATE EXTENSION postgres_fdw"),
          fmt::format("CREATE SERVER by_plan FOREIGN DATA WRAPPER postgres_fdw OPTIONS "
                      "(host '{}', port '{}', use_remote_estimate 'true')",
                      server_->folder("socket"), server_->port()),
          std::string("CREATE USER MAPPING FOR CURRENT_USER SERVER by_plan OPTIONS "
                      "(user 'root', password 'x')"),
          std::string("CREATE FOREIGN TABLE planned (x int) SERVER by_plan")}) {
        const Status done = session.execute(sql);
        ASSERT_TRUE(done.ok()) << sql << done.error().describe();
    }
    auto fresh = administrator();
    const auto rows = fresh.query("SELECT x FROM planned");
    ASSERT_FALSE(rows.ok());
    EXPECT_THAT(rows.error().describe(), HasSubstr("could not create socket: Permission"));
    ASSERT_TRUE(session.execute("DROP EXTENSION postgres_fdw CASCADE").ok());
    ASSERT_TRUE(session.execute("DROP FUNCTION by_worker()").ok());
}

TEST_F(Privileges, the_superuser_enters_only_by_the_socket) {
    const auto over_tcp = server_->as_user("howdah", "", "postgres");
    ASSERT_FALSE(over_tcp.ok());
    EXPECT_THAT(over_tcp.error().message, HasSubstr("reject"));
    EXPECT_EQ(ask_superuser("SELECT count(*) FROM pg_authid WHERE rolname = 'howdah' "
                            "AND rolpassword IS NOT NULL"),
              "0");
    EXPECT_EQ(ask_superuser("SELECT current_user"), "howdah");
}

TEST_F(Privileges, the_maintenance_database_is_closed) {
    EXPECT_FALSE(server_->as_administrator("azure_maintenance").ok());
    EXPECT_EQ(ask_superuser("SELECT current_database()"), "azure_maintenance");
}

TEST_F(Privileges, plain_connections_are_refused_until_the_customer_allows_them) {
    EXPECT_FALSE(server_->as_user(kAdministrator, kPassword, "postgres", "disable").ok());
    ASSERT_TRUE(
        server_->reconfigure({{"azure.extensions", kAllowed}, {"require_secure_transport", "off"}})
            .ok());
    // A reload is asynchronous: the superuser's next session has seen it once its own rule says so.
    EXPECT_EQ(ask_superuser("SELECT count(*) FROM pg_hba_file_rules WHERE type = 'hostssl' "
                            "AND NOT 'replication' = ANY (database)"),
              "0");
    bool entered = false;
    for (int attempt = 0; attempt < 200 && !entered; ++attempt) {
        entered = server_->as_user(kAdministrator, kPassword, "postgres", "disable").ok();
    }
    EXPECT_TRUE(entered);
    ASSERT_TRUE(server_->reconfigure({{"azure.extensions", kAllowed}}).ok());
}

TEST_F(Privileges, a_wrong_password_and_an_unknown_role_are_refused) {
    EXPECT_FALSE(server_->as_user(kAdministrator, "wrong").ok());
    EXPECT_FALSE(server_->as_user("nobody", kPassword).ok());
}

TEST_F(Privileges, settings_of_a_role_or_database_do_not_reach_the_superuser) {
    auto session = administrator();
    for (const char* sql :
         {"ALTER DATABASE postgres SET search_path = 'evil'", "ALTER ROLE ada SET role = 'howdah'",
          "ALTER DATABASE template1 SET default_transaction_read_only = on"}) {
        const Status done = session.execute(sql);
        EXPECT_TRUE(done.ok()) << done.error().describe();
    }
    EXPECT_EQ(ask_superuser("SHOW search_path"), "pg_catalog, pg_temp");
    auto again = administrator();
    const auto who = again.query("SELECT current_user");
    ASSERT_TRUE(who.ok());
    EXPECT_EQ(who->at(0, 0), "ada");
    ASSERT_TRUE(session.execute("ALTER ROLE ada RESET ALL").ok());
    ASSERT_TRUE(session.execute("ALTER DATABASE postgres RESET ALL").ok());
}

TEST_F(Privileges, a_role_without_rights_can_neither_create_nor_drop_extensions) {
    auto bob = server_->as_user("bob", "Bob-Password-1");
    ASSERT_TRUE(bob.ok()) << bob.error().describe();
    for (const char* sql :
         {"CREATE EXTENSION hstore", "DROP EXTENSION pgcrypto CASCADE",
          "ALTER EXTENSION pgcrypto UPDATE", "COMMENT ON EXTENSION pgcrypto IS ''",
          "GRANT azure_pg_admin TO bob", "CREATE ROLE mallory"}) {
        const Status result = bob->execute(sql);
        ASSERT_FALSE(result.ok()) << sql;
        EXPECT_EQ(result.error().target, "42501") << sql;
    }
}

TEST_F(Privileges, fifteen_connections_are_the_superusers) {
    EXPECT_EQ(ask_superuser("SHOW superuser_reserved_connections"), "15");
    EXPECT_EQ(ask_superuser("SHOW max_connections"), "50");
    std::vector<pg::Connection> sessions;
    std::string message;
    while (sessions.size() < 50 && message.empty()) {
        auto session = server_->as_administrator();
        if (session.ok()) {
            sessions.push_back(std::move(session).value());
        } else {
            message = session.error().message;
        }
    }
    EXPECT_EQ(sessions.size(), 35U);
    EXPECT_THAT(message, AnyOf(HasSubstr("reserved"), HasSubstr("too many clients")));
    EXPECT_TRUE(server_->as_superuser().ok());
}

TEST_F(Privileges, the_administrator_is_set_anew_as_often_as_wanted) {
    auto superuser = server_->as_superuser();
    ASSERT_TRUE(superuser.ok());
    const std::string verifier =
        ask_superuser("SELECT rolpassword FROM pg_authid WHERE rolname = 'ada'");
    auto session = administrator();
    ASSERT_TRUE(session.execute("REVOKE azure_pg_admin FROM ada").ok());
    ASSERT_TRUE(superuser->execute("ALTER ROLE ada NOCREATEDB CONNECTION LIMIT 0").ok());
    for (int round = 0; round < 2; ++round) {
        const Status done = superuser->execute(agent::administrator_sql("ada", verifier));
        ASSERT_TRUE(done.ok()) << done.error().describe();
    }
    auto healed = server_->as_administrator();
    ASSERT_TRUE(healed.ok()) << healed.error().describe();
    EXPECT_EQ(ask_superuser("SELECT rolcreatedb AND pg_has_role('ada', 'azure_pg_admin', 'member') "
                            "FROM pg_roles WHERE rolname = 'ada'"),
              "t");
}

TEST_F(Privileges, no_verifier_reaches_logs_or_statistics) {
    auto superuser = server_->as_superuser();
    ASSERT_TRUE(superuser.ok());
    ASSERT_TRUE(server_
                    ->reconfigure({{"azure.extensions", kAllowed},
                                   {"log_statement", "all"},
                                   {"log_min_duration_statement", "0"}})
                    .ok());
    const std::string verifier =
        ask_superuser("SELECT rolpassword FROM pg_authid WHERE rolname = 'ada'");
    ASSERT_THAT(verifier, StartsWith("SCRAM-SHA-256$"));
    const std::string sql = agent::administrator_sql("ada", verifier);
    ASSERT_TRUE(superuser->execute(sql).ok());
    EXPECT_FALSE(superuser->execute(sql + " SELECT 1/0").ok());
    auto session = administrator();
    ASSERT_TRUE(session.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").ok());
    const auto seen =
        session.query("SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%SCRAM-SHA-256%'");
    ASSERT_TRUE(seen.ok()) << seen.error().describe();
    EXPECT_EQ(seen->at(0, 0), "0");
    const auto logs = os::list_folder(server_->folder("log"));
    ASSERT_TRUE(logs.ok());
    EXPECT_GE(logs->size(), 2U);
    for (const std::string& name : *logs) {
        const auto text = os::read_file(server_->folder("log/" + name));
        ASSERT_TRUE(text.ok());
        EXPECT_THAT(*text, Not(HasSubstr(verifier.substr(0, 40)))) << name;
    }
    ASSERT_TRUE(server_->reconfigure({{"azure.extensions", kAllowed}}).ok());
}

// What an administrator does every day; each has to work.
constexpr const char* kEverydayWork[] = {
    "CREATE ROLE app LOGIN PASSWORD 'App-Password-1'",
    "CREATE ROLE readers NOLOGIN",
    "CREATE ROLE writers IN ROLE readers ROLE app",
    "GRANT readers TO app WITH ADMIN OPTION",
    "REVOKE readers FROM app",
    "ALTER GROUP readers ADD USER app",
    "ALTER ROLE app SET search_path = app, public",
    "ALTER ROLE app CONNECTION LIMIT 10 VALID UNTIL '2040-01-01'",
    "ALTER ROLE app RENAME TO application",
    "COMMENT ON ROLE application IS 'the shop'",
    "ALTER ROLE ada PASSWORD 'Correct-Horse-42'",
    "GRANT azure_pg_admin TO application",
    "REVOKE azure_pg_admin FROM application",
    "GRANT pg_monitor, pg_read_all_stats, pg_signal_backend TO application",
    "REVOKE pg_monitor FROM application",
    "GRANT pg_read_all_data TO application",
    "GRANT pg_write_all_data TO application",
    "CREATE TABLE orders(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, total numeric)",
    "INSERT INTO orders(total) SELECT generate_series(1, 100)",
    "GRANT application TO ada",
    "CREATE SCHEMA shop AUTHORIZATION application",
    "CREATE SCHEMA own",
    "GRANT USAGE ON SCHEMA own TO readers",
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO readers",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO readers",
    "GRANT CREATE ON SCHEMA public TO application",
    "ALTER TABLE orders OWNER TO application",
    "REASSIGN OWNED BY application TO ada",
    "CREATE EXTENSION hstore",
    "CREATE EXTENSION \"uuid-ossp\" SCHEMA own",
    "CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
    "CREATE EXTENSION postgres_fdw",
    "CREATE EXTENSION IF NOT EXISTS plpgsql",
    "COMMENT ON EXTENSION hstore IS 'pairs'",
    "ALTER EXTENSION hstore UPDATE",
    "SELECT 'a=>1'::hstore, own.uuid_generate_v4(), crypt('x', gen_salt('bf', 4))",
    "SELECT count(*) FROM pg_stat_statements",
    "SELECT pg_stat_statements_reset()",
    "CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1')",
    "CREATE USER MAPPING FOR ada SERVER other OPTIONS (user 'ada', password 'x')",
    "GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO bob",
    "DROP EXTENSION hstore",
    "DO $$BEGIN PERFORM 1; CREATE ROLE made_in_a_block; DROP ROLE made_in_a_block; END$$",
    "CREATE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 2 * $1; END'",
    "CREATE PUBLICATION news FOR TABLE orders",
    "CHECKPOINT",
    "VACUUM ANALYZE orders",
    "SELECT * FROM pg_stat_activity",
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'application'",
    "SELECT name, setting FROM pg_settings WHERE name = 'data_directory'",
    "UPDATE pg_settings SET setting = '8MB' WHERE name = 'work_mem'",
    "SELECT pg_database_size('sales'), pg_ls_waldir()",
    "SHOW azure.extensions",
    "CREATE DATABASE shop",
    "ALTER DATABASE shop SET timezone = 'Europe/Berlin'",
    "ALTER DATABASE shop OWNER TO application",
    "ALTER DATABASE shop RENAME TO store",
    "DROP DATABASE store",
    "ALTER DATABASE postgres SET statement_timeout = '1h'",
    "ALTER DATABASE postgres RESET statement_timeout",
    "GRANT CONNECT ON DATABASE sales TO bob",
    "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; COMMIT",
    "COPY orders TO STDOUT",
    "DROP OWNED BY application",
};

TEST_F(Privileges, everyday_work_of_an_administrator_works) {
    auto session = administrator();
    for (const char* sql : kEverydayWork) {
        const Status result = session.execute(sql);
        // libpq's one-message interface cannot take COPY's rows; the server allowed it.
        const bool copied = std::string_view(sql).starts_with("COPY");
        EXPECT_TRUE(result.ok() || copied) << sql << ": " << result.error().describe();
        if (session.is_broken()) session = administrator();
    }
}

TEST_F(Privileges, a_new_database_belongs_to_the_administrators) {
    auto superuser = server_->as_superuser();
    ASSERT_TRUE(superuser.ok());
    const Status made = superuser->execute(agent::create_database_sql(
        {.name = "We\"ird; name", .charset = "UTF8", .collation = "C.UTF-8"}));
    ASSERT_TRUE(made.ok()) << made.error().describe();
    auto session = administrator("We\"ird; name");
    for (const char* sql : {"CREATE TABLE mine(a int)", "CREATE SCHEMA also",
                            "CREATE EXTENSION hstore", "ALTER SCHEMA public OWNER TO ada"}) {
        const Status result = session.execute(sql);
        EXPECT_TRUE(result.ok()) << sql << ": " << result.error().describe();
    }
    for (int round = 0; round < 2; ++round) {
        EXPECT_TRUE(superuser->execute(agent::drop_database_sql("We\"ird; name")).ok());
    }
}

TEST_F(Privileges, pagila_is_loaded_by_the_administrator_as_it_is) {
    const std::string datasets = test::source_dir() + "/../shared/datasets/";
    if (!os::exists(datasets + "pagila-schema.sql")) {
        GTEST_SKIP() << "SKIPPED: pagila-schema.sql is not in " << datasets;
    }
    auto superuser = server_->as_superuser();
    ASSERT_TRUE(superuser.ok());
    ASSERT_TRUE(superuser
                    ->execute(agent::create_database_sql(
                        {.name = "pagila", .charset = "UTF8", .collation = "C.UTF-8"}))
                    .ok());
    // The dump's owner.
    auto session = administrator("pagila");
    for (const char* sql : {"CREATE ROLE postgres", "GRANT postgres TO ada",
                            "GRANT ALL ON DATABASE pagila TO postgres"}) {
        const Status result = session.execute(sql);
        ASSERT_TRUE(result.ok()) << result.error().describe();
    }
    for (const char* file : {"pagila-schema.sql", "pagila-data.sql"}) {
        const auto loaded = server_->psql("pagila", datasets + file);
        ASSERT_TRUE(loaded.ok()) << loaded.error().describe();
        ASSERT_TRUE(loaded->succeeded()) << file << ": " << loaded->error_output;
    }
    const auto films = session.query("SELECT count(*) FROM public.film");
    ASSERT_TRUE(films.ok()) << films.error().describe();
    EXPECT_EQ(films->at(0, 0), "1000");
}

}  // namespace
}  // namespace howdah::test
