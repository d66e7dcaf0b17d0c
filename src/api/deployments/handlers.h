#pragma once

#include "api/call.h"

/// Microsoft.Resources/deployments, to a resource group or a subscription; named as their routes.
namespace howdah::api::deployments {

Answer list_deployments(Call& call);
Answer put_deployment(Call& call);
Answer get_deployment(Call& call);
Answer head_deployment(Call& call);
Answer delete_deployment(Call& call);
Answer cancel_deployment(Call& call);
Answer validate_deployment(Call& call);
Answer forecast_deployment(Call& call);  // whatIf
Answer export_template(Call& call);
Answer list_steps(Call& call);
Answer get_step(Call& call);
Answer get_operation_status(Call& call);
Answer calculate_hash(Call& call);

}  // namespace howdah::api::deployments
