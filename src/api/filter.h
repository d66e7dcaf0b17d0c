#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace howdah::api {

/// One term of a $filter: "name eq 'value'" or "function('value')".
struct FilterTerm {
    std::string name;   ///< in lower case
    std::string op;     ///< "eq", "ge", "le", ...; "()" for a function
    std::string value;  ///< without its quotes
};

inline constexpr std::size_t kFilterBytesMax = 2048;
inline constexpr std::size_t kFilterTermsMax = 16;

/// Terms joined by "and", all that the lists of this API know of OData. An empty text has none.
/// ErrorCode::invalid_argument for anything else.
Result<std::vector<FilterTerm>> parse_filter(std::string_view text);

/// "tagName eq 'a' and tagValue eq 'b'", or the name alone.
struct TagFilter {
    std::string name;  ///< empty: anything fits
    std::optional<std::string> value;

    /// True if the term was one of a tag, and is taken.
    bool take(const FilterTerm& term);
    /// As in Azure, names of tags are the same in any letter case, values are not.
    bool fits(const std::map<std::string, std::string>& tags) const;
};

/// What a list answers for a term that it has no meaning for.
Error unknown_filter(std::string_view filter, std::string_view known);

}  // namespace howdah::api
