#pragma once

#include <string>

#include "api/auth/signing_keys.h"
#include "model/records.h"

namespace howdah::api {

/// What agents judge the tokens of the built-in authority by. `issuer` as TokenService::issuer.
model::TokenTrust token_trust(const KeySet& keys, const std::string& issuer,
                              const std::string& tenant_id);

}  // namespace howdah::api
