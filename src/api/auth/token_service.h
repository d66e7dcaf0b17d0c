#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/api.h"
#include "api/auth/device_logins.h"
#include "api/auth/failure_limit.h"
#include "api/auth/principal.h"
#include "api/auth/sessions.h"
#include "api/auth/verified_tokens.h"
#include "api/call.h"
#include "api/remembered.h"

namespace howdah::api {

inline constexpr std::chrono::seconds kTokenLifetime{3599};
inline constexpr std::size_t kFormBytesMax = 16 << 10;

struct DevicePage;

/// The built-in authority: OAuth2 client credentials, logins by device code with their page for
/// people, refresh tokens, discovery documents and the check of bearer tokens. Speaks as Entra ID
/// (`/{tenant}/...`) and as AD FS (`/adfs/...`). Thread-safe.
class TokenService {
  public:
    explicit TokenService(const ApiContext& context)
        : context_(context),
          failures_(context.clock),
          noted_(context.clock),
          logins_(context.clock, context.ids),
          sessions_(context.store, context.secrets, context.clock, context.ids),
          principals_(context.store) {}

    /// The answer, if the path belongs to the authority; these paths need no token.
    std::optional<http::Response> answer(const http::Request& request,
                                         const std::vector<std::string>& segments);

    /// What a token is for: each is good at its own place alone.
    enum class Audience { management, graph };

    /// Who sent the request. Errors: authentication_failed (no token), unauthenticated,
    /// token_expired, wrong_tenant.
    Result<Caller> authenticate(const http::Request& request,
                                Audience audience = Audience::management);
    /// The WWW-Authenticate header of a 401.
    std::string challenge(const Error& error) const;

    std::string issuer() const { return context_.base_url + "/" + context_.tenant_id + "/v2.0"; }

  private:
    struct Grant;
    struct Form;
    struct Proof;
    http::Response token(const http::Request& request, std::string_view tenant);
    http::Response client_token(const http::Request& request, const Grant& grant);
    http::Response device_token(const http::Request& request, const Grant& grant);
    http::Response refreshed_token(const http::Request& request, const Grant& grant);
    http::Response user_token(const Grant& grant, const Identity& identity,
                              std::optional<Secret> refresh_token);
    Proof prove(const http::Request& request, const std::string& client_id, const Secret& secret);
    http::Response begin_device_login(const http::Request& request, std::string_view tenant);
    http::Response device_page(const http::Request& request);
    http::Response answer_page(const http::Request& request, const DevicePage& page,
                               const Form& form);
    bool is_own_tenant(std::string_view tenant) const;
    http::Response unknown_tenant(std::string_view error, std::string_view tenant) const;
    http::Response unavailable() const;
    http::Response unknown_resource(const Error& error) const;
    Result<std::shared_ptr<const std::optional<Principal>>> known_principal(
        const std::string& client_id);
    /// Who sent a token of a foreign issuer; none if it is not of one.
    std::optional<Result<Caller>> foreign_caller(std::string_view token,
                                                 const http::Request& request);
    Result<http::Claims> verify(std::string_view token, const http::Request& request);
    /// Whether a refusal of this kind, from this address, is still worth a line in the log.
    bool may_note(std::string_view kind, const http::Request& request);
    void note_refusal(const http::Request& request, std::string_view reason);
    Result<Grant> read_grant(const http::Request& request) const;
    Result<std::string> audience_of(const Grant& grant) const;
    http::Claims claims_of(const Identity& identity, std::string_view audience) const;
    /// The body of an answer with an access token. Errors: of signing.
    Result<Json> issue(const Grant& grant, const std::string& audience, const Identity& identity,
                       std::string_view kind) const;
    http::Response refuse(int status, std::string_view error, int code,
                          std::string_view text) const;
    http::Response discovery(std::string_view tenant, bool adfs, bool v2) const;
    http::Response keys() const;

    const ApiContext& context_;
    FailureLimit failures_;
    FailureLimit noted_;  ///< of log lines, so that nobody fills the disk with bad tokens
    DeviceLogins logins_;
    Sessions sessions_;
    VerifiedTokens verified_;
    Remembered<std::optional<Principal>> principals_;  ///< by client id
};

/// GET /metadata/endpoints, in the three shapes that clients ask for.
http::Response cloud_metadata(const ApiContext& context, std::string_view api_version);

}  // namespace howdah::api
