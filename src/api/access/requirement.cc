#include "api/access/requirement.h"

#include <fmt/core.h>

#include <algorithm>

#include "api/router.h"
#include "base/text.h"

namespace howdah::api {
namespace {

bool is_parameter(std::string_view segment) { return segment.starts_with('{'); }

std::string_view verb_of(std::string_view method) {
    if (method == "GET" || method == "HEAD") return "read";
    if (method == "DELETE") return "delete";
    return method == "POST" ? "action" : "write";
}

std::string path_of(const std::vector<std::string>& segments, std::size_t count) {
    std::string path;
    for (std::size_t i = 0; i < count; ++i) path += "/" + segments[i];
    return path.empty() ? "/" : path;
}

/// Types stand at every second place behind the namespace.
std::string types_of(const std::vector<std::string>& pattern, std::size_t from) {
    std::string types;
    for (std::size_t i = from; i < pattern.size(); i += 2) types += "/" + pattern[i];
    return types;
}

}  // namespace

Requirement requirement_of(const Route& route, const std::vector<std::string>& segments) {
    std::vector<std::string> pattern = split(route.pattern.substr(1), '/');
    // "{scope}" stands for as many segments as are left.
    if (pattern.front() == "{scope}") {
        pattern.erase(pattern.begin());
        pattern.insert(pattern.begin(), segments.begin(),
                       segments.end() - static_cast<std::ptrdiff_t>(pattern.size()));
    }
    if (pattern.front() == "v1.0") {
        // Microsoft Graph: what is in the directory stands above all subscriptions.
        const bool creates = route.method == "POST" && pattern.size() == 2;
        const std::string_view verb = creates ? "write" : verb_of(route.method);
        return {fmt::format("Microsoft.Graph{}/{}", types_of(pattern, 1), verb), "/",
                path_of(segments, segments.size())};
    }
    const auto last = std::find(pattern.rbegin(), pattern.rend(), "providers");
    const auto at = static_cast<std::size_t>(pattern.rend() - last);  // behind "providers"
    Requirement requirement;
    const bool of_provider =
        last != pattern.rend() && at < pattern.size() && !is_parameter(pattern[at]);
    // What belongs to no provider is Microsoft.Resources' own, from "subscriptions" on.
    const std::size_t types = of_provider ? at + 1 : 0;
    requirement.action = of_provider ? pattern[at] : "Microsoft.Resources";
    requirement.action += types_of(pattern, types);
    const bool named = (pattern.size() - types) % 2 == 0;
    // A list, or what is done to a resource, is a matter of the resource before it.
    std::size_t scope = named ? pattern.size() : pattern.size() - 1;
    if (of_provider && scope == types) scope = at - 1;
    requirement.scope = path_of(segments, scope);
    requirement.resource =
        route.method == "POST" ? requirement.scope : path_of(segments, segments.size());
    requirement.action += "/";
    requirement.action += verb_of(route.method);
    return requirement;
}

}  // namespace howdah::api
