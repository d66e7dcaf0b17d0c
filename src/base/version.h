#pragma once

namespace howdah {

/// The version of Howdah; the same as in CMakeLists.txt.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace howdah
