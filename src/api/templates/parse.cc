#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "api/templates/evaluator.h"
#include "api/templates/parameters.h"
#include "api/templates/state.h"
#include "api/templates/values.h"
#include "base/text.h"

namespace howdah::api::templates {
namespace {

constexpr std::size_t kSecretBytesMin = 4;  ///< a shorter one would only garble error texts
constexpr std::size_t kSecretsMax = 1024;

const Json& empty_object() {
    static const Json kEmpty = Json::object();
    return kEmpty;
}

/// A member of the template that is an object; an empty one if it is absent.
Result<const Json*> member_object(const Json& source, const char* name) {
    const auto found = source.find(name);
    if (found == source.end() || found->is_null()) return &empty_object();
    if (!found->is_object())
        return refused(fmt::format("The template's '{}' must be an object. Please see "
                                   "https://aka.ms/arm-template for usage details.",
                                   name),
                       name);
    return &*found;
}

Status limit(std::size_t count, std::size_t most, const char* what) {
    if (count <= most) return ok_status();
    return refused(fmt::format("The number of template {} limit exceeded. Limit: '{}' and actual: "
                               "'{}'. Please see https://aka.ms/arm-template/#{} for usage "
                               "details.",
                               what, most, count, what),
                   what);
}

Status check_schema(const Json& source) {
    for (const char* name : {"$schema", "contentVersion", "resources"})
        if (!source.contains(name))
            return refused(fmt::format("Required property '{}' not found in JSON. Path ''.", name),
                           name);
    const Json& schema = source["$schema"];
    const std::string text = schema.is_string() ? to_lower(string_of(schema)) : "";
    if (text.find("deploymenttemplate.json") == std::string::npos)
        return refused(
            fmt::format("The template schema '{}' is not supported. Supported versions are "
                        "'2014-04-01-preview,2015-01-01,2018-05-01,2019-04-01,2019-08-01'. Please "
                        "see https://aka.ms/arm-template for usage details.",
                        text_of(schema).substr(0, 256)),
            "$schema");
    // Azure takes any text, although its own tools write "1.0.0.0".
    if (source["contentVersion"].is_string()) return ok_status();
    return refused(
        "The template's 'contentVersion' must be a string. Please see "
        "https://aka.ms/arm-template for usage details.",
        "contentVersion");
}

constexpr std::array<std::string_view, 13> kMembers = {
    "$schema",     "contentVersion", "languageVersion", "apiProfile", "metadata",
    "parameters",  "variables",      "functions",       "resources",  "outputs",
    "definitions", "imports",        "extensions"};

Status check_members(const Json& source) {
    for (const auto& [name, value] : source.items()) {
        const bool is_known = std::find(kMembers.begin(), kMembers.end(), name) != kMembers.end();
        if (!is_known)
            return refused(
                fmt::format("Could not find member '{}' on object of type 'Template'. Path '{}'.",
                            name.substr(0, 128), name.substr(0, 128)),
                name.substr(0, 128));
        if ((name == "imports" || name == "extensions") && !value.empty())
            return Error{ErrorCode::not_supported,
                         fmt::format("the template has '{}', which are not supported yet", name),
                         name, "remove the extensions from the template"};
    }
    return ok_status();
}

Result<bool> check_resources(const Json& source) {
    const Json& resources = source["resources"];
    if (resources.is_array()) return false;
    const auto version = source.find("languageVersion");
    const std::string text =
        version != source.end() && version->is_string() ? string_of(*version) : "";
    if (resources.is_object() && (text.starts_with("2.") || text.starts_with("1.10"))) return true;
    return refused(
        "The template's 'resources' must be an array, or an object in a template of language "
        "version '2.0'. Please see https://aka.ms/arm-template/#resources for usage details.",
        "resources");
}

// User-defined functions.

Result<UserFunction> parse_function(const std::string& name, const Json& member) {
    const auto broken = [&](std::string_view why) {
        return refused(fmt::format("The template function '{}' is not valid: {}. Please see "
                                   "https://aka.ms/arm-template-functions for usage details.",
                                   name.substr(0, 256), why),
                       "functions");
    };
    UserFunction out{.name = name};
    if (!member.is_object() || !member.contains("output") || !member["output"].is_object() ||
        !member["output"].contains("value"))
        return broken("it needs an output with a type and a value");
    out.output = member["output"]["value"];
    const Json parameters = member.value("parameters", Json::array());
    if (!parameters.is_array()) return broken("its parameters must be an array");
    for (const Json& each : parameters) {
        if (!each.is_object() || !each.contains("name") || !each["name"].is_string())
            return broken("every parameter needs a name");
        out.parameters.push_back(string_of(each["name"]));
    }
    return out;
}

Status parse_functions(State& state) {
    const auto found = state.source.find("functions");
    if (found == state.source.end() || found->is_null()) return ok_status();
    const Error wrong = refused(
        "The template's 'functions' must be an array of objects with 'namespace' and 'members'. "
        "Please see https://aka.ms/arm-template-functions for usage details.",
        "functions");
    if (!found->is_array()) return wrong;
    for (const Json& space : *found) {
        if (!space.is_object() || !space.contains("namespace") || !space["namespace"].is_string() ||
            !space.contains("members") || !space["members"].is_object())
            return wrong;
        for (const auto& [name, member] : space["members"].items()) {
            HD_TRY(
                UserFunction function,
                parse_function(fmt::format("{}.{}", string_of(space["namespace"]), name), member));
            state.functions.push_back(std::move(function));
        }
    }
    return limit(state.functions.size(), kVariablesMax, "functions");
}

/// Evaluates parameters and variables when they are first asked for.
class Builder final : public Names {
  public:
    Builder(State& state, const Json& given, Budget& budget)
        : state_(state), given_(given), budget_(budget) {}

    Status run() {
        HD_TRY(declared_, member_object(state_.source, "parameters"));
        HD_TRY(variables_, member_object(state_.source, "variables"));
        HD_TRY(definitions_, member_object(state_.source, "definitions"));
        HD_CHECK(limit(declared_->size(), kParametersMax, "parameters"));
        HD_CHECK(check_given());
        for (const auto& [name, declaration] : declared_->items())
            HD_CHECK(unwrapped(parameter(name, 0)));
        in_order();
        HD_CHECK(list_variables());
        for (const std::string& name : names_) HD_CHECK(unwrapped(variable(name, 0)));
        return ok_status();
    }

    Result<Found> parameter(std::string_view name, int depth) override {
        if (const Found found = known_parameter(name); found.value != nullptr) return found;
        const Json* declaration = find_field(*declared_, name);
        if (declaration == nullptr) return parameter_not_found(name);
        const Turn turn(*this, "parameter", name);
        if (!turn.is_first) return circular("parameter", name);
        HD_TRY(Parameter out, build(std::string(name), *declaration, depth));
        out.name = spelled(*declared_, name);
        state_.parameters.push_back(std::move(out));
        return Found{&state_.parameters.back().value, state_.parameters.back().is_secure};
    }

    Result<Found> variable(std::string_view name, int depth) override {
        for (const Variable& each : state_.variables)
            if (iequals(each.name, name)) return Found{&each.value, each.is_secure};
        const Json* loop = find_loop(name);
        const Json* source = loop != nullptr ? loop : find_variable(name);
        if (source == nullptr) return variable_not_found(name);
        const Turn turn(*this, "variable", name);
        if (!turn.is_first) return circular("variable", name);
        Evaluator evaluator(state_, *this, budget_, {.place = Place::variable, .depth = depth + 1});
        auto value = loop != nullptr ? evaluator.copies(*source, std::string(name))
                                     : evaluator.value(*source);
        if (!value.ok()) return failed("variable", name, value.error());
        if (is_deeper(*value, kValueDepthMax))
            return inner_error("A value of the template is nested too deep");
        state_.variables.push_back(
            {std::string(name), evaluator.read_secret(), std::move(value).value()});
        return Found{&state_.variables.back().value, evaluator.read_secret()};
    }

  private:
    /// Marks what is being evaluated, for as long as it is.
    struct Turn {
        Turn(Builder& owner, std::string_view what, std::string_view name)
            : builder(owner), key(fmt::format("{} {}", what, to_lower(name))) {
            is_first = builder.running_.insert(key).second;
        }
        ~Turn() {
            if (is_first) builder.running_.erase(key);
        }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;
        Builder& builder;
        std::string key;
        bool is_first = false;
    };

    static std::string spelled(const Json& object, std::string_view name) {
        for (const auto& [key, value] : object.items())
            if (iequals(key, name)) return key;
        return std::string(name);
    }

    /// The innermost parameter or variable that failed is named, once.
    Error failed(std::string_view what, std::string_view name, const Error& inner) {
        if (!failure_)
            failure_ =
                refused_part(what, name, inner, fmt::format("{}s.{}", what, name.substr(0, 128)));
        return inner;
    }

    template <typename T>
    Status unwrapped(const Result<T>& result) {
        if (result.ok()) return ok_status();
        return failure_ ? *failure_ : refused(result.error(), "");
    }

    Error circular(std::string_view what, std::string_view name) {
        return failed(what, name,
                      inner_error("the template language expression refers to itself in a circle"));
    }

    /// Refuses values for parameters that the template does not have.
    Status check_given() const {
        if (!given_.is_null() && !given_.is_object())
            return refused(
                "The deployment's parameters must be an object. Please see "
                "https://aka.ms/arm-pass-parameter-values for usage details.",
                "parameters");
        std::string unknown;
        std::string known;
        for (const auto& [name, value] : given_.items())
            if (find_field(*declared_, name) == nullptr && unknown.size() < 1024)
                unknown += (unknown.empty() ? "" : ", ") + name.substr(0, 128);
        for (const auto& [name, value] : declared_->items())
            known += (known.empty() ? "" : ", ") + name;
        if (unknown.empty()) return ok_status();
        return refused(
            fmt::format("The template parameters '{}' in the parameters file are not valid; they "
                        "are not present in the original template and can therefore not be "
                        "provided at deployment time. The only supported parameters for this "
                        "template are '{}'. Please see https://aka.ms/arm-pass-parameter-values "
                        "for usage details.",
                        unknown, known.substr(0, 4096)),
            "parameters");
    }

    Found known_parameter(std::string_view name) const {
        for (const Parameter& each : state_.parameters)
            if (iequals(each.name, name)) return {&each.value, each.is_secure};
        return {};
    }

    Result<Parameter> build(const std::string& name, const Json& written, int depth) {
        auto declaration = resolve_declaration(written, *definitions_);
        if (!declaration.ok()) return failed("parameter", name, declaration.error());
        Parameter out{.name = name,
                      .type = std::string(type_of(*declaration).shown),
                      .is_secure = is_secure_declaration(written, *definitions_)};
        HD_TRY(const Json* given, given_value(name));
        if (given != nullptr) {
            if (is_deeper(*given, kTemplateDepthMax))
                return failed("parameter", name, inner_error("its value is nested too deep"));
            out.value = *given;
            if (out.is_secure) keep_secrets(out.value);
        } else {
            HD_TRY(out.value, fallback(name, *declaration, depth, out.is_secure));
            if (out.is_secure) keep_secrets(out.value);
        }
        const Status fits =
            check_value(out.value, *declaration, *definitions_, name, !out.is_secure, budget_);
        if (!fits.ok()) return refusal(name, fits.error());
        return out;
    }

    /// Azure names the parameter within the sentence itself.
    Error refusal(const std::string& name, const Error& inner) {
        if (!failure_) failure_ = refused(inner, fmt::format("parameters.{}", name));
        return inner;
    }

    /// nullptr: none was given.
    Result<const Json*> given_value(const std::string& name) {
        const Json* given = given_.is_object() ? find_field(given_, name) : nullptr;
        if (given == nullptr || given->is_null()) return nullptr;
        if (given->is_object() && given->contains("reference")) {
            failure_ = Error{ErrorCode::not_supported,
                             fmt::format("the parameter '{}' refers to a key vault, which is not "
                                         "supported yet",
                                         name),
                             fmt::format("parameters.{}", name), "give its value"};
            return *failure_;
        }
        // Bicep writes null and {} for what a module's caller leaves out.
        if (given->is_object() && given->empty()) return nullptr;
        if (!given->is_object() || !given->contains("value"))
            return refusal(name, inner_error(fmt::format(
                                     "The value for the template parameter '{}' must be given as "
                                     "an object with the property 'value'. Please see "
                                     "https://aka.ms/arm-create-parameter-file for usage details.",
                                     name)));
        const Json& value = (*given)["value"];
        return value.is_null() ? nullptr : &value;
    }

    /// A default value that is made of a secure parameter makes this one secure.
    Result<Json> fallback(const std::string& name, const Json& declaration, int depth,
                          bool& is_secure) {
        const auto written = declaration.find("defaultValue");
        if (written == declaration.end()) {
            if (declaration.value("nullable", Json(false)) == Json(true)) return Json(nullptr);
            return refusal(name, inner_error(fmt::format(
                                     "The value for the template parameter '{}' is not provided. "
                                     "Please see https://aka.ms/arm-create-parameter-file for "
                                     "usage details.",
                                     name)));
        }
        Evaluator evaluator(state_, *this, budget_,
                            {.place = Place::parameter_default, .depth = depth + 1});
        evaluator.start_at(pointer_to("", name));
        auto out = evaluator.value(*written);
        if (!out.ok()) return failed("parameter", name, out.error());
        is_secure = is_secure || evaluator.read_secret();
        if (is_deeper(*out, kValueDepthMax))
            return failed("parameter", name, inner_error("its value is nested too deep"));
        return out;
    }

    void keep_secrets(const Json& value) {
        if (value.is_string() && string_of(value).size() >= kSecretBytesMin &&
            state_.secrets.size() < kSecretsMax)
            state_.secrets.push_back(string_of(value));
        if (value.is_structured())
            for (const Json& each : value) keep_secrets(each);
    }

    /// Parameters are shown as the template has them.
    void in_order() {
        std::deque<Parameter> sorted;
        for (const auto& [name, declaration] : declared_->items())
            for (Parameter& each : state_.parameters)
                if (each.name == name) sorted.push_back(std::move(each));
        state_.parameters = std::move(sorted);
    }

    Status list_variables() {
        for (const auto& [name, value] : variables_->items()) {
            if (name != "copy" || !value.is_array()) {
                names_.push_back(name);
                continue;
            }
            for (const Json& loop : value) {
                if (!loop.is_object() || !loop.contains("name") || !loop["name"].is_string() ||
                    !loop.contains("count") || !loop.contains("input"))
                    return refused(
                        "A copy loop of variables needs 'name', 'count' and 'input'. "
                        "Please see https://aka.ms/arm-copy for usage details.",
                        "variables.copy");
                names_.push_back(string_of(loop["name"]));
            }
        }
        return limit(names_.size(), kVariablesMax, "variables");
    }

    const Json* find_loop(std::string_view name) const {
        const auto loops = variables_->find("copy");
        if (loops == variables_->end() || !loops->is_array()) return nullptr;
        for (const Json& loop : *loops)
            if (loop.is_object() && loop.contains("name") && loop["name"].is_string() &&
                iequals(string_of(loop["name"]), name))
                return &loop;
        return nullptr;
    }

    const Json* find_variable(std::string_view name) const {
        if (iequals(name, "copy") && variables_->contains("copy") &&
            (*variables_)["copy"].is_array())
            return nullptr;
        return find_field(*variables_, name);
    }

    State& state_;
    const Json& given_;
    Budget& budget_;
    const Json* declared_ = nullptr;
    const Json* variables_ = nullptr;
    const Json* definitions_ = nullptr;
    std::vector<std::string> names_;  ///< of all variables
    std::set<std::string> running_;
    std::optional<Error> failure_;
};

/// Without the values of parameters, which are not known yet.
Json deployment_of(const State& state) {
    const Scope& scope = state.scope;
    Json out{{"name", scope.deployment_name}};
    if (!scope.deployment_location.empty()) out["location"] = scope.deployment_location;
    out["properties"] = {{"template", state.source},
                         {"parameters", Json::object()},
                         {"mode", scope.mode},
                         {"provisioningState", "Accepted"}};
    return out;
}

Json shown_parameters(const State& state) {
    Json out = Json::object();
    for (const Parameter& each : state.parameters)
        if (!each.is_secure) out[each.name] = {{"value", each.value}};
    return out;
}

Status build(State& state, const Json& parameters) {
    HD_CHECK(check_schema(state.source));
    HD_CHECK(check_members(state.source));
    HD_TRY(state.is_symbolic, check_resources(state.source));
    HD_TRY(const Json* outputs, member_object(state.source, "outputs"));
    HD_CHECK(limit(outputs->size(), kOutputsMax, "outputs"));
    HD_CHECK(parse_functions(state));
    state.deployment = deployment_of(state);
    Budget budget;
    Builder builder(state, parameters, budget);
    HD_CHECK(builder.run());
    state.deployment["properties"]["parameters"] = shown_parameters(state);
    return ok_status();
}

}  // namespace

Template::Template(std::shared_ptr<const State> state) : state_(std::move(state)) {}

const Scope& Template::scope() const { return state_->scope; }

const Json& Template::source() const { return state_->source; }

Json Template::parameters() const {
    Json out = Json::object();
    for (const Parameter& each : state_->parameters) {
        Json shown{{"type", each.type}};
        if (!each.is_secure) shown["value"] = each.value;
        out[each.name] = std::move(shown);
    }
    return out;
}

Result<Template> parse_template(Json source, const Json& parameters, Scope scope) {
    if (!source.is_object())
        return refused(
            "The template must be an object. Please see https://aka.ms/arm-template for "
            "usage details.",
            "template");
    if (is_deeper(source, kTemplateDepthMax))
        return refused(fmt::format("The template is nested deeper than {} levels. Please see "
                                   "https://aka.ms/arm-template for usage details.",
                                   kTemplateDepthMax),
                       "template");
    auto state = std::make_shared<State>();
    state->source = std::move(source);
    state->scope = std::move(scope);
    const Status built = build(*state, parameters);
    std::sort(state->secrets.begin(), state->secrets.end(),
              [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
    if (!built.ok()) return without_secrets(*state, built.error());
    return Template(std::move(state));
}

}  // namespace howdah::api::templates
