#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace howdah::pg {

/// The text that pg_authid.rolpassword holds for a password (RFC 5803 form):
/// SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>. The password is printable ASCII, so
/// that SASLprep changes nothing. Pure: the salt (16 bytes) is an argument.
Result<std::string> scram_verifier(const Secret& password, std::string_view salt,
                                   int iterations = 4096);
/// True if the password gives this verifier.
bool scram_matches(const Secret& password, std::string_view verifier);
/// The shape only.
bool is_scram_verifier(std::string_view text);

}  // namespace howdah::pg
