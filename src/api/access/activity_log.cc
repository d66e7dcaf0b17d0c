#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <set>

#include "api/access/handlers.h"
#include "api/filter.h"
#include "api/paging.h"
#include "base/text.h"
#include "http/client.h"
#include "model/json.h"
#include "model/resource_id.h"
#include "store/keys.h"

// The activity log as Azure Monitor shows it: eventtypes/management/values.

namespace howdah::api::access {
namespace {

using model::ActivityEvent;

/// At most so many events are looked at for one page; a page may be short, its nextLink goes on.
constexpr std::size_t kScannedMax = 5000;
constexpr std::size_t kEventsPerPage = 200;
constexpr std::string_view kKnownTerms =
    "eventTimestamp ge '2026-01-31T00:00:00Z', resourceGroupName eq 'g', resourceUri eq 'id', "
    "resourceProvider eq 'p', correlationId eq 'c', caller eq 'a' and status eq 'Failed'";

/// What a filter leaves over. Empty: anything.
struct Wanted {
    std::string from;  ///< ISO-8601
    std::string to;
    std::string group;
    std::string resource;
    std::string provider;
    std::string resource_type;
    std::string correlation;
    std::string caller;
    std::string status;
};

/// "a" of /subscriptions/S/resourceGroups/a/...; the parts of an id that may not be one.
struct Parts {
    std::string group;
    std::string provider;
    std::string type;
};

Parts parts_of(const std::string& id) {
    Parts parts;
    const std::vector<std::string> words = split(id, '/');
    for (std::size_t i = 1; i + 1 < words.size(); ++i) {
        if (iequals(words[i], "resourceGroups") && parts.group.empty()) parts.group = words[i + 1];
        if (!iequals(words[i], "providers")) continue;
        parts.provider = words[i + 1];
        parts.type.clear();
        for (std::size_t j = i + 2; j < words.size(); j += 2) parts.type += "/" + words[j];
    }
    if (parts.provider.empty()) parts.provider = "Microsoft.Resources";
    if (parts.type.empty()) parts.type = "/subscriptions/resourceGroups";
    parts.type.insert(0, parts.provider);
    return parts;
}

/// az leaves out the zone; it is UTC then.
Result<std::string> time_of(const FilterTerm& term) {
    auto time = parse_iso8601(term.value);
    if (!time.ok()) time = parse_iso8601(term.value + "Z");
    if (!time.ok())
        return Error{ErrorCode::invalid_argument,
                     fmt::format("'{}' is no time", term.value.substr(0, 64)), "$filter",
                     "write it as 2026-01-31T12:00:00Z"};
    return format_iso8601(*time);
}

Result<Wanted> read_filter(const Call& call) {
    const std::string text = call.request.query_value("$filter").value_or("");
    HD_TRY(const auto terms, parse_filter(text));
    Wanted wanted;
    const std::pair<std::string_view, std::string*> kTexts[] = {
        {"resourcegroupname", &wanted.group},
        {"resourceuri", &wanted.resource},
        {"resourceid", &wanted.resource},
        {"resourceprovider", &wanted.provider},
        {"resourcetype", &wanted.resource_type},
        {"correlationid", &wanted.correlation},
        {"caller", &wanted.caller},
        {"status", &wanted.status},
    };
    for (const FilterTerm& term : terms) {
        bool known = false;
        if (term.name == "eventtimestamp" && (term.op == "ge" || term.op == "le")) {
            HD_TRY((term.op == "ge" ? wanted.from : wanted.to), time_of(term));
            known = true;
        }
        // All events here are of these channels and this category.
        if (term.name == "eventchannels" && term.op == "eq") known = true;
        for (const auto& [name, field] : kTexts)
            if (term.name == name && term.op == "eq") {
                *field = term.value;
                known = true;
            }
        if (!known) return unknown_filter(text, kKnownTerms);
    }
    return wanted;
}

bool fits(const ActivityEvent& event, const Wanted& wanted) {
    const Parts parts = parts_of(event.resource_id);
    const auto is = [](const std::string& wish, const std::string& fact) {
        return wish.empty() || iequals(wish, fact);
    };
    return is(wanted.group, parts.group) && is(wanted.resource, event.resource_id) &&
           is(wanted.provider, parts.provider) && is(wanted.resource_type, parts.type) &&
           is(wanted.correlation, event.correlation_id) && is(wanted.status, event.status) &&
           (is(wanted.caller, event.caller) || is(wanted.caller, event.caller_object_id));
}

Json named(const std::string& value) { return {{"value", value}, {"localizedValue", value}}; }

/// Of a foreign identity the caller is its issuer, a space, and its name.
Json claims_json(const ActivityEvent& event) {
    const std::size_t space = event.caller.find(' ');
    if (space == std::string::npos)
        return {{"appid", event.caller}, {"oid", event.caller_object_id}};
    return {{"iss", event.caller.substr(0, space)},
            {"name", event.caller.substr(space + 1)},
            {"oid", event.caller_object_id}};
}

Json event_json(const Call& call, const ActivityEvent& event) {
    const Parts parts = parts_of(event.resource_id);
    const bool begins = event.status == "Started";
    Json properties = {{"entity", event.resource_id}, {"message", event.operation_name}};
    if (event.http_status != 0) properties["statusCode"] = std::to_string(event.http_status);
    if (!event.error_code.empty()) {
        properties["errorCode"] = event.error_code;
        properties["statusMessage"] = event.message;
    }
    Json body = {
        {"authorization",
         {{"action", event.operation_name}, {"role", ""}, {"scope", event.resource_id}}},
        {"caller", event.caller},
        {"category", named("Administrative")},
        {"channels", "Operation"},
        {"claims", claims_json(event)},
        {"correlationId", event.correlation_id},
        {"description", ""},
        {"eventDataId", event.id},
        {"eventName", named(begins ? "BeginRequest" : "EndRequest")},
        {"eventTimestamp", event.time},
        {"id", fmt::format("{}/events/{}", event.resource_id, event.id)},
        {"level", event.status == "Failed" ? "Error" : "Informational"},
        {"operationId", event.operation_id},
        {"operationName", named(event.operation_name)},
        {"properties", std::move(properties)},
        {"resourceGroupName", parts.group},
        {"resourceId", event.resource_id},
        {"resourceProviderName", named(parts.provider)},
        {"resourceType", named(parts.type)},
        {"status", named(event.status)},
        {"subStatus", named(event.http_status == 0 ? "" : std::to_string(event.http_status))},
        {"submissionTimestamp", event.time},
        {"subscriptionId", event.subscription},
        {"tenantId", call.context.tenant_id},
    };
    if (!event.http_method.empty())
        body["httpRequest"] = {{"clientRequestId", event.client_request_id},
                               {"clientIpAddress", event.client_address},
                               {"method", event.http_method},
                               {"uri", call.context.base_url + event.resource_id}};
    return body;
}

/// $select=eventName,id: only these fields.
Json selected(Json event, const std::set<std::string>& fields) {
    if (fields.empty()) return event;
    Json kept = Json::object();
    for (const auto& [name, value] : event.items())
        if (fields.contains(to_lower(name))) kept[name] = value;
    return kept;
}

std::set<std::string> selection(const Call& call) {
    std::set<std::string> fields;
    for (const std::string& each : split(call.request.query_value("$select").value_or(""), ','))
        if (!trim(each).empty()) fields.insert(to_lower(trim(each)));
    return fields;
}

/// The link to what comes after the event with this key.
std::string next_link(const Call& call, const std::string& key) {
    std::string link = call.link(call.request.path);
    for (const char* name : {"$filter", "$select"})
        if (const auto text = call.request.query_value(name))
            link += fmt::format("&{}={}", name, http::url_encode(*text));
    return fmt::format("{}&$skiptoken={}", link, base64url_encode(key));
}

}  // namespace

/// Without a subscription: what stands above them all, roles at / and identities.
Answer list_activity(Call& call) {
    std::string subscription;
    for (const auto& [name, value] : call.parameters)
        if (name == "subscriptionId") subscription = value;
    HD_TRY(const Wanted wanted, read_filter(call));
    const std::set<std::string> fields = selection(call);
    store::ListOptions options;
    options.limit = kEventsPerPage;
    // Newest first: the latest moment has the smallest key.
    if (!wanted.to.empty()) options.after = store::keys::activity_at(wanted.to);
    if (const auto token = call.request.query_value("$skiptoken")) {
        HD_TRY(options.after, base64url_decode(*token));
    }
    const std::string last =
        wanted.from.empty() ? "/activity0" : store::keys::activity_at(wanted.from) + "0";
    Json values = Json::array();
    for (std::size_t scanned = 0;;) {
        HD_TRY(const auto entries, call.context.store.list("/activity/", options));
        for (const store::Entry& entry : entries) {
            if (entry.key > last) return json_answer(200, list_body(std::move(values)));
            options.after = entry.key;
            HD_TRY(const auto event, model::from_json<ActivityEvent>(entry.value));
            if (!iequals(event.subscription, subscription) || !fits(event, wanted) ||
                !call.access.allows("Microsoft.Insights/eventtypes/values/read", event.resource_id))
                continue;
            values.push_back(selected(event_json(call, event), fields));
            if (values.size() >= kEventsPerPage)
                return json_answer(200, list_body(std::move(values), next_link(call, entry.key)));
        }
        scanned += entries.size();
        if (entries.size() < options.limit) return json_answer(200, list_body(std::move(values)));
        if (scanned >= kScannedMax)
            return json_answer(200, list_body(std::move(values), next_link(call, options.after)));
    }
}

Answer list_event_categories(Call&) {
    return json_answer(200, list_body(Json::array({named("Administrative")})));
}

}  // namespace howdah::api::access
