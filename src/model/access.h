#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// Who may do what, what is locked, and what was done: the nouns of access control. Plain values.
/// Times are ISO-8601 UTC texts.
namespace howdah::model {

/// A named set of actions, as "Microsoft.DBforPostgreSQL/flexibleServers/*"; see core/access.
struct RoleDefinition {
    std::string id;    ///< UUID, lower case
    std::string name;  ///< "Contributor"
    std::string description;
    std::vector<std::string> actions;
    std::vector<std::string> not_actions;        ///< taken away from `actions` again
    std::vector<std::string> assignable_scopes;  ///< where it may be assigned; scope keys
    std::string created_by;                      ///< app id; empty: built in
    std::string created_on;
    std::string updated_by;
    std::string updated_on;
};

/// A principal has a role at a scope and at everything below it.
struct RoleAssignment {
    std::string id;     ///< UUID, lower case
    std::string scope;  ///< "/", or the id of a subscription, group or resource, as written
    std::string role_id;
    std::string principal_id;  ///< object id
    std::string principal_type;
    std::string description;
    std::string created_by;
    std::string created_on;
    std::string updated_by;
    std::string updated_on;
};

/// Keeps a scope and everything below it from being deleted, or changed at all.
struct ManagementLock {
    std::string scope;  ///< as RoleAssignment::scope
    std::string name;
    std::string level;  ///< CanNotDelete, ReadOnly
    std::string notes;
    std::vector<std::string> owners;  ///< application ids, as told by who made it
};

/// One line of the activity log. A change has several: Started before anything is done, then
/// Succeeded or Failed, or Accepted and later Succeeded or Failed.
struct ActivityEvent {
    std::string id;  ///< UUID
    std::string time;
    std::string subscription;
    std::string correlation_id;
    std::string operation_name;  ///< "Microsoft.DBforPostgreSQL/flexibleServers/write"
    std::string operation_id;    ///< of the long-running operation; else that of the request
    std::string resource_id;
    std::string caller;            ///< app id
    std::string caller_object_id;  ///< empty in the last event of a long-running operation
    std::string status;            ///< Started, Accepted, Succeeded, Failed
    std::int64_t http_status = 0;  ///< 0: not an answer to a request
    std::string http_method;
    std::string client_address;
    std::string client_request_id;
    std::string error_code;
    std::string message;
};

}  // namespace howdah::model
