#include "agent/ha/member_state.h"

#include <fmt/core.h>

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace howdah::agent {
namespace {

using core::ha::Lsn;
using core::ha::MemberId;
using core::ha::Members;
using core::ha::Record;
using core::ha::Switch;
using core::ha::Timelines;
using Json = nlohmann::json;

Json to_json(const MemberId& id) { return {{"node", id.node}, {"directory", id.incarnation}}; }

Json to_json(const Members& members) {
    Json all = Json::array();
    for (const MemberId& each : members) all.push_back(to_json(each));
    return all;
}

Json to_json(const Timelines& timelines) {
    Json all = Json::array();
    for (const Switch& each : timelines)
        all.push_back({{"term", each.term}, {"at", format_lsn(each.at)}});
    return all;
}

Json to_json(const Record& record) {
    Json json{{"term", record.term},
              {"primary", to_json(record.primary)},
              {"sync_set", to_json(record.sync_set)},
              {"timelines", to_json(record.timelines)},
              {"wants_standby", record.wants_standby}};
    if (record.successor) json["successor"] = to_json(*record.successor);
    return json;
}

// What reads throws nlohmann's exceptions for wrong types; parse() turns them into an error.

MemberId member_from(const Json& json) {
    return {json.at("node").get<std::string>(), json.at("directory").get<std::string>()};
}

Members members_from(const Json& json) {
    Members members;
    for (const Json& each : json) members.insert(member_from(each));
    return members;
}

Timelines timelines_from(const Json& json) {
    Timelines timelines;
    for (const Json& each : json) {
        const auto at = parse_lsn(each.at("at").get<std::string>());
        if (!at.ok()) throw Json::other_error::create(500, at.error().message, &each);
        timelines.push_back({each.at("term").get<core::ha::Term>(), *at});
    }
    return timelines;
}

Record record_from(const Json& json) {
    Record record{.term = json.at("term").get<core::ha::Term>(),
                  .primary = member_from(json.at("primary")),
                  .sync_set = members_from(json.at("sync_set")),
                  .timelines = timelines_from(json.at("timelines")),
                  .wants_standby = json.at("wants_standby").get<bool>()};
    if (json.contains("successor")) record.successor = member_from(json.at("successor"));
    return record;
}

template <typename Read>
auto parse(std::string_view text, std::string_view what, Read read)
    -> Result<decltype(read(std::declval<const Json&>()))> {
    try {
        return read(Json::parse(text));
    } catch (const Json::exception& problem) {
        return Error{ErrorCode::corrupt, fmt::format("{} cannot be read: {}", what, problem.what())};
    }
}

}  // namespace

std::string to_text(const Record& record) { return to_json(record).dump(); }

Result<Record> record_from_text(std::string_view text) {
    return parse(text, "the record of a server", record_from);
}

std::string to_text(const MemberState& state) {
    Json json{{"directory", state.directory},
              {"timelines", to_json(state.timelines)},
              {"was_primary", state.was_primary},
              {"promoting", state.promoting},
              {"promoting_from", state.promoting_from},
              {"known_revision", state.known_revision},
              {"doubt_base", state.doubt_base},
              {"doubt_names", to_json(state.doubt_names)}};
    if (state.known) json["known"] = to_json(*state.known);
    return json.dump();
}

Result<MemberState> member_state_from_text(std::string_view text) {
    return parse(text, "the state of a member", [](const Json& json) {
        MemberState state{.directory = json.at("directory").get<std::string>(),
                          .timelines = timelines_from(json.at("timelines")),
                          .was_primary = json.at("was_primary").get<bool>(),
                          .promoting = json.at("promoting").get<core::ha::Term>(),
                          .promoting_from = json.at("promoting_from").get<std::int64_t>(),
                          .known_revision = json.at("known_revision").get<std::int64_t>(),
                          .doubt_base = json.at("doubt_base").get<std::int64_t>(),
                          .doubt_names = members_from(json.at("doubt_names"))};
        if (json.contains("known")) state.known = record_from(json.at("known"));
        return state;
    });
}

std::string to_text(const MemberAddress& address) {
    return Json{{"host", address.host}, {"port", address.port}}.dump();
}

Result<MemberAddress> member_address_from_text(std::string_view text) {
    HD_TRY(MemberAddress address, parse(text, "the address of a member", [](const Json& json) {
               return MemberAddress{json.at("host").get<std::string>(), json.at("port").get<int>()};
           }));
    // It goes into a connection string.
    const bool is_plain =
        !address.host.empty() && address.host.find_first_not_of("0123456789abcdefABCDEF.:") ==
                                     std::string::npos;
    if (!is_plain || address.port < 1 || address.port > 65535)
        return Error{ErrorCode::corrupt, "the address of a member is none"};
    return address;
}

std::string replication_name(const MemberId& member) {
    return member.incarnation + "@" + member.node;
}

std::optional<MemberId> member_of(std::string_view replication_name) {
    const std::size_t at = replication_name.find('@');
    if (at != 2 * kDirectoryIdBytes || at + 1 == replication_name.size()) return std::nullopt;
    const std::string_view directory = replication_name.substr(0, at);
    if (directory.find_first_not_of("0123456789abcdef") != std::string_view::npos)
        return std::nullopt;
    return MemberId{std::string(replication_name.substr(at + 1)), std::string(directory)};
}

std::string synchronous_names(const Members& members) {
    if (members.empty()) return "";
    std::vector<std::string> names;
    for (const MemberId& each : members) names.push_back("\"" + replication_name(each) + "\"");
    return fmt::format("{} ({})", names.size(), join(names, ", "));
}

std::string address_key(std::string_view server, std::string_view node) {
    return fmt::format("{}/{}", server, node);
}

std::string format_lsn(Lsn lsn) { return fmt::format("{:X}/{:X}", lsn >> 32, lsn & 0xffffffff); }

Result<Lsn> parse_lsn(std::string_view text) {
    const std::size_t slash = text.find('/');
    const auto half = [](std::string_view part, Lsn& value) {
        const auto [end, failed] = std::from_chars(part.begin(), part.end(), value, 16);
        return failed == std::errc() && end == part.end() &&
               value <= std::numeric_limits<std::uint32_t>::max();
    };
    Lsn high = 0, low = 0;
    if (slash == std::string_view::npos || !half(text.substr(0, slash), high) ||
        !half(text.substr(slash + 1), low))
        return Error{ErrorCode::corrupt, fmt::format("'{}' is no WAL position", text.substr(0, 40))};
    return high << 32 | low;
}

Result<HistoryLine> last_history_line(std::string_view content) {
    std::optional<HistoryLine> last;
    for (const std::string& line : split(content, '\n')) {
        const std::vector<std::string> parts = split(line, '\t');
        if (parts.size() < 2 || line.starts_with('#')) continue;
        const auto timeline = parse_integer(trim(parts[0]), 1, std::numeric_limits<int>::max());
        const auto at = parse_lsn(trim(parts[1]));
        if (timeline.ok() && at.ok()) last = HistoryLine{*timeline, *at};
    }
    if (last) return *last;
    return Error{ErrorCode::corrupt, "the history of a timeline cannot be read"};
}

}  // namespace howdah::agent
