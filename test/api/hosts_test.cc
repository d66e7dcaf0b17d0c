#include <gtest/gtest.h>

#include "api/api_support.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api {
namespace {

constexpr const char* kHosts = "/providers/Howdah.Platform/hosts";
constexpr const char* kVersion = "2026-11-01";

TEST(hosts, are_listed_as_their_agents_describe_them) {
    World world;
    const Reply all = world.call("GET", kHosts, nullptr, kVersion);
    ASSERT_EQ(all.status, 200) << all.text;
    ASSERT_GE(all.body["value"].size(), 1U);
    const std::string name = all.body["value"][0]["name"];
    const Reply one = world.call("GET", std::string(kHosts) + "/" + name, nullptr, kVersion);
    EXPECT_EQ(one.body, all.body["value"][0]);
    EXPECT_EQ(one.body["properties"]["state"], "Ready");
    world.store
        ->commit(store::Transaction().put(store::keys::silent(name), "2026-11-01T00:00:00.000Z"))
        .value();
    EXPECT_EQ(world.call("GET", kHosts, nullptr, kVersion).body["value"][0]["properties"]["state"],
              "Silent");
}

TEST(hosts, that_are_not_there_are_not_found) {
    World world;
    EXPECT_EQ(world.call("GET", std::string(kHosts) + "/none", nullptr, kVersion).status, 404);
}

TEST(hosts, are_not_invited_to_a_howdah_of_one_machine) {
    World world;
    const Reply reply = world.call("POST", std::string(kHosts) + "/b/invite",
                                   {{"properties", {{"availabilityZone", "2"}}}}, kVersion);
    EXPECT_GE(reply.status, 400);
    EXPECT_FALSE(reply.body["error"]["message"].get<std::string>().empty());
}

TEST(hosts, need_good_names_and_zones) {
    World world;
    for (const auto& [name, zone] : {std::pair<std::string, std::string>{"-b", "1"},
                                     {"b%20c", "1"},
                                     {"b", "x/y"},
                                     {std::string(64, 'b'), "1"}}) {
        const Reply reply = world.call("POST", std::string(kHosts) + "/" + name + "/invite",
                                       {{"properties", {{"availabilityZone", zone}}}}, kVersion);
        EXPECT_EQ(reply.status, 400) << name << " " << zone;
    }
}

}  // namespace
}  // namespace howdah::api
