#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

/// The JSON that the API answers with, taken apart without ever throwing.
namespace howdah::cli {

/// Keeps the order of the API's fields.
using Json = nlohmann::ordered_json;

/// The value at a path like "properties/storage/storageSizeGB"; null if there is none.
const Json& at(const Json& value, std::string_view path);
/// The value at a path as text: a string as it is, null as "", anything else as JSON.
std::string text_at(const Json& value, std::string_view path);
/// `indent` -1: on one line. Bytes that are not UTF-8 are replaced.
std::string to_text(const Json& value, int indent = -1);
Result<Json> parse_json(std::string_view text, std::string_view what);

}  // namespace howdah::cli
