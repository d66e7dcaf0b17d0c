#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "http/jwt.h"

namespace howdah::api {

/// Remembers tokens whose signature was found good, as checking one costs more than everything
/// else of a small request. Only until they expire; bounded. Thread-safe.
class VerifiedTokens {
  public:
    static constexpr std::size_t kTokensMax = 256;

    /// The claims, if this very token was added and is still valid at `now`.
    std::optional<http::Claims> find(std::string_view token, Timestamp now) const;
    void add(std::string_view token, const http::Claims& claims);
    std::size_t size() const;

  private:
    mutable std::mutex mutex_;
    std::unordered_map<std::string, http::Claims> tokens_;  ///< guarded by mutex_
};

}  // namespace howdah::api
