#include "store/common/limits.h"

#include <fmt/core.h>

#include <set>

namespace howdah::store {
namespace {

Status check_key(std::string_view key) {
    if (!key.empty() && key.size() <= kKeyBytesMax) return {};
    return Error{ErrorCode::invalid_argument,
                 fmt::format("a key of {} bytes is outside 1 to {}", key.size(), kKeyBytesMax),
                 std::string(key.substr(0, 64))};
}

}  // namespace

Status check_transaction(const Transaction& transaction) {
    const auto& changes = transaction.changes();
    if (changes.size() > kTransactionChangesMax ||
        transaction.conditions().size() > kTransactionChangesMax) {
        return Error{
            ErrorCode::invalid_argument,
            fmt::format("a transaction of {} changes and {} conditions is beyond {}",
                        changes.size(), transaction.conditions().size(), kTransactionChangesMax)};
    }
    for (const auto& condition : transaction.conditions()) HD_CHECK(check_key(condition.key));
    std::set<std::string_view> seen;
    for (const auto& change : changes) {
        HD_CHECK(check_key(change.key));
        if (change.value && change.value->size() > kValueBytesMax) {
            return Error{ErrorCode::invalid_argument,
                         fmt::format("a value of {} bytes is beyond {}", change.value->size(),
                                     kValueBytesMax),
                         change.key};
        }
        if (!seen.insert(change.key).second) {
            return Error{ErrorCode::invalid_argument,
                         fmt::format("key '{}' is changed twice in one transaction", change.key),
                         change.key};
        }
    }
    return {};
}

Status check_list(std::string_view prefix, const ListOptions& options) {
    if (prefix.size() > kKeyBytesMax || options.after.size() > kKeyBytesMax) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("a prefix of {} bytes is beyond {}", prefix.size(), kKeyBytesMax)};
    }
    if (options.limit == 0 || options.limit > kListMax) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("a list limit of {} is outside 1 to {}", options.limit, kListMax)};
    }
    return {};
}

std::optional<std::string> prefix_end(std::string_view prefix) {
    std::string end(prefix);
    while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
    if (end.empty()) return std::nullopt;
    end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
    return end;
}

Error conflict_on(std::string_view key) {
    return Error{ErrorCode::conflict, fmt::format("'{}' was changed by somebody else", key),
                 std::string(key), "read it again and repeat the change"};
}

Error history_gone(Revision after, Revision compacted) {
    return Error{
        ErrorCode::conflict,
        fmt::format("the history after revision {} is gone up to revision {}", after, compacted),
        "", "list anew and watch from the revision of the list"};
}

}  // namespace howdah::store
