#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace howdah::http {

/// Signs a JSON object with the key of a certificate, so that anybody who has the authority's
/// certificate can tell later who wrote it: a JWS in its compact form (RFC 7515), ES256, with the
/// certificate in its header ("x5c"). REQUIRES: the key is ECDSA P-256. Errors: conflict, if the
/// key is another certificate's (one of the files was renewed a moment ago).
Result<std::string> sign_report(const std::string& json, const Secret& key_pem,
                                std::string_view certificate_pem);

struct VerifiedReport {
    std::string json;    ///< the object; its fields may be in another order
    std::string signer;  ///< common name of the certificate
};

/// `authorities_pem`: of which one must have issued the signer's certificate, which must be a
/// client's. Its time does not matter: reports are kept for longer. Errors: unauthenticated, if the
/// report is no such text, was changed, or its signer is another authority's.
Result<VerifiedReport> verify_report(std::string_view token, std::string_view authorities_pem);

}  // namespace howdah::http
