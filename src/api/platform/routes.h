#pragma once

#include <span>

#include "api/router.h"

/// What Azure has nothing of: the machines of this Howdah. Tenant-wide, beside all subscriptions.
namespace howdah::api::platform {

std::span<const Route> routes();

Answer list_hosts(Call& call);
Answer get_host(Call& call);
Answer invite_host(Call& call);

}  // namespace howdah::api::platform
