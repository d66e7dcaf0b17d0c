#pragma once

#include <span>

#include "api/router.h"

namespace howdah::api::deployments {

std::span<const Route> routes();

}  // namespace howdah::api::deployments
