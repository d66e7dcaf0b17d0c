#include "cli/arm.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"
#include "cli/device_login.h"

namespace howdah::cli {
namespace {

/// A token is renewed when it would end within this time.
/// howdahd may wait a while for the machine that has a file.
constexpr Duration kLinkTimeout = std::chrono::seconds(60);
constexpr std::chrono::milliseconds kTokenReserve = std::chrono::minutes(2);
constexpr Duration kCallTimeout = std::chrono::seconds(60);
constexpr std::size_t kMessageBytesMax = 2000;

/// What a person can do about an error, where that depends on the code alone.
std::string hint_of(int status, std::string_view code) {
    if (status == 401) return "run: howdah login";
    if (status == 429 || status == 503) return "wait a moment, and try again";
    if (code == "ResourceGroupNotFound") return "run: howdah group list";
    if (status >= 500) return "look at the log of howdahd, and try again";
    return {};
}

ErrorCode code_of(int status, std::string_view name) {
    switch (status) {
        case 401:
            return ErrorCode::unauthenticated;
        case 404:
            return ErrorCode::not_found;
        default:
            return error_code_from(name);
    }
}

/// {"code","message","target"} as an error.
Error error_from(const Json& error, int status) {
    const std::string code = text_at(error, "code");
    std::string message = text_at(error, "message");
    if (message.empty()) message = "the API gave no reason";
    message.resize(std::min(message.size(), kMessageBytesMax));
    message += fmt::format(" ({})", code.empty() ? fmt::format("HTTP {}", status) : code);
    return {code_of(status, code), message, text_at(error, "target"), hint_of(status, code)};
}

Error unreachable(const Error& error, const std::string& api) {
    Error result = error;
    result.message = fmt::format("the API at {} does not answer: {}", api, error.message);
    if (result.hint.empty()) {
        result.hint = "check that howdahd runs there (script/up starts it), or log in anew";
    }
    return result;
}

bool is_transient(const Error& error) {
    return error.code == ErrorCode::unavailable || error.code == ErrorCode::timeout;
}

}  // namespace

Error error_of(int status, std::string_view body) {
    const auto json = parse_json(body, "the answer");
    if (json.ok()) {
        // {"error":{...}} of the API; {"error":"...","error_description":"..."} of the authority.
        const Json& error = at(*json, "error");
        if (error.is_object()) return error_from(error, status);
        if (error.is_string()) {
            return error_from({{"code", error}, {"message", text_at(*json, "error_description")}},
                              status);
        }
    }
    return error_from({{"message", "the answer is not in the form of the API"}}, status);
}

Arm::Arm(World& world, ProfileStore profiles, Profile profile)
    : world_(world),
      profiles_(std::move(profiles)),
      profile_(std::move(profile)),
      client_({.ca_pem = profile_.api_ca_pem.empty() ? profile_.ca_pem : profile_.api_ca_pem,
               .server_name = profile_.api_name}) {}

std::string Arm::group(std::string_view name) const {
    return subscription() + "/resourceGroups/" + http::url_encode(name);
}

std::string Arm::postgres(std::string_view rest) const {
    return subscription() + "/providers/Microsoft.DBforPostgreSQL/" + std::string(rest);
}

std::string Arm::server(std::string_view group_name, std::string_view name) const {
    return group(group_name) + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/" +
           http::url_encode(name);
}

std::string Arm::url(const std::string& path, std::string_view version) const {
    const char mark = path.find('?') == std::string::npos ? '?' : '&';
    // An id that somebody typed without its slash must not become a part of the host's name.
    const char* const slash = path.starts_with('/') ? "" : "/";
    return fmt::format("{}{}{}{}api-version={}", profile_.api_url, slash, path, mark, version);
}

std::string Arm::token_form(const std::string& resource) const {
    const std::string scope = http::url_encode(resource + "/.default");
    if (!profile_.refresh_token.empty()) {
        return fmt::format("grant_type=refresh_token&client_id={}&refresh_token={}&scope={}",
                           kOwnAppId, http::url_encode(profile_.refresh_token.reveal()), scope);
    }
    return fmt::format("grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
                       http::url_encode(profile_.client_id),
                       http::url_encode(profile_.client_secret.reveal()), scope);
}

Result<Token> Arm::new_token_for(const std::string& resource) {
    if (profile_.client_secret.empty() && profile_.refresh_token.empty())
        return Error{ErrorCode::unauthenticated,
                     "the access token was refused or has ended, and this login has no other",
                     {},
                     "get a new one from its issuer, and run: howdah login --access-token-stdin"};
    http::Call call;
    call.method = "POST";
    call.url = fmt::format("{}/{}/oauth2/v2.0/token", profile_.authority,
                           http::url_encode(profile_.tenant_id));
    call.headers["content-type"] = "application/x-www-form-urlencoded";
    call.body = token_form(resource);
    call.timeout = kCallTimeout;
    auto answer = client_.call(call);
    if (!answer.ok()) return unreachable(answer.error(), profile_.authority);
    if (answer->status != 200) {
        Error error = error_of(answer->status, answer->body);
        error.hint = profile_.refresh_token.empty()
                         ? "check client id, secret and tenant, and run: howdah login"
                         : "run: howdah login";
        return error;
    }
    HD_TRY(const Json json, parse_json(answer->body, "the answer of the token endpoint"));
    const std::string next = text_at(json, "refresh_token");
    if (!profile_.refresh_token.empty() && !next.empty()) {
        profile_.refresh_token = Secret(next);
        HD_CHECK(profiles_.save_refresh_token(profile_.refresh_token));
    }
    return token_from(json, world_.clock.wall());
}

Result<Token> Arm::token() {
    const auto is_fresh = [&](const std::optional<Token>& token) {
        return token.has_value() && token->expires_at - kTokenReserve > world_.clock.wall();
    };
    if (!is_fresh(token_)) token_ = profiles_.load_token();
    if (!is_fresh(token_)) {
        HD_TRY(Token fresh, new_token());
        // A cache that cannot be written costs one more request next time.
        static_cast<void>(profiles_.save_token(fresh));
        token_ = std::move(fresh);
    }
    return *token_;
}

std::string Arm::here(const std::string& link) const {
    const std::size_t scheme = link.find("://");
    if (scheme == std::string::npos) return profile_.api_url + link;
    const std::size_t slash = link.find('/', scheme + 3);
    return profile_.api_url + (slash == std::string::npos ? "/" : link.substr(slash));
}

Result<http::Response> Arm::send(std::string_view method, const std::string& url,
                                 const Json& body) {
    HD_TRY(const Token token, this->token());
    http::Call call;
    call.method = method;
    call.url = url;
    call.headers["authorization"] = "Bearer " + token.text.reveal();
    call.headers["accept"] = "application/json";
    if (!body.is_null()) {
        call.headers["content-type"] = "application/json";
        call.body = to_text(body);
    }
    call.timeout = kCallTimeout;
    return client_.call(call);
}

Result<Reply> Arm::call(std::string_view method, const std::string& url, const Json& body) {
    auto answer = send(method, url, body);
    if (answer.ok() && answer->status == 401) {
        // The token was made void before its end (the keys were changed): one more, once.
        profiles_.clear_token();
        token_.reset();
        answer = send(method, url, body);
    }
    if (!answer.ok()) {
        return is_transient(answer.error()) ? unreachable(answer.error(), profile_.api_url)
                                            : answer.error();
    }
    if (answer->status >= 300) return error_of(answer->status, answer->body);
    Reply reply{answer->status, answer->headers, Json()};
    if (!answer->body.empty()) {
        HD_TRY(reply.body, parse_json(answer->body, "the answer of the API"));
    }
    return reply;
}

Result<Json> Arm::get(const std::string& path, std::string_view version) {
    HD_TRY(Reply reply, call("GET", url(path, version), Json()));
    return std::move(reply.body);
}

Result<Json> Arm::post(const std::string& path, const Json& body, std::string_view version) {
    HD_TRY(Reply reply, call("POST", url(path, version), body));
    return std::move(reply.body);
}

Result<Json> Arm::list(const std::string& path, std::string_view version, std::size_t count_max) {
    Json all = Json::array();
    std::string next = url(path, version);
    for (std::size_t page = 0; !next.empty(); ++page) {
        if (page == kPagesMax) {
            return Error{ErrorCode::too_large,
                         fmt::format("the list has more than {} pages", kPagesMax),
                         {},
                         "list one resource group at a time"};
        }
        HD_TRY(const Reply reply, call("GET", next, Json()));
        for (const Json& each : at(reply.body, "value")) {
            if (all.size() >= count_max) return all;
            all.push_back(each);
        }
        next = text_at(reply.body, "nextLink");
        if (!next.empty()) next = here(next);
    }
    return all;
}

Result<std::string> Arm::read_link(const std::string& link, std::int64_t offset,
                                   std::size_t count) {
    constexpr int kRangeNotSatisfiable = 416;
    http::Call call;
    call.url = here(link);
    call.headers["range"] =
        fmt::format("bytes={}-{}", offset, offset + static_cast<std::int64_t>(count) - 1);
    call.timeout = kLinkTimeout;
    auto answer = client_.call(call);
    if (!answer.ok()) {
        return is_transient(answer.error()) ? unreachable(answer.error(), profile_.api_url)
                                            : answer.error();
    }
    if (answer->status == kRangeNotSatisfiable) return std::string();
    if (answer->status >= 300) return error_of(answer->status, answer->body);
    return std::move(answer->body);
}

Result<Begun> Arm::begin(std::string_view method, const std::string& path, const Json& body,
                         std::string_view version) {
    HD_TRY(Reply reply, call(method, url(path, version), body));
    const auto header = [&](const std::string& name) {
        const auto found = reply.headers.find(name);
        return found == reply.headers.end() ? std::string() : found->second;
    };
    Begun begun{std::move(reply.body), header("azure-asyncoperation"), {}};
    if (reply.status == 202) begun.location_url = header("location");
    return begun;
}

Result<std::optional<Reply>> Arm::look(const std::string& url, Instant& last_seen) {
    auto reply = call("GET", url, Json());
    const Instant now = world_.clock.now();
    if (reply.ok()) {
        last_seen = now;
        return std::optional<Reply>(std::move(reply).value());
    }
    // howdahd may be starting anew; the operation is not lost by that.
    const bool away = is_transient(reply.error()) || reply.error().code == ErrorCode::internal;
    if (away && now - last_seen < kOutageMax) return std::optional<Reply>();
    return reply.error();
}

Status Arm::finish(const Begun& begun, Progress& progress) {
    const std::string& link = begun.url.empty() ? begun.location_url : begun.url;
    if (link.empty()) return ok_status();
    const std::string url = here(link);
    const Instant start = world_.clock.now();
    Instant last_seen = start;
    Duration pause = kPollPauseMin;
    progress.show("");
    while (world_.clock.now() - start < kOperationWaitMax) {
        HD_TRY(const auto reply, look(url, last_seen));
        if (reply) {
            if (begun.url.empty() && reply->status != 202) return ok_status();
            const std::string status = text_at(reply->body, "status");
            if (status == "Succeeded") return ok_status();
            if (status == "Failed" || status == "Canceled") {
                return error_from(at(reply->body, "error"), 200);
            }
            progress.show(text_at(reply->body, "properties/progress"));
        } else {
            progress.show("the API is away; waiting for it");
        }
        world_.pause(pause);
        pause = std::min(kPollPauseMax, pause * 3 / 2);
    }
    return Error{ErrorCode::timeout,
                 "it takes longer than an hour; it goes on",
                 {},
                 fmt::format("look at it with: howdah operation show --id {}", link)};
}

}  // namespace howdah::cli
