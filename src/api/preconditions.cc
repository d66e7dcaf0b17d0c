#include "api/preconditions.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/id.h"
#include "base/text.h"
#include "model/resource_id.h"

namespace howdah::api {
namespace {

constexpr std::string_view kIfMatch = "If-Match";
constexpr std::string_view kIfNoneMatch = "If-None-Match";
/// The namespace of tags: any constant UUID does.
constexpr std::string_view kTagSpace = "8d1c5f5e-6a2b-4a53-9d0e-5b6f0e3a7c11";

struct Conditions {
    std::string_view match;       ///< of If-Match; empty: none
    std::string_view none_match;  ///< of If-None-Match

    bool any() const { return !match.empty() || !none_match.empty(); }
};

Conditions conditions_of(const http::Request& request) {
    return {trim(request.header("if-match")), trim(request.header("if-none-match"))};
}

std::string tag_of(const std::string& body) {
    return fmt::format("\"{}\"", uuid_from_name(kTagSpace, body));
}

/// Whether a list of tags has this one. Some of Azure's clients leave the quotes out.
bool has_tag(std::string_view list, std::string_view tag, bool weak_too) {
    for (const std::string& each : split(list, ',')) {
        std::string_view one = trim(each);
        if (weak_too && one.starts_with("W/")) one.remove_prefix(2);
        if (one == tag || one == tag.substr(1, tag.size() - 2)) return true;
    }
    return false;
}

Error not_met(std::string_view header, std::string_view value, std::string_view why) {
    return {ErrorCode::precondition_failed,
            fmt::format("the condition '{}: {}' is not met: {}", header, value.substr(0, 128), why),
            std::string(header), "read the resource again, and decide anew"};
}

/// `tag`: of the resource as it is; empty: there is none.
Status check(const Conditions& conditions, const std::string& tag) {
    const auto& [match, none_match] = conditions;
    for (const auto& [header, value] : {std::pair(kIfMatch, match), {kIfNoneMatch, none_match}})
        if (value.size() > kConditionBytesMax)
            return not_met(header, value,
                           fmt::format("it is longer than {} bytes", kConditionBytesMax));
    if (!match.empty() && tag.empty())
        return not_met(kIfMatch, match, "the resource does not exist");
    if (!match.empty() && match != "*" && !has_tag(match, tag, /*weak_too=*/false))
        return not_met(kIfMatch, match, "the resource was changed since");
    if (!none_match.empty() && !tag.empty() &&
        (none_match == "*" || has_tag(none_match, tag, /*weak_too=*/true)))
        return not_met(kIfNoneMatch, none_match, "the resource exists");
    return ok_status();
}

/// The key that handlers take turns with: of the server, else of the group, else the path itself.
std::string turn_of(const std::string& path) {
    const auto id = model::ResourceId::parse(path);
    if (!id.ok()) return to_lower(path);
    if (id->resource_group.empty()) return to_lower(path);
    if (id->segments.empty() || !iequals(id->provider_namespace, model::kPostgresNamespace))
        return model::ResourceId::group(id->subscription, id->resource_group).key();
    return model::ResourceId::server(id->subscription, id->resource_group, id->segments[0].name)
        .key();
}

/// The tag of what the path names, as its GET would answer now.
Result<std::string> current_tag(const Call& call, const Router::Match& found) {
    http::Request request;
    request.method = "GET";
    request.path = call.request.path;
    request.query = call.request.query;
    Call look{call.context, call.services, request};
    look.route = found.route;
    look.parameters = found.parameters;
    look.api_version = call.api_version;
    look.shape = call.shape;
    look.caller = call.caller;
    look.access = call.access;
    look.requirement = call.requirement;
    look.correlation_id = call.correlation_id;
    const Answer answer = found.route->handler(look);
    if (answer.ok()) return tag_of(answer->body);
    if (http_status(answer.error().code) == 404) return std::string();
    return answer.error();
}

}  // namespace

Result<std::optional<Turnstile::Pass>> check_preconditions(
    const Call& call, const Router& router, const std::vector<std::string>& segments) {
    std::optional<Turnstile::Pass> pass;
    const Conditions conditions = conditions_of(call.request);
    const bool reads = call.request.method == "GET" || call.request.method == "HEAD";
    if (!conditions.any() || (reads && is_of_named(*call.route))) return pass;
    const auto found = router.match("GET", segments, call.api_version);
    const bool has_tag = found.ok() && is_of_named(*found->route) &&
                         found->route->handler != nullptr && call.request.method != "POST";
    if (!has_tag) {
        // Without a tag a list is given whole, as to somebody who has no older one.
        if (reads && conditions.match.empty()) return pass;
        const bool is_match = !conditions.match.empty();
        return not_met(is_match ? kIfMatch : kIfNoneMatch,
                       is_match ? conditions.match : conditions.none_match,
                       "this request cannot have conditions");
    }
    HD_TRY(Turnstile::Pass turn, call.services.turnstile.enter(turn_of(call.request.path)));
    pass.emplace(std::move(turn));
    HD_TRY(const std::string tag, current_tag(call, *found));
    HD_CHECK(check(conditions, tag));
    return pass;
}

void apply_tag(const Call& call, http::Response& response) {
    const std::string& method = call.request.method;
    if ((method != "GET" && method != "HEAD") || response.status != 200 || response.body.empty() ||
        call.route == nullptr || call.route->method != "GET" || !is_of_named(*call.route))
        return;
    const std::string tag = tag_of(response.body);
    const Conditions conditions = conditions_of(call.request);
    if (!conditions.match.empty()) {
        const Status met = check({conditions.match, {}}, tag);
        if (!met.ok()) {
            response = error_answer(met.error());
            return;
        }
    }
    response.headers["etag"] = tag;
    if (conditions.none_match.empty() || check({{}, conditions.none_match}, tag).ok()) return;
    response.status = 304;
    response.body.clear();
}

}  // namespace howdah::api
