#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

/// What other issuers of tokens publish: their discovery document and their public keys. All of it
/// comes from outside, and every reader here takes any bytes.
namespace howdah::http {

inline constexpr std::size_t kIssuerDocumentBytesMax = 256 << 10;
inline constexpr std::size_t kIssuerKeysMax = 64;
inline constexpr std::size_t kIssuerUrlBytesMax = 1024;

/// A public key that somebody else signs tokens with.
struct VerificationKey {
    std::string id;         ///< "kid"
    std::string algorithm;  ///< the only one it is for; empty: every one that fits its type
    std::string public_key_pem;

    bool operator==(const VerificationKey&) const = default;
};

struct IssuerKeySet {
    std::vector<VerificationKey> keys;
    std::vector<std::string> ignored;  ///< "'kid': why", for the log
};

/// The keys of a JWK set (RFC 7517) that can verify tokens: RSA of 2048 to 8192 bits for RS256 and
/// PS256, P-256 for ES256. Others, keys for encryption and private keys are ignored, as a set may
/// hold them besides. Errors (corrupt, too_large): it is no JWK set, or has more than
/// kIssuerKeysMax keys.
Result<IssuerKeySet> parse_issuer_keys(std::string_view json);
/// Whether a key that was kept is one that parse_issuer_keys may have given.
Status check_issuer_key(const VerificationKey& key);

/// Where the keys are, by the discovery document (OpenID Connect Discovery 1.0, 4.2). Errors:
/// corrupt, also when the document is of another issuer.
Result<std::string> parse_issuer_discovery(std::string_view json, std::string_view issuer);

/// Whether an issuer may have this address: https, or http to this very machine; no user, no
/// query, no fragment, nothing that has to be escaped. Errors: invalid_argument.
Status check_issuer_url(std::string_view url);
std::string discovery_url(std::string_view issuer);

}  // namespace howdah::http
