// An instance as a member of a highly available server. Its HaMember decides what PostgreSQL does,
// in a thread of its own; the steps here begin it, ask it, and end it.

#include <fmt/core.h>
#include <signal.h>

#include <algorithm>

#include "agent/config/render.h"
#include "agent/instance.h"
#include "base/log.h"
#include "base/text.h"
#include "os/file.h"
#include "pg/scram.h"

namespace howdah::agent {
namespace {

using core::ha::Postgres;

constexpr Duration kLeaveMax = std::chrono::minutes(5);
constexpr Duration kFailoverMax = std::chrono::minutes(1);
constexpr Duration kRoleMax = std::chrono::seconds(30);
constexpr std::size_t kSaltBytes = 16;

std::string_view role_of(const HaMember::View& member) {
    if (member.postgres == Postgres::primary && member.leads()) return "primary";
    return member.postgres == Postgres::standby ? "standby" : "";
}

model::MemberReport report_of(const HaMember::View& member) {
    model::MemberReport report{.role = std::string(role_of(member)), .serves = member.serves};
    if (!member.record) return report;
    report.term = member.record->term;
    report.primary_host = member.record->primary.node;
    for (const core::ha::MemberId& each : member.record->sync_set)
        report.sync_hosts.push_back(each.node);
    return report;
}

}  // namespace

// ---------------------------------------------------------------------------------------------
// What others see

/// Over what the working thread has said: what the member says.
void Instance::add_member_locked() {
    if (!member_view_) return;
    const HaMember::View& member = *member_view_;
    model::InstanceReport& report = view_.report;
    report.member = report_of(member);
    // It watches PostgreSQL itself, which is not always meant to run.
    view_.watch_fd = -1;
    const bool is_down = base_.state == "stopped" || base_.state == "stopping" ||
                         base_.state == "absent" || base_.state == "restarting";
    if (is_down) return;
    if (member.serves)
        report.state = "running";
    else
        report.state = member.leads() ? "starting" : "following";
    if (report.detail.empty()) report.detail = member.detail;
    report.postmaster_pid = member.serves ? member.run.pid : 0;
}

void Instance::member_changed(const HaMember::View& next) {
    // What a failover waits for must not wait for the size of a server.
    if (!next.serves) limit_io(false);
    bool is_news = false;
    {
        const std::lock_guard lock(mutex_);
        member_view_ = next;
        is_news = compose_locked();
        view_changed_.notify_all();
    }
    if (is_news) changed_();
    if (next.serves) limit_io(true);
}

bool Instance::is_primary() const {
    const std::lock_guard lock(mutex_);
    if (state_.is_replica) return false;
    if (!member_view_) return !state_.is_member || state_.spec.is_founder;
    return member_view_->leads();
}

bool Instance::is_follower() const {
    const std::lock_guard lock(mutex_);
    if (!member_view_ || !member_view_->record) return !state_.spec.is_founder;
    return !member_view_->leads();
}

void Instance::add_member_facts(core::InstanceFacts& facts) const {
    facts.wants_member = !state_.spec.member_hosts.empty();
    facts.is_founder = state_.spec.is_founder;
    facts.is_member = state_.is_member;
    // One that was about to leave is to join anew.
    const auto is_leaving = [&] {
        const std::lock_guard lock(mutex_);
        return member_view_ && member_view_->leads() && !member_view_->record->wants_standby;
    };
    if (member_ && facts.wants_member && is_leaving()) facts.is_member = false;
    facts.is_begun = member_ != nullptr;
    facts.is_follower = facts.is_begun && is_follower();
    if (!facts.is_begun || facts.is_follower) return;
    const std::lock_guard lock(mutex_);
    facts.is_ready = facts.is_ready && member_view_ && member_view_->serves;
}

// ---------------------------------------------------------------------------------------------
// Beginning and ending

Result<HaMember::Options> Instance::member_options(bool is_asked_to_start) const {
    const InstalledEngine* engine = machine_.engine(state_.spec.major);
    if (engine == nullptr)
        return Error{ErrorCode::not_supported, "PostgreSQL " + state_.spec.major + " is gone"};
    HD_TRY(const auto user, os::ServerUsers::find(state_.os_user));
    HD_TRY(const auto config_owner, file_owner());
    return HaMember::Options{
        .server = incarnation_,
        .address = {machine_.options().member_address, static_cast<int>(state_.backend_port)},
        .postgres = {.postmaster = postmaster_options(*engine, user),
                     .programs = engine->programs,
                     .port = static_cast<int>(state_.backend_port),
                     .pass_file = paths_.replication_password(),
                     .config_owner = config_owner},
        .state_path = paths_.member_state(),
        .fence_path = paths_.member_fence(),
        .failovers_path = paths_.member_failovers(),
        .is_founder = state_.spec.is_founder,
        .first_term = state_.member_term + 1,
        .is_asked_to_start = is_asked_to_start};
}

Status Instance::begin_member(bool is_asked_to_start) {
    if (member_) return ok_status();
    if (services_ == nullptr)
        return Error{ErrorCode::not_supported, "this agent has no members of servers"};
    HD_CHECK(services_->begin());
    find_postmaster();
    HD_CHECK(choose_port());
    (void)save();
    // A member whose PostgreSQL cannot start must run all the same: it hands over to another one.
    if (!postmaster_->is_running()) {
        Status prepared = apply_limits(state_.spec.memory_mb, false);
        if (prepared.ok()) prepared = write_configuration();
        if (!prepared.ok())
            log::warn("a member begins with the configuration that is there",
                      {{"server", state_.spec.server_id}, {"reason", prepared.error().describe()}});
    }
    HD_TRY(HaMember::Options options, member_options(is_asked_to_start));
    auto member = std::make_unique<HaMember>(
        std::move(options), services_->records(), services_->lease(), services_->ids(), clock_,
        [this](const HaMember::View& next) { member_changed(next); });
    HD_CHECK(member->load());
    member_ = std::move(member);
    {
        // What was known last counts until it looks: its term must not seem to be none.
        const std::lock_guard lock(mutex_);
        member_view_ = member_->view();
        (void)compose_locked();
    }
    member_thread_ = std::jthread([this](std::stop_token stop) { member_->run(std::move(stop)); });
    services_->disks().watch(paths_.folder);
    return ok_status();
}

void Instance::end_member() {
    if (!member_) return;
    member_thread_ = {};
    services_->disks().forget(paths_.folder);
    member_.reset();
    const std::lock_guard lock(mutex_);
    if (!member_view_) return;
    member_view_->serves = false;
    member_view_->did_not_start = false;
    member_view_->detail.clear();
}

/// Who starts and ends PostgreSQL is the member, with another handle of it.
void Instance::find_postmaster() {
    if (state_.is_member && postmaster_ && !postmaster_->is_running()) (void)postmaster_->adopt();
}

/// From the signal on PostgreSQL lets nobody in, and its last checkpoint may take longer than the
/// fence would wait for a word of its agent.
void Instance::shut_down_unfenced() const {
    if (!postmaster_->is_running() || !postmaster_->signal(SIGINT).ok()) return;
    auto fence = FenceFile::open(paths_.member_fence());
    if (fence.ok()) fence->set(std::nullopt);
}

Status Instance::write_replication_password(const std::string& password) {
    const std::string line = fmt::format("*:*:*:{}:{}\n", kReplicationRole, password);
    HD_TRY(const auto user, os::ServerUsers::find(state_.os_user));
    if (!user) return os::write_file_atomic(paths_.replication_password(), line, 0600);
    return os::write_file_atomic(paths_.replication_password(), line, 0600,
                                 os::Owner{user->uid, user->gid});
}

Status Instance::join() {
    if (member_) return member_->stay(kLeaveMax);
    if (services_ == nullptr)
        return Error{ErrorCode::not_supported, "this agent has no members of servers"};
    HD_CHECK(services_->begin());
    HD_TRY(const std::string password, services_->replication_password(incarnation_));
    HD_CHECK(write_replication_password(password));
    if (state_.spec.is_founder) return join_as_founder(password);
    state_.is_member = true;
    state_.is_restored = true;  // its primary's data was
    HD_CHECK(save());
    HD_CHECK(write_configuration());
    is_loaded_ = true;  // by the start to come
    return begin_member(/*is_asked_to_start=*/false);
}

/// PostgreSQL runs on all the while.
Status Instance::join_as_founder(const std::string& password) {
    HD_TRY(auto session, connect(std::string(kMaintenanceDatabase)));
    HD_TRY(const std::string verifier,
           pg::scram_verifier(Secret(password), services_->ids().random_bytes(kSaltBytes)));
    HD_CHECK(quiet(session));
    HD_CHECK(change(session, replication_role_sql(verifier), kRoleMax));
    // Whatever is left is of members before: leave() may have been cut off anywhere.
    for (const std::string& each :
         {paths_.member_state(), paths_.member_fence(), paths_.member_failovers()})
        HD_CHECK(os::remove_tree(each));
    HD_CHECK(forget_member());
    HD_TRY(const auto owner, file_owner());
    HD_CHECK(os::replace_file(paths_.config() + "/" + std::string(kHaConf), ha_conf({}),
                              owner ? 0640 : 0600, owner));
    state_.is_member = true;
    HD_CHECK(save());
    HD_CHECK(write_configuration());
    HD_CHECK(load_configuration());
    HD_CHECK(begin_member(/*is_asked_to_start=*/false));
    return wait_for_member();
}

/// The records that have this member's name; nothing of it runs.
Status Instance::forget_member() {
    HD_TRY(HaMember::Options options, member_options(false));
    HaMember member(std::move(options), services_->records(), services_->lease(), services_->ids(),
                    clock_, {});
    return member.forget();
}

/// The instance is being deleted, and nothing of it runs.
Status Instance::remove_member() {
    if (services_ == nullptr) return ok_status();
    HD_CHECK(services_->begin());
    HD_CHECK(forget_member());
    HD_TRY(const auto seen, services_->records().read(incarnation_));
    return seen.revision == 0 ? services_->forget_password(incarnation_) : ok_status();
}

/// Whom PostgreSQL waits for is proved to be nobody before the rules end.
Status Instance::leave() {
    if (is_follower())
        return Error{ErrorCode::unavailable, "another host has the primary of the server"};
    HD_CHECK(member_->leave(kLeaveMax));
    const model::Term term = view().report.member.value_or(model::MemberReport{}).term;
    end_member();
    state_.member_term = std::max(state_.member_term, term);
    state_.is_member = false;
    // From here on nobody needs what is removed next.
    HD_CHECK(save());
    {
        const std::lock_guard lock(mutex_);
        member_view_.reset();
    }
    const Status forgotten = forget_member();
    if (!forgotten.ok())
        log::warn("the record of the members cannot be removed; the next one replaces it",
                  {{"server", state_.spec.server_id}, {"reason", forgotten.error().describe()}});
    for (const std::string& each : {paths_.member_state(), paths_.member_fence(),
                                    paths_.member_failovers(), paths_.replication_password()})
        HD_CHECK(os::remove_tree(each));
    HD_CHECK(write_configuration());
    find_postmaster();
    return load_configuration();
}

/// Until it is known what this member is; a primary also serves then.
Status Instance::follow() {
    find_postmaster();
    // What did not start before may start now.
    if (member_ && !postmaster_->is_running() && member_->view().did_not_start) end_member();
    HD_CHECK(begin_member(/*is_asked_to_start=*/!postmaster_->is_running()));
    return wait_for_member();
}

/// REQUIRES: member_, so that there is a view of it.
Status Instance::wait_for_member() {
    const Instant deadline = clock_.now() + Postmaster::kStartMax;
    const auto is_settled = [&] {
        if (!member_view_->record) return !state_.spec.is_founder;
        return member_view_->did_not_start || member_view_->serves || !member_view_->leads();
    };
    std::unique_lock lock(mutex_);
    while (!is_settled() && clock_.now() < deadline)
        (void)view_changed_.wait_for(lock, std::chrono::milliseconds(100));
    if (!is_settled())
        return Error{ErrorCode::timeout, "the primary is not ready yet: " + member_view_->detail,
                     "", "Look at the logs of the server; it goes on by itself."};
    const bool did_not_start = member_view_->did_not_start && member_view_->leads();
    const std::string reason = member_view_->detail;
    lock.unlock();
    find_postmaster();
    if (!did_not_start || !put_back()) return ok_status();
    // The rules try again by themselves.
    HD_CHECK(write_configuration());
    return Error{
        ErrorCode::invalid_argument,
        "PostgreSQL does not start with the new parameters and gets the ones before: " + reason, "",
        "Set other values."};
}

Status Instance::restart_member() {
    HD_CHECK(write_configuration());
    const Status restarted = member_->restart(Postmaster::kStartMax);
    find_postmaster();
    state_.restart_token = restart_token(state_.spec.restart_sequence);
    if (restarted.ok()) {
        state_.parameters_in_force = state_.spec.parameters;
        is_loaded_ = true;
        // Taken away only now: what it had before might not have fitted.
        HD_CHECK(apply_limits(state_.spec.memory_mb));
        return is_follower() ? ok_status() : wait_for_member();
    }
    if (restarted.error().code != ErrorCode::postgres || !put_back()) return restarted;
    HD_CHECK(write_configuration());
    return Error{ErrorCode::invalid_argument,
                 "PostgreSQL does not start with the new parameters and gets the ones before: " +
                     restarted.error().message,
                 "", "Set other values."};
}

Status Instance::fail_over(bool is_planned, model::Term term) {
    HD_CHECK(check_term(term));
    if (!member_)
        return Error{ErrorCode::invalid_state, "the server is not highly available, or stopped", "",
                     "Switch high availability on, or start the server."};
    if (is_planned && is_primary()) checkpoint();
    if (!is_planned || !is_pooled() || !is_primary())
        return member_->fail_over(is_planned, kFailoverMax);
    set_draining(true);
    wait_for_pooler();
    const Status handed_over = member_->fail_over(is_planned, kFailoverMax);
    set_draining(false);
    return handed_over;
}

Status Instance::tend_member() {
    find_postmaster();
    if (!state_.spec.running) {
        if (member_ || postmaster_->is_running()) return stop();
        return refresh();
    }
    // One that does not start may need another port.
    if (member_ && !postmaster_->is_running() && member_->view().did_not_start) end_member();
    HD_CHECK(begin_member(/*is_asked_to_start=*/false));
    if (postmaster_->is_ready()) HD_CHECK(renew_client_rules());
    return refresh();
}

}  // namespace howdah::agent
