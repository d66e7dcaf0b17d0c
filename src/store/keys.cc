#include "store/keys.h"

#include <fmt/core.h>

#include "base/text.h"

namespace howdah::store::keys {
namespace {

/// Ids begin with a slash, plain names do not: "/server" + "/subscriptions/...", "/host/" + "a".
std::string with_id(std::string_view family, std::string_view id) {
    std::string key(family);
    if (!id.starts_with('/')) key += '/';
    key += to_lower(id);
    return key;
}

/// Hosts and actions have ids of ours, which are kept as they are.
std::string with_name(std::string_view family, std::string_view name) {
    return std::string(family) + "/" + std::string(name);
}

}  // namespace

std::string subscription(std::string_view id) { return with_id("/subscription", id); }
std::string group(const model::ResourceId& id) { return with_id("/group", id.key()); }
std::string server(const model::ResourceId& id) { return with_id("/server", id.key()); }
std::string status(std::string_view server_key) { return with_id("/status", server_key); }
std::string revisions(std::string_view server_key) { return with_id("/revisions", server_key); }
std::string database(const model::ResourceId& id) { return with_id("/database", id.key()); }
std::string databases_of(std::string_view server_key) {
    return with_id("/database", server_key) + "/databases/";
}
std::string operation(std::string_view id) { return with_id("/operation", id); }
std::string pending_of(std::string_view server_key) {
    return with_id("/pending", server_key) + "/";
}
std::string pending(std::string_view server_key, std::string_view operation_id) {
    return pending_of(server_key) + to_lower(operation_id);
}
std::string ended(std::string_view end_time, std::string_view operation_id) {
    return "/ended/" + std::string(end_time) + "/" + to_lower(operation_id);
}
std::string actions_of(std::string_view host) { return with_name("/action", host) + "/"; }
std::string action(std::string_view host, std::string_view action_id) {
    return actions_of(host) + std::string(action_id);
}
std::string host(std::string_view host) { return with_name("/host", host); }
std::string silent(std::string_view host) { return with_name("/silent", host); }
std::string invitation(std::string_view id) { return with_name("/invitation", id); }
std::string old_report(std::string_view server_key) { return with_id("/report", server_key); }
std::string reports_of(std::string_view server_key) { return old_report(server_key) + "|"; }
std::string report(std::string_view server_key, std::string_view host) {
    return reports_of(server_key) + std::string(host);
}
std::string results_of(std::string_view server_key) { return with_id("/result", server_key) + "/"; }
std::string result(std::string_view server_key, std::string_view action_id) {
    return results_of(server_key) + std::string(action_id);
}
std::string failovers_of(std::string_view server_key) {
    return with_id("/failover", server_key) + "|";
}
std::string failover(std::string_view server_key, std::int64_t term) {
    return failovers_of(server_key) + fmt::format("{:019}", term);
}
std::string drills_of(std::string_view server_key) { return with_id("/drill", server_key) + "|"; }
std::string drill(std::string_view server_key, std::string_view name) {
    return drills_of(server_key) + to_lower(name);
}
std::string drill_schedule(std::string_view server_key) {
    return with_id("/drill-schedule", server_key);
}
std::string server_name(std::string_view name) { return with_id("/name", name); }
std::string port(std::int64_t port) { return "/port/" + std::to_string(port); }
std::string principal(std::string_view client_id) { return with_id("/principal", client_id); }
std::string sessions_of(std::string_view client_id) { return with_id("/session", client_id) + "/"; }
std::string session(std::string_view client_id, std::string_view session_id) {
    return sessions_of(client_id) + to_lower(session_id);
}
std::string issuer_keys(std::string_view id) { return with_id("/issuer-keys", id); }
std::string secret(std::string_view name) { return with_id("/secret", name); }
std::string server_tls(std::string_view server_key) { return with_id("/secret/tls", server_key); }
std::string gone(std::string_view incarnation) { return with_id("/gone", incarnation); }
std::string dropped(std::string_view server_key, std::string_view incarnation) {
    return dropped_lives(server_key) + std::string(incarnation);
}

std::string dropped_lives(std::string_view server_key) {
    return "/dropped" + std::string(server_key) + "/";
}
std::string role(std::string_view role_id) { return with_id("/role", role_id); }
std::string assignments_of(std::string_view principal_id) {
    return with_id("/assignment", principal_id) + "/";
}
std::string assignment(std::string_view principal_id, std::string_view assignment_id) {
    return assignments_of(principal_id) + to_lower(assignment_id);
}
std::string lock(std::string_view scope, std::string_view name) {
    return with_id("/lock", scope) + "|" + to_lower(name);
}
std::string activity_at(std::string_view time) {
    // Digits counted down from 9, so that a later time is a smaller key.
    std::string inverted;
    for (const char c : time)
        if (c >= '0' && c <= '9') inverted += static_cast<char>('9' - (c - '0'));
    return "/activity/" + inverted;
}
std::string activity(std::string_view time, std::string_view event_id) {
    return activity_at(time) + "/" + to_lower(event_id);
}
std::string refusal(std::string_view time, std::string_view event_id) {
    return "/refusal/" + std::string(time) + "/" + to_lower(event_id);
}
std::string deployments_in(std::string_view scope) { return with_id("/deployment", scope) + "|"; }
std::string deployment(std::string_view scope, std::string_view name) {
    return deployments_in(scope) + to_lower(name);
}
std::string running_deployment(std::string_view scope, std::string_view name) {
    return with_id("/running-deployment", scope) + "|" + to_lower(name);
}
std::string deployment_template(std::string_view scope, std::string_view name) {
    return with_id("/deployment-template", scope) + "|" + to_lower(name);
}
std::string seal_name_of_verifier(std::string_view server_key) {
    return with_id("/verifier", server_key);
}

std::string servers_in(std::string_view subscription, std::string_view resource_group) {
    std::string prefix = "/server/subscriptions/" + to_lower(subscription) + "/";
    if (!resource_group.empty()) prefix += "resourcegroups/" + to_lower(resource_group) + "/";
    return prefix;
}

}  // namespace howdah::store::keys
