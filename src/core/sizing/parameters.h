#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/records.h"

/// Which server parameters a customer may set and how a value is checked: pure, from the engine's
/// own pg_settings (model::ParameterInfo) and the tables of this module.
namespace howdah::core {

/// The parameters that are Azure's or managed as a whole: they are not lines of postgresql.conf as
/// they stand.
inline constexpr std::string_view kRequireSecureTransport = "require_secure_transport";
inline constexpr std::string_view kAllowedExtensions = "azure.extensions";
inline constexpr std::string_view kPreloadLibraries = "shared_preload_libraries";
/// Whether the log files can be listed and downloaded, and for how many days they are kept.
inline constexpr std::string_view kLogDownloads = "logfiles.download_enable";
inline constexpr std::string_view kLogRetention = "logfiles.retention_days";
inline constexpr int kLogRetentionDefault = 3;
inline constexpr int kLogRetentionMax = 7;
/// The default of shared_preload_libraries, as far as the engine has it.
inline constexpr std::string_view kDefaultLibrary = "pg_stat_statements";
/// Longest value of a parameter, in bytes.
inline constexpr std::size_t kParameterValueMax = 8192;

/// What the customer's parameters (name to value) say about log files.
bool offers_logs(const std::map<std::string, std::string>& chosen);
int log_retention_days(const std::map<std::string, std::string>& chosen);

/// A parameter as the API shows it.
struct CustomerParameter {
    std::string name;
    std::string data_type;       ///< Boolean, Integer, Numeric, Enumeration, String, Set
    std::string default_value;   ///< sized for the SKU where it depends on it
    std::string allowed_values;  ///< "on,off", "1-100", "a,b,c", ".*"
    std::string unit;
    std::string description;
    std::string documentation_link;
    bool is_dynamic = false;    ///< false: a change waits for a restart
    bool is_read_only = false;  ///< shown, not settable
};

/// What a customer sees of this engine, sorted by name: PostgreSQL's parameters (without those
/// that are Howdah's own business), require_secure_transport, azure.extensions,
/// shared_preload_libraries with the libraries that exist.
std::vector<CustomerParameter> customer_parameters(const model::Engine& engine,
                                                   const std::map<std::string, std::string>& sized);

/// Those of the installed extensions that a customer may put on azure.extensions, sorted. One that
/// reaches the host's files or programs, or that nobody has looked at, is not among them.
std::vector<std::string> offered_extensions(const std::vector<std::string>& installed);
/// The libraries a customer may preload, by the extensions that are installed, sorted.
std::vector<std::string> offered_libraries(const std::vector<std::string>& installed_extensions);

/// Checks one value; the result is its normal form ("ON" -> "on", "azure.extensions" sorted).
/// Names are compared without regard to case. ErrorCode::invalid_argument names the allowed values;
/// not_found: no such parameter; property_change_not_allowed: it is read-only.
Result<std::string> check_parameter(const std::vector<CustomerParameter>& parameters,
                                    std::string_view name, std::string_view value);

}  // namespace howdah::core
