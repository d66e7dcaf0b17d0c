#include "cli/device_login.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"
#include "http/client.h"

namespace howdah::cli {
namespace {

constexpr std::string_view kGrant = "urn:ietf:params:oauth:grant-type:device_code";
constexpr Duration kCallTimeout = std::chrono::seconds(30);
constexpr long long kIntervalMax = 60;  ///< seconds
constexpr long long kLifetimeMax = 3600;
constexpr std::chrono::seconds kSlowDown{5};

/// One login under way.
struct Asked {
    std::string endpoint;  ///< "{authority}/{tenant}/oauth2/v2.0"
    Secret device_code;
    std::chrono::seconds interval{5};
    Instant end;
};

http::Call form_to(const std::string& url, std::string body) {
    http::Call call;
    call.method = "POST";
    call.url = url;
    call.headers["content-type"] = "application/x-www-form-urlencoded";
    call.body = std::move(body);
    call.timeout = kCallTimeout;
    return call;
}

Result<Asked> ask(Session& session, http::Client& client, const Profile& profile) {
    Asked asked;
    const std::string tenant = profile.tenant_id.empty() ? "organizations" : profile.tenant_id;
    asked.endpoint = fmt::format("{}/{}/oauth2/v2.0", profile.authority, http::url_encode(tenant));
    const std::string scope = profile.api_url + "/.default openid profile offline_access";
    HD_TRY(const auto answer, client.call(form_to(asked.endpoint + "/devicecode",
                                                  fmt::format("client_id={}&scope={}", kOwnAppId,
                                                              http::url_encode(scope)))));
    if (answer.status != 200) return error_of(answer.status, answer.body);
    HD_TRY(const Json json, parse_json(answer.body, "the answer of the device code endpoint"));
    asked.device_code = Secret(text_at(json, "device_code"));
    const std::string page = text_at(json, "verification_uri");
    const std::string code = text_at(json, "user_code");
    if (asked.device_code.empty() || page.empty() || code.empty())
        return Error{ErrorCode::unauthenticated, "the authority gave no code to log in with"};
    HD_TRY(const auto interval, parse_integer(text_at(json, "interval"), 1, kIntervalMax));
    HD_TRY(const auto lifetime, parse_integer(text_at(json, "expires_in"), 1, kLifetimeMax));
    asked.interval = std::chrono::seconds(interval);
    asked.end = session.world.clock.now() + std::chrono::seconds(lifetime);
    // Not a note: without it nobody can log in.
    session.world.err << fmt::format("To log in, open the page {} and enter the code {}\n", page,
                                     code)
                      << std::flush;
    return asked;
}

/// Who it was, from the claims of the id token. It came over TLS from the authority itself.
Result<Json> claims_of(const std::string& id_token) {
    const std::vector<std::string> parts = split(id_token, '.');
    if (parts.size() != 3)
        return Error{ErrorCode::unauthenticated, "the authority did not say who logged in"};
    HD_TRY(const std::string text, base64url_decode(parts[1]));
    return parse_json(text, "the id token");
}

Error no_login(std::string_view what) {
    return {ErrorCode::unauthenticated, std::string(what), {}, "run: howdah login"};
}

}  // namespace

Result<Token> token_from(const Json& answer, Timestamp now) {
    const std::string text = text_at(answer, "access_token");
    HD_TRY(const long long seconds, parse_integer(text_at(answer, "expires_in"), 0, 1 << 30));
    if (text.empty()) return Error{ErrorCode::unauthenticated, "the token endpoint gave no token"};
    return Token{Secret(text), now + std::chrono::seconds(seconds)};
}

Result<Token> log_in_by_device_code(Session& session, Profile& profile) {
    http::Client client({.ca_pem = profile.api_ca_pem.empty() ? profile.ca_pem : profile.api_ca_pem,
                         .server_name = profile.api_name});
    World& world = session.world;
    HD_TRY(Asked asked, ask(session, client, profile));
    const std::string form =
        fmt::format("grant_type={}&client_id={}&device_code={}", http::url_encode(kGrant),
                    kOwnAppId, http::url_encode(asked.device_code.reveal()));
    while (world.clock.now() < asked.end) {
        world.pause(asked.interval);
        const auto answer = client.call(form_to(asked.endpoint + "/token", form));
        // The person may take longer than howdahd to come back.
        if (!answer.ok() || answer->status >= 500) continue;
        HD_TRY(const Json json, parse_json(answer->body, "the answer of the token endpoint"));
        const std::string error = text_at(json, "error");
        if (error == "slow_down") asked.interval += kSlowDown;
        if (error == "slow_down" || error == "authorization_pending") continue;
        if (error == "authorization_declined" || error == "access_denied")
            return no_login("the login was refused");
        if (answer->status != 200) return error_of(answer->status, answer->body);
        HD_TRY(const Json claims, claims_of(text_at(json, "id_token")));
        profile.client_id = text_at(claims, "preferred_username");
        profile.tenant_id = text_at(claims, "tid");
        profile.client_secret = Secret();
        profile.refresh_token = Secret(text_at(json, "refresh_token"));
        return token_from(json, world.clock.wall());
    }
    return no_login("nobody entered the code in time");
}

}  // namespace howdah::cli
