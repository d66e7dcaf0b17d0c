#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/paging.h"
#include "api/postgres/change.h"
#include "api/postgres/handlers.h"
#include "api/postgres/server_rules.h"
#include "base/text.h"
#include "core/sizing/parameters.h"

namespace howdah::api::postgres {
namespace {

constexpr std::string_view kSources[] = {"user-override", "system-default"};

/// The parameters of a server, by the engine that runs it and its compute size.
Result<std::vector<core::CustomerParameter>> parameters_of(const Call& call,
                                                           const ServerRecord& server) {
    HD_TRY(const auto offer, call.services.offers.current());
    const std::string host = server.status ? server.status->host : "";
    const model::Engine* engine = offer->engine(server.spec.version, host);
    if (engine == nullptr)
        return Error{ErrorCode::unavailable,
                     fmt::format("no machine with PostgreSQL {} has reported its parameters",
                                 server.spec.version),
                     "", "start howdah-agent on the machine"};
    const core::SkuInfo* sku = core::find_sku(server.spec.sku.name);
    const auto sized = sku != nullptr ? core::sized_parameters(sku->vcores, sku->memory_mb)
                                      : std::map<std::string, std::string>();
    return core::customer_parameters(*engine, sized);
}

const core::CustomerParameter* find_parameter(
    const std::vector<core::CustomerParameter>& parameters, std::string_view name) {
    for (const core::CustomerParameter& each : parameters)
        if (iequals(each.name, name)) return &each;
    return nullptr;
}

Json configuration_json(const model::ResourceId& server, const core::CustomerParameter& parameter,
                        const ServerRecord& record) {
    const model::ResourceId id = server.child("configurations", parameter.name);
    const auto chosen = record.spec.parameters.find(parameter.name);
    const bool is_chosen = chosen != record.spec.parameters.end();
    const auto spelling = record.spec.parameter_spellings.find(parameter.name);
    const bool is_spelled = is_chosen && spelling != record.spec.parameter_spellings.end();
    const std::string& value = is_spelled  ? spelling->second
                               : is_chosen ? chosen->second
                                           : parameter.default_value;
    const bool pending =
        record.status &&
        std::find(record.status->pending_restart.begin(), record.status->pending_restart.end(),
                  parameter.name) != record.status->pending_restart.end();
    Json properties = {
        {"value", value},
        {"description", parameter.description},
        {"defaultValue", parameter.default_value},
        {"dataType", parameter.data_type},
        {"allowedValues", parameter.allowed_values},
        {"source", is_chosen ? kSources[0] : kSources[1]},
        {"isDynamicConfig", parameter.is_dynamic},
        {"isReadOnly", parameter.is_read_only},
        {"isConfigPendingRestart", pending},
    };
    if (!parameter.unit.empty()) properties["unit"] = parameter.unit;
    if (!parameter.documentation_link.empty())
        properties["documentationLink"] = parameter.documentation_link;
    return {{"id", id.to_string()},
            {"name", parameter.name},
            {"type", id.type()},
            {"properties", properties}};
}

/// What a request wants a parameter to be.
struct Wanted {
    std::optional<std::string> value;  ///< "" is a value
    bool reset = false;
};

Result<Wanted> read_wanted(const Call& call) {
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    for (const std::string_view each : {"id", "name", "type", "systemData"}) body.read_only(each);
    Wanted wanted;
    if (std::optional<Reader> properties = body.object("properties")) {
        wanted.value = properties->text_or_empty("value");
        wanted.reset = properties->one_of("source", kSources) == "system-default";
        for (const std::string_view each :
             {"description", "defaultValue", "dataType", "allowedValues", "isDynamicConfig",
              "isReadOnly", "isConfigPendingRestart", "unit", "documentationLink"})
            properties->read_only(each);
        properties->finish();
    }
    body.finish();
    if (problem) return *problem;
    if (!wanted.value && !wanted.reset)
        return Error{ErrorCode::invalid_argument, "the field 'properties.value' is required",
                     "properties.value",
                     "give a value, or set properties.source to 'system-default'"};
    return wanted;
}

Status check_wanted(const core::CustomerParameter& parameter, const Wanted& wanted) {
    if (parameter.is_read_only)
        return Error{ErrorCode::property_change_not_allowed,
                     fmt::format("the server parameter '{}' is read-only", parameter.name),
                     "properties.value"};
    if (wanted.reset && wanted.value && !wanted.value->empty() &&
        *wanted.value != parameter.default_value)
        return Error{ErrorCode::invalid_argument,
                     fmt::format("the source is 'system-default', but the value '{}' is not the "
                                 "default of '{}'",
                                 wanted.value->substr(0, 128), parameter.name),
                     "properties.source", "set it to 'user-override', or leave the value out"};
    const bool takes_empty = parameter.data_type == "String" || parameter.data_type == "Set";
    if (!wanted.reset && wanted.value && wanted.value->empty() && !takes_empty)
        return Error{ErrorCode::invalid_argument, "the field 'properties.value' is required",
                     "properties.value",
                     "give a value, or set properties.source to 'system-default'"};
    return ok_status();
}

}  // namespace

Answer list_configurations(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const ServerRecord record, load_server(call, server));
    HD_TRY(const auto parameters, parameters_of(call, record));
    Json values = Json::array();
    for (const core::CustomerParameter& each : parameters)
        values.push_back(configuration_json(server, each, record));
    return json_answer(200, list_body(std::move(values)));
}

Answer get_configuration(Call& call) {
    const model::ResourceId server = server_id(call);
    const std::string& name = call.parameter("configurationName");
    HD_TRY(const ServerRecord record, load_server(call, server));
    HD_TRY(const auto parameters, parameters_of(call, record));
    const core::CustomerParameter* parameter = find_parameter(parameters, name);
    if (parameter == nullptr) return child_not_found(server.child("configurations", name));
    return json_answer(200, configuration_json(server, *parameter, record));
}

Answer put_configuration(Call& call) {
    const model::ResourceId server = server_id(call);
    const std::string& name = call.parameter("configurationName");
    HD_TRY(const Wanted wanted, read_wanted(call));
    std::optional<core::CustomerParameter> parameter;
    ServerChange change;
    change.kind = "UpdateConfiguration";
    change.server = server;
    change.resource_id = server.child("configurations", name).to_string();
    change.apply = [&](ServerRecord& record) -> Status {
        HD_TRY(const auto parameters, parameters_of(call, record));
        const core::CustomerParameter* found = find_parameter(parameters, name);
        if (found == nullptr) return child_not_found(server.child("configurations", name));
        HD_CHECK(check_wanted(*found, wanted));
        parameter = *found;
        record.spec.parameter_spellings.erase(found->name);
        if (wanted.reset) {
            record.spec.parameters.erase(found->name);
            return ok_status();
        }
        Result<std::string> value = core::check_parameter(parameters, found->name, *wanted.value);
        if (!value.ok()) {
            Error error = value.error();
            error.target = "properties.value";
            return error;
        }
        if (*value != *wanted.value) record.spec.parameter_spellings[found->name] = *wanted.value;
        record.spec.parameters[found->name] = std::move(value).value();
        return check_pooling(record.spec, "properties.value");
    };
    HD_TRY(const ChangedServer changed, change_server(call, change));
    HD_TRY(http::Response response,
           json_answer(202, configuration_json(server, *parameter, changed.server)));
    return with_operation(call, std::move(response), changed.operation);
}

}  // namespace howdah::api::postgres
