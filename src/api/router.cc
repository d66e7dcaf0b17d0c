#include "api/router.h"

#include <fmt/core.h>

#include <algorithm>

#include "api/access/routes.h"
#include "api/deployments/routes.h"
#include "api/directory/routes.h"
#include "api/platform/routes.h"
#include "api/postgres/routes.h"
#include "api/resources/routes.h"
#include "base/text.h"

namespace howdah::api {
namespace {

// The versions of Azure's own types in use by its clients; their shape is the same here.
constexpr std::string_view kManagerVersions[] = {
    "2014-04-01", "2015-01-01", "2015-11-01", "2016-02-01", "2016-06-01", "2016-07-01",
    "2016-09-01", "2017-05-10", "2018-01-01", "2018-02-01", "2018-05-01", "2019-03-01",
    "2019-05-01", "2019-05-10", "2019-06-01", "2019-07-01", "2019-08-01", "2019-10-01",
    "2019-11-01", "2020-01-01", "2020-06-01", "2020-08-01", "2020-10-01", "2021-01-01",
    "2021-04-01", "2022-01-01", "2022-09-01", "2022-12-01", "2023-07-01", "2024-03-01",
    "2024-07-01", "2024-08-01", "2024-11-01", "2025-03-01", "2025-04-01",
};
// The newest az asks for the preview; of what that adds nothing is here yet.
constexpr std::string_view kDatabaseVersions[] = {"2026-04-01-preview", "2022-12-01", "2024-08-01",
                                                  "2025-08-01"};
// Roles, assignments and locks; the activity log.
constexpr std::string_view kAccessVersions[] = {
    "2018-01-01-preview", "2018-09-01-preview", "2020-04-01-preview", "2020-08-01-preview",
    "2022-05-01-preview", "2015-01-01",         "2015-07-01",         "2016-09-01",
    "2017-04-01",         "2018-07-01",         "2020-05-01",         "2022-04-01",
};
constexpr std::string_view kOwnVersions[] = {"2026-11-01"};
constexpr std::string_view kActivityVersions[] = {"2017-03-01-preview", "2015-04-01"};

bool is_parameter(std::string_view segment) { return segment.starts_with('{'); }

std::string list_of(std::span<const std::string_view> words, std::string_view separator) {
    std::string text;
    for (const std::string_view word : words)
        text += fmt::format("{}{}", text.empty() ? "" : separator, word);
    return text;
}

/// "2025-08-01" or "2025-08-01-preview".
bool is_version_shaped(std::string_view version) {
    constexpr std::string_view kShape = "0000-00-00";
    if (version.size() < kShape.size() || version.size() > 32) return false;
    for (std::size_t i = 0; i < kShape.size(); ++i) {
        const bool digit = version[i] >= '0' && version[i] <= '9';
        if (kShape[i] == '-' ? version[i] != '-' : !digit) return false;
    }
    for (const char c : version.substr(kShape.size()))
        if (c != '-' && (c < 'a' || c > 'z')) return false;
    return version.size() == kShape.size() || version[kShape.size()] == '-';
}

/// The last fixed word of a pattern: what Azure calls the type in its messages.
std::string_view type_of(std::string_view pattern) {
    std::string_view last;
    std::size_t begin = 1;
    while (begin < pattern.size()) {
        const std::size_t end = std::min(pattern.find('/', begin), pattern.size());
        const std::string_view word = pattern.substr(begin, end - begin);
        if (!is_parameter(word)) last = word;
        begin = end + 1;
    }
    return last;
}

constexpr std::pair<std::string_view, const Versions*> kNamespaces[] = {
    {model::kPostgresNamespace, &kPostgresVersions},
    {"Microsoft.Resources", &kResourceManagerVersions},
    {"Microsoft.Authorization", &kAuthorizationVersions},
    {"Microsoft.Insights", &kInsightsVersions},
    {"Howdah.Platform", &kPlatformVersions},
};

Error unknown_path(const std::vector<std::string>& segments, std::string_view api_version) {
    const auto providers =
        std::find_if(segments.rbegin(), segments.rend(),
                     [](const std::string& each) { return iequals(each, "providers"); });
    const auto after = static_cast<std::size_t>(segments.rend() - providers);
    const bool has_namespace = providers != segments.rend() && after < segments.size();
    const std::string ns = has_namespace ? segments[after] : "Microsoft.Resources";
    if (versions_of(ns) == nullptr) {
        std::string served;
        for (const auto& [each, versions] : kNamespaces)
            served += fmt::format("{}{}", served.empty() ? "" : ", ", each);
        return {ErrorCode::unknown_namespace,
                fmt::format("the resource namespace '{}' is invalid", ns), ns,
                fmt::format("Howdah serves {}", served)};
    }
    std::string type;
    if (has_namespace) {
        for (std::size_t i = after + 1; i < segments.size(); i += 2)
            type += fmt::format("{}{}", type.empty() ? "" : "/", segments[i]);
    } else if (!segments.empty()) {
        type = segments.back();
    }
    const Versions& versions = *versions_of(ns);
    return {ErrorCode::unknown_resource_type,
            fmt::format("the resource type '{}' could not be found in the namespace '{}' for api "
                        "version '{}'. The supported api-versions are '{}'",
                        type, ns, api_version, list_of(versions.supported, ",")),
            type};
}

}  // namespace

const Versions kResourceManagerVersions = {kManagerVersions, false};
const Versions kPostgresVersions = {kDatabaseVersions, true};
const Versions kAuthorizationVersions = {kAccessVersions, false};
const Versions kInsightsVersions = {kActivityVersions, false};
const Versions kPlatformVersions = {kOwnVersions, false};
const Versions kGraphVersions = {};

const Versions* versions_of(std::string_view ns) {
    for (const auto& [each, versions] : kNamespaces)
        if (iequals(each, ns)) return versions;
    return nullptr;
}

bool is_of_named(const Route& route) { return route.pattern.ends_with('}'); }

std::span<const Route> all_routes() {
    static const std::vector<Route> routes = [] {
        std::vector<Route> all;
        for (const Route& each : resources::routes()) all.push_back(each);
        for (const Route& each : deployments::routes()) all.push_back(each);
        for (const Route& each : access::routes()) all.push_back(each);
        for (const Route& each : directory::routes()) all.push_back(each);
        for (const Route& each : postgres::routes()) all.push_back(each);
        for (const Route& each : platform::routes()) all.push_back(each);
        return all;
    }();
    return routes;
}

Router::Router(std::span<const Route> routes) {
    for (const Route& route : routes) {
        Compiled compiled{&route, {}};
        std::size_t begin = 1;
        while (begin < route.pattern.size()) {
            const std::size_t end = std::min(route.pattern.find('/', begin), route.pattern.size());
            compiled.segments.push_back(route.pattern.substr(begin, end - begin));
            begin = end + 1;
        }
        if (compiled.segments.front() == "{scope}") {
            compiled.segments.erase(compiled.segments.begin());
            scoped_.push_back(std::move(compiled));
            continue;
        }
        const std::size_t length = compiled.segments.size();
        if (by_length_.size() <= length) by_length_.resize(length + 1);
        by_length_[length].push_back(std::move(compiled));
    }
}

/// With the values of the pattern's parameters, and of the scope's: those that routes without a
/// scope have too.
Router::Match Router::matched(const Compiled& found, const std::vector<std::string>& segments,
                              std::size_t from) {
    Match match{found.route, {}};
    if (found.route->pattern.starts_with("/{scope}")) {
        std::string scope;
        for (std::size_t i = 0; i < from; ++i) scope += "/" + segments[i];
        match.parameters.emplace_back("scope", scope.empty() ? "/" : scope);
        if (from >= 2 && iequals(segments[0], "subscriptions"))
            match.parameters.emplace_back("subscriptionId", segments[1]);
        if (from >= 4 && iequals(segments[2], "resourceGroups"))
            match.parameters.emplace_back("resourceGroupName", segments[3]);
    }
    for (std::size_t i = 0; i < found.segments.size(); ++i) {
        const std::string_view pattern = found.segments[i];
        if (is_parameter(pattern))
            match.parameters.emplace_back(pattern.substr(1, pattern.size() - 2),
                                          segments[from + i]);
    }
    return match;
}

Result<Router::Match> Router::match(std::string_view method,
                                    const std::vector<std::string>& segments,
                                    std::string_view api_version) const {
    std::string methods;
    const auto fits = [&](const Compiled& each, std::size_t from) {
        return std::equal(each.segments.begin(), each.segments.end(),
                          segments.begin() + static_cast<std::ptrdiff_t>(from),
                          [](std::string_view pattern, const std::string& given) {
                              return is_parameter(pattern) || iequals(pattern, given);
                          });
    };
    const Compiled* readable = nullptr;  // what HEAD may stand for
    std::size_t readable_from = 0;
    const auto try_method = [&](const Compiled& each, std::size_t from) {
        if (each.route->method == method) return true;
        if (each.route->method == "GET" && is_of_named(*each.route) && readable == nullptr) {
            readable = &each;
            readable_from = from;
        }
        if (methods.find(each.route->method) == std::string::npos)
            methods += fmt::format("{}{}", methods.empty() ? "" : ", ", each.route->method);
        return false;
    };
    const std::size_t length = segments.size();
    const std::span<const Compiled> candidates =
        length < by_length_.size() ? by_length_[length] : std::span<const Compiled>{};
    for (const Compiled& each : candidates)
        if (fits(each, 0) && try_method(each, 0)) return matched(each, segments, 0);
    for (const Compiled& each : scoped_) {
        if (each.segments.size() > length) continue;
        const std::size_t from = length - each.segments.size();
        if (fits(each, from) && try_method(each, from)) return matched(each, segments, from);
    }
    if (method == "HEAD" && readable != nullptr) return matched(*readable, segments, readable_from);
    if (readable != nullptr && methods.find("HEAD") == std::string::npos) methods += ", HEAD";
    if (!methods.empty())
        return Error{ErrorCode::method_not_allowed,
                     fmt::format("the method {} is not allowed for this resource", method), methods,
                     fmt::format("use one of: {}", methods)};
    return unknown_path(segments, api_version);
}

Result<std::vector<std::string>> path_segments(std::string_view path) {
    if (path.size() > kPathBytesMax)
        return Error{ErrorCode::invalid_request,
                     fmt::format("the path is longer than {} bytes", kPathBytesMax)};
    std::vector<std::string> segments;
    for (std::string& part : split(path, '/')) {
        if (part.empty()) continue;
        for (const char c : part) {
            const auto byte = static_cast<unsigned char>(c);
            if (byte < 0x20 || byte == 0x7f)
                return Error{ErrorCode::invalid_request, "the path has control characters"};
        }
        if (segments.size() >= kPathSegmentsMax)
            return Error{ErrorCode::invalid_request,
                         fmt::format("the path has more than {} segments", kPathSegmentsMax)};
        segments.push_back(std::move(part));
    }
    return segments;
}

Status check_api_version(const Route& route, std::string_view version, std::string_view location) {
    const std::span<const std::string_view> supported = route.versions->supported;
    if (supported.empty()) return ok_status();
    if (version.empty())
        return Error{ErrorCode::missing_api_version,
                     "the api-version query parameter (?api-version=) is required for all requests",
                     "api-version",
                     fmt::format("the supported api-versions are '{}'", list_of(supported, ", "))};
    for (const std::string_view each : supported)
        if (iequals(each, version)) return ok_status();
    if (!route.versions->of_provider || !is_version_shaped(version))
        return Error{ErrorCode::invalid_api_version,
                     fmt::format("the api-version '{}' is invalid. The supported versions are '{}'",
                                 version.substr(0, 64), list_of(supported, ",")),
                     "api-version"};
    return Error{
        ErrorCode::no_registered_provider,
        fmt::format("no registered resource provider found for location '{}' and API version "
                    "'{}' for type '{}'. The supported api-versions are '{}'. The supported "
                    "locations are '{}'",
                    location, version, type_of(route.pattern), list_of(supported, ", "), location),
        "api-version"};
}

}  // namespace howdah::api
