#include "core/sizing/parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <strings.h>

#include <algorithm>

#include "core/sizing/parameter_policy.h"
#include "core/sizing/sku.h"

namespace howdah::core {
namespace {

using ::testing::HasSubstr;

model::ParameterInfo parameter(const char* name, const char* type, const char* boot,
                               const char* context, const char* category) {
    return {.name = name,
            .type = type,
            .boot_value = boot,
            .context = context,
            .category = category,
            .description = "about it"};
}

model::ParameterInfo number(const char* name, const char* type, const char* unit,
                            const char* lowest, const char* highest, const char* boot,
                            const char* context, const char* category) {
    model::ParameterInfo info = parameter(name, type, boot, context, category);
    info.unit = unit;
    info.minimum = lowest;
    info.maximum = highest;
    return info;
}

model::ParameterInfo choice(const char* name, std::vector<std::string> allowed, const char* boot,
                            const char* context, const char* category) {
    model::ParameterInfo info = parameter(name, "enum", boot, context, category);
    info.allowed = std::move(allowed);
    return info;
}

constexpr const char* kMemory = "Resource Usage / Memory";
constexpr const char* kWal = "Write-Ahead Log / Settings";
constexpr const char* kConnection = "Connections and Authentication / Connection Settings";
constexpr const char* kLocale = "Client Connection Defaults / Locale and Formatting";
constexpr const char* kStatement = "Client Connection Defaults / Statement Behavior";

/// Rows as PostgreSQL 15 shows them.
model::Engine engine() {
    model::Engine result;
    result.major = "15";
    result.extensions = {"adminpack",          "file_fdw", "hstore",     "pg_prewarm",
                         "pg_stat_statements", "pgcrypto", "plpython3u", "uuid-ossp"};
    result.collations = {"C.utf8", "en_US.utf8"};
    result.parameters = {
        number("shared_buffers", "integer", "8kB", "16", "1073741823", "16384", "postmaster",
               kMemory),
        number("work_mem", "integer", "kB", "64", "2147483647", "4096", "user", kMemory),
        number("max_connections", "integer", "", "1", "262143", "100", "postmaster", kConnection),
        number("random_page_cost", "real", "", "0", "1.79769e+308", "4", "user",
               "Query Tuning / Planner Cost Constants"),
        number("autovacuum_vacuum_cost_delay", "real", "ms", "-1", "100", "2", "sighup",
               "Autovacuum"),
        number("max_pred_locks_per_relation", "integer", "", "-2147483648", "2147483647", "-2",
               "sighup", "Lock Management"),
        number("port", "integer", "", "1", "65535", "5432", "postmaster", kConnection),
        number("block_size", "integer", "", "8192", "8192", "8192", "internal", "Preset Options"),
        parameter("autovacuum", "bool", "on", "sighup", "Autovacuum"),
        parameter("fsync", "bool", "on", "sighup", kWal),
        parameter("full_page_writes", "bool", "on", "sighup", kWal),
        parameter("zero_damaged_pages", "bool", "off", "superuser", "Developer Options"),
        parameter("archive_command", "string", "", "sighup", "Write-Ahead Log / Archiving"),
        parameter("restore_command", "string", "", "sighup", "Write-Ahead Log / Archive Recovery"),
        parameter("primary_conninfo", "string", "", "sighup", "Replication / Standby Servers"),
        parameter("synchronous_standby_names", "string", "", "sighup",
                  "Replication / Primary Server"),
        parameter("ssl_key_file", "string", "server.key", "sighup",
                  "Connections and Authentication / SSL"),
        parameter("hba_file", "string", "", "postmaster", "File Locations"),
        parameter("log_directory", "string", "log", "sighup",
                  "Reporting and Logging / Where to Log"),
        parameter("session_preload_libraries", "string", "", "superuser",
                  "Client Connection Defaults / Shared Library Preloading"),
        parameter("shared_preload_libraries", "string", "", "postmaster",
                  "Client Connection Defaults / Shared Library Preloading"),
        parameter("dynamic_library_path", "string", "$libdir", "superuser",
                  "Client Connection Defaults / Other Defaults"),
        parameter("a_text_of_tomorrow", "string", "", "sighup", kStatement),
        parameter("search_path", "string", "\"$user\", public", "user", kStatement),
        parameter("DateStyle", "string", "ISO, MDY", "user", kLocale),
        parameter("TimeZone", "string", "GMT", "user", kLocale),
        parameter("lc_monetary", "string", "C", "user", kLocale),
        choice("wal_level", {"minimal", "replica", "logical"}, "replica", "postmaster", kWal),
        choice("huge_pages", {"off", "on", "try"}, "try", "postmaster", kMemory),
        choice("default_transaction_isolation",
               {"serializable", "repeatable read", "read committed", "read uncommitted"},
               "read committed", "user", kStatement),
        choice("ssl_min_protocol_version", {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}, "TLSv1.2",
               "sighup", "Connections and Authentication / SSL"),
    };
    return result;
}

std::vector<CustomerParameter> shown() {
    return customer_parameters(engine(), sized_parameters(2, 8192));
}

const CustomerParameter* find(const std::vector<CustomerParameter>& all, std::string_view name) {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [name](const auto& each) { return each.name == name; });
    return found == all.end() ? nullptr : &*found;
}

std::string checked(std::string_view name, std::string_view value) {
    const auto result = check_parameter(shown(), name, value);
    if (result.ok()) return *result;
    EXPECT_EQ(result.error().code, ErrorCode::invalid_argument) << name;
    return "refused";
}

TEST(parameters, are_sorted_and_unique) {
    const auto all = shown();
    EXPECT_TRUE(std::is_sorted(all.begin(), all.end(), [](const auto& a, const auto& b) {
        return strcasecmp(a.name.c_str(), b.name.c_str()) < 0;
    }));
    for (std::size_t i = 1; i < all.size(); ++i) EXPECT_NE(all[i - 1].name, all[i].name);
}

TEST(parameters, that_are_howdahs_own_are_hidden) {
    const auto all = shown();
    for (const char* name :
         {"port", "archive_command", "restore_command", "primary_conninfo", "ssl_key_file",
          "hba_file", "log_directory", "session_preload_libraries", "dynamic_library_path",
          "synchronous_standby_names", "zero_damaged_pages"}) {
        EXPECT_EQ(find(all, name), nullptr) << name;
        const auto result = check_parameter(all, name, "x");
        ASSERT_FALSE(result.ok()) << name;
        EXPECT_EQ(result.error().code, ErrorCode::not_found) << name;
    }
}

TEST(parameters, that_keep_data_safe_are_read_only) {
    const auto all = shown();
    for (const char* name : {"fsync", "full_page_writes", "block_size"}) {
        ASSERT_NE(find(all, name), nullptr) << name;
        EXPECT_TRUE(find(all, name)->is_read_only) << name;
        const auto result = check_parameter(all, name, "off");
        ASSERT_FALSE(result.ok()) << name;
        EXPECT_EQ(result.error().code, ErrorCode::property_change_not_allowed) << name;
    }
}

TEST(parameters, with_a_text_nobody_has_looked_at_are_read_only) {
    const auto all = shown();
    ASSERT_NE(find(all, "a_text_of_tomorrow"), nullptr);
    EXPECT_TRUE(find(all, "a_text_of_tomorrow")->is_read_only);
}

TEST(parameters, have_sized_defaults_units_and_links) {
    const auto all = shown();
    const CustomerParameter* buffers = find(all, "shared_buffers");
    ASSERT_NE(buffers, nullptr);
    EXPECT_EQ(buffers->data_type, "Integer");
    EXPECT_EQ(buffers->default_value, "262144");
    EXPECT_EQ(buffers->allowed_values, "16-786432");
    EXPECT_EQ(buffers->unit, "8kB");
    EXPECT_FALSE(buffers->is_dynamic);
    EXPECT_EQ(buffers->documentation_link,
              "https://www.postgresql.org/docs/15/runtime-config-resource.html#GUC-SHARED-BUFFERS");
    EXPECT_TRUE(find(all, "work_mem")->is_dynamic);
    EXPECT_EQ(find(all, "max_connections")->allowed_values, "25-5000");
}

TEST(parameters, of_a_library_are_shown_where_it_can_be_preloaded) {
    const auto all = shown();
    ASSERT_NE(find(all, "pg_stat_statements.track"), nullptr);
    EXPECT_EQ(find(all, "pg_stat_statements.max")->allowed_values, "100-50000");
    model::Engine bare = engine();
    bare.extensions.clear();
    EXPECT_EQ(find(customer_parameters(bare, {}), "pg_stat_statements.track"), nullptr);
}

TEST(parameters, accept_postgresqls_spellings_of_a_boolean) {
    for (const char* value : {"on", "ON", "true", "T", "yes", "y", "1", " on "}) {
        EXPECT_EQ(checked("autovacuum", value), "on") << value;
    }
    for (const char* value : {"off", "OF", "false", "f", "no", "n", "0"}) {
        EXPECT_EQ(checked("autovacuum", value), "off") << value;
    }
    for (const char* value : {"", "o", "2", "onn", "truely", "on,off", "on\noff"}) {
        EXPECT_EQ(checked("autovacuum", value), "refused") << value;
    }
}

TEST(parameters, take_integers_within_their_range_only) {
    EXPECT_EQ(checked("max_connections", "25"), "25");
    EXPECT_EQ(checked("max_connections", "+0100"), "100");
    EXPECT_EQ(checked("max_connections", "5000"), "5000");
    EXPECT_EQ(checked("max_pred_locks_per_relation", "-2147483648"), "-2147483648");
    for (const char* value : {"24", "5001", "", "1e3", "100MB", "0x64", "12 3", "--30", "+-30",
                              "30.0", "99999999999999999999", "-30"}) {
        EXPECT_EQ(checked("max_connections", value), "refused") << value;
    }
}

TEST(parameters, take_reals_within_their_range_only) {
    EXPECT_EQ(checked("random_page_cost", "1.1"), "1.1");
    EXPECT_EQ(checked("random_page_cost", "1e3"), "1e3");
    EXPECT_EQ(checked("autovacuum_vacuum_cost_delay", "-1"), "-1");
    for (const char* value : {"-0.1", "inf", "nan", "1.1.1", "", "0x10", "1e400", "1 2", "1,1"}) {
        EXPECT_EQ(checked("random_page_cost", value), "refused") << value;
    }
    EXPECT_EQ(checked("autovacuum_vacuum_cost_delay", "100.1"), "refused");
}

TEST(parameters, take_only_the_values_of_an_enumeration) {
    EXPECT_EQ(checked("wal_level", "LOGICAL"), "logical");
    EXPECT_EQ(checked("wal_level", "minimal"), "refused");
    EXPECT_EQ(checked("huge_pages", "on"), "refused");
    EXPECT_EQ(checked("default_transaction_isolation", "Repeatable Read"), "repeatable read");
    EXPECT_EQ(checked("ssl_min_protocol_version", "TLSv1.1"), "refused");
    EXPECT_EQ(checked("ssl_min_protocol_version", "tlsv1.3"), "TLSv1.3");
}

TEST(parameters, that_could_keep_the_server_from_starting_are_checked_against_what_is_known) {
    EXPECT_EQ(checked("TimeZone", "europe/berlin"), "Europe/Berlin");
    EXPECT_EQ(checked("TimeZone", "UTC"), "UTC");
    EXPECT_EQ(checked("TimeZone", "Europe/Atlantis"), "refused");
    EXPECT_EQ(checked("lc_monetary", "EN_us.utf8"), "en_US.utf8");
    EXPECT_EQ(checked("lc_monetary", "tlh_QO"), "refused");
    EXPECT_EQ(checked("DateStyle", "dmy, sql"), "SQL, DMY");
    EXPECT_EQ(checked("DateStyle", "ISO, ISO"), "refused");
    EXPECT_EQ(checked("DateStyle", "ISO, yesterday"), "refused");
}

TEST(parameters, check_a_search_path_as_postgresql_splits_it) {
    for (const char* value :
         {"\"$user\", public", "", "public", " a , \"B \"\" c\",d", "$user,public"}) {
        EXPECT_NE(checked("search_path", value), "refused") << value;
    }
    for (const char* value : {"a,", ",a", "\"a", "a b", "\"\"", "a,,b", "\"a\"b", "a\nb", "a\tb"}) {
        EXPECT_EQ(checked("search_path", value), "refused") << value;
    }
}

TEST(parameters, azure_extensions_holds_only_what_is_installed_and_harmless) {
    EXPECT_EQ(find(shown(), "azure.extensions")->allowed_values,
              "hstore,pg_prewarm,pg_stat_statements,pgcrypto,uuid-ossp");
    EXPECT_EQ(checked("azure.extensions", "UUID-OSSP, hstore,hstore ,"), "hstore,uuid-ossp");
    EXPECT_EQ(checked("AZURE.extensions", ""), "");
    for (const char* value : {"ALL", "file_fdw", "adminpack", "plpython3u", "hstore,nothing",
                              "hstore;drop", "hstore pgcrypto"}) {
        EXPECT_EQ(checked("azure.extensions", value), "refused") << value;
    }
}

TEST(parameters, shared_preload_libraries_is_a_set_of_what_exists) {
    const auto all = shown();
    const CustomerParameter* libraries = find(all, "shared_preload_libraries");
    ASSERT_NE(libraries, nullptr);
    EXPECT_EQ(libraries->data_type, "Set");
    EXPECT_EQ(libraries->default_value, "pg_stat_statements");
    EXPECT_EQ(libraries->allowed_values, "auto_explain,pg_prewarm,pg_stat_statements");
    EXPECT_FALSE(libraries->is_dynamic);
    EXPECT_EQ(checked("shared_preload_libraries", "pg_prewarm,auto_explain"),
              "auto_explain,pg_prewarm");
    EXPECT_EQ(checked("shared_preload_libraries", "/tmp/evil.so"), "refused");
    EXPECT_EQ(checked("shared_preload_libraries", "pgextwlist"), "refused");
}

TEST(parameters, a_refusal_names_the_allowed_values_and_shows_no_control_character) {
    const auto all = shown();
    const auto result = check_parameter(all, "work_mem", "10\nMB");
    ASSERT_FALSE(result.ok());
    EXPECT_THAT(result.error().message, HasSubstr("'10?MB'"));
    EXPECT_THAT(result.error().message, HasSubstr("64-2147483647"));
    EXPECT_THAT(result.error().message, HasSubstr("kB"));
    const auto long_one = check_parameter(all, "search_path", std::string(100000, 'a'));
    ASSERT_FALSE(long_one.ok());
    EXPECT_LT(long_one.error().message.size(), 1000U);
}

TEST(parameters, every_value_that_passes_has_no_control_character) {
    const auto all = shown();
    for (const CustomerParameter& each : all) {
        for (char c = 1; c < 0x20; ++c) {
            const std::string value = each.default_value + c + "x";
            EXPECT_FALSE(check_parameter(all, each.name, value).ok()) << each.name;
        }
    }
}

TEST(parameters, log_files_are_offered_only_when_switched_on_and_kept_for_days) {
    EXPECT_FALSE(offers_logs({}));
    EXPECT_FALSE(offers_logs({{"logfiles.download_enable", "off"}}));
    EXPECT_TRUE(offers_logs({{"logfiles.download_enable", "on"}}));
    EXPECT_EQ(log_retention_days({}), 3);
    EXPECT_EQ(log_retention_days({{"logfiles.retention_days", "7"}}), 7);
    EXPECT_EQ(log_retention_days({{"logfiles.retention_days", "8"}}), 3);
    EXPECT_TRUE(check_parameter(shown(), "logfiles.retention_days", "1").ok());
    EXPECT_FALSE(check_parameter(shown(), "logfiles.retention_days", "0").ok());
    EXPECT_FALSE(check_parameter(shown(), "logfiles.retention_days", "8").ok());
}

TEST(parameters, defaults_of_settable_parameters_pass_their_own_check) {
    const auto all = shown();
    for (const CustomerParameter& each : all) {
        if (each.is_read_only) continue;
        const auto result = check_parameter(all, each.name, each.default_value);
        EXPECT_TRUE(result.ok()) << each.name << " = '" << each.default_value << "'";
    }
}

}  // namespace
}  // namespace howdah::core
