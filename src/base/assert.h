#pragma once

#include <string_view>

namespace howdah {

/// Prints what was wrong and where to standard error and aborts. For programmer errors only; never
/// for bad input from the network, the disk or PostgreSQL.
[[noreturn]] void assertion_failed(const char* file, int line, const char* condition,
                                   std::string_view why);

}  // namespace howdah

/// Always on, in release builds too.
#define HD_ASSERT(condition, why)                                              \
    do {                                                                       \
        if (!(condition)) [[unlikely]] {                                       \
            ::howdah::assertion_failed(__FILE__, __LINE__, #condition, (why)); \
        }                                                                      \
    } while (false)
