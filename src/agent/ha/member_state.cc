#include "agent/ha/member_state.h"

#include <fmt/core.h>

#include <limits>

#include "base/text.h"
#include "core/lsn.h"
#include "model/json.h"

namespace howdah::agent {
namespace {

using core::format_lsn;
using core::Lsn;
using core::parse_lsn;
using core::ha::MemberId;
using core::ha::Members;
using core::ha::Record;
using core::ha::Switch;
using core::ha::Timelines;

// ---------------------------------------------------------------------------------------------
// Between what the rules use and what is written

model::HaMemberId written(const MemberId& id) { return {id.node, id.incarnation}; }
MemberId read(const model::HaMemberId& id) { return {id.node, id.directory}; }

std::vector<model::HaMemberId> written(const Members& members) {
    std::vector<model::HaMemberId> all;
    for (const MemberId& each : members) all.push_back(written(each));
    return all;
}

Members read(const std::vector<model::HaMemberId>& members) {
    Members all;
    for (const model::HaMemberId& each : members) all.insert(read(each));
    return all;
}

std::vector<model::HaSwitch> written(const Timelines& timelines) {
    std::vector<model::HaSwitch> all;
    for (const Switch& each : timelines) all.push_back({each.term, format_lsn(each.at)});
    return all;
}

Result<Timelines> read(const std::vector<model::HaSwitch>& timelines) {
    Timelines all;
    for (const model::HaSwitch& each : timelines) {
        HD_TRY(const Lsn at, parse_lsn(each.at));
        all.push_back({each.term, at});
    }
    return all;
}

model::HaRecord written(const Record& record) {
    model::HaRecord all{.term = record.term,
                        .primary = written(record.primary),
                        .sync_set = written(record.sync_set),
                        .timelines = written(record.timelines),
                        .given_up = written(record.given_up),
                        .wants_standby = record.wants_standby};
    if (record.successor) all.successor = written(*record.successor);
    return all;
}

Result<Record> read(const model::HaRecord& record) {
    if (record.term < 1 || record.primary.node.empty())
        return Error{ErrorCode::corrupt, "the record of a server says nothing"};
    HD_TRY(Timelines timelines, read(record.timelines));
    Record all{.term = record.term,
               .primary = read(record.primary),
               .sync_set = read(record.sync_set),
               .timelines = std::move(timelines),
               .given_up = read(record.given_up),
               .wants_standby = record.wants_standby};
    if (record.successor) all.successor = read(*record.successor);
    return all;
}

}  // namespace

std::string to_text(const Record& record) { return model::to_json(written(record)); }

Result<Record> record_from_text(std::string_view text) {
    HD_TRY(const auto record, model::from_json<model::HaRecord>(text));
    return read(record);
}

std::string to_text(const MemberState& state) {
    model::HaMemberState all{.directory = state.directory,
                             .timelines = written(state.timelines),
                             .was_primary = state.was_primary,
                             .promoting = state.promoting,
                             .promoting_from = state.promoting_from,
                             .known_revision = state.known_revision,
                             .doubt_base = state.doubt_base,
                             .doubt_names = written(state.doubt_names),
                             .proved_pid = state.proved_pid,
                             .proved_ticks = state.proved_ticks,
                             .proved_names = written(state.proved_names)};
    if (state.known) all.known = written(*state.known);
    return model::to_json(all);
}

Result<MemberState> member_state_from_text(std::string_view text) {
    HD_TRY(const auto all, model::from_json<model::HaMemberState>(text));
    HD_TRY(Timelines timelines, read(all.timelines));
    MemberState state{.directory = all.directory,
                      .timelines = std::move(timelines),
                      .was_primary = all.was_primary,
                      .promoting = all.promoting,
                      .promoting_from = all.promoting_from,
                      .known_revision = all.known_revision,
                      .doubt_base = all.doubt_base,
                      .doubt_names = read(all.doubt_names),
                      .proved_pid = all.proved_pid,
                      .proved_ticks = all.proved_ticks,
                      .proved_names = read(all.proved_names)};
    if (all.known) {
        HD_TRY(state.known, read(*all.known));
    }
    return state;
}

std::string to_text(const MemberAddress& address) {
    return model::to_json(model::HaAddress{address.host, address.port});
}

Result<MemberAddress> member_address_from_text(std::string_view text) {
    HD_TRY(const auto address, model::from_json<model::HaAddress>(text));
    // It goes into a connection string.
    const bool is_plain =
        !address.host.empty() &&
        address.host.find_first_not_of("0123456789abcdefABCDEF.:") == std::string::npos;
    if (!is_plain || address.port < 1 || address.port > 65535)
        return Error{ErrorCode::corrupt, "the address of a member is none"};
    return MemberAddress{address.host, static_cast<int>(address.port)};
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

Members members_of(std::string_view synchronous_names) {
    Members members;
    const std::vector<std::string> parts = split(synchronous_names, '"');
    for (std::size_t i = 1; i < parts.size(); i += 2)
        if (const auto id = member_of(parts[i])) members.insert(*id);
    return members;
}

std::string address_key(std::string_view server, std::string_view node) {
    return fmt::format("{}/{}", server, node);
}

std::string password_key(std::string_view server) { return fmt::format("{}/password", server); }

std::optional<std::int64_t> wal_bytes_counted(std::string_view output, std::string_view errors,
                                              Lsn from) {
    if (errors.find("could not find a valid record after") != std::string_view::npos) return 0;
    // "WAL statistics between 0/1552B70 and 0/16056A0:"; before PostgreSQL 15 there is no such
    // line.
    constexpr std::string_view kBefore = "WAL statistics between ";
    constexpr std::string_view kAnd = " and ";
    if (!output.starts_with(kBefore)) return std::nullopt;
    const std::string_view line = output.substr(0, output.find('\n'));
    const std::size_t at = line.find(kAnd);
    if (at == std::string_view::npos || !line.ends_with(':')) return std::nullopt;
    const std::string_view text = line.substr(at + kAnd.size());
    const auto end = parse_lsn(text.substr(0, text.size() - 1));
    if (!end.ok() || *end < from) return std::nullopt;
    return static_cast<std::int64_t>(*end - from);
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
