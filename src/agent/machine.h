#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/engines.h"
#include "agent/layout.h"
#include "agent/neighbours.h"
#include "base/clock.h"
#include "base/id.h"
#include "core/backup/repository_place.h"
#include "model/records.h"
#include "os/cgroup.h"

namespace howdah::agent {

struct MachineOptions {
    Layout layout;
    std::string host_id;
    std::string host_name;  ///< for people; empty: as the system calls the machine
    std::string zone = "1";
    std::string gateway_address = "127.0.0.1";
    std::int64_t gateway_port = 0;
    /// Holds howdah_guard-<major>.so. An engine without one is not offered and not started.
    std::string guard_folder;
    std::string gateway_source = std::string(model::kGatewaySource);  ///< see there
    std::int64_t token_port = 0;  ///< of TokenLogins; 0: no server takes tokens
    /// IPv4 address that standbys on other hosts stream from, and where they find a primary.
    std::string member_address = "127.0.0.1";
    /// Where the servers' backups are kept; empty: there are none, and no WAL is archived.
    core::backup::RepositoryPlace repository;
    std::string archive_program;              ///< howdah-archive
    Duration prove_every = Duration::zero();  ///< a server's backups are tried; zero: when asked
    const Neighbours* neighbours = nullptr;   ///< borrowed; none: there is this machine alone
};

/// What this machine has: engines, limits, users. Found once; then immutable and thread-safe.
class Machine {
  public:
    explicit Machine(MachineOptions options);

    const MachineOptions& options() const { return options_; }
    const Layout& layout() const { return options_.layout; }
    const std::vector<InstalledEngine>& engines() const { return engines_; }
    const InstalledEngine* engine(const std::string& major) const;
    /// Absolute path of the guard module for a major; empty if there is none. It is a copy in the
    /// home, where every user can read it, and which stays when the programs are moved or replaced.
    std::string guard_path(const std::string& major) const;
    /// Whether WAL and backups are kept here.
    bool keeps_backups() const { return keeps_backups_; }
    /// Where this machine's pooled servers are reached now; 0: there are none.
    std::int64_t pooler_port() const;
    const os::Cgroups* cgroups() const { return cgroups_ ? &*cgroups_ : nullptr; }
    const std::string& user_name() const { return user_name_; }  ///< whom the agent runs as
    /// `surveys` are the engines that were surveyed so far.
    model::HostReport report(std::vector<model::Engine> surveys) const;

  private:
    std::vector<model::Capability> capabilities() const;
    void install_guards() const;
    void install_archive_program() const;

    MachineOptions options_;
    std::vector<InstalledEngine> engines_;
    bool keeps_backups_ = false;
    std::optional<os::Cgroups> cgroups_;
    std::string cgroups_reason_;
    std::string user_name_;
};

}  // namespace howdah::agent
