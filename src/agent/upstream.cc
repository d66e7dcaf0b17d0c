#include "agent/upstream.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"
#include "model/json.h"
#include "os/file.h"
#include "os/process.h"

namespace howdah::agent {
namespace {

constexpr std::size_t kRoutesBytesMax = 64U << 20;

/// Words of pg_controldata, and the parameters they are about.
constexpr std::pair<std::string_view, std::string_view> kMinimums[] = {
    {"max_connections setting", "max_connections"},
    {"max_worker_processes setting", "max_worker_processes"},
    {"max_wal_senders setting", "max_wal_senders"},
    {"max_prepared_xacts setting", "max_prepared_transactions"},
    {"max_locks_per_xact setting", "max_locks_per_transaction"},
};

int rank_of(const model::Route& route) {
    if (route.state == "open") return 2;
    return route.state == "hold" ? 1 : 0;
}

}  // namespace

std::optional<MemberAddress> find_upstream(const Layout& layout, const std::string& server_id) {
    std::optional<model::Route> best;
    const std::string folder = layout.home + "/gateway";
    for (const std::string& name : os::list_folder(folder).value_or({})) {
        if (!name.ends_with(".json")) continue;
        const auto text = os::read_file(fmt::format("{}/{}", folder, name), kRoutesBytesMax);
        // Most files have nothing of it, and to parse them all costs.
        if (!text.ok() || text->find(server_id) == std::string::npos) continue;
        const auto table = model::from_json<model::RouteTable>(*text);
        if (!table.ok()) continue;
        for (const model::Route& each : table->routes) {
            if (each.server_id != server_id || each.backend_port == 0) continue;
            const bool is_better = !best || std::pair(each.term, rank_of(each)) >
                                                std::pair(best->term, rank_of(*best));
            if (is_better) best = each;
        }
    }
    if (!best) return std::nullopt;
    return MemberAddress{best->backend_address, static_cast<int>(best->backend_port)};
}

Result<std::map<std::string, std::int64_t>> standby_minimums(const std::string& programs,
                                                             const std::string& data) {
    HD_TRY(const os::Finished shown, os::run({.arguments = {programs + "/pg_controldata", data},
                                              .environment = {"LC_ALL=C"}}));
    if (!shown.succeeded())
        return Error{ErrorCode::corrupt, "the control file cannot be read: " + shown.describe()};
    std::map<std::string, std::int64_t> minimums;
    for (const std::string& line : split(shown.output, '\n')) {
        const std::size_t colon = line.find(':');
        if (colon == std::string::npos) continue;
        const std::string_view name = std::string_view(line).substr(0, colon);
        for (const auto& [word, parameter] : kMinimums) {
            if (name != word) continue;
            HD_TRY(const std::int64_t value,
                   parse_integer(trim(std::string_view(line).substr(colon + 1)), 0, 1 << 30));
            minimums.emplace(parameter, value);
        }
    }
    return minimums;
}

}  // namespace howdah::agent
