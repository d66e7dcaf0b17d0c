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
/// A password that everybody who has the key can make, and nobody else: HMAC-SHA-256 of the purpose
/// with the key's SHA-256, in base64. A key of at least 32 random bytes, in whatever form.
Secret derived_password(const Secret& key, std::string_view purpose);
/// The shape only.
bool is_scram_verifier(std::string_view text);

}  // namespace howdah::pg
