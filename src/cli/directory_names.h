#pragma once

#include <string>

#include "cli/arm.h"

/// Identities of programs, as they are known to Microsoft Graph.
namespace howdah::cli {

/// The service principal with this application id, object id or display name. not_found; a name
/// that several have is a mistake of usage.
Result<Json> find_service_principal(Arm& arm, const std::string& option, const std::string& who);

/// "/v1.0/applications" + "?$filter=<filter>".
std::string graph_list(const std::string& what, const std::string& filter);
/// 'it''s': a text in a filter.
std::string filter_text(const std::string& text);

}  // namespace howdah::cli
