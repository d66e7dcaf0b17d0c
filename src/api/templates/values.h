#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "api/arm_json.h"
#include "base/result.h"

/// What the functions of the template language need to know of JSON values. Pure functions.
namespace howdah::api::templates {

/// Azure's name of the type: "String", "Integer", "Float", "Boolean", "Array", "Object", "Null".
std::string_view type_name(const Json& value);

/// Equal as the function equals() sees it: the order of an object's fields does not matter.
bool same(const Json& a, const Json& b);

/// A text as itself, 5 as "5", true as "True", null as "", objects and arrays as JSON.
std::string text_of(const Json& value);

/// What it costs to compare a value with another one.
std::size_t compare_work(const Json& value);

/// What it costs of kWorkMax to look for a name in an object (which ordered_json does one by one).
std::size_t lookup_work(const Json& object);

/// What a value costs of kWorkMax.
std::size_t weight(const Json& value);

/// True if arrays and objects are nested deeper than `levels`.
bool is_deeper(const Json& value, int levels);

/// The field of that name, else one that differs in letter case alone, else nullptr. REQUIRES: an
/// object.
const Json* find_field(const Json& object, std::string_view name);

/// A whole number that fits into 64 bits.
bool is_integer(const Json& value);
/// REQUIRES: is_integer.
std::int64_t integer_of(const Json& value);
/// REQUIRES: a string.
const std::string& string_of(const Json& value);

// Text as characters (code points). REQUIRES: UTF-8.

std::size_t character_count(std::string_view text);
/// Byte position of the character with that index; the size if there are not as many.
std::size_t byte_position(std::string_view text, std::size_t character);
/// Replaces what is not UTF-8 by U+FFFD.
std::string clean_utf8(std::string_view bytes);
void append_utf8(std::string& out, std::uint32_t code_point);

}  // namespace howdah::api::templates
