#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "api/access/access_store.h"
#include "api/filter.h"
#include "api/paging.h"
#include "api/postgres/change.h"
#include "api/postgres/server_body.h"
#include "api/postgres/server_rules.h"
#include "api/resources/handlers.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api::resources {
namespace {

constexpr std::string_view kGroupType = "Microsoft.Resources/resourceGroups";
constexpr std::string_view kDeleteKind = "DeleteGroup";
constexpr std::string_view kRetryAfterSeconds = "1";

model::ResourceId group_id(const Call& call) {
    return model::ResourceId::group(call.subscription(), call.parameter("resourceGroupName"));
}

Json group_json(const model::ResourceGroup& group) {
    Json body = {
        {"id", group.id},
        {"name", group.name},
        {"type", kGroupType},
        {"location", group.location},
        {"tags", Json(group.tags)},
        {"properties", {{"provisioningState", group.deleting ? "Deleting" : "Succeeded"}}}};
    if (!group.managed_by.empty()) body["managedBy"] = group.managed_by;
    return body;
}

Status check_group_name(std::string_view name) {
    constexpr std::size_t kLongest = 90;
    bool good = !name.empty() && name.size() <= kLongest && name.back() != '.';
    for (const char c : name)
        good =
            good && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.' || c == '(' || c == ')');
    if (good) return ok_status();
    return Error{ErrorCode::invalid_resource_name,
                 fmt::format("'{}' cannot be the name of a resource group", name.substr(0, 128)),
                 "resourceGroupName",
                 fmt::format("use 1 to {} letters, digits, hyphens, underscores, parentheses and "
                             "dots, with no dot at the end",
                             kLongest)};
}

struct StoredGroup {
    model::ResourceGroup group;
    store::Revision modified = 0;  ///< 0: there is none
};

Result<StoredGroup> find_group(const Call& call, const model::ResourceId& id) {
    HD_TRY(const auto entry, call.context.store.get(store::keys::group(id)));
    StoredGroup stored;
    if (!entry) return stored;
    HD_TRY(stored.group, model::from_json<model::ResourceGroup>(entry->value));
    stored.modified = entry->modified;
    return stored;
}

struct GroupBody {
    std::optional<std::string> location;
    std::optional<std::map<std::string, std::string>> tags;
    std::optional<std::string> managed_by;
};

Result<GroupBody> read_body(const Call& call) {
    HD_TRY(const Json json, parse_body(call.request.body));
    if (json.is_null())
        return Error{ErrorCode::invalid_request, "the request needs a body, and has none"};
    Reader::Problem problem;
    Reader body(json, "", problem);
    GroupBody out;
    out.location = body.text("location");
    out.tags = body.texts("tags");
    out.managed_by = body.text("managedBy");
    const auto name = body.text("name");
    if (name && !iequals(*name, call.parameter("resourceGroupName")))
        body.fail({ErrorCode::invalid_request,
                   fmt::format("the field 'name' is '{}', but the request is about '{}'",
                               name->substr(0, 128), call.parameter("resourceGroupName")),
                   "name", "make both the same, or leave the field out"});
    body.read_only("id");
    body.read_only("type");
    if (std::optional<Reader> properties = body.object("properties")) {
        properties->read_only("provisioningState");
        properties->finish();
    }
    body.finish();
    if (problem) return *problem;
    if (out.tags) HD_CHECK(postgres::check_tags(*out.tags));
    return out;
}

Status apply(const Call& call, const GroupBody& body, bool is_put, StoredGroup& stored) {
    model::ResourceGroup& group = stored.group;
    if (stored.modified == 0) {
        const std::string& name = call.parameter("resourceGroupName");
        HD_CHECK(check_group_name(name));
        HD_CHECK(postgres::check_location(call.context, body.location, kGroupType));
        group.id = model::ResourceId::group(to_lower(call.subscription()), name).to_string();
        group.name = name;
        group.location = call.context.location;
    } else {
        if (group.deleting) return postgres::group_being_deleted(group);
        if (is_put && !body.location)
            HD_CHECK(postgres::check_location(call.context, body.location, kGroupType));
        if (body.location && !postgres::is_our_location(call.context, *body.location))
            return Error{ErrorCode::location_conflict,
                         fmt::format("invalid resource group location '{}'. The Resource group "
                                     "already exists in location '{}'",
                                     body.location->substr(0, 64), group.location),
                         "location"};
    }
    if (body.tags || is_put) group.tags = body.tags.value_or(std::map<std::string, std::string>());
    if (body.managed_by) group.managed_by = *body.managed_by;
    return ok_status();
}

Error changed_by_others(const model::ResourceId& id) {
    return {ErrorCode::unavailable,
            fmt::format("the resource group '{}' was changed by others at the same time, again and "
                        "again",
                        id.resource_group),
            "", "send the request again"};
}

/// PUT and PATCH: read, apply, write; again when somebody else was faster.
Answer change_group(Call& call, bool is_put) {
    const model::ResourceId id = group_id(call);
    HD_TRY(const GroupBody body, read_body(call));
    HD_TRY(const Turnstile::Pass pass, call.services.turnstile.enter(id.key()));
    for (int attempt = 0; attempt < postgres::kChangeAttemptsMax; ++attempt) {
        HD_TRY(StoredGroup stored, find_group(call, id));
        const bool is_new = stored.modified == 0;
        if (is_new && !is_put) HD_CHECK(postgres::load_group(call, id));
        HD_CHECK(apply(call, body, is_put, stored));
        if (is_new) HD_CHECK(forget_assignments(call.context.store, stored.group.id));
        store::Transaction txn;
        txn.expect(store::keys::group(id), stored.modified);
        txn.put(store::keys::group(id), model::to_json(stored.group));
        const auto revision = call.context.store.commit(txn);
        if (revision.ok()) return json_answer(is_new ? 201 : 200, group_json(stored.group));
        if (revision.error().code != ErrorCode::conflict) return revision.error();
    }
    return changed_by_others(id);
}

http::Response accepted(const Call& call, const std::string& operation_id) {
    http::Response response{202, {}, ""};
    response.headers["location"] = call.link(
        fmt::format("/subscriptions/{}/operationresults/{}", call.subscription(), operation_id));
    response.headers["retry-after"] = kRetryAfterSeconds;
    return response;
}

Result<TagFilter> tag_filter(const Call& call) {
    const std::string text = call.request.query_value("$filter").value_or("");
    HD_TRY(const auto terms, parse_filter(text));
    TagFilter filter;
    for (const FilterTerm& term : terms)
        if (!filter.take(term)) return unknown_filter(text, "tagName eq 'n' and tagValue eq 'v'");
    return filter;
}

}  // namespace

Status change_group_tags(const Call& call, const model::ResourceId& id,
                         const std::function<Status(Tags&)>& apply) {
    HD_TRY(const Turnstile::Pass pass, call.services.turnstile.enter(id.key()));
    for (int attempt = 0; attempt < postgres::kChangeAttemptsMax; ++attempt) {
        HD_TRY(StoredGroup stored, find_group(call, id));
        if (stored.modified == 0) HD_CHECK(postgres::load_group(call, id));
        if (stored.group.deleting) return postgres::group_being_deleted(stored.group);
        HD_CHECK(apply(stored.group.tags));
        store::Transaction txn;
        txn.expect(store::keys::group(id), stored.modified);
        txn.put(store::keys::group(id), model::to_json(stored.group));
        const auto revision = call.context.store.commit(txn);
        if (revision.ok()) return ok_status();
        if (revision.error().code != ErrorCode::conflict) return revision.error();
    }
    return changed_by_others(id);
}

Answer list_groups(Call& call) {
    HD_TRY(const TagFilter filter, tag_filter(call));
    const model::ResourceId anything = model::ResourceId::group(call.subscription(), "x");
    std::string prefix = store::keys::group(anything);
    prefix.pop_back();
    HD_TRY(const Page page, read_page(call, prefix));
    Json values = Json::array();
    for (const store::Entry& entry : page.entries) {
        HD_TRY(const auto group, model::from_json<model::ResourceGroup>(entry.value));
        if (filter.fits(group.tags) &&
            call.may_read("Microsoft.Resources/subscriptions/resourceGroups", group.id))
            values.push_back(group_json(group));
    }
    return json_answer(200, list_body(std::move(values), with_filter(call, page.next_link)));
}

Answer put_group(Call& call) { return change_group(call, /*is_put=*/true); }

Answer patch_group(Call& call) { return change_group(call, /*is_put=*/false); }

Answer get_group(Call& call) {
    HD_TRY(const auto group, postgres::load_group(call, group_id(call)));
    return json_answer(200, group_json(group));
}

Answer head_group(Call& call) {
    HD_CHECK(postgres::load_group(call, group_id(call)));
    return empty_answer(204);
}

Answer delete_group(Call& call) {
    const model::ResourceId id = group_id(call);
    HD_TRY(const Turnstile::Pass pass, call.services.turnstile.enter(id.key()));
    for (int attempt = 0; attempt < postgres::kChangeAttemptsMax; ++attempt) {
        HD_TRY(StoredGroup stored, find_group(call, id));
        if (stored.modified == 0) HD_CHECK(postgres::load_group(call, id));
        if (stored.group.deleting) {
            HD_TRY(const auto pending, postgres::pending_operations(call, id.key()));
            for (const model::Operation& each : pending)
                if (each.kind == kDeleteKind) return accepted(call, each.id);
        }
        stored.group.deleting = true;
        control::OperationDraft draft;
        draft.kind = kDeleteKind;
        draft.subscription = call.subscription();
        draft.location = call.context.location;
        draft.resource_id = stored.group.id;
        draft.requested_by = call.caller.app_id;
        if (call.caller.is_foreign()) draft.requester_name = call.caller.name;
        draft.operation_name = call.requirement.action;
        draft.correlation_id = call.correlation_id;
        store::Transaction txn;
        txn.expect(store::keys::group(id), stored.modified);
        txn.put(store::keys::group(id), model::to_json(stored.group));
        const model::Operation operation = call.context.operations.begin(txn, draft);
        const auto revision = call.context.operations.commit(txn);
        if (revision.ok()) return accepted(call, operation.id);
        if (revision.error().code != ErrorCode::conflict) return revision.error();
    }
    return changed_by_others(id);
}

Answer get_group_operation_result(Call& call) {
    const std::string& id = call.parameter("operationId");
    const auto operation = call.context.operations.find(to_lower(id));
    if (!operation.ok() || !iequals(operation->subscription, call.subscription()) ||
        operation->kind != kDeleteKind || !postgres::may_follow(call, *operation))
        return Error{ErrorCode::not_found,
                     fmt::format("the operation '{}' was not found", id.substr(0, 64)),
                     id.substr(0, 64)};
    if (operation->status == "InProgress") return accepted(call, operation->id);
    if (operation->status == "Succeeded") return empty_answer(200);
    const model::Failure failure = operation->failure.value_or(model::Failure{});
    return Error{error_code_from(failure.code),
                 failure.message.empty() ? "the deletion was cancelled" : failure.message,
                 operation->resource_id, failure.hint};
}

}  // namespace howdah::api::resources
