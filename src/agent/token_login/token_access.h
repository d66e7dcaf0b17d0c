#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/records.h"

/// Who may log in to a server with an access token. Pure.
namespace howdah::agent {

/// One server as far as tokens matter. `enabled` false: nobody logs in with one.
struct TokenAccess {
    bool enabled = false;
    std::vector<model::TokenAdministrator> administrators;
    bool operator==(const TokenAccess&) const = default;
};

TokenAccess token_access_of(const model::InstanceSpec& spec);

/// Whether who shows `token` may log in as `role`: the token is signed by a key of `trust`, for
/// PostgreSQL, valid now, and of the very principal that this role of this server belongs to. The
/// error is for the log of the server: it says which check failed, and holds no part of the token.
Status check_token_login(const model::TokenTrust& trust, const TokenAccess& access,
                         std::string_view role, std::string_view token, Timestamp now);

/// The name under which PostgreSQL asks, "cn=ROLE,ou=INCARNATION": it puts the first and the last
/// part around whatever role is to log in, so the middle may be anything.
struct LoginName {
    std::string_view role;
    std::string_view incarnation;
};
inline constexpr std::string_view kLoginPrefix = "cn=";
std::string login_suffix(std::string_view incarnation);
/// None if it does not have that form.
std::optional<LoginName> read_login_name(std::string_view name);

}  // namespace howdah::agent
