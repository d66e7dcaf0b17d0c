#pragma once

#include <string_view>

#include "api/call.h"
#include "api/postgres/offer.h"
#include "api/postgres/server_body.h"
#include "model/records.h"
#include "model/resource_id.h"

/// What a server may be: the rules that need to know the machines or the server as it is.
namespace howdah::api::postgres {

/// A new server from the body of a PUT, complete but for tags-like defaults; generation 1.
Result<model::ServerSpec> new_server(const Call& call, const Offer& offer,
                                     const model::ResourceId& id, ServerBody body);

/// Applies a body to a server that exists; what is absent stays as it is. Changes nothing in
/// `spec` unless it succeeds. `status`: what is known of it; none: nothing yet. A password is a
/// reset even if it is the one we know: it may have been changed with SQL since.
Status apply_body(const Call& call, const Offer& offer, const ServerBody& body,
                  const std::optional<model::ServerStatus>& status, model::ServerSpec& spec);

/// As on Azure: none for the tier Burstable. `field`: what the error names.
Status check_pooling(const model::ServerSpec& spec, std::string_view field);

/// 3 to 63 lower-case letters, digits and hyphens, none at the ends, and not one of the words that
/// Azure reserves. ErrorCode::invalid_resource_name.
Status check_server_name(std::string_view name);
Status check_administrator_login(std::string_view login);
/// A name that PostgreSQL or the service uses itself, in any letter case.
bool is_reserved_role(std::string_view name);
/// 8 to 128 printable ASCII characters of at least three classes, without the login in it.
Status check_password(const Secret& password, std::string_view login);

/// "West Europe" and "westeurope" are the same place.
bool is_our_location(const ApiContext& context, std::string_view location);
/// location_required, location_not_available.
Status check_location(const ApiContext& context, const std::optional<std::string>& location,
                      std::string_view resource_type);

}  // namespace howdah::api::postgres
