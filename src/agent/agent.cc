#include "agent/agent.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "base/failpoint.h"
#include "base/log.h"
#include "model/json.h"
#include "os/file.h"
#include "os/unix_socket.h"

namespace howdah::agent {
namespace {

constexpr std::size_t kPemBytesMax = 1 << 20;
constexpr Duration kPoolerLook = std::chrono::seconds(1);
constexpr Duration kWatchPause = std::chrono::milliseconds(500);
constexpr Duration kGatewayMax = std::chrono::milliseconds(250);
/// Sessions that were let through a moment ago get this long to be accepted by PostgreSQL.
constexpr Duration kHandshakesPause = std::chrono::milliseconds(100);
/// The same in a failover, which everybody waits for: whoever is late connects again.
constexpr Duration kFailoverPause = std::chrono::milliseconds(10);
constexpr Duration kGatewayPause = std::chrono::milliseconds(1);
/// Of what has nothing to prepare, and the longest of one that fails: each attempt writes the
/// directory of a server anew.
constexpr Duration kPreparePauseMin = std::chrono::seconds(2);
constexpr Duration kPreparePauseMax = std::chrono::minutes(5);

model::ActionResult result_of(const model::Action& action, const Status& status) {
    model::ActionResult result{.action_id = action.id,
                               .server_id = action.server_id,
                               .incarnation = action.incarnation,
                               .kind = action.kind,
                               .generation = action.generation};
    if (!status.ok()) {
        const Error& error = status.error();
        result.failure =
            model::Failure{std::string(to_string(error.code)), error.message, error.hint};
    }
    return result;
}

/// Whether the gateway has this revision of this file in force, or never will. A gateway reads the
/// files of several agents, each of which counts its own revisions.
bool is_in_force(const model::GatewayStats& stats, const std::string& routes,
                 std::int64_t revision) {
    if (stats.tables.empty()) return stats.table_revision >= revision;  // an older gateway
    const auto own =
        std::find_if(stats.tables.begin(), stats.tables.end(),
                     [&](const model::GatewayTable& table) { return table.path == routes; });
    return own == stats.tables.end() || own->revision >= revision;
}

/// Asks the gateway until it has this revision of this file in force, but not for long.
void wait_for_gateway(const std::string& path, const std::string& routes, std::int64_t revision,
                      const Clock& clock) {
    const std::string canonical = os::canonical_path(routes);
    const Instant deadline = clock.now() + kGatewayMax;
    while (clock.now() < deadline) {
        const auto answer = os::ask_unix_socket(path, "stats\n", kGatewayMax);
        if (!answer.ok()) return;
        const auto stats = model::from_json<model::GatewayStats>(*answer);
        if (!stats.ok() || is_in_force(*stats, canonical, revision)) return;
        std::this_thread::sleep_for(kGatewayPause);
    }
}

}  // namespace

Agent::Agent(const Machine& machine, LinkOptions link, Journal journal, const Clock& clock,
             IdSource& ids, int pool_size, int actions_max, TokenLogins* tokens,
             MemberServices* services, Neighbours* neighbours, BackupKeeper* backups)
    : machine_(machine),
      link_(std::move(link)),
      journal_(std::move(journal)),
      clock_(clock),
      ids_(ids),
      pool_size_(pool_size),
      actions_max_(actions_max),
      tokens_(tokens),
      services_(services),
      neighbours_(neighbours),
      backups_(backups),
      epoch_(ids.uuid()),
      pool_(machine.layout(), ids),
      trust_version_(tokens == nullptr ? "" : tokens->trust_version()) {
    if (backups != nullptr)
        prover_.emplace(machine_, pool_, Prover::Options{link_.certificate_path, link_.key_path},
                        clock_, ids_, *backups);
}

/// What members' threads call is still whole when they end.
Agent::~Agent() {
    for (auto& [incarnation, member] : members_)
        if (member.instance) member.instance->end_member();
}

Status Agent::load() {
    HD_CHECK(os::make_folders(machine_.layout().instances(), 0711));
    HD_CHECK(pool_.clean());
    const auto routes = os::read_file(machine_.layout().routes(), 64 << 20);
    if (routes.ok()) {
        const auto table = model::from_json<model::RouteTable>(*routes);
        if (table.ok()) routes_revision_ = table->revision;
    }
    for (const model::ActionResult& each : journal_.results()) {
        if (each.kind == model::ActionKind::delete_instance && !each.failure)
            removed_.push_back({each.incarnation, each.generation});
    }
    HD_TRY(const auto names, os::list_folder(machine_.layout().instances()));
    for (const std::string& name : names) {
        if (!is_uuid(name)) continue;
        const std::lock_guard lock(mutex_);
        Member& member = members_[name];
        member.instance = std::make_unique<Instance>(machine_, pool_, services_, clock_, name,
                                                     [this, name] { view_changed(name); });
    }
    // view_changed takes the lock, so loading happens without it; only members' threads run yet.
    for (auto& [name, member] : members_) {
        const Status loaded = member.instance->load();
        if (!loaded.ok()) {
            log::warn("an instance could not be loaded",
                      {{"incarnation", name}, {"reason", loaded.error().describe()}});
        }
        const std::lock_guard lock(mutex_);
        queue_tend_locked(name, member);
    }
    {
        const std::lock_guard lock(routes_mutex_);
        is_loaded_ = true;
    }
    publish_routes();
    for (const InstalledEngine& engine : machine_.engines()) {
        auto known = load_survey(machine_.layout(), engine);
        if (known.ok()) surveys_.push_back(std::move(*known));
    }
    return ok_status();
}

Agent::Member& Agent::member_locked(const std::string& incarnation) {
    Member& member = members_[incarnation];
    if (!member.instance) {
        member.instance =
            std::make_unique<Instance>(machine_, pool_, services_, clock_, incarnation,
                                       [this, incarnation] { view_changed(incarnation); });
    }
    return member;
}

// ---------------------------------------------------------------------------------------------
// Jobs

bool Agent::accept(model::Action action) {
    if (!is_uuid(action.incarnation)) return false;
    const bool is_of_backups = action.kind == model::ActionKind::make_backup ||
                               action.kind == model::ActionKind::drop_backup ||
                               action.kind == model::ActionKind::prove_backup;
    std::unique_lock lock(mutex_);
    // An action is in the journal before it ceases to run, so it is in one of them at any time.
    if (running_.contains(action.id) || journal_.contains(action.id)) return false;
    if (is_of_backups) {
        // Beside all else that is done with the server: it may take hours.
        running_.insert(action.id);
        lock.unlock();
        order_backup(action);
        return true;
    }
    Member& member = member_locked(action.incarnation);
    replace_waiting_locked(member, action);
    if (action.kind == model::ActionKind::delete_instance) member.instance->break_off();
    std::vector<ProofOrder> dropped;
    if (action.kind == model::ActionKind::delete_instance && prover_)
        dropped = prover_->forget(action.incarnation);
    if (member.jobs.size() >= kQueuedActionsMax) return false;
    running_.insert(action.id);
    member.jobs.push_back({std::move(action)});
    has_job_.notify_all();
    lock.unlock();
    for (const ProofOrder& each : dropped)
        each.done(Error{ErrorCode::cancelled, "the server was deleted before this was done"});
    return true;
}

void Agent::replace_waiting_locked(Member& member, const model::Action& action) {
    const bool is_delete = action.kind == model::ActionKind::delete_instance;
    if (!is_delete && action.kind != model::ActionKind::ensure_instance) return;
    std::erase_if(member.jobs, [&](const Job& job) {
        if (!job.action || job.action->term > action.term) return false;
        const bool is_older =
            job.action->kind == action.kind && job.action->generation <= action.generation;
        const bool is_replaced = is_delete || is_older;
        if (is_replaced) running_.erase(job.action->id);
        return is_replaced;
    });
}

std::optional<model::InstanceReport> Agent::report_of(const std::string& incarnation) {
    const std::lock_guard lock(mutex_);
    const auto found = members_.find(incarnation);
    if (found == members_.end()) return std::nullopt;
    return report_locked(found->second);
}

model::InstanceReport Agent::report_locked(const Member& member) const {
    model::InstanceReport report = member.instance->view().report;
    if (backups_ != nullptr) report.backups = backups_->report(report.incarnation);
    if (report.backups)
        report.backups->prove_every_s =
            std::chrono::ceil<std::chrono::seconds>(machine_.options().prove_every).count();
    return report;
}

void Agent::backups_changed(const std::string& incarnation) {
    const std::lock_guard lock(mutex_);
    const auto found = members_.find(incarnation);
    if (found == members_.end()) return;
    ++found->second.version;
    has_news_.notify_all();
}

std::vector<BackupServer> Agent::backup_servers() {
    const std::lock_guard lock(mutex_);
    std::vector<BackupServer> all;
    for (const auto& [incarnation, member] : members_) {
        const auto backups = member.instance->view().backups;
        if (backups) all.push_back(*backups);
    }
    const auto scratch = prover_ ? prover_->scratch() : std::nullopt;
    if (scratch) all.push_back(*scratch);
    return all;
}

bool Agent::was_removed_locked(const std::string& incarnation) const {
    return std::any_of(removed_.begin(), removed_.end(),
                       [&](const Removed& each) { return each.incarnation == incarnation; });
}

/// A late repetition must not bring a deleted server back. A host that a standby was taken from may
/// be given one again, which copies what there is and has nothing of its own; once that is younger
/// than the deletion (`observed`), it may have become the primary, or the only one.
bool Agent::may_be_made_locked(const model::Action& ensure, model::Generation observed) const {
    const bool is_copy = !ensure.instance->member_hosts.empty() && !ensure.instance->is_founder;
    return std::none_of(removed_.begin(), removed_.end(), [&](const Removed& each) {
        return each.incarnation == ensure.incarnation &&
               (ensure.generation <= each.generation || (!is_copy && observed <= each.generation));
    });
}

bool Agent::has_host_report_locked() const {
    return are_engines_known_ || (surveys_.size() == machine_.engines().size());
}

std::optional<model::HostReport> Agent::host_report() {
    const std::lock_guard lock(mutex_);
    if (!has_host_report_locked()) return std::nullopt;
    return machine_.report(surveys_);
}

void Agent::queue_tend_locked(const std::string& incarnation, Member& member) {
    if (member.is_tend_queued) return;
    member.is_tend_queued = true;
    // Before what waits: a server that has crashed is started before anything is done to it.
    member.jobs.push_front({});
    log::debug("an instance is looked at", {{"incarnation", incarnation}});
    has_job_.notify_all();
}

/// What may begin now, one job of an instance at a time.
Agent::Turn Agent::take_turn_locked() {
    Turn turn;
    turn.ended = std::exchange(ended_, {});
    for (auto& [incarnation, member] : members_) {
        if (member.is_busy || member.jobs.empty()) continue;
        const bool is_action = member.jobs.front().action.has_value();
        if (is_action && actions_ >= actions_max_) continue;
        turn.begun.emplace_back(incarnation, std::move(member.jobs.front()));
        member.jobs.pop_front();
        member.is_busy = true;
        ++jobs_;
        if (is_action) ++actions_;
    }
    return turn;
}

/// The last one is over; until then what was accepted is done, also after the stop.
Agent::Turn Agent::next_turn(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    Turn turn;
    const auto has_turn = [&] {
        turn = take_turn_locked();
        return !turn.is_over();
    };
    if (!has_job_.wait(lock, stop, has_turn) && jobs_ > 0) has_job_.wait(lock, has_turn);
    return turn;
}

void Agent::work(std::stop_token stop) {
    std::map<std::string, std::jthread> threads;  // by incarnation
    for (Turn turn = next_turn(stop); !turn.is_over(); turn = next_turn(stop)) {
        for (const std::string& each : turn.ended) threads.erase(each);
        for (auto& [incarnation, job] : turn.begun) {
            const auto shared = std::make_shared<Job>(std::move(job));
            const auto run = [this, who = incarnation, shared] { do_job(who, *shared); };
            try {
                threads[incarnation] = std::jthread(run);
            } catch (const std::system_error& problem) {
                log::error("no thread is to be had", {{"reason", problem.what()}});
                run();
            }
        }
    }
}

void Agent::do_job(const std::string& incarnation, const Job& job) {
    Instance* instance = nullptr;
    {
        const std::lock_guard lock(mutex_);
        instance = members_[incarnation].instance.get();
    }
    bool is_removed = false;
    if (job.action) {
        carry_out(*instance, *job.action);
        is_removed = job.action->kind == model::ActionKind::delete_instance &&
                     !os::exists(instance_paths(machine_.layout(), incarnation).folder);
    } else {
        tend(incarnation, *instance);
    }
    if (is_removed) publish_routes();
    finish_job(incarnation, job, is_removed);
}

void Agent::finish_job(const std::string& incarnation, const Job& job, bool is_removed) {
    const std::lock_guard lock(mutex_);
    Member& member = members_[incarnation];
    member.is_busy = false;
    if (is_removed) {
        removed_.push_back({incarnation, job.action->generation});
        if (removed_.size() > kRemovedMax) removed_.pop_front();
        // What may have come for it meanwhile is about another one.
        member.instance.reset();
        (void)member_locked(incarnation);
    }
    // Also after what came for it when it was gone.
    const bool is_gone = !os::exists(instance_paths(machine_.layout(), incarnation).folder);
    if (member.jobs.empty() && is_gone && was_removed_locked(incarnation))
        members_.erase(incarnation);
    --jobs_;
    if (job.action) --actions_;
    ended_.push_back(incarnation);
    has_job_.notify_all();
}

void Agent::carry_out(Instance& instance, const model::Action& action) {
    HD_FAILPOINT("agent.action.received");
    log::info("an action begins", {{"action", action.id}, {"server", action.server_id}});
    const Status status = execute(instance, action);
    if (status.ok()) {
        log::info("an action succeeded", {{"action", action.id}, {"server", action.server_id}});
    } else {
        log::warn("an action failed", {{"action", action.id},
                                       {"server", action.server_id},
                                       {"reason", status.error().describe()}});
    }
    keep_result(action, status, instance.is_primary());
}

void Agent::order_backup(const model::Action& action) {
    const auto done = [this, action](const Status& status) {
        if (!status.ok())
            log::warn("a backup on demand failed", {{"action", action.id},
                                                    {"server", action.server_id},
                                                    {"reason", status.error().describe()}});
        keep_result(action, status, /*as_primary=*/true);
    };
    if (backups_ == nullptr)
        return done(Error{ErrorCode::not_supported, "no backups are kept on this machine"});
    if (action.kind == model::ActionKind::prove_backup) return order_proof(action, done);
    backups_->order(action.incarnation, {.name = action.backup,
                                         .is_drop = action.kind == model::ActionKind::drop_backup,
                                         .done = done});
}

/// Only where the server's primary is: the copy is compared with it.
std::optional<ProofOrder> Agent::proof_order_locked(const std::string& incarnation) const {
    const auto found = members_.find(incarnation);
    if (found == members_.end() || !found->second.instance) return std::nullopt;
    const auto backups = found->second.instance->view().backups;
    if (!backups || !backups->is_primary) return std::nullopt;
    return ProofOrder{.name = {},
                      .time = {},
                      .spec = found->second.instance->spec(),
                      .server = *backups,
                      .done = [](const Status&) {}};
}

void Agent::order_proof(const model::Action& action, std::function<void(const Status&)> done) {
    std::optional<ProofOrder> order;
    {
        const std::lock_guard lock(mutex_);
        order = proof_order_locked(action.incarnation);
    }
    if (!order || !prover_)
        return done(Error{ErrorCode::unavailable, "the server's primary does not run here now", "",
                          "try again in a moment"});
    order->name = action.backup;
    order->time = action.restore_time;
    order->done = std::move(done);
    prover_->order(std::move(*order));
}

/// The one that has waited for longest. One that could not be made is not tried again at once.
std::optional<ProofOrder> Agent::due_proof() {
    const Duration every = machine_.options().prove_every;
    std::optional<ProofOrder> longest;
    Duration overdue_by = Duration::zero();
    const std::lock_guard lock(mutex_);
    for (const auto& [incarnation, member] : members_) {
        const auto report = backups_->report(incarnation);
        const auto overdue =
            report ? core::backup::proof_overdue(*report, every, clock_.wall()) : std::nullopt;
        const bool is_longer = overdue && (!longest || *overdue > overdue_by);
        if (!is_longer || clock_.now() < next_proofs_[incarnation]) continue;
        auto order = proof_order_locked(incarnation);
        if (!order) continue;
        longest = std::move(order);
        overdue_by = *overdue;
    }
    // Counted from its end: it may take hours, and may be for nothing.
    if (longest)
        longest->done = [this, incarnation = longest->server.incarnation, every](const Status&) {
            const std::lock_guard guard(mutex_);
            next_proofs_[incarnation] = clock_.now() + std::min(every, Prover::kDueAgain);
        };
    std::erase_if(next_proofs_, [&](const auto& each) { return !members_.contains(each.first); });
    return longest;
}

void Agent::prove(std::stop_token stop) {
    if (prover_) prover_->run(stop, [this] { return due_proof(); });
}

void Agent::keep_result(const model::Action& action, const Status& status, bool as_primary) {
    HD_FAILPOINT("agent.action.before_journal");
    model::ActionResult result = result_of(action, status);
    result.as_primary = as_primary;
    const Status kept = journal_.add(result);
    // Without a journal entry there is no result: the action is offered again, and is idempotent.
    if (!kept.ok())
        log::error("the journal cannot be written", {{"reason", kept.error().describe()}});
    HD_FAILPOINT("agent.action.after_journal");
    const std::lock_guard lock(mutex_);
    running_.erase(action.id);
    last_action_ = clock_.now();
    is_pool_low_ = true;
    has_new_result_ = true;
    has_news_.notify_all();
}

Status Agent::execute(Instance& instance, const model::Action& action) {
    switch (action.kind) {
        case model::ActionKind::ensure_instance:
            if (!action.instance) break;
            {
                const model::Generation observed = instance.view().report.observed_generation;
                const std::lock_guard lock(mutex_);
                if (!may_be_made_locked(action, observed)) {
                    return Error{ErrorCode::conflict, "the server has been deleted", "server"};
                }
            }
            return instance.ensure(*action.instance, action.term);
        case model::ActionKind::delete_instance:
            return instance.remove(action.term);
        case model::ActionKind::create_database:
            if (!action.database) break;
            return instance.create_database(*action.database, action.term);
        case model::ActionKind::drop_database:
            if (!action.database) break;
            return instance.drop_database(*action.database, action.term);
        case model::ActionKind::fail_over:
            return instance.fail_over(action.failover == "planned", action.term);
        case model::ActionKind::make_backup:
        case model::ActionKind::drop_backup:
        case model::ActionKind::prove_backup:
            break;  // accept() has passed them on
    }
    return Error{ErrorCode::invalid_argument,
                 "action " + action.id + " does not say what it is about"};
}

void Agent::tend(const std::string& incarnation, Instance& instance) {
    const Status status = instance.tend();
    const std::lock_guard lock(mutex_);
    Member& member = members_[incarnation];
    member.is_tend_queued = false;
    if (status.ok()) {
        member.crash_pause = kCrashPauseMin;
        member.next_tend = clock_.now() + kTendEvery;
        return;
    }
    log::warn("an instance could not be tended",
              {{"incarnation", incarnation}, {"reason", status.error().describe()}});
    member.next_tend = clock_.now() + member.crash_pause;
    member.crash_pause = std::min(member.crash_pause * 2, kCrashPauseMax);
}

/// The port of pooled servers is known once there is one, and others are to hear of it.
void Agent::look_at_pooler() {
    if (clock_.now() < next_pooler_look_) return;
    next_pooler_look_ = clock_.now() + kPoolerLook;
    const std::int64_t port = machine_.pooler_port();
    const std::lock_guard lock(mutex_);
    if (std::exchange(pooler_port_, port) == port) return;
    is_host_report_due_ = true;
    has_news_.notify_all();
}

/// Waits for the end of any postmaster; queues instances that are due.
void Agent::watch(std::stop_token stop) {
    while (!stop.stop_requested()) {
        publish_due_routes();
        look_at_pooler();
        std::vector<pollfd> fds;
        std::vector<std::string> owners;
        {
            const std::lock_guard lock(mutex_);
            for (auto& [incarnation, member] : members_) {
                if (member.is_busy || member.is_tend_queued) continue;
                if (clock_.now() >= member.next_tend) {
                    queue_tend_locked(incarnation, member);
                    continue;
                }
                const int fd = member.instance->view().watch_fd;
                if (fd < 0) continue;
                fds.push_back({fd, POLLIN, 0});
                owners.push_back(incarnation);
            }
        }
        const auto pause = std::chrono::duration_cast<std::chrono::milliseconds>(
            fds.empty() ? kWatchPause / 5 : kWatchPause);
        (void)::poll(fds.data(), fds.size(), static_cast<int>(pause.count()));
        const std::lock_guard lock(mutex_);
        for (std::size_t i = 0; i < fds.size(); ++i) {
            if ((fds[i].revents & POLLIN) == 0) continue;
            const auto found = members_.find(owners[i]);
            if (found == members_.end() || found->second.is_busy) continue;
            queue_tend_locked(owners[i], found->second);
        }
    }
}

// ---------------------------------------------------------------------------------------------
// Pool and engines

/// False when it is time to end.
bool Agent::wait_for_quiet(std::stop_token stop, const std::string& major) {
    const Instant deadline = clock_.now() + kRefillMax;
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested() && clock_.now() < deadline && pool_.count(major) > 0) {
        const Instant quiet = last_action_ + kRefillQuiet;
        if (running_.empty() && clock_.now() >= quiet) break;
        (void)has_news_.wait_for(lock, stop, kRefillQuiet / 2, [] { return false; });
    }
    return !stop.stop_requested();
}

void Agent::prepare(std::stop_token stop) {
    Duration pause = kPreparePauseMin;
    while (!stop.stop_requested()) {
        bool failed = false;
        for (const InstalledEngine& engine : machine_.engines()) {
            {
                const std::lock_guard lock(mutex_);
                const bool surveyed =
                    std::any_of(surveys_.begin(), surveys_.end(),
                                [&](const auto& each) { return each.version == engine.version; });
                if (surveyed && pool_.count(engine.major) >= static_cast<std::size_t>(pool_size_))
                    continue;
            }
            const Status surveyed = survey(engine);
            Status made = ok_status();
            for (int i = 0; made.ok() && !stop.stop_requested() && i < kPoolMax &&
                            pool_.count(engine.major) < static_cast<std::size_t>(pool_size_);
                 ++i) {
                if (!wait_for_quiet(stop, engine.major)) return;
                made = pool_.make(engine, /*is_background=*/true);
            }
            for (const Status& status : {surveyed, made}) {
                if (status.ok()) continue;
                failed = true;
                log::error("a data directory could not be prepared",
                           {{"major", engine.major}, {"reason", status.error().describe()}});
            }
        }
        pause = failed ? std::min(pause * 2, kPreparePauseMax) : kPreparePauseMin;
        std::unique_lock lock(mutex_);
        if (!are_engines_known_) {
            // Also when it failed: the control plane is to hear what this machine lacks.
            are_engines_known_ = true;
            has_news_.notify_all();
        }
        is_pool_low_ = false;
        (void)has_news_.wait_for(lock, stop, pause, [&] { return is_pool_low_ && !failed; });
    }
}

/// Asks an engine once for its parameters and extensions, with a server made for that, of which
/// nothing is left, whatever happens.
Status Agent::survey(const InstalledEngine& engine) {
    {
        const std::lock_guard lock(mutex_);
        for (const model::Engine& each : surveys_) {
            if (each.version == engine.version) return ok_status();
        }
    }
    const std::string id = ids_.uuid();
    const InstancePaths paths = {machine_.layout().prepared() + "/half-survey-" + id,
                                 machine_.layout().sockets() + "/" + id.substr(0, 8)};
    HD_TRY(const std::string user_name, pool_.claim(engine, paths.folder));
    auto found = survey_with(engine, paths, user_name);
    (void)os::remove_tree(paths.folder);
    (void)os::remove_tree(paths.socket_folder);
    (void)os::ServerUsers::remove(user_name);
    HD_CHECK(found);
    found->collations = find_collations();
    found->collation_version = collation_version(engine.programs + "/postgres");
    HD_CHECK(save_survey(machine_.layout(), *found));
    log::info("surveyed an engine", {{"version", engine.version}});
    const std::lock_guard lock(mutex_);
    surveys_.push_back(std::move(*found));
    is_host_report_due_ = true;
    has_news_.notify_all();
    return ok_status();
}

/// Starts the server in a claimed directory, asks it, and stops it.
Result<model::Engine> Agent::survey_with(const InstalledEngine& engine, const InstancePaths& paths,
                                         const std::string& user_name) {
    HD_TRY(const auto user, os::ServerUsers::find(user_name));
    HD_CHECK(os::make_folders(machine_.layout().sockets(), 0711));
    HD_CHECK(os::make_folders(paths.socket_folder, 0700));
    if (user) HD_CHECK(os::change_owner(paths.socket_folder, {user->uid, user->gid}));
    // PostgreSQL's own defaults are asked for, so nothing but the place of its socket is set.
    const model::InstanceSpec nothing;
    const RenderInput input{
        .spec = nothing, .config_folder = paths.config(), .agent_user = machine_.user_name()};
    const std::string conf = fmt::format(
        "listen_addresses = ''\nport = 5432\nunix_socket_directories = '{}'\nhba_file = "
        "'{}/pg_hba.conf'\n"
        "ident_file = '{}/pg_ident.conf'\nlc_messages = 'C'\n",
        paths.socket_folder, paths.config(), paths.config());
    const std::pair<std::string, std::string> files[] = {{"postgresql.conf", conf},
                                                         {"pg_hba.conf", pg_hba_conf(input)},
                                                         {"pg_ident.conf", pg_ident_conf(input)}};
    for (const auto& [name, content] : files) {
        const std::string path = paths.config() + "/" + name;
        HD_CHECK(os::write_file_atomic(path, content, 0600));
        if (user) HD_CHECK(os::change_owner(path, {user->uid, user->gid}));
    }
    Postmaster postmaster({engine.programs + "/postgres", paths, user, {}}, clock_);
    const Status started = postmaster.start();
    auto found = started.ok() ? survey_engine(engine, paths.socket_folder, 5432)
                              : Result<model::Engine>(started.error());
    HD_CHECK(postmaster.stop());
    return found;
}

// ---------------------------------------------------------------------------------------------
// Routes

void Agent::view_changed(const std::string& incarnation) {
    publish_routes();
    const std::lock_guard lock(mutex_);
    const auto found = members_.find(incarnation);
    if (found == members_.end()) return;
    ++found->second.version;
    // What a new primary has is known by asking it.
    const auto& member = found->second.instance->view().report.member;
    const bool serves = member && member->serves;
    if (serves && !found->second.served) found->second.next_tend = {};
    found->second.served = serves;
    has_news_.notify_all();
}

void Agent::publish_routes() {
    const std::lock_guard routes_lock(routes_mutex_);
    publish_routes_locked();
}

void Agent::neighbours_changed() {
    const std::lock_guard lock(mutex_);
    for (auto& [incarnation, member] : members_) member.next_tend = {};
}

/// What could not be written, say on a full disk, is written as soon as that is possible.
void Agent::publish_due_routes() {
    const std::lock_guard routes_lock(routes_mutex_);
    if (are_routes_due_) publish_routes_locked();
}

void Agent::publish_routes_locked() {
    if (!is_loaded_) return;
    model::RouteTable table;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [incarnation, member] : members_) {
            if (!member.instance || member.instance->is_deleting()) continue;
            model::Route route = member.instance->view().route;
            if (!route.server_id.empty()) table.routes.push_back(std::move(route));
        }
    }
    std::string text = model::to_json(table);
    const bool was_due = std::exchange(are_routes_due_, false);
    if (text == routes_text_) return;
    table.revision = routes_revision_ + 1;
    HD_FAILPOINT("agent.routes.before_publish");
    // Not synced: after a power loss this is made anew before any gateway runs.
    const Status written =
        os::replace_file(machine_.layout().routes(), model::to_json(table), 0600);
    if (!written.ok()) {
        are_routes_due_ = true;
        if (!was_due)
            log::error("the routes cannot be published", {{"reason", written.error().describe()}});
        return;
    }
    HD_FAILPOINT("agent.routes.after_publish");
    if (neighbours_ != nullptr) neighbours_->tell(table.routes);
    routes_revision_ = table.revision;
    routes_text_ = std::move(text);
    const Duration pause = pause_of_closing_locked(table);
    open_routes_.clear();
    for (const model::Route& route : table.routes) {
        if (route.state == "open") open_routes_.insert(route.server_id);
    }
    // PostgreSQL is about to be stopped: new sessions should be held before, not be refused by it.
    // Nothing depends on it: a gateway that is not there has no new sessions.
    if (pause == Duration::zero()) return;
    wait_for_gateway(machine_.layout().gateway_socket(), machine_.layout().routes(), table.revision,
                     clock_);
    std::this_thread::sleep_for(pause);
}

/// How long a server that was open and is not in this table is to wait; zero: there is none.
Duration Agent::pause_of_closing_locked(const model::RouteTable& table) const {
    Duration pause = Duration::zero();
    for (const model::Route& route : table.routes) {
        if (route.state == "open" || !open_routes_.contains(route.server_id)) continue;
        pause = std::max(pause, route.term > 0 ? kFailoverPause : kHandshakesPause);
    }
    return pause;
}

// ---------------------------------------------------------------------------------------------
// Link

Result<http::Client> open_link(const LinkOptions& options) {
    HD_TRY(const std::string ca, os::read_file(options.ca_path, kPemBytesMax));
    HD_TRY(const std::string certificate, os::read_file(options.certificate_path, kPemBytesMax));
    HD_TRY(const std::string key, os::read_file(options.key_path, kPemBytesMax));
    // Without one the system's authorities would be asked.
    if (ca.empty()) return Error{ErrorCode::corrupt, "the file " + options.ca_path + " is empty"};
    return http::Client({.ca_pem = ca,
                         .server_name = std::string(model::kControlPlaneName),
                         .certificate_pem = certificate,
                         .key_pem = Secret(key)});
}

std::optional<http::Client> Agent::make_client() const {
    auto client = open_link(link_);
    if (client.ok()) return std::move(*client);
    log::error("the link to the control plane cannot be made",
               {{"reason", client.error().describe()}});
    return std::nullopt;
}

Result<model::PollResponse> Agent::poll(http::Client& client, const model::PollRequest& request) {
    HD_TRY(const http::Response response,
           client.call(
               {.method = "POST",
                .url = link_.url + "/agent/v1/poll",
                .headers = {{"content-type", "application/json"}},
                .body = model::to_json(request),
                .timeout = std::chrono::milliseconds(request.wait_ms) + std::chrono::seconds(10)}));
    if (response.status != 200) {
        return Error{ErrorCode::unavailable,
                     fmt::format("the control plane answers {}: {}", response.status,
                                 response.body.substr(0, 300))};
    }
    return model::from_json<model::PollResponse>(response.body);
}

void Agent::take_response(const model::PollResponse& response) {
    const Status forgotten = journal_.forget(response.acknowledged);
    if (!forgotten.ok())
        log::error("the journal cannot be written", {{"reason", forgotten.error().describe()}});
    if (response.want_host_report) {
        const std::lock_guard lock(mutex_);
        is_host_report_due_ = true;
        for (auto& [incarnation, member] : members_) member.sent_version = 0;
        has_news_.notify_all();
    }
    if (response.token_trust) take_trust(*response.token_trust);
    for (const model::Action& action : response.actions) (void)accept(action);
    for (const model::LogRequest& request : response.logs) queue_log(request);
}

void Agent::take_trust(const model::TokenTrust& trust) {
    const Status kept = tokens_ == nullptr ? ok_status() : tokens_->trust(trust);
    if (!kept.ok())
        log::error("the keys of tokens cannot be kept", {{"reason", kept.error().describe()}});
    const std::lock_guard lock(mutex_);
    trust_version_ = trust.version;
}

void Agent::check_tokens(std::stop_token stop) {
    if (tokens_ == nullptr) return;
    tokens_->run(std::move(stop), [this](const std::string& incarnation) {
        const std::lock_guard lock(mutex_);
        const auto found = members_.find(incarnation);
        const bool is_here = found != members_.end() && found->second.instance != nullptr;
        return is_here ? std::optional(found->second.instance->token_access()) : std::nullopt;
    });
}

void Agent::pull(std::stop_token stop) {
    auto client = make_client();
    if (!client) return;
    const std::stop_callback wake(stop, [&] { client->cancel(); });
    Duration pause = kLinkPauseMin;
    while (!stop.stop_requested()) {
        model::PollRequest request{.host = machine_.options().host_id, .epoch = epoch_};
        request.wait_ms = std::chrono::duration_cast<std::chrono::milliseconds>(kPollWait).count();
        {
            const std::lock_guard lock(mutex_);
            request.running.assign(running_.begin(), running_.end());
            request.token_trust = trust_version_;
        }
        // Results that wait to be acknowledged are as good as running: not to be done again.
        for (const model::ActionResult& each : journal_.results())
            request.running.push_back(each.action_id);
        const auto response = poll(*client, request);
        if (response.ok()) {
            pause = kLinkPauseMin;
            take_response(*response);
            continue;
        }
        log::debug("the control plane cannot be reached",
                   {{"reason", response.error().describe()}});
        std::unique_lock lock(mutex_);
        (void)has_job_.wait_for(lock, stop, pause, [] { return false; });
        pause = std::min(pause * 2, kLinkPauseMax);
    }
}

void Agent::push(std::stop_token stop) {
    auto client = make_client();
    if (!client) return;
    const std::stop_callback wake(stop, [&] { client->cancel(); });
    Duration pause = kLinkPauseMin;
    while (!stop.stop_requested()) {
        model::PollRequest request{.host = machine_.options().host_id, .epoch = epoch_};
        std::map<std::string, std::uint64_t> versions;
        {
            std::unique_lock lock(mutex_);
            (void)has_news_.wait(lock, stop, [&] {
                if (is_host_report_due_ && has_host_report_locked()) return true;
                if (has_new_result_) return true;
                return std::any_of(members_.begin(), members_.end(), [](const auto& each) {
                    return each.second.version != each.second.sent_version;
                });
            });
            if (stop.stop_requested()) return;
            for (auto& [incarnation, member] : members_) {
                if (member.version == member.sent_version) continue;
                if (request.reports.size() == kReportsPerPoll) break;
                versions[incarnation] = member.version;
                request.reports.push_back(report_locked(member));
            }
            if (is_host_report_due_ && has_host_report_locked()) {
                request.host_report = machine_.report(surveys_);
                is_host_report_due_ = false;
            }
            has_new_result_ = false;
            request.token_trust = trust_version_;
        }
        request.results = journal_.results();
        const auto response = poll(*client, request);
        if (response.ok()) {
            pause = kLinkPauseMin;
            {
                const std::lock_guard lock(mutex_);
                for (const auto& [incarnation, version] : versions) {
                    const auto found = members_.find(incarnation);
                    if (found != members_.end()) found->second.sent_version = version;
                }
            }
            take_response(*response);
            continue;
        }
        std::unique_lock lock(mutex_);
        is_host_report_due_ = is_host_report_due_ || request.host_report.has_value();
        has_new_result_ = true;
        (void)has_job_.wait_for(lock, stop, pause, [] { return false; });
        pause = std::min(pause * 2, kLinkPauseMax);
    }
}

// ---------------------------------------------------------------------------------------------
// Log files

void Agent::queue_log(const model::LogRequest& request) {
    const std::lock_guard lock(mutex_);
    if (log_requests_.size() >= kLogRequestsMax) return;  // it is asked for again
    log_requests_.push_back(request);
    has_log_request_.notify_all();
}

std::vector<model::LogRequest> Agent::next_logs(std::stop_token stop, bool may_wait) {
    std::unique_lock lock(mutex_);
    if (may_wait)
        (void)has_log_request_.wait(lock, std::move(stop), [&] { return !log_requests_.empty(); });
    return std::exchange(log_requests_, {});
}

/// Only files of an instance that is here, and whose customer has switched downloads on.
Result<LogTransfer> Agent::open_log(const model::LogRequest& request) {
    std::string folder;
    {
        const std::lock_guard lock(mutex_);
        const auto found = members_.find(request.incarnation);
        if (found != members_.end() && found->second.instance)
            folder = found->second.instance->view().log_folder;
    }
    // An instance that was only just taken over is not looked at yet.
    if (folder.empty())
        return Error{ErrorCode::unavailable, "the log files of the server are not offered here"};
    return LogTransfer::open(folder, request);
}

/// One piece of each transfer in turn, so that a large file does not keep others waiting.
void Agent::send_logs(std::stop_token stop) {
    auto client = make_client();
    if (!client) return;
    const std::stop_callback wake(stop, [&] { client->cancel(); });
    std::deque<LogTransfer> transfers;
    while (!stop.stop_requested()) {
        for (const model::LogRequest& request : next_logs(stop, transfers.empty())) {
            const auto is_same = [&](const LogTransfer& each) { return each.id() == request.id; };
            if (std::any_of(transfers.begin(), transfers.end(), is_same)) continue;
            auto opened = transfers.size() < kLogRequestsMax
                              ? open_log(request)
                              : Result<LogTransfer>(
                                    Error{ErrorCode::unavailable, "too many log files are wanted"});
            if (opened.ok())
                transfers.push_back(std::move(*opened));
            else if (opened.error().code != ErrorCode::unavailable)  // it is asked again
                report_failure(*client, link_.url, request.id, opened.error());
        }
        if (transfers.empty()) continue;
        LogTransfer transfer = std::move(transfers.front());
        transfers.pop_front();
        const auto more = transfer.send_piece(*client, link_.url, kLogPieceBytes);
        // What broke off is asked for again, from where it stood.
        if (!more.ok())
            log::warn("a piece of a log file could not be sent",
                      {{"reason", more.error().describe()}});
        else if (*more)
            transfers.push_back(std::move(transfer));
    }
}

}  // namespace howdah::agent
