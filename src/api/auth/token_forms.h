#pragma once

#include <optional>
#include <string>

#include "api/auth/token_service.h"

namespace howdah::api {

inline constexpr std::string_view kDeviceGrant = "urn:ietf:params:oauth:grant-type:device_code";
inline constexpr std::string_view kDevicePage = "devicelogin";

/// What a client asks the token endpoint for.
struct TokenService::Grant {
    std::string grant_type;
    std::string client_id;
    Secret client_secret;
    std::string scope;
    std::string resource;
    Secret device_code;
    Secret refresh_token;
    bool has_assertion = false;
    bool wants_client_info = false;

    bool is_first_version() const { return !resource.empty() && scope.empty(); }
};

/// A client id as it may stand in a log: people put the secret into the wrong field.
inline std::string loggable_client(const std::string& id) { return is_uuid(id) ? id : "(no UUID)"; }

/// The outcome of a client id with its secret.
struct TokenService::Proof {
    Duration wait{};  ///< too many were wrong: nothing was tried
    bool is_unavailable = false;
    std::optional<Identity> identity;  ///< none: it was wrong
};

/// What the page for people sends.
struct TokenService::Form {
    std::string step;  ///< "code", "login" or "decline"
    std::string user_code;
    std::string guard;  ///< must be the cookie's
    std::string client_id;
    Secret client_secret;
};

}  // namespace howdah::api
