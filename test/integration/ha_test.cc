// A highly available server of two members with real PostgreSQL, without a control plane: what the
// rules of core/ha do, carried out.

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <thread>

#include "agent/config/extension_files.h"
#include "agent/config/render.h"
#include "agent/ha/fence.h"
#include "agent/ha/ha_member.h"
#include "agent/machine.h"
#include "agent/prepared.h"
#include "base/text.h"
#include "http/certificates.h"
#include "integration/postgres_support.h"
#include "os/file.h"
#include "os/server_users.h"
#include "pg/scram.h"
#include "places.h"
#include "store/ha/ha_records.h"

namespace howdah::agent {
namespace {

using core::ha::Postgres;
using namespace std::chrono_literals;

constexpr const char* kServer = "orders";
constexpr const char* kReplicaPassword = "Replica-Horse-42";
constexpr Duration kHealMax = 60s;

/// An hour on: every lease has run out.
class LaterClock final : public Clock {
  public:
    Instant now() const override { return clock_.now() + 1h; }
    Timestamp wall() const override { return clock_.wall() + 1h; }

  private:
    SystemClock clock_;
};

int free_port() { return 21000 + static_cast<int>(getpid() % 500) * 20; }

/// One machine: an agent's threads and its PostgreSQL.
struct Node {
    std::string name;
    InstancePaths paths;
    int port = 0;
    HaMember::Options options;
    std::unique_ptr<LeaseKeeper> lease;
    std::unique_ptr<HaMember> member;
    std::jthread lease_thread;
    std::jthread member_thread;
    /// What a gateway would know: the term in which clients are let in; 0: they are not. An agent
    /// that is gone takes nothing back.
    std::atomic<core::ha::Term> serves_in = 0;

    pid_t postmaster() const {
        const auto file = os::read_file(paths.data() + "/postmaster.pid", 4096);
        if (!file.ok()) return 0;
        return static_cast<pid_t>(
            parse_integer(split(*file, '\n').front(), 2, 1 << 30).value_or(0));
    }
    Result<pg::Connection> connect() const {
        return pg::Connection::open({.host = paths.socket_folder,
                                     .port = port,
                                     .database = "postgres",
                                     .user = std::string(kSuperuser),
                                     .timeout = 500ms});
    }
};

class HaTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (test::engine_folder().empty()) return;
        char name[] = "/tmp/howdah-ha-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        ASSERT_EQ(chmod(name, 0711), 0);
        home_ = name;
        for (const char* each : {"agent/instances", "gateway", "run"})
            ASSERT_TRUE(os::make_folders(home_ + "/" + each, 0711).ok());
        MachineOptions options;
        options.layout.home = home_;
        options.guard_folder = test::bin_dir();
        machine_ = std::make_unique<Machine>(options);
        pool_ = std::make_unique<PreparedPool>(machine_->layout(), ids_);
        ASSERT_TRUE(pool_->clean().ok());
    }
    static void TearDownTestSuite() {
        pool_.reset();
        machine_.reset();
        if (!home_.empty()) {
            EXPECT_TRUE(os::remove_tree(home_).ok());
        }
    }

    void SetUp() override {
        if (home_.empty()) GTEST_SKIP() << "SKIPPED: no PostgreSQL is installed";
        run_ = ids_.uuid().substr(0, 8);
        records_ = store::open_ha_records(home_ + "/" + run_ + ".db").value();
        make_node(a_, "a", 0);
        make_node(b_, "b", 1);
        begin(a_);
        wait_for([&] { return a_.member->view().serves; }, "the first member serves");
        auto session = a_.connect();
        ASSERT_TRUE(session.ok()) << session.error().describe();
        const auto verifier =
            pg::scram_verifier(Secret(kReplicaPassword), "0123456789abcdef").value();
        must(session->execute(replication_role_sql(verifier)));
        must(session->execute("CREATE TABLE public.commits (id bigint PRIMARY KEY)"));
    }
    void TearDown() override {
        for (Node* each : {&a_, &b_}) {
            end(*each);
            if (each->paths.folder.empty()) continue;
            if (HasFailure()) show_log(*each);
            Postmaster postmaster(each->options.postgres.postmaster, clock_);
            (void)postmaster.adopt();
            must(postmaster.kill());
            postmaster.remove_shared_memory();
            must(os::ServerUsers::remove(
                os::read_file(each->paths.folder + "/user", 64).value_or("")));
            must(os::remove_tree(each->paths.folder));
        }
    }

    static void show_log(const Node& node) {
        for (const std::string& name : os::list_folder(node.paths.log()).value_or({})) {
            const auto lines =
                split(os::read_file(node.paths.log() + "/" + name).value_or(""), '\n');
            const std::size_t first = lines.size() > 40 ? lines.size() - 40 : 0;
            for (std::size_t i = first; i < lines.size(); ++i)
                fmt::print("{}: {}\n", node.name, lines[i].substr(0, 400));
        }
    }
    void must(const Status& status) { ASSERT_TRUE(status.ok()) << status.error().describe(); }

    /// The first has a directory, the others get theirs by copying it.
    void make_node(Node& node, const std::string& name, int index) {
        const InstalledEngine& engine = machine_->engines().back();
        node.name = name;
        node.port = free_port() + index;
        node.paths = {home_ + "/agent/instances/" + run_ + name,
                      home_ + "/s" + run_.substr(0, 4) + name};
        if (index == 0) {
            ASSERT_TRUE(pool_->claim(engine, node.paths.folder).ok());
        } else {
            make_empty(node);
        }
        const auto user =
            os::ServerUsers::find(os::read_file(node.paths.folder + "/user", 64).value_or(""))
                .value();
        std::optional<os::Owner> owner, config_owner;
        if (user) {
            owner = os::Owner{user->uid, user->gid};
            config_owner = os::Owner{0, user->gid};
        }
        must(os::make_folders(node.paths.socket_folder, 0700));
        if (owner) must(os::change_owner(node.paths.socket_folder, *owner));
        configure(node, engine, config_owner);
        node.options = {
            .server = kServer,
            .address = {"127.0.0.1", node.port},
            .postgres = {.postmaster = {engine.programs + "/postgres", node.paths, user, {}},
                         .programs = engine.programs,
                         .port = node.port,
                         .pass_file = node.paths.folder + "/replica.pass",
                         .config_owner = config_owner},
            .state_path = node.paths.folder + "/ha.json",
            .fence_path = node.paths.folder + "/" + FenceFile::kName,
            .is_founder = index == 0};
        const std::string& pass_file = node.options.postgres.pass_file;
        const std::string line = fmt::format("*:*:*:{}:{}\n", kReplicationRole, kReplicaPassword);
        must(owner ? os::write_file_atomic(pass_file, line, 0600, *owner)
                   : os::write_file_atomic(pass_file, line, 0600));
    }

    void make_empty(Node& node) {
        const std::string id = ids_.uuid();
        must(os::make_folders(node.paths.folder, 0711));
        const std::string user_name = os::ServerUsers::create(id).value();
        must(os::write_file_atomic(node.paths.folder + "/user", user_name));
        const auto user = os::ServerUsers::find(user_name).value();
        must(os::make_folders(node.paths.log(), 0700));
        must(os::make_folders(node.paths.config(), user ? 0750 : 0700));
        if (!user) return;
        must(os::change_owner(node.paths.log(), {user->uid, user->gid}));
        must(os::change_owner(node.paths.config(), {0, user->gid}));
        must(os::change_owner(node.paths.folder, {user->uid, user->gid}));
    }

    void configure(const Node& node, const InstalledEngine& engine,
                   const std::optional<os::Owner>& owner) {
        model::InstanceSpec spec;
        spec.server_name = kServer;
        spec.major = engine.major;
        spec.vcores = 1;
        spec.memory_mb = 512;
        const RenderInput input{.spec = spec,
                                .data_folder = node.paths.data(),
                                .config_folder = node.paths.config(),
                                .socket_folder = node.paths.socket_folder,
                                .log_folder = node.paths.log(),
                                .certificate_path = node.paths.tls(),
                                .key_path = node.paths.tls(),
                                .backend_port = node.port,
                                .guard_path = machine_->guard_path(engine.major),
                                .libraries = engine.libraries,
                                .agent_user = machine_->user_name(),
                                .member_addresses = {"127.0.0.1"}};
        const auto authority = http::CertificateAuthority::create("test", clock_.wall()).value();
        const auto leaf =
            authority.issue({.common_name = "orders", .dns_names = {"orders"}}, clock_.wall())
                .value();
        const std::pair<std::string, std::string> files[] = {
            {node.paths.config() + "/postgresql.conf", postgresql_conf(input)},
            {node.paths.config() + "/pg_hba.conf", pg_hba_conf(input)},
            {node.paths.config() + "/pg_ident.conf", pg_ident_conf(input)},
            {node.paths.tls(), leaf.certificate_pem + leaf.key_pem.reveal()}};
        for (const auto& [path, content] : files)
            must(os::replace_file(path, content, owner ? 0640 : 0600, owner));
        must(write_extension_scripts(node.paths.config(), owner));
    }

    void begin(Node& node) {
        node.lease = std::make_unique<LeaseKeeper>(*records_, node.name, clock_);
        node.member = std::make_unique<HaMember>(node.options, *records_, *node.lease, ids_, clock_,
                                                 [&node](const HaMember::View& view) {
                                                     node.serves_in =
                                                         view.serves ? view.record->term : 0;
                                                 });
        must(node.member->load());
        node.lease_thread = std::jthread([&node](std::stop_token stop) { node.lease->run(stop); });
        node.member_thread =
            std::jthread([&node](std::stop_token stop) { node.member->run(stop); });
    }
    /// As if the agent had been killed: PostgreSQL goes on.
    void end(Node& node) {
        node.member_thread = {};
        node.lease_thread = {};
        node.member.reset();
        node.lease.reset();
    }
    /// All its processes, as storage that hangs or a paused machine would.
    void signal_all(const Node& node, int number) {
        const pid_t postmaster = node.postmaster();
        if (postmaster <= 1) return;
        for (const pid_t child : os::children_of(postmaster)) (void)::kill(child, number);
        (void)::kill(postmaster, number);
    }
    /// Its children live on. Nothing happens if it is not there, because of the fault before.
    static void kill_postmaster(const Node& node) {
        const pid_t postmaster = node.postmaster();
        if (postmaster > 1) (void)::kill(postmaster, SIGKILL);
    }
    /// What the API does for a planned failover.
    void ask_for_switchover(const Node& to) {
        const auto seen = records_->read(kServer).value();
        auto record = record_from_text(seen.record).value();
        record.successor = to.member->view().self;
        ASSERT_TRUE(records_->replace(kServer, seen.revision, to_text(record)).ok());
    }
    void kill_postgres(const Node& node) {
        Postmaster postmaster(node.options.postgres.postmaster, clock_);
        (void)postmaster.adopt();
        must(postmaster.kill());
    }

    template <typename Condition>
    void wait_for(Condition condition, const std::string& what) {
        const Instant deadline = clock_.now() + kHealMax;
        while (!condition()) {
            ASSERT_LT(clock_.now(), deadline) << what;
            poll(nullptr, 0, 1);
        }
    }
    void wait_until_safe(const Node& primary) {
        wait_for(
            [&] {
                const auto view = primary.member->view();
                return view.serves && view.record && view.record->sync_set.size() == 1;
            },
            "a standby is in the sync_set of " + primary.name);
    }

    inline static std::string home_;
    inline static SystemClock clock_;
    inline static SystemIdSource ids_;
    inline static std::unique_ptr<Machine> machine_;
    inline static std::unique_ptr<PreparedPool> pool_;
    std::string run_;
    std::unique_ptr<store::HaRecords> records_;
    Node a_, b_;
};

/// Commits one number after the other, wherever clients are let in, and remembers what was
/// acknowledged.
class Writer {
  public:
    Writer(const Node& a, const Node& b) : nodes_{&a, &b} {
        thread_ = std::jthread([this](std::stop_token stop) { run(std::move(stop)); });
    }
    /// What was acknowledged, and the longest time without an acknowledgement.
    std::set<long long> stop() {
        thread_ = {};
        return acknowledged_;
    }
    int count() const { return count_; }
    Duration longest_gap() const { return longest_gap_; }

  private:
    void run(std::stop_token stop) {
        std::optional<pg::Connection> session;
        core::ha::Term term = 0;
        Instant last = clock_.now();
        for (long long next = 1; !stop.stop_requested();) {
            // A gateway closes sessions to a primary that another one has followed.
            if (session && is_deposed(term)) session.reset();
            if (!session) {
                const Node* const newest = *std::max_element(
                    nodes_.begin(), nodes_.end(), [](const Node* one, const Node* other) {
                        return one->serves_in < other->serves_in;
                    });
                if (newest->serves_in > 0) {
                    auto opened = newest->connect();
                    if (opened.ok()) session = std::move(*opened);
                    term = newest->serves_in;
                }
                if (!session) poll(nullptr, 0, 1);
                continue;
            }
            const auto done = session->query("INSERT INTO public.commits VALUES ($1)",
                                             {std::to_string(next)}, 300ms);
            const Instant now = clock_.now();
            if (done.ok()) {
                acknowledged_.insert(next);
                ++count_;
                longest_gap_ = std::max(longest_gap_, now - last);
                last = now;
            } else {
                session.reset();
            }
            ++next;  // what was not acknowledged may be there
        }
    }

    bool is_deposed(core::ha::Term term) const {
        return std::any_of(nodes_.begin(), nodes_.end(),
                           [&](const Node* each) { return each->serves_in > term; });
    }

    SystemClock clock_;
    std::vector<const Node*> nodes_;
    std::set<long long> acknowledged_;
    std::atomic<int> count_ = 0;
    Duration longest_gap_ = Duration::zero();
    std::jthread thread_;
};

int missing(const Node& node, const std::set<long long>& acknowledged) {
    auto session = node.connect();
    if (!session.ok()) return -1;
    const auto rows = session->query("SELECT id FROM public.commits");
    if (!rows.ok()) return -1;
    std::set<long long> there;
    for (const pg::Row& row : rows->rows)
        there.insert(parse_integer(*row[0], 0, 1LL << 60).value());
    int count = 0;
    for (const long long each : acknowledged) count += there.contains(each) ? 0 : 1;
    return count;
}

TEST_F(HaTest, a_standby_is_built_and_every_commit_waits_for_it) {
    begin(b_);
    wait_until_safe(a_);
    auto session = a_.connect();
    ASSERT_TRUE(session.ok());
    must(session->execute("INSERT INTO public.commits VALUES (1)"));
    wait_for([&] { return missing(b_, {1}) == 0; }, "the commit is on the standby");
    // Frozen, it acknowledges nothing, and neither does the primary.
    signal_all(b_, SIGSTOP);
    const auto held = session->query("INSERT INTO public.commits VALUES (2)", {}, 300ms);
    signal_all(b_, SIGCONT);
    ASSERT_FALSE(held.ok());
    EXPECT_EQ(held.error().code, ErrorCode::timeout) << held.error().describe();
}

TEST_F(HaTest, a_killed_postmaster_is_followed_by_the_standby_and_comes_back_as_one) {
    begin(b_);
    wait_until_safe(a_);
    Writer writer(a_, b_);
    wait_for([&] { return writer.count() > 50; }, "commits");
    const int before = writer.count();
    kill_postmaster(a_);
    wait_for([&] { return b_.member->view().serves; }, "the standby took over");
    wait_for([&] { return writer.count() > before + 50; }, "commits after the failover");
    wait_until_safe(b_);
    const auto acknowledged = writer.stop();
    EXPECT_EQ(missing(b_, acknowledged), 0);
    fmt::print("longest time without a commit: {} ms\n", writer.longest_gap() / 1ms);
    EXPECT_EQ(b_.member->view().record->term, 2);
}

TEST_F(HaTest, a_planned_failover_needs_no_new_copy) {
    begin(b_);
    wait_until_safe(a_);
    Writer writer(a_, b_);
    wait_for([&] { return writer.count() > 50; }, "commits");
    const auto directory = a_.member->view().self;
    ask_for_switchover(b_);
    wait_for([&] { return b_.serves_in == 2; }, "the standby took over");
    const int before = writer.count();
    wait_for([&] { return writer.count() > before + 50; }, "commits after the failover");
    wait_until_safe(b_);
    const auto acknowledged = writer.stop();
    EXPECT_EQ(missing(b_, acknowledged), 0);
    EXPECT_EQ(a_.member->view().self, directory) << "its directory had nothing of its own";
    EXPECT_EQ(a_.member->view().postgres, Postgres::standby);
    fmt::print("longest time without a commit: {} ms\n", writer.longest_gap() / 1ms);
}

TEST_F(HaTest, a_postgresql_that_hangs_is_ended_and_followed) {
    begin(b_);
    wait_until_safe(a_);
    Writer writer(a_, b_);
    wait_for([&] { return writer.count() > 50; }, "commits");
    signal_all(a_, SIGSTOP);
    wait_for([&] { return b_.serves_in == 2; }, "the standby took over");
    const int before = writer.count();
    wait_for([&] { return writer.count() > before + 50; }, "commits after the failover");
    wait_until_safe(b_);
    const auto acknowledged = writer.stop();
    EXPECT_EQ(missing(b_, acknowledged), 0);
    fmt::print("longest time without a commit: {} ms\n", writer.longest_gap() / 1ms);
}

TEST_F(HaTest, a_hang_in_the_middle_of_a_planned_failover_ends_it_the_hard_way) {
    begin(b_);
    wait_until_safe(a_);
    Writer writer(a_, b_);
    wait_for([&] { return writer.count() > 50; }, "commits");
    const pid_t postmaster = a_.postmaster();
    ASSERT_GT(postmaster, 1);
    ASSERT_EQ(kill(postmaster, SIGSTOP), 0);
    ask_for_switchover(b_);
    wait_for([&] { return b_.serves_in == 2; }, "the standby took over");
    wait_until_safe(b_);
    EXPECT_EQ(missing(b_, writer.stop()), 0);
}

TEST_F(HaTest, a_postgresql_that_hangs_is_ended_by_an_agent_that_never_heard_it_too) {
    begin(b_);
    wait_until_safe(a_);
    Writer writer(a_, b_);
    wait_for([&] { return writer.count() > 50; }, "commits");
    signal_all(a_, SIGSTOP);
    end(a_);
    begin(a_);
    wait_for([&] { return b_.serves_in == 2; }, "the standby took over");
    wait_until_safe(b_);
    EXPECT_EQ(missing(b_, writer.stop()), 0);
}

TEST_F(HaTest, who_comes_back_alone_goes_on_alone) {
    begin(b_);
    wait_until_safe(a_);
    Writer writer(a_, b_);
    wait_for([&] { return writer.count() > 50; }, "commits");
    for (Node* each : {&a_, &b_}) end(*each);
    for (Node* each : {&a_, &b_}) kill_postgres(*each);
    begin(a_);
    wait_for([&] { return a_.member->view().serves; }, "it serves");
    EXPECT_EQ(a_.member->view().record->term, 1) << "it handed over to a node that is not there";
    EXPECT_EQ(missing(a_, writer.stop()), 0);
    begin(b_);
    wait_until_safe(a_);
}

TEST_F(HaTest, nothing_is_handed_over_to_a_standby_without_an_agent) {
    begin(b_);
    wait_until_safe(a_);
    Writer writer(a_, b_);
    wait_for([&] { return writer.count() > 50; }, "commits");
    const pid_t postmaster = a_.postmaster();
    const auto standby = b_.member->view().self;
    end(b_);
    poll(nullptr, 0, 2 * LeaseKeeper::kRivalWait / 1ms);
    for (const bool is_planned : {true, false}) {
        const Status refused = a_.member->fail_over(is_planned, 5s);
        ASSERT_FALSE(refused.ok());
        EXPECT_EQ(refused.error().code, ErrorCode::invalid_state);
    }
    // One that was asked for while that agent lived.
    const auto seen = records_->read(kServer).value();
    auto record = record_from_text(seen.record).value();
    record.successor = standby;
    ASSERT_TRUE(records_->replace(kServer, seen.revision, to_text(record)).ok());
    wait_for([&] { return !record_from_text(records_->read(kServer).value().record)->successor; },
             "it is forgotten");
    const int before = writer.count();
    wait_for([&] { return writer.count() > before + 50; }, "commits go on");
    EXPECT_EQ(a_.postmaster(), postmaster) << "it was restarted";
    EXPECT_EQ(missing(a_, writer.stop()), 0);
    begin(b_);
    wait_until_safe(a_);
}

/// What is written down of it must be right whenever PostgreSQL answers again.
TEST_F(HaTest, a_promotion_may_be_silent_for_a_while) {
    begin(b_);
    wait_until_safe(a_);
    Writer writer(a_, b_);
    wait_for([&] { return writer.count() > 50; }, "commits");
    kill_postmaster(a_);
    wait_for([&] { return b_.member->view().record->term == 2; }, "the standby takes over");
    signal_all(b_, SIGSTOP);
    poll(nullptr, 0, 800);
    signal_all(b_, SIGCONT);
    wait_for([&] { return b_.serves_in == 2; }, "it serves");
    wait_until_safe(b_);
    EXPECT_EQ(missing(b_, writer.stop()), 0);
    const auto state = member_state_from_text(os::read_file(b_.options.state_path).value()).value();
    EXPECT_TRUE(state.was_primary);
    EXPECT_EQ(state.promoting, 0);
    EXPECT_EQ(state.timelines, b_.member->view().record->timelines);
}

/// Nobody is there to end it but the fence, and nobody may read it when another one is written.
TEST_F(HaTest, the_primary_of_a_dead_agent_is_ended_before_a_standby_takes_over) {
    begin(b_);
    wait_until_safe(a_);
    Fence fence(home_ + "/agent/instances", clock_);
    EXPECT_EQ(fence.look(), 0);
    const std::jthread fencing([&](std::stop_token stop) { fence.run(std::move(stop)); });
    Writer writer(a_, b_);
    wait_for([&] { return writer.count() > 50; }, "commits");
    a_.member_thread = {};
    a_.lease_thread = {};
    wait_for([&] { return b_.member->view().postgres == Postgres::primary; }, "a promotion");
    EXPECT_FALSE(a_.connect().ok());
    const int before = writer.count();
    wait_for([&] { return writer.count() > before + 50; }, "commits after the failover");
    EXPECT_EQ(missing(b_, writer.stop()), 0);
    end(a_);
    begin(a_);
    wait_until_safe(b_);
}

/// With no standby that could take over there is nothing to fear from it.
TEST_F(HaTest, the_primary_of_a_dead_agent_goes_on_alone) {
    const LaterClock later;
    Fence fence(home_ + "/agent/instances", later);
    end(a_);
    EXPECT_EQ(fence.look(), 0);
    EXPECT_TRUE(a_.connect().ok());
}

TEST_F(HaTest, a_lost_standby_holds_commits_up_for_its_patience_only) {
    begin(b_);
    wait_until_safe(a_);
    Writer writer(a_, b_);
    wait_for([&] { return writer.count() > 50; }, "commits");
    signal_all(b_, SIGSTOP);
    wait_for([&] { return a_.member->view().record->sync_set.empty(); }, "it is let go");
    const int before = writer.count();
    wait_for([&] { return writer.count() > before + 50; }, "commits without it");
    signal_all(b_, SIGCONT);
    wait_until_safe(a_);
    const auto acknowledged = writer.stop();
    EXPECT_EQ(missing(a_, acknowledged), 0);
    EXPECT_EQ(a_.member->view().record->term, 1);
    fmt::print("longest time without a commit: {} ms\n", writer.longest_gap() / 1ms);
}

TEST_F(HaTest, the_next_agent_goes_on_where_the_last_one_stood) {
    begin(b_);
    wait_until_safe(a_);
    Writer writer(a_, b_);
    wait_for([&] { return writer.count() > 50; }, "commits");
    const pid_t before = a_.postmaster();
    for (Node* each : {&a_, &b_}) {
        end(*each);
        begin(*each);
    }
    wait_until_safe(a_);
    const int count = writer.count();
    wait_for([&] { return writer.count() > count + 50; }, "commits go on");
    EXPECT_EQ(a_.postmaster(), before);
    EXPECT_EQ(a_.member->view().record->term, 1) << "nobody took over";
    EXPECT_EQ(missing(a_, writer.stop()), 0);
}

/// Faults by chance, one after the other and each after the members have healed, while a client
/// commits. HOWDAH_HA_ROUNDS and HOWDAH_HA_SEED make it longer, and the same again.
TEST_F(HaTest, faults_by_chance_lose_nothing_that_was_acknowledged) {
    const auto number = [](const char* name, long long fallback) {
        const char* const text = getenv(name);
        return text == nullptr ? fallback : parse_integer(text, 0, 1LL << 40).value_or(fallback);
    };
    const auto seed = static_cast<unsigned>(number("HOWDAH_HA_SEED", 7));
    std::mt19937 chance(seed);
    begin(b_);
    wait_until_safe(a_);
    Writer writer(a_, b_);
    std::map<std::string, int> faults;
    for (long long round = 0; round < number("HOWDAH_HA_ROUNDS", 5) && !HasFailure(); ++round) {
        const bool leads = a_.serves_in > b_.serves_in;
        Node& primary = leads ? a_ : b_;
        Node& standby = leads ? b_ : a_;
        const int before = writer.count();
        wait_for([&] { return writer.count() > before + 20; }, "commits");
        const core::ha::Term term = primary.serves_in;
        switch (chance() % 6) {
            case 0:
                ++faults["postmaster killed"];
                kill_postmaster(primary);
                break;
            case 1:
                ++faults["node lost"];
                end(primary);
                kill_postgres(primary);
                wait_for([&] { return standby.serves_in > term; }, "the standby took over");
                begin(primary);
                break;
            case 2:
                ++faults["hang"];
                signal_all(primary, SIGSTOP);
                break;
            case 3:
                ++faults["switchover"];
                ask_for_switchover(standby);
                break;
            case 4:
                ++faults["standby killed"];
                kill_postgres(standby);
                break;
            case 5:
                ++faults["one backend killed"];
                for (const pid_t child : os::children_of(primary.postmaster())) {
                    const auto line =
                        os::read_file(fmt::format("/proc/{}/cmdline", child), 4096).value_or("");
                    if (line.find("howdah postgres [local]") == std::string::npos) continue;
                    (void)kill(child, SIGKILL);
                    break;
                }
                break;
        }
        wait_for(
            [&] {
                const Node& now = a_.serves_in > b_.serves_in ? a_ : b_;
                const auto view = now.member->view();
                return view.serves && view.record->sync_set.size() == 1;
            },
            "healed");
    }
    const auto acknowledged = writer.stop();
    // A standby replays what it has a little later.
    for (const Node* each : {&a_, &b_})
        wait_for([&] { return missing(*each, acknowledged) == 0; }, "all is on " + each->name);
    for (const auto& [name, count] : faults) fmt::print("{}: {}\n", name, count);
    fmt::print("seed {}: {} commits, longest time without one: {} ms\n", seed, acknowledged.size(),
               writer.longest_gap() / 1ms);
}

TEST_F(HaTest, a_lost_node_is_followed_when_its_lease_ran_out) {
    begin(b_);
    wait_until_safe(a_);
    Writer writer(a_, b_);
    wait_for([&] { return writer.count() > 50; }, "commits");
    a_.member_thread = {};
    a_.lease_thread = {};
    kill_postgres(a_);
    wait_for([&] { return b_.member->view().serves; }, "the standby took over");
    const int before = writer.count();
    wait_for([&] { return writer.count() > before + 50; }, "commits after the failover");
    const auto acknowledged = writer.stop();
    EXPECT_EQ(missing(b_, acknowledged), 0);
    fmt::print("longest time without a commit: {} ms\n", writer.longest_gap() / 1ms);
    end(a_);
    begin(a_);
    wait_until_safe(b_);
    EXPECT_EQ(a_.member->view().postgres, Postgres::standby);
    EXPECT_EQ(missing(a_, acknowledged), 0);
}

}  // namespace
}  // namespace howdah::agent
