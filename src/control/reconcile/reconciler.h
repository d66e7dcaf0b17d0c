#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>

#include "control/operations/operations.h"
#include "control/reconcile/drill_step.h"
#include "control/reconcile/group_step.h"
#include "control/reconcile/host_cache.h"
#include "control/reconcile/server_step.h"
#include "control/reconcile/work_queue.h"
#include "store/store.h"

namespace howdah::control {

/// Brings what is closer to what is wanted, one server or group at a time: watches the store,
/// queues the keys that changed, and works on each with one worker at a time. Everything is listed
/// at the start and now and then, so that nothing depends on a change having been seen.
///
/// It makes no threads: run watch() in one and work() in one or more. Borrowed references must
/// outlive it. Thread-safe.
class Reconciler {
  public:
    /// A key whose step failed (the store is unavailable, a record is damaged) is tried again
    /// after a pause that doubles up to the latter.
    static constexpr Duration kErrorPauseMin = std::chrono::milliseconds(100);
    static constexpr Duration kErrorPauseMax = std::chrono::seconds(30);
    static constexpr Duration kSweepEvery = std::chrono::minutes(1);
    /// That a server was deleted is remembered this long, for instances that show up late.
    static constexpr std::chrono::hours kGoneRetention{24 * 30};
    /// A deleted server can be brought back for so long, as on Azure; agents keep its backups for
    /// the same time.
    static constexpr std::chrono::hours kDroppedRetention{24 * 7};

    Reconciler(store::Store& store, const Clock& clock, IdSource& ids,
               const store::SecretBox& secrets, CertificateSource& certificates,
               ReconcilerOptions options);
    ~Reconciler();

    /// Feeds the queue from the store until a stop is requested.
    void watch(std::stop_token stop);
    /// Works on keys until a stop is requested.
    void work(std::stop_token stop);

    /// What watch() and work() do, step by step, for simulations. feed() reads the changes that
    /// are there (and lists everything if it has to); work_one() works on one key that is due and
    /// is false if there is none.
    Status feed(Duration timeout);
    bool work_one();

  private:
    Status list_everything();
    void take_event(const store::Event& event);
    Status queue_servers_of_host(const std::string& host);
    void process(const std::string& key);
    Result<StepOutcome> step(const std::string& key);
    Result<StepOutcome> step_server(const std::string& server_key);
    Result<StepOutcome> sweep();
    Status sweep_gone();
    Status sweep_dropped();
    void after_error(const std::string& key, const Error& error);

    store::Store& store_;
    const Clock& clock_;
    const ReconcilerOptions options_;
    HostCache hosts_;
    ServerStep servers_;
    GroupStep groups_;
    Operations operations_;
    DrillStep drills_;
    WorkQueue queue_;

    // Used by the thread of watch() alone.
    std::shared_ptr<store::Watch> watch_;
    Instant next_listing_{};

    std::mutex mutex_;
    std::map<std::string, Duration> error_pauses_;  ///< guarded by mutex_
    std::set<std::string> waiting_for_host_;        ///< guarded by mutex_
    Instant next_gone_sweep_{};                     ///< used by the worker that has the sweep
    Instant next_activity_trim_{};                  ///< as next_gone_sweep_
};

}  // namespace howdah::control
