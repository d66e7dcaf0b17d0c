#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace howdah::api {

inline constexpr std::size_t kTrustedIssuersMax = 16;
inline constexpr std::size_t kAudiencesMax = 16;

/// An issuer of tokens beside Howdah's own authority, as the operator configured it.
struct TrustedIssuer {
    std::string name;                    ///< the operator's own, for logs
    std::string url;                     ///< must equal "iss" letter by letter
    std::vector<std::string> audiences;  ///< one of them must be in "aud"
    std::string ca_pem;                  ///< whom its HTTPS is trusted by; empty: the system's
    std::string subject_claim;           ///< empty: "oid" if a token has it, else "sub"
    std::string tenant;                  ///< not empty: must equal "tid"
};

/// One section of the operator's file: values by name, each one or many.
struct IssuerSection {
    std::string name;
    std::map<std::string, std::vector<std::string>> values;
    std::string ca_pem;  ///< content of the file that "ca-file" names
};

/// The operator's file; the contents of what "ca-file" names are the caller's matter. Errors:
/// invalid_argument, with the line, and what to do.
Result<std::vector<IssuerSection>> parse_issuer_file(std::string_view text);

/// Errors: invalid_argument; the message says what is wrong where and why, the hint what to do.
/// `own_url`: the address of this API, which is no foreign issuer.
Result<std::vector<TrustedIssuer>> trusted_issuers(const std::vector<IssuerSection>& sections,
                                                   std::string_view own_url);

}  // namespace howdah::api
