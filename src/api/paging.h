#pragma once

#include <string>
#include <vector>

#include "api/call.h"
#include "store/store.h"

namespace howdah::api {

inline constexpr std::size_t kPageSize = 100;

/// One page of entries below a prefix.
struct Page {
    std::vector<store::Entry> entries;
    std::string next_link;  ///< empty: this is the last page
};

/// The page that the request's $skiptoken asks for; the first one without. $top makes it smaller,
/// and goes on in the link, as $expand does. Tokens are opaque and
/// authenticated: ErrorCode::invalid_argument for one that is not ours or is for another list.
Result<Page> read_page(const Call& call, const std::string& prefix);

/// The link, if there is one, with the request's own $filter.
std::string with_filter(const Call& call, std::string next_link);

/// {"value":[...],"nextLink":...}
Json list_body(Json values, const std::string& next_link = {});

}  // namespace howdah::api
