#pragma once

#include "api/call.h"

/// The operations of Microsoft.DBforPostgreSQL, named as their routes.
namespace howdah::api::postgres {

// servers.cc
Answer put_server(Call& call);
Answer get_server(Call& call);
Answer patch_server(Call& call);
Answer delete_server(Call& call);
Answer list_servers_in_group(Call& call);
Answer list_servers_in_subscription(Call& call);

// server_actions.cc
Answer start_server(Call& call);
Answer stop_server(Call& call);
Answer restart_server(Call& call);

// failovers.cc
Answer list_failovers(Call& call);
Answer get_failover(Call& call);

// drills.cc
Answer drill_failover(Call& call);
Answer list_drills(Call& call);
Answer get_drill(Call& call);
Answer list_drill_schedules(Call& call);
Answer put_drill_schedule(Call& call);
Answer get_drill_schedule(Call& call);
Answer delete_drill_schedule(Call& call);

// databases.cc
Answer put_database(Call& call);
Answer get_database(Call& call);
Answer delete_database(Call& call);
Answer list_databases(Call& call);

// firewall_rules.cc
Answer put_firewall_rule(Call& call);
Answer get_firewall_rule(Call& call);
Answer delete_firewall_rule(Call& call);
Answer list_firewall_rules(Call& call);

// administrators.cc
Answer put_administrator(Call& call);
Answer get_administrator(Call& call);
Answer delete_administrator(Call& call);
Answer list_administrators(Call& call);

// configurations.cc
Answer list_configurations(Call& call);
Answer get_configuration(Call& call);
Answer put_configuration(Call& call);

// capabilities.cc
Answer list_capabilities_by_location(Call& call);
Answer list_capabilities_by_server(Call& call);

// backups.cc
Answer list_backups(Call& call);
Answer get_backup(Call& call);
Answer put_backup(Call& call);
Answer delete_backup(Call& call);
Answer prove_backups(Call& call);
Answer list_proofs(Call& call);
Answer list_replicas(Call& call);
Answer get_proof(Call& call);

// log_files.cc
Answer list_log_files(Call& call);

// names.cc
Answer check_name_globally(Call& call);
Answer check_name_with_location(Call& call);
Answer list_operations(Call& call);

// locations.cc
Answer list_quota_usages(Call& call);
Answer get_private_dns_zone_suffix(Call& call);

// not_there.cc
Answer list_nothing(Call& call);
Answer get_nothing(Call& call);
Answer list_subnet_usage(Call& call);

// async_operations.cc
Answer get_async_operation(Call& call);
Answer get_operation_result(Call& call);
/// Answers the GET of a server or of something in it, for a request about something else; not_found
/// for what is not there, or of an unknown type. Rights are not looked at.
Answer get_by_id(const Call& call, const model::ResourceId& id);

}  // namespace howdah::api::postgres
