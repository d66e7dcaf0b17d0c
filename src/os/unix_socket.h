#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace howdah::os {

inline constexpr std::size_t kUnixAnswerBytesMax = 16 << 20;

/// Connects to a unix stream socket, sends a question and reads until the other side closes or a
/// newline ends the answer. Errors: `unavailable` if nobody listens, `timeout`, `too_large`.
Result<std::string> ask_unix_socket(const std::string& path, std::string_view question,
                                    Duration timeout);

}  // namespace howdah::os
