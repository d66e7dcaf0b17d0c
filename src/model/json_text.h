#pragma once

#include <fmt/core.h>

#include <string_view>

#include "base/result.h"

/// For the parsers of this module alone.
namespace howdah::model {

/// Parses JSON from outside: one nested deeper than `depth_max` is an error, not a deep recursion.
/// An error's message starts with `refused`.
template <typename Json>
Result<Json> parse_json_text(std::string_view text, int depth_max, std::string_view refused) {
    bool too_deep = false;
    const auto guard = [&](int depth, typename Json::parse_event_t, Json&) {
        too_deep = too_deep || depth > depth_max;
        return !too_deep;
    };
    Json parsed = Json::parse(text, guard, /*allow_exceptions=*/false);
    if (too_deep)
        return Error{ErrorCode::corrupt,
                     fmt::format("{} is nested deeper than {}", refused, depth_max)};
    if (parsed.is_discarded())
        return Error{ErrorCode::corrupt, fmt::format("{} is no JSON", refused)};
    return parsed;
}

}  // namespace howdah::model
