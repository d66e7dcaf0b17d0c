#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/paging.h"
#include "api/postgres/view.h"
#include "api/resources/handlers.h"
#include "base/text.h"
#include "http/client.h"
#include "model/json.h"
#include "store/keys.h"

// The generic list of resources. Flexible servers are the only ones there are.

namespace howdah::api::resources {
namespace {

constexpr std::string_view kServerType = "Microsoft.DBforPostgreSQL/flexibleServers";
constexpr std::size_t kTermsMax = 4;

/// What a filter leaves over.
struct Filter {
    std::string resource_group;
    std::string resource_type;
    std::string name;
};

/// "resourceGroup eq 'rg1' and resourceType eq 'a/b'": terms of this form, joined by "and".
Result<Filter> read_filter(const Call& call) {
    const std::string text = call.request.query_value("$filter").value_or("");
    const Error bad{ErrorCode::invalid_argument,
                    fmt::format("the filter '{}' is not supported", text.substr(0, 128)), "$filter",
                    "use terms like resourceGroup eq 'g', resourceType eq 't' and name eq 'n', "
                    "joined by 'and'"};
    Filter filter;
    std::string_view rest = trim(text);
    for (std::size_t term = 0; !rest.empty(); ++term) {
        if (term >= kTermsMax) return bad;
        const std::size_t open = rest.find('\'');
        const std::size_t close = open == std::string_view::npos ? open : rest.find('\'', open + 1);
        if (close == std::string_view::npos) return bad;
        const std::vector<std::string> words = split(trim(rest.substr(0, open)), ' ');
        const std::string value(rest.substr(open + 1, close - open - 1));
        if (words.size() != 2 || !iequals(words[1], "eq")) return bad;
        if (iequals(words[0], "resourceGroup")) {
            filter.resource_group = value;
        } else if (iequals(words[0], "resourceType")) {
            filter.resource_type = value;
        } else if (iequals(words[0], "name")) {
            filter.name = value;
        } else {
            return bad;
        }
        rest = trim(rest.substr(close + 1));
        if (rest.empty()) break;
        if (rest.size() < 4 || !iequals(rest.substr(0, 4), "and ")) return bad;
        rest = trim(rest.substr(4));
        if (rest.empty()) return bad;
    }
    return filter;
}

Json resource_json(const model::ServerSpec& spec) {
    return {{"id", spec.id},
            {"name", spec.name},
            {"type", kServerType},
            {"location", spec.location},
            {"tags", Json(spec.tags)},
            {"sku", {{"name", spec.sku.name}, {"tier", spec.sku.tier}}},
            {"createdTime", spec.system_data.created_at},
            {"changedTime", spec.system_data.last_modified_at},
            {"provisioningState", spec.deleting ? "Deleting" : "Succeeded"}};
}

Answer list(Call& call, std::string_view group) {
    HD_TRY(const Filter filter, read_filter(call));
    Json values = Json::array();
    const bool other_type =
        !filter.resource_type.empty() && !iequals(filter.resource_type, kServerType);
    const bool other_group =
        !group.empty() && !filter.resource_group.empty() && !iequals(group, filter.resource_group);
    if (other_type || other_group) return json_answer(200, list_body(std::move(values)));
    const std::string_view where = group.empty() ? filter.resource_group : group;
    HD_TRY(const Page page, read_page(call, store::keys::servers_in(call.subscription(), where)));
    for (const store::Entry& entry : page.entries) {
        HD_TRY(const auto spec, model::from_json<model::ServerSpec>(entry.value));
        if (filter.name.empty() || iequals(filter.name, spec.name))
            values.push_back(resource_json(spec));
    }
    std::string next = page.next_link;
    if (const auto text = call.request.query_value("$filter"); text && !next.empty())
        next += "&$filter=" + http::url_encode(*text);
    return json_answer(200, list_body(std::move(values), next));
}

}  // namespace

Answer list_resources(Call& call) { return list(call, ""); }

Answer list_resources_in_group(Call& call) {
    const std::string& group = call.parameter("resourceGroupName");
    HD_CHECK(postgres::load_group(call, model::ResourceId::group(call.subscription(), group)));
    return list(call, group);
}

}  // namespace howdah::api::resources
