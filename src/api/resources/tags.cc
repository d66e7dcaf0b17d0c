#include <fmt/core.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "api/access/access_store.h"
#include "api/paging.h"
#include "api/postgres/change.h"
#include "api/postgres/server_body.h"
#include "api/resources/handlers.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

// Tags as a resource of their own, below a server or a resource group: who may write nothing but
// Microsoft.Resources/tags may tag. The tags are the server's or group's own.

namespace howdah::api::resources {
namespace {

constexpr std::string_view kType = "Microsoft.Resources/tags";
constexpr std::string_view kServerType = "Microsoft.DBforPostgreSQL/flexibleServers";
constexpr std::string_view kGroupType = "Microsoft.Resources/subscriptions/resourceGroups";

/// What has tags: a server or a group that there is, or a subscription, which has none.
struct Tagged {
    std::string id;
    std::optional<model::ResourceId> group = {};
    std::optional<model::ResourceId> server = {};
    Tags tags = {};
};

Result<Tagged> load_tagged(Call& call) {
    HD_TRY(const std::string scope, existing_scope(call, call.parameter("scope")));
    Tagged found;
    found.id = scope;
    const auto id = model::ResourceId::parse(scope);
    if (id.ok() && id->segments.empty() && id->resource_group.empty()) return found;
    if (id.ok() && id->segments.empty()) {
        HD_TRY(const auto group, postgres::load_group(call, *id));
        found.group = *id;
        found.tags = group.tags;
        return found;
    }
    if (!id.ok() || !iequals(id->type(), kServerType))
        return Error{ErrorCode::not_supported,
                     fmt::format("there are no tags of '{}'", scope.substr(0, 256)), "",
                     "tag a server or a resource group"};
    HD_TRY(const auto server, postgres::load_server(call, *id));
    found.server = *id;
    found.id = server.spec.id;
    found.tags = server.spec.tags;
    return found;
}

Answer tags_answer(const Tagged& tagged) {
    const std::string base = tagged.id == "/" ? "" : tagged.id;
    return json_answer(200, {{"id", fmt::format("{}/providers/{}/default", base, kType)},
                             {"name", "default"},
                             {"type", kType},
                             {"properties", {{"tags", Json(tagged.tags)}}}});
}

struct TagsBody {
    std::string operation;  ///< of PATCH
    Tags tags;
};

Result<TagsBody> read_tags(const Call& call, bool is_patch) {
    constexpr std::string_view kOperations[] = {"Merge", "Replace", "Delete"};
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    TagsBody out;
    for (const std::string_view each : {"id", "name", "type"}) body.read_only(each);
    if (is_patch) out.operation = body.one_of("operation", kOperations).value_or("");
    std::optional<Tags> tags;
    if (std::optional<Reader> properties = body.object("properties")) {
        tags = properties->texts("tags");
        properties->finish();
    }
    body.finish();
    if (problem) return *problem;
    if (is_patch && out.operation.empty())
        return Error{ErrorCode::invalid_argument, "the field 'operation' is required", "operation",
                     fmt::format("use one of: {}", join({"Merge", "Replace", "Delete"}, ", "))};
    if (!tags)
        return Error{ErrorCode::invalid_argument, "the field 'properties.tags' is required",
                     "properties.tags"};
    out.tags = *std::move(tags);
    return out;
}

void remove_name(Tags& tags, std::string_view name) {
    std::erase_if(tags, [&](const auto& each) { return iequals(each.first, name); });
}

/// Names are the same in any letter case. Delete takes a tag away by its name, or by both.
Status apply(const TagsBody& body, Tags& tags) {
    if (body.operation == "Merge") {
        for (const auto& [name, value] : body.tags) {
            remove_name(tags, name);
            tags[name] = value;
        }
    } else if (body.operation == "Delete") {
        for (const auto& gone : body.tags)
            std::erase_if(tags, [&](const auto& each) {
                return iequals(each.first, gone.first) &&
                       (gone.second.empty() || each.second == gone.second);
            });
    } else {
        tags = body.tags;
    }
    return postgres::check_tags(tags);
}

Answer change(Call& call, const TagsBody& body) {
    HD_TRY(Tagged tagged, load_tagged(call));
    const auto apply_to = [&](Tags& tags) -> Status {
        HD_CHECK(apply(body, tags));
        tagged.tags = tags;
        return ok_status();
    };
    if (tagged.group) {
        HD_CHECK(change_group_tags(call, *tagged.group, apply_to));
        return tags_answer(tagged);
    }
    if (!tagged.server)
        return Error{ErrorCode::not_supported,
                     "tags of a subscription are not supported by this version of Howdah", "tags",
                     "tag its servers and resource groups"};
    call.parameters.emplace_back("serverName", tagged.server->name());
    postgres::ServerChange change;
    change.kind = "UpdateServer";
    change.server = *tagged.server;
    change.resource_id = tagged.id;
    change.apply = [&](postgres::ServerRecord& server) { return apply_to(server.spec.tags); };
    HD_CHECK(postgres::change_server(call, change));
    return tags_answer(tagged);
}

/// How often each tag and each of its values is used.
using Census = std::map<std::string, std::map<std::string, std::size_t>>;

void count(const Tags& tags, Census& census) {
    for (const auto& [name, value] : tags) ++census[name][value];
}

template <typename Record, typename Take>
Status for_all(const Call& call, const std::string& prefix, const Take& take) {
    store::ListOptions options;
    options.limit = store::kListMax;
    for (;;) {
        HD_TRY(const auto entries, call.context.store.list(prefix, options));
        for (const store::Entry& entry : entries) {
            HD_TRY(const auto record, model::from_json<Record>(entry.value));
            take(record);
        }
        if (entries.size() < options.limit) return ok_status();
        options.after = entries.back().key;
    }
}

Json total(std::size_t number) { return {{"type", "Total"}, {"value", number}}; }

}  // namespace

Answer get_tags(Call& call) {
    HD_TRY(const Tagged tagged, load_tagged(call));
    return tags_answer(tagged);
}

Answer put_tags(Call& call) {
    HD_TRY(const TagsBody body, read_tags(call, /*is_patch=*/false));
    return change(call, body);
}

Answer patch_tags(Call& call) {
    HD_TRY(const TagsBody body, read_tags(call, /*is_patch=*/true));
    return change(call, body);
}

Answer delete_tags(Call& call) {
    HD_CHECK(change(call, {}));
    return empty_answer(200);
}

Answer list_tag_names(Call& call) {
    Census census;
    const auto anything = model::ResourceId::group(call.subscription(), "x");
    std::string groups = store::keys::group(anything);
    groups.pop_back();
    HD_CHECK(for_all<model::ResourceGroup>(call, groups, [&](const model::ResourceGroup& each) {
        if (call.may_read(kGroupType, each.id)) count(each.tags, census);
    }));
    HD_CHECK(for_all<model::ServerSpec>(call, store::keys::servers_in(call.subscription()),
                                        [&](const model::ServerSpec& each) {
                                            if (call.may_read(kServerType, each.id))
                                                count(each.tags, census);
                                        }));
    Json names = Json::array();
    for (const auto& [name, values] : census) {
        const std::string id =
            fmt::format("/subscriptions/{}/tagNames/{}", call.subscription(), name);
        std::size_t uses = 0;
        Json shown = Json::array();
        for (const auto& [value, number] : values) {
            uses += number;
            shown.push_back({{"id", fmt::format("{}/tagValues/{}", id, value)},
                             {"tagValue", value},
                             {"count", total(number)}});
        }
        names.push_back(
            {{"id", id}, {"tagName", name}, {"count", total(uses)}, {"values", std::move(shown)}});
    }
    return json_answer(200, list_body(std::move(names)));
}

/// Only Azure itself makes deny assignments, and Howdah makes none.
Answer list_deny_assignments(Call& call) {
    HD_CHECK(existing_scope(call, call.parameter("scope")));
    return json_answer(200, list_body(Json::array()));
}

}  // namespace howdah::api::resources
