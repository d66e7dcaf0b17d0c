#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/store.h"

/// The bounds of store.h, checked in one place for every backend.
namespace howdah::store {

/// invalid_argument: a key that is empty or too long, a value that is too long, too many changes,
/// or a key that is changed twice.
Status check_transaction(const Transaction& transaction);
/// invalid_argument beyond kKeyBytesMax, or if the limit is 0 or beyond kListMax.
Status check_list(std::string_view prefix, const ListOptions& options);
/// The smallest key that is greater than every key with this prefix; none: there is no such key.
std::optional<std::string> prefix_end(std::string_view prefix);

/// What every backend says when a condition did not hold.
Error conflict_on(std::string_view key);
/// What every backend says when a watch asks for history that is gone.
Error history_gone(Revision after, Revision compacted);

/// One answer of Watch::next() holds at most this much, but always whole revisions.
inline constexpr std::size_t kWatchEventsMax = 1000;
inline constexpr std::size_t kWatchBytesMax = 8 << 20;

}  // namespace howdah::store
