#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "model/access.h"
#include "model/ha.h"
#include "model/records.h"

/// Records to JSON text and back. Field names are the members' names (snake_case); fields with an
/// empty value are left out; unknown fields are ignored when read, so that older and newer
/// processes understand each other. Decoding never throws; the error names the field's path.
/// Bounds: kJsonDepthMax levels; the caller bounds the size.
namespace howdah::model {

inline constexpr int kJsonDepthMax = 32;

/// Defined for every struct of records.h, failovers.h, access.h and ha.h that is kept or sent by
/// itself.
template <typename Record>
std::string to_json(const Record& record);
template <typename Record>
Result<Record> from_json(std::string_view text);

}  // namespace howdah::model
