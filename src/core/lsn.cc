#include "core/lsn.h"

#include <fmt/core.h>

#include <charconv>
#include <limits>

namespace howdah::core {

std::string format_lsn(Lsn lsn) { return fmt::format("{:X}/{:X}", lsn >> 32, lsn & 0xffffffff); }

Result<Lsn> parse_lsn(std::string_view text) {
    const std::size_t slash = text.find('/');
    const auto half = [](std::string_view part, Lsn& value) {
        const auto [end, failed] = std::from_chars(part.begin(), part.end(), value, 16);
        return failed == std::errc() && end == part.end() &&
               value <= std::numeric_limits<std::uint32_t>::max();
    };
    Lsn high = 0, low = 0;
    if (slash == std::string_view::npos || !half(text.substr(0, slash), high) ||
        !half(text.substr(slash + 1), low))
        return Error{ErrorCode::corrupt,
                     fmt::format("'{}' is no WAL position", text.substr(0, 40))};
    return high << 32 | low;
}

}  // namespace howdah::core
