#pragma once

#include <string>
#include <string_view>

namespace howdah {

/// What a caller may do after an error.
enum class RetryClass {
    never,       ///< the same request fails again
    later,       ///< the same request may succeed after a pause
    refetch,     ///< read the current state, then decide anew
    maybe_done,  ///< it may have happened: observe before repeating
};

/// The closed table of error codes: identifier, the code as it appears in an API answer (Azure's
/// word where Azure has one), HTTP status, retry class. A new row only if somebody reacts to it
/// differently, or if Azure has a word of its own for it.
#define HOWDAH_ERROR_CODES(X)                                                    \
    X(invalid_argument, "InvalidParameterValue", 400, never)                     \
    X(invalid_request, "InvalidRequestContent", 400, never)                      \
    X(invalid_api_version, "InvalidApiVersionParameter", 400, never)             \
    X(missing_api_version, "MissingApiVersionParameter", 400, never)             \
    X(invalid_resource_name, "InvalidResourceName", 400, never)                  \
    X(property_change_not_allowed, "PropertyChangeNotAllowed", 400, never)       \
    X(no_registered_provider, "NoRegisteredProviderFound", 400, never)           \
    X(invalid_subscription_id, "InvalidSubscriptionId", 400, never)              \
    X(location_required, "LocationRequired", 400, never)                         \
    X(location_not_available, "LocationNotAvailableForResourceType", 400, never) \
    X(invalid_template, "InvalidTemplate", 400, never)                           \
    X(invalid_template_deployment, "InvalidTemplateDeployment", 400, never)      \
    X(output_evaluation_failed, "DeploymentOutputEvaluationFailed", 400, never)  \
    X(not_supported, "FeatureNotSupported", 400, never)                          \
    X(invalid_client, "invalid_client", 401, never)                              \
    X(authentication_failed, "AuthenticationFailed", 401, never)                 \
    X(wrong_tenant, "InvalidAuthenticationTokenTenant", 401, never)              \
    X(unauthenticated, "InvalidAuthenticationToken", 401, never)                 \
    X(token_expired, "ExpiredAuthenticationToken", 401, never)                   \
    X(permission_denied, "AuthorizationFailed", 403, never)                      \
    X(not_found, "ResourceNotFound", 404, never)                                 \
    X(subscription_not_found, "SubscriptionNotFound", 404, never)                \
    X(resource_group_not_found, "ResourceGroupNotFound", 404, never)             \
    X(parent_not_found, "ParentResourceNotFound", 404, never)                    \
    X(unknown_resource_type, "InvalidResourceType", 404, never)                  \
    X(unknown_namespace, "InvalidResourceNamespace", 404, never)                 \
    X(object_not_found, "Request_ResourceNotFound", 404, never)                  \
    X(lock_not_found, "LockNotFound", 404, never)                                \
    X(deployment_not_found, "DeploymentNotFound", 404, never)                    \
    X(role_not_found, "RoleDefinitionDoesNotExist", 404, never)                  \
    X(role_assignment_not_found, "RoleAssignmentNotFound", 404, never)           \
    X(principal_not_found, "PrincipalNotFound", 400, never)                      \
    X(method_not_allowed, "MethodNotAllowed", 405, never)                        \
    X(conflict, "Conflict", 409, refetch)                                        \
    X(scope_locked, "ScopeLocked", 409, never)                                   \
    X(deployment_active, "DeploymentActive", 409, later)                         \
    X(deployment_not_active, "DeploymentCannotBeCancelled", 409, never)          \
    X(role_assignment_exists, "RoleAssignmentExists", 409, never)                \
    X(role_exists, "RoleDefinitionWithSameNameExists", 409, never)               \
    X(role_in_use, "RoleDefinitionHasAssignments", 400, never)                   \
    X(already_exists, "ServerNameAlreadyExists", 409, never)                     \
    X(location_conflict, "InvalidResourceLocation", 409, never)                  \
    X(group_being_deleted, "ResourceGroupBeingDeleted", 409, later)              \
    X(invalid_state, "OperationNotAllowed", 409, later)                          \
    X(precondition_failed, "PreconditionFailed", 412, refetch)                   \
    X(too_large, "RequestEntityTooLarge", 413, never)                            \
    X(quota_exceeded, "QuotaExceeded", 409, never)                               \
    X(too_many_requests, "TooManyRequests", 429, later)                          \
    X(internal, "InternalServerError", 500, later)                               \
    X(cancelled, "OperationCanceled", 409, later)                                \
    X(timeout, "OperationTimedOut", 504, maybe_done)                             \
    X(unavailable, "ServiceUnavailable", 503, later)                             \
    X(io, "StorageFailure", 500, later)                                          \
    X(corrupt, "CorruptData", 500, never)                                        \
    X(resource_exhausted, "ResourceExhausted", 507, later)                       \
    X(postgres, "PostgresError", 500, later)

enum class ErrorCode {
#define HD_CODE(id, name, status, retry) id,
    HOWDAH_ERROR_CODES(HD_CODE)
#undef HD_CODE
};

/// The code's name in API answers, e.g. "ResourceNotFound".
std::string_view to_string(ErrorCode code);
/// The inverse of to_string; `internal` for an unknown name.
ErrorCode error_code_from(std::string_view name);
int http_status(ErrorCode code);
RetryClass retry_class(ErrorCode code);

/// An expected failure, as a value. A plain value type.
struct Error {
    ErrorCode code = ErrorCode::internal;
    /// What happened, for a person: names the object and the value; lower case, no full stop.
    std::string message;
    /// The field or object at fault, e.g. "properties.storage.storageSizeGB"; may be empty.
    std::string target = {};
    /// What the administrator can do, an imperative sentence; may be empty.
    std::string hint = {};

    /// "message (hint)" for logs.
    std::string describe() const;
    /// The same error with "context: " before its message.
    Error in(std::string_view context) const;
};

}  // namespace howdah
