#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "gateway/address.h"
#include "gateway/counters.h"
#include "gateway/firewall.h"
#include "model/records.h"

namespace howdah::gateway {

enum class RouteState { open, hold, closed };
std::string_view to_string(RouteState state);

/// Which PostgreSQL a session was connected to. When it changes, the old sessions have no business
/// going on: the server was failed over, moved or started anew.
struct BackendIdentity {
    Address address;
    std::int64_t postmaster_pid = 0;  ///< 0: unknown

    /// False only if they are certainly different ones.
    bool may_be(const BackendIdentity& other) const;
    bool same_address(const BackendIdentity& other) const;
};

/// The way to one server.
struct Route {
    std::string server_id;
    std::vector<std::string> host_names;
    std::uint16_t port = 0;  ///< own listening port; 0: none
    RouteState state = RouteState::hold;
    std::string reason;
    BackendIdentity backend;
    std::int64_t local_postmaster = 0;  ///< its pid; 0: unknown, or of another machine
    model::Term term = 0;               ///< 0: never was highly available
    std::int64_t major = 0;
    bool require_tls = true;
    Firewall firewall;
    std::shared_ptr<Counters> counters;
};

/// A route table made ready for look-ups. Immutable; shared by the threads as a snapshot.
class Routes {
  public:
    /// Fails on a field that makes no sense, naming it: then the caller keeps the table it has.
    /// What concerns one server alone is left out and described in `faults`: a firewall rule that
    /// is no range, a name or port that another server has already.
    static Result<std::shared_ptr<const Routes>> compile(const model::RouteTable& table,
                                                         CounterBook& book,
                                                         std::vector<std::string>& faults);
    /// What is in force before any table was read.
    static std::shared_ptr<const Routes> none();

    // All return nullptr if there is none. The pointer lives as long as this table.
    const Route* by_name(std::string_view host_name) const;  ///< REQUIRES: lower case
    const Route* by_port(std::uint16_t port) const;
    const Route* by_id(const std::string& server_id) const;
    const Route* by_postmaster(std::int64_t pid) const;

    const std::vector<Route>& all() const { return routes_; }
    const HostAddresses& host() const { return host_; }
    std::int64_t revision() const { return revision_; }

  private:
    void index(std::vector<std::string>& faults);

    std::vector<Route> routes_;
    std::unordered_map<std::string_view, const Route*> by_name_;
    std::unordered_map<std::string_view, const Route*> by_id_;
    std::unordered_map<std::uint16_t, const Route*> by_port_;
    std::unordered_map<std::int64_t, const Route*> by_postmaster_;
    HostAddresses host_;
    std::int64_t revision_ = 0;
};

}  // namespace howdah::gateway
