// Where this build's sources and programs are.
//
// Functions and no macros: the objects of the tests then hold no path of the clone they were built
// in, and the compiler cache serves every clone of a machine.

#pragma once

#include <string>

namespace howdah::test {

// The root of the source tree, without a slash at the end.
std::string source_dir();

// The folder of the programs of this build, without a slash at the end.
std::string bin_dir();

}  // namespace howdah::test
