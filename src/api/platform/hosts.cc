#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/paging.h"
#include "api/platform/routes.h"
#include "base/text.h"
#include "control/fleet/joining.h"
#include "model/json.h"
#include "store/keys.h"

// The machines that servers run on, and how another one is added.

namespace howdah::api::platform {
namespace {

constexpr std::string_view kType = "Howdah.Platform/hosts";
constexpr std::size_t kNameBytesMax = 63;
constexpr std::size_t kZoneBytesMax = 16;

bool is_word(std::string_view text, std::size_t bytes_max) {
    if (text.empty() || text.size() > bytes_max || text.front() == '-') return false;
    for (const char c : text) {
        const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '.';
        if (!good) return false;
    }
    return true;
}

Json host_json(const model::HostReport& report, bool is_silent) {
    Json engines = Json::array();
    for (const model::Engine& each : report.engines) engines.push_back(each.version);
    Json lacks = Json::array();
    for (const model::Capability& each : report.capabilities)
        if (!each.available) lacks.push_back({{"name", each.name}, {"reason", each.reason}});
    return {{"id", fmt::format("/providers/{}/{}", kType, report.host)},
            {"name", report.host},
            {"type", kType},
            {"properties",
             {{"hostName", report.name},
              {"availabilityZone", report.zone},
              {"state", is_silent ? "Silent" : "Ready"},
              {"address", report.address},
              {"gatewayPort", report.gateway_port},
              {"poolerPort", report.pooler_port},
              {"cpus", report.cpus},
              {"memoryMB", report.memory_mb},
              {"diskGB", report.disk_gb},
              {"diskFreeGB", report.disk_free_gb},
              {"engines", std::move(engines)},
              {"lacks", std::move(lacks)}}}};
}

Result<Json> shown(const Call& call, const store::Entry& entry) {
    HD_TRY(const auto report, model::from_json<model::HostReport>(entry.value));
    HD_TRY(const auto silent, call.context.store.get(store::keys::silent(report.host)));
    return host_json(report, silent.has_value());
}

}  // namespace

Answer list_hosts(Call& call) {
    HD_TRY(const Page page, read_page(call, store::keys::host("")));
    Json values = Json::array();
    for (const store::Entry& each : page.entries) {
        HD_TRY(Json host, shown(call, each));
        values.push_back(std::move(host));
    }
    return json_answer(200, list_body(std::move(values), page.next_link));
}

Answer get_host(Call& call) {
    const std::string& name = call.parameter("hostName");
    HD_TRY(const auto entry, call.context.store.get(store::keys::host(to_lower(name))));
    if (!entry)
        return Error{ErrorCode::not_found, fmt::format("there is no host '{}'", name.substr(0, 64)),
                     "hostName", "use an id that the list of hosts shows"};
    HD_TRY(const Json host, shown(call, *entry));
    return json_answer(200, host);
}

Answer invite_host(Call& call) {
    const std::string& name = call.parameter("hostName");
    if (!is_word(name, kNameBytesMax))
        return Error{ErrorCode::invalid_argument,
                     fmt::format("'{}' is no name of a host", name.substr(0, 64)), "hostName",
                     "use up to 63 letters, digits, dots and hyphens"};
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    std::string zone = "1";
    if (std::optional<Reader> properties = body.object("properties")) {
        zone = properties->text("availabilityZone").value_or(zone);
        properties->finish();
    }
    body.finish();
    if (problem) return *problem;
    if (!is_word(zone, kZoneBytesMax))
        return Error{ErrorCode::invalid_argument,
                     fmt::format("'{}' is no availability zone", zone.substr(0, 64)),
                     "properties.availabilityZone", "use up to 16 letters and digits: 1"};
    if (call.context.joining == nullptr)
        return Error{ErrorCode::not_supported, "no machine can join this Howdah"};
    HD_TRY(const auto invitation, call.context.joining->invite(name, zone));
    return json_answer(200, {{"name", name},
                             {"properties",
                              {{"availabilityZone", zone},
                               {"ticket", invitation.ticket},
                               {"expiresAt", invitation.expires_at}}}});
}

}  // namespace howdah::api::platform
