#include "cli/json.h"

#include <fmt/core.h>

#include "base/text.h"

namespace howdah::cli {

const Json& at(const Json& value, std::string_view path) {
    static const Json kNull;
    const Json* here = &value;
    for (const std::string& name : split(path, '/')) {
        if (!here->is_object()) return kNull;
        const auto found = here->find(name);
        if (found == here->end()) return kNull;
        here = &*found;
    }
    return *here;
}

std::string text_at(const Json& value, std::string_view path) {
    const Json& found = at(value, path);
    if (found.is_null()) return {};
    if (const auto* text = found.get_ptr<const std::string*>()) return *text;
    return to_text(found);
}

std::string to_text(const Json& value, int indent) {
    return value.dump(indent, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

Result<Json> parse_json(std::string_view text, std::string_view what) {
    Json value = Json::parse(text, /*cb=*/nullptr, /*allow_exceptions=*/false);
    if (value.is_discarded()) {
        return Error{ErrorCode::corrupt, fmt::format("{} is not JSON", what)};
    }
    return value;
}

}  // namespace howdah::cli
