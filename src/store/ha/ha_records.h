#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "store/etcd/etcd_options.h"

/// What agents agree on for failovers, without howdahd (RULES HA 23).
namespace howdah::store {

/// The records of all highly available servers of one machine (sqlite) or several (etcd): one text
/// for each, changed by compare-and-swap alone, and one lease counter for each agent. Each agent
/// opens them itself.
///
/// GUARANTEES: a replace() that returned is on disk (etcd: of most members), whatever dies; a
/// read() that began afterwards, anywhere, sees it. One that failed with `timeout` may have
/// happened: read before going on. A renewal may be forgotten in a power failure, which is
/// harmless: a counter only has to move while its agent lives.
///
/// Every call waits a bounded time for others (kWaitMaxMs) and then fails with `unavailable`:
/// nothing happened. Thread-safe; with sqlite calls of one object wait for each other.
class HaRecords {
  public:
    static constexpr int kWaitMaxMs = 300;
    static constexpr std::size_t kRecordBytesMax = 64 << 10;
    static constexpr std::size_t kNameBytesMax = 256;

    virtual ~HaRecords() = default;

    /// Tells that a record may have been changed, by whomever. Renewals do not count. It may be
    /// silent about a change (its writer was killed): whoever must not miss any reads now and then.
    /// One thread; it may outlive the records.
    class Bell {
      public:
        virtual ~Bell() = default;
        virtual int fd() const = 0;  ///< readable when it has rung
        virtual void clear() = 0;    ///< before the records are read
    };
    /// None: these records have no bell.
    virtual std::unique_ptr<Bell> bell() { return nullptr; }

    struct Seen {
        std::int64_t revision = 0;  ///< 0: there is no record
        std::string record;
        std::map<std::string, std::int64_t> leases;  ///< of all agents, by name
    };
    /// The record of a server and all leases, as they were at one moment.
    virtual Result<Seen> read(std::string_view server) = 0;
    /// The lease of an agent, with the counter that it was seen to have.
    struct Lease {
        std::string agent;
        std::int64_t counter = 0;
    };
    /// The new revision. ErrorCode::conflict unless the record still has this revision (0: unless
    /// there is none), and unless the lease, if one is given, has not moved: who takes over because
    /// of a silent lease must not pass a renewal on its way. invalid_argument beyond the bounds
    /// above.
    virtual Result<std::int64_t> replace(std::string_view server, std::int64_t revision,
                                         std::string_view record,
                                         const std::optional<Lease>& silent = std::nullopt) = 0;
    /// Removes the record under the same condition. Its revisions are never used again.
    virtual Status remove(std::string_view server, std::int64_t revision) = 0;
    /// Moves the counter of an agent on, to any greater number. A renewal that reaches the records
    /// after somebody took over is no lease: read() behind it, and count it only for servers that
    /// are still the agent's.
    virtual Status renew(std::string_view agent) = 0;
    /// Forgets the counter of an agent that is gone for ever.
    virtual Status forget(std::string_view agent) = 0;
};

/// An SQLite file (mode 0600) that the agents of one machine share; its folder must exist. Errors:
/// not_supported for a file of a newer program, corrupt for a damaged one or one that is not ours.
Result<std::unique_ptr<HaRecords>> open_ha_records(const std::string& path);

/// In an etcd, which the agents of several machines share. Opening asks nobody: without etcd the
/// calls fail. Errors of every call: not_supported for records of a newer program, corrupt for
/// answers that cannot be of this etcd, or when it has lost what it had acknowledged; then it may
/// or may not have happened. Each call waits `wait_max` at most. `clock` must outlive it.
Result<std::unique_ptr<HaRecords>> open_ha_records(
    const EtcdOptions& options, const Clock& clock,
    Duration wait_max = std::chrono::milliseconds(HaRecords::kWaitMaxMs));

}  // namespace howdah::store
