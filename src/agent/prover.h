#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/backup/backup_keeper.h"
#include "agent/backup/table_sums.h"
#include "agent/machine.h"
#include "agent/prepared.h"
#include "base/clock.h"
#include "base/result.h"
#include "model/records.h"
#include "os/file.h"

namespace howdah::agent {

class Instance;

/// The backups of a server are to be tried.
struct ProofOrder {
    std::string name;  ///< of the proof
    std::string time;  ///< to restore to; empty: now, which is the only one that can be compared
    model::InstanceSpec spec;  ///< of the server, without secrets
    BackupServer server;
    std::function<void(const Status&)> done;
};

/// Restores servers' backups beside them, to see that it works: into a scratch instance that nobody
/// else reaches and that is removed again, read as a whole (amcheck) and compared table by table
/// with the server. What was found is kept with the backups (BackupKeeper::note_proof). One at a
/// time, behind all else that the machine does. Thread-safe.
class Prover {
  public:
    static constexpr std::size_t kOrdersMax = 16;
    static constexpr int kAttempts = 2;
    static constexpr int kSignAttempts = 10;
    static constexpr std::size_t kListedMax = 10;  ///< differences and damages in a proof, each
    static constexpr std::size_t kListedBytesMax = 200;
    static constexpr std::size_t kTextBytesMax = 500;
    static constexpr Duration kCheckMax = std::chrono::hours(12);  ///< all of a copy, twice: read
    static constexpr Duration kRelationMax = std::chrono::minutes(30);  ///< to be checked
    static constexpr Duration kCountedWithin = std::chrono::seconds(61);
    static constexpr Duration kCountedMax = std::chrono::seconds(60);
    static constexpr Duration kPoll = std::chrono::milliseconds(250);
    static constexpr Duration kDueEvery = std::chrono::seconds(30);  ///< is looked for
    static constexpr Duration kDueAgain = std::chrono::hours(6);     ///< when it could not be made
    static constexpr Duration kProofMax = std::chrono::hours(20);    ///< then it is given up

    struct Options {
        std::string certificate_path;  ///< signs the proofs
        std::string key_path;
    };

    Prover(const Machine& machine, PreparedPool& pool, Options options, const Clock& clock,
           IdSource& ids, BackupKeeper& keeper);
    ~Prover();

    /// Removes what an agent that was killed left behind, then does what is ordered, and what is
    /// `due`: none: nothing, else asked for it without a name.
    void run(const std::stop_token& stop, const std::function<std::optional<ProofOrder>()>& due);
    /// `done` is called once, on any thread, before this returns if nothing was begun; never if the
    /// agent ends before. A proof that failed is a success of its order: it says so itself.
    void order(ProofOrder order);
    /// The server is to be deleted: nobody wants to know any more. What waited for its turn is the
    /// caller's to answer.
    std::vector<ProofOrder> forget(const std::string& incarnation);
    /// What the keeper has to bring WAL to; none: nothing is restored now.
    std::optional<BackupServer> scratch() const;

  private:
    std::optional<ProofOrder> begin_next();
    void begin_locked(const ProofOrder& order);
    void break_off_locked();
    void carry_out(const ProofOrder& order, const std::stop_token& stop);
    void remove_leftovers() const;
    Status prove(const ProofOrder& order, const std::stop_token& stop);
    Status restore_and_check(const ProofOrder& order, const std::string& key,
                             const std::stop_token& stop, model::Proof& proof);
    Status check(const ProofOrder& order, const TableSums& before, const std::string& since,
                 const SumsSource& copy, const std::stop_token& stop, model::Proof& proof);
    Result<os::FileLock> wait_for_turn(const std::stop_token& stop) const;
    Status check_space(const BackupServer& server) const;
    void wait_until_counted(const std::string& time, const std::stop_token& stop) const;
    core::backup::TableChanges changes(const ProofOrder& order, const TableSums& before,
                                       const std::string& since, const std::string& until,
                                       const std::stop_token& stop) const;
    Result<std::string> signed_text(const model::Proof& proof) const;
    void set_scratch(std::shared_ptr<Instance> scratch);

    const Machine& machine_;
    PreparedPool& pool_;
    const Options options_;
    const Clock& clock_;
    IdSource& ids_;
    BackupKeeper& keeper_;

    mutable std::mutex mutex_;
    std::deque<ProofOrder> orders_;      ///< guarded by mutex_
    std::string current_;                ///< guarded by mutex_; incarnation; empty: none
    std::stop_source stop_;              ///< guarded by mutex_; of the current one
    std::shared_ptr<Instance> scratch_;  ///< guarded by mutex_
};

/// What the copy of a server is to be: its data as of a time, and nothing that acts by itself or
/// lets anybody in. Pure.
model::InstanceSpec scratch_spec(const model::InstanceSpec& server, const std::string& scratch,
                                 const std::string& time, const std::string& key);

}  // namespace howdah::agent
