#include "gateway/routes.h"

#include <fmt/core.h>

#include <optional>

#include "base/text.h"

namespace howdah::gateway {
namespace {

constexpr std::pair<std::string_view, RouteState> kStates[] = {
    {"open", RouteState::open},
    {"hold", RouteState::hold},
    {"closed", RouteState::closed},
};

std::optional<RouteState> parse_state(std::string_view text) {
    for (const auto& [name, state] : kStates) {
        if (name == text) return state;
    }
    return std::nullopt;
}

Error wrong(const model::Route& route, std::string_view field, std::string_view what) {
    return {ErrorCode::corrupt, fmt::format("route of '{}': {} {}", route.server_id, field, what),
            std::string(field)};
}

Result<Route> compile_route(const model::Route& from, const HostAddresses& host, CounterBook& book,
                            std::vector<std::string>& faults) {
    if (from.server_id.empty()) return wrong(from, "server_id", "is empty");
    if (from.port < 0 || from.port > 65535)
        return wrong(from, "port", fmt::format("{} is no port", from.port));
    const auto state = parse_state(from.state);
    if (!state) return wrong(from, "state", fmt::format("'{}' is unknown", from.state));
    auto backend = Address::parse(from.backend_address, from.backend_port);
    if (!backend.ok()) return wrong(from, "backend_address", backend.error().message);
    if (*state == RouteState::open && from.backend_port == 0)
        return wrong(from, "backend_port", "is missing in an open route");
    std::vector<std::string> firewall_faults;
    Route route{.server_id = from.server_id,
                .host_names = {},
                .port = static_cast<std::uint16_t>(from.port),
                .state = *state,
                .reason = from.reason,
                .backend = {*backend, from.postmaster_pid},
                .local_postmaster = host.contains(*backend) ? from.postmaster_pid : 0,
                .term = from.term,
                .major = from.major,
                .require_tls = from.require_tls,
                .firewall = Firewall(from.public_access, from.firewall_rules, firewall_faults),
                .counters = book.of(from.server_id, from.server_name)};
    for (const std::string& name : from.host_names) route.host_names.push_back(to_lower(name));
    for (const std::string& fault : firewall_faults)
        faults.push_back(fmt::format("'{}': {}", from.server_id, fault));
    return route;
}

}  // namespace

std::string_view to_string(RouteState state) {
    for (const auto& [name, each] : kStates) {
        if (each == state) return name;
    }
    return "?";
}

bool BackendIdentity::same_address(const BackendIdentity& other) const {
    return address.same_host(other.address) && address.port() == other.address.port();
}

bool BackendIdentity::may_be(const BackendIdentity& other) const {
    if (!same_address(other)) return false;
    return postmaster_pid == 0 || other.postmaster_pid == 0 ||
           postmaster_pid == other.postmaster_pid;
}

Result<std::shared_ptr<const Routes>> Routes::compile(const model::RouteTable& table,
                                                      CounterBook& book,
                                                      std::vector<std::string>& faults) {
    auto routes = std::make_shared<Routes>();
    routes->revision_ = table.revision;
    routes->host_ = HostAddresses::read();
    routes->routes_.reserve(table.routes.size());
    for (const model::Route& each : table.routes) {
        HD_TRY(Route route, compile_route(each, routes->host_, book, faults));
        routes->routes_.push_back(std::move(route));
    }
    routes->index(faults);
    return std::shared_ptr<const Routes>(std::move(routes));
}

std::shared_ptr<const Routes> Routes::none() { return std::make_shared<const Routes>(); }

void Routes::index(std::vector<std::string>& faults) {
    const auto taken = [&faults](const Route& route, const auto& key, const Route* holder) {
        faults.push_back(fmt::format("'{}': '{}' belongs to '{}' already", route.server_id, key,
                                     holder->server_id));
    };
    for (Route& route : routes_) {
        const auto [same_id, fresh] = by_id_.try_emplace(route.server_id, &route);
        if (!fresh) {
            taken(route, route.server_id, same_id->second);
            route.port = 0;
            continue;
        }
        for (const std::string& name : route.host_names) {
            const auto [found, added] = by_name_.try_emplace(name, &route);
            if (!added && found->second != &route) taken(route, name, found->second);
        }
        if (route.port != 0) {
            const auto [found, added] = by_port_.try_emplace(route.port, &route);
            if (!added) {
                taken(route, route.port, found->second);
                route.port = 0;
            }
        }
        const std::int64_t pid = route.local_postmaster;
        if (pid != 0) by_postmaster_.try_emplace(pid, &route);
    }
}

const Route* Routes::by_name(std::string_view host_name) const {
    const auto found = by_name_.find(host_name);
    return found == by_name_.end() ? nullptr : found->second;
}

const Route* Routes::by_port(std::uint16_t port) const {
    const auto found = by_port_.find(port);
    return found == by_port_.end() ? nullptr : found->second;
}

const Route* Routes::by_id(const std::string& server_id) const {
    const auto found = by_id_.find(server_id);
    return found == by_id_.end() ? nullptr : found->second;
}

const Route* Routes::by_postmaster(std::int64_t pid) const {
    const auto found = by_postmaster_.find(pid);
    return found == by_postmaster_.end() ? nullptr : found->second;
}

}  // namespace howdah::gateway
