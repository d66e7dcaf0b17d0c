#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/access/access_store.h"
#include "api/paging.h"
#include "api/postgres/change.h"
#include "api/postgres/handlers.h"
#include "base/text.h"

namespace howdah::api::postgres {
namespace {

constexpr std::size_t kRulesMax = 128;
constexpr std::size_t kRuleNameMax = 128;

Status check_rule_name(std::string_view name) {
    bool good = !name.empty() && name.size() <= kRuleNameMax;
    for (const char c : name)
        good = good && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '_');
    if (good) return ok_status();
    return Error{
        ErrorCode::invalid_resource_name,
        fmt::format("'{}' cannot be the name of a firewall rule", name.substr(0, kRuleNameMax)),
        "name", fmt::format("use 1 to {} letters, digits, hyphens and underscores", kRuleNameMax)};
}

/// An IPv4 address as a number; none if the text is not one. No leading zeros, as some programs
/// read them as octal.
std::optional<std::uint32_t> parse_ipv4(std::string_view text) {
    const std::vector<std::string> parts = split(text, '.');
    if (parts.size() != 4) return std::nullopt;
    std::uint32_t address = 0;
    for (const std::string& part : parts) {
        const bool leading_zero = part.size() > 1 && part[0] == '0';
        const auto number = parse_integer(part, 0, 255);
        if (!number.ok() || part.size() > 3 || leading_zero) return std::nullopt;
        address = address << 8 | static_cast<std::uint32_t>(*number);
    }
    return address;
}

std::uint32_t read_address(Reader& properties, std::string_view name, std::string& out) {
    const auto text = properties.text(name);
    const std::string path = properties.path_of(name);
    if (!text) {
        properties.fail(
            {ErrorCode::invalid_argument, fmt::format("the field '{}' is required", path), path});
        return 0;
    }
    const auto address = parse_ipv4(*text);
    if (!address)
        properties.fail({ErrorCode::invalid_argument,
                         fmt::format("the value '{}' of '{}' is not an IPv4 address",
                                     text->substr(0, 64), path),
                         path, "write it as four numbers from 0 to 255, as 203.0.113.7"});
    out = *text;
    return address.value_or(0);
}

Result<model::FirewallRule> read_rule(const Call& call, const model::ResourceId& id) {
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    for (const std::string_view each : {"id", "name", "type", "systemData"}) body.read_only(each);
    model::FirewallRule rule{id.to_string(), id.name(), "", ""};
    std::optional<Reader> properties = body.object("properties");
    if (properties) {
        const std::uint32_t start = read_address(*properties, "startIpAddress", rule.start_ip);
        const std::uint32_t end = read_address(*properties, "endIpAddress", rule.end_ip);
        properties->finish();
        if (start > end)
            properties->fail({ErrorCode::invalid_argument,
                              fmt::format("the first address {} is higher than the last one {}",
                                          rule.start_ip, rule.end_ip),
                              "properties.startIpAddress", "swap them"});
    } else {
        body.fail(
            {ErrorCode::invalid_argument, "the field 'properties' is required", "properties"});
    }
    body.finish();
    if (problem) return *problem;
    return rule;
}

model::FirewallRule* find_rule(std::vector<model::FirewallRule>& rules, std::string_view name) {
    for (model::FirewallRule& each : rules)
        if (iequals(each.name, name)) return &each;
    return nullptr;
}

}  // namespace

Answer put_firewall_rule(Call& call) {
    const model::ResourceId server = server_id(call);
    const std::string& name = call.parameter("firewallRuleName");
    HD_CHECK(check_rule_name(name));
    const model::ResourceId id = server.child("firewallRules", name);
    HD_TRY(model::FirewallRule rule, read_rule(call, id));
    ServerChange change;
    change.kind = "UpdateFirewallRule";
    change.server = server;
    change.resource_id = id.to_string();
    change.apply = [&](ServerRecord& record) -> Status {
        auto& rules = record.spec.firewall_rules;
        model::FirewallRule* found = find_rule(rules, name);
        if (found != nullptr) {
            rule.id = found->id;
            rule.name = found->name;
            *found = rule;
            return ok_status();
        }
        if (rules.size() >= kRulesMax)
            return Error{ErrorCode::quota_exceeded,
                         fmt::format("the server '{}' has {} firewall rules, which is the most a "
                                     "server can have",
                                     record.spec.name, kRulesMax),
                         record.spec.id, "delete a rule, or give one a wider range"};
        rules.push_back(rule);
        return ok_status();
    };
    HD_TRY(const ChangedServer changed, change_server(call, change));
    HD_TRY(http::Response response, json_answer(202, firewall_rule_json(server, rule)));
    return with_operation(call, std::move(response), changed.operation);
}

Answer get_firewall_rule(Call& call) {
    const model::ResourceId server = server_id(call);
    const std::string& name = call.parameter("firewallRuleName");
    HD_TRY(ServerRecord record, load_server(call, server));
    const model::FirewallRule* rule = find_rule(record.spec.firewall_rules, name);
    if (rule == nullptr) return child_not_found(server.child("firewallRules", name));
    return json_answer(200, firewall_rule_json(server, *rule));
}

Answer delete_firewall_rule(Call& call) {
    const model::ResourceId server = server_id(call);
    const std::string& name = call.parameter("firewallRuleName");
    HD_TRY(ServerRecord record, load_server(call, server));
    if (find_rule(record.spec.firewall_rules, name) == nullptr) return empty_answer(204);
    ServerChange change;
    change.kind = "DeleteFirewallRule";
    change.server = server;
    change.resource_id = server.child("firewallRules", name).to_string();
    change.apply = [&](ServerRecord& each) -> Status {
        std::erase_if(each.spec.firewall_rules,
                      [&](const model::FirewallRule& rule) { return iequals(rule.name, name); });
        return ok_status();
    };
    HD_TRY(const ChangedServer changed, change_server(call, change));
    HD_CHECK(forget_assignments(call.context.store, change.resource_id));
    return with_operation(call, http::Response{202, {}, ""}, changed.operation);
}

Answer list_firewall_rules(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const ServerRecord record, load_server(call, server));
    Json values = Json::array();
    for (const model::FirewallRule& rule : record.spec.firewall_rules)
        values.push_back(firewall_rule_json(server, rule));
    return json_answer(200, list_body(std::move(values)));
}

}  // namespace howdah::api::postgres
