// Two hosts of one machine with a member each of a highly available server, as agents run them:
// real PostgreSQL, no control plane.

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <memory>

#include "agent/config/render.h"
#include "agent/ha/fence.h"
#include "agent/instance.h"
#include "agent/machine.h"
#include "agent/prepared.h"
#include "base/text.h"
#include "http/certificates.h"
#include "integration/postgres_support.h"
#include "os/file.h"
#include "pg/scram.h"
#include "places.h"

namespace howdah::agent {
namespace {

using test::kAdministrator;
using test::kPassword;
using namespace std::chrono_literals;

constexpr Duration kHealMax = 60s;

/// What one agent has.
struct Host {
    std::string id;
    std::unique_ptr<Machine> machine;
    std::unique_ptr<PreparedPool> pool;
    std::unique_ptr<MemberServices> services;
    std::unique_ptr<Instance> instance;
};

class MemberTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (test::engine_folder().empty()) return;
        char name[] = "/tmp/howdah-mb-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        ASSERT_EQ(chmod(name, 0711), 0);
        home_ = name;
        for (const char* each : {"agent", "agent-2", "gateway", "run"})
            ASSERT_TRUE(os::make_folders(home_ + "/" + each, 0711).ok());
        make_host(a_, "host-a", "");
        make_host(b_, "host-b", "-2");
        authority_ = std::make_unique<http::CertificateAuthority>(
            http::CertificateAuthority::create("test", clock_.wall()).value());
    }
    static void TearDownTestSuite() {
        a_ = {};
        b_ = {};
        authority_.reset();
        if (!home_.empty()) {
            EXPECT_TRUE(os::remove_tree(home_).ok());
        }
    }
    static void make_host(Host& host, const std::string& id, const std::string& suffix) {
        MachineOptions options;
        options.layout = {home_, suffix};
        options.host_id = host.id = id;
        options.guard_folder = test::bin_dir();
        options.gateway_source = "127.0.0.1";  // the tests connect directly
        host.machine = std::make_unique<Machine>(options);
        host.pool = std::make_unique<PreparedPool>(host.machine->layout(), ids_);
        ASSERT_TRUE(host.pool->clean().ok());
    }

    void SetUp() override {
        if (home_.empty()) GTEST_SKIP() << "SKIPPED: no PostgreSQL is installed";
        spec_.incarnation = ids_.uuid();
        spec_.server_id = "/s/" + spec_.incarnation;
        spec_.server_name = "orders";
        spec_.major = a_.machine->engines().back().major;
        spec_.administrator_login = kAdministrator;
        set_password(kPassword);
        spec_.vcores = 1;
        spec_.memory_mb = 512;
        spec_.iops = 500;
        spec_.host_names = {"orders.example"};
        const auto leaf =
            authority_
                ->issue({.common_name = "orders", .dns_names = {"orders.example"}}, clock_.wall())
                .value();
        spec_.tls = {leaf.certificate_pem, leaf.key_pem.reveal(), authority_->certificate_pem()};
        begin_agent(a_);
        begin_agent(b_);
    }
    void TearDown() override {
        for (Host* each : {&b_, &a_}) {
            if (each->instance) must(each->instance->remove(1000));
            each->instance.reset();
            each->services.reset();
        }
    }
    void begin_agent(Host& host) {
        host.services = std::make_unique<MemberServices>(
            MemberServices::Options{.layout = host.machine->layout(), .node = host.id}, ids_,
            clock_);
        host.instance = std::make_unique<Instance>(*host.machine, *host.pool, host.services.get(),
                                                   clock_, spec_.incarnation, [] {});
    }
    /// PostgreSQL goes on.
    static void end_agent(Host& host) {
        host.instance.reset();
        host.services.reset();
    }
    void begin_agent_again(Host& host) {
        end_agent(host);
        begin_agent(host);
        must(host.instance->load());
    }

    void set_password(const std::string& password) {
        spec_.administrator_verifier =
            pg::scram_verifier(Secret(password), "0123456789abcdef").value();
        ++spec_.password_version;
    }
    void must(const Status& status) { ASSERT_TRUE(status.ok()) << status.error().describe(); }
    /// As the planner does it, with the primary on `primary`.
    Status ensure(Host& host, const Host& primary, bool with_members = true) {
        model::InstanceSpec spec = spec_;
        if (with_members) spec.member_hosts = {a_.id, b_.id};
        spec.is_founder = with_members && &host == &primary;
        return host.instance->ensure(spec, 1);
    }
    /// A server with one member on each host, the primary on A.
    void make_pair() {
        ++spec_.generation;
        must(ensure(a_, a_));
        must(ensure(b_, a_));
        wait_until_safe(a_);
    }
    static model::InstanceReport report(const Host& host) { return host.instance->view().report; }
    static model::MemberReport member(const Host& host) {
        return report(host).member.value_or(model::MemberReport{});
    }
    const Host& other(const Host& host) const { return &host == &a_ ? b_ : a_; }

    template <typename Condition>
    void wait_for(Condition condition, const std::string& what) {
        const Instant deadline = clock_.now() + kHealMax;
        while (!condition()) {
            ASSERT_LT(clock_.now(), deadline)
                << what << "; a: " << report(a_).state << " " << report(a_).detail
                << "; b: " << report(b_).state << " " << report(b_).detail;
            poll(nullptr, 0, 2);
        }
    }
    void wait_until_safe(const Host& primary) {
        const std::vector<std::string> standby = {other(primary).id};
        wait_for([&] { return member(primary).serves && member(primary).sync_hosts == standby; },
                 "commits wait for a standby of " + primary.id);
    }
    std::string ask(const Host& host, const std::string& sql,
                    const std::string& password = kPassword) const {
        auto session = pg::Connection::open({.host = "127.0.0.1",
                                             .port = static_cast<int>(report(host).backend_port),
                                             .user = kAdministrator,
                                             .password = Secret(password),
                                             .ssl_mode = "require"});
        if (!session.ok()) return session.error().describe();
        const auto rows = session->query(sql);
        if (!rows.ok()) return rows.error().describe();
        return rows->rows.empty() ? "" : rows->at(0, 0);
    }
    pid_t postmaster(const Host& host) const {
        const auto paths = instance_paths(host.machine->layout(), spec_.incarnation);
        const auto file = os::read_file(paths.data() + "/postmaster.pid", 4096);
        if (!file.ok()) return 0;
        return static_cast<pid_t>(
            parse_integer(split(*file, '\n').front(), 2, 1 << 30).value_or(0));
    }

    inline static std::string home_;
    inline static SystemClock clock_;
    inline static SystemIdSource ids_;
    inline static Host a_, b_;
    inline static std::unique_ptr<http::CertificateAuthority> authority_;
    model::InstanceSpec spec_;
};

TEST_F(MemberTest, a_running_server_gets_a_standby_without_a_restart_and_fails_over_to_it) {
    ++spec_.generation;
    must(ensure(a_, a_, false));
    EXPECT_EQ(ask(a_, "CREATE TABLE public.t AS SELECT 42 AS x"), "");
    const pid_t before = postmaster(a_);
    make_pair();
    EXPECT_EQ(postmaster(a_), before);
    EXPECT_EQ(report(a_).state, "running");
    EXPECT_EQ(report(b_).state, "following");
    EXPECT_EQ(a_.instance->view().route.state, "open");
    EXPECT_EQ(b_.instance->view().route.state, "hold");
    EXPECT_TRUE(a_.instance->is_primary());
    EXPECT_FALSE(b_.instance->is_primary());

    must(a_.instance->fail_over(true, 1));
    wait_for([&] { return member(b_).serves; }, "the standby serves");
    EXPECT_GT(b_.instance->view().route.term, a_.instance->view().route.term - 1);
    EXPECT_EQ(ask(b_, "SELECT x FROM public.t"), "42");
    wait_until_safe(b_);
    EXPECT_EQ(a_.instance->view().route.state, "hold");
    const Status again = a_.instance->fail_over(true, 1);
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error().code, ErrorCode::invalid_state);
}

TEST_F(MemberTest, a_killed_postmaster_is_followed_and_comes_back_as_the_standby) {
    make_pair();
    (void)ask(a_, "CREATE TABLE public.t AS SELECT 42 AS x");
    (void)::kill(postmaster(a_), SIGKILL);
    wait_for([&] { return member(b_).serves; }, "the standby took over");
    EXPECT_EQ(ask(b_, "SELECT x FROM public.t"), "42");
    wait_until_safe(b_);
    // The new primary does what is wanted with SQL, although it has only copied so far.
    set_password("Other-Horse-43");
    ++spec_.generation;
    must(ensure(b_, b_));
    must(ensure(a_, b_));
    EXPECT_EQ(ask(b_, "SELECT 1", "Other-Horse-43"), "1");
    EXPECT_TRUE(b_.instance->is_primary());
    EXPECT_FALSE(a_.instance->is_primary());
}

TEST_F(MemberTest, an_agent_that_is_started_anew_goes_on_with_its_primary_at_once) {
    make_pair();
    const pid_t before = postmaster(a_);
    const model::Term term = member(a_).term;
    begin_agent_again(a_);
    wait_until_safe(a_);
    EXPECT_EQ(postmaster(a_), before);
    EXPECT_EQ(member(a_).term, term);
    begin_agent_again(b_);
    wait_until_safe(a_);
    EXPECT_EQ(member(a_).term, term);
}

TEST_F(MemberTest, a_restart_is_no_failover_and_does_not_keep_a_server_from_leaving) {
    make_pair();
    const pid_t before = postmaster(a_);
    const model::Term term = member(a_).term;
    ++spec_.restart_sequence;
    ++spec_.generation;
    must(ensure(a_, a_));
    must(ensure(b_, a_));
    wait_until_safe(a_);
    EXPECT_NE(postmaster(a_), before);
    EXPECT_EQ(member(a_).term, term);
    EXPECT_EQ(ask(a_, "SELECT 1"), "1");
    // What was in force since a start can be taken back without another one.
    ++spec_.generation;
    must(ensure(a_, a_, false));
    EXPECT_EQ(report(a_).state, "running");
}

TEST_F(MemberTest, what_does_not_start_gets_the_parameters_before) {
    make_pair();
    spec_.parameters["shared_buffers"] = "100000000";  // more memory than there is
    ++spec_.restart_sequence;
    ++spec_.generation;
    const Status refused = ensure(a_, a_);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument) << refused.error().describe();
    wait_for([&] { return member(a_).serves || member(b_).serves; }, "one of them serves again");
    spec_.parameters.clear();
}

TEST_F(MemberTest, a_stopped_server_starts_with_the_primary_that_it_had) {
    make_pair();
    (void)ask(a_, "CREATE TABLE public.t AS SELECT 42 AS x");
    const model::Term term = member(a_).term;
    spec_.running = false;
    ++spec_.generation;
    must(ensure(b_, a_));
    must(ensure(a_, a_));
    EXPECT_EQ(report(a_).state, "stopped");
    EXPECT_EQ(report(b_).state, "stopped");
    EXPECT_EQ(a_.instance->view().route.state, "closed");
    EXPECT_TRUE(a_.instance->is_primary());
    must(a_.instance->tend());
    EXPECT_EQ(postmaster(a_), 0);
    spec_.running = true;
    ++spec_.generation;
    must(ensure(b_, a_));
    must(ensure(a_, a_));
    wait_until_safe(a_);
    EXPECT_EQ(member(a_).term, term);
    EXPECT_EQ(ask(a_, "SELECT x FROM public.t"), "42");
}

TEST_F(MemberTest, a_server_leaves_high_availability_and_comes_back_to_it) {
    make_pair();
    (void)ask(a_, "CREATE TABLE public.t AS SELECT 42 AS x");
    const pid_t before = postmaster(a_);
    const model::Term term = member(a_).term;
    ++spec_.generation;
    must(ensure(a_, a_, false));
    must(b_.instance->remove(1));
    EXPECT_EQ(postmaster(a_), before);
    EXPECT_FALSE(report(a_).member.has_value());
    EXPECT_EQ(report(a_).state, "running");
    EXPECT_GE(a_.instance->view().route.term, term);
    EXPECT_EQ(ask(a_, "INSERT INTO public.t VALUES (43)"), "");
    EXPECT_EQ(ask(a_, "SHOW synchronous_standby_names"), "");
    EXPECT_EQ(ask(a_, "SHOW restart_after_crash"), "on");

    b_.instance = std::make_unique<Instance>(*b_.machine, *b_.pool, b_.services.get(), clock_,
                                             spec_.incarnation, [] {});
    make_pair();
    EXPECT_GT(member(a_).term, term);
    must(a_.instance->fail_over(false, 1));
    wait_for([&] { return member(b_).serves; }, "the standby serves");
    EXPECT_EQ(ask(b_, "SELECT sum(x) FROM public.t"), "85");
    wait_until_safe(b_);
}

TEST_F(MemberTest, a_server_that_was_about_to_leave_stays) {
    make_pair();
    // As an agent leaves it that was killed in the middle.
    store::HaRecords& records = a_.services->records();
    const auto seen = records.read(spec_.incarnation).value();
    auto record = record_from_text(seen.record).value();
    record.wants_standby = false;
    ASSERT_TRUE(records.replace(spec_.incarnation, seen.revision, to_text(record)).ok());
    wait_for([&] { return member(a_).sync_hosts.empty() && member(a_).serves; }, "it is alone");
    ++spec_.generation;
    must(ensure(a_, a_));
    wait_until_safe(a_);
}

TEST_F(MemberTest, a_leave_that_was_cut_off_does_not_keep_a_server_from_joining_again) {
    make_pair();
    const auto paths = instance_paths(a_.machine->layout(), spec_.incarnation);
    const std::string state = os::read_file(paths.member_state()).value();
    ++spec_.generation;
    must(ensure(a_, a_, false));
    must(b_.instance->remove(1));
    // As an agent leaves it that was killed after the records were removed and before the file was.
    ASSERT_TRUE(os::write_file_atomic(paths.member_state(), state, 0600).ok());
    b_.instance = std::make_unique<Instance>(*b_.machine, *b_.pool, b_.services.get(), clock_,
                                             spec_.incarnation, [] {});
    make_pair();
    EXPECT_EQ(member(a_).primary_host, a_.id);
}

TEST_F(MemberTest, a_configuration_that_was_never_loaded_is_not_put_in_force) {
    make_pair();
    const auto paths = instance_paths(a_.machine->layout(), spec_.incarnation);
    const std::string file = paths.config() + "/" + std::string(kHaConf);
    const std::string before = os::read_file(file).value();
    end_agent(a_);
    // As an agent leaves it that was killed before PostgreSQL read it.
    std::string other = before;
    const std::size_t begin = other.find("synchronous_standby_names = '") + 29;
    other.erase(begin, other.find('\'', begin) - begin);
    ASSERT_NE(other, before);
    ASSERT_TRUE(os::replace_file(file, other, 0640).ok());
    begin_agent(a_);
    must(a_.instance->load());
    wait_until_safe(a_);
    EXPECT_EQ(os::read_file(file).value(), before);
}

TEST_F(MemberTest, nothing_of_a_deleted_pair_is_left) {
    make_pair();
    must(a_.instance->remove(1));
    must(b_.instance->remove(1));
    must(b_.services->begin());
    for (const std::string& key :
         {spec_.incarnation, address_key(spec_.incarnation, a_.id),
          address_key(spec_.incarnation, b_.id), password_key(spec_.incarnation)})
        EXPECT_EQ(b_.services->records().read(key)->revision, 0) << key;
    EXPECT_EQ(postmaster(a_), 0);
    EXPECT_EQ(postmaster(b_), 0);
    a_.instance.reset();
    b_.instance.reset();
}

TEST_F(MemberTest, a_fence_ends_the_primary_of_an_agent_that_is_gone) {
    make_pair();
    const pid_t before = postmaster(a_);
    end_agent(a_);
    Fence fence(a_.machine->layout().instances(), clock_);
    wait_for(
        [&] {
            (void)fence.look();
            return ::kill(before, 0) != 0;
        },
        "the primary was ended");
    wait_for([&] { return member(b_).serves; }, "the standby took over");
    begin_agent_again(a_);
    wait_until_safe(b_);
}

}  // namespace
}  // namespace howdah::agent
