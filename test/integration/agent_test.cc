// Instances with real PostgreSQL, as the agent runs them, without a control plane.

#include "agent/agent.h"

#include <dirent.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/shm.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "agent/config/render.h"
#include "agent/instance.h"
#include "agent/machine.h"
#include "agent/prepared.h"
#include "base/text.h"
#include "http/certificates.h"
#include "integration/postgres_support.h"
#include "model/json.h"
#include "os/file.h"
#include "os/server_users.h"
#include "pg/scram.h"
#include "places.h"

namespace howdah::agent {
namespace {

using test::kAdministrator;
using test::kPassword;

/// What is left of an operating-system user: System V segments and named shared memory.
int shared_memory_of(uid_t uid) {
    int count = 0;
    struct shm_info totals {};
    const int last = shmctl(0, SHM_INFO, reinterpret_cast<shmid_ds*>(&totals));
    for (int i = 0; i <= last; ++i) {
        shmid_ds facts{};
        if (shmctl(i, SHM_STAT, &facts) >= 0 && facts.shm_perm.uid == uid) ++count;
    }
    for (const std::string& name : os::list_folder("/dev/shm").value_or({})) {
        struct stat file {};
        if (stat(("/dev/shm/" + name).c_str(), &file) == 0 && file.st_uid == uid) ++count;
    }
    return count;
}

class RememberedIds final : public IdSource {
  public:
    std::string uuid() override { return all.emplace_back(source_.uuid()); }
    std::string random_bytes(std::size_t count) override { return source_.random_bytes(count); }
    std::vector<std::string> all;

  private:
    SystemIdSource source_;
};

/// One agent's home for all tests, because a prepared directory takes a second to make.
class AgentTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (test::engine_folder().empty()) return;
        char name[] = "/tmp/howdah-agent-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        ASSERT_EQ(chmod(name, 0711), 0);
        home_ = name;
        for (const char* each : {"agent", "gateway", "run"})
            ASSERT_TRUE(os::make_folders(home_ + "/" + each, 0711).ok());
        MachineOptions options;
        options.layout.home = home_;
        options.host_id = "here";
        options.guard_folder = test::bin_dir();
        options.gateway_source = "127.0.0.1";  // the tests connect directly
        machine_ = std::make_unique<Machine>(options);
        pool_ = std::make_unique<PreparedPool>(machine_->layout(), ids_);
        ASSERT_TRUE(pool_->clean().ok());
        authority_ = std::make_unique<http::CertificateAuthority>(
            http::CertificateAuthority::create("test", clock_.wall()).value());
    }
    static void TearDownTestSuite() {
        pool_.reset();
        machine_.reset();
        authority_.reset();
        if (!home_.empty()) {
            EXPECT_TRUE(os::remove_tree(home_).ok());
        }
    }

    void SetUp() override {
        if (home_.empty()) GTEST_SKIP() << "SKIPPED: no PostgreSQL is installed";
        spec_.incarnation = ids_.uuid();
        spec_.server_id = "/s/" + spec_.incarnation;
        spec_.server_name = "orders";
        spec_.generation = 1;
        spec_.major = machine_->engines().back().major;
        spec_.administrator_login = kAdministrator;
        set_password(kPassword);
        spec_.vcores = 1;
        spec_.memory_mb = 512;
        spec_.host_names = {"orders.example"};
        const auto leaf =
            authority_
                ->issue({.common_name = "orders", .dns_names = {"orders.example"}}, clock_.wall())
                .value();
        spec_.tls = {leaf.certificate_pem, leaf.key_pem.reveal(), authority_->certificate_pem()};
        instance_ = make();
    }
    void TearDown() override {
        if (instance_) {
            EXPECT_TRUE(instance_->remove(1000).ok());
        }
    }

    std::unique_ptr<Instance> make() {
        return std::make_unique<Instance>(*machine_, *pool_, nullptr, clock_, spec_.incarnation,
                                          [] {});
    }
    /// The agent was killed and started again.
    void start_agent_again() {
        instance_ = make();
        const Status loaded = instance_->load();
        ASSERT_TRUE(loaded.ok()) << loaded.error().describe();
    }
    void set_password(const std::string& password) {
        spec_.administrator_verifier =
            pg::scram_verifier(Secret(password), "0123456789abcdef").value();
        ++spec_.password_version;
    }
    /// The next generation of the spec, brought about.
    Status ensure() {
        const Status status = instance_->ensure(spec_, 1);
        ++spec_.generation;
        return status;
    }
    void must(const Status& status) { ASSERT_TRUE(status.ok()) << status.error().describe(); }

    /// The signal that killed a postmaster takes a moment to end it.
    Status tend_until_another_than(pid_t killed) {
        const Instant end = clock_.now() + std::chrono::seconds(20);
        Status tended;
        while ((pid() == killed || report().state != "running") && clock_.now() < end)
            tended = instance_->tend();
        return tended;
    }

    /// Kills the postmaster that the disk names and waits for its end.
    pid_t end_postmaster() {
        const std::string file = os::read_file(paths().data() + "/postmaster.pid").value();
        const auto found =
            static_cast<pid_t>(parse_integer(file.substr(0, file.find('\n')), 2, 1 << 30).value());
        auto process = os::ProcessHandle::open(found).value();
        EXPECT_TRUE(process.signal(SIGKILL).ok());
        EXPECT_TRUE(process.wait_exit(std::chrono::seconds(10)));
        os::reap({found});
        return found;
    }

    model::InstanceReport report() const { return instance_->view().report; }
    InstancePaths paths() const { return instance_paths(machine_->layout(), spec_.incarnation); }
    pid_t pid() const { return static_cast<pid_t>(report().postmaster_pid); }
    std::string os_user() const {
        return trim_text(os::read_file(paths().folder + "/user").value_or(""));
    }
    static std::string trim_text(const std::string& text) { return std::string(trim(text)); }

    Result<pg::Connection> as_administrator(const std::string& password = kPassword) const {
        return pg::Connection::open({.host = "127.0.0.1",
                                     .port = static_cast<int>(report().backend_port),
                                     .user = kAdministrator,
                                     .password = Secret(password),
                                     .ssl_mode = "require"});
    }
    std::string ask(const std::string& sql) const {
        auto session = as_administrator();
        if (!session.ok()) return session.error().describe();
        const auto rows = session->query(sql);
        return rows.ok() ? rows->at(0, 0) : rows.error().describe();
    }

    inline static std::string home_;
    inline static SystemClock clock_;
    inline static SystemIdSource ids_;
    inline static std::unique_ptr<Machine> machine_;
    inline static std::unique_ptr<PreparedPool> pool_;
    inline static std::unique_ptr<http::CertificateAuthority> authority_;
    model::InstanceSpec spec_;
    std::unique_ptr<Instance> instance_;
};

TEST_F(AgentTest, a_server_is_made_and_taken_over_by_the_next_agent_as_it_is) {
    must(ensure());
    EXPECT_EQ(report().state, "running");
    EXPECT_EQ(instance_->view().route.state, "open");
    EXPECT_EQ(ask("select 1"), "1");
    EXPECT_EQ(ask("select rolsuper::text from pg_roles where rolname = current_user"), "false");
    const model::InstanceReport before = report();
    start_agent_again();
    EXPECT_EQ(pid(), before.postmaster_pid);
    EXPECT_EQ(report().backend_port, before.backend_port);
    EXPECT_EQ(report().observed_generation, 1);
    EXPECT_EQ(report().state, "running");
    must(instance_->tend());
    EXPECT_EQ(pid(), before.postmaster_pid);
}

TEST_F(AgentTest, a_value_that_postgresql_refuses_changes_nothing) {
    must(ensure());
    const std::string before = os::read_file(paths().config() + "/postgresql.conf").value();
    spec_.parameters["work_mem"] = "a lot";
    const Status refused = ensure();
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().describe().find("work_mem"), std::string::npos);
    EXPECT_EQ(os::read_file(paths().config() + "/postgresql.conf").value(), before);
    EXPECT_EQ(report().state, "running");
    EXPECT_EQ(report().observed_generation, 1);
    spec_.parameters["work_mem"] = "7001";
    must(ensure());
    EXPECT_EQ(ask("show work_mem"), "7001kB");
}

TEST_F(AgentTest, a_server_that_cannot_start_with_new_parameters_runs_with_the_old_ones) {
    must(ensure());
    const std::string before = ask("show shared_buffers");
    // A right value by its form: that this machine lacks the memory shows at the start only.
    spec_.parameters["shared_buffers"] = "1000000000";
    spec_.restart_sequence = 1;
    const Status failed = ensure();
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(report().state, "running");
    EXPECT_EQ(ask("show shared_buffers"), before);
    start_agent_again();
    EXPECT_EQ(report().observed_generation, 1);
    EXPECT_EQ(ask("show shared_buffers"), before);
}

TEST_F(AgentTest, a_restart_for_which_a_bad_parameter_has_waited_goes_back_to_what_was_in_force) {
    must(ensure());
    const std::string before = ask("show shared_buffers");
    spec_.parameters["shared_buffers"] = "1000000000";
    spec_.parameters["work_mem"] = "7001";
    must(ensure());
    ASSERT_EQ(report().pending_restart, std::vector<std::string>{"shared_buffers"});
    spec_.restart_sequence = 1;
    const Status failed = ensure();
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.error().code, ErrorCode::invalid_argument) << failed.error().describe();
    EXPECT_EQ(report().state, "running");
    EXPECT_EQ(ask("show shared_buffers"), before);
    EXPECT_EQ(ask("show work_mem"), "7001kB") << "what did not wait stays";
}

TEST_F(AgentTest, a_crash_while_a_bad_parameter_waits_for_a_restart_is_survived) {
    must(ensure());
    const std::string before = ask("show shared_buffers");
    spec_.parameters["shared_buffers"] = "1000000000";
    must(ensure());
    // The machine was switched off: the next agent knows what the disk knows.
    instance_.reset();
    const pid_t first = end_postmaster();
    start_agent_again();
    (void)instance_->tend();
    EXPECT_NE(pid(), first);
    EXPECT_EQ(report().state, "running");
    EXPECT_NE(report().detail.find("does not start"), std::string::npos) << report().detail;
    EXPECT_EQ(ask("show shared_buffers"), before);
    // What is asked for is still asked for, and waits again.
    must(ensure());
    EXPECT_EQ(report().pending_restart, std::vector<std::string>{"shared_buffers"});
    spec_.parameters.erase("shared_buffers");
    spec_.restart_sequence = 1;
    must(ensure());
    EXPECT_TRUE(report().pending_restart.empty());
}

TEST_F(AgentTest, a_size_that_does_not_start_is_tried_again_when_it_is_asked_for_again) {
    must(ensure());
    const std::string before = ask("show shared_buffers");
    spec_.memory_mb = 16 << 20;
    for (int i = 0; i < 2; ++i) {
        const Status failed = ensure();
        ASSERT_FALSE(failed.ok()) << "it is not taken for done";
        EXPECT_NE(failed.error().describe().find("does not start"), std::string::npos)
            << failed.error().describe();
        EXPECT_EQ(ask("show shared_buffers"), before);
    }
}

TEST_F(AgentTest, a_stopped_server_that_cannot_be_started_stays_stopped_and_says_why) {
    must(ensure());
    spec_.running = false;
    must(ensure());
    spec_.parameters["shared_buffers"] = "1000000000";
    spec_.running = true;
    const Status failed = ensure();
    ASSERT_FALSE(failed.ok());
    EXPECT_NE(failed.error().describe().find("shared_buffers"), std::string::npos);
    must(instance_->tend());
    EXPECT_EQ(report().state, "stopped");
    EXPECT_EQ(report().postmaster_pid, 0);
    spec_.parameters.clear();
    must(ensure());
    EXPECT_EQ(ask("select 1"), "1");
}

TEST_F(AgentTest, a_restart_asked_for_once_happens_once) {
    must(ensure());
    const pid_t first = pid();
    spec_.restart_sequence = 1;
    must(ensure());
    const pid_t second = pid();
    EXPECT_NE(second, first);
    must(ensure());
    must(instance_->ensure(spec_, 1));
    EXPECT_EQ(pid(), second);
    start_agent_again();
    must(ensure());
    EXPECT_EQ(pid(), second);
}

TEST_F(AgentTest, a_restart_helps_a_server_that_lets_nobody_in) {
    must(ensure());
    const pid_t first = pid();
    auto blocker = pg::Connection::open({.host = paths().socket_folder,
                                         .port = static_cast<int>(report().backend_port),
                                         .user = "howdah"});
    ASSERT_TRUE(blocker.ok()) << blocker.error().describe();
    ASSERT_TRUE(blocker->execute("begin; lock table pg_authid in access exclusive mode").ok());
    spec_.restart_sequence = 1;
    must(ensure());
    EXPECT_NE(pid(), first);
    EXPECT_EQ(ask("select 1"), "1");
}

TEST_F(AgentTest, what_alter_system_would_write_is_never_in_force) {
    must(ensure());
    const std::string path = paths().data() + "/postgresql.auto.conf";
    ASSERT_TRUE(os::write_file_atomic(path, "fsync = off\nshared_preload_libraries = ''\n").ok());
    ASSERT_EQ(chmod(path.c_str(), 0644), 0);
    spec_.restart_sequence = 1;
    must(ensure());
    EXPECT_EQ(ask("show fsync"), "on");
    EXPECT_EQ(os::read_file(path).value(), "");
}

TEST_F(AgentTest, without_its_guard_no_server_is_started_and_no_engine_offered) {
    must(ensure());
    const std::string guard = machine_->guard_path(spec_.major);
    ASSERT_FALSE(guard.empty());
    ASSERT_TRUE(os::rename_synced(guard, guard + ".away").ok());
    model::Engine engine;
    engine.major = spec_.major;
    EXPECT_TRUE(machine_->report({engine}).engines.empty());
    spec_.restart_sequence = 1;
    const Status refused = ensure();
    ASSERT_TRUE(os::rename_synced(guard + ".away", guard).ok());
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().describe().find("howdah_guard-"), std::string::npos)
        << refused.error().describe();
    EXPECT_EQ(machine_->report({engine}).engines.size(), 1U);
    must(ensure());
    EXPECT_EQ(ask("select 1"), "1");
}

TEST_F(AgentTest, what_runs_as_a_superuser_is_not_the_servers_to_change) {
    if (!os::is_root()) GTEST_SKIP() << "users of their own need root";
    must(ensure());
    for (const char* each : {"", "/extensions", "/postgresql.conf", "/pg_hba.conf"}) {
        const auto owner = os::owner_of(paths().config() + each);
        ASSERT_TRUE(owner.ok());
        EXPECT_EQ(owner->user, 0U) << each;
    }
    // An earlier version gave the scripts to the server's user, who may have put links there.
    const std::string top = paths().config() + "/extensions";
    ASSERT_TRUE(os::change_owner(top, {65534, 65534}).ok());
    ASSERT_EQ(symlink("/etc", (top + "/link").c_str()), 0);
    must(ensure());
    EXPECT_EQ(os::owner_of(top)->user, 0U);
    EXPECT_FALSE(os::exists(top + "/link"));
}

TEST_F(AgentTest, a_static_parameter_waits_for_a_restart_and_is_reported_so_long) {
    must(ensure());
    const pid_t first = pid();
    spec_.parameters["max_connections"] = "61";
    must(ensure());
    EXPECT_EQ(pid(), first);
    EXPECT_EQ(report().pending_restart, std::vector<std::string>{"max_connections"});
    spec_.restart_sequence = 1;
    must(ensure());
    EXPECT_TRUE(report().pending_restart.empty());
    EXPECT_EQ(ask("show max_connections"), "61");
}

TEST_F(AgentTest, a_new_password_lets_in_and_the_old_one_no_more) {
    must(ensure());
    EXPECT_TRUE(as_administrator(kPassword).ok());
    set_password("Another-Horse-43");
    must(ensure());
    EXPECT_TRUE(as_administrator("Another-Horse-43").ok());
    EXPECT_FALSE(as_administrator(kPassword).ok());
    EXPECT_EQ(os::read_file(paths().state()).value().find("SCRAM-SHA-256$"), std::string::npos)
        << "the verifier is not kept beside the server";
}

TEST_F(AgentTest, a_change_that_fails_leaves_password_and_settings_as_they_were) {
    must(ensure());
    const model::InstanceSpec before = spec_;
    const pid_t first = pid();
    const std::string work_mem = ask("show work_mem");
    auto holder = as_administrator();
    ASSERT_TRUE(holder.ok());
    must(holder->execute("begin; alter role ada password 'Held-Horse-44'"));
    set_password("Another-Horse-43");
    spec_.parameters["work_mem"] = "7001";
    const Status refused = ensure();
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::conflict) << refused.error().describe();
    EXPECT_NE(refused.error().message.find(fmt::format("session {} ", holder->backend_pid())),
              std::string::npos)
        << refused.error().describe();
    must(holder->execute("rollback"));
    const auto is_as_before = [&] {
        must(instance_->tend());
        EXPECT_TRUE(as_administrator(kPassword).ok());
        EXPECT_FALSE(as_administrator("Another-Horse-43").ok());
        const Instant end = clock_.now() + std::chrono::seconds(10);
        while (ask("show work_mem") != work_mem && clock_.now() < end) std::this_thread::yield();
        EXPECT_EQ(ask("show work_mem"), work_mem);
        EXPECT_EQ(pid(), first);
    };
    is_as_before();
    start_agent_again();
    is_as_before();
    // The control plane takes it back, and a later change is another.
    const model::Generation generation = spec_.generation;
    spec_ = before;
    spec_.generation = generation;
    must(ensure());
    is_as_before();
    spec_.parameters["maintenance_work_mem"] = "70001";
    must(ensure());
    is_as_before();
}

TEST_F(AgentTest, a_password_that_was_set_is_taken_back_by_the_spec_before) {
    must(ensure());
    const model::InstanceSpec before = spec_;
    set_password("Another-Horse-43");
    spec_.restart_sequence = 7;
    must(ensure());
    EXPECT_TRUE(as_administrator("Another-Horse-43").ok());
    const pid_t second = pid();
    const model::Generation generation = spec_.generation;
    spec_ = before;
    spec_.generation = generation;
    must(ensure());
    EXPECT_TRUE(as_administrator(kPassword).ok());
    EXPECT_FALSE(as_administrator("Another-Horse-43").ok());
    EXPECT_EQ(pid(), second) << "a restart cannot be taken back, and is not made again";
    spec_.restart_sequence = 9;
    must(ensure());
    EXPECT_NE(pid(), second);
}

TEST_F(AgentTest, a_password_of_which_it_is_not_known_whether_it_was_set_is_set_again) {
    must(ensure());
    // The agent was killed between setting it and writing that down.
    auto state = model::from_json<model::InstanceState>(os::read_file(paths().state()).value());
    ASSERT_TRUE(state.ok());
    state->password_version = 0;
    must(os::write_file_atomic(paths().state(), model::to_json(*state), 0600));
    {
        auto session = as_administrator();
        ASSERT_TRUE(session.ok());
        must(session->execute("alter role ada password 'Another-Horse-43'"));
    }
    start_agent_again();
    must(ensure());
    EXPECT_TRUE(as_administrator(kPassword).ok());
}

TEST_F(AgentTest, a_database_that_was_made_a_template_is_still_seen_and_dropped) {
    must(ensure());
    const model::DatabaseSpec wanted{"/d", "app", "UTF8", "C.UTF-8", ""};
    must(instance_->create_database(wanted, 1));
    {
        auto session = as_administrator();
        ASSERT_TRUE(session.ok());
        must(session->execute("alter database app is_template true"));
    }
    must(instance_->tend());
    const auto is_app = [](const model::DatabaseStatus& each) { return each.name == "app"; };
    const auto seen = report().databases;
    EXPECT_EQ(std::count_if(seen.begin(), seen.end(), is_app), 1);
    for (const model::DatabaseStatus& each : seen) EXPECT_FALSE(each.name.starts_with("template"));
    for (int i = 0; i < 2; ++i) must(instance_->drop_database(wanted, 1));
    EXPECT_EQ(ask("select count(*) from pg_database where datname = 'app'"), "0");
}

TEST_F(AgentTest, a_prepared_transaction_that_prevents_a_drop_is_named) {
    spec_.parameters["max_prepared_transactions"] = "5";
    must(ensure());
    const model::DatabaseSpec wanted{"/d", "app", "UTF8", "C.UTF-8", ""};
    must(instance_->create_database(wanted, 1));
    auto session = pg::Connection::open({.host = "127.0.0.1",
                                         .port = static_cast<int>(report().backend_port),
                                         .database = "app",
                                         .user = kAdministrator,
                                         .password = Secret(kPassword),
                                         .ssl_mode = "require"});
    ASSERT_TRUE(session.ok()) << session.error().describe();
    must(session->execute("begin; create schema kept; prepare transaction 'kept'"));
    const Status refused = instance_->drop_database(wanted, 1);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().hint.find("ROLLBACK PREPARED"), std::string::npos)
        << refused.error().describe();
    must(session->execute("rollback prepared 'kept'"));
    must(instance_->drop_database(wanted, 1));
}

TEST_F(AgentTest, databases_are_made_and_dropped_and_doing_it_again_changes_nothing) {
    must(ensure());
    const std::size_t databases = report().databases.size();
    const model::DatabaseSpec wanted{"/d", "app \"1\"", "UTF8", "C.UTF-8", ""};
    for (int i = 0; i < 2; ++i) must(instance_->create_database(wanted, 1));
    EXPECT_EQ(ask("select count(*) from pg_database where datname = 'app \"1\"'"), "1");
    model::DatabaseSpec other = wanted;
    other.collation = "POSIX";
    const Status different = instance_->create_database(other, 1);
    ASSERT_FALSE(different.ok());
    EXPECT_EQ(different.error().code, ErrorCode::conflict);
    for (int i = 0; i < 2; ++i) must(instance_->drop_database(wanted, 1));
    EXPECT_EQ(ask("select count(*) from pg_database where datname = 'app \"1\"'"), "0");
    for (const std::string_view reserved : kSystemDatabases) {
        const std::string name(reserved);
        EXPECT_FALSE(instance_->drop_database({"/d", name, "UTF8", "C", ""}, 1).ok()) << name;
    }
    EXPECT_EQ(report().databases.size(), databases) << "nothing else has come or gone";
}

TEST_F(AgentTest, a_statement_that_waits_for_a_lock_gives_up_and_says_who_holds_it) {
    must(ensure());
    const model::DatabaseSpec wanted{"/d", "app", "UTF8", "C.UTF-8", ""};
    must(instance_->create_database(wanted, 1));
    auto holder = as_administrator();
    ASSERT_TRUE(holder.ok());
    must(holder->execute("begin; comment on database app is 'held'"));
    const Instant begun = clock_.now();
    const Status refused = instance_->drop_database(wanted, 1);
    EXPECT_LT(clock_.now() - begun, 3 * Postmaster::kLockMax);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::conflict) << refused.error().describe();
    const std::string pid = fmt::format("session {} ", holder->backend_pid());
    EXPECT_NE(refused.error().message.find(pid), std::string::npos) << refused.error().describe();
    EXPECT_NE(refused.error().message.find("\"ada\""), std::string::npos)
        << refused.error().describe();
    must(holder->execute("rollback"));
    must(instance_->drop_database(wanted, 1));
}

TEST_F(AgentTest, a_killed_postmaster_is_started_again_though_its_children_live) {
    must(ensure());
    {
        auto session = as_administrator();
        ASSERT_TRUE(session.ok());
        must(session->execute("create table kept as select generate_series(1, 100) n"));
    }
    const pid_t first = pid();
    // Its children find out only when they look; a stopped one never does.
    auto asleep = as_administrator();
    ASSERT_TRUE(asleep.ok());
    const auto backend = asleep->query("select pg_backend_pid()");
    ASSERT_TRUE(backend.ok());
    const auto child = static_cast<pid_t>(parse_integer(backend->at(0, 0), 1, 1 << 30).value());
    ASSERT_EQ(kill(child, SIGSTOP), 0);
    ASSERT_EQ(kill(first, SIGKILL), 0);
    must(tend_until_another_than(first));
    EXPECT_EQ(report().state, "running");
    EXPECT_EQ(ask("select count(*) from kept"), "100");
    const std::string facts = os::read_file(fmt::format("/proc/{}/stat", child)).value_or("");
    EXPECT_TRUE(facts.empty() || facts.find(") Z ") != std::string::npos)
        << "a process of the old postmaster may still write: " << facts;
}

TEST_F(AgentTest, a_second_postmaster_on_the_same_directory_is_refused) {
    must(ensure());
    Postmaster second({machine_->engines().back().programs + "/postgres",
                       paths(),
                       os::ServerUsers::find(os_user()).value(),
                       {}},
                      clock_);
    EXPECT_TRUE(second.adopt());
    EXPECT_EQ(second.id()->pid, pid()) << "it is taken over, not doubled";
    // Somebody removed the pid file: the lock still tells.
    const std::string file = paths().data() + "/postmaster.pid";
    const std::string content = os::read_file(file).value();
    EXPECT_FALSE(os::FileLock::try_lock(paths().lock()).ok());
    EXPECT_EQ(os::read_file(file).value(), content);
    EXPECT_EQ(ask("select 1"), "1");
}

TEST_F(AgentTest, a_stopped_server_stays_stopped_whoever_starts_the_agent) {
    must(ensure());
    spec_.running = false;
    must(ensure());
    EXPECT_EQ(report().state, "stopped");
    EXPECT_EQ(report().postmaster_pid, 0);
    EXPECT_EQ(instance_->view().route.state, "closed");
    start_agent_again();
    must(instance_->tend());
    EXPECT_EQ(report().state, "stopped");
    EXPECT_FALSE(instance_->create_database({"/d", "app", "UTF8", "C", ""}, 1).ok());
    spec_.running = true;
    must(ensure());
    EXPECT_EQ(ask("select 1"), "1");
}

TEST_F(AgentTest, the_past_is_refused) {
    must(instance_->ensure(spec_, 5));
    const auto is_conflict = [](const Status& status) {
        return !status.ok() && status.error().code == ErrorCode::conflict;
    };
    EXPECT_TRUE(is_conflict(instance_->ensure(spec_, 4)));
    EXPECT_TRUE(is_conflict(instance_->drop_database({"/d", "app", "UTF8", "C", ""}, 4)));
    EXPECT_TRUE(is_conflict(instance_->remove(4)));
    start_agent_again();
    EXPECT_TRUE(is_conflict(instance_->ensure(spec_, 4))) << "also after a restart of the agent";
    // A higher term counts from the moment it was seen, whatever becomes of the action.
    EXPECT_FALSE(instance_->drop_database({"/d", "postgres", "UTF8", "C", ""}, 7).ok());
    start_agent_again();
    EXPECT_TRUE(is_conflict(instance_->ensure(spec_, 6)));
    // An older generation under the right term is done already.
    model::InstanceSpec older = spec_;
    older.generation = 0;
    older.running = false;
    must(instance_->ensure(older, 7));
    EXPECT_EQ(report().state, "running");
}

TEST_F(AgentTest, a_deleted_server_leaves_nothing) {
    must(ensure());
    const std::string user = os_user();
    const pid_t first = pid();
    uid_t uid = 0;
    if (os::is_root()) {
        const auto found = os::ServerUsers::find(user).value();
        ASSERT_TRUE(found.has_value());
        uid = found->uid;
        // After a crash there is one segment more than a clean stop would free.
        ASSERT_EQ(kill(first, SIGKILL), 0);
        must(tend_until_another_than(first));
        // And nobody comes to tidy up after this one.
        end_postmaster();
        ASSERT_GT(shared_memory_of(uid), 0);
    }
    must(instance_->remove(1));
    EXPECT_EQ(report().state, "absent");
    EXPECT_FALSE(os::exists(paths().folder));
    EXPECT_FALSE(os::exists(paths().socket_folder));
    if (os::is_root()) {
        EXPECT_EQ(getpwnam(user.c_str()), nullptr);  // NOLINT(concurrency-mt-unsafe)
        EXPECT_EQ(shared_memory_of(uid), 0);
    }
    must(instance_->remove(1));  // again
}

TEST_F(AgentTest, a_half_deleted_server_is_never_served_again) {
    must(ensure());
    must(instance_->remove(1));
    must(os::make_folders(paths().folder, 0711));
    model::InstanceState state;
    state.spec = spec_;
    state.deleting = true;
    state.observed_generation = 1;
    must(os::write_file_atomic(paths().state(), model::to_json(state)));
    start_agent_again();
    EXPECT_TRUE(instance_->is_deleting());
    EXPECT_FALSE(instance_->ensure(spec_, 1).ok());
    must(instance_->tend());
    EXPECT_EQ(report().state, "absent");
    must(instance_->remove(1));
    EXPECT_FALSE(os::exists(paths().folder));
}

TEST_F(AgentTest, every_server_has_a_system_identifier_of_its_own) {
    must(ensure());
    const std::string query = "select system_identifier::text from pg_control_system()";
    auto session = Postmaster({"", paths(), std::nullopt, {}}, clock_)
                       .connect("postgres", static_cast<int>(report().backend_port));
    ASSERT_TRUE(session.ok()) << session.error().describe();
    const std::string first = session->query(query)->at(0, 0);
    must(pool_->make(machine_->engines().back(), false));
    EXPECT_EQ(pool_->count(spec_.major), 1U);
    model::InstanceSpec other = spec_;
    other.incarnation = ids_.uuid();
    Instance second(*machine_, *pool_, nullptr, clock_, other.incarnation, [] {});
    must(second.ensure(other, 1));
    EXPECT_EQ(pool_->count(spec_.major), 0U) << "the prepared directory was taken";
    auto its_session =
        Postmaster({"", instance_paths(machine_->layout(), other.incarnation), std::nullopt, {}},
                   clock_)
            .connect("postgres", static_cast<int>(second.view().report.backend_port));
    ASSERT_TRUE(its_session.ok());
    EXPECT_NE(its_session->query(query)->at(0, 0), first);
    must(second.remove(1));
}

/// The same through the agent: actions in, results and routes out.
class WholeAgentTest : public AgentTest {
  protected:
    void SetUp() override {
        AgentTest::SetUp();
        if (!instance_) return;
        instance_.reset();
        start_agent();
    }
    void TearDown() override {
        if (!agent_) return;
        (void)carry_out(model::ActionKind::delete_instance);
        agent_.reset();
        EXPECT_FALSE(os::exists(paths().folder));
    }

    /// Also: it was killed, and this is the next one.
    void start_agent() {
        agent_.reset();
        Journal journal = Journal::open(machine_->layout().journal()).value();
        agent_ = std::make_unique<Agent>(*machine_, LinkOptions{}, std::move(journal), clock_, ids_,
                                         /*pool_size=*/0, /*actions_max=*/1);
        must(agent_->load());
    }
    /// Somebody else in that server waits for a lock.
    void wait_until_somebody_waits(pg::Connection& session) {
        const Instant end = clock_.now() + std::chrono::seconds(20);
        while (session.query("select count(*) from pg_locks where not granted")->at(0, 0) == "0") {
            ASSERT_LT(clock_.now(), end);
            std::this_thread::yield();
        }
    }
    model::Action action(model::ActionKind kind) {
        model::Action action{.id = ids_.uuid(),
                             .server_id = spec_.server_id,
                             .incarnation = spec_.incarnation,
                             .kind = kind,
                             .term = 1,
                             .generation = spec_.generation};
        if (kind == model::ActionKind::ensure_instance) action.instance = spec_;
        return action;
    }
    /// One that is told to stop still does what it has accepted.
    void work() {
        std::stop_source stop;
        stop.request_stop();
        agent_->work(stop.get_token());
    }
    /// "" if it succeeded. The control plane stores the result and says so.
    std::string carry_out(const model::Action& action) {
        if (!agent_->accept(action)) return "not accepted";
        work();
        for (const model::ActionResult& each : agent_->results()) {
            if (each.action_id != action.id) continue;
            must(agent_->acknowledge({action.id}));
            return each.failure ? each.failure->code + ": " + each.failure->message : "";
        }
        return "no result";
    }
    std::string carry_out(model::ActionKind kind) { return carry_out(action(kind)); }
    std::string ensure_next() {
        ++spec_.generation;
        return carry_out(model::ActionKind::ensure_instance);
    }
    pid_t pid() const {
        const auto report = agent_->report_of(spec_.incarnation);
        return report ? static_cast<pid_t>(report->postmaster_pid) : 0;
    }
    std::vector<model::Route> routes() const {
        return model::from_json<model::RouteTable>(
                   os::read_file(machine_->layout().routes()).value())
            .value()
            .routes;
    }

    std::unique_ptr<Agent> agent_;
};

TEST_F(WholeAgentTest, the_next_agent_goes_on_with_the_same_postmaster_and_the_same_route) {
    ASSERT_EQ(ensure_next(), "");
    const pid_t first = pid();
    ASSERT_GT(first, 0);
    for (int i = 0; i < 2; ++i) {
        ASSERT_EQ(routes().size(), 1U);
        EXPECT_EQ(routes()[0].state, "open");
        EXPECT_EQ(routes()[0].postmaster_pid, first);
        EXPECT_EQ(pid(), first);
        start_agent();
    }
}

TEST_F(WholeAgentTest, a_restart_that_comes_again_after_all_is_forgotten_is_not_done_again) {
    ASSERT_EQ(ensure_next(), "");
    const pid_t first = pid();
    spec_.restart_sequence = 1;
    ++spec_.generation;
    const model::Action restart = action(model::ActionKind::ensure_instance);
    EXPECT_EQ(carry_out(restart), "");
    const pid_t second = pid();
    EXPECT_NE(second, first);
    EXPECT_EQ(carry_out(restart), "");
    start_agent();
    EXPECT_EQ(carry_out(restart), "");
    EXPECT_EQ(ensure_next(), "");
    EXPECT_EQ(pid(), second);
}

TEST_F(WholeAgentTest, a_killed_postmaster_is_noticed_and_started_again) {
    ASSERT_EQ(ensure_next(), "");
    const pid_t first = pid();
    std::jthread watcher([this](std::stop_token stop) { agent_->watch(std::move(stop)); });
    std::jthread worker([this](std::stop_token stop) { agent_->work(std::move(stop)); });
    ASSERT_EQ(kill(first, SIGKILL), 0);
    const Instant end = clock_.now() + std::chrono::seconds(20);
    // The route still names the first until the agent has noticed its end.
    const auto goes_to_another = [&](const model::Route& route) {
        return route.state == "open" && route.postmaster_pid != first;
    };
    while (!goes_to_another(routes()[0]) && clock_.now() < end) std::this_thread::yield();
    EXPECT_TRUE(goes_to_another(routes()[0]));
    EXPECT_EQ(routes()[0].postmaster_pid, pid());
}

TEST_F(WholeAgentTest, a_killed_postmaster_does_not_wait_behind_the_locks_of_other_servers) {
    ASSERT_EQ(ensure_next(), "");
    const model::InstanceSpec mine = spec_;
    const pid_t first = pid();
    // Another server, of a customer who holds a lock that the agent needs.
    spec_.incarnation = ids_.uuid();
    spec_.server_id = "/s/" + spec_.incarnation;
    ASSERT_EQ(ensure_next(), "");
    const model::InstanceSpec theirs = spec_;
    model::Action drop = action(model::ActionKind::create_database);
    drop.database = model::DatabaseSpec{"/d", "app", "UTF8", "C.UTF-8", ""};
    ASSERT_EQ(carry_out(drop), "");
    const auto report = agent_->report_of(spec_.incarnation);
    auto holder = pg::Connection::open({.host = "127.0.0.1",
                                        .port = static_cast<int>(report->backend_port),
                                        .user = kAdministrator,
                                        .password = Secret(kPassword),
                                        .ssl_mode = "require"});
    ASSERT_TRUE(holder.ok()) << holder.error().describe();
    must(holder->execute("begin; comment on database app is 'held'"));
    drop.id = ids_.uuid();
    drop.kind = model::ActionKind::drop_database;
    ASSERT_TRUE(agent_->accept(drop));
    {
        std::jthread watcher([this](std::stop_token stop) { agent_->watch(std::move(stop)); });
        std::jthread worker([this](std::stop_token stop) { agent_->work(std::move(stop)); });
        wait_until_somebody_waits(*holder);
        // As many actions run as may: one. What is more waits, but not what has crashed.
        spec_ = mine;
        ++spec_.generation;
        const model::Action waiting = action(model::ActionKind::ensure_instance);
        ASSERT_TRUE(agent_->accept(waiting));
        ASSERT_EQ(kill(first, SIGKILL), 0);
        const auto await = [&](auto&& holds) {
            const Instant end = clock_.now() + std::chrono::seconds(60);
            const auto is_so = [&] {
                const auto all = routes();
                return std::any_of(all.begin(), all.end(), [&](const model::Route& route) {
                    return route.server_id == mine.server_id && holds(route);
                });
            };
            while (!is_so() && clock_.now() < end) std::this_thread::yield();
            return is_so();
        };
        // How long a start takes is the machine's affair; that it begins while the other action
        // still waits is ours.
        EXPECT_TRUE(await([&](const model::Route& route) {
            return route.state != "open" || route.postmaster_pid != first;
        }));
        EXPECT_TRUE(agent_->results().empty()) << "the crashed server waited for the lock, too";
        EXPECT_TRUE(await([&](const model::Route& route) {
            return route.state == "open" && route.postmaster_pid != first;
        }));
        must(holder->execute("rollback"));
    }
    for (const model::ActionResult& each : agent_->results())
        must(agent_->acknowledge({each.action_id}));
    spec_ = theirs;
    EXPECT_EQ(carry_out(model::ActionKind::delete_instance), "");
    spec_ = mine;
}

TEST_F(WholeAgentTest, a_survey_that_fails_leaves_nothing) {
    (void)carry_out(model::ActionKind::delete_instance);
    agent_.reset();
    // Where sockets are to be there is a file: no server can be started.
    must(os::remove_tree(machine_->layout().sockets()));
    must(os::write_file_atomic(machine_->layout().sockets(), ""));
    RememberedIds ids;
    agent_ = std::make_unique<Agent>(*machine_, LinkOptions{},
                                     Journal::open(machine_->layout().journal()).value(), clock_,
                                     ids, /*pool_size=*/0);
    const auto before = os::list_folder(machine_->layout().prepared()).value();
    {
        std::jthread preparer([this](std::stop_token stop) { agent_->prepare(std::move(stop)); });
        const Instant end = clock_.now() + std::chrono::seconds(60);
        while (!agent_->host_report() && clock_.now() < end) std::this_thread::yield();
    }
    ASSERT_TRUE(agent_->host_report().has_value()) << "it was tried";
    EXPECT_TRUE(agent_->host_report()->engines.empty());
    EXPECT_EQ(os::list_folder(machine_->layout().prepared()).value(), before);
    for (const std::string& each : ids.all)
        EXPECT_FALSE(os::find_user("howdah-" + each.substr(0, 8)).ok()) << each;
    must(os::remove_tree(machine_->layout().sockets()));
    agent_.reset();
}

TEST_F(WholeAgentTest, a_delete_replaces_what_waits_and_nothing_brings_the_server_back) {
    ASSERT_EQ(ensure_next(), "");
    const pid_t first = pid();
    ++spec_.generation;
    spec_.restart_sequence = 1;
    const model::Action waiting = action(model::ActionKind::ensure_instance);
    ASSERT_TRUE(agent_->accept(waiting));
    EXPECT_EQ(carry_out(model::ActionKind::delete_instance), "");
    EXPECT_TRUE(agent_->results().empty()) << "what was replaced has no result";
    EXPECT_FALSE(os::process_facts(first).has_value());
    EXPECT_TRUE(ensure_next().starts_with(to_string(ErrorCode::conflict))) << "a late repetition";
    EXPECT_FALSE(os::exists(paths().folder));
    EXPECT_TRUE(routes().empty());
}

}  // namespace
}  // namespace howdah::agent
