#include <fmt/core.h>

#include <map>
#include <nlohmann/json.hpp>

#include "api/access/access_store.h"
#include "api/paging.h"
#include "api/postgres/change.h"
#include "api/postgres/handlers.h"
#include "api/postgres/replicas.h"
#include "api/postgres/server_body.h"
#include "api/postgres/server_rules.h"
#include "api/postgres/view.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api::postgres {
namespace {

Result<ServerBody> body_of(const Call& call, const model::ResourceId& id) {
    HD_TRY(const Json json, parse_body(call.request.body));
    if (json.is_null())
        return Error{ErrorCode::invalid_request, "the request needs a body, and has none"};
    return read_server_body(json, id.to_string(), id.name());
}

Answer server_answer(const Call& call, int status, const ChangedServer& changed,
                     const Offer& offer) {
    HD_TRY(http::Response response, json_answer(status, server_json(call, changed.server, offer)));
    return with_operation(call, std::move(response), changed.operation);
}

/// ErrorCode::already_exists if the name belongs to another server, of whatever group.
Status check_name_is_free(const Call& call, const model::ResourceId& id) {
    HD_TRY(const auto owner, call.context.store.get(store::keys::server_name(id.name())));
    if (!owner) return ok_status();
    return Error{ErrorCode::already_exists,
                 fmt::format("the server name '{}' is already in use", id.name()), id.to_string(),
                 "choose another name"};
}

/// One attempt to create; ErrorCode::conflict: somebody else was faster, look again.
Result<ChangedServer> try_create(const Call& call, const Offer& offer,
                                 const model::ResourceId& asked, const ServerBody& body) {
    const auto group_id = model::ResourceId::group(asked.subscription, asked.resource_group);
    const std::string group_key = store::keys::group(group_id);
    HD_TRY(const auto group_entry, call.context.store.get(group_key));
    HD_TRY(const model::ResourceGroup group, load_group(call, asked));
    if (group.deleting)
        return Error{ErrorCode::group_being_deleted,
                     fmt::format("the resource group '{}' is in deprovisioning state and cannot "
                                 "perform this operation",
                                 group.name),
                     group.id, "wait until it is gone, and create it again"};
    if (!group_entry) return Error{ErrorCode::conflict, "the group came to be just now"};
    // The id keeps the spelling of the group as it was created.
    const auto id =
        model::ResourceId::server(to_lower(asked.subscription), group.name, asked.name());
    HD_TRY(model::ServerSpec spec, new_server(call, offer, id, body));
    HD_CHECK(check_name_is_free(call, id));
    stamp(call, spec.system_data);
    HD_CHECK(forget_assignments(call.context.store, spec.id));
    store::Transaction txn;
    txn.expect(group_key, group_entry->modified);
    txn.expect_absent(store::keys::server(id));
    txn.expect_absent(store::keys::server_name(id.name()));
    txn.put(store::keys::server(id), model::to_json(spec));
    txn.put(store::keys::server_name(id.name()), id.key());
    model::Operation operation =
        call.context.operations.begin(txn, draft_for(call, "CreateServer", spec, spec.id));
    HD_CHECK(call.context.operations.commit(txn));
    return ChangedServer{{std::move(spec), 0, std::nullopt}, std::move(operation)};
}

/// Creates the server; none: there is one already.
Result<std::optional<ChangedServer>> create_unless_there(Call& call, const Offer& offer,
                                                         const model::ResourceId& id,
                                                         const ServerBody& body) {
    HD_TRY(const Turnstile::Pass pass, call.services.turnstile.enter(id.key()));
    for (int attempt = 0; attempt < kChangeAttemptsMax; ++attempt) {
        HD_TRY(const auto entry, call.context.store.get(store::keys::server(id)));
        if (entry) return std::optional<ChangedServer>();
        Result<ChangedServer> created = try_create(call, offer, id, body);
        if (created.ok()) return std::optional<ChangedServer>(std::move(created).value());
        if (created.error().code != ErrorCode::conflict) return created.error();
    }
    return Error{ErrorCode::unavailable,
                 fmt::format("the resource group '{}' was changed by others at the same time, "
                             "again and again",
                             id.resource_group),
                 "", "send the request again"};
}

Result<ChangedServer> update(Call& call, const Offer& offer, const model::ResourceId& id,
                             const ServerBody& body) {
    ServerChange change;
    change.kind = "UpdateServer";
    change.server = id;
    change.resource_id = id.to_string();
    change.apply = [&](ServerRecord& server) -> Status {
        return apply_body(call, offer, body, server.status, server.spec);
    };
    return change_server(call, change);
}

/// The statuses of the servers of a page, by status key: a list or two instead of a get for each.
Result<std::map<std::string, model::ServerStatus>> statuses_of(const Call& call, const Page& page) {
    std::map<std::string, model::ServerStatus> all;
    if (page.entries.empty()) return all;
    const auto status_key = [](const store::Entry& entry) {
        constexpr std::string_view kServer = "/server";
        return store::keys::status(entry.key.substr(kServer.size()));
    };
    const std::string last = status_key(page.entries.back());
    store::ListOptions options;
    // "after" is exclusive, so begin just before the first key.
    options.after = status_key(page.entries.front());
    options.after.pop_back();
    options.limit = kPageSize + 1;
    bool more = true;
    while (more) {
        HD_TRY(const auto entries, call.context.store.list("/status/", options));
        for (const store::Entry& entry : entries) {
            if (entry.key > last) return all;
            HD_TRY(model::ServerStatus status, model::from_json<model::ServerStatus>(entry.value));
            all[entry.key] = std::move(status);
        }
        more = entries.size() == options.limit;
        if (more) options.after = entries.back().key;
    }
    return all;
}

Answer list_servers(Call& call, const std::string& prefix) {
    HD_TRY(const Page page, read_page(call, prefix));
    HD_TRY(const auto offer, call.services.offers.recent());
    HD_TRY(auto statuses, statuses_of(call, page));
    Json values = Json::array();
    for (const store::Entry& entry : page.entries) {
        ServerRecord server;
        HD_TRY(server.spec, model::from_json<model::ServerSpec>(entry.value));
        if (!call.may_read("Microsoft.DBforPostgreSQL/flexibleServers", server.spec.id)) continue;
        const auto status = statuses.find(store::keys::status(to_lower(server.spec.id)));
        if (status != statuses.end()) server.status = status_of(server.spec, status->second);
        values.push_back(server_json(call, server, *offer));
    }
    return json_answer(200, list_body(std::move(values), page.next_link));
}

}  // namespace

Answer put_server(Call& call) {
    const model::ResourceId id = server_id(call);
    HD_TRY(ServerBody body, body_of(call, id));
    HD_TRY(const auto offer, call.services.offers.current());
    HD_TRY(const auto created, create_unless_there(call, *offer, id, body));
    // Never 201: newer SDKs take only 202 for the begin of a long-running operation.
    if (created) return server_answer(call, 202, *created, *offer);
    if (!body.location) HD_CHECK(check_location(call.context, body.location, id.type()));
    if (!body.tags) body.tags.emplace();  // PUT replaces the tags
    HD_TRY(const ChangedServer changed, update(call, *offer, id, body));
    return server_answer(call, 202, changed, *offer);
}

Answer get_server(Call& call) {
    HD_TRY(const auto server, find_server(call, server_id(call)));
    HD_TRY(const auto offer, call.services.offers.recent());
    return json_answer(200, server_json(call, *server, *offer));
}

Answer patch_server(Call& call) {
    const model::ResourceId id = server_id(call);
    HD_TRY(const ServerBody body, body_of(call, id));
    if (body.create_mode == "Create")
        return Error{ErrorCode::invalid_argument, "the createMode of a change cannot be 'Create'",
                     "properties.createMode", "use 'Default' or 'Update', or leave the field out"};
    HD_TRY(const auto offer, call.services.offers.current());
    HD_TRY(const ChangedServer changed, update(call, *offer, id, body));
    return server_answer(call, 202, changed, *offer);
}

Answer delete_server(Call& call) {
    const model::ResourceId id = server_id(call);
    HD_CHECK(load_group(call, id));
    HD_TRY(const auto entry, call.context.store.get(store::keys::server(id)));
    if (!entry) return empty_answer(204);
    HD_TRY(const auto pending, pending_operations(call, id.key()));
    for (const model::Operation& each : pending)
        if (each.kind == "DeleteServer")
            return with_operation(call, http::Response{202, {}, ""}, each);
    ServerChange change;
    change.kind = "DeleteServer";
    change.server = id;
    change.resource_id = id.to_string();
    change.apply = [&](ServerRecord& server) -> Status {
        HD_CHECK(check_has_no_replicas(call, id));
        server.spec.deleting = true;
        return ok_status();
    };
    const Result<ChangedServer> changed = change_server(call, change);
    if (!changed.ok()) {
        if (changed.error().code == ErrorCode::not_found) return empty_answer(204);
        return changed.error();
    }
    return with_operation(call, http::Response{202, {}, ""}, changed->operation);
}

Answer list_servers_in_group(Call& call) {
    const auto group =
        model::ResourceId::group(call.subscription(), call.parameter("resourceGroupName"));
    HD_CHECK(load_group(call, group));
    return list_servers(call, store::keys::servers_in(call.subscription(), group.resource_group));
}

Answer list_servers_in_subscription(Call& call) {
    return list_servers(call, store::keys::servers_in(call.subscription()));
}

}  // namespace howdah::api::postgres
