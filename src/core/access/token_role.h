#pragma once

#include <string_view>

namespace howdah::core {

/// What `aud` of a token for PostgreSQL is, as Azure's clients ask for it.
inline constexpr std::string_view kDatabaseAudience = "https://ossrdbms-aad.database.windows.net";

/// Whether a name can be the role of a token administrator: what PostgreSQL's pg_hba.conf can write
/// in quotes. 1 to 63 bytes, no control characters, quotes and backslashes; no slash first, which
/// would make it a regular expression since 16.
bool is_token_role(std::string_view name);

}  // namespace howdah::core
