// An instance as a read replica: it replays what another server commits, lets readers in, and may
// become a server of its own. Its WAL comes by streaming, and from the source's repository where
// the source has it no more; so nothing of the source waits for it
// (docs/adr/0019-read-replicas.md).

#include <fmt/core.h>

#include <thread>
#include <utility>

#include "agent/config/render.h"
#include "agent/instance.h"
#include "agent/upstream.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/text.h"
#include "core/lsn.h"
#include "os/file.h"
#include "os/process.h"
#include "pg/scram.h"

namespace howdah::agent {
namespace {

constexpr Duration kRoleMax = std::chrono::seconds(30);
constexpr Duration kCaughtUpMax = std::chrono::minutes(2);
constexpr Duration kPromotionMax = std::chrono::minutes(2);
constexpr Duration kPoll = std::chrono::milliseconds(50);
constexpr std::size_t kSaltBytes = 16;

constexpr std::string_view kSelectRecovers = "SELECT pg_catalog.pg_is_in_recovery()";
constexpr std::string_view kSelectReplayed =
    "SELECT coalesce(pg_catalog.pg_last_wal_replay_lsn(), '0/0')";
constexpr std::string_view kPromote = "SELECT pg_catalog.pg_promote(false)";
/// What is streamed and not replayed yet; its age is that of the last commit that was replayed.
constexpr std::string_view kSelectLag =
    "SELECT (SELECT status = 'streaming' FROM pg_catalog.pg_stat_wal_receiver), "
    "greatest(0, pg_catalog.pg_wal_lsn_diff(coalesce(pg_catalog.pg_last_wal_receive_lsn(), "
    "pg_catalog.pg_last_wal_replay_lsn()), pg_catalog.pg_last_wal_replay_lsn()))::int8, "
    "coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - "
    "pg_catalog.pg_last_xact_replay_timestamp()), 0)::int8, ";
/// Where replay waits for more of a setting; before, PostgreSQL ended, and is started with more.
constexpr int kPauseMajorMin = 14;
constexpr std::string_view kSelectPaused = "pg_catalog.pg_get_wal_replay_pause_state() = 'paused'";
/// libpq's way to tell a primary from its standbys, since the same.
constexpr int kSessionAttributesMajorMin = 14;

int major_of(const model::InstanceState& state) {
    return static_cast<int>(parse_integer(state.spec.major, 0, 1000).value_or(0));
}

}  // namespace

/// Also one that is about to be; not one that was promoted.
bool Instance::follows() const { return state_.spec.restore && state_.spec.restore->follows; }

/// Before it is started for the first time; never again, as a directory that was promoted has
/// commits of its own.
Status Instance::mark_replica() {
    const std::string path = paths_.data() + "/standby.signal";
    HD_TRY(const auto user, os::ServerUsers::find(state_.os_user));
    HD_CHECK(user ? os::write_file_atomic(path, "", 0600, os::Owner{user->uid, user->gid})
                  : os::write_file_atomic(path, "", 0600));
    // No recovery that ends by itself.
    HD_CHECK(os::remove_tree(paths_.data() + "/recovery.signal"));
    state_.is_replica = true;
    HD_CHECK(save());
    return write_source_password();
}

Status Instance::write_source_password() {
    if (source_password_.empty()) return ok_status();
    const std::string line = fmt::format("*:*:*:{}:{}\n", kFollowerRole, source_password_);
    const std::string path = paths_.replication_password();
    if (os::read_file(path).value_or("") == line) return ok_status();
    HD_TRY(const auto user, os::ServerUsers::find(state_.os_user));
    return user ? os::write_file_atomic(path, line, 0600, os::Owner{user->uid, user->gid})
                : os::write_file_atomic(path, line, 0600);
}

/// True: it is somewhere else than before.
bool Instance::note_upstream() {
    const auto now = find_upstream(machine_.layout(), state_.spec.restore->source_id);
    if (!now) return false;
    if (now->host == state_.upstream_address && now->port == state_.upstream_port) return false;
    state_.upstream_address = now->host;
    state_.upstream_port = now->port;
    return true;
}

std::string Instance::upstream_conninfo() const {
    if (state_.upstream_port == 0) return "";
    const MemberAddress at{state_.upstream_address, static_cast<int>(state_.upstream_port)};
    return replication_conninfo(at, kFollowerRole, paths_.replication_password()) +
           " application_name=" + incarnation_;
}

/// For a primary: whoever follows it streams as this role.
Status Instance::set_follower_role() {
    if (state_.has_replica_role || replica_password_.empty()) return ok_status();
    HD_TRY(const std::string verifier,
           pg::scram_verifier(Secret(replica_password_),
                              pg::derived_password(Secret(replica_password_), "howdah salt")
                                  .reveal()
                                  .substr(0, kSaltBytes)));
    HD_TRY(auto session, connect(std::string(kMaintenanceDatabase)));
    HD_CHECK(quiet(session));
    HD_CHECK(change(session, follower_role_sql(verifier), kRoleMax));
    state_.has_replica_role = true;
    return ok_status();
}

/// By the replication protocol, which is all that the role may do there.
Result<core::Lsn> Instance::source_position() const {
    const InstalledEngine* engine = machine_.engine(state_.spec.major);
    if (engine == nullptr || state_.upstream_port == 0)
        return Error{ErrorCode::unavailable, "it is not known where the source is"};
    std::string source = upstream_conninfo() + " replication=true";
    // A former primary that follows now may know less than was acknowledged.
    if (major_of(state_) >= kSessionAttributesMajorMin) source += " target_session_attrs=primary";
    HD_TRY(const os::Finished told, os::run({.arguments = {engine->programs + "/psql", "-XqAt",
                                                           "-d", source, "-c", "IDENTIFY_SYSTEM"},
                                             .environment = {"LC_ALL=C"},
                                             .timeout = std::chrono::seconds(15)}));
    const auto columns = split(std::string(trim(told.output)), '|');
    if (!told.succeeded() || columns.size() < 3)
        return Error{ErrorCode::unavailable,
                     "the source does not tell how far it is: " + told.describe()};
    return core::parse_lsn(columns[2]);
}

/// What the source has committed until now is to be here.
Status Instance::catch_up() {
    const auto position = source_position();
    if (!position.ok()) {
        Error error = position.error();
        error.hint = "Start the source, or promote by force: then what was not sent is not there.";
        return error;
    }
    const Instant deadline = clock_.now() + kCaughtUpMax;
    for (;;) {
        HD_TRY(auto session, connect(std::string(kMaintenanceDatabase)));
        HD_TRY(const pg::Rows replayed, session.query(kSelectReplayed));
        HD_TRY(const core::Lsn now, core::parse_lsn(replayed.at(0, 0)));
        if (now >= *position) return ok_status();
        if (clock_.now() >= deadline)
            return Error{ErrorCode::timeout,
                         fmt::format("the replica is {} bytes behind its source", *position - now),
                         "",
                         "Wait until it has caught up (howdah server show tells), or promote by "
                         "force."};
        std::this_thread::sleep_for(kPoll);
    }
}

/// A crash anywhere is a later question: PostgreSQL itself knows whether it was promoted.
Status Instance::promote() {
    publish("running", core::describe(core::InstanceStep::promote));
    const auto recovers = [&]() -> Result<bool> {
        HD_TRY(auto session, connect(std::string(kMaintenanceDatabase)));
        HD_TRY(const pg::Rows answer, session.query(kSelectRecovers));
        return answer.at(0, 0) == "t";
    };
    HD_TRY(bool is_standby, recovers());
    // One that waits for more of a setting would end instead of being promoted.
    if (is_standby) HD_CHECK(tend_replica());
    if (is_standby && state_.spec.restore->promotion != "forced") HD_CHECK(catch_up());
    if (is_standby) {
        HD_TRY(auto session, connect(std::string(kMaintenanceDatabase)));
        HD_CHECK(session.query(kPromote));
    }
    HD_FAILPOINT("agent.replica.promoted");
    const Instant deadline = clock_.now() + kPromotionMax;
    while (is_standby) {
        if (clock_.now() >= deadline)
            return Error{ErrorCode::timeout, "PostgreSQL has not ended its recovery yet"};
        std::this_thread::sleep_for(kPoll);
        HD_TRY(is_standby, recovers());
    }
    state_.is_replica = false;
    state_.has_replica_role = false;
    // Its roles are as the source had them.
    state_.password_version = 0;
    state_.are_token_administrators_known = false;
    HD_CHECK(save());
    (void)os::remove_tree(restore_folder(paths_.backup()));
    (void)os::remove_tree(paths_.replication_password());
    {
        const std::lock_guard lock(mutex_);
        view_.report.replica.reset();
    }
    HD_CHECK(write_configuration());
    return postmaster_->reload();
}

Status Instance::tend_replica() {
    if (note_upstream()) {
        HD_CHECK(save());
        HD_CHECK(write_configuration());
        HD_CHECK(postmaster_->reload());
    }
    HD_TRY(auto session, connect(std::string(kMaintenanceDatabase)));
    const std::string_view paused = major_of(state_) >= kPauseMajorMin ? kSelectPaused : "false";
    HD_TRY(const pg::Rows lag, session.query(fmt::format("{}{}", kSelectLag, paused)));
    HD_TRY(const std::int64_t bytes, parse_integer(lag.at(0, 1), 0, INT64_MAX));
    HD_TRY(const std::int64_t age, parse_integer(lag.at(0, 2), INT64_MIN, INT64_MAX));
    {
        const std::lock_guard lock(mutex_);
        view_.report.replica =
            model::ReplicaReport{.is_streaming = lag.rows[0][0] == "t",
                                 .lag_bytes = bytes,
                                 .lag_s = bytes == 0 ? 0 : std::max<std::int64_t>(age, 0)};
    }
    if (lag.at(0, 3) != "t") return ok_status();
    // The source has more of something than a standby may have less of; replay waits for that.
    log::info("a read replica is started again with what its source has now",
              {{"server", state_.spec.server_id}});
    HD_CHECK(postmaster_->stop());
    return start();
}

}  // namespace howdah::agent
