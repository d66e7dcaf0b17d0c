#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/auth/device_page.h"
#include "api/auth/principal.h"
#include "api/auth/token_forms.h"
#include "base/log.h"
#include "base/text.h"
#include "http/client.h"

// The parts of TokenService that have to do with people: logins by device code (RFC 8628), their
// page, and the refresh tokens that follow. Errors in the words of Entra ID.

namespace howdah::api {
namespace {

constexpr std::size_t kGuardBytes = 18;
constexpr std::size_t kGuardLetters = 24;  ///< of base64url
constexpr std::size_t kNonceBytes = 18;
constexpr std::size_t kScopeBytesMax = 2048;

constexpr std::string_view kWrongCode =
    "This code is not valid. Look at the code again, or begin the login anew.";
constexpr std::string_view kWrongSecret =
    "The login was refused. Look at client ID and secret again.";
constexpr std::string_view kTooMany = "There were too many wrong answers. Wait a minute.";
constexpr std::string_view kOtherSite =
    "This form was not sent from this page, or the browser refuses its cookie. Enter the code "
    "here.";

/// What programs are called whose ids are known everywhere. Nobody proves these names.
constexpr std::pair<std::string_view, std::string_view> kPrograms[] = {
    {"04b07795-8ddb-461a-bbee-02f9e1bf7b46", "Azure CLI (az)"},
    {"1950a258-227b-4e31-a9cf-717495945fc2", "Azure PowerShell"},
    {"aebc6443-996d-45c2-90f0-388ff96faa56", "Visual Studio Code"},
    {"6a1d6f0e-7c43-4b0e-9a55-3f0c7d1be2a4", "Howdah's command line (howdah)"},
};

std::string program_name(const std::string& app_id) {
    for (const auto& [id, name] : kPrograms)
        if (iequals(id, app_id)) return std::string(name);
    return "an application with the ID " + app_id;
}

bool has_scope(const std::string& scope, std::string_view name) {
    const auto all = split(scope, ' ');
    return std::find(all.begin(), all.end(), name) != all.end();
}

/// What the limit of wrong codes counts.
std::string guesser(const http::Request& request) { return "code@" + request.client_address; }

}  // namespace

http::Response TokenService::begin_device_login(const http::Request& request,
                                                std::string_view tenant) {
    if (!is_own_tenant(tenant)) return unknown_tenant("invalid_request", tenant);
    const Result<Grant> grant = read_grant(request);
    if (!grant.ok()) return refuse(400, "invalid_request", 90014, grant.error().message);
    if (grant->client_id.empty())
        return refuse(400, "invalid_request", 900144,
                      "the request body must contain the following parameter: 'client_id'");
    if (!is_uuid(grant->client_id))
        return refuse(400, "unauthorized_client", 700016,
                      fmt::format("application with identifier '{}' was not found in the directory",
                                  grant->client_id.substr(0, 64)));
    if (grant->scope.size() > kScopeBytesMax || grant->resource.size() > kScopeBytesMax)
        return refuse(400, "invalid_scope", 70011, "the provided value for 'scope' is not valid");
    const Result<std::string> audience = audience_of(*grant);
    if (!audience.ok()) return unknown_resource(audience.error());
    const auto begun =
        logins_.begin({grant->client_id, grant->scope, grant->resource, request.client_address});
    if (!begun.ok()) {
        if (may_note("device", request))
            log::warn("too many logins by device code", {{"address", request.client_address}});
        http::Response response =
            refuse(429, "temporarily_unavailable", 90033, begun.error().message);
        response.headers["retry-after"] = "60";
        return response;
    }
    log::info("login by device code begins",
              {{"app", grant->client_id}, {"address", request.client_address}});
    const std::string page = context_.base_url + "/" + std::string(kDevicePage);
    using std::chrono::duration_cast;
    using std::chrono::seconds;
    const auto lifetime = duration_cast<seconds>(DeviceLogins::kLifetime).count();
    const auto interval = duration_cast<seconds>(DeviceLogins::kInterval).count();
    Json body = {{"user_code", begun->user_code},
                 {"device_code", begun->device_code.reveal()},
                 {"verification_uri", page},
                 {"verification_url", page},
                 {"expires_in", lifetime},
                 {"interval", interval},
                 {"message", fmt::format("To sign in, use a web browser to open the page {} and "
                                         "enter the code {} to authenticate.",
                                         page, begun->user_code)}};
    if (grant->is_first_version()) {
        body["expires_in"] = std::to_string(lifetime);
        body["interval"] = std::to_string(interval);
    }
    return {200, {{"cache-control", "no-store"}}, to_text(body)};
}

http::Response TokenService::device_token(const http::Request& request, const Grant& grant) {
    if (grant.device_code.empty())
        return refuse(400, "invalid_request", 900144,
                      "the request body must contain the following parameter: 'device_code'");
    const DeviceLogins::Outcome outcome = logins_.poll(grant.device_code, grant.client_id);
    switch (outcome.state) {
        case DeviceLogins::State::pending:
            return refuse(
                400, "authorization_pending", 70016,
                "OAuth 2.0 device flow error. Authorization is pending. Continue polling");
        case DeviceLogins::State::too_fast:
            return refuse(400, "slow_down", 70016,
                          "OAuth 2.0 device flow error. Authorization is pending. Poll less often");
        case DeviceLogins::State::declined:
            return refuse(400, "authorization_declined", 65004,
                          "the login was refused by the person");
        case DeviceLogins::State::expired:
            return refuse(400, grant.is_first_version() ? "code_expired" : "expired_token", 70020,
                          "the provided value for the input parameter 'device_code' is not valid. "
                          "This device code has expired");
        case DeviceLogins::State::unknown:
            return refuse(400, "bad_verification_code", 70018,
                          "the provided value for the input parameter 'device_code' is not valid");
        case DeviceLogins::State::approved:
            break;
    }
    // What was asked for counts, not what is asked for now.
    Grant asked = grant;
    asked.scope = outcome.wanted.scope;
    asked.resource = outcome.wanted.resource;
    const Identity& identity = outcome.identity;
    const auto principal = find_principal(context_.store, identity.client_id);
    if (!principal.ok()) return unavailable();
    const std::string now = format_iso8601(context_.clock.wall());
    if (!*principal || !has_credential(**principal, identity.credential_id, now))
        return refuse(400, "authorization_declined", 65004, "the login was refused by the person");
    std::optional<Secret> refresh_token;
    if (asked.is_first_version() || has_scope(asked.scope, "offline_access")) {
        auto begun = sessions_.begin(identity, grant.client_id);
        if (!begun.ok()) {
            log::error("cannot keep a login", {{"error", begun.error().describe()}});
            return unavailable();
        }
        refresh_token = std::move(*begun);
    }
    log::info("logged in", {{"client", identity.client_id},
                            {"app", grant.client_id},
                            {"address", request.client_address}});
    return user_token(asked, identity, std::move(refresh_token));
}

http::Response TokenService::refreshed_token(const http::Request& request, const Grant& grant) {
    if (grant.refresh_token.empty())
        return refuse(400, "invalid_request", 900144,
                      "the request body must contain the following parameter: 'refresh_token'");
    const Result<std::string> audience = audience_of(grant);
    if (!audience.ok()) return unknown_resource(audience.error());
    auto used = sessions_.use(grant.refresh_token, grant.client_id);
    if (!used.ok() && used.error().code != ErrorCode::unauthenticated) return unavailable();
    if (!used.ok()) {
        if (may_note("refresh", request))
            log::warn("refresh token refused", {{"app", loggable_client(grant.client_id)},
                                                {"address", request.client_address}});
        return refuse(400, "invalid_grant", 70008,
                      "the provided authorization code or refresh token has expired or is not "
                      "valid. Send a new interactive authorization request for this user and "
                      "resource");
    }
    return user_token(grant, used->identity, std::move(used->next));
}

/// The answer with everything that clients expect of a login of a person (MSAL: id_token and
/// client_info, without which it keeps no account).
http::Response TokenService::user_token(const Grant& grant, const Identity& identity,
                                        std::optional<Secret> refresh_token) {
    const Result<std::string> audience = audience_of(grant);
    if (!audience.ok()) return unknown_resource(audience.error());
    Result<Json> body = issue(grant, *audience, identity, "user");
    if (!body.ok()) return unavailable();
    if (!grant.scope.empty()) (*body)["scope"] = grant.scope;
    if (refresh_token) (*body)["refresh_token"] = refresh_token->reveal();
    if (grant.is_first_version() || has_scope(grant.scope, "openid")) {
        http::Claims claims = claims_of(identity, grant.client_id);
        claims.extra = {{"name", identity.display_name},
                        {"preferred_username", identity.client_id},
                        {"upn", identity.client_id},
                        {"ver", "2.0"}};
        const auto keys = context_.signing_keys.current();
        const auto id_token = http::sign_jwt(claims, keys->signer(claims.issued_at));
        if (!id_token.ok()) return unavailable();
        (*body)["id_token"] = *id_token;
    }
    if (grant.wants_client_info) {
        const Json info = {{"uid", identity.object_id}, {"utid", context_.tenant_id}};
        (*body)["client_info"] = base64url_encode(to_text(info));
    }
    return {200, {{"cache-control", "no-store"}}, to_text(*body)};
}

http::Response TokenService::device_page(const http::Request& request) {
    std::string guard = cookie_of(request, kGuardCookie);
    const bool has_guard = guard.size() == kGuardLetters && base64url_decode(guard).ok();
    if (!has_guard) guard = base64url_encode(context_.ids.random_bytes(kGuardBytes));
    const DevicePage page{base64url_encode(context_.ids.random_bytes(kNonceBytes)), guard};
    if (request.method == "GET" || request.method == "HEAD") return page.ask_code(200, "");
    if (request.method != "POST")
        return page.end(405, "Not here", "This page is read, and its form is sent.");
    if (request.body.size() > kFormBytesMax)
        return page.end(413, "Too much", "The form is too large.");
    const auto fields = http::parse_form(request.body);
    if (!fields.ok()) return page.ask_code(400, kWrongCode);
    Form form;
    for (const auto& [key, value] : *fields) {
        if (key == "step") form.step = value;
        if (key == "user_code") form.user_code = value;
        if (key == "guard") form.guard = value;
        if (key == "client_id") form.client_id = to_lower(trim(value));
        if (key == "client_secret") form.client_secret = Secret(value);
    }
    if (!is_same_site(request, context_.base_url) || !has_guard || form.guard != guard)
        return page.ask_code(403, kOtherSite);
    return answer_page(request, page, form);
}

http::Response TokenService::answer_page(const http::Request& request, const DevicePage& page,
                                         const Form& form) {
    if (failures_.wait(guesser(request)) > Duration::zero()) return page.ask_code(429, kTooMany);
    const auto shown = logins_.find(form.user_code);
    if (!shown) {
        failures_.record_failure(guesser(request));
        log::warn("wrong code of a login", {{"address", request.client_address}});
        return page.ask_code(400, kWrongCode);
    }
    const DevicePage::Program program{shown->user_code, program_name(shown->wanted.app_id),
                                      shown->wanted.address};
    if (form.step == "decline") {
        (void)logins_.decline(form.user_code);
        log::info("login by device code declined", {{"address", request.client_address}});
        return page.end(200, "Refused", "The program was not let in. You can close this page.");
    }
    if (form.step != "login") return page.ask_identity(200, program, "");
    const Proof proof = prove(request, form.client_id, form.client_secret);
    if (proof.wait > Duration::zero()) return page.ask_identity(429, program, kTooMany);
    if (proof.is_unavailable)
        return page.ask_identity(503, program, "Howdah cannot look that up now. Try again.");
    if (!proof.identity) {
        logins_.record_failure(form.user_code);
        return page.ask_identity(401, program, kWrongSecret);
    }
    if (!logins_.approve(form.user_code, *proof.identity)) return page.ask_code(400, kWrongCode);
    log::info("login by device code approved", {{"client", proof.identity->client_id},
                                                {"app", shown->wanted.app_id},
                                                {"for_address", shown->wanted.address},
                                                {"address", request.client_address}});
    return page.end(200, "You are logged in", "Go back to the program. You can close this page.");
}

}  // namespace howdah::api
