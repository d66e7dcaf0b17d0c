#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "api/arm_json.h"
#include "base/result.h"

/// Types and constraints of parameters and outputs.
namespace howdah::api::templates {

class Budget;

/// How Azure names a type in an answer, and whether it is secure.
struct ValueType {
    std::string_view shown;  ///< "SecureString"
    std::string_view token;  ///< "String, Uri", in an error text; "" for any
    bool is_secure = false;
};

/// nullptr: not a type of the template language. Letter case does not matter.
const ValueType* find_type(std::string_view name);

/// True if a value is of that type.
bool is_of_type(const Json& value, const ValueType& type);

/// The declaration with its "$ref" to `definitions` followed. Its "type" is a type, or absent:
/// Bicep leaves it out where anything will do. Errors are inner_error()s.
Result<Json> resolve_declaration(const Json& declaration, const Json& definitions);

/// The type of a resolved declaration.
const ValueType& type_of(const Json& declaration);

/// True if a value of the declaration is secure, or a part of it.
bool is_secure_declaration(const Json& declaration, const Json& definitions);

/// Checks a value against its declaration (type, allowedValues, min/max, nullable, and what it says
/// of fields and elements). Errors are inner_error()s, and hold the value only where
/// `may_show`.
Status check_value(const Json& value, const Json& declaration, const Json& definitions,
                   const std::string& name, bool may_show, Budget& budget);

}  // namespace howdah::api::templates
