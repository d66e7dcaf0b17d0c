#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "api/api_support.h"
#include "api/auth/principal.h"
#include "http/client.h"
#include "pg/scram.h"
#include "store/keys.h"

namespace howdah::api {

inline constexpr const char* kOwner = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
inline constexpr const char* kContributor = "b24988ac-6180-42a0-ab88-20f7382dd24c";
inline constexpr const char* kReader = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
inline constexpr const char* kVersion = "2022-04-01";
inline constexpr const char* kLockVersion = "2020-05-01";
inline constexpr const char* kLogVersion = "2015-04-01";

/// A world with a second principal that has no role yet.
class AccessTest : public testing::Test {
  protected:
    AccessTest() {
        world.make_group();
        world.make_server();
        other.client_id = world.ids.uuid();
        other.object_id = world.ids.uuid();
        other.display_name = "other";
        other.tenant_id = world.boot.tenant_id;
        const auto verifier = pg::scram_verifier(Secret("Other-Secret-1"), std::string(16, 's'));
        other.credentials = {
            {"1", seal_verifier(world.secrets, other.client_id, Secret(verifier.value())), "", ""}};
        store::Transaction txn;
        txn.put(store::keys::principal(other.client_id), principal_to_text(other));
        EXPECT_TRUE(world.store->commit(txn).ok());
        const Reply reply = world.login(
            fmt::format("client_id={}&client_secret=Other-Secret-1&grant_type=client_credentials"
                        "&scope=https%3A%2F%2Flocalhost%3A8443%2F%2F.default",
                        other.client_id));
        EXPECT_EQ(reply.status, 200) << reply.text;
        token = reply.body.value("access_token", "");
    }

    Reply as_other(const std::string& method, const std::string& path, const Body& body = nullptr,
                   const std::string& version = kNewVersion) {
        http::Request request =
            world.request(method, path, body.is_null() ? "" : body.dump(), version);
        request.headers["authorization"] = "Bearer " + token;
        return world.send(std::move(request));
    }
    static std::string uuid(int number) {
        return fmt::format("00000000-0000-4000-8000-{:012}", number);
    }
    Reply assign(const std::string& scope, const std::string& role, int number = 1) {
        return world.call(
            "PUT", scope + "/providers/Microsoft.Authorization/roleAssignments/" + uuid(number),
            {{"properties",
              {{"roleDefinitionId",
                "/subscriptions/x/providers/Microsoft.Authorization/roleDefinitions/" + role},
               {"principalId", other.object_id}}}},
            kVersion);
    }
    Reply lock(const std::string& scope, const std::string& level, const std::string& name = "l") {
        return world.call("PUT", scope + "/providers/Microsoft.Authorization/locks/" + name,
                          {{"properties", {{"level", level}, {"notes", "why"}}}}, kLockVersion);
    }
    Body events(const std::string& filter = "") {
        const Reply reply = world.call(
            "GET",
            "{S}/providers/microsoft.insights/eventtypes/management/values?api-version=2015-04-01"
            "&$filter=" +
                http::url_encode(filter));
        EXPECT_EQ(reply.status, 200) << reply.text;
        return reply.body["value"];
    }

    World world;
    Principal other;
    std::string token;
};

}  // namespace howdah::api
