#include <functional>
#include <utility>

#include "api/access_support.h"
#include "model/json.h"

/// A change that somebody else overtakes is tried again, not handed back.
namespace howdah::api {
namespace {

/// A store where somebody is faster, once: before the first commit that changes a key with a given
/// beginning, the meddler has its way.
class MeddledStore final : public store::Store {
  public:
    explicit MeddledStore(std::unique_ptr<store::Store> inner) : inner_(std::move(inner)) {}

    void meddle_before(std::string prefix, std::function<void(store::Store&)> meddler) {
        prefix_ = std::move(prefix);
        meddler_ = std::move(meddler);
    }
    bool has_meddled() const { return meddler_ == nullptr; }

    Result<std::optional<store::Entry>> get(std::string_view key) override {
        return inner_->get(key);
    }
    Result<std::vector<store::Entry>> list(std::string_view prefix,
                                           const store::ListOptions& options) override {
        return inner_->list(prefix, options);
    }
    Result<store::Revision> commit(const store::Transaction& transaction) override {
        for (const auto& change : transaction.changes()) {
            if (!meddler_ || !change.key.starts_with(prefix_)) continue;
            const auto meddler = std::exchange(meddler_, nullptr);
            meddler(*inner_);
        }
        return inner_->commit(transaction);
    }
    Result<store::Revision> revision() override { return inner_->revision(); }
    Result<std::unique_ptr<store::Watch>> watch(std::string_view prefix,
                                                store::Revision after) override {
        return inner_->watch(prefix, after);
    }
    Result<store::LeaseId> grant_lease(Duration time_to_live) override {
        return inner_->grant_lease(time_to_live);
    }
    Status keep_alive(store::LeaseId lease) override { return inner_->keep_alive(lease); }
    Status revoke(store::LeaseId lease) override { return inner_->revoke(lease); }

  private:
    std::unique_ptr<store::Store> inner_;
    std::string prefix_;
    std::function<void(store::Store&)> meddler_;
};

class Conflicts : public AccessTest {
  protected:
    Conflicts() {
        auto meddled = std::make_unique<MeddledStore>(std::move(world.store));
        store = meddled.get();
        world.store = std::move(meddled);
        world.restart();
    }
    /// Writes what is there once more: a new revision.
    static std::function<void(store::Store&)> touch(std::string key) {
        return [key = std::move(key)](store::Store& inner) {
            const auto entry = inner.get(key).value();
            ASSERT_TRUE(entry.has_value()) << key;
            store::Transaction txn;
            txn.put(key, entry->value);
            ASSERT_TRUE(inner.commit(txn).ok());
        };
    }

    MeddledStore* store = nullptr;
};

TEST_F(Conflicts, of_locks_are_tried_again) {
    const std::string scope = world.expand("{S}/resourceGroups/rg1");
    ASSERT_EQ(lock("{S}/resourceGroups/rg1", "CanNotDelete").status, 201);
    store->meddle_before("/lock", touch(store::keys::lock(scope, "l")));
    const Reply reply = lock("{S}/resourceGroups/rg1", "ReadOnly");
    EXPECT_TRUE(store->has_meddled());
    EXPECT_EQ(reply.status, 200) << reply.text;
}

TEST_F(Conflicts, of_roles_are_tried_again) {
    const std::string path = "{S}/providers/Microsoft.Authorization/roleDefinitions/" + uuid(20);
    Body role = {{"properties",
                  {{"roleName", "mine"},
                   {"permissions", Body::array({{{"actions", {"*/read"}}}})},
                   {"assignableScopes", {world.expand("{S}")}}}}};
    ASSERT_EQ(world.call("PUT", path, role, kVersion).status, 201);
    store->meddle_before("/role", touch(store::keys::role(uuid(20))));
    role["properties"]["description"] = "new";
    const Reply reply = world.call("PUT", path, role, kVersion);
    EXPECT_TRUE(store->has_meddled());
    EXPECT_EQ(reply.status, 201) << reply.text;
}

TEST_F(Conflicts, of_identities_lose_neither_change) {
    store->meddle_before("/principal", [&](store::Store& inner) {
        Principal changed = other;
        changed.credentials.push_back({"2", other.credentials[0].sealed_verifier, "", ""});
        store::Transaction txn;
        txn.put(store::keys::principal(other.client_id), principal_to_text(changed));
        ASSERT_TRUE(inner.commit(txn).ok());
    });
    const std::string path = "/v1.0/applications/" + other.client_id;
    const Reply reply = world.call("POST", path + "/addPassword", nullptr, "");
    EXPECT_TRUE(store->has_meddled());
    EXPECT_EQ(reply.status, 200) << reply.text;
    EXPECT_EQ(world.call("GET", path, nullptr, "").body["passwordCredentials"].size(), 3U);
}

TEST_F(Conflicts, of_deployments_are_tried_again) {
    const auto group = model::ResourceId::group(world.boot.subscription_id, "rg1");
    store->meddle_before("/deployment/", touch(store::keys::group(group)));
    const Reply reply = world.call(
        "PUT", "{S}/resourceGroups/rg1/providers/Microsoft.Resources/deployments/d",
        {{"properties",
          {{"mode", "Incremental"},
           {"template",
            {{"$schema",
              "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"},
             {"contentVersion", "1.0.0.0"},
             {"resources", Body::array()}}}}}},
        kManagerVersion);
    EXPECT_TRUE(store->has_meddled());
    EXPECT_EQ(reply.status, 201) << reply.text;
}

TEST_F(Conflicts, of_assignments_with_their_scope_are_tried_again) {
    const auto group = model::ResourceId::group(world.boot.subscription_id, "rg1");
    store->meddle_before("/assignment", touch(store::keys::group(group)));
    EXPECT_EQ(assign("{S}/resourceGroups/rg1", kReader).status, 201);
    EXPECT_TRUE(store->has_meddled());
}

}  // namespace
}  // namespace howdah::api
