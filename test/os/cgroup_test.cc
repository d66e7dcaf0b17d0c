#include "os/cgroup.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <optional>

#include "os/file.h"
#include "os/process.h"

namespace howdah::os {
namespace {

/// A group that is removed again, whatever the test does.
class cgroup : public testing::Test {
  protected:
    void SetUp() override {
        auto found = Cgroups::detect("howdah-test");
        if (!found.ok()) GTEST_SKIP() << "SKIPPED: " << found.error().describe();
        groups_ = std::move(*found);
        name_ = fmt::format("t{}", getpid());
    }
    void TearDown() override {
        if (groups_) {
            EXPECT_TRUE(groups_->remove(name_).ok());
        }
    }
    std::optional<Cgroups> groups_;
    std::string name_;
};

TEST_F(cgroup, limits_are_made_and_changed_while_a_process_runs_in_the_group) {
    ASSERT_TRUE(groups_->apply(name_, {.cpus = 1.5, .memory_bytes = 256 << 20}).ok());
    const auto pid = start_daemon(
        {.arguments = {"/bin/sleep", "300"}, .cgroup_files = groups_->join_files(name_)});
    ASSERT_TRUE(pid.ok());
    EXPECT_EQ(*groups_->processes(name_), std::vector<pid_t>{*pid});
    const Status changed = groups_->apply(name_, {.cpus = 0.5, .memory_bytes = 128 << 20});
    EXPECT_TRUE(changed.ok());
    EXPECT_EQ(groups_->remove(name_).error().code, ErrorCode::conflict);
    const auto handle = ProcessHandle::open(*pid);
    ASSERT_TRUE(handle.ok());
    ASSERT_TRUE(handle->signal(SIGKILL).ok());
    ASSERT_TRUE(handle->wait_exit(std::chrono::seconds(10)));
    reap({*pid});
    EXPECT_TRUE(groups_->processes(name_)->empty());
}

TEST_F(cgroup, the_cpu_limit_holds) {
    ASSERT_TRUE(groups_->apply(name_, {.cpus = 0.2}).ok());
    const auto pid = start_daemon(
        {.arguments = {"/bin/sh", "-c", "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done"},
         .cgroup_files = groups_->join_files(name_)});
    ASSERT_TRUE(pid.ok());
    const auto handle = ProcessHandle::open(*pid);
    ASSERT_TRUE(handle.ok());
    ASSERT_TRUE(handle->wait_exit(std::chrono::seconds(60)));
    reap({*pid});
    bool throttled = false;
    for (std::string file : groups_->join_files(name_)) {
        const auto text = read_file(file.substr(0, file.rfind('/')) + "/cpu.stat");
        if (text.ok()) throttled |= text->find("nr_throttled 0\n") == std::string::npos;
    }
    EXPECT_TRUE(throttled);
}

std::int64_t share_of(const std::string& group, int version) {
    const auto text = read_file(group + (version == 2 ? "/cpu.weight" : "/cpu.shares"));
    return text.ok() ? std::stoll(*text) : 0;
}

TEST_F(cgroup, servers_share_by_their_size_and_go_before_others) {
    ASSERT_TRUE(groups_->apply(name_, {.cpus = 2}).ok());
    const std::int64_t one = groups_->version() == 2 ? 100 : 1024;
    bool is_seen = false;
    for (const std::string& file : groups_->join_files(name_)) {
        const std::string group = file.substr(0, file.rfind('/'));
        const std::int64_t share = share_of(group, groups_->version());
        if (share == 0) continue;  // another controller's
        is_seen = true;
        EXPECT_EQ(share, 2 * one);
        EXPECT_GT(share_of(group.substr(0, group.rfind('/')), groups_->version()), 2 * one);
    }
    EXPECT_TRUE(is_seen);
    ASSERT_TRUE(groups_->apply(name_, {}).ok());
}

TEST_F(cgroup, adding_a_process_that_runs_already_moves_it) {
    ASSERT_TRUE(groups_->apply(name_, {}).ok());
    const auto pid = start_daemon({.arguments = {"/bin/sleep", "300"}});
    ASSERT_TRUE(pid.ok());
    EXPECT_TRUE(groups_->add(name_, *pid).ok());
    EXPECT_EQ(groups_->processes(name_)->size(), 1U);
    const auto handle = ProcessHandle::open(*pid);
    ASSERT_TRUE(handle.ok());
    ASSERT_TRUE(handle->signal(SIGKILL).ok());
    ASSERT_TRUE(handle->wait_exit(std::chrono::seconds(10)));
    reap({*pid});
}

TEST_F(cgroup, io_limits_are_set_or_the_reason_why_not_is_known) {
    const Status support = groups_->io_support("/var/tmp");
    if (!support.ok()) GTEST_SKIP() << "SKIPPED: " << support.error().describe();
    EXPECT_TRUE(groups_->apply(name_, {.io_per_second = 500, .path = "/var/tmp"}).ok());
    EXPECT_TRUE(groups_->apply(name_, {.io_per_second = 0, .path = "/var/tmp"}).ok());
}

}  // namespace
}  // namespace howdah::os
