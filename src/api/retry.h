#pragma once

#include <fmt/core.h>

#include <string_view>
#include <utility>

#include "base/result.h"
#include "store/store.h"

/// Changes of records that others change too: read, apply, write by compare-and-swap, and all of
/// it again when somebody else was faster.
namespace howdah::api {

inline constexpr int kOvertakenMax = 16;

/// Commits. `overtaken` says that a condition did not hold, so that the attempt can be repeated.
inline Status commit_unless_overtaken(store::Store& store, const store::Transaction& txn,
                                      bool& overtaken) {
    const auto revision = store.commit(txn);
    if (revision.ok()) return ok_status();
    overtaken = revision.error().code == ErrorCode::conflict;
    return revision.error();
}

/// What `attempt(overtaken)` gives back, made again while it is overtaken. ErrorCode::unavailable
/// after kOvertakenMax times. `what`: "the lock 'l'".
template <typename Attempt>
auto until_not_overtaken(std::string_view what, const Attempt& attempt) {
    using Outcome = decltype(attempt(std::declval<bool&>()));
    for (int i = 0; i < kOvertakenMax; ++i) {
        bool overtaken = false;
        Outcome outcome = attempt(overtaken);
        if (!overtaken) return outcome;
    }
    return Outcome(
        Error{ErrorCode::unavailable,
              fmt::format("{} was changed by others at the same time, again and again", what), "",
              "send the request again"});
}

}  // namespace howdah::api
