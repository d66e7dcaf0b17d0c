#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/api.h"
#include "api/auth/failure_limit.h"
#include "api/auth/verified_tokens.h"
#include "api/call.h"

namespace howdah::api {

inline constexpr std::chrono::seconds kTokenLifetime{3599};
inline constexpr std::size_t kFormBytesMax = 16 << 10;

/// The built-in authority: OAuth2 client credentials, discovery documents and the check of bearer
/// tokens. Speaks as Entra ID (`/{tenant}/...`) and as AD FS (`/adfs/...`). Thread-safe.
class TokenService {
  public:
    explicit TokenService(const ApiContext& context)
        : context_(context), failures_(context.clock) {}

    /// The answer, if the path belongs to the authority; these paths need no token.
    std::optional<http::Response> answer(const http::Request& request,
                                         const std::vector<std::string>& segments);

    /// Who sent the request. Errors: authentication_failed (no token), unauthenticated,
    /// token_expired, wrong_tenant.
    Result<Caller> authenticate(const http::Request& request);
    /// The WWW-Authenticate header of a 401.
    std::string challenge(const Error& error) const;

    std::string issuer() const { return context_.base_url + "/" + context_.tenant_id + "/v2.0"; }

  private:
    struct Grant;
    http::Response token(const http::Request& request, std::string_view tenant);
    Result<http::Claims> verify(std::string_view token);
    Result<Grant> read_grant(const http::Request& request) const;
    Result<std::string> audience_of(const Grant& grant) const;
    http::Response issue(const Grant& grant, const std::string& audience,
                         const std::string& object_id, const std::string& name) const;
    http::Response refuse(int status, std::string_view error, int code,
                          std::string_view text) const;
    http::Response discovery(std::string_view tenant, bool adfs, bool v2) const;
    http::Response keys() const;

    const ApiContext& context_;
    FailureLimit failures_;
    VerifiedTokens verified_;
};

/// GET /metadata/endpoints, in the three shapes that clients ask for.
http::Response cloud_metadata(const ApiContext& context, std::string_view api_version);

}  // namespace howdah::api
