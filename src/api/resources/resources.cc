#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/filter.h"
#include "api/paging.h"
#include "api/postgres/view.h"
#include "api/resources/handlers.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

// The generic list of resources. Flexible servers are the only ones there are.

namespace howdah::api::resources {
namespace {

constexpr std::string_view kServerType = "Microsoft.DBforPostgreSQL/flexibleServers";
/// What a filter leaves over.
struct Filter {
    std::string resource_group;
    std::string resource_type;
    std::string name;
    std::string location;
    TagFilter tag;
};

Result<Filter> read_filter(const Call& call) {
    const std::string text = call.request.query_value("$filter").value_or("");
    HD_TRY(const auto terms, parse_filter(text));
    Filter filter;
    for (const FilterTerm& term : terms) {
        if (term.op == "eq" && term.name == "resourcegroup")
            filter.resource_group = term.value;
        else if (term.op == "eq" && term.name == "resourcetype")
            filter.resource_type = term.value;
        else if (term.op == "eq" && term.name == "name")
            filter.name = term.value;
        else if (term.op == "eq" && term.name == "location")
            filter.location = term.value;
        else if (!filter.tag.take(term))
            return unknown_filter(text,
                                  "resourceGroup eq 'g', resourceType eq 't', location eq 'l', "
                                  "tagName eq 'n' and name eq 'n'");
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
        const bool wanted = (filter.name.empty() || iequals(filter.name, spec.name)) &&
                            (filter.location.empty() || iequals(filter.location, spec.location)) &&
                            filter.tag.fits(spec.tags);
        if (wanted && call.may_read(kServerType, spec.id)) values.push_back(resource_json(spec));
    }
    return json_answer(200, list_body(std::move(values), with_filter(call, page.next_link)));
}

}  // namespace

Answer list_resources(Call& call) { return list(call, ""); }

Answer list_resources_in_group(Call& call) {
    const std::string& group = call.parameter("resourceGroupName");
    HD_CHECK(postgres::load_group(call, model::ResourceId::group(call.subscription(), group)));
    return list(call, group);
}

}  // namespace howdah::api::resources
