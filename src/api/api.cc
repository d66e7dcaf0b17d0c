#include "api/api.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/access/access_store.h"
#include "api/access/activity.h"
#include "api/auth/token_service.h"
#include "api/call.h"
#include "api/deployments/forecast_gate.h"
#include "api/deployments/runner.h"
#include "api/postgres/offer.h"
#include "api/preconditions.h"
#include "api/query_options.h"
#include "api/router.h"
#include "base/log.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

// The way of a request: ids -> authority and metadata (no token) -> token -> route -> api-version
// -> subscription -> roles -> activity log -> locks -> conditions -> handler -> headers and log
// line.

namespace howdah::api {
namespace {

constexpr std::size_t kEchoedIdBytesMax = 128;

/// An id that a client sent, if it is fit to be sent back and logged.
std::string clean_id(std::string_view id) {
    if (id.empty() || id.size() > kEchoedIdBytesMax) return "";
    for (const char c : id) {
        const bool good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                          (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
        if (!good) return "";
    }
    return std::string(id);
}

bool changes_something(std::string_view method) { return method != "GET" && method != "HEAD"; }

Status is_built(const Route& route) {
    if (route.handler != nullptr) return ok_status();
    return Error{ErrorCode::not_supported, not_supported_text(route.missing),
                 fmt::format("{}.{}", route.group, route.operation)};
}

/// What a client may know of a failure of ours: that it was, and under which id it is logged.
Error for_outside(const Error& error, const std::string& correlation_id) {
    switch (error.code) {
        case ErrorCode::internal:
        case ErrorCode::io:
        case ErrorCode::corrupt:
        case ErrorCode::postgres:
            return {ErrorCode::internal, "the server encountered an internal error", "",
                    fmt::format("look into the log of howdahd for the correlation id {}",
                                correlation_id)};
        default:
            return error;
    }
}

}  // namespace

struct Api::Impl final : InnerApi {
    explicit Impl(ApiContext given)
        : context(std::move(given)),
          tokens(context),
          router(all_routes()),
          offers(context.store, context.clock),
          activity(context),
          known(context.store),
          services{turnstile, known, offers, *this, forecasts},
          deployments(context, *this) {}

    http::Response send(const OnBehalf& who, const std::string& method, const std::string& path,
                        const std::string& api_version, std::string body) override;
    Status check(const OnBehalf& who, const std::string& method, const std::string& path,
                 const std::string& api_version) override;

    http::Response serve(const http::Request& request, Call& call);
    /// What remains once it is known who sent the request.
    http::Response serve_caller(const std::vector<std::string>& segments, Call& call);
    Status find_route(const std::vector<std::string>& segments, Call& call);
    Answer dispatch(const std::vector<std::string>& segments, Call& call);
    Status check_subscription(const Call& call);
    Status check_still_trusted(const Caller& caller) const;

    ApiContext context;
    TokenService tokens;
    Router router;
    Turnstile turnstile;
    deployments::ForecastGate forecasts;
    postgres::OfferCache offers;
    Activity activity;
    Known known;
    Services services;
    deployments::Runner deployments;
};

Api::Api(ApiContext context) : impl_(std::make_unique<Impl>(std::move(context))) {}
Api::~Api() = default;

Status Api::Impl::check_subscription(const Call& call) {
    for (const auto& [name, value] : call.parameters) {
        if (name != "subscriptionId") continue;
        if (!is_uuid(value))
            return Error{ErrorCode::invalid_subscription_id,
                         fmt::format("the provided subscription identifier '{}' is malformed or "
                                     "invalid",
                                     value.substr(0, 64))};
        const std::string key = store::keys::subscription(value);
        HD_TRY(const auto there, known.subscriptions.get(
                                     key, [&](const auto&) -> Result<std::shared_ptr<const bool>> {
                                         HD_TRY(const auto entry, context.store.get(key));
                                         return std::make_shared<const bool>(entry.has_value());
                                     }));
        if (!*there)
            return Error{ErrorCode::subscription_not_found,
                         fmt::format("the subscription '{}' could not be found", value)};
    }
    return ok_status();
}

Status Api::Impl::find_route(const std::vector<std::string>& segments, Call& call) {
    HD_TRY(Router::Match match, router.match(call.request.method, segments, call.api_version));
    call.route = match.route;
    call.parameters = std::move(match.parameters);
    if (call.is_of_graph && call.route->versions != &kGraphVersions)
        return Error{ErrorCode::unknown_resource_type, "there is nothing of this name in Graph"};
    HD_CHECK(check_api_version(*call.route, call.api_version, context.location));
    call.shape = call.api_version < "2024-08-01" ? Shape::v2022_12_01 : Shape::v2025_08_01;
    HD_CHECK(check_subscription(call));
    call.requirement = requirement_of(*call.route, segments);
    return authorize(call);
}

/// For what goes on after a request was answered: by then its issuer may have lost our trust.
Status Api::Impl::check_still_trusted(const Caller& caller) const {
    const bool is_trusted = !caller.is_foreign() || (context.foreign_issuers != nullptr &&
                                                     context.foreign_issuers->trusts(caller));
    if (is_trusted) return ok_status();
    return Error{ErrorCode::unauthenticated,
                 fmt::format("the issuer of '{}' is not trusted any more", caller.name)};
}

Answer Api::Impl::dispatch(const std::vector<std::string>& segments, Call& call) {
    if (call.caller.object_id.empty()) {
        HD_TRY(call.caller,
               tokens.authenticate(call.request, call.is_of_graph
                                                     ? TokenService::Audience::graph
                                                     : TokenService::Audience::management));
    }
    HD_CHECK(check_still_trusted(call.caller));
    HD_CHECK(find_route(segments, call));
    if (is_change(call)) {
        HD_CHECK(activity.begin(call));
        HD_CHECK(check_locks(call));
    }
    HD_CHECK(is_built(*call.route));
    HD_CHECK(check_query_options(call));
    HD_TRY(const auto turn, check_preconditions(call, router, segments));
    HD_TRY(http::Response response, call.route->handler(call));
    apply_tag(call, response);
    if (call.request.method == "HEAD" && response.status == 200) response.status = 204;
    return response;
}

http::Response Api::Impl::serve(const http::Request& request, Call& call) {
    Result<std::vector<std::string>> segments = path_segments(request.path);
    if (!segments.ok()) return error_answer(segments.error());
    if (segments->size() == 2 && iequals((*segments)[0], "metadata") &&
        iequals((*segments)[1], "endpoints") && request.method == "GET")
        return cloud_metadata(context, call.api_version);
    if (auto answer = tokens.answer(request, *segments)) return std::move(*answer);
    if (segments->size() > 2 && iequals((*segments)[0], "msgraph") &&
        iequals((*segments)[1], "v1.0")) {
        // Microsoft Graph's address in the description of this cloud.
        call.is_of_graph = true;
        segments->erase(segments->begin());
    }
    return serve_caller(*segments, call);
}

http::Response Api::Impl::serve_caller(const std::vector<std::string>& segments, Call& call) {
    const http::Request& request = call.request;
    Answer answer = dispatch(segments, call);
    std::string code;
    std::string message;
    if (!answer.ok()) {
        const Error& error = answer.error();
        code = to_string(error.code);
        const Error shown = for_outside(error, call.correlation_id);
        // A deployment's may have a secure parameter in it.
        if (call.deployment_depth == 0) message = shown.message;
        if (http_status(error.code) >= 500)
            log::error("request failed", {{"correlation_id", call.correlation_id},
                                          {"path", request.path},
                                          {"error", error.describe()}});
        http::Response response = error_answer(shown);
        if (response.status == 401) response.headers["www-authenticate"] = tokens.challenge(error);
        if (response.status == 405) response.headers["allow"] = error.target;
        answer = std::move(response);
    }
    // What was refused for want of a role has an end only.
    if (!call.requirement.action.empty() && is_change(call))
        activity.end(call, *answer, code, message);
    if (changes_something(request.method))
        log::info("change requested", {{"method", request.method},
                                       {"path", request.path},
                                       {"caller", call.caller.shown()},
                                       {"address", request.client_address},
                                       {"status", answer->status},
                                       {"code", code},
                                       {"correlation_id", call.correlation_id}});
    return std::move(answer).value();
}

namespace {

http::Request inner_request(const std::string& method, const std::string& path,
                            const std::string& api_version, std::string body) {
    http::Request request;
    request.method = method;
    request.path = path;
    request.query.emplace_back("api-version", api_version);
    request.body = std::move(body);
    return request;
}

}  // namespace

http::Response Api::Impl::send(const OnBehalf& who, const std::string& method,
                               const std::string& path, const std::string& api_version,
                               std::string body) {
    const http::Request request = inner_request(method, path, api_version, std::move(body));
    Call call{context, services, request};
    call.request_id = context.ids.uuid();
    call.correlation_id = who.correlation_id;
    call.api_version = to_lower(api_version);
    call.caller = who.caller;
    call.deployment_depth = who.depth;
    call.parent_deployment = who.parent;
    const auto segments = path_segments(path);
    if (!segments.ok()) return error_answer(segments.error());
    return serve_caller(*segments, call);
}

Status Api::Impl::check(const OnBehalf& who, const std::string& method, const std::string& path,
                        const std::string& api_version) {
    const http::Request request = inner_request(method, path, api_version, "");
    Call call{context, services, request};
    call.api_version = to_lower(api_version);
    call.caller = who.caller;
    HD_TRY(const auto segments, path_segments(path));
    HD_CHECK(find_route(segments, call));
    return is_built(*call.route);
}

void Api::run_deployments(const std::stop_token& stop) { impl_->deployments.run(stop); }

Status Api::advance_deployments() {
    HD_CHECK(impl_->deployments.advance_all());
    return ok_status();
}

std::optional<http::Response> Api::handle_at_once(const http::Request& request) {
    if (request.method != "GET") return std::nullopt;
    const auto segments = path_segments(request.path);
    if (!segments.ok()) return std::nullopt;
    const auto match = impl_->router.match(request.method, *segments, "");
    if (!match.ok() || match->route->pace != Pace::at_once) return std::nullopt;
    return handle(request);
}

http::Response Api::handle(const http::Request& request) {
    Call call{impl_->context, impl_->services, request};
    call.request_id = impl_->context.ids.uuid();
    call.correlation_id = clean_id(request.header("x-ms-correlation-request-id"));
    if (call.correlation_id.empty()) call.correlation_id = call.request_id;
    call.api_version = to_lower(request.query_value("api-version").value_or(""));
    call.client_request_id = clean_id(request.header("x-ms-client-request-id"));
    http::Response response = impl_->serve(request, call);
    response.headers["x-ms-request-id"] = call.request_id;
    response.headers["x-ms-correlation-request-id"] = call.correlation_id;
    if (!call.client_request_id.empty())
        response.headers["x-ms-client-request-id"] = call.client_request_id;
    response.headers.try_emplace("cache-control", "no-cache");
    response.headers["strict-transport-security"] = "max-age=31536000; includeSubDomains";
    response.headers["x-content-type-options"] = "nosniff";
    if (!impl_->context.version.empty())
        response.headers["server"] = "Howdah/" + impl_->context.version;
    if (!response.body.empty())
        response.headers.try_emplace("content-type", "application/json; charset=utf-8");
    if (request.method == "HEAD") response.body.clear();
    return response;
}

std::string Api::operations_table() {
    // Longest first; the letters are explained above the table in docs/reference/api.md.
    constexpr std::pair<std::string_view, std::string_view> kShort[] = {
        {"/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/"
         "Microsoft.DBforPostgreSQL/flexibleServers/{serverName}",
         "{F}"},
        {"/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}", "{G}"},
        {"/subscriptions/{subscriptionId}", "{S}"},
    };
    std::string table =
        "| group | operation | method | path | answers |\n"
        "|---|---|---|---|---|\n";
    for (const Route& route : all_routes()) {
        std::string path(route.pattern);
        for (const auto& [longer, shorter] : kShort)
            if (path.starts_with(longer)) path.replace(0, longer.size(), shorter);
        const std::string_view answers = route.handler == nullptr ? "`FeatureNotSupported`"
                                         : !route.missing.empty() ? "nothing yet"
                                                                  : "built";
        table += fmt::format("| {} | {} | {} | `{}` | {} |\n", route.group, route.operation,
                             route.method, path, answers);
    }
    return table;
}

}  // namespace howdah::api
