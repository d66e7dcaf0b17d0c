#include "core/sizing/parameter_policy.h"

namespace howdah::core {
namespace {

constexpr const char* kCategory = "Customized Options";

model::ParameterInfo flag(const char* name, const char* boot, const char* context,
                          const char* description) {
    return {.name = name,
            .type = "bool",
            .boot_value = boot,
            .context = context,
            .category = kCategory,
            .description = description};
}

model::ParameterInfo choice(const char* name, std::vector<std::string> allowed, const char* boot,
                            const char* description) {
    return {.name = name,
            .type = "enum",
            .allowed = std::move(allowed),
            .boot_value = boot,
            .context = "superuser",
            .category = kCategory,
            .description = description};
}

model::ParameterInfo number(const char* name, const char* type, const char* unit,
                            const char* maximum, const char* boot, const char* context,
                            const char* description) {
    return {.name = name,
            .type = type,
            .unit = unit,
            .minimum = boot[0] == '-' ? "-1" : "0",
            .maximum = maximum,
            .boot_value = boot,
            .context = context,
            .category = kCategory,
            .description = description};
}

std::vector<model::ParameterInfo> make_table() {
    return {
        number("pg_stat_statements.max", "integer", "", "50000", "5000", "postmaster",
               "Sets the maximum number of statements tracked by pg_stat_statements."),
        flag("pg_stat_statements.save", "on", "sighup",
             "Save pg_stat_statements statistics across server shutdowns."),
        choice("pg_stat_statements.track", {"none", "top", "all"}, "top",
               "Selects which statements are tracked by pg_stat_statements."),
        flag("pg_stat_statements.track_planning", "off", "superuser",
             "Selects whether planning duration is tracked by pg_stat_statements."),
        flag("pg_stat_statements.track_utility", "on", "superuser",
             "Selects whether utility commands are tracked by pg_stat_statements."),
        flag("auto_explain.log_analyze", "off", "superuser",
             "Use EXPLAIN ANALYZE for plan logging."),
        flag("auto_explain.log_buffers", "off", "superuser", "Log buffers usage."),
        choice("auto_explain.log_format", {"text", "xml", "json", "yaml"}, "text",
               "EXPLAIN format to be used for plan logging."),
        number("auto_explain.log_min_duration", "integer", "ms", "2147483647", "-1", "superuser",
               "Sets the minimum execution time above which plans will be logged."),
        flag("auto_explain.log_nested_statements", "off", "superuser", "Log nested statements."),
        flag("auto_explain.log_settings", "off", "superuser",
             "Log modified configuration parameters affecting query planning."),
        flag("auto_explain.log_timing", "on", "superuser",
             "Collect timing data, not just row counts."),
        flag("auto_explain.log_triggers", "off", "superuser",
             "Include trigger statistics in plans."),
        flag("auto_explain.log_verbose", "off", "superuser",
             "Use EXPLAIN VERBOSE for plan logging."),
        flag("auto_explain.log_wal", "off", "superuser", "Log WAL usage."),
        number("auto_explain.sample_rate", "real", "", "1", "1", "superuser",
               "Fraction of queries to process."),
        flag("pg_prewarm.autoprewarm", "on", "postmaster", "Starts the autoprewarm worker."),
        number("pg_prewarm.autoprewarm_interval", "integer", "s", "2147483", "300", "sighup",
               "Sets the interval between dumps of shared buffers."),
    };
}

}  // namespace

std::span<const model::ParameterInfo> library_parameters() {
    static const std::vector<model::ParameterInfo> kTable = make_table();
    return kTable;
}

std::string_view library_of(std::string_view parameter) {
    return parameter.substr(0, parameter.find('.'));
}

}  // namespace howdah::core
