#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/directory_names.h"
#include "cli/roles.h"
#include "cli/session.h"

// howdah activity-log (az: monitor activity-log): who changed what, when, and how it ended.

namespace howdah::cli {
namespace {

constexpr std::size_t kEventsDefault = 50;
constexpr int kOffsetMax = 1'000'000;
constexpr Column kColumns[] = {{"Time", "eventTimestamp"},
                               {"Caller", "caller"},
                               {"Operation", "operationName/value"},
                               {"Status", "status/value"},
                               {"Resource", "resourceId"}};

struct LogOptions {
    std::string group;
    std::string resource_id;
    std::string correlation_id;
    std::string caller;
    std::string status;
    std::string start;
    std::string end;
    std::string offset = "6h";
    std::vector<std::string> select;
    std::size_t events_max = kEventsDefault;
};

/// "6h", "1d", "90m", "1d6h".
Result<std::chrono::minutes> offset_of(const std::string& text) {
    const Error bad = usage_error("--offset", fmt::format("'{}' is no length of time", text),
                                  "write it as 90m, 6h or 1d");
    std::chrono::minutes sum{0};
    std::string number;
    for (const char c : text) {
        if (c >= '0' && c <= '9') {
            number += c;
            continue;
        }
        const auto count = parse_integer(number, 0, kOffsetMax);
        if (!count.ok()) return bad;
        const std::chrono::minutes unit{c == 'm' ? 1 : c == 'h' ? 60 : c == 'd' ? 1440 : 0};
        if (unit.count() == 0) return bad;
        sum += *count * unit;
        number.clear();
    }
    if (text.empty() || !number.empty()) return bad;
    return sum;
}

Result<Timestamp> time_of(const std::string& option, const std::string& text) {
    const auto time = parse_iso8601(text);
    if (time.ok()) return time;
    return usage_error(option, fmt::format("'{}' is no time", text),
                       "write it as 2027-01-31T12:00:00Z");
}

Result<std::string> filter_of(Session& session, const LogOptions& options) {
    Timestamp end = session.world.clock.wall();
    if (!options.end.empty()) {
        HD_TRY(end, time_of("--end-time", options.end));
    }
    HD_TRY(const std::chrono::minutes offset, offset_of(options.offset));
    Timestamp start = end - offset;
    if (!options.start.empty()) {
        HD_TRY(start, time_of("--start-time", options.start));
    }
    std::string filter = fmt::format("eventTimestamp ge '{}'", format_iso8601(start));
    if (!options.end.empty())
        filter += fmt::format(" and eventTimestamp le '{}'", format_iso8601(end));
    const std::pair<const char*, const std::string&> kTerms[] = {
        {"resourceGroupName", options.group},
        {"resourceUri", options.resource_id},
        {"correlationId", options.correlation_id},
        {"caller", options.caller},
        {"status", options.status},
    };
    for (const auto& [name, value] : kTerms)
        if (!value.empty()) filter += fmt::format(" and {} eq {}", name, filter_text(value));
    return filter;
}

Result<Output> list(Session& session, const LogOptions& options) {
    session.doing("list", "listing", "the activity log");
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const std::string filter, filter_of(session, options));
    std::string path = arm->subscription() +
                       "/providers/Microsoft.Insights/eventtypes/management/values?$filter=" +
                       http::url_encode(filter);
    if (!options.select.empty()) path += "&$select=" + http::url_encode(join(options.select, ","));
    HD_TRY(Json events, arm->list(path, kActivityVersion, options.events_max));
    return Output{std::move(events), kColumns};
}

}  // namespace

void add_activity_log(Commands& commands) {
    CLI::App& noun = commands.noun("activity-log", "Who changed what (az: monitor activity-log)");
    auto options = std::make_shared<LogOptions>();
    CLI::App& app = commands.verb(noun, "list", "List the newest events first",
                                  [options](Session& session) { return list(session, *options); });
    app.add_option("-g,--resource-group", options->group, "Of a resource group");
    app.add_option("--resource-id", options->resource_id, "Of a resource");
    app.add_option("--correlation-id", options->correlation_id, "Of one request");
    app.add_option("--caller", options->caller, "Of an application or object id");
    app.add_option("--status", options->status, "Started, Accepted, Succeeded or Failed");
    app.add_option("--start-time", options->start, "From: 2027-01-31T12:00:00Z");
    app.add_option("--end-time", options->end, "Until (now)");
    app.add_option("--offset", options->offset, "Or so long before the end: 90m, 6h, 1d (6h)");
    app.add_option("--max-events", options->events_max, "At most so many (50)");
    app.add_option("--select", options->select, "Only these fields");
}

}  // namespace howdah::cli
