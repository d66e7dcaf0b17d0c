#include "api/directory/routes.h"

#include "api/directory/handlers.h"

namespace howdah::api::directory {
namespace {

constexpr const Versions* kV = &kGraphVersions;

constexpr Route kRoutes[] = {
    {"GET", "/v1.0/applications", "applications", "list", kV, list_applications},
    {"GET", "/v1.0/applications/{objectId}", "applications", "get", kV, get_application},
    {"POST", "/v1.0/applications", "applications", "create", kV, create_application},
    {"PATCH", "/v1.0/applications/{objectId}", "applications", "update", kV, update_application},
    {"DELETE", "/v1.0/applications/{objectId}", "applications", "delete", kV, delete_application},
    {"POST", "/v1.0/applications/{objectId}/addPassword", "applications", "addPassword", kV,
     add_password},
    {"POST", "/v1.0/applications/{objectId}/removePassword", "applications", "removePassword", kV,
     remove_password},
    {"GET", "/v1.0/servicePrincipals", "servicePrincipals", "list", kV, list_service_principals},
    {"GET", "/v1.0/servicePrincipals/{objectId}", "servicePrincipals", "get", kV,
     get_service_principal},
    {"POST", "/v1.0/servicePrincipals", "servicePrincipals", "create", kV,
     create_service_principal},
    {"DELETE", "/v1.0/servicePrincipals/{objectId}", "servicePrincipals", "delete", kV,
     delete_service_principal},
    {"POST", "/v1.0/servicePrincipals/{objectId}/addPassword", "servicePrincipals", "addPassword",
     kV, add_password},
    {"POST", "/v1.0/servicePrincipals/{objectId}/removePassword", "servicePrincipals",
     "removePassword", kV, remove_password},
    {"GET", "/v1.0/me", "users", "me", kV, get_me, {}, Needs::login},
    {"POST",
     "/v1.0/directoryObjects/getByIds",
     "directoryObjects",
     "getByIds",
     kV,
     get_by_ids,
     {},
     Needs::any_role},
};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

}  // namespace howdah::api::directory
