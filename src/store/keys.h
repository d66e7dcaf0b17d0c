#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "model/resource_id.h"

/// Where each record lives in the store. Ids are in their lower-case form (ResourceId::key()).
///
///   /meta/...                                       small facts: tenant, schema notes
///   /subscription/{id}                              model::Subscription
///   /group/{group id}                               model::ResourceGroup
///   /server/{server id}                             model::ServerSpec       written by api, taken
///   back by control /status/{server id}                             model::ServerStatus written by
///   control /revisions/{server id}                          model::ServerRevisions  written by
///   control /database/{database id}                         model::DatabaseSpec     written by api
///   /operation/{uuid}                               model::Operation
///   /pending/{server id}/{operation uuid}           ""  operations of a server that have not ended
///   /action/{host}/{action id}                      model::Action           written by control
///   /host/{host}                                    model::HostReport       written by the fleet
///   /report/{server id}|{host}                      model::InstanceReport   written by the fleet
///   /result/{server id}/{action id}                 model::ActionResult     written by the fleet
///   /failover/{server id}|{term}                    model::FailoverRecord   written by the fleet;
///                                                   its mark of a drill by control
///   /drill/{server id}|{name}                       model::Drill            begun by api or
///                                                   control, ended by control
///   /drill-schedule/{server id}                     model::DrillSchedule    written by api, moved
///   on
///                                                   by control
///   /name/{server name}                             server id: names are unique across everything
///   /port/{number}                                  server id: own ports of servers
///   /principal/{client id}                          a service principal
///   /session/{client id}/{session id}               a login with a refresh token, see api/auth
///   /issuer-keys/{id}                              public keys of a trusted issuer, see api/auth
///   /role/{role id}                                 model::RoleDefinition of a customer
///   /assignment/{principal}/{assignment id}         model::RoleAssignment
///   /lock/{scope}|{name}                            model::ManagementLock
///   /activity/{inverted time}/{event id}            model::ActivityEvent, newest first
///   /refusal/{time}/{event id}                      ""  of the activity log: what was refused for
///                                                   want of a role, oldest first
///   /deployment/{scope}|{name}                      model::Deployment
///   /running-deployment/{scope}|{name}              ""  those that have not ended
///   /deployment-template/{scope}|{name}             sealed: template, parameters and scope
///   /secret/{name}                                  sealed by SecretBox
///   /secret/tls/{server id}                         sealed model::TlsMaterial of a server
///   /ended/{end time}/{operation uuid}              ""  operations that have ended, oldest first
///   /silent/{host}                                  since when a host has not been heard of
///   /invitation/{uuid}                              model::HostInvitation   written by control
///   /gone/{incarnation}                             when this life of a server was deleted
///   /dropped/{server id}/{incarnation}              model::DroppedServer
///
/// A group's own operations are pending under the group's id.
namespace howdah::store::keys {

std::string subscription(std::string_view id);
std::string group(const model::ResourceId& id);
std::string server(const model::ResourceId& id);
std::string status(std::string_view server_key);
std::string revisions(std::string_view server_key);
std::string database(const model::ResourceId& id);
std::string databases_of(std::string_view server_key);  ///< prefix
std::string operation(std::string_view id);
std::string pending(std::string_view server_key, std::string_view operation_id);
std::string pending_of(std::string_view server_key);  ///< prefix
std::string action(std::string_view host, std::string_view action_id);
std::string actions_of(std::string_view host);  ///< prefix
std::string host(std::string_view host);
std::string report(std::string_view server_key, std::string_view host);
std::string reports_of(std::string_view server_key);  ///< prefix
/// Where older versions kept the only report of a server; nobody reads it.
std::string old_report(std::string_view server_key);
std::string result(std::string_view server_key, std::string_view action_id);
std::string results_of(std::string_view server_key);  ///< prefix
/// Terms have as many digits as they need to be in order.
std::string failover(std::string_view server_key, std::int64_t term);
std::string failovers_of(std::string_view server_key);  ///< prefix
std::string drill(std::string_view server_key, std::string_view name);
std::string drills_of(std::string_view server_key);  ///< prefix
std::string drill_schedule(std::string_view server_key);
std::string server_name(std::string_view name);
std::string port(std::int64_t port);
std::string principal(std::string_view client_id);
std::string session(std::string_view client_id, std::string_view session_id);
std::string sessions_of(std::string_view client_id);  ///< prefix
std::string secret(std::string_view name);
std::string issuer_keys(std::string_view id);
std::string server_tls(std::string_view server_key);
std::string ended(std::string_view end_time, std::string_view operation_id);
std::string silent(std::string_view host);
std::string invitation(std::string_view id);
std::string gone(std::string_view incarnation);
std::string dropped(std::string_view server_key, std::string_view incarnation);
/// Prefix of all lives that a server of this id had.
std::string dropped_lives(std::string_view server_key);
std::string role(std::string_view role_id);
std::string assignment(std::string_view principal_id, std::string_view assignment_id);
std::string assignments_of(std::string_view principal_id);  ///< prefix
std::string lock(std::string_view scope, std::string_view name);
std::string activity(std::string_view time, std::string_view event_id);
std::string refusal(std::string_view time, std::string_view event_id);
/// Less than the key of every event at or before `time`, greater than that of every later one.
std::string activity_at(std::string_view time);

/// `scope`: the id of a subscription or a group.
std::string deployments_in(std::string_view scope);  ///< prefix
std::string deployment(std::string_view scope, std::string_view name);
std::string running_deployment(std::string_view scope, std::string_view name);
std::string deployment_template(std::string_view scope, std::string_view name);

/// Not a key: the name under which SecretBox seals ServerSpec::sealed_verifier.
std::string seal_name_of_verifier(std::string_view server_key);

/// Prefix of all servers of a subscription, or of a group. Ends with '/'.
std::string servers_in(std::string_view subscription, std::string_view resource_group = {});

}  // namespace howdah::store::keys
