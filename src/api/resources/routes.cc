#include "api/resources/routes.h"

#include "api/resources/handlers.h"

namespace howdah::api::resources {
namespace {

#define HD_S "/subscriptions/{subscriptionId}"
#define HD_G HD_S "/resourceGroups/{resourceGroupName}"
#define HD_TAGS "/{scope}/providers/Microsoft.Resources/tags/default"

constexpr const Versions* kV = &kResourceManagerVersions;

constexpr Route kRoutes[] = {
    {"GET", "/tenants", "tenants", "list", kV, list_tenants, {}, Needs::login},
    {"GET", "/subscriptions", "subscriptions", "list", kV, list_subscriptions, {}, Needs::login},
    {"GET", HD_S, "subscriptions", "get", kV, get_subscription, {}, Needs::any_role, Pace::at_once},
    {"GET",
     HD_S "/locations",
     "subscriptions",
     "listLocations",
     kV,
     list_locations,
     {},
     Needs::any_role},
    {"GET", HD_S "/providers", "providers", "list", kV, list_providers, {}, Needs::any_role},
    {"GET",
     HD_S "/providers/{resourceProviderNamespace}",
     "providers",
     "get",
     kV,
     get_provider,
     {},
     Needs::any_role},
    {"POST",
     HD_S "/providers/{resourceProviderNamespace}/register",
     "providers",
     "register",
     kV,
     register_provider,
     {},
     Needs::any_role},
    {"GET", HD_S "/resourceGroups", "resourceGroups", "list", kV, list_groups, {}, Needs::any_role},
    {"PUT", HD_G, "resourceGroups", "createOrUpdate", kV, put_group},
    {"GET", HD_G, "resourceGroups", "get", kV, get_group, {}, Needs::role, Pace::at_once},
    {"HEAD", HD_G, "resourceGroups", "checkExistence", kV, head_group},
    {"PATCH", HD_G, "resourceGroups", "update", kV, patch_group},
    {"DELETE", HD_G, "resourceGroups", "delete", kV, delete_group},
    {"GET",
     HD_S "/operationresults/{operationId}",
     "resourceGroups",
     "getDeletionResult",
     kV,
     get_group_operation_result,
     {},
     Needs::any_role},
    {"GET", HD_S "/resources", "resources", "list", kV, list_resources, {}, Needs::any_role},
    {"GET",
     HD_G "/resources",
     "resources",
     "listByResourceGroup",
     kV,
     list_resources_in_group,
     {},
     Needs::any_role},
    {"GET", HD_TAGS, "tags", "getAtScope", kV, get_tags},
    {"PUT", HD_TAGS, "tags", "createOrUpdateAtScope", kV, put_tags},
    {"PATCH", HD_TAGS, "tags", "updateAtScope", kV, patch_tags},
    {"DELETE", HD_TAGS, "tags", "deleteAtScope", kV, delete_tags},
    {"GET", HD_S "/tagNames", "tags", "list", kV, list_tag_names, {}, Needs::any_role},
    {"GET", "/{scope}/providers/Microsoft.Authorization/denyAssignments", "denyAssignments",
     "listForScope", &kAuthorizationVersions, list_deny_assignments},
};

#undef HD_TAGS
#undef HD_S
#undef HD_G

}  // namespace

std::span<const Route> routes() { return kRoutes; }

}  // namespace howdah::api::resources
