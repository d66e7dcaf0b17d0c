#pragma once

#include <string_view>

#include "base/result.h"
#include "store/store.h"

namespace howdah::control {

/// Takes away the role assignments and locks at a scope that is gone, and at everything below it,
/// in transactions of a bounded size. Idempotent: after a crash it is called again, as it comes
/// before the transaction that removes the record of what is gone.
///
/// RELIES ON: whoever adds one expects the records of its group and server unchanged, and not about
/// to be deleted, in the same transaction (api/access), so that none is added behind its back.
Status remove_access(store::Store& store, std::string_view scope);

/// The same for what was left at groups and servers that were gone before that was done. From time
/// to time; reads every assignment and lock.
Status sweep_access(store::Store& store);

}  // namespace howdah::control
