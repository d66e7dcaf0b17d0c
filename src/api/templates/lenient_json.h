#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "api/arm_json.h"
#include "base/result.h"

namespace howdah::api::templates {

/// Bounds of parse_lenient.
struct LenientLimits {
    std::size_t bytes = 4 << 20;  ///< as Azure allows for a deployment request
    int depth = 72;
    std::size_t values = 100'000;
    std::size_t fields = 4096;         ///< of one object
    std::size_t text_bytes = 1 << 20;  ///< of one string
};

/// JSON as Azure Resource Manager reads templates and json() reads its argument: beside plain JSON
/// it takes // and /* */ comments, 'single quotes', names without quotes, line breaks within
/// strings, and a comma after the last element. `az deployment` sends bodies of that kind
/// ({"properties": {..., template:{...}}}, with the template's own comments), so they are what a
/// deployment request must be read with. A field given twice is refused.
///
/// ErrorCode::invalid_request with the position; too_large for more than the bounds. The error
/// holds nothing of the text.
Result<Json> parse_lenient(std::string_view text, const LenientLimits& limits = {});

}  // namespace howdah::api::templates
