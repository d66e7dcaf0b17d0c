#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "model/json.h"
#include "store/store.h"

/// Reading records from the store.
namespace howdah::control {

/// A record with the revision that a compare-and-swap expects; absent: revision 0.
template <typename Record>
struct Versioned {
    std::optional<Record> record;
    store::Revision modified = 0;
};

template <typename Record>
Result<Versioned<Record>> read_record(store::Store& store, const std::string& key) {
    HD_TRY(const auto entry, store.get(key));
    if (!entry) return Versioned<Record>{};
    auto record = model::from_json<Record>(entry->value);
    if (!record.ok()) return record.error().in(key);
    return Versioned<Record>{std::move(*record), entry->modified};
}

/// Calls `visit` for every entry below a prefix, page by page; ends at the first error.
Status for_each(store::Store& store, std::string_view prefix,
                const std::function<Status(const store::Entry&)>& visit);

}  // namespace howdah::control
