#pragma once

#include <string>
#include <string_view>

/// Identities that another issuer of tokens vouches for: Howdah has no record of them, only an id.
namespace howdah::model {

/// The object id of whom `issuer` calls `subject`: a version 5 UUID of both (docs/adr/0009). It
/// depends on nothing else, so that everybody can compute it, and nobody can choose it: identities
/// of Howdah itself have version 4. REQUIRES: no line break in `issuer`.
std::string foreign_object_id(std::string_view issuer, std::string_view subject);

/// Whether it is of that kind (in either letter case). False for what is no UUID.
bool is_foreign_object_id(std::string_view object_id);

}  // namespace howdah::model
