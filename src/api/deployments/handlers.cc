#include "api/deployments/handlers.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/deployments/deployment_store.h"
#include "api/deployments/forecast_gate.h"
#include "api/deployments/inner_calls.h"
#include "api/deployments/request_body.h"
#include "api/deployments/view.h"
#include "api/deployments/what_if.h"
#include "api/filter.h"
#include "api/paging.h"
#include "api/postgres/view.h"
#include "api/retry.h"
#include "api/templates/lenient_json.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api::deployments {
namespace {

constexpr std::string_view kRetryAfterSeconds = "1";
constexpr std::size_t kPruneMax = 16;

Status check_name(std::string_view name) {
    bool good = !name.empty() && name.size() <= kNameBytesMax;
    for (const char c : name)
        good =
            good && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.' || c == '(' || c == ')');
    if (good) return ok_status();
    return Error{ErrorCode::invalid_resource_name,
                 fmt::format("'{}' cannot be the name of a deployment", name.substr(0, 128)),
                 "deploymentName",
                 fmt::format("use 1 to {} letters, digits, hyphens, underscores, parentheses and "
                             "dots",
                             kNameBytesMax)};
}

/// What a request asks for, before anything is done.
struct Request {
    RequestBody body;
    Material material;
    Prepared prepared;
    model::Deployment record;
};

Result<templates::Scope> scope_of(const Call& call, const RequestBody& body) {
    const Where where = where_of(call);
    templates::Scope scope;
    HD_TRY(const auto subscription,
           call.context.store.get(store::keys::subscription(where.subscription)));
    if (subscription) {
        HD_TRY(const auto record, model::from_json<model::Subscription>(subscription->value));
        scope.subscription_name = record.display_name;
    }
    scope.subscription_id = to_lower(where.subscription);
    scope.tenant_id = call.context.tenant_id;
    scope.deployment_name = where.name;
    scope.deployment_location = body.location;
    scope.mode = body.mode;
    scope.environment = {{"name", "Howdah"}, {"resourceManager", call.context.base_url + "/"}};
    scope.deployer = {{"objectId", call.caller.object_id}, {"tenantId", call.context.tenant_id}};
    scope.now = call.context.clock.wall();
    scope.seed = call.context.ids.uuid();
    if (where.resource_group.empty()) return scope;
    HD_TRY(const auto group,
           postgres::load_group(
               call, model::ResourceId::group(where.subscription, where.resource_group)));
    if (group.deleting) return postgres::group_being_deleted(group);
    scope.resource_group = group.name;
    scope.resource_group_location = group.location;
    scope.resource_group_tags = group.tags;
    return scope;
}

model::Deployment record_of(const Call& call, const RequestBody& body, const Material& material,
                            const Prepared& prepared) {
    model::Deployment record;
    record.subscription = material.scope.subscription_id;
    record.resource_group = material.scope.resource_group;
    record.name = where_of(call).name;
    record.location = body.location;
    record.tags = body.tags;
    record.mode = body.mode;
    record.state = "Accepted";
    record.operation_id = call.context.ids.uuid();
    record.correlation_id = call.correlation_id;
    record.caller_object_id = call.caller.object_id;
    record.caller_app_id = call.caller.app_id;
    record.caller_name = call.caller.name;
    record.started_at = record.changed_at = call.now();
    record.depth = call.deployment_depth;
    record.parent = call.parent_deployment;
    record.template_hash = template_hash(material.source);
    record.parameters = to_text(prepared.parsed.parameters());
    record.providers = to_text(providers_json(prepared.plan, call.context.location));
    record.dependencies = to_text(dependencies_json(prepared.plan));
    for (const templates::PlannedResource& each : prepared.plan.resources) {
        model::DeploymentStep step;
        step.operation_id = call.context.ids.uuid();
        step.id = each.id;
        step.type = each.type;
        step.name = each.name;
        record.steps.push_back(std::move(step));
    }
    return record;
}

Result<Request> read_request(const Call& call) {
    HD_CHECK(check_name(call.parameter("deploymentName")));
    HD_TRY(RequestBody body, read_request_body(call));
    Material material{body.source, body.parameters, {}};
    HD_TRY(material.scope, scope_of(call, body));
    HD_TRY(Prepared prepared, prepare(material));
    model::Deployment record = record_of(call, body, material, prepared);
    HD_CHECK(check_plan(call.services.inner, on_behalf_of(record), prepared.plan));
    return Request{std::move(body), std::move(material), std::move(prepared), std::move(record)};
}

http::Response with_status(const Call& call, int status, const model::Deployment& record) {
    http::Response response{status, {}, to_text(deployment_json(record))};
    response.headers["azure-asyncoperation"] = call.link(
        fmt::format("{}/operationStatuses/{}", where_of(record).id(), record.operation_id));
    response.headers["retry-after"] = kRetryAfterSeconds;
    return response;
}

Result<std::vector<StoredDeployment>> all_in(const Call& call) {
    const std::string prefix = store::keys::deployments_in(where_of(call).scope());
    HD_TRY(const auto entries, call.context.store.list(prefix));
    std::vector<StoredDeployment> all;
    for (const store::Entry& each : entries) {
        HD_TRY(auto record, model::from_json<model::Deployment>(each.value));
        all.push_back({std::move(record), each.modified});
    }
    return all;
}

/// The oldest that have ended make room for a new one.
Status make_room(const Call& call, store::Transaction& txn) {
    HD_TRY(auto all, all_in(call));
    if (all.size() < kDeploymentsMax) return ok_status();
    std::erase_if(all, [](const auto& each) { return !has_ended(each.record); });
    std::sort(all.begin(), all.end(),
              [](const auto& a, const auto& b) { return a.record.ended_at < b.record.ended_at; });
    if (all.empty())
        return Error{ErrorCode::quota_exceeded,
                     fmt::format("the scope has {} deployments, which is the most, and none has "
                                 "ended",
                                 kDeploymentsMax)};
    for (std::size_t i = 0; i < std::min(all.size(), kPruneMax); ++i) {
        const Where old = where_of(all[i].record);
        txn.expect(old.key(), all[i].modified).remove(old.key());
        txn.remove(store::keys::deployment_template(old.scope(), old.name));
    }
    return ok_status();
}

/// Nested ones do not wait for a place that the outer ones hold; they have a bound of their own.
Status check_running(const Call& call) {
    HD_TRY(const auto running, call.context.store.list("/running-deployment"));
    const bool is_nested = call.deployment_depth > 0;
    if (call.deployment_depth > kDepthMax)
        return Error{ErrorCode::invalid_template_deployment,
                     fmt::format("deployments are nested deeper than {}", kDepthMax)};
    if (running.size() < (is_nested ? kRunningNestedMax : kRunningMax)) return ok_status();
    return Error{is_nested ? ErrorCode::quota_exceeded : ErrorCode::too_many_requests,
                 fmt::format("{} deployments are running, which is the most", running.size()), "",
                 "wait until some have ended"};
}

/// A group that goes meanwhile takes all its deployments with it, this one too.
Status expect_group(const Call& call, store::Transaction& txn) {
    const Where where = where_of(call);
    if (where.resource_group.empty()) return ok_status();
    const auto id = model::ResourceId::group(where.subscription, where.resource_group);
    HD_TRY(const auto entry, call.context.store.get(store::keys::group(id)));
    if (!entry) return postgres::load_group(call, id).error();
    HD_TRY(const auto group, model::from_json<model::ResourceGroup>(entry->value));
    if (group.deleting) return postgres::group_being_deleted(group);
    txn.expect(store::keys::group(id), entry->modified);
    return ok_status();
}

Error active(const model::Deployment& deployment) {
    return {ErrorCode::deployment_active,
            fmt::format("the deployment with resource id '{}' cannot be saved, because this would "
                        "overwrite an existing deployment which is still active. Please see "
                        "https://aka.ms/arm-deploy for usage details",
                        where_of(deployment).id()),
            "", "wait until it has ended, or cancel it"};
}

}  // namespace

namespace {

/// The texts of a deployment's records.
struct Records {
    std::string deployment;
    std::string sealed;
};

Answer try_put(const Call& call, const model::Deployment& record, const Records& records,
               bool& overtaken) {
    const Where where = where_of(record);
    HD_TRY(const auto found, find_deployment(call.context.store, where));
    if (found && !has_ended(found->record)) {
        // howdahd was killed after the outer one had begun this one: it asks again.
        if (!found->record.parent.empty() && found->record.parent == record.parent)
            return with_status(call, 200, found->record);
        return active(found->record);
    }
    store::Transaction txn;
    txn.expect(where.key(), found ? found->modified : 0);
    if (!found) HD_CHECK(make_room(call, txn));
    HD_CHECK(expect_group(call, txn));
    txn.put(where.key(), records.deployment);
    txn.put(store::keys::deployment_template(where.scope(), where.name), records.sealed);
    txn.put(store::keys::running_deployment(where.scope(), where.name), "");
    HD_CHECK(commit_unless_overtaken(call.context.store, txn, overtaken));
    return with_status(call, found ? 200 : 201, record);
}

}  // namespace

Answer put_deployment(Call& call) {
    HD_CHECK(check_running(call));
    HD_TRY(const Request request, read_request(call));
    Records records{model::to_json(request.record), ""};
    if (records.deployment.size() > kRecordBytesMax)
        return Error{ErrorCode::too_large,
                     fmt::format("the deployment takes more than {} bytes", kRecordBytesMax), "",
                     "make several deployments of it"};
    HD_TRY(records.sealed, seal_material(call.context.secrets, request.record, request.material));
    const Where where = where_of(request.record);
    HD_TRY(const Turnstile::Pass pass, call.services.turnstile.enter(where.key()));
    return until_not_overtaken(
        fmt::format("the deployment '{}'", where.name),
        [&](bool& overtaken) { return try_put(call, request.record, records, overtaken); });
}

Answer get_deployment(Call& call) {
    HD_TRY(const StoredDeployment stored, load_deployment(call));
    return json_answer(200, deployment_json(stored.record));
}

Answer head_deployment(Call& call) {
    HD_CHECK(load_deployment(call));
    return empty_answer(204);
}

Answer list_deployments(Call& call) {
    const std::string filter = call.request.query_value("$filter").value_or("");
    HD_TRY(const auto terms, parse_filter(filter));
    std::string state;
    for (const FilterTerm& each : terms) {
        if (each.op != "eq" || each.name != "provisioningstate")
            return unknown_filter(filter, "provisioningState eq 'Succeeded'");
        state = each.value;
    }
    std::size_t most = kDeploymentsMax;
    if (const auto top = call.request.query_value("$top")) {
        const auto number = parse_integer(*top, 1, kDeploymentsMax);
        if (!number.ok())
            return Error{ErrorCode::invalid_argument,
                         fmt::format("$top is '{}'", top->substr(0, 64)), "$top",
                         fmt::format("use a number from 1 to {}", kDeploymentsMax)};
        most = static_cast<std::size_t>(*number);
    }
    if (const Where where = where_of(call); !where.resource_group.empty())
        HD_CHECK(postgres::load_group(
            call, model::ResourceId::group(where.subscription, where.resource_group)));
    HD_TRY(auto all, all_in(call));
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
        return a.record.changed_at > b.record.changed_at;
    });
    Json values = Json::array();
    for (const StoredDeployment& each : all)
        if ((state.empty() || iequals(each.record.state, state)) && values.size() < most)
            values.push_back(deployment_json(each.record));
    return json_answer(200, list_body(std::move(values)));
}

Answer delete_deployment(Call& call) {
    const Where where = where_of(call);
    HD_TRY(const Turnstile::Pass pass, call.services.turnstile.enter(where.key()));
    HD_TRY(const auto found, find_deployment(call.context.store, where));
    if (!found) return empty_answer(204);
    if (!has_ended(found->record)) return active(found->record);
    store::Transaction txn;
    txn.expect(where.key(), found->modified).remove(where.key());
    txn.remove(store::keys::deployment_template(where.scope(), where.name));
    HD_CHECK(call.context.store.commit(txn));
    return empty_answer(204);
}

Answer cancel_deployment(Call& call) {
    constexpr int kAttemptsMax = 20;  // the runner writes the record too
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
        HD_TRY(StoredDeployment stored, load_deployment(call));
        if (has_ended(stored.record))
            return Error{ErrorCode::deployment_not_active,
                         fmt::format("the deployment '{}' cannot be cancelled because it is in the "
                                     "state '{}'",
                                     stored.record.name, stored.record.state)};
        stored.record.cancelling = true;
        const Where where = where_of(stored.record);
        store::Transaction txn;
        txn.expect(where.key(), stored.modified);
        txn.put(where.key(), model::to_json(stored.record));
        const auto revision = call.context.store.commit(txn);
        if (revision.ok()) return empty_answer(204);
        if (revision.error().code != ErrorCode::conflict) return revision.error();
    }
    return Error{ErrorCode::unavailable, "the deployment changed again and again", "",
                 "send the request again"};
}

Answer validate_deployment(Call& call) {
    HD_TRY(const ForecastGate::Pass pass, call.services.forecasts.enter(call.caller.object_id));
    HD_TRY(Request request, read_request(call));
    request.record.state = "Succeeded";
    Json body = deployment_json(request.record);
    Json validated = Json::array();
    for (const templates::PlannedResource& each : request.prepared.plan.resources)
        if (each.condition && !each.existing) validated.push_back({{"id", each.id}});
    body["properties"].erase("outputResources");
    body["properties"]["validatedResources"] = std::move(validated);
    return json_answer(200, body);
}

Answer forecast_deployment(Call& call) {
    HD_TRY(const ForecastGate::Pass pass, call.services.forecasts.enter(call.caller.object_id));
    HD_TRY(const Request request, read_request(call));
    HD_TRY(Json changes, what_if(call.services.inner, on_behalf_of(request.record),
                                 request.prepared, request.body.ids_only, call.context.clock));
    return json_answer(
        200, {{"status", "Succeeded"},
              {"properties",
               {{"correlationId", call.correlation_id}, {"changes", std::move(changes)}}}});
}

Answer export_template(Call& call) {
    HD_TRY(const StoredDeployment stored, load_deployment(call));
    const Where where = where_of(stored.record);
    HD_TRY(const auto entry,
           call.context.store.get(store::keys::deployment_template(where.scope(), where.name)));
    if (!entry)
        return Error{ErrorCode::corrupt, fmt::format("the template of '{}' is gone", where.id())};
    HD_TRY(const Material material,
           unseal_material(call.context.secrets, stored.record, entry->value));
    return json_answer(200, {{"template", material.source}});
}

Answer list_steps(Call& call) {
    HD_TRY(const StoredDeployment stored, load_deployment(call));
    return json_answer(200, list_body(steps_json(stored.record)));
}

Answer get_step(Call& call) {
    HD_TRY(const StoredDeployment stored, load_deployment(call));
    const std::string& id = call.parameter("operationId");
    for (const Json& each : steps_json(stored.record))
        if (iequals(each["operationId"].get<std::string>(), id)) return json_answer(200, each);
    return Error{ErrorCode::not_found,
                 fmt::format("the deployment operation '{}' was not found", id.substr(0, 64))};
}

Answer get_operation_status(Call& call) {
    HD_TRY(const StoredDeployment stored, load_deployment(call));
    const std::string& id = call.parameter("operationId");
    if (!iequals(id, stored.record.operation_id))
        return Error{ErrorCode::not_found,
                     fmt::format("the operation '{}' was not found", id.substr(0, 64))};
    http::Response response{200, {}, to_text(operation_status_json(stored.record))};
    if (!has_ended(stored.record)) response.headers["retry-after"] = kRetryAfterSeconds;
    return response;
}

Answer calculate_hash(Call& call) {
    HD_TRY(const Json source, templates::parse_lenient(call.request.body));
    if (!source.is_object())
        return Error{ErrorCode::invalid_request, "the request needs a template as its body"};
    return json_answer(
        200, {{"minifiedTemplate", to_text(source)}, {"templateHash", template_hash(source)}});
}

}  // namespace howdah::api::deployments
