#include "api/auth/token_trust.h"

namespace howdah::api {

model::TokenTrust token_trust(const KeySet& keys, const std::string& issuer,
                              const std::string& tenant_id) {
    model::TokenTrust trust{issuer, issuer, tenant_id, {}};
    for (const http::SigningKey& each : keys.keys) {
        // An id is never used for two keys.
        trust.version += " " + each.id;
        trust.keys.push_back({each.id, each.public_key_pem});
    }
    return trust;
}

}  // namespace howdah::api
