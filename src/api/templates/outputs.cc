#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "api/templates/evaluator.h"
#include "api/templates/parameters.h"
#include "api/templates/state.h"
#include "api/templates/values.h"

namespace howdah::api::templates {
namespace {

Error not_valid(const std::string& name, const Error& inner) {
    if (inner.code != ErrorCode::invalid_template) return inner;
    return {ErrorCode::output_evaluation_failed,
            fmt::format("the template output '{}' is not valid: {}.", name, inner.message),
            fmt::format("outputs.{}", name)};
}

/// The value by an expression or by a copy loop of its own.
Result<Json> value_of(const std::string& name, const Json& declaration, Evaluator& evaluator) {
    const auto loop = declaration.find("copy");
    if (loop != declaration.end() && loop->is_object()) {
        if (!loop->contains("count") || !loop->contains("input"))
            return inner_error("A copy loop of an output needs 'count' and 'input'");
        return evaluator.copies(*loop, name);
    }
    const auto value = declaration.find("value");
    if (value == declaration.end())
        return inner_error("Required property 'value' not found in JSON");
    return evaluator.value(*value);
}

Result<bool> is_wanted(const Json& declaration, Evaluator& evaluator) {
    const auto condition = declaration.find("condition");
    if (condition == declaration.end() || condition->is_null()) return true;
    HD_TRY(const Json value, evaluator.value(*condition));
    if (!value.is_boolean()) return inner_error("The property 'condition' must be a boolean");
    return value.get<bool>();
}

/// nullopt: the condition is false.
Result<std::optional<Json>> one_of(const std::string& name, const Json& written,
                                   const Json& definitions, Evaluator& evaluator,
                                   SecureOutputs secure) {
    HD_TRY(const Json declaration, resolve_declaration(written, definitions));
    HD_TRY(const bool wanted, is_wanted(declaration, evaluator));
    if (!wanted) return std::optional<Json>();
    const ValueType& type = type_of(declaration);
    HD_TRY(Json value, value_of(name, declaration, evaluator));
    const bool is_nullable = declaration.value("nullable", Json(false)) == Json(true);
    if (!(value.is_null() && is_nullable) && !is_of_type(value, type))
        return inner_error(
            fmt::format("Template output JToken type is not valid. Expected '{}'. Actual '{}'. "
                        "Please see https://aka.ms/arm-template/#outputs for usage details",
                        type.token, type_name(value)));
    Json out{{"type", type.shown}};
    // What a secure parameter went into does not come out either.
    const bool is_secure = is_secure_declaration(written, definitions) || evaluator.read_secret();
    if (!is_secure || secure == SecureOutputs::included) out["value"] = std::move(value);
    return std::optional<Json>(std::move(out));
}

Result<Json> build(const State& state, const Plan& plan, const ReferenceSource& source,
                   SecureOutputs secure) {
    Json out = Json::object();
    const auto outputs = state.source.find("outputs");
    if (outputs == state.source.end() || outputs->is_null()) return out;
    const Json definitions = state.source.value("definitions", Json::object());
    Budget budget;
    StateNames names(state);
    for (const auto& [name, declaration] : outputs->items()) {
        Evaluator evaluator(state, names, budget,
                            {.place = Place::output, .plan = &plan, .source = &source});
        auto made = one_of(name, declaration, definitions, evaluator, secure);
        if (!made.ok()) return not_valid(name, made.error());
        if (*made) out[name] = std::move(**made);
    }
    return out;
}

}  // namespace

Result<Json> outputs(const Template& parsed, const Plan& plan, const ReferenceSource& source,
                     SecureOutputs secure) {
    return without_secrets(parsed.state(), build(parsed.state(), plan, source, secure));
}

}  // namespace howdah::api::templates
