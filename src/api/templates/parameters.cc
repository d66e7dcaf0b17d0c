#include "api/templates/parameters.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "api/templates/state.h"
#include "api/templates/values.h"
#include "base/text.h"

namespace howdah::api::templates {
namespace {

struct TypeRow {
    std::string_view name;
    ValueType type;
};

constexpr std::array<TypeRow, 7> kTypes = {{
    {"string", {"String", "String, Uri", false}},
    {"securestring", {"SecureString", "String, Uri", true}},
    {"int", {"Int", "Integer", false}},
    {"bool", {"Bool", "Boolean", false}},
    {"object", {"Object", "Object", false}},
    {"secureobject", {"SecureObject", "Object", true}},
    {"array", {"Array", "Array", false}},
}};

/// How far references and fields of types are followed: a type may refer to itself.
constexpr int kTypeDepthMax = 32;
constexpr std::string_view kDefinitions = "#/definitions/";

Error not_valid(const std::string& name, std::string_view why) {
    return inner_error(fmt::format(
        "The provided value for the template parameter '{}' is not valid. {} Please see "
        "https://aka.ms/arm-create-parameter-file for usage details.",
        name, why));
}

Error wrong_type(const Json& value, const ValueType& type) {
    return inner_error(
        fmt::format("Template parameter JToken type is not valid. Expected '{}'. Actual '{}'. "
                    "Please see https://aka.ms/resource-manager-parameter-files for usage details.",
                    type.token, type_name(value)));
}

/// The integer of a constraint; `fallback` if there is none.
std::int64_t bound(const Json& declaration, const char* name, std::int64_t fallback) {
    const auto found = declaration.find(name);
    return found != declaration.end() && is_integer(*found) ? integer_of(*found) : fallback;
}

Status check_length(const Json& value, const Json& declaration, const std::string& name) {
    if (!value.is_string() && !value.is_array()) return ok_status();
    const auto length = static_cast<std::int64_t>(
        value.is_array() ? value.size() : character_count(string_of(value)));
    const std::int64_t least = bound(declaration, "minLength", 0);
    const std::int64_t most = bound(declaration, "maxLength", INT64_MAX);
    if (length < least)
        return not_valid(
            name,
            fmt::format("Length of the value should be greater than or equal to '{}'.", least));
    if (length > most)
        return not_valid(
            name, fmt::format("Length of the value should be less than or equal to '{}'.", most));
    return ok_status();
}

Status check_size(const Json& value, const Json& declaration, const std::string& name) {
    if (!is_integer(value)) return ok_status();
    const std::int64_t least = bound(declaration, "minValue", INT64_MIN);
    const std::int64_t most = bound(declaration, "maxValue", INT64_MAX);
    if (integer_of(value) < least)
        return not_valid(name,
                         fmt::format("The value should be greater than or equal to '{}'.", least));
    if (integer_of(value) > most)
        return not_valid(name,
                         fmt::format("The value should be less than or equal to '{}'.", most));
    return ok_status();
}

bool is_one_of(const Json& value, const Json& allowed) {
    return std::any_of(allowed.begin(), allowed.end(),
                       [&](const Json& each) { return same(each, value); });
}

Status check_allowed(const Json& value, const Json& declaration, const std::string& name,
                     bool may_show) {
    const auto allowed = declaration.find("allowedValues");
    if (allowed == declaration.end() || !allowed->is_array()) return ok_status();
    if (is_one_of(value, *allowed)) return ok_status();
    // An array is allowed if all of its elements are.
    if (value.is_array() && std::all_of(value.begin(), value.end(), [&](const Json& each) {
            return is_one_of(each, *allowed);
        }))
        return ok_status();
    if (!may_show)
        return inner_error(
            fmt::format("The provided value for the template parameter '{}' is not valid. The "
                        "parameter value is not part of the allowed value(s).",
                        name));
    std::string words;
    for (const Json& each : *allowed) {
        if (words.size() > 1024) break;
        words += (words.empty() ? "" : ",") + text_of(each);
    }
    return inner_error(
        fmt::format("The provided value '{}' for the template parameter '{}' is not valid. The "
                    "parameter value is not part of the allowed value(s): '{}'.",
                    text_of(value).substr(0, 256), name, words));
}

struct Checker {
    const Json& definitions;
    bool may_show;
    Budget& budget;

    Status check(const Json& value, const Json& written, const std::string& name, int depth) const {
        if (depth > kTypeDepthMax) return not_valid(name, "Its type is nested too deep.");
        HD_TRY(const Json declaration, resolve_declaration(written, definitions));
        HD_CHECK(budget.charge(weight(declaration) + lookup_work(definitions)));
        const bool is_nullable = declaration.value("nullable", Json(false)) == Json(true);
        if (value.is_null() && is_nullable) return ok_status();
        const ValueType& type = type_of(declaration);
        if (!is_of_type(value, type)) return wrong_type(value, type);
        const bool shows = may_show && !type.is_secure;
        if (const auto allowed = declaration.find("allowedValues"); allowed != declaration.end())
            HD_CHECK(budget.charge(compare_work(value) * (1 + allowed->size() / 16)));
        HD_CHECK(check_allowed(value, declaration, name, shows));
        HD_CHECK(check_length(value, declaration, name));
        HD_CHECK(check_size(value, declaration, name));
        if (value.is_object()) return fields(value, declaration, name, depth);
        if (value.is_array()) return elements(value, declaration, name, depth);
        return ok_status();
    }

    Status fields(const Json& value, const Json& declaration, const std::string& name,
                  int depth) const {
        const auto properties = declaration.find("properties");
        if (properties == declaration.end() || !properties->is_object()) return ok_status();
        for (const auto& [field, type] : properties->items()) {
            HD_CHECK(budget.charge(lookup_work(value)));
            const Json* found = find_field(value, field);
            HD_TRY(const Json resolved, resolve_declaration(type, definitions));
            const bool is_nullable = resolved.value("nullable", Json(false)) == Json(true);
            if (found == nullptr && is_nullable) continue;
            if (found == nullptr)
                return not_valid(name,
                                 fmt::format("The required property '{}' is missing.", field));
            HD_CHECK(check(*found, resolved, fmt::format("{}.{}", name, field), depth + 1));
        }
        HD_CHECK(budget.charge(value.size() * lookup_work(*properties)));
        return closed(value, declaration, *properties, name);
    }

    /// "additionalProperties": false.
    static Status closed(const Json& value, const Json& declaration, const Json& properties,
                         const std::string& name) {
        if (declaration.value("additionalProperties", Json(true)) != Json(false))
            return ok_status();
        for (const auto& [field, each] : value.items())
            if (find_field(properties, field) == nullptr)
                return not_valid(
                    name, fmt::format("The property '{}' is not allowed.", field.substr(0, 128)));
        return ok_status();
    }

    Status elements(const Json& value, const Json& declaration, const std::string& name,
                    int depth) const {
        const auto items = declaration.find("items");
        if (items == declaration.end() || !items->is_object()) return ok_status();
        for (std::size_t i = 0; i < value.size(); ++i)
            HD_CHECK(check(value[i], *items, fmt::format("{}[{}]", name, i), depth + 1));
        return ok_status();
    }
};

/// Looks at every type that is referred to once: types may refer to each other.
class SecureSearch {
  public:
    explicit SecureSearch(const Json& definitions) : definitions_(definitions) {}

    bool is_secure(const Json& written) {
        if (written.is_object() && written.contains("$ref") &&
            !seen_.insert(text_of(written["$ref"])).second)
            return false;
        const auto declaration = resolve_declaration(written, definitions_);
        if (!declaration.ok()) return false;
        return type_of(*declaration).is_secure || has_secure_part(*declaration);
    }

  private:
    bool has_secure_part(const Json& declaration) {
        for (const char* part : {"items", "additionalProperties"}) {
            const auto found = declaration.find(part);
            if (found != declaration.end() && found->is_object() && is_secure(*found)) return true;
        }
        const auto fields = declaration.find("properties");
        if (fields == declaration.end() || !fields->is_object()) return false;
        return std::any_of(fields->begin(), fields->end(),
                           [&](const Json& each) { return is_secure(each); });
    }

    const Json& definitions_;
    std::set<std::string> seen_;
};

}  // namespace

const ValueType* find_type(std::string_view name) {
    for (const TypeRow& row : kTypes)
        if (iequals(row.name, name)) return &row.type;
    return nullptr;
}

const ValueType& type_of(const Json& declaration) {
    static constexpr ValueType kAny{"Object", "", false};
    const auto type = declaration.find("type");
    return type == declaration.end() ? kAny : *find_type(string_of(*type));
}

bool is_of_type(const Json& value, const ValueType& type) {
    if (type.token.empty()) return true;
    if (type.token == "Integer") return is_integer(value);
    if (type.token == "Boolean") return value.is_boolean();
    if (type.token == "Array") return value.is_array();
    if (type.token == "Object") return value.is_object();
    return value.is_string();
}

Result<Json> resolve_declaration(const Json& declaration, const Json& definitions) {
    Json out = declaration;
    for (int depth = 0; depth <= kTypeDepthMax; ++depth) {
        if (!out.is_object()) return inner_error("A type must be an object");
        const auto reference = out.find("$ref");
        if (reference == out.end()) {
            const auto type = out.find("type");
            if (type == out.end()) return out;
            if (!type->is_string()) return inner_error("The property 'type' must be a string");
            if (find_type(string_of(*type)) == nullptr)
                return inner_error(
                    fmt::format("The type '{}' is not valid. The supported types are 'string', "
                                "'securestring', 'int', 'bool', 'object', 'secureObject', 'array'",
                                string_of(*type).substr(0, 128)));
            return out;
        }
        const std::string path = reference->is_string() ? string_of(*reference) : "";
        const Json* found = path.starts_with(kDefinitions) && definitions.is_object()
                                ? find_field(definitions, path.substr(kDefinitions.size()))
                                : nullptr;
        if (found == nullptr)
            return inner_error(fmt::format("The type reference '{}' is not defined in the template",
                                           path.substr(0, 128)));
        // What stands beside the reference comes before what it refers to.
        Json merged = *found;
        out.erase("$ref");
        if (merged.is_object()) merged.update(out);
        out = std::move(merged);
    }
    return inner_error("A type refers to itself");
}

bool is_secure_declaration(const Json& declaration, const Json& definitions) {
    return SecureSearch(definitions).is_secure(declaration);
}

Status check_value(const Json& value, const Json& declaration, const Json& definitions,
                   const std::string& name, bool may_show, Budget& budget) {
    return Checker{definitions, may_show, budget}.check(value, declaration, name, 0);
}

}  // namespace howdah::api::templates
