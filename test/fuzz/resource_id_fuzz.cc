#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "model/resource_id.h"

// Whatever is taken for a resource id reads the same after it was written, and has a stable key.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using howdah::model::ResourceId;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto id = ResourceId::parse(text);
    if (!id.ok()) return 0;
    const auto again = ResourceId::parse(id->to_string());
    if (!again.ok() || again->to_string() != id->to_string()) std::abort();
    const auto key = ResourceId::parse(id->key());
    if (!key.ok() || key->key() != id->key()) std::abort();
    if (id->name().empty() || id->type().empty()) std::abort();
    ResourceId up = *id;
    for (int i = 0; i < 2048 && !up.resource_group.empty(); ++i) up = up.parent();
    if (!up.resource_group.empty()) std::abort();
    return 0;
}
