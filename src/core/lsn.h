#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

/// Positions in the WAL, as PostgreSQL writes them: "16/B374D848".
namespace howdah::core {

using Lsn = std::uint64_t;

std::string format_lsn(Lsn lsn);
/// `corrupt`: it is none.
Result<Lsn> parse_lsn(std::string_view text);

}  // namespace howdah::core
