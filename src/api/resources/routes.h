#pragma once

#include <span>

#include "api/router.h"

namespace howdah::api::resources {

std::span<const Route> routes();

}  // namespace howdah::api::resources
