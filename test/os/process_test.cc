#include "os/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/text.h"

namespace howdah::os {
namespace {

using std::chrono::seconds;

TEST(process, output_error_output_and_exit_code_are_collected) {
    const auto done =
        run({.arguments = {"/bin/sh", "-c", "echo out; echo first >&2; echo last >&2; exit 3"}});
    ASSERT_TRUE(done.ok());
    EXPECT_EQ(done->output, "out\n");
    EXPECT_EQ(done->exit_code, 3);
    EXPECT_EQ(done->describe(), "exit code 3: last");
}

TEST(process, a_shell_takes_what_was_quoted_as_one_word) {
    for (const std::string text : {"it's; $(rm) `x` \\ \"", "''", "-n\n*", "'"}) {
        const auto done = run({.arguments = {"/bin/sh", "-c", "printf %s " + shell_quoted(text)}});
        ASSERT_TRUE(done.ok() && done->succeeded());
        EXPECT_EQ(done->output, text);
    }
}

TEST(process, a_large_input_goes_through_while_output_is_read) {
    const std::string text(300'000, 'x');
    const auto done = run({.arguments = {"/bin/cat"}, .input = Secret(text)});
    ASSERT_TRUE(done.ok());
    EXPECT_EQ(done->output, text);
}

TEST(process, output_beyond_the_bound_is_dropped) {
    const auto done = run(
        {.arguments = {"/usr/bin/head", "-c", "100000", "/dev/zero"}, .output_bytes_max = 1000});
    ASSERT_TRUE(done.ok());
    EXPECT_EQ(done->output.size(), 1000U);
    EXPECT_TRUE(done->succeeded());
}

TEST(process, a_process_that_takes_too_long_is_killed_with_its_children) {
    const auto done = run({.arguments = {"/bin/sh", "-c", "sleep 300 & echo $!; wait"},
                           .timeout = std::chrono::milliseconds(300)});
    ASSERT_TRUE(done.ok());
    EXPECT_TRUE(done->timed_out);
    EXPECT_FALSE(done->succeeded());
    const auto grandchild = parse_integer(trim(done->output), 1, 1 << 30);
    ASSERT_TRUE(grandchild.ok());
    const auto handle = ProcessHandle::open(static_cast<pid_t>(*grandchild));
    if (handle.ok()) {
        EXPECT_TRUE(handle->wait_exit(seconds(10)));
    }
}

TEST(process, a_command_is_broken_off_with_its_children_when_that_is_asked_for) {
    std::stop_source source;
    std::jthread asker([&] { source.request_stop(); });
    const auto done =
        run({.arguments = {"/bin/sh", "-c", "sleep 600 & wait"}, .stop = source.get_token()});
    ASSERT_TRUE(done.ok());
    EXPECT_TRUE(done->stopped);
    EXPECT_FALSE(done->succeeded());
    EXPECT_NE(done->describe().find("broken off"), std::string::npos);
}

TEST(process, a_program_that_is_not_there_is_an_error_that_names_it) {
    const auto done = run({.arguments = {"/no/such/program"}});
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().message, "cannot start '/no/such/program': No such file or directory");
}

TEST(process, nothing_of_the_environment_is_inherited_but_what_is_named) {
    setenv("HOWDAH_TEST_SECRET", "x", 1);
    const auto done = run({.arguments = {"/usr/bin/env"}, .environment = {"A=b", "LANG=C"}});
    unsetenv("HOWDAH_TEST_SECRET");
    ASSERT_TRUE(done.ok());
    EXPECT_EQ(done->output.find("SECRET"), std::string::npos);
    EXPECT_NE(done->output.find("A=b\n"), std::string::npos);
    EXPECT_NE(done->output.find("LANG=C\n"), std::string::npos);
}

TEST(process, descriptors_are_not_inherited_even_without_close_on_exec) {
    const int leak = open("/dev/null", O_RDONLY);
    const auto done = run({.arguments = {"/bin/ls", "/proc/self/fd"}});
    close(leak);
    ASSERT_TRUE(done.ok());
    EXPECT_EQ(done->output, "0\n1\n2\n3\n");  // 3 is what ls reads the folder with
}

TEST(process, a_command_as_another_user_has_only_that_users_rights) {
    if (!is_root()) GTEST_SKIP() << "needs root";
    const auto nobody = find_user("nobody");
    ASSERT_TRUE(nobody.ok());
    const auto done = run({.arguments = {"/usr/bin/id"}, .user = *nobody});
    ASSERT_TRUE(done.ok());
    EXPECT_EQ(done->output.rfind("uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)", 0),
              0U)
        << done->output;
}

TEST(process, a_daemon_is_its_own_session_and_can_be_watched_and_signalled) {
    const auto pid = start_daemon({.arguments = {"/bin/sleep", "300"}, .folder = "/usr"});
    ASSERT_TRUE(pid.ok());
    EXPECT_EQ(getsid(*pid), *pid);
    const auto facts = process_facts(*pid);
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->parent, getpid());
    EXPECT_EQ(facts->folder, "/usr");
    EXPECT_NE(facts->executable.find("sleep"), std::string::npos);
    EXPECT_GT(facts->start_ticks, 0U);
    EXPECT_FALSE(facts->zombie);
    const auto children = children_of(getpid());
    EXPECT_NE(std::find(children.begin(), children.end(), *pid), children.end());

    const auto handle = ProcessHandle::open(*pid);
    ASSERT_TRUE(handle.ok());
    EXPECT_TRUE(handle->is_alive());
    EXPECT_FALSE(handle->wait_exit(std::chrono::milliseconds(1)));
    ASSERT_TRUE(handle->signal(SIGTERM).ok());
    EXPECT_TRUE(handle->wait_exit(seconds(10)));
    EXPECT_TRUE(process_facts(*pid)->zombie);
    reap({*pid});
    EXPECT_FALSE(process_facts(*pid));
    EXPECT_EQ(handle->signal(SIGTERM).error().code, ErrorCode::not_found);
    EXPECT_FALSE(handle->is_alive());
    EXPECT_EQ(ProcessHandle::open(*pid).error().code, ErrorCode::not_found);
}

TEST(process, a_thread_that_goes_first_starts_others_that_do_not) {
    if (!is_root()) GTEST_SKIP() << "needs root";
    std::thread first([] {
        const Status went = go_first();
        if (!went.ok()) GTEST_SKIP() << "SKIPPED: " << went.error().describe();
        EXPECT_EQ(sched_getscheduler(0) & ~SCHED_RESET_ON_FORK, SCHED_RR);
        std::thread([] { EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER); }).join();
        const auto child = run({.arguments = {"/bin/sh", "-c", "cat /proc/self/stat"}});
        ASSERT_TRUE(child.ok());
        // The 41st field; the name of the second has no blank.
        EXPECT_EQ(split(trim(child->output), ' ').at(40), "0");
    });
    first.join();
    EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
}

TEST(process, users_are_found_by_name) {
    EXPECT_EQ(find_user("root")->uid, 0U);
    EXPECT_EQ(find_user("no-such-user-here").error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace howdah::os
