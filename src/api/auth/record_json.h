#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace howdah::api {

/// JSON of the records of src/api/auth in the store.
using RecordJson = nlohmann::ordered_json;

/// "" if the field is absent or no text.
inline std::string text_of(const RecordJson& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

inline std::string record_text(const RecordJson& record) {
    return record.dump(-1, ' ', false, RecordJson::error_handler_t::replace);
}

}  // namespace howdah::api
