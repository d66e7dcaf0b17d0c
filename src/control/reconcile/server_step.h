#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "base/clock.h"
#include "control/reconcile/certificate_source.h"
#include "control/reconcile/host_cache.h"
#include "core/plan/server_plan.h"
#include "store/secret_box.h"
#include "store/store.h"

namespace howdah::control {

struct ReconcilerOptions {
    std::string host_suffix;  ///< a server is <name>.<host_suffix>
    std::int64_t first_port = 0;
    std::int64_t last_port = 0;  ///< own ports of servers are first_port to last_port
    /// Everything is looked at this often even if no change was seen.
    Duration resync_every = std::chrono::minutes(10);
};

/// What a step found out about the key it worked on.
struct StepOutcome {
    std::optional<Duration> ask_again;
    bool waits_for_host = false;
};

/// One step for one server: read everything, decide (core/plan), carry the decision out in one
/// transaction; on conflict begin anew. Thread-safe for different servers; borrowed references
/// must outlive it.
class ServerStep {
  public:
    ServerStep(store::Store& store, const Clock& clock, const store::SecretBox& secrets,
               CertificateSource& certificates, HostCache& hosts, const ReconcilerOptions& options);

    Result<StepOutcome> run(const std::string& server_key);

  private:
    struct Loaded;
    Result<Loaded> load(const std::string& server_key);
    Status load_reports(Loaded& loaded);
    Status load_operations(Loaded& loaded);
    Status load_work(Loaded& loaded);
    Status load_certificate(Loaded& loaded);
    Result<std::int64_t> find_free_port();

    Result<store::Transaction> transaction_for(const Loaded& loaded,
                                               const core::ServerDecision& decision);
    static void add_specs(store::Transaction& transaction, const std::string& server_key,
                          const core::ServerDecision& decision);
    Status add_certificate(store::Transaction& transaction, const Loaded& loaded);
    Status add_databases(store::Transaction& transaction, const Loaded& loaded,
                         const std::vector<std::string>& ids);
    Status add_removal(store::Transaction& transaction, const Loaded& loaded);
    Status trim_databases(const Loaded& loaded);
    Status remove_access_of(const Loaded& loaded, const core::ServerDecision& decision);

    store::Store& store_;
    const Clock& clock_;
    const store::SecretBox& secrets_;
    CertificateSource& certificates_;
    HostCache& hosts_;
    const ReconcilerOptions& options_;
    std::atomic<std::int64_t> next_port_;
};

}  // namespace howdah::control
