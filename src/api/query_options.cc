#include "api/query_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/router.h"
#include "base/text.h"

namespace howdah::api {
namespace {

/// What the answers of a group of operations have options for; an empty operation is all of them.
struct Honoured {
    std::string_view group;
    std::string_view operation;
    std::string_view options;
};

// Who adds an option to a handler adds it here; a test asks every list for what it does not have.
constexpr Honoured kHonoured[] = {
    {"subscriptions", "list", "$top $skiptoken"},
    {"resourceGroups", "list", "$top $skiptoken $filter"},
    {"resources", "", "$top $skiptoken $filter $expand"},
    {"servers", "listByResourceGroup", "$top $skiptoken"},
    {"servers", "listBySubscription", "$top $skiptoken"},
    {"providers", "", "$expand"},
    {"deployments", "listByResourceGroup", "$top $filter"},
    {"deployments", "listAtSubscriptionScope", "$top $filter"},
    {"roleDefinitions", "list", "$filter"},
    {"roleAssignments", "listForScope", "$filter"},
    {"managementLocks", "listByScope", "$filter"},
    {"activityLogs", "list", "$filter $select $skiptoken"},
    {"tenantActivityLogs", "list", "$filter $select $skiptoken"},
};

/// What these lists show anyway; there are no aliases.
constexpr std::string_view kExpandable[] = {"createdTime", "changedTime", "provisioningState",
                                            "resourceTypes", "resourceTypes/aliases"};

bool is_honoured(const Route& route, std::string_view option) {
    for (const Honoured& each : kHonoured) {
        if (each.group != route.group) continue;
        if (!each.operation.empty() && each.operation != route.operation) continue;
        for (const std::string& one : split(each.options, ' '))
            if (iequals(one, option)) return true;
    }
    return false;
}

Status check_expand(std::string_view text) {
    for (const std::string& each : split(text, ',')) {
        const std::string_view word = trim(each);
        const bool known =
            word.empty() ||
            std::any_of(std::begin(kExpandable), std::end(kExpandable),
                        [&](std::string_view expandable) { return iequals(expandable, word); });
        if (!known)
            return Error{ErrorCode::invalid_argument,
                         fmt::format("'{}' cannot be expanded", word.substr(0, 64)), "$expand",
                         fmt::format("use some of: {}", fmt::join(kExpandable, ", "))};
    }
    return ok_status();
}

}  // namespace

Status check_query_options(const Call& call) {
    const std::string& method = call.request.method;
    if ((method != "GET" && method != "HEAD") || call.route->versions == &kGraphVersions)
        return ok_status();
    for (const auto& [name, value] : call.request.query) {
        if (!name.starts_with('$') || value.empty()) continue;
        if (!is_honoured(*call.route, name))
            return Error{ErrorCode::invalid_argument,
                         fmt::format("the query option '{}' has no meaning for this request",
                                     name.substr(0, 64)),
                         name.substr(0, 64), "leave it out"};
        if (iequals(name, "$expand")) HD_CHECK(check_expand(value));
        if (iequals(name, "$top") && !parse_integer(value, 1, kTopMax).ok())
            return Error{ErrorCode::invalid_argument,
                         fmt::format("$top is '{}'", value.substr(0, 64)), "$top",
                         fmt::format("use a number from 1 to {}", kTopMax)};
    }
    return ok_status();
}

}  // namespace howdah::api
