#include "os/server_users.h"

#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace howdah::os {
namespace {

TEST(server_users, are_made_once_however_many_ask) {
    if (!is_root()) GTEST_SKIP() << "users of their own need root";
    const std::string id = ServerUsers::pooler_id("server_users_test");
    std::mutex mutex;
    std::set<uid_t> users;
    std::set<gid_t> groups;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&] {
                const auto name = ServerUsers::create(id);
                ASSERT_TRUE(name.ok()) << name.error().describe();
                const auto user = ServerUsers::find(*name);
                ASSERT_TRUE(user.ok() && user->has_value());
                const std::lock_guard lock(mutex);
                users.insert((*user)->uid);
                groups.insert((*user)->gid);
            });
    }
    EXPECT_EQ(users.size(), 1U) << "whoever came later made another user of it";
    EXPECT_EQ(groups.size(), 1U);
    EXPECT_TRUE(ServerUsers::remove("howdah-" + id.substr(0, 8)).ok());
}

}  // namespace
}  // namespace howdah::os
