#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/call.h"
#include "api/router.h"

/// If-Match and If-None-Match (RFC 9110, section 13), for everything that has a name and a GET.
/// The tag of a resource is that of what GET answers in the same api-version, so it changes with
/// whatever a client can see of it. Conditions that cannot be honoured are refused with 412
/// PreconditionFailed; none is ignored.
namespace howdah::api {

inline constexpr std::size_t kConditionBytesMax = 4096;

/// Whether its conditions let a request that changes something go on. What comes back is held
/// until the change is made, so that of two requests with the same condition one goes on: the
/// turn of the server or group that the path is in.
/// Errors: precondition_failed; those of reading the resource, except that it is missing.
Result<std::optional<Turnstile::Pass>> check_preconditions(
    const Call& call, const Router& router, const std::vector<std::string>& segments);

/// Adds the tag to the answer of a GET of something named; 304 where the client has it already,
/// 412 where it wanted another.
void apply_tag(const Call& call, http::Response& response);

}  // namespace howdah::api
