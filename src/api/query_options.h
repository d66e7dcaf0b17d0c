#pragma once

#include "api/call.h"

namespace howdah::api {

/// Refuses an OData option ($top, $filter, $expand, ...) that what is read does not honour, with
/// ErrorCode::invalid_argument: nothing of a request is ignored. Graph's paths are left alone, as
/// its options are hints. REQUIRES: the route is known.
Status check_query_options(const Call& call);

/// The most entries that a page may have.
inline constexpr int kTopMax = 1000;

}  // namespace howdah::api
