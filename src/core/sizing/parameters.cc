#include "core/sizing/parameters.h"

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "core/sizing/parameter_policy.h"

namespace howdah::core {
namespace {

// Extensions that stay inside the database. Left out on purpose: what reads or writes files
// (adminpack, file_fdw, orafce, pg_walinspect, postgis_raster), runs a text that it is given with
// its owner's rights (pg_repack, whose client needs a superuser anyway), damages data (pg_surgery),
// shows raw pages of any table (pageinspect), untrusted languages, and whatever nobody has looked
// at.
constexpr std::string_view kExtensions[] = {
    "address_standardizer",
    "address_standardizer_data_us",
    "amcheck",
    "autoinc",
    "bloom",
    "bool_plperl",
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "dblink",
    "dict_int",
    "dict_xsyn",
    "earthdistance",
    "fuzzystrmatch",
    "h3",
    "hll",
    "hstore",
    "hypopg",
    "insert_username",
    "intagg",
    "intarray",
    "ip4r",
    "isn",
    "jsonb_plperl",
    "lo",
    "ltree",
    "moddatetime",
    "pg_buffercache",
    "pg_freespacemap",
    "pg_hint_plan",
    "pg_partman",
    "pg_prewarm",
    "pg_stat_statements",
    "pg_trgm",
    "pg_visibility",
    "pgaudit",
    "pgcrypto",
    "pgrouting",
    "pgrowlocks",
    "pgstattuple",
    "plperl",

    "pltcl",
    "postgis",
    "postgis_sfcgal",
    "postgis_topology",
    "postgres_fdw",
    "prefix",
    "refint",
    "seg",
    "semver",
    "sslinfo",
    "tablefunc",
    "tcn",
    "tsm_system_rows",
    "tsm_system_time",
    "unaccent",
    "unit",
    "uuid-ossp",
    "vector",
    "xml2",
};

struct Library {
    std::string_view name;
    std::string_view extension;  ///< is installed where the library is
};
// auto_explain has no extension; it comes with the package of pg_stat_statements.
constexpr Library kLibraries[] = {
    {"auto_explain", "pg_stat_statements"},
    {"pg_hint_plan", "pg_hint_plan"},
    {"pg_prewarm", "pg_prewarm"},
    {"pg_stat_statements", "pg_stat_statements"},
    {"pgaudit", "pgaudit"},
};

bool contains(const std::vector<std::string>& list, std::string_view name) {
    return std::find(list.begin(), list.end(), name) != list.end();
}

std::vector<std::string> strings(std::span<const std::string_view> views) {
    return {views.begin(), views.end()};
}

/// The values of a text parameter that PostgreSQL would accept only if it knew them.
std::vector<std::string> known_texts(const model::Engine& engine, std::string_view name) {
    if (iequals(name, "TimeZone") || iequals(name, "log_timezone")) return strings(time_zones());
    if (name == "default_text_search_config") return strings(text_search_configurations());
    if (name == "timezone_abbreviations") return {"Australia", "Default", "India"};
    if (name.starts_with("lc_")) {
        std::vector<std::string> locales = engine.collations;
        locales.insert(locales.end(), {"C", "POSIX"});
        std::sort(locales.begin(), locales.end());
        locales.erase(std::unique(locales.begin(), locales.end()), locales.end());
        return locales;
    }
    return {};
}

std::string data_type(const model::ParameterInfo& parameter) {
    if (parameter.type == "bool") return "Boolean";
    if (parameter.type == "integer") return "Integer";
    if (parameter.type == "real") return "Numeric";
    if (parameter.type == "enum") return "Enumeration";
    if (parameter.type == "set") return "Set";
    return "String";
}

std::string number_range(const model::ParameterInfo& parameter, const ParameterRule& rule,
                         const std::map<std::string, std::string>& sized) {
    const std::string minimum(rule.minimum.empty() ? parameter.minimum : rule.minimum);
    std::string maximum(rule.maximum.empty() ? parameter.maximum : rule.maximum);
    // Memory the machine does not have would keep the server from starting: at most what the
    // size leaves for data, that is effective_cache_size.
    const auto cache = sized.find("effective_cache_size");
    if (parameter.name == "shared_buffers" && cache != sized.end()) maximum = cache->second;
    return minimum + "-" + maximum;
}

std::string default_value(const model::ParameterInfo& parameter,
                          const std::map<std::string, std::string>& sized) {
    for (const auto& [name, value] : sized) {
        if (iequals(name, parameter.name)) return value;
    }
    if (parameter.name == "superuser_reserved_connections") return "15";
    if (parameter.name == "ssl") return "on";
    if (parameter.name == "password_encryption") return "scram-sha-256";
    if (parameter.name == "timezone_abbreviations") return "Default";
    return parameter.boot_value;
}

CustomerParameter describe(const model::ParameterInfo& parameter, const ParameterRule& rule,
                           const model::Engine& engine,
                           const std::map<std::string, std::string>& sized) {
    CustomerParameter shown;
    shown.name = parameter.name;
    shown.data_type = data_type(parameter);
    shown.default_value = default_value(parameter, sized);
    shown.unit = parameter.unit;
    shown.description = parameter.description;
    shown.documentation_link = documentation_link(parameter, engine.major);
    shown.is_dynamic = parameter.context != "postmaster" && parameter.context != "internal";
    shown.is_read_only = rule.access == Access::read_only;
    if (shown.data_type == "Boolean") {
        shown.allowed_values = "on,off";
    } else if (shown.data_type == "Integer" || shown.data_type == "Numeric") {
        shown.allowed_values = number_range(parameter, rule, sized);
    } else if (shown.data_type == "Enumeration" || shown.data_type == "Set") {
        shown.allowed_values =
            rule.allowed.empty() ? join(parameter.allowed, ",") : std::string(rule.allowed);
    } else {
        const std::vector<std::string> known = known_texts(engine, parameter.name);
        if (!known.empty()) shown.data_type = "Enumeration";
        shown.allowed_values = known.empty() ? ".*" : join(known, ",");
    }
    return shown;
}

/// The parameters that PostgreSQL does not have.
std::vector<CustomerParameter> azure_parameters(const model::Engine& engine) {
    const std::vector<std::string> libraries = offered_libraries(engine.extensions);
    const bool has_default = contains(libraries, kDefaultLibrary);
    return {
        {.name = std::string(kAllowedExtensions),
         .data_type = "Set",
         .allowed_values = join(offered_extensions(engine.extensions), ","),
         .description = "Extensions that may be created in the databases of the server.",
         .is_dynamic = true},
        {.name = std::string(kLogDownloads),
         .data_type = "Boolean",
         .default_value = "off",
         .allowed_values = "on,off",
         .description = "Whether the log files of the server can be listed and downloaded.",
         .is_dynamic = true},
        {.name = std::string(kLogRetention),
         .data_type = "Integer",
         .default_value = std::to_string(kLogRetentionDefault),
         .allowed_values = "1-" + std::to_string(kLogRetentionMax),
         .description = "Days after which the log files of the server are deleted.",
         .is_dynamic = true},
        {.name = std::string(kRequireSecureTransport),
         .data_type = "Boolean",
         .default_value = "on",
         .allowed_values = "on,off",
         .description = "Whether clients have to use an encrypted connection.",
         .is_dynamic = true},
        {.name = std::string(kPreloadLibraries),
         .data_type = "Set",
         .default_value = has_default ? std::string(kDefaultLibrary) : std::string(),
         .allowed_values = join(libraries, ","),
         .description = "Lists shared libraries to preload into server.",
         .documentation_link = "https://www.postgresql.org/docs/" + engine.major +
                               "/runtime-config-client.html#GUC-SHARED-PRELOAD-LIBRARIES"},
    };
}

}  // namespace

bool offers_logs(const std::map<std::string, std::string>& chosen) {
    const auto found = chosen.find(std::string(kLogDownloads));
    return found != chosen.end() && found->second == "on";
}

int log_retention_days(const std::map<std::string, std::string>& chosen) {
    const auto found = chosen.find(std::string(kLogRetention));
    if (found == chosen.end()) return kLogRetentionDefault;
    return static_cast<int>(
        parse_integer(found->second, 1, kLogRetentionMax).value_or(kLogRetentionDefault));
}

std::vector<std::string> offered_extensions(const std::vector<std::string>& installed) {
    std::vector<std::string> offered;
    for (const std::string_view name : kExtensions) {
        if (contains(installed, name)) offered.emplace_back(name);
    }
    return offered;
}

std::vector<std::string> offered_libraries(const std::vector<std::string>& installed_extensions) {
    std::vector<std::string> offered;
    for (const Library& library : kLibraries) {
        if (contains(installed_extensions, library.extension)) offered.emplace_back(library.name);
    }
    return offered;
}

std::vector<CustomerParameter> customer_parameters(
    const model::Engine& engine, const std::map<std::string, std::string>& sized) {
    std::vector<CustomerParameter> shown = azure_parameters(engine);
    for (const model::ParameterInfo& parameter : engine.parameters) {
        const ParameterRule rule = parameter_rule(parameter);
        if (rule.access != Access::hidden) {
            shown.push_back(describe(parameter, rule, engine, sized));
        }
    }
    const std::vector<std::string> libraries = offered_libraries(engine.extensions);
    for (const model::ParameterInfo& parameter : library_parameters()) {
        if (!contains(libraries, library_of(parameter.name))) continue;
        ParameterRule rule = parameter_rule(parameter);
        rule.access = Access::settable;
        shown.push_back(describe(parameter, rule, engine, sized));
    }
    std::sort(shown.begin(), shown.end(),
              [](const auto& a, const auto& b) { return to_lower(a.name) < to_lower(b.name); });
    // An engine that was asked with a library loaded shows the library's parameters too.
    const auto same = [](const auto& a, const auto& b) { return iequals(a.name, b.name); };
    shown.erase(std::unique(shown.begin(), shown.end(), same), shown.end());
    return shown;
}

}  // namespace howdah::core
