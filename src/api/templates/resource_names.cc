#include "api/templates/resource_names.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/templates/state.h"
#include "base/text.h"

namespace howdah::api::templates {
namespace {

/// "worker[3]" is "worker" too.
bool is_symbol(const PlannedResource& resource, std::string_view text) {
    const std::string_view symbol = resource.symbolic_name;
    if (symbol.empty()) return false;
    if (symbol == text) return true;
    return symbol.ends_with(']') && symbol.substr(0, symbol.rfind('[')) == text;
}

bool is_loop(const PlannedResource& resource, std::string_view text) {
    return std::any_of(resource.turns.begin(), resource.turns.end(),
                       [&](const CopyTurn& turn) { return iequals(turn.name, text); });
}

template <typename Test>
std::vector<std::size_t> all_that(const Plan& plan, Test test) {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < plan.resources.size(); ++i)
        if (test(plan.resources[i])) out.push_back(i);
    return out;
}

}  // namespace

std::string scope_id(std::string_view subscription, std::string_view resource_group) {
    std::string out = fmt::format("/subscriptions/{}", subscription);
    if (!resource_group.empty()) out += fmt::format("/resourceGroups/{}", resource_group);
    return out;
}

std::size_t name_count(std::string_view type) {
    return static_cast<std::size_t>(std::count(type.begin(), type.end(), '/'));
}

Result<std::string> join_id(std::string_view function, std::string_view prefix,
                            std::string_view type, const std::vector<std::string>& names) {
    const std::size_t count = name_count(type);
    if (count == 0 || count != names.size())
        return inner_error(
            fmt::format("Unable to evaluate template language function '{}': the type '{}' "
                        "requires '{}' resource name argument(s). Please see "
                        "https://aka.ms/arm-template-expressions/#{} for usage details.",
                        function, type.substr(0, 256), count, to_lower(function)));
    const std::vector<std::string> types = split(type, '/');
    // Resource groups are no resource of a provider in their id.
    if (iequals(type, "Microsoft.Resources/resourceGroups"))
        return fmt::format("{}/resourceGroups/{}", prefix, names[0]);
    std::string out = fmt::format("{}/providers/{}", prefix, types[0]);
    for (std::size_t i = 0; i < count; ++i) out += fmt::format("/{}/{}", types[i + 1], names[i]);
    return out;
}

std::vector<std::size_t> find_named(const Plan& plan, const Scope& scope, std::string_view text) {
    auto found = all_that(plan, [&](const PlannedResource& each) { return is_symbol(each, text); });
    if (!found.empty()) return found;
    if (text.starts_with('/'))
        return all_that(plan, [&](const PlannedResource& each) { return iequals(each.id, text); });
    if (text.find('/') != std::string_view::npos) {
        const std::string id = fmt::format(
            "{}/providers/{}", scope_id(scope.subscription_id, scope.resource_group), text);
        found = all_that(plan, [&](const PlannedResource& each) { return iequals(each.id, id); });
        if (!found.empty()) return found;
    }
    found = all_that(plan, [&](const PlannedResource& each) { return is_loop(each, text); });
    if (!found.empty()) return found;
    found = all_that(plan, [&](const PlannedResource& each) { return iequals(each.name, text); });
    if (!found.empty()) return found;
    // A child is also called by the name it has within its parent.
    return all_that(plan, [&](const PlannedResource& each) {
        const std::size_t slash = each.name.rfind('/');
        return slash != std::string::npos && iequals(each.name.substr(slash + 1), text);
    });
}

}  // namespace howdah::api::templates
