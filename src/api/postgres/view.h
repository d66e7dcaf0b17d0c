#pragma once

#include <memory>
#include <optional>
#include <string>

#include "api/call.h"
#include "api/postgres/offer.h"
#include "model/records.h"
#include "model/resource_id.h"

/// How records look in answers: the one place where api-versions differ for resources.
namespace howdah::api::postgres {

/// A server as the store has it.
struct ServerRecord {
    model::ServerSpec spec;
    store::Revision modified = 0;
    /// Of this life of the server; none if control has not written one yet.
    std::optional<model::ServerStatus> status;
    store::Revision status_modified = 0;  ///< 0: there is none
};
using SharedServer = std::shared_ptr<const ServerRecord>;

/// The id of the server that the path names.
model::ResourceId server_id(const Call& call);

/// Errors: resource_group_not_found, not_found (in Azure's words).
Result<SharedServer> find_server(const Call& call, const model::ResourceId& id);
/// The same, to be changed.
Result<ServerRecord> load_server(const Call& call, const model::ResourceId& id);
Error server_not_found(const model::ResourceId& id);
/// What answers for a child that is not there.
Error child_not_found(const model::ResourceId& id);
/// ErrorCode::resource_group_not_found unless there is such a group.
Result<model::ResourceGroup> load_group(const Call& call, const model::ResourceId& id);
/// What answers while the group is on its way out.
Error group_being_deleted(const model::ResourceGroup& group);

/// The status that belongs to this life of the server.
std::optional<model::ServerStatus> status_of(const model::ServerSpec& spec,
                                             std::optional<model::ServerStatus> status);

/// Our words begin with a capital letter in answers: "planned" -> "Planned".
std::string as_word(std::string text);

/// Ready, Updating, Dropping...: Azure's word for the state of a server.
std::string state_of(const ServerRecord& server);

Json server_json(const Call& call, const ServerRecord& server, const Offer& offer);
Json firewall_rule_json(const model::ResourceId& server, const model::FirewallRule& rule);
Json database_json(const model::ResourceId& server, const std::string& name,
                   const std::string& charset, const std::string& collation);

}  // namespace howdah::api::postgres
