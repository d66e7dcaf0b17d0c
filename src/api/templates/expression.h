#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace howdah::api::templates {

/// The tree of one template expression. A value.
struct Expression {
    enum class Kind {
        text,     ///< 'text'
        integer,  ///< -12
        call,     ///< text(children...); text may be "namespace.name"
        member,   ///< children[0].text
        index,    ///< children[0][children[1]]
    };
    Kind kind = Kind::text;
    std::string text = {};
    std::int64_t integer = 0;
    /// .?name and [?index]: null if there is no such thing.
    bool is_optional = false;
    int height = 1;  ///< of this tree
    std::vector<Expression> children = {};
};

/// Parses what is between the outer brackets. GUARANTEES: the tree is at most kExpressionDepthMax
/// deep and came from at most kExpressionBytesMax bytes. ErrorCode::invalid_template in Azure's
/// words ("Unable to parse language expression '...': expected token ..."); the text of the error
/// holds no more of the expression than its first 256 bytes.
Result<Expression> parse_expression(std::string_view text);

}  // namespace howdah::api::templates
