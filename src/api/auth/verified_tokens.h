#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "http/jwt.h"

namespace howdah::api {

/// Remembers what tokens say whose signature was found good, as checking one costs more than
/// everything else of a small request. Only until they expire; bounded. Thread-safe.
/// What a token says has `not_before` and `expires_at`.
template <typename Claims>
class TokenCache {
  public:
    static constexpr std::size_t kTokensMax = 256;

    /// The claims, if this very token was added and is still valid at `now`.
    std::optional<Claims> find(std::string_view token, Timestamp now) const {
        const std::lock_guard lock(mutex_);
        const auto found = tokens_.find(std::string(token));
        if (found == tokens_.end()) return std::nullopt;
        const Claims& claims = found->second;
        if (now < claims.not_before || now >= claims.expires_at) return std::nullopt;
        return claims;
    }
    void add(std::string_view token, const Claims& claims) {
        const std::lock_guard lock(mutex_);
        // Starting anew is simple, and costs each client one check.
        if (tokens_.size() >= kTokensMax) tokens_.clear();
        tokens_.insert_or_assign(std::string(token), claims);
    }
    std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return tokens_.size();
    }

  private:
    mutable std::mutex mutex_;
    std::unordered_map<std::string, Claims> tokens_;  ///< guarded by mutex_
};

using VerifiedTokens = TokenCache<http::Claims>;

}  // namespace howdah::api
