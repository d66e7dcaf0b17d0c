#include "places.h"

namespace howdah::test {

std::string source_dir() { return HOWDAH_SOURCE_DIR; }

std::string bin_dir() { return HOWDAH_BIN_DIR; }

}  // namespace howdah::test
