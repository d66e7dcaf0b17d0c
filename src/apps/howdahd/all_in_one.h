#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "apps/howdahd/home.h"
#include "base/clock.h"
#include "os/fd.h"
#include "os/supervisor.h"
#include "store/etcd/etcd_options.h"

namespace howdah::howdahd {

/// What a machine needs to be one of several.
struct SeveralMachines {
    std::string address;         ///< where the others reach this one; empty: there are no others
    std::string gateway_source;  ///< see source()
    store::EtcdOptions etcd;

    /// Where this gateway's connections to other machines come from.
    const std::string& source() const { return gateway_source.empty() ? address : gateway_source; }
};

/// Where clients of the databases connect to.
struct Listening {
    std::string gateway_address = "127.0.0.1";
    std::uint16_t gateway_port = 5432;    ///< 0: any free one
    bool gateway_port_may_differ = true;  ///< another one when it is taken
    std::uint16_t pooler_port = 6432;     ///< 0: any free one
    bool pooler_port_may_differ = true;
};

struct AllInOneOptions {
    Home home;
    SeveralMachines several;
    std::string programs;  ///< folder of howdah-agent, howdah-gateway and howdah_guard-*.so
    struct Agent {
        std::string host_id;
        std::string zone;
        std::string name = {};  ///< for people; empty: the system's
        /// One that already runs was given another URL or certificate, or is of a time when it
        /// checked less: it is restarted once.
        bool is_stale = false;
    };
    std::vector<Agent> agents;  ///< each is a host of its own to the control plane
    std::string agent_url;      ///< where they reach the fleet
    Listening listening;
    std::string repository;  ///< folder of the servers' backups; empty: there are none
    double prove_every = 0;  ///< days
    int prepared_directories = 2;
    bool is_gateway_stale = false;  ///< as that of an agent
};

/// Keeps agents, a gateway and a pooler running on the machine of a howdahd or a howdah-host. They
/// outlive it and are adopted by the next one. Not thread-safe: the main loop owns it.
class AllInOne {
  public:
    /// `known_gateway_port` is the port the gateway listened on before; it is asked for again.
    AllInOne(AllInOneOptions options, std::uint16_t known_gateway_port);

    /// Starts and restarts what is due; returns when to call again at the latest.
    Instant step(Instant now);
    /// Each is readable when one of them has ended.
    std::vector<int> watch_fds() const;
    /// Agents have new certificates: they begin anew, and PostgreSQL goes on.
    void restart_agents();
    /// The port the gateway listens on; 0 until it has said so.
    std::uint16_t gateway_port() const { return gateway_port_; }

  private:
    os::Daemon gateway_daemon() const;
    os::Daemon agent_daemon(int number) const;
    os::Daemon pooler_daemon() const;
    bool wants_pooler(Instant now);
    void read_gateway_status();

    AllInOneOptions options_;
    std::uint16_t gateway_port_ = 0;
    os::Supervisor gateway_;
    os::Supervisor pooler_;
    bool is_pooler_wanted_ = false;
    Instant pooler_look_{};  ///< when to look again whether one is
    /// Made once the gateway's port is known, because agents report it.
    std::vector<os::Supervisor> agents_;
};

/// Calls `step`, which returns when to be called again at the latest, then and whenever one of
/// `watched()` is readable. Until `termination` is.
void run_until(const os::Fd& termination, const Clock& clock,
               const std::function<Instant(Instant now)>& step,
               const std::function<std::vector<int>()>& watched);

}  // namespace howdah::howdahd
