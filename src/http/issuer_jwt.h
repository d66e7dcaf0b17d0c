#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/issuer_keys.h"

namespace howdah::http {

/// What a token of another issuer says. Such issuers leave out what Howdah's own tokens must have
/// ("nbf", "iat", "appid", "tid"), and list audiences.
struct IssuerClaims {
    std::string issuer;
    std::string audience;  ///< the one that was accepted
    std::string subject;
    std::string name;      ///< for people, of their own choice: never to decide anything by
    Timestamp not_before;  ///< long ago if the token does not say
    Timestamp expires_at;
};

struct IssuerVerifyOptions {
    std::string issuer;                  ///< must equal "iss"
    std::vector<std::string> audiences;  ///< one of them must be in "aud", letter by letter
    std::string subject_claim;           ///< empty: "oid" if it is there, else "sub"
    std::string tenant;                  ///< if not empty, must equal "tid"
    std::chrono::seconds leeway{60};
};

/// Nobody has vouched for these: they only say where to look for the key.
struct UnverifiedToken {
    std::string issuer;
    std::string key_id;
};
/// None if the token has no issuer or key, or is none.
std::optional<UnverifiedToken> look_at_jwt(std::string_view token);

/// RS256, PS256 and ES256, with the key that the token names and only as that key's type and "alg"
/// allow; everything else is refused before a signature is looked at. So are tokens that are bound
/// to a key of their sender ("cnf"), tokens of another kind than access and ID tokens ("typ"),
/// critical header fields, and tokens over 8 KiB.
/// Errors: unauthenticated (for the log, not for who sent it), token_expired.
Result<IssuerClaims> verify_issuer_jwt(std::string_view token,
                                       const std::vector<VerificationKey>& keys,
                                       const IssuerVerifyOptions& options, Timestamp now);

}  // namespace howdah::http
