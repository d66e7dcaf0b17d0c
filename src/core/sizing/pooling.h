#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/records.h"

/// Pooling of a server's connections by PgBouncer, as its parameters `pgbouncer.*` ask for it.
/// Pure.
namespace howdah::core {

inline constexpr std::string_view kPoolingEnabled = "pgbouncer.enabled";
/// The first PostgreSQL where the pooler's role can read verifiers without being a superuser.
inline constexpr int kPoolingMajorMin = 14;

bool is_pooling_parameter(std::string_view name);
/// What an engine offers where PgBouncer 1.18 is installed; what only a newer one has is left out.
std::vector<model::ParameterInfo> pooling_parameters();
/// `chosen`: the customer's parameters.
bool wants_pooling(const std::map<std::string, std::string>& chosen);
/// PgBouncer's own settings, by its names, from what the customer chose and Azure's defaults.
std::map<std::string, std::string> pooling_settings(
    const std::map<std::string, std::string>& chosen);

}  // namespace howdah::core
