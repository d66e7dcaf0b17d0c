#include "core/access/token_role.h"

namespace howdah::core {

bool is_token_role(std::string_view name) {
    constexpr std::size_t kRoleBytesMax = 63;
    if (name.empty() || name.size() > kRoleBytesMax || name.front() == '/') return false;
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f || c == '"' || c == '\\') return false;
    }
    // Only inside: a name with blanks at its ends is taken for another one by people.
    return name.front() != ' ' && name.back() != ' ';
}

}  // namespace howdah::core
