# The build rules of the project: compiler settings, modules, programs, tests and fuzz targets.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

option(HOWDAH_TESTS "Build the tests" ON)
option(HOWDAH_FUZZ "Build the libFuzzer targets (clang only)" OFF)
set(HOWDAH_SANITIZE "" CACHE STRING "Value for -fsanitize=, e.g. address,undefined")

find_program(CCACHE ccache)
if(CCACHE)
  # Paths count from the source folder, so that every clone on a machine finds what another built.
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(spdlog REQUIRED IMPORTED_TARGET spdlog)
pkg_check_modules(fmt REQUIRED IMPORTED_TARGET fmt)
pkg_check_modules(uuid REQUIRED IMPORTED_TARGET uuid)
pkg_check_modules(pq REQUIRED IMPORTED_TARGET libpq)
pkg_check_modules(microhttpd REQUIRED IMPORTED_TARGET libmicrohttpd)
pkg_check_modules(gnutls REQUIRED IMPORTED_TARGET gnutls)
pkg_check_modules(curl REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(ssl REQUIRED IMPORTED_TARGET libssl)
pkg_check_modules(crypto REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(jwt REQUIRED IMPORTED_TARGET libjwt)
pkg_check_modules(sqlite3 REQUIRED IMPORTED_TARGET sqlite3)

add_library(hd_flags INTERFACE)
target_compile_options(hd_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wold-style-cast -Wnon-virtual-dtor -Werror
  # A designated initialiser may leave out what has a default: that is how options are passed.
  -Wno-missing-field-initializers
  # g++ 12 sees overlapping copies in "text" + std::string at -O2 (GCC bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  -fno-omit-frame-pointer)
# A program loads only the libraries it calls: libcurl alone would cost howdahd 4 MB of memory.
target_link_options(hd_flags INTERFACE -Wl,--as-needed)
if(HOWDAH_SANITIZE)
  target_compile_options(hd_flags INTERFACE -fsanitize=${HOWDAH_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(hd_flags INTERFACE -fsanitize=${HOWDAH_SANITIZE})
  target_compile_definitions(hd_flags INTERFACE HOWDAH_SANITIZED=1)
endif()
if(HOWDAH_FUZZ)
  target_compile_options(hd_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# howdah_module(NAME LINK lib...): src/NAME/**/*.cc become the static library hd_NAME.
function(howdah_module name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cc)
  if(sources)
    add_library(hd_${name} STATIC ${sources})
    target_include_directories(hd_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(hd_${name} PUBLIC ${ARG_LINK} Threads::Threads PRIVATE hd_flags)
  else()
    add_library(hd_${name} INTERFACE)
    target_include_directories(hd_${name} INTERFACE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(hd_${name} INTERFACE ${ARG_LINK} Threads::Threads)
  endif()
endfunction()

# What has to run beside each other: all programs and the guard.
add_custom_target(programs)

# howdah_program(NAME [PARTS program] LINK lib...): src/apps/NAME.cc, with what src/apps/NAME/ holds
# (or that of another program), becomes the program NAME.
function(howdah_program name)
  cmake_parse_arguments(ARG "" "PARTS" "LINK" ${ARGN})
  string(REPLACE "-" "_" file ${name})
  if(NOT ARG_PARTS)
    set(ARG_PARTS ${file})
  endif()
  if(EXISTS ${PROJECT_SOURCE_DIR}/src/apps/${file}.cc)
    file(GLOB parts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/apps/${ARG_PARTS}/*.cc)
    add_executable(${name} src/apps/${file}.cc ${parts})
    target_link_libraries(${name} PRIVATE ${ARG_LINK} hd_flags)
    target_compile_definitions(${name} PRIVATE HOWDAH_VERSION="${PROJECT_VERSION}")
    install(TARGETS ${name} DESTINATION bin)
    add_dependencies(programs ${name})
  endif()
endfunction()

# The PostgreSQL module that keeps reserved roles out of a customer's hands; one per PostgreSQL
# major whose headers are installed: howdah_guard-<major>.so beside the programs.
function(howdah_guard)
  if(NOT EXISTS ${PROJECT_SOURCE_DIR}/src/guard/howdah_guard.c)
    return()
  endif()
  file(GLOB headers /usr/include/postgresql/*/server)
  foreach(dir ${headers})
    string(REGEX MATCH "postgresql/([0-9]+)/server" _ ${dir})
    set(target howdah_guard-${CMAKE_MATCH_1})
    add_library(${target} MODULE src/guard/howdah_guard.c)
    set_target_properties(${target} PROPERTIES PREFIX "" C_STANDARD 11
      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
    target_include_directories(${target} SYSTEM PRIVATE ${dir})
    target_compile_options(${target} PRIVATE -Wall -Wextra -Werror -Wno-unused-parameter -O2)
    add_dependencies(programs ${target})
  endforeach()
endfunction()

# test/NAME/*_test.cc become the program test_NAME. Tests that start real servers live in
# test/integration and test/e2e; script/test runs them after the unit tests.
function(howdah_tests)
  if(NOT HOWDAH_TESTS)
    return()
  endif()
  pkg_check_modules(gtest REQUIRED IMPORTED_TARGET gtest)
  pkg_check_modules(gmock REQUIRED IMPORTED_TARGET gmock)
  find_file(GTEST_MAIN_ARCHIVE libgtest_main.a PATHS /usr/lib/x86_64-linux-gnu /usr/lib /usr/lib/aarch64-linux-gnu)
  # Every test program but those with servers, which the sanitizers do not run.
  add_custom_target(unit_tests)
  # The only object with this clone's paths in it (the header says why).
  add_library(test_places STATIC test/places.cc)
  target_compile_definitions(test_places PRIVATE
    HOWDAH_SOURCE_DIR="${PROJECT_SOURCE_DIR}" HOWDAH_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
  target_link_libraries(test_places PRIVATE hd_flags)
  file(GLOB folders LIST_DIRECTORIES true CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/test/*)
  foreach(folder ${folders})
    get_filename_component(name ${folder} NAME)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${folder}/*_test.cc)
    if(sources)
      file(GLOB_RECURSE helpers CONFIGURE_DEPENDS ${folder}/*_support.cc)
      add_executable(test_${name} ${sources} ${helpers})
      target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/test)
      if(TARGET hd_${name})
        target_link_libraries(test_${name} PRIVATE hd_${name})
      elseif(name STREQUAL sim)
        # Only the rules, so that script/sim need not build the rest.
        target_link_libraries(test_${name} PRIVATE hd_core)
      else()
        target_link_libraries(test_${name} PRIVATE hd_api hd_control hd_agent hd_gateway hd_cli hd_store)
      endif()
      target_link_libraries(test_${name} PRIVATE PkgConfig::gmock PkgConfig::gtest gtest_main
        test_places hd_flags)
      if(name STREQUAL sim)
        # Many runs of much arithmetic: what a slow build costs here is runs.
        target_compile_options(test_sim PRIVATE -O2)
      endif()
      if(NOT name STREQUAL integration)
        add_dependencies(unit_tests test_${name})
      endif()
      add_test(NAME ${name} COMMAND test_${name})
    endif()
  endforeach()
endfunction()

# test/fuzz/<target>_fuzz.cc become libFuzzer programs fuzz_<target>.
function(howdah_fuzz_targets)
  if(NOT HOWDAH_FUZZ)
    return()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/test/fuzz/*_fuzz.cc)
  add_custom_target(fuzz_targets)
  foreach(source ${sources})
    get_filename_component(name ${source} NAME_WE)
    string(REPLACE "_fuzz" "" name ${name})
    add_executable(fuzz_${name} ${source})
    target_link_libraries(fuzz_${name} PRIVATE hd_api hd_control hd_agent hd_gateway hd_store hd_flags)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzz_targets fuzz_${name})
  endforeach()
endfunction()

# test/bench/NAME.cc become the programs howdah-NAME that benchmarks need; script/bench builds them.
function(howdah_bench_programs)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/test/bench/*.cc)
  add_custom_target(bench_programs)
  foreach(source ${sources})
    get_filename_component(name ${source} NAME_WE)
    string(REPLACE "_" "-" name howdah-${name})
    add_executable(${name} EXCLUDE_FROM_ALL ${source})
    target_link_libraries(${name} PRIVATE hd_store hd_flags)
    add_dependencies(bench_programs ${name})
  endforeach()
endfunction()
