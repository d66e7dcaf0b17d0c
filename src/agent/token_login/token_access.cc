#include "agent/token_login/token_access.h"

#include <algorithm>

#include "base/id.h"
#include "base/text.h"
#include "core/access/token_role.h"
#include "http/jwt.h"

namespace howdah::agent {
namespace {

constexpr std::string_view kSuffixStart = ",ou=";
constexpr std::size_t kUuidBytes = 36;

Error refused(std::string why) { return {ErrorCode::unauthenticated, std::move(why)}; }

}  // namespace

TokenAccess token_access_of(const model::InstanceSpec& spec) {
    return {spec.token_logins, spec.token_administrators};
}

Status check_token_login(const model::TokenTrust& trust, const TokenAccess& access,
                         std::string_view role, std::string_view token, Timestamp now) {
    if (!access.enabled) return refused("the server takes no access tokens");
    const auto administrator =
        std::find_if(access.administrators.begin(), access.administrators.end(),
                     [&](const auto& each) { return each.role == role; });
    if (administrator == access.administrators.end())
        return refused("the role belongs to no Microsoft Entra administrator");
    if (trust.issuer.empty() || trust.keys.empty())
        return refused("no keys for access tokens are known yet");
    std::vector<http::SigningKey> keys;
    for (const model::TokenKey& each : trust.keys)
        keys.push_back({each.id, Secret(), each.public_key_pem});
    const http::VerifyOptions options{.audiences = {std::string(core::kDatabaseAudience)},
                                      .issuer = trust.issuer};
    HD_TRY(const http::Claims claims, http::verify_jwt(token, keys, options, now));
    if (!iequals(claims.tenant, trust.tenant_id) ||
        !iequals(claims.tenant, administrator->tenant_id)) {
        return refused("the access token is of another tenant");
    }
    if (!iequals(claims.subject, administrator->object_id))
        return refused("the access token is of another principal than the role");
    return ok_status();
}

std::string login_suffix(std::string_view incarnation) {
    return std::string(kSuffixStart) + std::string(incarnation);
}

std::optional<LoginName> read_login_name(std::string_view name) {
    const std::size_t around = kLoginPrefix.size() + kSuffixStart.size() + kUuidBytes;
    if (name.size() <= around || !name.starts_with(kLoginPrefix)) return std::nullopt;
    const std::string_view incarnation = name.substr(name.size() - kUuidBytes);
    const std::string_view start =
        name.substr(name.size() - kUuidBytes - kSuffixStart.size(), kSuffixStart.size());
    if (start != kSuffixStart || !is_uuid(incarnation)) return std::nullopt;
    return LoginName{name.substr(kLoginPrefix.size(), name.size() - around), incarnation};
}

}  // namespace howdah::agent
