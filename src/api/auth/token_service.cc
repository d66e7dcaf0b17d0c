#include "api/auth/token_service.h"

#include <fmt/chrono.h>
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/auth/principal.h"
#include "api/auth/token_forms.h"
#include "base/log.h"
#include "base/text.h"
#include "core/access/token_role.h"
#include "http/client.h"

namespace howdah::api {
namespace {

// Audiences whose tokens the management API takes: its own address and the names of the public
// cloud, which clients send that only replace the host.
constexpr std::string_view kPublicAudiences[] = {"https://management.azure.com",
                                                 "https://management.core.windows.net"};

std::string without_slashes(std::string_view text) {
    while (text.ends_with('/')) text.remove_suffix(1);
    return std::string(text);
}

std::vector<std::string> management_audiences(const ApiContext& context) {
    std::vector<std::string> all = {context.base_url};
    for (const std::string_view each : kPublicAudiences) all.emplace_back(each);
    return all;
}

/// What is told to who sent a bad token: not which check it failed.
Error for_sender(const Error& error) {
    if (error.code == ErrorCode::token_expired)
        return {ErrorCode::token_expired,
                "the access token expiry UTC time is earlier than the current UTC time", "",
                "ask for a new token"};
    return {ErrorCode::unauthenticated, "the access token is invalid"};
}

std::string graph_audience(const ApiContext& context) { return context.base_url + "/msgraph"; }

bool is_any_tenant(std::string_view tenant) {
    return iequals(tenant, "common") || iequals(tenant, "organizations");
}

}  // namespace

std::optional<http::Response> TokenService::answer(const http::Request& request,
                                                   const std::vector<std::string>& segments) {
    std::string path;
    for (std::size_t i = 1; i < segments.size(); ++i) path += "/" + to_lower(segments[i]);
    if (segments.empty()) return std::nullopt;
    const std::string tenant = to_lower(segments[0]);
    const bool adfs = tenant == "adfs";
    if (tenant == "discovery" && path == "/keys") return keys();
    if (path == "/oauth2/token" || path == "/oauth2/v2.0/token") {
        if (request.method != "POST")
            return refuse(405, "invalid_request", 900561,
                          "the endpoint only accepts POST requests");
        return token(request, adfs ? context_.tenant_id : tenant);
    }
    if (path == "/oauth2/devicecode" || path == "/oauth2/v2.0/devicecode") {
        if (request.method != "POST")
            return refuse(405, "invalid_request", 900561,
                          "the endpoint only accepts POST requests");
        return begin_device_login(request, adfs ? context_.tenant_id : tenant);
    }
    if (segments.size() == 1 && tenant == kDevicePage) return device_page(request);
    if (path == "/.well-known/openid-configuration") return discovery(tenant, adfs, false);
    if (path == "/v2.0/.well-known/openid-configuration") return discovery(tenant, adfs, true);
    if (path == "/discovery/keys" || path == "/discovery/v2.0/keys") return keys();
    return std::nullopt;
}

http::Response TokenService::refuse(int status, std::string_view error, int code,
                                    std::string_view text) const {
    const std::string trace = context_.ids.uuid();
    const std::string correlation = context_.ids.uuid();
    std::string time = format_iso8601(context_.clock.wall());
    time = time.substr(0, 10) + " " + time.substr(11, 8) + "Z";
    const Json body = {
        {"error", std::string(error)},
        {"error_description",
         fmt::format("AADSTS{}: {} Trace ID: {} Correlation ID: {} Timestamp: {}", code,
                     as_sentence(text), trace, correlation, time)},
        {"error_codes", Json::array({code})},
        {"timestamp", time},
        {"trace_id", trace},
        {"correlation_id", correlation},
    };
    http::Response response{status, {{"cache-control", "no-store"}}, to_text(body)};
    if (status == 401) response.headers["www-authenticate"] = "Basic realm=\"howdah\"";
    return response;
}

Result<TokenService::Grant> TokenService::read_grant(const http::Request& request) const {
    Grant grant;
    if (request.body.size() > kFormBytesMax)
        return Error{ErrorCode::too_large, "the form is too large"};
    HD_TRY(const auto form, http::parse_form(request.body));
    for (const auto& [key, value] : form) {
        if (key == "grant_type") grant.grant_type = value;
        if (key == "client_id") grant.client_id = to_lower(value);
        if (key == "client_secret") grant.client_secret = Secret(value);
        if (key == "scope") grant.scope = value;
        if (key == "resource") grant.resource = value;
        if (key == "client_assertion") grant.has_assertion = true;
        if (key == "client_info") grant.wants_client_info = value == "1";
        if (key == "refresh_token") grant.refresh_token = Secret(value);
        // The first version of the protocol calls it "code".
        if (key == "device_code" || (key == "code" && grant.device_code.empty()))
            grant.device_code = Secret(value);
    }
    const std::string_view authorization = request.header("authorization");
    if (authorization.size() > 6 && iequals(authorization.substr(0, 6), "basic ")) {
        HD_TRY(const std::string pair, base64_decode(trim(authorization.substr(6))));
        const std::size_t colon = pair.find(':');
        if (colon == std::string::npos)
            return Error{ErrorCode::invalid_request, "the authorization header has no colon"};
        HD_TRY(const std::string id, http::url_decode(pair.substr(0, colon)));
        HD_TRY(std::string secret, http::url_decode(pair.substr(colon + 1)));
        grant.client_id = to_lower(id);
        grant.client_secret = Secret(std::move(secret));
    }
    return grant;
}

Result<std::string> TokenService::audience_of(const Grant& grant) const {
    std::string wanted = grant.resource;
    if (!grant.scope.empty()) {
        wanted.clear();
        for (const std::string& scope : split(grant.scope, ' ')) {
            if (scope.empty() || scope == "openid" || scope == "profile" ||
                scope == "offline_access")
                continue;
            const std::size_t slash = scope.rfind('/');
            wanted = slash == std::string::npos ? scope : scope.substr(0, slash);
        }
    }
    wanted = without_slashes(wanted);
    if (wanted.empty()) return context_.base_url;
    for (const std::string& each : management_audiences(context_))
        if (iequals(each, wanted)) return wanted;
    if (iequals(wanted, graph_audience(context_))) return wanted;
    if (iequals(wanted, core::kDatabaseAudience)) return std::string(core::kDatabaseAudience);
    return Error{ErrorCode::invalid_argument, wanted.substr(0, 256)};
}

bool TokenService::is_own_tenant(std::string_view tenant) const {
    return iequals(tenant, context_.tenant_id) || is_any_tenant(tenant);
}

http::Response TokenService::unknown_tenant(std::string_view error, std::string_view tenant) const {
    return refuse(400, error, 90002,
                  fmt::format("tenant '{}' not found. Check that you have the correct tenant "
                              "ID and are signing into the correct cloud",
                              tenant.substr(0, 64)));
}

http::Response TokenService::unavailable() const {
    return refuse(503, "temporarily_unavailable", 90033, "a transient error has occurred");
}

http::Response TokenService::unknown_resource(const Error& error) const {
    return refuse(400, "invalid_resource", 500011,
                  fmt::format("the resource principal named {} was not found in the tenant "
                              "named {}",
                              error.message, context_.tenant_id));
}

http::Response TokenService::token(const http::Request& request, std::string_view tenant) {
    if (!is_own_tenant(tenant)) return unknown_tenant("invalid_request", tenant);
    const Result<Grant> read = read_grant(request);
    if (!read.ok()) return refuse(400, "invalid_request", 90014, read.error().message);
    const Grant& grant = *read;
    if (grant.grant_type.empty())
        return refuse(400, "invalid_request", 900144,
                      "the request body must contain the following parameter: 'grant_type'");
    const bool is_device = grant.grant_type == kDeviceGrant || grant.grant_type == "device_code";
    const bool is_refresh = grant.grant_type == "refresh_token";
    if (!is_device && !is_refresh && grant.grant_type != "client_credentials")
        return refuse(400, "unsupported_grant_type", 70003,
                      fmt::format("the app requested an unsupported grant type '{}'",
                                  grant.grant_type.substr(0, 64)));
    if (grant.client_id.empty())
        return refuse(400, "invalid_request", 900144,
                      "the request body must contain the following parameter: 'client_id'");
    if (is_device) return device_token(request, grant);
    if (is_refresh) return refreshed_token(request, grant);
    return client_token(request, grant);
}

TokenService::Proof TokenService::prove(const http::Request& request, const std::string& client_id,
                                        const Secret& secret) {
    const std::string who = client_id.substr(0, 64) + "@" + request.client_address;
    Proof proof;
    proof.wait = failures_.wait(who);
    if (proof.wait > Duration::zero()) return proof;
    const auto principal = find_principal(context_.store, client_id);
    if (!principal.ok()) {
        proof.is_unavailable = true;
        return proof;
    }
    const std::string now = format_iso8601(context_.clock.wall());
    const std::string credential = fitting_credential(*principal, secret, now, context_.secrets);
    if (credential.empty()) {
        failures_.record_failure(who);
        log::warn("login refused",
                  {{"client", loggable_client(client_id)}, {"address", request.client_address}});
        return proof;
    }
    failures_.record_success(who);
    const Principal& found = **principal;
    proof.identity = Identity{found.client_id, found.object_id, found.display_name, credential};
    return proof;
}

http::Response TokenService::client_token(const http::Request& request, const Grant& grant) {
    if (grant.has_assertion)
        return refuse(400, "invalid_request", 700021,
                      "client assertions are not supported. Use a client secret");
    if (grant.client_secret.empty())
        return refuse(401, "invalid_client", 7000216,
                      "'client_assertion' or 'client_secret' is required for the "
                      "'client_credentials' grant type");
    const Proof proof = prove(request, grant.client_id, grant.client_secret);
    if (proof.wait > Duration::zero()) {
        http::Response response = refuse(429, "temporarily_unavailable", 90033,
                                         "too many wrong secrets were sent for this client. Wait "
                                         "before the next one");
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(proof.wait).count();
        response.headers["retry-after"] = std::to_string(seconds);
        return response;
    }
    if (proof.is_unavailable) return unavailable();
    if (!proof.identity)
        return refuse(401, "invalid_client", 7000215, "invalid client secret provided");
    const Result<std::string> audience = audience_of(grant);
    if (!audience.ok()) return unknown_resource(audience.error());
    log::info("logged in", {{"client", grant.client_id}, {"address", request.client_address}});
    const Result<Json> body = issue(grant, *audience, *proof.identity, "app");
    if (!body.ok()) return unavailable();
    return {200, {{"cache-control", "no-store"}}, to_text(*body)};
}

http::Claims TokenService::claims_of(const Identity& identity, std::string_view audience) const {
    http::Claims claims;
    claims.issuer = issuer();
    claims.audience = audience;
    claims.subject = identity.object_id;
    claims.app_id = identity.client_id;
    claims.tenant = context_.tenant_id;
    claims.issued_at = claims.not_before = context_.clock.wall();
    claims.expires_at = claims.issued_at + kTokenLifetime;
    return claims;
}

Result<Json> TokenService::issue(const Grant& grant, const std::string& audience,
                                 const Identity& identity, std::string_view kind) const {
    http::Claims claims = claims_of(identity, audience);
    claims.extra = {
        {"idtyp", std::string(kind)}, {"app_displayname", identity.display_name}, {"ver", "1.0"}};
    const auto keys = context_.signing_keys.current();
    const auto signed_token = http::sign_jwt(claims, keys->signer(claims.issued_at));
    if (!signed_token.ok()) {
        log::error("cannot sign a token", {{"error", signed_token.error().describe()}});
        return signed_token.error();
    }
    const auto unix_time = [](Timestamp time) {
        return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
    };
    Json body = {{"token_type", "Bearer"},
                 {"expires_in", kTokenLifetime.count()},
                 {"ext_expires_in", kTokenLifetime.count()}};
    if (grant.is_first_version()) {
        // The first version of the protocol writes numbers as texts.
        body["expires_in"] = std::to_string(kTokenLifetime.count());
        body["ext_expires_in"] = std::to_string(kTokenLifetime.count());
        body["expires_on"] = std::to_string(unix_time(claims.expires_at));
        body["not_before"] = std::to_string(unix_time(claims.issued_at));
        body["resource"] = grant.resource;
    }
    body["access_token"] = *signed_token;
    return body;
}

http::Response TokenService::discovery(std::string_view tenant, bool adfs, bool v2) const {
    if (!adfs && !is_own_tenant(tenant)) return unknown_tenant("invalid_tenant", tenant);
    const std::string base =
        context_.base_url + (adfs ? std::string("/adfs") : "/" + context_.tenant_id);
    const std::string oauth = base + (v2 && !adfs ? "/oauth2/v2.0" : "/oauth2");
    const Json body = {
        {"issuer", issuer()},
        {"authorization_endpoint", oauth + "/authorize"},
        {"token_endpoint", oauth + "/token"},
        {"device_authorization_endpoint", oauth + "/devicecode"},
        {"token_endpoint_auth_methods_supported",
         Json::array({"client_secret_post", "client_secret_basic"})},
        {"jwks_uri", base + (v2 && !adfs ? "/discovery/v2.0/keys" : "/discovery/keys")},
        {"grant_types_supported",
         Json::array({"client_credentials", std::string(kDeviceGrant), "refresh_token"})},
        {"response_types_supported", Json::array({"token"})},
        {"response_modes_supported", Json::array({"query", "fragment", "form_post"})},
        {"subject_types_supported", Json::array({"pairwise"})},
        {"id_token_signing_alg_values_supported", Json::array({"RS256"})},
        {"scopes_supported", Json::array({"openid", "profile", "offline_access"})},
        {"claims_supported", Json::array({"sub", "iss", "aud", "exp", "iat", "nbf", "oid", "appid",
                                          "tid", "name", "preferred_username", "upn"})},
    };
    return {200, {}, to_text(body)};
}

http::Response TokenService::keys() const {
    const Result<std::string> set = http::jwk_set(context_.signing_keys.current()->keys);
    if (!set.ok()) return error_answer(set.error());
    return {200, {}, *set};
}

bool TokenService::may_note(std::string_view kind, const http::Request& request) {
    const std::string who = fmt::format("{}@{}", kind, request.client_address);
    if (noted_.wait(who) > Duration::zero()) return false;
    noted_.record_failure(who);
    return true;
}

/// The reason is for the log alone: who sent the token is not told which check it failed.
void TokenService::note_refusal(const http::Request& request, std::string_view reason) {
    if (!may_note("token", request)) return;
    log::warn("token refused", {{"address", request.client_address}, {"reason", reason}});
}

Result<http::Claims> TokenService::verify(std::string_view token, const http::Request& request) {
    const Timestamp now = context_.clock.wall();
    if (auto known = verified_.find(token, now)) return std::move(*known);
    http::VerifyOptions options;
    options.audiences = management_audiences(context_);
    options.audiences.push_back(graph_audience(context_));
    options.issuer = issuer();
    auto claims = http::verify_jwt(token, context_.signing_keys.current()->keys, options, now);
    if (claims.ok()) {
        verified_.add(token, *claims);
        return claims;
    }
    note_refusal(request, claims.error().message);
    return for_sender(claims.error());
}

std::optional<Result<Caller>> TokenService::foreign_caller(std::string_view token,
                                                           const http::Request& request) {
    if (context_.foreign_issuers == nullptr || context_.foreign_issuers->count() == 0)
        return std::nullopt;
    if (verified_.find(token, context_.clock.wall())) return std::nullopt;
    auto caller = context_.foreign_issuers->authenticate(token);
    if (!caller || caller->ok()) return caller;
    note_refusal(request, caller->error().describe());
    return for_sender(caller->error());
}

Result<std::shared_ptr<const std::optional<Principal>>> TokenService::known_principal(
    const std::string& client_id) {
    using Shared = std::shared_ptr<const std::optional<Principal>>;
    return principals_.get(client_id, [&](const auto&) -> Result<Shared> {
        HD_TRY(auto read, find_principal(context_.store, client_id));
        return std::make_shared<const std::optional<Principal>>(std::move(read));
    });
}

Result<Caller> TokenService::authenticate(const http::Request& request, Audience audience) {
    const std::string_view header = request.header("authorization");
    if (header.empty())
        return Error{ErrorCode::authentication_failed,
                     "authentication failed. The 'Authorization' header is missing"};
    constexpr std::string_view kBearer = "bearer ";
    if (header.size() <= kBearer.size() || !iequals(header.substr(0, kBearer.size()), kBearer))
        return Error{ErrorCode::authentication_failed,
                     "authentication failed. The 'Authorization' header is provided in an invalid "
                     "format"};
    const std::string_view token = trim(header.substr(kBearer.size()));
    if (auto caller = foreign_caller(token, request)) return std::move(*caller);
    const auto claims = verify(token, request);
    if (!claims.ok()) return claims.error();
    const bool is_for_graph = iequals(without_slashes(claims->audience), graph_audience(context_));
    if (is_for_graph != (audience == Audience::graph)) {
        note_refusal(request, "it is for another audience");
        return Error{ErrorCode::unauthenticated, "the access token is invalid"};
    }
    if (!iequals(claims->tenant, context_.tenant_id)) {
        note_refusal(request, "it is of another tenant");
        return Error{ErrorCode::wrong_tenant,
                     fmt::format("the access token is from the wrong tenant. It must match the "
                                 "tenant '{}' associated with this subscription",
                                 context_.tenant_id)};
    }
    HD_TRY(const auto known, known_principal(claims->app_id));
    const std::optional<Principal>& principal = *known;
    if (!principal || principal->object_id != claims->subject) {
        note_refusal(request, "its principal is not there");
        return Error{ErrorCode::unauthenticated, "the access token is invalid"};
    }
    return Caller{principal->object_id, principal->client_id, principal->display_name};
}

std::string TokenService::challenge(const Error& error) const {
    return fmt::format(
        "Bearer authorization_uri=\"{}/{}\", error=\"invalid_token\", error_description=\"{}\"",
        context_.base_url, context_.tenant_id, as_sentence(error.message));
}

}  // namespace howdah::api
