#include "agent/config/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <optional>
#include <random>

#include "base/text.h"

namespace howdah::agent {
namespace {

using ::testing::Each;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

model::InstanceSpec spec() {
    model::InstanceSpec result;
    result.server_name = "orders";
    result.major = "15";
    result.administrator_login = "ada";
    result.vcores = 2;
    result.memory_mb = 8192;
    return result;
}

RenderInput input(const model::InstanceSpec& instance) {
    return {.spec = instance,
            .data_folder = "/srv/orders/data",
            .config_folder = "/srv/orders/config",
            .socket_folder = "/srv/orders/socket",
            .log_folder = "/srv/orders/log",
            .certificate_path = "/srv/orders/config/server.crt",
            .key_path = "/srv/orders/config/server.key",
            .backend_port = 41234,
            .guard_path = "/opt/howdah/bin/howdah_guard-15.so",
            .libraries = {"auto_explain", "pg_stat_statements", "pgextwlist"},
            .agent_user = "root"};
}

using Settings = std::vector<std::pair<std::string, std::string>>;

/// Reads postgresql.conf as the server's lexer does; nothing if a line is no setting.
std::optional<Settings> read(const std::string& conf) {
    Settings settings;
    for (const std::string& line : split(conf, '\n')) {
        if (line.empty() || line.front() == '#') continue;
        const std::size_t equals = line.find(" = '");
        if (equals == std::string::npos || line.back() != '\'') return {};
        std::string value;
        const std::string body = line.substr(equals + 4, line.size() - equals - 5);
        for (std::size_t i = 0; i < body.size(); ++i) {
            if (body[i] == '\'') {
                if (body.substr(i, 2) != "''") return {};
                value += body[i++];
            } else if (body[i] == '\\') {
                if (i + 1 < body.size() && body[i + 1] == '\\') {
                    value += body[++i];
                } else if (i + 3 < body.size() && std::isdigit(body[i + 1]) != 0) {
                    value += static_cast<char>(std::stoi(body.substr(i + 1, 3), nullptr, 8));
                    i += 3;
                } else {
                    return {};
                }
            } else {
                value += body[i];
            }
        }
        settings.emplace_back(line.substr(0, equals), value);
    }
    return settings;
}

/// The last one wins, as in the server.
std::string value_of(const std::string& conf, std::string_view name) {
    const auto settings = read(conf);
    if (!settings) return "unreadable";
    std::string value = "absent";
    for (const auto& [each, text] : *settings) {
        if (iequals(each, name)) value = text;
    }
    return value;
}

TEST(postgresql_conf, has_the_sized_parameters_then_the_customers) {
    model::InstanceSpec instance = spec();
    EXPECT_EQ(value_of(postgresql_conf(input(instance)), "max_connections"), "859");
    EXPECT_EQ(value_of(postgresql_conf(input(instance)), "shared_buffers"), "262144");
    instance.parameters = {{"max_connections", "100"}, {"log_statement", "all"}};
    EXPECT_EQ(value_of(postgresql_conf(input(instance)), "max_connections"), "100");
    EXPECT_EQ(value_of(postgresql_conf(input(instance)), "log_statement"), "all");
}

TEST(postgresql_conf, never_lets_a_customer_override_what_is_howdahs) {
    model::InstanceSpec instance = spec();
    const std::string clean = postgresql_conf(input(instance));
    for (const char* name : {"fsync",
                             "FSYNC",
                             "full_page_writes",
                             "ssl",
                             "ssl_key_file",
                             "port",
                             "listen_addresses",
                             "hba_file",
                             "ident_file",
                             "data_directory",
                             "unix_socket_directories",
                             "log_directory",
                             "logging_collector",
                             "password_encryption",
                             "superuser_reserved_connections",
                             "session_preload_libraries",
                             "local_preload_libraries",
                             "allow_system_table_mods",
                             "extwlist.extensions",
                             "extwlist.custom_path",
                             "howdah.administrator",
                             "cluster_name",
                             "external_pid_file",
                             "zero_damaged_pages"}) {
        instance.parameters = {{name, "evil"}};
        EXPECT_EQ(value_of(postgresql_conf(input(instance)), name), value_of(clean, name)) << name;
    }
    EXPECT_EQ(value_of(clean, "fsync"), "on");
    EXPECT_EQ(value_of(clean, "superuser_reserved_connections"), "15");
    EXPECT_EQ(value_of(clean, "listen_addresses"), "127.0.0.1");
    EXPECT_EQ(value_of(clean, "hba_file"), "/srv/orders/config/pg_hba.conf");
}

TEST(postgresql_conf, quotes_hostile_values_so_that_they_stay_values) {
    const std::vector<std::string> hostile = {"'",
                                              "''",
                                              "\\",
                                              "\\'",
                                              "x\nfsync = off",
                                              "x'\nfsync = off\n#",
                                              "x\r\nfsync=off",
                                              "\x01\x7f",
                                              "it's C:\\new\\table",
                                              "# no comment",
                                              "\\047\nfsync=off",
                                              "ä€😀"};
    for (const std::string& value : hostile) {
        model::InstanceSpec instance = spec();
        instance.server_name = value;
        instance.administrator_login = value;
        instance.parameters = {{"log_line_prefix", value}, {"search_path", value}};
        const std::string conf = postgresql_conf(input(instance));
        ASSERT_TRUE(read(conf).has_value()) << conf;
        EXPECT_EQ(value_of(conf, "log_line_prefix"), value);
        EXPECT_EQ(value_of(conf, "cluster_name"), value);
        EXPECT_EQ(value_of(conf, "howdah.administrator"), value);
        EXPECT_EQ(value_of(conf, "fsync"), "on");
    }
}

TEST(postgresql_conf, stays_readable_for_any_bytes) {
    const unsigned seed = std::random_device()();
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const auto bytes = [&random] {
        std::string text(random() % 40, '\0');
        for (char& c : text) c = static_cast<char>(1 + random() % 255);
        return text;
    };
    for (int round = 0; round < 500; ++round) {
        model::InstanceSpec instance = spec();
        const std::string value = bytes();
        instance.parameters = {{"search_path", value}, {bytes(), "x"}};
        const std::string conf = postgresql_conf(input(instance));
        ASSERT_TRUE(read(conf).has_value()) << conf;
        ASSERT_EQ(value_of(conf, "search_path"), value);
    }
}

TEST(postgresql_conf, leaves_out_names_that_are_no_parameters) {
    for (const char* name : {"", "include", "INCLUDE_DIR", "include_if_exists", "a b", "a=b",
                             "fsync = off #", "a\nfsync", "#", "1a", "a'"}) {
        model::InstanceSpec instance = spec();
        const std::string clean = postgresql_conf(input(instance));
        instance.parameters = {{name, "/etc/passwd"}};
        EXPECT_EQ(postgresql_conf(input(instance)), clean) << name;
    }
}

TEST(postgresql_conf, preloads_what_exists_and_the_guard_last) {
    model::InstanceSpec instance = spec();
    EXPECT_EQ(value_of(postgresql_conf(input(instance)), "shared_preload_libraries"),
              "pgextwlist,pg_stat_statements,\"/opt/howdah/bin/howdah_guard-15.so\"");
    instance.parameters = {{"shared_preload_libraries", "auto_explain, timescaledb"}};
    EXPECT_EQ(value_of(postgresql_conf(input(instance)), "shared_preload_libraries"),
              "pgextwlist,auto_explain,\"/opt/howdah/bin/howdah_guard-15.so\"");
    instance.parameters = {{"shared_preload_libraries", ""}};
    RenderInput bare = input(instance);
    bare.guard_path.clear();
    EXPECT_EQ(value_of(postgresql_conf(bare), "shared_preload_libraries"), "")
        << "pgextwlist makes superusers of everyone if nothing guards it";
}

TEST(postgresql_conf, gives_the_allow_list_to_the_guard_and_to_pgextwlist) {
    model::InstanceSpec instance = spec();
    EXPECT_EQ(value_of(postgresql_conf(input(instance)), "azure.extensions"), "");
    instance.parameters = {{"azure.extensions", "hstore,uuid-ossp"}};
    const std::string conf = postgresql_conf(input(instance));
    EXPECT_EQ(value_of(conf, "azure.extensions"), "hstore,uuid-ossp");
    EXPECT_EQ(value_of(conf, "extwlist.extensions"), "hstore,uuid-ossp");
    EXPECT_EQ(value_of(conf, "extwlist.custom_path"), "/srv/orders/config/extensions");
    EXPECT_EQ(value_of(conf, "require_secure_transport"), "absent");
}

TEST(postgresql_conf, uses_only_what_the_major_knows) {
    model::InstanceSpec instance = spec();
    EXPECT_EQ(value_of(postgresql_conf(input(instance)), "log_destination"), "jsonlog");
    EXPECT_EQ(value_of(postgresql_conf(input(instance)), "allow_alter_system"), "absent");
    instance.major = "13";
    EXPECT_EQ(value_of(postgresql_conf(input(instance)), "log_destination"), "csvlog");
    instance.major = "17";
    EXPECT_EQ(value_of(postgresql_conf(input(instance)), "allow_alter_system"), "off");
}

TEST(pg_hba_conf, wants_tls_unless_the_customer_turned_it_off) {
    model::InstanceSpec instance = spec();
    EXPECT_THAT(pg_hba_conf(input(instance)), HasSubstr("hostssl all"));
    instance.parameters = {{"require_secure_transport", "off"}};
    EXPECT_THAT(pg_hba_conf(input(instance)), Not(HasSubstr("hostssl all")));
    instance.parameters = {{"require_secure_transport", "on"}};
    EXPECT_THAT(pg_hba_conf(input(instance)), HasSubstr("hostssl all"));
}

TEST(pg_hba_conf, lets_in_the_gateways_and_standbys_of_all_machines_and_nobody_else) {
    const model::InstanceSpec instance = spec();
    RenderInput of_several = input(instance);
    of_several.listen_address = "10.0.0.1";
    of_several.gateway_sources = {"127.0.0.2", "10.0.0.12"};
    of_several.member_addresses = {"10.0.0.1", "10.0.0.2"};
    const std::string text = pg_hba_conf(of_several);
    for (const char* each : {"all        127.0.0.2/32  scram", "all        10.0.0.12/32  scram",
                             "\"howdah_replica\" 10.0.0.1/32", "\"howdah_replica\" 10.0.0.2/32"})
        EXPECT_THAT(text, HasSubstr(each));
    EXPECT_THAT(text, Not(HasSubstr("all        10.0.0.2/32")));
    EXPECT_THAT(postgresql_conf(of_several),
                HasSubstr("listen_addresses = '127.0.0.1,10.0.0.1'\n"));
    EXPECT_EQ(value_of(postgresql_conf(input(instance)), "listen_addresses"), "127.0.0.1");
}

model::InstanceSpec with_token_administrators() {
    auto instance = spec();
    instance.incarnation = "11111111-2222-3333-4444-555555555555";
    instance.token_logins = true;
    instance.token_administrators = {{"", "1", "ada@example.org", "User", "t"},
                                     {"", "2", "a\"b", "User", "t"}};
    return instance;
}

TEST(pg_hba_conf, sends_the_tokens_of_administrators_to_the_agent_by_tls_alone) {
    const auto instance = with_token_administrators();
    RenderInput with_port = input(instance);
    with_port.token_port = 19300;
    const std::string text = pg_hba_conf(with_port);
    const std::string asked =
        "hostssl all                  \"ada@example.org\" 127.0.0.2/32  ldap ldapscheme=ldaps "
        "ldapserver=127.0.0.1 ldapport=19300 ldapprefix=\"cn=\" "
        "ldapsuffix=\",ou=11111111-2222-3333-4444-555555555555\"\n"
        "host    all                  \"ada@example.org\" all  reject\n";
    EXPECT_THAT(text, HasSubstr(asked));
    EXPECT_LT(text.find(asked), text.find("all        127.0.0.2/32  scram-sha-256"));
    EXPECT_THAT(text, Not(HasSubstr("a\"b"))) << "what cannot be written is left out";
}

TEST(pg_hba_conf, lets_no_token_administrator_in_by_a_password) {
    auto instance = with_token_administrators();
    const std::string without_port = pg_hba_conf(input(instance));
    EXPECT_THAT(without_port, Not(HasSubstr("ldap")));
    EXPECT_THAT(without_port, HasSubstr("\"ada@example.org\" all  reject"));
    instance.token_logins = false;
    RenderInput with_port = input(instance);
    with_port.token_port = 19300;
    EXPECT_EQ(pg_hba_conf(with_port), without_port);
}

TEST(pg_hba_conf, without_password_logins_only_the_agent_has_none_of_a_token) {
    auto instance = with_token_administrators();
    instance.password_logins = false;
    const std::string text = pg_hba_conf(input(instance));
    EXPECT_THAT(text, Not(HasSubstr("127.0.0.2/32  scram-sha-256")));
    EXPECT_THAT(text, HasSubstr("peer map=howdah"));
}

TEST(token_administrators_sql, quotes_every_name) {
    const std::string sql = token_administrators_sql({"a'; drop table x; --", "b"});
    EXPECT_THAT(sql, HasSubstr("a''''; drop table x; --"));
    EXPECT_EQ(sql.substr(0, 4), "DO '");
    EXPECT_EQ(sql.substr(sql.size() - 2), "';");
}

TEST(pg_hba_conf, lets_a_pooler_in_through_the_socket_alone_and_only_where_it_is_wanted) {
    model::InstanceSpec instance = spec();
    const std::string without = pg_hba_conf(input(instance));
    EXPECT_THAT(without, Not(HasSubstr("local   all                  all                 scram")));
    instance.parameters["pgbouncer.enabled"] = "on";
    const std::string text = pg_hba_conf(input(instance));
    EXPECT_THAT(text, Not(HasSubstr("all        127.0.0.1")));
    const auto agent = text.find("local   all                  \"howdah\"            peer");
    const auto own = text.find("local   all                  \"howdah_pooler\"     scram");
    const auto reserved = text.find("local   all                  \"azure_pg_admin\"");
    const auto maintenance = text.find("local   \"azure_maintenance\"  all");
    const auto clients = text.find("local   all                  all                 scram");
    const auto rest = text.find("local   all                  all                 reject");
    EXPECT_LT(agent, own);
    EXPECT_LT(own, reserved);
    EXPECT_LT(reserved, maintenance);
    EXPECT_LT(maintenance, clients);
    EXPECT_LT(clients, rest);
    EXPECT_NE(rest, std::string::npos);
    instance.password_logins = false;
    EXPECT_THAT(pg_hba_conf(input(instance)),
                Not(HasSubstr("local   all                  all                 scram")));
}

TEST(pg_hba_conf, lets_no_token_administrator_in_through_a_pooler) {
    auto instance = with_token_administrators();
    instance.parameters["pgbouncer.enabled"] = "on";
    const std::string text = pg_hba_conf(input(instance));
    const auto refused = text.find("local   all                  \"ada@example.org\"  reject\n");
    EXPECT_LT(refused, text.find("local   all                  all                 scram"));
    EXPECT_THAT(text, Not(HasSubstr("a\"b"))) << "what cannot be written is left out";
}

TEST(postgresql_conf, leaves_the_settings_of_pgbouncer_to_it) {
    model::InstanceSpec instance = spec();
    instance.parameters["pgbouncer.enabled"] = "on";
    EXPECT_EQ(postgresql_conf(input(instance)).find("pgbouncer"), std::string::npos);
}

TEST(pg_hba_conf, ends_with_a_rejection_and_trusts_nobody) {
    const model::InstanceSpec instance = spec();
    const std::string text = pg_hba_conf(input(instance));
    EXPECT_THAT(text, EndsWith("reject\n"));
    EXPECT_THAT(text, Not(HasSubstr("trust")));
    EXPECT_THAT(text, Not(HasSubstr("md5")));
    EXPECT_LT(text.find("replication"), text.find("scram-sha-256"));
}

TEST(pg_ident_conf, maps_only_the_agents_user) {
    const model::InstanceSpec instance = spec();
    RenderInput given = input(instance);
    EXPECT_THAT(pg_ident_conf(given), EndsWith("howdah  \"root\"  \"howdah\"\n"));
    given.server_user = "howdah-orders";
    EXPECT_THAT(pg_ident_conf(given), EndsWith("lost.\n"
                                               "howdah  \"howdah-orders\"  \"howdah_backup\"\n"
                                               "howdah  \"root\"  \"howdah\"\n"));
    for (const char* hostile : {"", "/.*", "a\" \"howdah\"\nhowdah \"b", "x\ny"}) {
        given.agent_user = given.server_user = hostile;
        EXPECT_THAT(pg_ident_conf(given), Not(HasSubstr("howdah  "))) << hostile;
    }
}

TEST(bootstrap, is_one_line_per_statement_for_every_major) {
    for (int major = 13; major <= 18; ++major) {
        const auto statements = bootstrap_statements(major);
        EXPECT_THAT(statements, Each(EndsWith(";")));
        EXPECT_THAT(statements, Each(Not(HasSubstr("\n"))));
        const std::string all = join(statements, "\n");
        EXPECT_EQ(all.find("pg_checkpoint") != std::string::npos, major >= 15);
        EXPECT_EQ(all.find("pg_maintain") != std::string::npos, major >= 17);
        EXPECT_EQ(all.find(" transaction_timeout") != std::string::npos, major >= 17);
        EXPECT_THAT(all, Not(HasSubstr("pg_execute_server_program")));
    }
}

TEST(administrator_sql, quotes_its_login_and_verifier) {
    const std::string sql = administrator_sql("o'\"hara", "SCRAM-SHA-256$4096:a'b$c:d");
    EXPECT_THAT(sql, HasSubstr("ALTER ROLE \"o'\"\"hara\" LOGIN"));
    EXPECT_THAT(sql, HasSubstr("PASSWORD 'SCRAM-SHA-256$4096:a''b$c:d'"));
    EXPECT_THAT(sql, HasSubstr("NOSUPERUSER NOREPLICATION NOBYPASSRLS"));
}

TEST(database_sql, quotes_everything) {
    EXPECT_EQ(create_database_sql({.name = "a\"b", .charset = "UTF8", .collation = "x'y"}),
              "CREATE DATABASE \"a\"\"b\" OWNER azure_pg_admin TEMPLATE template0 ENCODING 'UTF8' "
              "LC_COLLATE 'x''y' LC_CTYPE 'x''y';");
    EXPECT_EQ(drop_database_sql("a\"b"), "DROP DATABASE IF EXISTS \"a\"\"b\" WITH (FORCE);");
}

TEST(postgresql_conf, a_read_replica_has_no_less_than_its_source_and_archives_only_when_promoted) {
    model::InstanceSpec instance = spec();
    instance.parameters = {{"max_connections", "200"}};
    RenderInput follower = input(instance);
    follower.archive_command = "archive %f";
    follower.restore_command = "get %f %p";
    follower.replica = RenderInput::Replica{
        "host=127.0.0.1 port=5501", {{"max_connections", 100}, {"max_worker_processes", 99}}};
    std::string text = postgresql_conf(follower);
    EXPECT_EQ(value_of(text, "archive_mode"), "on");
    EXPECT_EQ(value_of(text, "hot_standby"), "on");
    EXPECT_EQ(value_of(text, "primary_conninfo"), "host=127.0.0.1 port=5501");
    EXPECT_EQ(value_of(text, "restore_command"), "get %f %p");
    EXPECT_EQ(value_of(text, "max_connections"), "200") << "it has more";
    EXPECT_EQ(value_of(text, "max_worker_processes"), "99");
    EXPECT_EQ(value_of(text, "recovery_target_time"), "absent");
    follower.replica->minimums["max_connections"] = 300;
    text = postgresql_conf(follower);
    EXPECT_GT(text.rfind("max_connections = '300'"), text.rfind("max_connections = '200'"));
    follower.replica.reset();
    follower.restore_command.clear();
    text = postgresql_conf(follower);
    EXPECT_EQ(value_of(text, "archive_mode"), "always");
    EXPECT_EQ(value_of(text, "primary_conninfo"), "absent");
}

TEST(hba, standbys_stream_from_the_members_addresses_alone) {
    const model::InstanceSpec instance = spec();
    const std::string single = pg_hba_conf(input(instance));
    EXPECT_EQ(single.find("\"howdah_replica\" 10"), std::string::npos);
    EXPECT_THAT(single, HasSubstr("hostssl replication          \"howdah_follower\" 127.0.0.1/32"));
    EXPECT_EQ(postgresql_conf(input(instance)).find("include"), std::string::npos);
    RenderInput with_members = input(instance);
    with_members.member_addresses = {"10.0.0.1", "10.0.0.2"};
    const std::string hba = pg_hba_conf(with_members);
    const std::size_t first =
        hba.find("hostssl replication          \"howdah_replica\" 10.0.0.1/32  scram-sha-256\n");
    ASSERT_NE(first, std::string::npos) << hba;
    EXPECT_NE(hba.find("\"howdah_replica\" 10.0.0.2/32"), std::string::npos);
    EXPECT_LT(first, hba.find("host    replication          all        all      reject\n"));
    EXPECT_TRUE(postgresql_conf(with_members).ends_with("\ninclude 'ha.conf'\n"))
        << "what the rules decide wins";
}

}  // namespace
}  // namespace howdah::agent
