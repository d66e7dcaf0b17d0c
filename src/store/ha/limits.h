#pragma once

#include <string_view>

#include "base/result.h"

/// The bounds of ha_records.h, checked in one place for every backend.
namespace howdah::store {

/// invalid_argument: no name for a server or an agent.
Status check_ha_name(std::string_view name);
/// invalid_argument: no name, or a record that is too large.
Status check_ha_record(std::string_view server, std::string_view record);

/// What every backend says when a condition did not hold.
Error other_ha_revision(std::string_view server, std::int64_t found, std::int64_t expected);
Error lease_has_moved(std::string_view agent);

}  // namespace howdah::store
