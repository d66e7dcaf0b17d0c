#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"

namespace howdah::http {

struct SigningKey {
    std::string id;  ///< "kid"
    Secret private_key_pem;
    std::string public_key_pem;
    static Result<SigningKey> generate(std::string id);  ///< RSA 2048
};

struct Claims {
    std::string issuer;    ///< iss
    std::string audience;  ///< aud
    std::string subject;   ///< sub, oid
    std::string app_id;    ///< appid
    std::string tenant;    ///< tid
    Timestamp issued_at;
    Timestamp not_before;
    Timestamp expires_at;
    std::map<std::string, std::string> extra;  ///< further text claims
};

struct VerifyOptions {
    std::vector<std::string>
        audiences;       ///< one of them must be `aud` (a trailing slash does not matter)
    std::string issuer;  ///< must equal `iss`; empty: not checked
    std::chrono::seconds leeway{60};
};

/// Signed tokens, RS256 only: `alg` none, HMAC and every other algorithm are refused before a key
/// is looked at (key confusion). Tokens over 8 KiB are refused.
Result<std::string> sign_jwt(const Claims& claims, const SigningKey& key);
/// Errors: unauthenticated (the message says little on purpose), token_expired.
Result<Claims> verify_jwt(std::string_view token, const std::vector<SigningKey>& keys,
                          const VerifyOptions& options, Timestamp now);
/// The RSA public keys as a JWK set (RFC 7517), JSON text.
Result<std::string> jwk_set(const std::vector<SigningKey>& keys);

}  // namespace howdah::http
