#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace howdah::os {

inline constexpr std::size_t kUnixAnswerBytesMax = 32 << 20;

enum class AnswerEnd { at_line_break, at_close };

/// Connects to a unix stream socket, sends a question and reads until the other side closes or, if
/// that is its end, a line break comes. Errors: `unavailable` if nobody listens, `timeout`,
/// `too_large`.
Result<std::string> ask_unix_socket(const std::string& path, std::string_view question,
                                    Duration timeout, AnswerEnd end = AnswerEnd::at_line_break);

}  // namespace howdah::os
