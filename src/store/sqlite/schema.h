#pragma once

#include <cstdint>

#include "base/result.h"
#include "store/sqlite/connection.h"

namespace howdah::store {

/// The newest schema version that this program knows.
std::int64_t newest_schema_version();

/// Brings a file to a schema version, one migration per transaction; an empty file begins at 0.
/// `not_supported` if the file has a newer version than this program knows, `corrupt` if it is
/// some other program's database. `up_to` is for tests; beyond them newest_schema_version().
Status migrate(Connection& connection, std::int64_t up_to);

}  // namespace howdah::store
