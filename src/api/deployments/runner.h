#pragma once

#include <map>
#include <memory>
#include <stop_token>
#include <string>

#include "api/deployments/deployment_store.h"
#include "api/inner_api.h"

namespace howdah::api::deployments {

/// Brings deployments about: sends what their templates plan as requests of whoever asked for
/// them, in order of dependence, and follows what takes longer. All state is in the store, and a
/// PUT may be repeated, so that howdahd may be killed at any moment. One thread.
class Runner {
  public:
    /// Nothing takes longer; what does not come to an end has failed.
    static constexpr Duration kTimeMax = std::chrono::hours(24);
    /// Requests begun for one deployment before others have their turn.
    static constexpr int kStartsPerRound = 8;
    /// A request that is refused for a reason that passes (503, 429) is sent as often.
    static constexpr std::int64_t kAttemptsMax = 600;

    Runner(const ApiContext& context, InnerApi& api) : context_(context), api_(api) {}

    void run(const std::stop_token& stop);
    /// One round. True if there is something that has not ended.
    Result<bool> advance_all();

  private:
    struct Work;
    Status advance(const std::string& running_key);
    Result<std::shared_ptr<const Prepared>> prepared(const model::Deployment& deployment);
    void progress(Work& work);
    void follow(Work& work, model::DeploymentStep& step);
    bool start(Work& work, std::size_t index);
    void put(Work& work, model::DeploymentStep& step, const std::string& api_version,
             std::string body);
    void finish(Work& work);
    void cancel_nested(const Work& work);
    Status save(Work& work);
    Status forget_parameters(const Work& work, store::Transaction& txn);
    std::string now() const;

    const ApiContext& context_;
    InnerApi& api_;
    /// By operation id; forgotten when a deployment ends, and made anew from the store if need be.
    std::map<std::string, std::shared_ptr<const Prepared>> prepared_;
};

}  // namespace howdah::api::deployments
