#include "core/sizing/parameter_policy.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace howdah::core {
namespace {

using enum Access;

constexpr ParameterRule kRules[] = {
    // Bounds below PostgreSQL's: memory that is taken, or a limit that is checked, at the start.
    {"max_connections", settable, "25", "5000", ""},
    {"max_locks_per_transaction", settable, "10", "2048", ""},
    {"max_pred_locks_per_transaction", settable, "10", "2048", ""},
    {"max_prepared_transactions", settable, "0", "5000", ""},
    {"max_worker_processes", settable, "8", "1024", ""},
    {"max_wal_senders", settable, "5", "100", ""},
    {"max_replication_slots", settable, "2", "256", ""},
    {"max_logical_replication_workers", settable, "0", "1024", ""},
    {"autovacuum_max_workers", settable, "1", "64", ""},
    {"track_activity_query_size", settable, "100", "102400", ""},
    {"wal_buffers", settable, "-1", "32768", ""},
    {"max_stack_depth", settable, "100", "7168", ""},
    {"pg_stat_statements.max", settable, "100", "50000", ""},
    // At least two WAL segments of 16 MB.
    {"max_wal_size", settable, "32", "", ""},
    {"min_wal_size", settable, "32", "", ""},
    // Zero or at least 128; the zero is left out so that one range says it.
    {"vacuum_buffer_usage_limit", settable, "128", "", ""},
    {"huge_pages", settable, "", "", "off,try"},
    {"wal_level", settable, "", "", "replica,logical"},
    {"ssl_min_protocol_version", settable, "", "", "TLSv1.2,TLSv1.3"},
    {"password_encryption", read_only, "", "", "scram-sha-256"},

    // No acknowledged commit is lost.
    {"fsync", read_only, "", "", ""},
    {"full_page_writes", read_only, "", "", ""},
    {"wal_sync_method", read_only, "", "", ""},
    // The agent's own connections and processes.
    {"superuser_reserved_connections", read_only, "", "", ""},
    {"reserved_connections", read_only, "", "", ""},
    {"ssl", read_only, "", "", ""},
    {"listen_addresses", hidden, "", "", ""},
    {"port", hidden, "", "", ""},
    {"bonjour", hidden, "", "", ""},
    {"bonjour_name", hidden, "", "", ""},
    {"unix_socket_directories", hidden, "", "", ""},
    {"unix_socket_group", hidden, "", "", ""},
    {"unix_socket_permissions", hidden, "", "", ""},
    {"synchronous_standby_names", hidden, "", "", ""},
    {"synchronized_standby_slots", hidden, "", "", ""},
    {"allow_alter_system", hidden, "", "", ""},
    // Code that is loaded, files that are read.
    {"dynamic_library_path", hidden, "", "", ""},
    {"extension_control_path", hidden, "", "", ""},
    {"jit_provider", hidden, "", "", ""},
    {"local_preload_libraries", hidden, "", "", ""},
    {"session_preload_libraries", hidden, "", "", ""},
    {"shared_preload_libraries", hidden, "", "", ""},  // shown as a set of its own
    {"output_plugin_libraries", hidden, "", "", ""},
    {"restrict_nonsystem_relation_kind", hidden, "", "", ""},
    // What the machine has, not what a customer wants.
    {"dynamic_shared_memory_type", read_only, "", "", ""},
    {"shared_memory_type", read_only, "", "", ""},
    {"min_dynamic_shared_memory", read_only, "", "", ""},
    {"huge_page_size", hidden, "", "", ""},
    {"io_method", read_only, "", "", ""},
    {"io_max_concurrency", read_only, "", "", ""},
    {"max_files_per_process", read_only, "", "", ""},
    {"autovacuum_worker_slots", read_only, "", "", ""},
    // PostgreSQL 17 wants multiples of 16 and refuses to start with anything else.
    {"commit_timestamp_buffers", read_only, "", "", ""},
    {"multixact_member_buffers", read_only, "", "", ""},
    {"multixact_offset_buffers", read_only, "", "", ""},
    {"notify_buffers", read_only, "", "", ""},
    {"serializable_buffers", read_only, "", "", ""},
    {"subtransaction_buffers", read_only, "", "", ""},
    {"transaction_buffers", read_only, "", "", ""},
    // Of one session or transaction; in a file they are refused or senseless.
    {"application_name", hidden, "", "", ""},
    {"client_encoding", hidden, "", "", ""},
    {"session_replication_role", hidden, "", "", ""},
    {"transaction_deferrable", hidden, "", "", ""},
    {"transaction_isolation", hidden, "", "", ""},
    {"transaction_read_only", hidden, "", "", ""},
    // Two of them exclude each other, and the server refuses to start with both.
    {"log_executor_stats", hidden, "", "", ""},
    {"log_parser_stats", hidden, "", "", ""},
    {"log_planner_stats", hidden, "", "", ""},
    {"log_statement_stats", hidden, "", "", ""},
    {"debug_pretty_print", hidden, "", "", ""},
    {"debug_print_parse", hidden, "", "", ""},
    {"debug_print_plan", hidden, "", "", ""},
    {"debug_print_raw_parse", hidden, "", "", ""},
    {"debug_print_rewritten", hidden, "", "", ""},
    {"event_triggers", hidden, "", "", ""},
    {"lo_compat_privileges", read_only, "", "", ""},
    {"log_hostname", hidden, "", "", ""},
    {"createrole_self_grant", hidden, "", "", ""},
    // Authentication: SCRAM and TLS only.
    {"authentication_timeout", settable, "", "", ""},
    {"scram_iterations", settable, "4096", "100000", ""},
    // Texts that have a check of their own.
    {"DateStyle", settable, "", "", ""},
    {"search_path", settable, "", "", ""},
    {"TimeZone", settable, "", "", ""},
    {"log_timezone", settable, "", "", ""},
    {"timezone_abbreviations", settable, "", "", "Australia,Default,India"},
    {"default_text_search_config", settable, "", "", ""},
    {"lc_messages", settable, "", "", ""},
    {"lc_monetary", settable, "", "", ""},
    {"lc_numeric", settable, "", "", ""},
    {"lc_time", settable, "", "", ""},
};

struct CategoryRule {
    std::string_view prefix;  ///< of pg_settings.category
    Access access = settable;
};
constexpr CategoryRule kCategories[] = {
    {"Preset Options", read_only},
    {"Developer Options", hidden},
    {"Error Handling", hidden},
    {"File Locations", hidden},
    {"Customized Options", hidden},
    {"Connections and Authentication / Authentication", hidden},
    {"Connections and Authentication / SSL", hidden},
    {"Replication / Standby Servers", hidden},
    {"Reporting and Logging / Process Title", hidden},
    {"Reporting and Logging / Where to Log", hidden},
    {"Write-Ahead Log / Archive Recovery", hidden},
    {"Write-Ahead Log / Archiving", hidden},
    {"Write-Ahead Log / Recovery Target", hidden},
};

struct Chapter {
    std::string_view category;  ///< prefix of pg_settings.category
    std::string_view page;      ///< runtime-config-<page>.html
};
constexpr Chapter kChapters[] = {
    {"Autovacuum", "autovacuum"},
    {"Client Connection Defaults", "client"},
    {"Connections and Authentication", "connection"},
    {"Lock Management", "locks"},
    {"Preset Options", "preset"},
    {"Query Tuning", "query"},
    {"Replication", "replication"},
    {"Reporting and Logging", "logging"},
    {"Resource Usage", "resource"},
    {"Statistics", "statistics"},
    {"Vacuuming", "vacuum"},
    {"Version and Platform Compatibility", "compatible"},
    {"Write-Ahead Log", "wal"},
};

constexpr std::string_view kTextSearchConfigurations[] = {
    "pg_catalog.arabic",     "pg_catalog.danish",   "pg_catalog.dutch",
    "pg_catalog.english",    "pg_catalog.finnish",  "pg_catalog.french",
    "pg_catalog.german",     "pg_catalog.greek",    "pg_catalog.hungarian",
    "pg_catalog.indonesian", "pg_catalog.irish",    "pg_catalog.italian",
    "pg_catalog.lithuanian", "pg_catalog.nepali",   "pg_catalog.norwegian",
    "pg_catalog.portuguese", "pg_catalog.romanian", "pg_catalog.russian",
    "pg_catalog.simple",     "pg_catalog.spanish",  "pg_catalog.swedish",
    "pg_catalog.tamil",      "pg_catalog.turkish",
};

}  // namespace

ParameterRule parameter_rule(const model::ParameterInfo& parameter) {
    for (const ParameterRule& rule : kRules) {
        if (iequals(rule.name, parameter.name)) return rule;
    }
    ParameterRule rule;
    for (const CategoryRule& row : kCategories) {
        if (parameter.category.starts_with(row.prefix)) rule.access = row.access;
    }
    const bool unchecked_text = parameter.type == "string";
    const bool constant = parameter.context == "internal";
    if (rule.access == settable && (unchecked_text || constant)) rule.access = read_only;
    return rule;
}

std::span<const std::string_view> text_search_configurations() { return kTextSearchConfigurations; }

std::string documentation_link(const model::ParameterInfo& parameter, std::string_view major) {
    for (const Chapter& chapter : kChapters) {
        if (!parameter.category.starts_with(chapter.category)) continue;
        std::string anchor = parameter.name;
        for (char& c : anchor) {
            if (c == '_') c = '-';
            if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
        }
        return "https://www.postgresql.org/docs/" + std::string(major) + "/runtime-config-" +
               std::string(chapter.page) + ".html#GUC-" + anchor;
    }
    return {};
}

}  // namespace howdah::core
