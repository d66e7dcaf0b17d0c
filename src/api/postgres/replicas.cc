#include "api/postgres/replicas.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/paging.h"
#include "api/postgres/handlers.h"
#include "api/postgres/offer.h"
#include "api/postgres/server_errors.h"
#include "api/postgres/server_source.h"
#include "api/postgres/view.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

// Read replicas: servers that follow another one (docs/guide/replicas.md). Everything that belongs
// to one of them stands in its own record; its source knows nothing of it.

namespace howdah::api::postgres {
namespace {

constexpr std::string_view kRole = "properties.replica.role";
constexpr std::string_view kMode = "properties.replica.promoteMode";

std::string_view promotion_of(const ServerBody::Replica& asked) {
    // What was committed and acknowledged is there, unless somebody says that it may be lost.
    return asked.promote_option == "Forced" ? "forced" : "planned";
}

}  // namespace

bool is_replica(const model::ServerSpec& spec) { return spec.restore && spec.restore->follows; }

Result<std::vector<model::ServerSpec>> replicas_of(const Call& call,
                                                   const model::ResourceId& source) {
    const std::string prefix = store::keys::servers_in(call.subscription());
    const std::string key = source.key();
    std::vector<model::ServerSpec> found;
    store::ListOptions options;
    for (bool more = true; more;) {
        HD_TRY(const auto entries, call.context.store.list(prefix, options));
        for (const store::Entry& entry : entries) {
            // Few of many: only those are parsed that may be one.
            if (entry.value.find(key) == std::string::npos) continue;
            HD_TRY(auto spec, model::from_json<model::ServerSpec>(entry.value));
            if (is_replica(spec) && spec.restore->source_id == key && !spec.deleting)
                found.push_back(std::move(spec));
        }
        more = entries.size() == options.limit;
        if (more) options.after = entries.back().key;
    }
    return found;
}

Status check_may_have_replica(const Call& call, const model::ResourceId& id,
                              const model::ServerSpec& source) {
    const auto refused = [&](std::string what, std::string hint) {
        return Error{ErrorCode::invalid_state, std::move(what), source.id, std::move(hint)};
    };
    if (is_replica(source))
        return refused(fmt::format("the server '{}' is a read replica itself", source.name),
                       "make the replica of its source");
    if (source.deleting || !source.running)
        return refused(fmt::format("the server '{}' does not run", source.name),
                       "start it, and send the request again");
    HD_TRY(const auto replicas, replicas_of(call, id));
    if (replicas.size() < kReplicasMax) return ok_status();
    return refused(
        fmt::format("the server '{}' has {} read replicas already", source.name, kReplicasMax),
        "delete or promote one of them");
}

Status check_has_no_replicas(const Call& call, const model::ResourceId& source) {
    HD_TRY(const auto replicas, replicas_of(call, source));
    if (replicas.empty()) return ok_status();
    return Error{ErrorCode::conflict,
                 fmt::format("the server '{}' has the read replica '{}'", source.name(),
                             replicas.front().name),
                 source.to_string(), "delete or promote its read replicas first"};
}

Status apply_replication(const Call& call, const ServerBody& body, model::ServerSpec& spec) {
    const ServerBody::Replica& asked = body.replica;
    const std::string role = asked.role.value_or(body.replication_role.value_or(""));
    if (!is_replica(spec)) {
        const bool wants_to_follow = role == "AsyncReplica" || role == "GeoAsyncReplica";
        const bool is_promoted = spec.restore && !spec.restore->promotion.empty();
        const bool promotes = asked.promote_mode || asked.promote_option;
        // A promotion may be asked for twice.
        if (!wants_to_follow && (!promotes || is_promoted)) return ok_status();
        const std::string_view field = promotes     ? kMode
                                       : asked.role ? kRole
                                                    : "properties.replicationRole";
        return bad_value(field, fmt::format("the server '{}' is no read replica", spec.name),
                         "create one with createMode 'Replica'");
    }
    const bool is_switchover = asked.promote_mode == "Switchover";
    if (is_switchover || role == "Primary")
        return Error{ErrorCode::not_supported,
                     "to exchange a read replica with its source is not supported yet",
                     std::string(kMode),
                     "promote it with the role 'None' and the mode 'Standalone'"};
    if (role != "None") {
        if (!asked.promote_mode && !asked.promote_option) return ok_status();
        return bad_value(kRole, "a promotion needs the role that the server is to have",
                         "set the role to 'None'");
    }
    spec.restore->follows = false;
    spec.restore->promotion = std::string(promotion_of(asked));
    // Its administrator is the source's, whose password may have been changed meanwhile.
    const auto source = model::ResourceId::parse(spec.restore->source_id);
    const auto own = model::ResourceId::parse(spec.id);
    if (!source.ok() || !own.ok()) return ok_status();
    const auto server = find_server(call, *source);
    if (!server.ok()) return ok_status();
    return take_verifier(call, (*server)->spec, own->key(), spec);
}

Status check_replica_change(const model::ServerSpec& before, const model::ServerSpec& after) {
    if (!is_replica(after)) return ok_status();
    const auto refused = [&](std::string_view field, std::string_view what) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("the server '{}' is a read replica, and its {} its source's",
                                 after.name, what),
                     std::string(field), "change it on the source, or promote the replica first"};
    };
    if (after.password_version != before.password_version)
        return refused("properties.administratorLoginPassword", "administrator is");
    if (after.high_availability_mode != "Disabled")
        return refused("properties.highAvailability.mode", "availability is");
    if (after.version != before.version) return refused("properties.version", "version is");
    if (after.auth.active_directory != before.auth.active_directory)
        return refused("properties.authConfig.activeDirectoryAuth", "administrators are");
    return ok_status();
}

Answer list_replicas(Call& call) {
    const model::ResourceId source = server_id(call);
    HD_CHECK(load_server(call, source));
    HD_TRY(const auto replicas, replicas_of(call, source));
    HD_TRY(const auto offer, call.services.offers.recent());
    Json values = Json::array();
    for (const model::ServerSpec& each : replicas) {
        const auto id = model::ResourceId::parse(each.id);
        if (!id.ok() || !call.may_read("Microsoft.DBforPostgreSQL/flexibleServers", each.id))
            continue;
        // One that was deleted a moment ago is none any more.
        const auto server = find_server(call, *id);
        if (server.ok()) values.push_back(server_json(call, **server, *offer));
    }
    return json_answer(200, list_body(std::move(values)));
}

}  // namespace howdah::api::postgres
