#include "api/auth/verified_tokens.h"

namespace howdah::api {

std::optional<http::Claims> VerifiedTokens::find(std::string_view token, Timestamp now) const {
    const std::lock_guard lock(mutex_);
    const auto found = tokens_.find(std::string(token));
    if (found == tokens_.end()) return std::nullopt;
    const http::Claims& claims = found->second;
    if (now < claims.not_before || now >= claims.expires_at) return std::nullopt;
    return claims;
}

void VerifiedTokens::add(std::string_view token, const http::Claims& claims) {
    const std::lock_guard lock(mutex_);
    // Starting anew is simple, and costs each client one check.
    if (tokens_.size() >= kTokensMax) tokens_.clear();
    tokens_.insert_or_assign(std::string(token), claims);
}

std::size_t VerifiedTokens::size() const {
    const std::lock_guard lock(mutex_);
    return tokens_.size();
}

}  // namespace howdah::api
