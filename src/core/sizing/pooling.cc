#include "core/sizing/pooling.h"

namespace howdah::core {
namespace {

constexpr std::string_view kPrefix = "pgbouncer.";

model::ParameterInfo parameter(const char* name, const char* type, const char* boot,
                               const char* description) {
    return {.name = name,
            .type = type,
            .boot_value = boot,
            .context = "sighup",
            .category = "Connection Pooling",
            .description = description};
}

model::ParameterInfo number(const char* name, const char* unit, const char* minimum,
                            const char* maximum, const char* boot, const char* description) {
    model::ParameterInfo info = parameter(name, "integer", boot, description);
    info.unit = unit;
    info.minimum = minimum;
    info.maximum = maximum;
    return info;
}

model::ParameterInfo choice(const char* name, const char* type, std::vector<std::string> allowed,
                            const char* boot, const char* description) {
    model::ParameterInfo info = parameter(name, type, boot, description);
    info.allowed = std::move(allowed);
    return info;
}

}  // namespace

bool is_pooling_parameter(std::string_view name) { return name.starts_with(kPrefix); }

// Names, ranges and defaults are those of Azure's documentation ("PgBouncer in Azure Database for
// PostgreSQL"). Not here: max_prepared_statements (PgBouncer 1.21) and stats_users, whose database
// takes no users but those of a file.
std::vector<model::ParameterInfo> pooling_parameters() {
    return {
        parameter("pgbouncer.enabled", "bool", "off",
                  "Whether the server is also reached through PgBouncer, on its port of its own."),
        number("pgbouncer.default_pool_size", "", "1", "4950", "50",
               "How many connections to PostgreSQL a user may have in each database."),
        choice("pgbouncer.ignore_startup_parameters", "set",
               {"application_name", "client_min_messages", "extra_float_digits", "geqo",
                "idle_in_transaction_session_timeout", "intervalstyle", "lock_timeout", "options",
                "search_path", "statement_timeout"},
               "extra_float_digits",
               "Startup parameters that clients may send and that are ignored."),
        number("pgbouncer.max_client_conn", "", "1", "50000", "5000",
               "How many clients may be connected to PgBouncer."),
        number("pgbouncer.min_pool_size", "", "0", "4950", "0",
               "How many connections to PostgreSQL are kept open in each pool."),
        choice("pgbouncer.pool_mode", "enum", {"session", "transaction", "statement"},
               "transaction", "When a connection to PostgreSQL may serve another client."),
        number("pgbouncer.query_wait_timeout", "s", "0", "86400", "120",
               "How long a query may wait for a connection to PostgreSQL; 0: for ever."),
        number("pgbouncer.server_idle_timeout", "s", "0", "86400", "600",
               "After how long an idle connection to PostgreSQL is closed; 0: never."),
    };
}

bool wants_pooling(const std::map<std::string, std::string>& chosen) {
    const auto found = chosen.find(std::string(kPoolingEnabled));
    return found != chosen.end() && found->second == "on";
}

std::map<std::string, std::string> pooling_settings(
    const std::map<std::string, std::string>& chosen) {
    std::map<std::string, std::string> settings;
    for (const model::ParameterInfo& each : pooling_parameters()) {
        if (each.name == kPoolingEnabled) continue;
        const auto found = chosen.find(each.name);
        settings[each.name.substr(kPrefix.size())] =
            found != chosen.end() ? found->second : each.boot_value;
    }
    return settings;
}

}  // namespace howdah::core
