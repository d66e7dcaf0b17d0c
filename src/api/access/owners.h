#pragma once

#include <string_view>

#include "api/auth/principal.h"
#include "api/call.h"

namespace howdah::api {

/// What a change takes away. One of the three.
struct Loss {
    std::string_view assignment_id = {};  ///< a role assignment
    const Principal* principal = nullptr;
    std::string_view credential_id = {};  ///< empty: the whole principal
};

/// Whether somebody remains who is Owner of everything and has a secret that holds now: nobody
/// could give anything back without. ErrorCode::invalid_state if the loss is an owner's and nobody
/// remains. REQUIRES: the caller passed kAccessTurnstile, and has the pass until its change is
/// written.
Status check_owner_remains(const Call& call, const Loss& loss);

}  // namespace howdah::api
