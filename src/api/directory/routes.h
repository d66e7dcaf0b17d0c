#pragma once

#include <span>

#include "api/router.h"

namespace howdah::api::directory {

std::span<const Route> routes();

}  // namespace howdah::api::directory
