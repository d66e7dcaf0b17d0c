#include "store/ha/limits.h"

#include <fmt/core.h>

#include "store/ha/ha_records.h"

namespace howdah::store {

Status check_ha_name(std::string_view name) {
    if (!name.empty() && name.size() <= HaRecords::kNameBytesMax &&
        name.find('\0') == std::string_view::npos)
        return ok_status();
    return Error{ErrorCode::invalid_argument,
                 fmt::format("'{}' is no name for a record", name.substr(0, 64))};
}

Status check_ha_record(std::string_view server, std::string_view record) {
    HD_CHECK(check_ha_name(server));
    if (record.size() <= HaRecords::kRecordBytesMax) return ok_status();
    return Error{ErrorCode::invalid_argument,
                 fmt::format("the record of '{}' is too large", server)};
}

Error other_ha_revision(std::string_view server, std::int64_t found, std::int64_t expected) {
    return {ErrorCode::conflict,
            fmt::format("the record of '{}' has revision {} and not {}", server, found, expected)};
}

Error lease_has_moved(std::string_view agent) {
    return {ErrorCode::conflict, fmt::format("'{}' has renewed its lease", agent)};
}

}  // namespace howdah::store
