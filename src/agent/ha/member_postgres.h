#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/config/render.h"
#include "agent/ha/member_state.h"
#include "agent/postmaster.h"
#include "base/clock.h"
#include "base/result.h"
#include "core/ha/ha.h"
#include "os/file.h"
#include "pg/connection.h"

namespace howdah::agent {

/// Whom a standby follows.
struct Upstream {
    core::ha::MemberId id;
    MemberAddress address;
};

/// What of PostgreSQL's configuration the rules of high availability decide.
struct HaSettings {
    core::ha::MemberId self;
    core::ha::Members sync_names;      ///< whom commits wait for, on a primary
    std::optional<Upstream> upstream;  ///< of a standby; none: it follows nobody
    std::string pass_file;             ///< of kReplicationRole
};
/// For primary_conninfo: how a role of another PostgreSQL is connected to. Pure.
std::string replication_conninfo(const MemberAddress& address, std::string_view role,
                                 const std::string& pass_file);
/// The text of kHaConf. Pure.
std::string ha_conf(const HaSettings& settings);

/// PostgreSQL of one member as the rules see it and act on it. Nothing here decides. Every call is
/// bounded by the durations below, but for clone(). Not thread-safe.
class MemberPostgres {
  public:
    static constexpr Duration kLookMax = std::chrono::milliseconds(250);
    static constexpr Duration kCloneMax = std::chrono::hours(48);
    static constexpr Duration kCheckpointMax = std::chrono::minutes(30);
    static constexpr Duration kWalDumpMax = std::chrono::seconds(20);

    struct Options {
        Postmaster::Options postmaster;
        std::string programs;  ///< folder of pg_basebackup and pg_controldata
        int port = 0;
        std::string pass_file;
        std::optional<os::Owner> config_owner;  ///< of kHaConf
    };

    MemberPostgres(Options options, const Clock& clock)
        : options_(std::move(options)), postmaster_(options_.postmaster, clock) {}

    struct Sender {
        core::ha::MemberId id;
        core::ha::Lsn flushed = 0;
        bool is_waited_for = false;  ///< by its own word (sync_priority)
    };
    struct Facts {
        core::ha::Postgres postgres = core::ha::Postgres::absent;
        PostmasterId run;           ///< of the postmaster
        bool is_ready = false;      ///< by its own files it lets clients in
        bool is_stopping = false;   ///< by its own files
        bool answers = false;       ///< all below is known
        core::ha::Lsn end = 0;      ///< a primary: inserted; a standby: received or replayed
        core::ha::Lsn flushed = 0;  ///< a primary
        int receiver_pid = 0;       ///< a standby; 0: nothing is received
        bool replay_is_paused = false;
        std::string sync_names;  ///< as PostgreSQL has loaded them
        std::vector<Sender> senders;
    };
    Facts look();

    /// Ends what is left of the run before, writes kHaConf and starts; does not wait until it is
    /// ready. A primary has no standby.signal, a standby has one.
    Status start(const HaSettings& settings, bool as_primary);
    /// Writes kHaConf and lets PostgreSQL read it.
    Status configure(const HaSettings& settings);
    /// Asks for the promotion of a running standby; look() tells when it has happened.
    Status promote();
    Status end_receiver(int pid);
    Status stop_now();
    /// Asks for a stop with a last checkpoint, and with everything sent to the standbys. That takes
    /// as long as it takes (RULES HA 19); look() tells when it is over.
    Status begin_clean_stop();
    /// Every directory that does not run is one of a standby: whoever starts it by mistake gets no
    /// second primary (RULES HA 17).
    Status mark_standby();

    /// From this moment on the configuration that is loaded is in force for every commit: waits for
    /// a checkpoint (RULES HA 4), then tells where the WAL ends. Opens a session of its own; may be
    /// called beside the others. A stop breaks it off.
    Result<core::ha::Lsn> prove_wait(std::stop_token stop) const;

    /// Removes what clone() has kept. May be called beside look().
    Status remove_old() const;
    bool has_old() const;
    std::string old_folder() const;

    /// Replaces the directory by a copy of another member's; the old one is kept as "data.old".
    /// One that is kept already gives way to a former primary's only: what else there is was copied
    /// itself. REQUIRES: stopped. May be called beside look(), which must not see a directory
    /// meanwhile.
    Status clone(const MemberAddress& from, bool was_primary, std::stop_token stop) const;

    /// How much WAL of a timeline the directory has from `from` on; none if that cannot be told.
    /// REQUIRES: stopped.
    std::optional<std::int64_t> bytes_since(std::int64_t timeline, core::ha::Lsn from,
                                            std::stop_token stop) const;

    /// The newest timeline that the directory knows of, and where it left the one before; zeros if
    /// there is but one.
    Result<HistoryLine> newest_switch() const;
    std::int64_t newest_timeline() const;
    /// Where the checkpoint of a clean shutdown is; none if it was not shut down cleanly.
    std::optional<core::ha::Lsn> shutdown_checkpoint() const;

    std::string last_words() const { return postmaster_.log_tail(); }  ///< of a failed start
    int watch_fd() const { return postmaster_.watch_fd(); }
    const InstancePaths& paths() const { return options_.postmaster.paths; }

  private:
    Status write_conf(const HaSettings& settings);
    bool ask(Facts& facts);
    bool is_stopped_by_signal() const;
    std::optional<os::Owner> data_owner() const;

    Options options_;
    Postmaster postmaster_;
    std::optional<pg::Connection> session_;
    PostmasterId session_run_;
};

}  // namespace howdah::agent
