#include "api/platform/routes.h"

namespace howdah::api::platform {
namespace {

#define HD_HOSTS "/providers/Howdah.Platform/hosts"

constexpr const Versions* kV = &kPlatformVersions;

constexpr Route kRoutes[] = {
    {"GET", HD_HOSTS, "hosts", "list", kV, list_hosts},
    {"GET", HD_HOSTS "/{hostName}", "hosts", "get", kV, get_host},
    {"POST", HD_HOSTS "/{hostName}/invite", "hosts", "invite", kV, invite_host},
};

#undef HD_HOSTS

}  // namespace

std::span<const Route> routes() { return kRoutes; }

}  // namespace howdah::api::platform
