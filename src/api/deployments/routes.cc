#include "api/deployments/routes.h"

#include "api/deployments/handlers.h"

namespace howdah::api::deployments {
namespace {

#define HD_S "/subscriptions/{subscriptionId}"
#define HD_G HD_S "/resourceGroups/{resourceGroupName}"

constexpr const Versions* kV = &kResourceManagerVersions;

// Some clients leave the provider out where they ask for the operations of a group's deployment.
constexpr Route kRoutes[] = {
    {"GET", HD_G "/providers/Microsoft.Resources/deployments", "deployments", "listByResourceGroup",
     kV, list_deployments},
    {"PUT", HD_G "/providers/Microsoft.Resources/deployments/{deploymentName}", "deployments",
     "createOrUpdate", kV, put_deployment},
    {"GET", HD_G "/providers/Microsoft.Resources/deployments/{deploymentName}", "deployments",
     "get", kV, get_deployment},
    {"HEAD", HD_G "/providers/Microsoft.Resources/deployments/{deploymentName}", "deployments",
     "checkExistence", kV, head_deployment},
    {"DELETE", HD_G "/providers/Microsoft.Resources/deployments/{deploymentName}", "deployments",
     "delete", kV, delete_deployment},
    {"POST", HD_G "/providers/Microsoft.Resources/deployments/{deploymentName}/cancel",
     "deployments", "cancel", kV, cancel_deployment},
    {"POST", HD_G "/providers/Microsoft.Resources/deployments/{deploymentName}/validate",
     "deployments", "validate", kV, validate_deployment},
    {"POST", HD_G "/providers/Microsoft.Resources/deployments/{deploymentName}/whatIf",
     "deployments", "whatIf", kV, forecast_deployment},
    {"POST", HD_G "/providers/Microsoft.Resources/deployments/{deploymentName}/exportTemplate",
     "deployments", "exportTemplate", kV, export_template},
    {"GET",
     HD_G
     "/providers/Microsoft.Resources/deployments/{deploymentName}/operationStatuses/{operationId}",
     "deployments", "getStatus", kV, get_operation_status},
    {"GET", HD_G "/providers/Microsoft.Resources/deployments/{deploymentName}/operations",
     "deploymentOperations", "list", kV, list_steps},
    {"GET",
     HD_G "/providers/Microsoft.Resources/deployments/{deploymentName}/operations/{operationId}",
     "deploymentOperations", "get", kV, get_step},
    {"GET", HD_S "/providers/Microsoft.Resources/deployments", "deployments",
     "listAtSubscriptionScope", kV, list_deployments},
    {"PUT", HD_S "/providers/Microsoft.Resources/deployments/{deploymentName}", "deployments",
     "createOrUpdateAtSubscriptionScope", kV, put_deployment},
    {"GET", HD_S "/providers/Microsoft.Resources/deployments/{deploymentName}", "deployments",
     "getAtSubscriptionScope", kV, get_deployment},
    {"HEAD", HD_S "/providers/Microsoft.Resources/deployments/{deploymentName}", "deployments",
     "checkExistenceAtSubscriptionScope", kV, head_deployment},
    {"DELETE", HD_S "/providers/Microsoft.Resources/deployments/{deploymentName}", "deployments",
     "deleteAtSubscriptionScope", kV, delete_deployment},
    {"POST", HD_S "/providers/Microsoft.Resources/deployments/{deploymentName}/cancel",
     "deployments", "cancelAtSubscriptionScope", kV, cancel_deployment},
    {"POST", HD_S "/providers/Microsoft.Resources/deployments/{deploymentName}/validate",
     "deployments", "validateAtSubscriptionScope", kV, validate_deployment},
    {"POST", HD_S "/providers/Microsoft.Resources/deployments/{deploymentName}/whatIf",
     "deployments", "whatIfAtSubscriptionScope", kV, forecast_deployment},
    {"POST", HD_S "/providers/Microsoft.Resources/deployments/{deploymentName}/exportTemplate",
     "deployments", "exportTemplateAtSubscriptionScope", kV, export_template},
    {"GET",
     HD_S
     "/providers/Microsoft.Resources/deployments/{deploymentName}/operationStatuses/{operationId}",
     "deployments", "getStatusAtSubscriptionScope", kV, get_operation_status},
    {"GET", HD_S "/providers/Microsoft.Resources/deployments/{deploymentName}/operations",
     "deploymentOperations", "listAtSubscriptionScope", kV, list_steps},
    {"GET",
     HD_S "/providers/Microsoft.Resources/deployments/{deploymentName}/operations/{operationId}",
     "deploymentOperations", "getAtSubscriptionScope", kV, get_step},
    {"GET", HD_G "/deployments/{deploymentName}/operations", "deploymentOperations", "listShort",
     kV, list_steps},
    {"GET", HD_G "/deployments/{deploymentName}/operations/{operationId}", "deploymentOperations",
     "getShort", kV, get_step},
    {"POST",
     "/providers/Microsoft.Resources/calculateTemplateHash",
     "deployments",
     "calculateTemplateHash",
     kV,
     calculate_hash,
     {},
     Needs::login},
};

#undef HD_S
#undef HD_G

}  // namespace

std::span<const Route> routes() { return kRoutes; }

}  // namespace howdah::api::deployments
