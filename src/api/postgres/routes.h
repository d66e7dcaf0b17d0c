#pragma once

#include <span>

#include "api/router.h"

namespace howdah::api::postgres {

std::span<const Route> routes();

}  // namespace howdah::api::postgres
