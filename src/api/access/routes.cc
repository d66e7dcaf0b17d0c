#include "api/access/routes.h"

#include "api/access/handlers.h"

namespace howdah::api::access {
namespace {

#define HD_A "/{scope}/providers/Microsoft.Authorization"
#define HD_I "/subscriptions/{subscriptionId}/providers/Microsoft.Insights/eventtypes/management"

constexpr const Versions* kV = &kAuthorizationVersions;
constexpr const Versions* kI = &kInsightsVersions;

constexpr Route kRoutes[] = {
    {"GET",
     HD_A "/roleDefinitions",
     "roleDefinitions",
     "list",
     kV,
     list_roles,
     {},
     Needs::any_role},
    {"GET",
     HD_A "/roleDefinitions/{roleDefinitionId}",
     "roleDefinitions",
     "get",
     kV,
     get_role,
     {},
     Needs::any_role},
    {"PUT", HD_A "/roleDefinitions/{roleDefinitionId}", "roleDefinitions", "createOrUpdate", kV,
     put_role},
    {"DELETE", HD_A "/roleDefinitions/{roleDefinitionId}", "roleDefinitions", "delete", kV,
     delete_role},
    {"GET", HD_A "/roleAssignments", "roleAssignments", "listForScope", kV, list_assignments},
    {"GET", HD_A "/roleAssignments/{roleAssignmentName}", "roleAssignments", "get", kV,
     get_assignment},
    {"PUT", HD_A "/roleAssignments/{roleAssignmentName}", "roleAssignments", "create", kV,
     put_assignment},
    {"DELETE", HD_A "/roleAssignments/{roleAssignmentName}", "roleAssignments", "delete", kV,
     delete_assignment},
    {"GET",
     HD_A "/permissions",
     "permissions",
     "listForScope",
     kV,
     list_permissions,
     {},
     Needs::any_role},
    {"GET", HD_A "/locks", "managementLocks", "listByScope", kV, list_locks},
    {"GET", HD_A "/locks/{lockName}", "managementLocks", "getByScope", kV, get_lock},
    {"PUT", HD_A "/locks/{lockName}", "managementLocks", "createOrUpdateByScope", kV, put_lock},
    {"DELETE", HD_A "/locks/{lockName}", "managementLocks", "deleteByScope", kV, delete_lock},
    {"GET", HD_I "/values", "activityLogs", "list", kI, list_activity, {}, Needs::any_role},
    {"GET", "/providers/Microsoft.Insights/eventtypes/management/values", "tenantActivityLogs",
     "list", kI, list_activity},
    {"GET",
     "/providers/Microsoft.Insights/eventcategories",
     "eventCategories",
     "list",
     kI,
     list_event_categories,
     {},
     Needs::login},
};

#undef HD_A
#undef HD_I

}  // namespace

std::span<const Route> routes() { return kRoutes; }

}  // namespace howdah::api::access
