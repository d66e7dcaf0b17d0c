#pragma once

#include "api/call.h"

/// The part of Microsoft Graph v1.0 that manages identities of programs: applications and their
/// service principals, which are one record here. `az ad sp` and `az ad app` speak it.
namespace howdah::api::directory {

Answer list_applications(Call& call);
Answer get_application(Call& call);
Answer create_application(Call& call);
Answer update_application(Call& call);
Answer delete_application(Call& call);
Answer add_password(Call& call);
Answer remove_password(Call& call);
Answer list_service_principals(Call& call);
Answer get_service_principal(Call& call);
Answer create_service_principal(Call& call);
Answer delete_service_principal(Call& call);
/// Who is logged in.
Answer get_me(Call& call);
/// Names for object ids, as lists of role assignments show them.
Answer get_by_ids(Call& call);

}  // namespace howdah::api::directory
