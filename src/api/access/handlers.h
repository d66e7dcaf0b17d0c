#pragma once

#include "api/call.h"

/// Microsoft.Authorization and the activity log of Microsoft.Insights, named as their routes.
namespace howdah::api::access {

// roles.cc
Answer list_roles(Call& call);
Answer get_role(Call& call);
Answer put_role(Call& call);
Answer delete_role(Call& call);
Answer list_permissions(Call& call);

// assignments.cc
Answer list_assignments(Call& call);
Answer get_assignment(Call& call);
Answer put_assignment(Call& call);
Answer delete_assignment(Call& call);

// locks.cc
Answer list_locks(Call& call);
Answer get_lock(Call& call);
Answer put_lock(Call& call);
Answer delete_lock(Call& call);

// activity_log.cc
Answer list_activity(Call& call);
Answer list_event_categories(Call& call);

}  // namespace howdah::api::access
