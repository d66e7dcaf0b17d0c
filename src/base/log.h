#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/error.h"

namespace howdah::log {

enum class Level { debug, info, warn, error };

/// One key and value of a log line. The value is text, a number or a truth value.
struct Field {
    std::string key;
    std::string value;
    bool quoted = true;

    Field(std::string_view k, std::string_view v) : key(k), value(v) {}
    Field(std::string_view k, const std::string& v) : key(k), value(v) {}
    Field(std::string_view k, const char* v) : key(k), value(v) {}
    Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), quoted(false) {}
    template <std::integral T>
    Field(std::string_view k, T v) : key(k), value(std::to_string(v)), quoted(false) {}
};
using Fields = std::initializer_list<Field>;

/// REQUIRES: called once, before threads. Lines are JSON on standard error:
/// {"time":"...","level":"info","process":"howdahd","event":"...",...}
void init(std::string_view process, Level lowest);

/// Thread-safe. `event` is a constant text; what varies goes into fields. Never a secret.
/// error = a person must act; warn = degraded; info = a change of state.
void debug(std::string_view event, Fields fields = {});
void info(std::string_view event, Fields fields = {});
void warn(std::string_view event, Fields fields = {});
void error(std::string_view event, Fields fields = {});

}  // namespace howdah::log
