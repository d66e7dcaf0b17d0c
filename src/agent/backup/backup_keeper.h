#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/backup/archive_door.h"
#include "agent/backup/pgbackrest.h"
#include "agent/backup/repository_notes.h"
#include "agent/layout.h"
#include "base/clock.h"
#include "base/result.h"
#include "model/backups.h"

namespace howdah::agent {

/// What an instance's backups need to know of it.
struct BackupServer {
    std::string incarnation;  ///< names its stanza
    std::string server_id;
    std::string folder;  ///< of the agent alone; holds the key, configuration, what is remembered
    std::string key_path;
    std::string data;
    std::string socket_folder;
    int port = 0;
    os::User user;  ///< whom its PostgreSQL runs as
    std::int64_t retention_days = 7;
    /// The stanza that it is being restored from, by the configuration in restore_folder(folder);
    /// empty: it is not.
    std::string restores_from;
    bool is_primary = false;  ///< it runs, takes commits, and its WAL is to be kept
    bool is_standby = false;  ///< its WAL is its primary's to archive
    bool has_own = true;      ///< false: a copy or a read replica, which has no backups of its own
};

/// What a user wants of the backups of a server.
struct BackupOrder {
    std::string name;
    bool is_drop = false;
    std::function<void(const Status&)> done;
};

inline std::string restore_folder(const std::string& folder) { return folder + "/source"; }

/// Backs up the servers of one machine into a repository, with pgBackRest: takes their WAL, makes
/// the backups that are due, lets old ones go, and says what can be restored. core/backup decides;
/// the control plane is not asked.
///
/// Each server has a heartbeat: a commit every minute, so that a time that was asked for has one
/// behind it also on an idle server. One backup at a time is made on a machine. Thread-safe.
class BackupKeeper {
  public:
    struct Options {
        core::backup::RepositoryPlace repository;
        std::string used_path;     ///< of the agent's own: remembers that it was used
        std::string notes_folder;  ///< likewise; for RepositoryNotes
        std::string gone_folder;   ///< has a file for each deleted server, by its stanza
        std::string program = std::string(kPgBackRest);
        int processes = 1;
        /// Where the instances of all agents that share the repository are.
        std::vector<std::string> instance_folders;
    };
    static constexpr Duration kBeatEvery = std::chrono::seconds(60);
    static constexpr Duration kLookEvery = std::chrono::minutes(10);
    static constexpr Duration kLookAgain = std::chrono::seconds(10);  ///< after trouble
    static constexpr Duration kSweepEvery = std::chrono::hours(1);
    /// A day more than a deleted server is offered, so that whoever is restored from it can end.
    static constexpr Duration kDroppedKeep = std::chrono::hours(8 * 24);
    static constexpr std::size_t kMarksMax = 1500;
    static constexpr std::size_t kTroubleBytesMax = 800;
    static constexpr std::size_t kReportedMax = 500;  ///< spans, and backups: the newest
    static constexpr int kBackupNice = 10;
    static constexpr std::size_t kVisitsMax = 64;   ///< threads at a time
    static constexpr std::ptrdiff_t kLooksMax = 4;  ///< of them with a pgBackRest
    static constexpr std::size_t kOrdersMax = 16;   ///< of a server, that wait
    static constexpr std::size_t kDamagesMax = 10;
    static constexpr std::size_t kProofsMax = 5;
    static constexpr std::size_t kSegmentBytesMax = 17U << 20;
    /// How long a standby's question is held until the primary has archived: it comes at the same
    /// moment. A standby that ends waits that long for its archiver, so it is short.
    static constexpr Duration kConfirmMax = std::chrono::seconds(2);
    static constexpr Duration kConfirmPoll = std::chrono::milliseconds(400);
    static constexpr std::ptrdiff_t kConfirmsMax = 8;  ///< questions that are held at a time

    /// `changed`: called on any thread when the report of a server has changed.
    BackupKeeper(Options options, const Clock& clock,
                 std::function<void(const std::string& incarnation)> changed);
    ~BackupKeeper();

    /// Until `stop`, and until what it began has ended. `servers`: all there are, asked often.
    void run(const std::stop_token& stop,
             const std::function<std::vector<BackupServer>()>& servers);

    /// permission_denied for the question of another user than the server's own.
    ArchiveAnswer answer(const ArchiveQuestion& question);

    /// A backup on demand is to be made, or dropped; repeatable, as one that is there, or is not,
    /// is a success. `done` is called once, on any thread, before this returns if nothing was
    /// begun; never if the agent ends before.
    void order(const std::string& incarnation, BackupOrder order);
    /// Kept with the backups and reported; the newest ones. A name comes once.
    Status note_proof(const std::string& incarnation, model::SignedProof proof);
    bool has_proof(const std::string& incarnation, const std::string& name);
    /// None: the server is unknown, or nothing has been looked at yet.
    std::optional<model::BackupReport> report(const std::string& incarnation) const;

  private:
    struct Charge;
    using Charges = std::map<std::string, std::shared_ptr<Charge>>;

    void take(const std::vector<BackupServer>& servers);
    std::shared_ptr<Charge> find(const std::string& incarnation) const;
    std::shared_ptr<Charge> add(const BackupServer& server);
    void attend(const std::stop_token& stop);
    Status reload(Charge& charge);
    Result<std::shared_ptr<const PgBackRest>> open(const BackupServer& server) const;
    void beat(Charge& charge);
    void take_questions();
    void note_mark(Charge& charge, bool closes);
    void look(Charge& charge);
    Status prepare(Charge& charge);
    Status read(Charge& charge);
    std::optional<core::backup::Kind> due(Charge& charge);
    void look_again(Charge& charge);
    Status keep(Charge& charge);
    Status back_up_if_due(Charge& charge);
    Status back_up(Charge& charge, core::backup::Kind kind, const std::string& name);
    void wait_behind_backup(Charge& charge) const;
    void carry_out_orders(Charge& charge);
    std::optional<Status> carry_out(Charge& charge, const BackupOrder& order);
    Status expire(Charge& charge);
    Status push(Charge& charge, const std::string& file);
    Status confirm(Charge& charge, const std::string& file);
    ArchiveAnswer fetch(Charge& charge, const std::string& file);
    void publish(Charge& charge);
    void mark_dropped() const;
    void sweep() const;

    const Options options_;
    const RepositoryNotes notes_;
    const Clock& clock_;
    const std::function<void(const std::string&)> changed_;
    std::mutex backup_mutex_;  ///< held for the one backup that is made
    std::counting_semaphore<kConfirmsMax> confirms_{kConfirmsMax};
    mutable std::mutex mutex_;
    Charges charges_;  ///< guarded by mutex_
};

/// The names of the segments and history files that PostgreSQL still wants archived, in their
/// order.
std::vector<std::string> waiting_for_archive(const std::string& data);

/// Those that tell the most, when there are too many: the newest, and one for each hour before.
/// Oldest first. Pure.
std::vector<model::WalMark> thinned(std::vector<model::WalMark> marks, std::size_t most);

}  // namespace howdah::agent
