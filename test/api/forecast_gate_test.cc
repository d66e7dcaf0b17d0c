#include "api/deployments/forecast_gate.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "api/api_support.h"
#include "store/keys.h"

namespace howdah::api {
namespace {

using deployments::ForecastGate;

TEST(forecast_gate, lets_two_callers_in_and_each_of_them_once) {
    ForecastGate gate;
    {
        const auto one = gate.enter("a");
        ASSERT_TRUE(one.ok());
        EXPECT_EQ(gate.enter("a").error().code, ErrorCode::too_many_requests);
        const auto other = gate.enter("b");
        ASSERT_TRUE(other.ok());
        EXPECT_EQ(gate.enter("c").error().code, ErrorCode::too_many_requests);
    }
    EXPECT_TRUE(gate.enter("a").ok());
    EXPECT_TRUE(gate.enter("c").ok());
}

TEST(forecast_gate, lets_the_one_who_waits_in_when_somebody_leaves) {
    ForecastGate gate;
    auto one = std::make_optional(gate.enter("a").value());
    bool got_in = false;
    {
        std::jthread waiter([&] { got_in = gate.enter("a").ok(); });
        while (gate.waiting() == 0) std::this_thread::yield();
        EXPECT_FALSE(gate.enter("a").ok()) << "one waits already";
        one.reset();
    }
    EXPECT_TRUE(got_in);
}

/// A store that does not answer for one key until it is told to.
class SlowStore final : public store::Store {
  public:
    SlowStore(store::Store& real, std::string slow_key)
        : real_(real), slow_key_(std::move(slow_key)) {}

    Result<std::optional<store::Entry>> get(std::string_view key) override {
        if (key == slow_key_) {
            std::unique_lock lock(mutex_);
            ++asked_;
            changed_.notify_all();
            changed_.wait(lock, [&] { return open_; });
        }
        return real_.get(key);
    }
    Result<std::vector<store::Entry>> list(std::string_view prefix,
                                           const store::ListOptions& options) override {
        return real_.list(prefix, options);
    }
    Result<store::Revision> commit(const store::Transaction& transaction) override {
        return real_.commit(transaction);
    }
    Result<store::Revision> revision() override { return real_.revision(); }
    Result<std::unique_ptr<store::Watch>> watch(std::string_view prefix,
                                                store::Revision after) override {
        return real_.watch(prefix, after);
    }
    Result<store::LeaseId> grant_lease(Duration time_to_live) override {
        return real_.grant_lease(time_to_live);
    }
    Status keep_alive(store::LeaseId lease) override { return real_.keep_alive(lease); }
    Status revoke(store::LeaseId lease) override { return real_.revoke(lease); }

    void wait_until_asked() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return asked_ > 0; });
    }
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }

  private:
    store::Store& real_;
    const std::string slow_key_;
    std::mutex mutex_;
    std::condition_variable changed_;
    int asked_ = 0;      ///< guarded by mutex_
    bool open_ = false;  ///< guarded by mutex_
};

TEST(forecast_gate, answers_429_to_a_second_slow_forecast_of_the_same_caller) {
    World world;
    world.make_group();
    world.make_server();
    SlowStore slow(*world.store, store::keys::server(world.server_id()));
    Api api(ApiContext{.store = slow,
                       .operations = world.operations,
                       .secrets = world.secrets,
                       .clock = world.clock,
                       .ids = world.ids,
                       .signing_keys = *world.signing_keys,
                       .tenant_id = world.boot.tenant_id,
                       .base_url = "https://localhost:8443",
                       .version = "0.1.0"});
    Body server = World::server_body();
    server["type"] = "Microsoft.DBforPostgreSQL/flexibleServers";
    server["apiVersion"] = kNewVersion;
    server["name"] = "pg1";
    const Body body = {
        {"properties",
         {{"mode", "Incremental"},
          {"template",
           {{"$schema",
             "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"},
            {"contentVersion", "1.0.0.0"},
            {"resources", Body::array({server})}}}}}};
    const std::string path = "{S}/resourceGroups/rg1/providers/Microsoft.Resources/deployments/d/";
    const http::Request forecast =
        world.request("POST", path + "whatIf", body.dump(), kManagerVersion);
    int first = 0;
    std::jthread begun([&] { first = api.handle(forecast).status; });
    slow.wait_until_asked();
    for (const char* action : {"whatIf", "validate"}) {
        const http::Response refused =
            api.handle(world.request("POST", path + action, body.dump(), kManagerVersion));
        EXPECT_EQ(refused.status, 429) << refused.body;
        EXPECT_TRUE(refused.headers.contains("retry-after"));
    }
    EXPECT_EQ(api.handle(world.request("GET", "{S}", "", kManagerVersion)).status, 200);
    slow.open();
    begun.join();
    EXPECT_EQ(first, 200);
    EXPECT_EQ(api.handle(forecast).status, 200);
}

}  // namespace
}  // namespace howdah::api
