#pragma once

#include <string>

#include "cli/profile.h"
#include "cli/session.h"

namespace howdah::cli {

/// The id under which this program asks for logins.
inline constexpr std::string_view kOwnAppId = "6a1d6f0e-7c43-4b0e-9a55-3f0c7d1be2a4";

/// Logs a person in by device code (RFC 8628): shows address and code on standard error and waits
/// until they were used, at most as long as the code holds. `profile` says where and whom to trust;
/// who it was, the tenant and the refresh token are filled in. Errors: unauthenticated if the login
/// was refused or took too long.
Result<Token> log_in_by_device_code(Session& session, Profile& profile);

/// An access token from an answer of the token endpoint.
Result<Token> token_from(const Json& answer, Timestamp now);

}  // namespace howdah::cli
