#include "base/log.h"

#include <fmt/core.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "base/clock.h"

namespace howdah::log {
namespace {

std::string& process_name() {
    static std::string name = "howdah";
    return name;
}

spdlog::logger& logger() {
    static const std::shared_ptr<spdlog::logger> instance = [] {
        auto made = std::make_shared<spdlog::logger>(
            "howdah", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        made->set_pattern("%v");
        made->set_level(spdlog::level::info);
        made->flush_on(spdlog::level::debug);
        return made;
    }();
    return *instance;
}

void append_json(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : text) {
        switch (c) {
            case '"':
                out += "\\\"";
                break;
            case '\\':
                out += "\\\\";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\t':
                out += "\\t";
                break;
            case '\r':
                out += "\\r";
                break;
            default:
                if (static_cast<unsigned char>(c) < 0x20) {
                    out += fmt::format("\\u{:04x}",
                                       static_cast<unsigned>(static_cast<unsigned char>(c)));
                } else {
                    out += c;
                }
        }
    }
    out += '"';
}

void write(spdlog::level::level_enum level, std::string_view name, std::string_view event,
           Fields fields) {
    if (!logger().should_log(level)) return;
    std::string line = "{\"time\":\"" + format_iso8601(SystemClock().wall()) + "\",\"level\":\"";
    line += name;
    line += "\",\"process\":";
    append_json(line, process_name());
    line += ",\"event\":";
    append_json(line, event);
    for (const Field& field : fields) {
        line += ',';
        append_json(line, field.key);
        line += ':';
        if (field.quoted)
            append_json(line, field.value);
        else
            line += field.value;
    }
    line += '}';
    logger().log(level, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

void init(std::string_view process, Level lowest) {
    process_name() = process;
    constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                     spdlog::level::warn, spdlog::level::err};
    logger().set_level(kLevels[static_cast<int>(lowest)]);
}

void debug(std::string_view event, Fields fields) {
    write(spdlog::level::debug, "debug", event, fields);
}
void info(std::string_view event, Fields fields) {
    write(spdlog::level::info, "info", event, fields);
}
void warn(std::string_view event, Fields fields) {
    write(spdlog::level::warn, "warn", event, fields);
}
void error(std::string_view event, Fields fields) {
    write(spdlog::level::err, "error", event, fields);
}

}  // namespace howdah::log
