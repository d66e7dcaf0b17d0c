#pragma once

#include <string>
#include <vector>

#include "api/auth/trusted_issuer.h"
#include "base/result.h"

namespace howdah::howdahd {

/// The sections of the operator's file of trusted issuers (TOML), with the certificates it names.
/// An empty path: none. What the values mean is api::trusted_issuers' matter. Errors:
/// invalid_argument; the message says what is wrong where, the hint what to do.
Result<std::vector<api::IssuerSection>> read_issuer_sections(const std::string& path);

}  // namespace howdah::howdahd
