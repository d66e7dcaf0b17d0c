#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace howdah {

std::string to_lower(std::string_view text);
/// ASCII letters compare equal in either case.
bool iequals(std::string_view a, std::string_view b);
std::vector<std::string> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
/// A whole decimal number within [lowest, highest], nothing else around it.
Result<long long> parse_integer(std::string_view text, long long lowest, long long highest);

std::string base64_encode(std::string_view bytes);
Result<std::string> base64_decode(std::string_view text);
/// RFC 4648 section 5, without padding.
std::string base64url_encode(std::string_view bytes);
Result<std::string> base64url_decode(std::string_view text);
std::string hex_encode(std::string_view bytes);
/// One word of a POSIX shell's command line, whatever is in it.
std::string shell_quoted(std::string_view text);

}  // namespace howdah
