#include "model/json.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <type_traits>

#include "model/json_text.h"

namespace howdah::model {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::pair<ActionKind, std::string_view> kActionKinds[] = {
    {ActionKind::ensure_instance, "ensure_instance"},
    {ActionKind::delete_instance, "delete_instance"},
    {ActionKind::create_database, "create_database"},
    {ActionKind::drop_database, "drop_database"},
    {ActionKind::fail_over, "fail_over"},
    {ActionKind::make_backup, "make_backup"},
    {ActionKind::drop_backup, "drop_backup"},
    {ActionKind::prove_backup, "prove_backup"},
};

// The fields of each record, once; `visit` is a Writer or a Reader.
#define HD_F(name) visit(#name, record.name)

template <typename V>
void fields(V& visit, Failure& record) {
    HD_F(code);
    HD_F(message);
    HD_F(hint);
}
template <typename V>
void fields(V& visit, RestorableSpan& record) {
    HD_F(from);
    HD_F(to);
}
template <typename V>
void fields(V& visit, BackupEntry& record) {
    HD_F(name);
    HD_F(kind);
    HD_F(on_demand);
    HD_F(started_at);
    HD_F(completed_at);
    HD_F(bytes);
    HD_F(repository_bytes);
}
template <typename V>
void fields(V& visit, Proof& record) {
    HD_F(name);
    HD_F(server_id);
    HD_F(incarnation);
    HD_F(host);
    HD_F(host_id);
    HD_F(outcome);
    HD_F(reason);
    HD_F(time);
    HD_F(backup);
    HD_F(started_at);
    HD_F(ended_at);
    HD_F(restore_ms);
    HD_F(check_ms);
    HD_F(databases);
    HD_F(tables);
    HD_F(same);
    HD_F(same_rows);
    HD_F(changed);
    HD_F(unread);
    HD_F(indexes);
    HD_F(unchecked);
    HD_F(different);
    HD_F(damages);
}
template <typename V>
void fields(V& visit, SignedProof& record) {
    HD_F(proof);
    HD_F(token);
}
template <typename V>
void fields(V& visit, BackupReport& record) {
    HD_F(is_unknown);
    HD_F(restorable);
    HD_F(backups);
    HD_F(activity);
    HD_F(trouble);
    HD_F(proofs);
    HD_F(prove_every_s);
}
template <typename V>
void fields(V& visit, BackupSettings& record) {
    HD_F(key);
    HD_F(retention_days);
}
template <typename V>
void fields(V& visit, RestoreSpec& record) {
    HD_F(source_id);
    HD_F(source_incarnation);
    HD_F(time);
    HD_F(key);
    HD_F(follows);
    HD_F(password);
    HD_F(promotion);
}
template <typename V>
void fields(V& visit, WalMark& record) {
    HD_F(segment);
    HD_F(at);
}
template <typename V>
void fields(V& visit, BackupDamage& record) {
    HD_F(label);
    HD_F(pages);
}
template <typename V>
void fields(V& visit, KeptBackups& record) {
    HD_F(marks);
    HD_F(failures);
    HD_F(failed_at);
    HD_F(damages);
    HD_F(proofs);
}
template <typename V>
void fields(V& visit, Subscription& record) {
    HD_F(id);
    HD_F(display_name);
    HD_F(tenant_id);
}
template <typename V>
void fields(V& visit, ResourceGroup& record) {
    HD_F(id);
    HD_F(name);
    HD_F(location);
    HD_F(tags);
    HD_F(managed_by);
    HD_F(deleting);
}
template <typename V>
void fields(V& visit, Sku& record) {
    HD_F(name);
    HD_F(tier);
}
template <typename V>
void fields(V& visit, StorageSpec& record) {
    HD_F(size_gb);
    HD_F(auto_grow);
    HD_F(tier);
    HD_F(iops);
    HD_F(throughput);
    HD_F(type);
}
template <typename V>
void fields(V& visit, BackupSpec& record) {
    HD_F(retention_days);
    HD_F(geo_redundant);
}
template <typename V>
void fields(V& visit, NetworkSpec& record) {
    HD_F(public_access);
}
template <typename V>
void fields(V& visit, AuthSpec& record) {
    HD_F(password);
    HD_F(active_directory);
    HD_F(tenant_id);
}
template <typename V>
void fields(V& visit, MaintenanceWindow& record) {
    HD_F(custom);
    HD_F(day_of_week);
    HD_F(start_hour);
    HD_F(start_minute);
}
template <typename V>
void fields(V& visit, SystemData& record) {
    HD_F(created_by);
    HD_F(created_by_type);
    HD_F(created_at);
    HD_F(last_modified_by);
    HD_F(last_modified_by_type);
    HD_F(last_modified_at);
}
template <typename V>
void fields(V& visit, FirewallRule& record) {
    HD_F(id);
    HD_F(name);
    HD_F(start_ip);
    HD_F(end_ip);
}
template <typename V>
void fields(V& visit, TokenAdministrator& record) {
    HD_F(id);
    HD_F(object_id);
    HD_F(role);
    HD_F(type);
    HD_F(tenant_id);
}
template <typename V>
void fields(V& visit, ServerSpec& record) {
    HD_F(id);
    HD_F(name);
    HD_F(location);
    HD_F(tags);
    HD_F(sku);
    HD_F(version);
    HD_F(administrator_login);
    HD_F(sealed_verifier);
    HD_F(password_version);
    HD_F(storage);
    HD_F(backup);
    HD_F(network);
    HD_F(auth);
    HD_F(maintenance);
    HD_F(availability_zone);
    HD_F(high_availability_mode);
    HD_F(standby_availability_zone);
    HD_F(system_data);
    HD_F(parameters);
    HD_F(parameter_spellings);
    HD_F(firewall_rules);
    HD_F(token_administrators);
    HD_F(running);
    HD_F(restart_sequence);
    HD_F(deleting);
    HD_F(restore);
    HD_F(incarnation);
    HD_F(generation);
}
template <typename V>
void fields(V& visit, DatabaseSpec& record) {
    HD_F(id);
    HD_F(name);
    HD_F(charset);
    HD_F(collation);
    HD_F(operation_id);
}
template <typename V>
void fields(V& visit, Condition& record) {
    HD_F(type);
    HD_F(status);
    HD_F(reason);
    HD_F(message);
    HD_F(last_transition_time);
    HD_F(observed_generation);
}
template <typename V>
void fields(V& visit, DatabaseStatus& record) {
    HD_F(name);
    HD_F(charset);
    HD_F(collation);
}
template <typename V>
void fields(V& visit, LeavingMember& record) {
    HD_F(host);
    HD_F(retries);
    HD_F(retry_at);
}
template <typename V>
void fields(V& visit, MembersStatus& record) {
    HD_F(term);
    HD_F(is_built);
    HD_F(leaving);
    HD_F(generation);
    HD_F(ensured);
    HD_F(is_primary_done);
    HD_F(attempts);
    HD_F(standby_retries);
    HD_F(standby_retry_at);
}
template <typename V>
void fields(V& visit, ReplicaReport& record) {
    HD_F(is_streaming);
    HD_F(lag_bytes);
    HD_F(lag_s);
}
template <typename V>
void fields(V& visit, ProofStatus& record) {
    HD_F(outcome);
    HD_F(message);
    HD_F(at);
    HD_F(good_until);
}
template <typename V>
void fields(V& visit, ServerStatus& record) {
    HD_F(server_id);
    HD_F(incarnation);
    HD_F(observed_generation);
    HD_F(term);
    HD_F(state);
    HD_F(host);
    HD_F(standby_host);
    HD_F(high_availability_state);
    HD_F(members);
    HD_F(port);
    HD_F(minor_version);
    HD_F(restorable);
    HD_F(backup_trouble);
    HD_F(proof);
    HD_F(replica);
    HD_F(databases);
    HD_F(pending_restart);
    HD_F(failure);
    HD_F(failed_generation);
    HD_F(retry_generation);
    HD_F(retries);
    HD_F(retry_at);
    HD_F(conditions);
}
template <typename V>
void fields(V& visit, DroppedServer& record) {
    HD_F(spec);
    HD_F(restorable);
    HD_F(host);
    HD_F(dropped_at);
}
template <typename V>
void fields(V& visit, ServerRevisions& record) {
    HD_F(specs);
}
template <typename V>
void fields(V& visit, Operation& record) {
    HD_F(id);
    HD_F(kind);
    HD_F(subscription);
    HD_F(location);
    HD_F(resource_id);
    HD_F(server_key);
    HD_F(incarnation);
    HD_F(generation);
    HD_F(action_id);
    HD_F(status);
    HD_F(progress);
    HD_F(start_time);
    HD_F(end_time);
    HD_F(failure);
    HD_F(retries);
    HD_F(retry_at);
    HD_F(failover);
    HD_F(restore_time);
    HD_F(requested_by);
    HD_F(requester_name);
    HD_F(correlation_id);
    HD_F(operation_name);
    HD_F(database);
}
template <typename V>
void fields(V& visit, TlsMaterial& record) {
    HD_F(certificate_pem);
    HD_F(key_pem);
    HD_F(ca_pem);
}
template <typename V>
void fields(V& visit, InstanceSpec& record) {
    HD_F(server_id);
    HD_F(server_name);
    HD_F(incarnation);
    HD_F(generation);
    HD_F(major);
    HD_F(administrator_login);
    HD_F(administrator_verifier);
    HD_F(password_version);
    HD_F(running);
    HD_F(restart_sequence);
    HD_F(sku);
    HD_F(vcores);
    HD_F(memory_mb);
    HD_F(iops);
    HD_F(storage_gb);
    HD_F(parameters);
    HD_F(tls);
    HD_F(backup);
    HD_F(replica_password);
    HD_F(restore);
    HD_F(host_names);
    HD_F(port);
    HD_F(public_access);
    HD_F(firewall_rules);
    HD_F(password_logins);
    HD_F(token_logins);
    HD_F(token_administrators);
    HD_F(member_hosts);
    HD_F(is_founder);
}
template <typename V>
void fields(V& visit, Action& record) {
    HD_F(id);
    HD_F(host);
    HD_F(server_id);
    HD_F(incarnation);
    HD_F(kind);
    HD_F(term);
    HD_F(generation);
    HD_F(instance);
    HD_F(database);
    HD_F(failover);
    HD_F(backup);
    HD_F(restore_time);
}
template <typename V>
void fields(V& visit, ActionResult& record) {
    HD_F(action_id);
    HD_F(server_id);
    HD_F(incarnation);
    HD_F(kind);
    HD_F(generation);
    HD_F(failure);
    HD_F(host);
    HD_F(as_primary);
}
template <typename V>
void fields(V& visit, LogFile& record) {
    HD_F(name);
    HD_F(bytes);
    HD_F(created);
    HD_F(modified);
}
template <typename V>
void fields(V& visit, MemberReport& record) {
    HD_F(role);
    HD_F(term);
    HD_F(primary_host);
    HD_F(sync_hosts);
    HD_F(serves);
}
template <typename V>
void fields(V& visit, FailoverStep& record) {
    HD_F(at_ms);
    HD_F(kind);
    HD_F(rule);
    HD_F(text);
    HD_F(position);
}
template <typename V>
void fields(V& visit, FailoverPart& record) {
    HD_F(term);
    HD_F(host);
    HD_F(old_primary);
    HD_F(new_primary);
    HD_F(is_over);
    HD_F(was_in_sync_set);
    HD_F(received);
    HD_F(switched_at);
    HD_F(discarded_bytes);
    HD_F(kept_at);
    HD_F(steps);
}
template <typename V>
void fields(V& visit, FailoverParts& record) {
    HD_F(parts);
}
template <typename V>
void fields(V& visit, FailoverRecord& record) {
    HD_F(term);
    HD_F(incarnation);
    HD_F(drill);
    HD_F(parts);
}
template <typename V>
void fields(V& visit, Drill& record) {
    HD_F(name);
    HD_F(incarnation);
    HD_F(kind);
    HD_F(window);
    HD_F(requested_by);
    HD_F(requester_name);
    HD_F(operation_id);
    HD_F(status);
    HD_F(started_at);
    HD_F(ended_at);
    HD_F(failure_code);
    HD_F(failure_message);
    HD_F(term_before);
    HD_F(term);
    HD_F(writes_out_ms);
}
template <typename V>
void fields(V& visit, DrillSchedule& record) {
    HD_F(incarnation);
    HD_F(recurrence);
    HD_F(kind);
    HD_F(set_by);
    HD_F(setter_name);
    HD_F(set_at);
    HD_F(handled_until);
}
template <typename V>
void fields(V& visit, InstanceReport& record) {
    HD_F(server_id);
    HD_F(incarnation);
    HD_F(host);
    HD_F(term);
    HD_F(observed_generation);
    HD_F(state);
    HD_F(detail);
    HD_F(postmaster_pid);
    HD_F(backend_port);
    HD_F(minor_version);
    HD_F(databases);
    HD_F(pending_restart);
    HD_F(logs);
    HD_F(member);
    HD_F(backups);
    HD_F(replica);
    HD_F(failovers);
}
template <typename V>
void fields(V& visit, ParameterInfo& record) {
    HD_F(name);
    HD_F(type);
    HD_F(unit);
    HD_F(minimum);
    HD_F(maximum);
    HD_F(allowed);
    HD_F(boot_value);
    HD_F(context);
    HD_F(category);
    HD_F(description);
}
template <typename V>
void fields(V& visit, Engine& record) {
    HD_F(major);
    HD_F(version);
    HD_F(parameters);
    HD_F(extensions);
    HD_F(collations);
    HD_F(collation_version);
}
template <typename V>
void fields(V& visit, Capability& record) {
    HD_F(name);
    HD_F(available);
    HD_F(reason);
}
template <typename V>
void fields(V& visit, HostReport& record) {
    HD_F(host);
    HD_F(name);
    HD_F(zone);
    HD_F(address);
    HD_F(gateway_port);
    HD_F(pooler_port);
    HD_F(cpus);
    HD_F(memory_mb);
    HD_F(disk_gb);
    HD_F(disk_free_gb);
    HD_F(engines);
    HD_F(capabilities);
}
template <typename V>
void fields(V& visit, TokenKey& record) {
    HD_F(id);
    HD_F(public_key_pem);
}
template <typename V>
void fields(V& visit, TokenTrust& record) {
    HD_F(version);
    HD_F(issuer);
    HD_F(tenant_id);
    HD_F(keys);
}
template <typename V>
void fields(V& visit, PollRequest& record) {
    HD_F(host);
    HD_F(epoch);
    HD_F(host_report);
    HD_F(reports);
    HD_F(results);
    HD_F(running);
    HD_F(wait_ms);
    HD_F(token_trust);
}
template <typename V>
void fields(V& visit, LogRequest& record) {
    HD_F(id);
    HD_F(incarnation);
    HD_F(name);
    HD_F(offset);
}
template <typename V>
void fields(V& visit, LogReply& record) {
    HD_F(wanted);
    HD_F(offset);
}
template <typename V>
void fields(V& visit, PollResponse& record) {
    HD_F(actions);
    HD_F(acknowledged);
    HD_F(want_host_report);
    HD_F(logs);
    HD_F(token_trust);
}
template <typename V>
void fields(V& visit, RoutePooling& record) {
    HD_F(tls_path);
    HD_F(socket_folder);
    HD_F(settings);
}
template <typename V>
void fields(V& visit, Route& record) {
    HD_F(server_id);
    HD_F(server_name);
    HD_F(host_names);
    HD_F(port);
    HD_F(state);
    HD_F(reason);
    HD_F(backend_address);
    HD_F(backend_port);
    HD_F(postmaster_pid);
    HD_F(major);
    HD_F(require_tls);
    HD_F(public_access);
    HD_F(firewall_rules);
    HD_F(term);
    HD_F(pooling);
}
template <typename V>
void fields(V& visit, RouteTable& record) {
    HD_F(revision);
    HD_F(routes);
}
template <typename V>
void fields(V& visit, AgentNotice& record) {
    HD_F(host);
    HD_F(address);
    HD_F(gateway_source);
    HD_F(routes);
}
template <typename V>
void fields(V& visit, AgentNotices& record) {
    HD_F(notices);
}
template <typename V>
void fields(V& visit, HostInvitation& record) {
    HD_F(name);
    HD_F(zone);
    HD_F(expires_at);
}
template <typename V>
void fields(V& visit, JoinTicket& record) {
    HD_F(api_url);
    HD_F(ca);
    HD_F(token);
}
template <typename V>
void fields(V& visit, JoinRequest& record) {
    HD_F(token);
}
template <typename V>
void fields(V& visit, JoinedHost& record) {
    HD_F(host);
    HD_F(name);
    HD_F(zone);
    HD_F(agent_url);
    HD_F(ca);
    HD_F(certificate);
    HD_F(key);
    HD_F(etcd_endpoints);
    HD_F(etcd_ca);
    HD_F(etcd_certificate);
    HD_F(etcd_key);
    HD_F(address);
    HD_F(gateway_source);
}
template <typename V>
void fields(V& visit, AgentCertificate& record) {
    HD_F(certificate);
    HD_F(key);
}
template <typename V>
void fields(V& visit, GatewayPort& record) {
    HD_F(port);
    HD_F(server_id);
    HD_F(error);
}
template <typename V>
void fields(V& visit, GatewayStatus& record) {
    HD_F(pid);
    HD_F(address);
    HD_F(port);
    HD_F(requested_port);
    HD_F(admin);
    HD_F(ports);
}
template <typename V>
void fields(V& visit, GatewayRefusals& record) {
    HD_F(reason);
    HD_F(count);
}
template <typename V>
void fields(V& visit, GatewayServerStats& record) {
    HD_F(server_id);
    HD_F(server_name);
    HD_F(state);
    HD_F(accepted);
    HD_F(active);
    HD_F(held);
    HD_F(held_total);
    HD_F(held_ms);
    HD_F(cancels);
    HD_F(bytes_in);
    HD_F(bytes_out);
    HD_F(refused);
}
template <typename V>
void fields(V& visit, HaMemberId& record) {
    HD_F(node);
    HD_F(directory);
}
template <typename V>
void fields(V& visit, HaSwitch& record) {
    HD_F(term);
    HD_F(at);
}
template <typename V>
void fields(V& visit, HaRecord& record) {
    HD_F(term);
    HD_F(primary);
    HD_F(sync_set);
    HD_F(timelines);
    HD_F(successor);
    HD_F(given_up);
    HD_F(wants_standby);
}
template <typename V>
void fields(V& visit, HaAddress& record) {
    HD_F(host);
    HD_F(port);
}
template <typename V>
void fields(V& visit, HaMemberState& record) {
    HD_F(directory);
    HD_F(timelines);
    HD_F(was_primary);
    HD_F(promoting);
    HD_F(promoting_from);
    HD_F(known);
    HD_F(known_revision);
    HD_F(doubt_base);
    HD_F(doubt_names);
    HD_F(proved_pid);
    HD_F(proved_ticks);
    HD_F(proved_names);
}
template <typename V>
void fields(V& visit, GatewayTable& record) {
    HD_F(path);
    HD_F(revision);
    HD_F(error);
}
template <typename V>
void fields(V& visit, GatewayStats& record) {
    HD_F(pid);
    HD_F(upgrades);
    HD_F(table_revision);
    HD_F(table_error);
    HD_F(tables);
    HD_F(sessions);
    HD_F(sessions_max);
    HD_F(log_lines_dropped);
    HD_F(draining);
    HD_F(ports);
    HD_F(servers);
    HD_F(refused);
}
template <typename V>
void fields(V& visit, GatewaySession& record) {
    HD_F(server_id);
    HD_F(client_address);
    HD_F(client_port);
    HD_F(backend_port);
    HD_F(phase);
    HD_F(tls);
    HD_F(age_ms);
    HD_F(bytes_in);
    HD_F(bytes_out);
}

template <typename V>
void fields(V& visit, InstanceState& record) {
    HD_F(spec);
    HD_F(previous);
    HD_F(observed_generation);
    HD_F(term);
    HD_F(os_user);
    HD_F(backend_port);
    HD_F(password_version);
    HD_F(restart_token);
    HD_F(minor_version);
    HD_F(deleting);
    HD_F(restart_begun);
    HD_F(restart_pid);
    HD_F(restart_ticks);
    HD_F(parameters_in_force);
    HD_F(token_administrators);
    HD_F(are_token_administrators_known);
    HD_F(is_restored);
    HD_F(is_replica);
    HD_F(has_replica_role);
    HD_F(upstream_address);
    HD_F(upstream_port);
    HD_F(is_member);
    HD_F(member_term);
}
template <typename V>
void fields(V& visit, AgentJournal& record) {
    HD_F(results);
}

template <typename V>
void fields(V& visit, RoleDefinition& record) {
    HD_F(id);
    HD_F(name);
    HD_F(description);
    HD_F(actions);
    HD_F(not_actions);
    HD_F(assignable_scopes);
    HD_F(created_by);
    HD_F(created_on);
    HD_F(updated_by);
    HD_F(updated_on);
}
template <typename V>
void fields(V& visit, RoleAssignment& record) {
    HD_F(id);
    HD_F(scope);
    HD_F(role_id);
    HD_F(principal_id);
    HD_F(principal_type);
    HD_F(description);
    HD_F(created_by);
    HD_F(created_on);
    HD_F(updated_by);
    HD_F(updated_on);
}
template <typename V>
void fields(V& visit, ManagementLock& record) {
    HD_F(scope);
    HD_F(name);
    HD_F(level);
    HD_F(notes);
    HD_F(owners);
}
template <typename V>
void fields(V& visit, ActivityEvent& record) {
    HD_F(id);
    HD_F(time);
    HD_F(subscription);
    HD_F(correlation_id);
    HD_F(operation_name);
    HD_F(operation_id);
    HD_F(resource_id);
    HD_F(caller);
    HD_F(caller_object_id);
    HD_F(status);
    HD_F(http_status);
    HD_F(http_method);
    HD_F(client_address);
    HD_F(client_request_id);
    HD_F(error_code);
    HD_F(message);
}

template <typename V>
void fields(V& visit, DeploymentStep& record) {
    HD_F(operation_id);
    HD_F(id);
    HD_F(type);
    HD_F(name);
    HD_F(state);
    HD_F(follow);
    HD_F(attempts);
    HD_F(http_status);
    HD_F(started_at);
    HD_F(ended_at);
    HD_F(error);
}
template <typename V>
void fields(V& visit, Deployment& record) {
    HD_F(subscription);
    HD_F(resource_group);
    HD_F(name);
    HD_F(location);
    HD_F(tags);
    HD_F(mode);
    HD_F(state);
    HD_F(operation_id);
    HD_F(correlation_id);
    HD_F(caller_object_id);
    HD_F(caller_app_id);
    HD_F(caller_name);
    HD_F(started_at);
    HD_F(changed_at);
    HD_F(ended_at);
    HD_F(depth);
    HD_F(parent);
    HD_F(cancelling);
    HD_F(template_hash);
    HD_F(parameters);
    HD_F(outputs);
    HD_F(providers);
    HD_F(dependencies);
    HD_F(error);
    HD_F(steps);
}

#undef HD_F

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
using TextMap = std::map<std::string, std::string>;

/// Builds a JSON object from a record's fields.
class Writer {
  public:
    template <typename T>
    static Json encode(T& value) {
        using Type = std::remove_cv_t<T>;
        if constexpr (std::is_same_v<Type, std::string> || std::is_same_v<Type, bool> ||
                      std::is_same_v<Type, std::int64_t> || std::is_same_v<Type, TextMap>) {
            return value;
        } else if constexpr (std::is_same_v<Type, ActionKind>) {
            return kActionKinds[static_cast<int>(value)].second;
        } else if constexpr (IsVector<Type>::value) {
            Json array = Json::array();
            for (auto& each : value) array.push_back(encode(each));
            return array;
        } else {
            Writer writer;
            fields(writer, value);
            return std::move(writer.out_);
        }
    }

    template <typename T>
    void operator()(const char* name, T& value) {
        if constexpr (IsOptional<T>::value) {
            if (value.has_value()) out_[name] = encode(*value);
        } else if constexpr (std::is_same_v<T, std::string> || IsVector<T>::value ||
                             std::is_same_v<T, TextMap>) {
            if (!value.empty()) out_[name] = encode(value);
        } else {
            out_[name] = encode(value);
        }
    }

  private:
    Json out_ = Json::object();
};

/// Fills a record from a JSON object; keeps the first problem.
class Reader {
  public:
    Reader(const Json& in, std::string path, std::optional<Error>& problem)
        : in_(in), path_(std::move(path)), problem_(problem) {}

    template <typename T>
    static void decode(const Json& in, const std::string& path, T& value,
                       std::optional<Error>& problem) {
        if constexpr (std::is_same_v<T, std::string>) {
            if (in.is_string())
                value = in.get_ref<const std::string&>();
            else
                wrong(path, "a string", problem);
        } else if constexpr (std::is_same_v<T, bool>) {
            if (in.is_boolean())
                value = in.get<bool>();
            else
                wrong(path, "true or false", problem);
        } else if constexpr (std::is_same_v<T, std::int64_t>) {
            if (in.is_number_integer())
                value = in.get<std::int64_t>();
            else
                wrong(path, "a whole number", problem);
        } else if constexpr (std::is_same_v<T, ActionKind>) {
            decode_kind(in, path, value, problem);
        } else if constexpr (std::is_same_v<T, TextMap>) {
            if (!in.is_object()) return wrong(path, "an object", problem);
            for (const auto& [key, each] : in.items()) {
                std::string text;
                decode(each, path + "." + key, text, problem);
                value[key] = std::move(text);
            }
        } else if constexpr (IsVector<T>::value) {
            if (!in.is_array()) return wrong(path, "an array", problem);
            for (const Json& each : in) {
                typename T::value_type element{};
                decode(each, fmt::format("{}[{}]", path, value.size()), element, problem);
                value.push_back(std::move(element));
            }
        } else if constexpr (IsOptional<T>::value) {
            value.emplace();
            decode(in, path, *value, problem);
        } else {
            if (!in.is_object()) return wrong(path, "an object", problem);
            Reader reader(in, path, problem);
            fields(reader, value);
        }
    }

    template <typename T>
    void operator()(const char* name, T& value) {
        const auto found = in_.find(name);
        if (found == in_.end() || found->is_null()) return;
        decode(*found, path_.empty() ? name : path_ + "." + name, value, problem_);
    }

  private:
    static void wrong(const std::string& path, const char* wanted, std::optional<Error>& problem) {
        if (problem) return;
        problem =
            Error{ErrorCode::corrupt,
                  fmt::format("{}: must be {}", path.empty() ? "the record" : path, wanted), path};
    }
    static void decode_kind(const Json& in, const std::string& path, ActionKind& value,
                            std::optional<Error>& problem) {
        for (const auto& [kind, name] : kActionKinds) {
            if (in.is_string() && in.get_ref<const std::string&>() == name) {
                value = kind;
                return;
            }
        }
        wrong(path, "the kind of an action", problem);
    }

    const Json& in_;
    std::string path_;
    std::optional<Error>& problem_;
};

}  // namespace

template <typename Record>
std::string to_json(const Record& record) {
    // Invalid UTF-8 cannot come from our own records; it is replaced rather than thrown over.
    return Writer::encode(
               const_cast<Record&>(record))  // NOLINT: `fields` serves reading and writing
        .dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <typename Record>
Result<Record> from_json(std::string_view text) {
    HD_TRY(const Json parsed, parse_json_text<Json>(text, kJsonDepthMax, "the text"));
    Record record{};
    std::optional<Error> problem;
    Reader::decode(parsed, "", record, problem);
    if (problem) return *problem;
    return record;
}

#define HD_RECORD(Type)                              \
    template std::string to_json<Type>(const Type&); \
    template Result<Type> from_json<Type>(std::string_view);

HD_RECORD(Failure)
HD_RECORD(RoleDefinition)
HD_RECORD(RoleAssignment)
HD_RECORD(ManagementLock)
HD_RECORD(ActivityEvent)
HD_RECORD(Deployment)
HD_RECORD(Subscription)
HD_RECORD(ResourceGroup)
HD_RECORD(FirewallRule)
HD_RECORD(ServerSpec)
HD_RECORD(DatabaseSpec)
HD_RECORD(DatabaseStatus)
HD_RECORD(ServerStatus)
HD_RECORD(ServerRevisions)
HD_RECORD(DroppedServer)
HD_RECORD(Operation)
HD_RECORD(TlsMaterial)
HD_RECORD(InstanceSpec)
HD_RECORD(Action)
HD_RECORD(ActionResult)
HD_RECORD(InstanceReport)
HD_RECORD(Engine)
HD_RECORD(InstanceState)
HD_RECORD(AgentJournal)
HD_RECORD(HostReport)
HD_RECORD(TokenTrust)
HD_RECORD(PollRequest)
HD_RECORD(PollResponse)
HD_RECORD(LogReply)
HD_RECORD(Route)
HD_RECORD(RouteTable)
HD_RECORD(AgentNotice)
HD_RECORD(AgentNotices)
HD_RECORD(HostInvitation)
HD_RECORD(JoinTicket)
HD_RECORD(JoinRequest)
HD_RECORD(JoinedHost)
HD_RECORD(AgentCertificate)
HD_RECORD(GatewayStatus)
HD_RECORD(GatewayStats)
HD_RECORD(KeptBackups)
HD_RECORD(Proof)
HD_RECORD(HaRecord)
HD_RECORD(HaAddress)
HD_RECORD(HaMemberState)
HD_RECORD(GatewaySession)
HD_RECORD(FailoverParts)
HD_RECORD(FailoverRecord)
HD_RECORD(Drill)
HD_RECORD(DrillSchedule)

}  // namespace howdah::model
