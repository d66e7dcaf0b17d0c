# How the sanitizer builds run. Sourced by script/test and script/fuzz.
# shellcheck shell=bash

sanitizers=$PWD/tools/sanitizers
export ASAN_OPTIONS="abort_on_error=0:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1"
export TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:history_size=4:suppressions=$sanitizers/tsan.supp"
export LSAN_OPTIONS="suppressions=$sanitizers/lsan.supp:print_suppressions=0"
if symbolizer=$(command -v llvm-symbolizer-14); then
    export ASAN_SYMBOLIZER_PATH=$symbolizer
fi
