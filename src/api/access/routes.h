#pragma once

#include <span>

#include "api/router.h"

namespace howdah::api::access {

std::span<const Route> routes();

}  // namespace howdah::api::access
