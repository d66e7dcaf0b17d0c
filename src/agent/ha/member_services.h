#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "agent/ha/disk_watch.h"
#include "agent/ha/lease_keeper.h"
#include "agent/layout.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "os/supervisor.h"
#include "store/ha/ha_records.h"

namespace howdah::agent {

/// What all members of an agent share: the records, the agent's one lease, and the fence, a process
/// of its own that outlives the agent (Fence). Nothing of it runs before the first member is there.
/// Thread-safe.
class MemberServices {
  public:
    struct Options {
        Layout layout;
        std::string node;  ///< names the lease
        /// howdah-fence; empty: there is none (tests that kill agents in their own process).
        std::string fence_program;
        /// Where the records are; none: in a file of this machine.
        std::optional<store::EtcdOptions> etcd = {};
    };

    /// `clock` and `ids` are borrowed.
    MemberServices(Options options, IdSource& ids, const Clock& clock)
        : options_(std::move(options)), ids_(ids), clock_(clock) {}

    /// Opens the records, begins to renew the lease, and keeps the fence running from now on. May
    /// be repeated. What it gives lives as long as this object.
    Status begin();
    // REQUIRES: begin() has returned ok.
    store::HaRecords& records() { return *records_; }
    const LeaseKeeper& lease() const { return *lease_; }
    /// Of members' folders: one that hangs lets the lease run out.
    DiskWatch& disks() { return disks_; }
    IdSource& ids() { return ids_; }

    /// The password that the members of a server replicate with; whoever asks first makes it.
    Result<std::string> replication_password(const std::string& server);
    /// After the last member is gone.
    Status forget_password(const std::string& server);

  private:
    void keep_fence(std::stop_token stop);

    const Options options_;
    IdSource& ids_;
    const Clock& clock_;
    std::mutex mutex_;
    std::unique_ptr<store::HaRecords> records_;  ///< set once, guarded by mutex_ until then
    DiskWatch disks_;
    std::optional<LeaseKeeper> lease_;  ///< likewise
    std::jthread lease_thread_;
    std::jthread fence_thread_;
};

}  // namespace howdah::agent
