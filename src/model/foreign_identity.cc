#include "model/foreign_identity.h"

#include "base/assert.h"
#include "base/id.h"

namespace howdah::model {
namespace {

/// Must never change: role assignments hold ids made with it.
constexpr std::string_view kNamespace = "8f0c6d0e-6a5b-4e0f-9d57-1f0b7a3c52e4";
constexpr std::size_t kVersionAt = 14;
constexpr std::size_t kVariantAt = 19;

}  // namespace

std::string foreign_object_id(std::string_view issuer, std::string_view subject) {
    HD_ASSERT(issuer.find('\n') == std::string_view::npos, "an issuer holds no line break");
    std::string name(issuer);
    name += '\n';
    name += subject;
    return uuid_from_name(kNamespace, name);
}

bool is_foreign_object_id(std::string_view object_id) {
    return is_uuid(object_id) && object_id[kVersionAt] == '5' &&
           std::string_view("89abAB").find(object_id[kVariantAt]) != std::string_view::npos;
}

}  // namespace howdah::model
