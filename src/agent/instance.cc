#include "agent/instance.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <thread>

#include "agent/backup/pgbackrest.h"
#include "agent/config/extension_files.h"
#include "agent/config/render.h"
#include "agent/server_logs.h"
#include "agent/upstream.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/text.h"
#include "core/sizing/parameters.h"
#include "core/sizing/pooling.h"
#include "model/json.h"
#include "os/file.h"
#include "os/ports.h"

namespace howdah::agent {
namespace {

/// A plan that does not end within this many steps is a bug; the error says where it stood.
constexpr int kStepsMax = 16;
constexpr Duration kReloadMax = std::chrono::seconds(10);
constexpr Duration kReloadPoll = std::chrono::milliseconds(5);
constexpr Duration kCheckpointMax = std::chrono::seconds(20);
constexpr Duration kDatabaseMax = std::chrono::minutes(5);
constexpr Duration kAdministratorMax = std::chrono::seconds(30);
constexpr Duration kLogSizesEvery = std::chrono::minutes(1);

/// One of a postmaster's own parameters that was changed is in error here too; the next query, in
/// the same session, tells those that only wait for a restart.
constexpr std::string_view kSelectFileErrors =
    "SELECT coalesce(name, ''), error, coalesce(setting, '') FROM pg_catalog.pg_file_settings "
    "WHERE error IS NOT NULL";
/// The file's view does not say what is wrong with a value; setting it for a moment does.
constexpr std::string_view kTrySetting = "SELECT pg_catalog.set_config($1, $2, true)";
constexpr std::string_view kInvalidParameterValue = "22023";
/// The verifier must not be in a log or in a statistics view, and what is confirmed must last.
constexpr std::string_view kQuietSession =
    "SET log_statement = 'none'; SET log_min_error_statement = 'panic'; "
    "SET log_min_duration_statement = -1; SET log_duration = off; "
    "SET pgaudit.log = 'none'; SET pg_stat_statements.track = 'none'; "
    "SET synchronous_commit = 'on'";
constexpr std::string_view kSelectHbaErrors =
    "SELECT line_number::text, error FROM pg_catalog.pg_hba_file_rules WHERE error IS NOT NULL";
constexpr std::string_view kSelectLoadTime =
    "SELECT pg_catalog.date_part('epoch', pg_catalog.pg_conf_load_time())::text";
constexpr std::string_view kSelectDatabases =
    "SELECT datname, pg_catalog.pg_encoding_to_char(encoding), datcollate "
    "FROM pg_catalog.pg_database WHERE datname NOT IN ('template0', 'template1') ORDER BY datname";
/// Of a prepared transaction the pid is 0.
constexpr std::string_view kSelectLockHolders =
    "SELECT DISTINCT pid::text, coalesce(usename, ''), coalesce(datname, ''), coalesce(state, ''), "
    "coalesce(pg_catalog.date_trunc('second', xact_start)::text, '') "
    "FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1::pg_catalog.int4)) AS holder (pid) "
    "LEFT JOIN pg_catalog.pg_stat_activity USING (pid) LIMIT 3";
constexpr std::string_view kSelectIsTemplate =
    "SELECT datistemplate FROM pg_catalog.pg_database WHERE datname = $1";
constexpr std::string_view kLockNotAvailable = "55P03";
constexpr std::string_view kObjectInUse = "55006";
constexpr std::string_view kDuplicateObject = "42710";
constexpr std::string_view kSelectPending =
    "SELECT name FROM pg_catalog.pg_settings WHERE pending_restart ORDER BY name";

/// Howdah's own, and another one of a read replica's than of others: it waits for whatever restart
/// comes after the promotion.
constexpr std::string_view kArchiveMode = "archive_mode";

/// "en_US.UTF-8" and "en_us.utf8" are one locale.
std::string locale_key(std::string_view name) {
    std::string key = to_lower(name);
    std::erase(key, '-');
    return key;
}

/// Whether PostgreSQL refuses a value of the file, and in which words.
Result<std::vector<std::pair<std::string, std::string>>> refused_settings(pg::Connection& session) {
    HD_TRY(const pg::Rows errors, session.query(kSelectFileErrors));
    HD_TRY(const pg::Rows waiting, session.query(kSelectPending));
    std::vector<std::pair<std::string, std::string>> refused;
    for (const pg::Row& row : errors.rows) {
        const std::string name = row[0].value_or("");
        std::string reason = row[1].value_or("");
        // Of a line that has gone, PostgreSQL names the parameter in the message alone.
        const auto is_it = [&](const pg::Row& each) {
            const std::string waits = each[0].value_or("");
            return name.empty() ? reason.find('"' + waits + '"') != std::string::npos
                                : iequals(waits, name);
        };
        if (std::any_of(waiting.rows.begin(), waiting.rows.end(), is_it)) continue;
        const auto tried = session.query(kTrySetting, {name, row[2]});
        if (!tried.ok() && tried.error().target == kInvalidParameterValue)
            reason = tried.error().message;
        refused.emplace_back(name, reason);
    }
    return refused;
}

/// libldap's: which authority has to have signed the certificate of who asks for a token. Whatever
/// files of its own it finds, these win.
std::vector<std::string> token_environment(const Layout& layout) {
    return {"LDAPTLS_CACERT=" + layout.token_authority(), "LDAPTLS_REQCERT=demand"};
}

model::InstanceSpec without_secrets(model::InstanceSpec spec) {
    spec.administrator_verifier.clear();
    spec.tls = {};
    spec.backup.key.clear();
    spec.replica_password.clear();
    if (spec.restore) {
        spec.restore->key.clear();
        spec.restore->password.clear();
    }
    return spec;
}

/// Each once, in the order of their first.
std::vector<std::string> unique(const std::vector<std::string>& all) {
    std::vector<std::string> each_once;
    for (const std::string& each : all)
        if (std::find(each_once.begin(), each_once.end(), each) == each_once.end())
            each_once.push_back(each);
    return each_once;
}

}  // namespace

model::Route make_route(const model::InstanceSpec& spec, std::string_view state,
                        std::int64_t backend_port, std::int64_t postmaster_pid) {
    model::Route route{.server_id = spec.server_id,
                       .server_name = spec.server_name,
                       .host_names = spec.host_names,
                       .port = spec.port,
                       .backend_port = backend_port,
                       .postmaster_pid = postmaster_pid,
                       .public_access = spec.public_access,
                       .firewall_rules = spec.firewall_rules};
    for (std::string& name : route.host_names) name = to_lower(name);
    route.major = parse_integer(spec.major, 1, 99).value_or(0);
    const auto tls = spec.parameters.find("require_secure_transport");
    route.require_tls = tls == spec.parameters.end() || tls->second != "off";
    if (state == "running") {
        route.state = "open";
    } else if (state == "stopped" || state == "stopping") {
        route.state = "closed";
        route.reason = "the server is stopped";
    } else if (state == "absent") {
        route.state = "closed";
        route.reason = "the server is being deleted";
    } else if (state == "failed") {
        route.state = "closed";
        route.reason = "the server could not be started";
    } else {
        route.state = "hold";
        route.reason = "the server is starting";
    }
    return route;
}

Instance::Instance(const Machine& machine, PreparedPool& pool, MemberServices* services,
                   const Clock& clock, std::string incarnation, std::function<void()> changed)
    : machine_(machine),
      pool_(pool),
      services_(services),
      clock_(clock),
      incarnation_(std::move(incarnation)),
      paths_(instance_paths(machine.layout(), incarnation_)),
      changed_(std::move(changed)) {}

/// Its member's thread ends before what it uses.
Instance::~Instance() { end_member(); }

InstanceView Instance::view() const {
    const std::lock_guard lock(mutex_);
    return view_;
}

TokenAccess Instance::token_access() const {
    const std::lock_guard lock(mutex_);
    return token_access_;
}

/// Those of the spec whose roles are known to be Howdah's: nobody's token opens a role of a
/// customer that happens to have the name of a new administrator.
std::vector<model::TokenAdministrator> Instance::token_administrators() const {
    std::vector<model::TokenAdministrator> both;
    for (const model::TokenAdministrator& each : state_.spec.token_administrators) {
        const auto& made = state_.token_administrators;
        if (std::find(made.begin(), made.end(), each) != made.end()) both.push_back(each);
    }
    return both;
}

void Instance::note_token_access() {
    const bool is_enabled = state_.spec.token_logins && !state_.deleting;
    TokenAccess access{is_enabled, token_administrators()};
    const std::lock_guard lock(mutex_);
    token_access_ = std::move(access);
}

bool Instance::is_deleting() const {
    const std::lock_guard lock(mutex_);
    return view_.report.state == "absent";
}

void Instance::publish(std::string_view state, std::string_view detail) {
    const auto id = postmaster_ ? postmaster_->id() : std::nullopt;
    const bool runs = postmaster_ && postmaster_->is_running();
    // It may have died since the caller looked; then it is about to be started again.
    if (state == "running" && !runs) state = "starting";
    bool is_news = false;
    {
        const std::lock_guard lock(mutex_);
        model::InstanceReport& report = view_.report;
        report.server_id = state_.spec.server_id;
        report.incarnation = incarnation_;
        report.term = state_.term;
        report.observed_generation = state_.observed_generation;
        report.backend_port = state_.backend_port;
        report.minor_version = state_.minor_version;
        base_ = {.spec = state_.spec,
                 .state = std::string(state),
                 .detail = std::string(detail),
                 .member_term = state_.member_term,
                 .postmaster_pid = runs && id ? id->pid : 0,
                 .watch_fd = runs ? postmaster_->watch_fd() : -1,
                 .runs_as = runs_as_,
                 .is_restored = state_.is_restored,
                 .is_replica = state_.is_replica};
        is_news = compose_locked();
    }
    if (is_news) changed_();
}

/// Makes the view anew; true if others are to hear of it.
bool Instance::compose_locked() {
    model::InstanceReport& report = view_.report;
    report.state = base_.state;
    report.detail = base_.detail;
    report.postmaster_pid = base_.postmaster_pid;
    report.member.reset();
    view_.watch_fd = base_.watch_fd;
    add_member_locked();
    add_backups_locked();
    view_.route = make_route(base_.spec, report.state, report.backend_port, report.postmaster_pid);
    if (core::wants_pooling(base_.spec.parameters) && !base_.is_replica)
        view_.route.pooling = {.tls_path = paths_.tls(),
                               .socket_folder = paths_.socket_folder,
                               .settings = core::pooling_settings(base_.spec.parameters)};
    if (is_draining_ && view_.route.state == "open") {
        view_.route.state = "hold";
        view_.route.reason = "the server is handed over";
    }
    view_.route.term =
        std::max(base_.member_term, report.member.value_or(model::MemberReport{}).term);
    report.failovers.clear();
    std::string text = model::to_json(report) + model::to_json(view_.route);
    const auto failovers = member_view_ ? member_view_->failovers : nullptr;
    const bool is_news = text != published_text_ || failovers != published_failovers_;
    published_text_ = std::move(text);
    published_failovers_ = failovers;
    if (failovers) report.failovers = *failovers;
    return is_news;
}

void Instance::add_backups_locked() {
    const model::InstanceReport& report = view_.report;
    view_.backups.reset();
    // Until it is known whom the server runs as, nothing of it may be read as somebody else.
    if (!machine_.keeps_backups() || report.state == "absent" || !base_.runs_as) return;
    const bool leads = !report.member || report.member->role == "primary";
    const bool restores = base_.spec.restore && (!base_.is_restored || base_.is_replica);
    const bool has_own = !is_scratch() && !base_.is_replica;
    const bool runs = report.state == "running";
    view_.backups =
        BackupServer{.incarnation = incarnation_,
                     .server_id = base_.spec.server_id,
                     .folder = paths_.backup(),
                     .key_path = paths_.backup_key(),
                     .data = paths_.data(),
                     .socket_folder = paths_.socket_folder,
                     .port = static_cast<int>(report.backend_port),
                     .user = *base_.runs_as,
                     .retention_days = base_.spec.backup.retention_days,
                     .restores_from = restores ? base_.spec.restore->source_incarnation : "",
                     .is_primary = runs && leads && has_own,
                     .is_standby = report.member && report.member->role == "standby",
                     .has_own = has_own};
}

/// Costs a sync, so it is left out when nothing changed.
Status Instance::save() {
    std::string text = model::to_json(state_);
    if (text == saved_text_) return ok_status();
    HD_CHECK(os::write_file_atomic(paths_.state(), text, 0600));
    saved_text_ = std::move(text);
    return ok_status();
}

/// A higher term is written down before anything is done under it.
Status Instance::check_term(model::Term term) {
    if (term < state_.term) {
        return Error{ErrorCode::conflict,
                     fmt::format("an action of term {} is older than term {} of the instance", term,
                                 state_.term)};
    }
    if (term == state_.term) return ok_status();
    state_.term = term;
    return os::exists(paths_.state()) ? save() : ok_status();
}

Result<pg::Connection> Instance::connect(const std::string& database) const {
    return postmaster_->connect(database, static_cast<int>(state_.backend_port));
}

Status Instance::quiet(pg::Connection& session) { return session.execute(kQuietSession); }

/// Carries out what needs locks that a customer may hold: it waits for them for
/// Postmaster::kLockMax, and the error tells who holds them.
Status Instance::change(pg::Connection& session, std::string_view sql, Duration timeout) const {
    std::string holders;
    const auto look = [&] { holders = lock_holders(session.backend_pid()); };
    Status done = session.execute(sql, timeout, {Postmaster::kLockMax / 2, look});
    if (done.ok() || done.error().target != kLockNotAvailable) return done;
    if (holders.empty()) holders = "another session";
    return Error{ErrorCode::conflict, "a lock that is needed is held by " + holders, "",
                 "End that transaction, or its session with pg_terminate_backend; then repeat the "
                 "request."};
}

/// For a person; empty if it cannot be found out.
std::string Instance::lock_holders(int waiting_pid) const {
    auto session = connect(std::string(kMaintenanceDatabase));
    if (!session.ok()) return "";
    const auto holders = session->query(kSelectLockHolders, {std::to_string(waiting_pid)});
    if (!holders.ok()) return "";
    std::vector<std::string> all;
    for (const pg::Row& row : holders->rows) {
        if (row[0] == "0") {
            all.emplace_back("a prepared transaction (see pg_prepared_xacts)");
            continue;
        }
        all.push_back(
            fmt::format("session {} of \"{}\" in database \"{}\" ({}, its transaction "
                        "began {})",
                        *row[0], *row[1], *row[2], *row[3], *row[4]));
    }
    return howdah::join(all, " and ");
}

Status Instance::load() {
    HD_TRY(const std::string text, os::read_file(paths_.state(), 8 << 20));
    HD_TRY(state_, model::from_json<model::InstanceState>(text));
    note_token_access();
    const InstalledEngine* engine = machine_.engine(state_.spec.major);
    if (engine == nullptr) {
        return Error{ErrorCode::not_found,
                     "PostgreSQL " + state_.spec.major + " is not installed any more", "",
                     "install postgresql-" + state_.spec.major};
    }
    if (state_.deleting) {
        publish("absent", "deleting the server");
        return ok_status();
    }
    HD_CHECK(use_directory(*engine));
    is_configured_ = state_.observed_generation > 0;
    if (state_.is_member) {
        const Status begun =
            state_.spec.running ? begin_member(/*is_asked_to_start=*/false) : ok_status();
        publish(state_.spec.running ? "starting" : "stopped", "");
        return begun;
    }
    if (postmaster_->is_ready()) {
        publish("running", "");
        HD_CHECK(renew_client_rules());
        return refresh();
    }
    publish(state_.spec.running ? "starting" : "stopped", "");
    return ok_status();
}

/// Makes the postmaster's object and takes over what runs.
Status Instance::use_directory(const InstalledEngine& engine) {
    HD_TRY(const auto user, os::ServerUsers::find(state_.os_user));
    runs_as_ = user.value_or(os::User{geteuid(), getegid()});
    postmaster_.emplace(postmaster_options(engine, user), clock_);
    if (postmaster_->adopt()) {
        log::info("adopted a running PostgreSQL",
                  {{"server", state_.spec.server_id}, {"pid", postmaster_->id()->pid}});
    }
    return ok_status();
}

Postmaster::Options Instance::postmaster_options(const InstalledEngine& engine,
                                                 std::optional<os::User> user) const {
    const os::Cgroups* cgroups = machine_.cgroups();
    return {engine.programs + "/postgres",
            paths_,
            std::move(user),
            cgroups == nullptr ? std::vector<std::string>{} : cgroups->join_files(group_name()),
            token_environment(machine_.layout()),
            is_scratch() ? std::optional(kScratchNice) : std::nullopt};
}

core::InstanceFacts Instance::facts() {
    find_postmaster();
    core::InstanceFacts facts;
    facts.has_directory = postmaster_.has_value() && os::exists(paths_.state());
    facts.is_running = postmaster_ && postmaster_->is_running();
    facts.is_ready = facts.is_running && postmaster_->is_ready();
    facts.wants_running = state_.spec.running;
    facts.wants_restore = wants_restore();
    facts.is_configured = is_configured_;
    facts.is_loaded = is_loaded_;
    facts.is_restart_due = is_restart_due();
    // A server without password logins may never have had one.
    facts.has_administrator = state_.spec.administrator_login.empty() ||
                              state_.password_version == state_.spec.password_version;
    facts.has_token_administrators =
        state_.are_token_administrators_known &&
        state_.token_administrators == state_.spec.token_administrators;
    facts.is_replica = state_.is_replica;
    facts.wants_promotion = state_.is_replica && !follows();
    add_member_facts(facts);
    return facts;
}

std::string Instance::restart_token(std::int64_t sequence) const {
    return fmt::format("{}/{}/{}", sequence, state_.spec.vcores, state_.spec.memory_mb);
}

/// Of two restarts the greater number is the later; an older one has been made, or was taken back.
bool Instance::is_restart_due() const {
    const std::vector<std::string> parts = split(state_.restart_token, '/');
    const auto made = parse_integer(parts.front(), 0, std::numeric_limits<std::int64_t>::max());
    if (!made.ok() || *made < state_.spec.restart_sequence) return true;
    return state_.restart_token != restart_token(*made);
}

Status Instance::ensure(const model::InstanceSpec& spec, model::Term term) {
    HD_CHECK(check_term(term));
    if (state_.deleting) return Error{ErrorCode::conflict, "the server is being deleted", "server"};
    if (spec.generation < state_.observed_generation) return ok_status();
    if (state_.observed_generation > 0 && !state_.previous) state_.previous = state_.spec;
    state_.spec = without_secrets(spec);
    verifier_ = spec.administrator_verifier;
    tls_pem_ = spec.tls.certificate_pem + spec.tls.key_pem;
    backup_key_ = spec.backup.key;
    if (spec.restore) restore_key_ = spec.restore->key;
    if (spec.restore) source_password_ = spec.restore->password;
    replica_password_ = spec.replica_password;
    is_configured_ = false;
    note_token_access();
    for (int i = 0; i < kStepsMax; ++i) {
        const core::InstanceStep next = core::next_step(facts());
        const bool is_done = next == core::InstanceStep::done;
        const Status status = is_done ? settle() : step(next);
        if (status.ok() && is_done) return status;
        if (status.ok()) continue;
        log::warn("a step of an instance failed", {{"server", spec.server_id},
                                                   {"step", core::to_string(next)},
                                                   {"reason", status.error().describe()}});
        undo();
        (void)refresh(status.error().message);
        return status.error().in(std::string(core::describe(next)));
    }
    return Error{ErrorCode::internal, "the instance does not settle: " +
                                          std::string(core::to_string(core::next_step(facts())))};
}

/// Everything is done: the spec is in force from the moment that this is on disk.
Status Instance::settle() {
    if (is_primary() && postmaster_->is_ready()) HD_CHECK(set_follower_role());
    if (is_pooled() && !(member_ && is_follower())) HD_CHECK(set_pooler_role());
    const model::InstanceState before = state_;
    state_.observed_generation = state_.spec.generation;
    state_.previous.reset();
    // What the primary has made comes by replication. Should this member become primary before, it
    // is told to make it again.
    if (member_ && is_follower()) {
        state_.password_version = 0;
        state_.token_administrators = state_.spec.token_administrators;
        state_.are_token_administrators_known = false;
        note_token_access();
    }
    if (Status saved = save(); !saved.ok()) {
        state_ = before;
        return saved;
    }
    const Status refreshed = refresh();
    if (!refreshed.ok()) {
        // No failure of what was asked for; tend() reads it again.
        log::warn("an instance could not be asked for its state",
                  {{"server", state_.spec.server_id}, {"reason", refreshed.error().describe()}});
        return ok_status();
    }
    note_parameters_in_force();
    (void)save();
    return ok_status();
}

/// After a failure: the spec before is in force again, also where PostgreSQL has read some of the
/// new one. What was restarted stays so, and a password is its own matter (set_administrator).
void Instance::undo() {
    const bool has_previous = state_.previous.has_value();
    fall_back_to_previous();
    if (os::exists(paths_.state())) (void)save();
    if (!has_previous || !postmaster_) return;
    if (!postmaster_->is_running()) return;  // tend() writes all before it starts it
    Status undone = apply_limits(state_.spec.memory_mb);
    if (undone.ok()) undone = write_configuration();
    if (undone.ok()) undone = postmaster_->reload();
    if (undone.ok()) return;
    log::error("a change that failed could not be undone",
               {{"server", state_.spec.server_id}, {"reason", undone.error().describe()}});
}

/// The last spec that was in force is again the one this instance is tended by.
void Instance::fall_back_to_previous() {
    if (!state_.previous) return;
    state_.spec = std::move(*state_.previous);
    state_.previous.reset();
    note_token_access();
}

Status Instance::step(core::InstanceStep step) {
    using core::InstanceStep;
    const auto say = [&](std::string_view state) { publish(state, core::describe(step)); };
    const bool runs = postmaster_ && postmaster_->is_running();
    switch (step) {
        case InstanceStep::claim:
            say("preparing");
            return claim();
        case InstanceStep::configure:
            say(runs ? "running" : "preparing");
            return configure();
        case InstanceStep::restore:
            say("preparing");
            return restore();
        case InstanceStep::start:
            say("starting");
            return start();
        case InstanceStep::stop:
            say("stopping");
            return stop();
        case InstanceStep::restart:
            return restart();
        case InstanceStep::load:
            say("running");
            return load_configuration();
        case InstanceStep::promote:
            return promote();
        case InstanceStep::administrator:
            say("running");
            return set_administrator();
        case InstanceStep::token_administrators:
            say("running");
            return set_token_administrators();
        case InstanceStep::join:
            say(runs ? "running" : "preparing");
            return join();
        case InstanceStep::leave:
            say("running");
            return leave();
        case InstanceStep::follow:
            say("starting");
            return follow();
        case InstanceStep::done:
            return ok_status();
    }
    return ok_status();
}

Status Instance::claim() {
    const InstalledEngine* engine = machine_.engine(state_.spec.major);
    if (engine == nullptr) {
        return Error{ErrorCode::not_supported,
                     "PostgreSQL " + state_.spec.major + " is not installed on this machine",
                     "version",
                     "install postgresql-" + state_.spec.major + ", or ask for another version"};
    }
    HD_CHECK(os::make_folders(machine_.layout().instances(), 0711));
    const bool is_copy = !state_.spec.member_hosts.empty() && !state_.spec.is_founder;
    const bool begins_empty = is_copy || wants_restore();
    HD_TRY(state_.os_user,
           begins_empty ? pool_.claim_empty(paths_.folder) : pool_.claim(*engine, paths_.folder));
    HD_FAILPOINT("agent.instance.claimed");
    HD_CHECK(use_directory(*engine));
    HD_CHECK(choose_port());
    state_.restart_token = restart_token(state_.spec.restart_sequence);
    return save();
}

Result<Instance::Files> Instance::render() const {
    const InstalledEngine* engine = machine_.engine(state_.spec.major);
    if (engine == nullptr)
        return Error{ErrorCode::not_supported, "PostgreSQL " + state_.spec.major + " is gone"};
    model::InstanceSpec spec = state_.spec;
    spec.token_administrators = token_administrators();
    const MachineOptions& options = machine_.options();
    std::vector<std::string> members;
    if (state_.is_member) members.push_back(options.member_address);
    std::vector<std::string> sources = {options.gateway_source};
    const auto others =
        options.neighbours ? options.neighbours->others() : std::vector<model::AgentNotice>();
    for (const model::AgentNotice& each : others) {
        if (state_.is_member) members.push_back(each.address);
        sources.push_back(each.gateway_source);
    }
    std::string restore_time;
    if (wants_restore() && !state_.spec.restore->time.empty()) {
        HD_TRY(const Timestamp target, parse_iso8601(state_.spec.restore->time));
        restore_time = postgres_time(target);
    }
    std::optional<RenderInput::Replica> replica;
    if (state_.is_replica) {
        replica.emplace();
        replica->primary_conninfo = upstream_conninfo();
        HD_TRY(replica->minimums, standby_minimums(engine->programs, paths_.data()));
    }
    const bool replays = wants_restore() || state_.is_replica;
    const RenderInput input{
        .spec = spec,
        .data_folder = paths_.data(),
        .config_folder = paths_.config(),
        .socket_folder = paths_.socket_folder,
        .log_folder = paths_.log(),
        .certificate_path = paths_.tls(),
        .key_path = paths_.tls(),
        .backend_port = static_cast<int>(state_.backend_port),
        .guard_path = machine_.guard_path(state_.spec.major),
        .libraries = engine->libraries,
        .agent_user = machine_.user_name(),
        .server_user = state_.os_user.empty() ? machine_.user_name() : state_.os_user,
        .takes_clients = !is_scratch(),
        .listen_address = options.neighbours ? options.member_address : "",
        .gateway_sources = unique(sources),
        .token_port = static_cast<int>(options.token_port),
        .member_addresses = unique(members),
        .archive_command = is_scratch() ? "" : archive_command("push %f # pgbackrest"),
        .restore_command = replays ? archive_command("get %f %p") : "",
        .restore_time = restore_time,
        .replica = std::move(replica)};
    return Files{postgresql_conf(input), pg_hba_conf(input), pg_ident_conf(input)};
}

/// As root: root's, for PostgreSQL only to read, so that a server that was broken into cannot
/// change its own configuration.
Result<std::optional<os::Owner>> Instance::file_owner() const {
    HD_TRY(const auto user, os::ServerUsers::find(state_.os_user));
    if (!user) return std::optional<os::Owner>();
    return std::optional<os::Owner>(os::Owner{0, user->gid});
}

/// Always the whole configuration, from the spec: it is also what mends files that a power loss
/// took, which is why nothing waits for the disk here.
Status Instance::write_configuration() {
    HD_TRY(const Files files, render());
    HD_TRY(const auto owner, file_owner());
    const mode_t mode = owner ? 0640 : 0600;
    const std::pair<const char*, const std::string*> all[] = {{"/postgresql.conf", &files.conf},
                                                              {"/pg_hba.conf", &files.hba},
                                                              {"/pg_ident.conf", &files.ident}};
    for (const auto& [name, content] : all) {
        const std::string path = paths_.config() + name;
        const auto present = os::read_file(path);
        if (present.ok() && *present == *content) continue;
        HD_CHECK(os::replace_file(path, *content, mode, owner));
    }
    return write_extension_scripts(paths_.config(), owner);
}

/// Cannot be made anew from what this machine knows, so it is synced.
Status Instance::write_tls() {
    const auto present = os::read_file(paths_.tls());
    if (tls_pem_.empty() || (present.ok() && *present == tls_pem_)) return ok_status();
    HD_TRY(const auto owner, file_owner());
    return owner ? os::write_file_atomic(paths_.tls(), tls_pem_, 0640, *owner)
                 : os::write_file_atomic(paths_.tls(), tls_pem_, 0600);
}

/// For a shell, and for PostgreSQL, which takes a % for one of its own. pgBackRest wants to see its
/// name in it.
std::string Instance::archive_command(std::string_view question) const {
    if (!machine_.keeps_backups()) return "";
    std::string paths;
    const Layout& layout = machine_.layout();
    for (const std::string& each : {layout.archive_program(), layout.archive_socket()})
        for (const char c : shell_quoted(each) + " ") paths += c == '%' ? "%%" : std::string(1, c);
    return fmt::format("{}{} {}", paths, incarnation_, question);
}

/// For this agent's pgBackRest alone.
Status Instance::write_backup_key() const {
    if (backup_key_.empty() || !machine_.keeps_backups()) return ok_status();
    if (os::read_file(paths_.backup_key(), 256).value_or("") == backup_key_) return ok_status();
    HD_CHECK(os::make_folders(paths_.backup(), 0700));
    return os::write_file_atomic(paths_.backup_key(), backup_key_, 0600);
}

/// The port stays the same for as long as it can.
Status Instance::choose_port() {
    const bool runs = postmaster_ && postmaster_->is_running();
    if (state_.backend_port != 0 && (runs || os::is_port_free(state_.backend_port)))
        return ok_status();
    // Two members of one server may share a machine.
    state_.backend_port = os::find_free_port(group_name(), os::kServerPorts);
    if (state_.backend_port == 0)
        return Error{ErrorCode::resource_exhausted, "no free port for PostgreSQL"};
    return ok_status();
}

Status Instance::configure() {
    HD_CHECK(open_sockets());
    // Memory is taken away only while PostgreSQL is down: what it has now may not fit any more.
    const std::int64_t before = state_.previous ? state_.previous->memory_mb : 0;
    const bool runs = postmaster_->is_running();
    HD_CHECK(apply_limits(runs ? std::max(before, state_.spec.memory_mb) : state_.spec.memory_mb));
    HD_CHECK(write_tls());
    HD_CHECK(write_backup_key());
    HD_CHECK(write_configuration());
    HD_FAILPOINT("agent.instance.configured");
    is_configured_ = true;
    is_loaded_ = false;
    return ok_status();
}

/// Two members of one server may share a machine, as agents of one home or, where machines are
/// containers that share a kernel, of two.
std::string Instance::group_name() const {
    std::string name = incarnation_ + machine_.layout().suffix;
    if (machine_.options().neighbours != nullptr)
        name += "-" + machine_.options().host_id.substr(0, 8);
    return name;
}

Status Instance::apply_limits(std::int64_t memory_mb, bool with_io) {
    const os::Cgroups* cgroups = machine_.cgroups();
    if (cgroups == nullptr) return ok_status();
    if (member_) with_io = with_io && view().report.state == "running";
    const std::lock_guard lock(limits_mutex_);
    limits_ = {.cpus = is_scratch() ? 1.0 : static_cast<double>(state_.spec.vcores),
               .memory_bytes = memory_mb << 20,
               .io_per_second = state_.spec.iops,
               .path = paths_.data()};
    return set_limits_locked(with_io);
}

/// REQUIRES: limits_ are set, and control groups are there.
Status Instance::set_limits_locked(bool with_io) {
    os::Limits now = *limits_;
    if (!with_io) now.io_per_second = 0;
    const Status applied = machine_.cgroups()->apply(group_name(), now);
    if (!applied.ok()) return applied.error().in("setting the limits of the SKU");
    return ok_status();
}

/// While PostgreSQL recovers it reads and writes as fast as the machine can: nobody is served yet,
/// and everybody waits. May be called by any thread.
void Instance::limit_io(bool is_limited) {
    const std::lock_guard lock(limits_mutex_);
    if (!limits_) return;
    const Status applied = set_limits_locked(is_limited);
    if (!applied.ok())
        log::warn("the limit of I/O cannot be set", {{"reason", applied.error().describe()}});
}

/// Asks PostgreSQL what it thinks of the files before it takes them.
Status Instance::check_files(pg::Connection& session) {
    HD_TRY(const auto refused, refused_settings(session));
    if (!refused.empty()) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("PostgreSQL refuses the value of '{}': {}", refused.front().first,
                                 refused.front().second),
                     refused.front().first, "Set another value."};
    }
    HD_TRY(const pg::Rows hba, session.query(kSelectHbaErrors));
    if (!hba.rows.empty()) {
        return Error{ErrorCode::internal,
                     fmt::format("PostgreSQL refuses line {} of pg_hba.conf: {}", hba.at(0, 0),
                                 hba.at(0, 1))};
    }
    return ok_status();
}

Status Instance::load_configuration() {
    // Its start, which is the member's matter, reads the files.
    if (member_ && is_follower() && !postmaster_->is_ready()) {
        if (postmaster_->is_running()) HD_CHECK(postmaster_->reload());
        is_loaded_ = true;
        return ok_status();
    }
    auto opened = connect(std::string(kMaintenanceDatabase));
    if (!opened.ok() && facts().is_restart_due) {
        // The restart reads the files too, and is what helps a server that lets nobody in.
        log::warn("PostgreSQL lets nobody in and is restarted",
                  {{"server", state_.spec.server_id}, {"reason", opened.error().describe()}});
        is_loaded_ = true;
        return ok_status();
    }
    const Status checked = opened.ok() ? check_files(*opened) : Status(opened.error());
    if (!checked.ok()) {
        // Before anybody makes PostgreSQL read them.
        fall_back_to_previous();
        (void)write_configuration();
        return checked;
    }
    pg::Connection& session = *opened;
    HD_TRY(const pg::Rows before, session.query(kSelectLoadTime));
    HD_CHECK(postmaster_->reload());
    const Instant deadline = clock_.now() + kReloadMax;
    for (;;) {
        // A new session has what the postmaster has; an old one may be late.
        HD_TRY(auto fresh, connect(std::string(kMaintenanceDatabase)));
        HD_TRY(const pg::Rows after, fresh.query(kSelectLoadTime));
        if (after.at(0, 0) != before.at(0, 0)) break;
        if (clock_.now() > deadline)
            return Error{ErrorCode::timeout, "PostgreSQL does not reload its configuration"};
        std::this_thread::sleep_for(kReloadPoll);
    }
    is_loaded_ = true;
    return ok_status();
}

/// Another version of Howdah may have written other rules, which the gateway no longer follows.
Status Instance::renew_client_rules() {
    HD_TRY(const Files files, render());
    const auto present = os::read_file(paths_.config() + "/pg_hba.conf");
    if (present.ok() && *present == files.hba) return ok_status();
    HD_CHECK(write_configuration());
    return postmaster_->reload();
}

Status Instance::start() {
    HD_CHECK(start_or_fall_back());
    HD_FAILPOINT("agent.instance.started");
    is_loaded_ = true;
    return ok_status();
}

/// If PostgreSQL does not start with a new configuration, it runs with the one before, and the
/// error says why.
Status Instance::start_or_fall_back() {
    if (postmaster_->is_running()) return postmaster_->start();  // it recovers
    HD_CHECK(choose_port());
    // Before the start: a new postmaster is what the restart that is due asks for, even if the
    // agent dies before it can say so.
    const std::int64_t sequence = state_.spec.restart_sequence;
    state_.restart_token = restart_token(sequence);
    const Status started = start_as_specified();
    if (started.ok() || started.error().code != ErrorCode::postgres) return started;
    while (put_back() && state_.spec.running) {
        log::warn(
            "PostgreSQL does not start with the new configuration; the one before is put back",
            {{"server", state_.spec.server_id}, {"reason", started.error().describe()}});
        // The restart is done; another size is not.
        state_.restart_token = restart_token(sequence);
        state_.restart_begun.clear();
        if (!start_as_specified().ok()) continue;
        return Error{
            ErrorCode::invalid_argument,
            "PostgreSQL does not start with the new parameters and runs with the ones before: " +
                started.error().message,
            "", "Set other values."};
    }
    return started;
}

Status Instance::start_as_specified() {
    // Without it the administrator could make itself a superuser.
    if (machine_.guard_path(state_.spec.major).empty())
        return Error{ErrorCode::unavailable,
                     fmt::format("the module howdah_guard-{}.so is missing, without which no "
                                 "server is started",
                                 state_.spec.major),
                     "",
                     fmt::format("build Howdah with the package postgresql-server-dev-{}, and "
                                 "look at the free space of {}",
                                 state_.spec.major, machine_.layout().root())};
    HD_CHECK(apply_limits(state_.spec.memory_mb, /*with_io=*/false));
    HD_CHECK(write_configuration());
    (void)os::remove_tree(paths_.start_log());
    HD_CHECK(save());
    HD_CHECK(postmaster_->start());
    limit_io(true);
    state_.parameters_in_force = state_.spec.parameters;
    return ok_status();
}

/// Makes the spec one that may start where this one does not: first the one before, then with the
/// values of the last PostgreSQL that came up, because the one before may have had some that only
/// waited for a restart. False: there is none.
bool Instance::put_back() {
    if (state_.previous) {
        fall_back_to_previous();
        return true;
    }
    const bool ever_ran = state_.observed_generation > 0;
    if (!ever_ran || state_.spec.parameters == state_.parameters_in_force) return false;
    state_.spec.parameters = state_.parameters_in_force;
    return true;
}

/// After a new configuration was loaded: all of it but what waits for a restart.
void Instance::note_parameters_in_force() {
    if (!postmaster_ || !postmaster_->is_running()) return;
    auto now = state_.spec.parameters;
    for (const std::string& name : view().report.pending_restart) {
        now.erase(name);
        const auto before = state_.parameters_in_force.find(name);
        if (before != state_.parameters_in_force.end()) now.insert(*before);
    }
    state_.parameters_in_force = std::move(now);
}

Status Instance::stop() {
    HD_FAILPOINT("agent.instance.before_stop");
    publish("stopping", core::describe(core::InstanceStep::stop));
    const bool was_begun = member_ != nullptr;
    end_member();
    find_postmaster();
    if (was_begun) shut_down_unfenced();
    HD_CHECK(postmaster_->stop());
    HD_FAILPOINT("agent.instance.after_stop");
    return ok_status();
}

/// What is written now need not be written while nobody is served. A failure only costs that.
void Instance::checkpoint() const {
    if (!is_primary() || !postmaster_->is_ready()) return;
    auto session = connect(std::string(kMaintenanceDatabase));
    const Status done =
        session.ok() ? session->execute("CHECKPOINT", kCheckpointMax) : Status(session.error());
    if (!done.ok())
        log::warn("the checkpoint before an end could not be made",
                  {{"server", state_.spec.server_id}, {"reason", done.error().describe()}});
}

/// A restart is done when another postmaster runs than the one that was there when it was begun:
/// written down before, so that a crash in between does not restart twice.
Status Instance::restart() {
    const std::string token = restart_token(state_.spec.restart_sequence);
    const PostmasterId current = postmaster_->id().value_or(PostmasterId{});
    const bool is_done = state_.restart_begun == token &&
                         current != PostmasterId{state_.restart_pid, state_.restart_ticks};
    if (is_done) {
        state_.restart_token = token;
        return save();
    }
    state_.restart_begun = token;
    state_.restart_pid = current.pid;
    state_.restart_ticks = current.start_ticks;
    HD_CHECK(save());
    checkpoint();
    publish("restarting", core::describe(core::InstanceStep::restart));
    if (is_pooled() && is_primary()) wait_for_pooler();
    HD_FAILPOINT("agent.instance.before_restart");
    if (member_) {
        HD_CHECK(restart_member());
    } else {
        HD_CHECK(postmaster_->stop());
        HD_CHECK(start());
    }
    HD_FAILPOINT("agent.instance.after_restart");
    return ok_status();
}

Status Instance::set_administrator() {
    const bool is_new = state_.observed_generation == 0;
    const std::int64_t before = state_.password_version;
    HD_TRY(auto session, connect(std::string(kMaintenanceDatabase)));
    HD_CHECK(quiet(session));
    // On disk before: whoever does not hear how it ended sets the password of its spec again.
    state_.password_version = 0;
    HD_CHECK(save());
    const Status changed = change(
        session, administrator_sql(state_.spec.administrator_login, verifier_), kAdministratorMax);
    if (!changed.ok()) {
        // PostgreSQL itself has said no, so nothing has changed.
        if (!session.is_broken()) state_.password_version = before;
        return changed;
    }
    if (is_new)
        HD_FAILPOINT("agent.instance.bootstrapped");
    else
        HD_FAILPOINT("agent.password.changed");
    // Written down with the generation: until then it is done again, which changes nothing.
    state_.password_version = state_.spec.password_version;
    return ok_status();
}

/// Their roles first, in one transaction, then their lines in pg_hba.conf: a name that a customer's
/// role has is refused before anything is changed.
Status Instance::set_token_administrators() {
    const auto before = state_.token_administrators;
    const auto& wanted = state_.spec.token_administrators;
    const bool was_known = state_.are_token_administrators_known;
    HD_TRY(auto session, connect(std::string(kMaintenanceDatabase)));
    HD_CHECK(quiet(session));
    // On disk before: whoever does not hear how it ended does it again.
    state_.are_token_administrators_known = false;
    HD_CHECK(save());
    std::vector<std::string> roles;
    for (const model::TokenAdministrator& each : wanted) roles.push_back(each.role);
    const Status changed = change(session, token_administrators_sql(roles), kAdministratorMax);
    if (!changed.ok()) {
        if (!session.is_broken()) state_.are_token_administrators_known = was_known;
        if (changed.error().target != kDuplicateObject) return changed;
        // Nothing that passes by itself.
        return Error{ErrorCode::invalid_argument, changed.error().message, "principalName",
                     "Drop or rename that role, or give the administrator another name."};
    }
    HD_FAILPOINT("agent.token_administrators.changed");
    std::vector<std::string> gone;
    for (const model::TokenAdministrator& each : before)
        if (std::find(wanted.begin(), wanted.end(), each) == wanted.end())
            gone.push_back(each.role);
    if (!gone.empty()) HD_CHECK(session.execute(end_sessions_sql(gone), kAdministratorMax));
    HD_CHECK(change(session, drop_token_roles_sql(), kAdministratorMax));
    state_.token_administrators = wanted;
    state_.are_token_administrators_known = true;
    note_token_access();
    HD_TRY(const Files files, render());
    if (os::read_file(paths_.config() + "/pg_hba.conf").value_or("") == files.hba)
        return ok_status();
    HD_CHECK(write_configuration());
    return load_configuration();
}

Status Instance::check_database_action(model::Term term) {
    HD_CHECK(check_term(term));
    if (state_.deleting) return Error{ErrorCode::conflict, "the server is being deleted", "server"};
    find_postmaster();
    if (!postmaster_ || !postmaster_->is_ready())
        return Error{ErrorCode::invalid_state, "the server is not running"};
    if (!is_primary())
        return Error{ErrorCode::unavailable, "another host has the primary of the server"};
    return ok_status();
}

Status Instance::create_database(const model::DatabaseSpec& database, model::Term term) {
    HD_CHECK(check_database_action(term));
    HD_TRY(auto session, connect(std::string(kMaintenanceDatabase)));
    HD_TRY(const pg::Rows present,
           session.query("SELECT pg_catalog.pg_encoding_to_char(encoding), datcollate "
                         "FROM pg_catalog.pg_database WHERE datname = $1",
                         {database.name}));
    if (!present.rows.empty()) {
        const bool same = iequals(present.at(0, 0), database.charset) &&
                          locale_key(present.at(0, 1)) == locale_key(database.collation);
        if (same) return refresh();
        return Error{ErrorCode::conflict,
                     fmt::format("database '{}' exists with charset {} and collation {}",
                                 database.name, present.at(0, 0), present.at(0, 1)),
                     "name", "choose another name, or delete the database first"};
    }
    HD_CHECK(change(session, create_database_sql(database), kDatabaseMax));
    HD_FAILPOINT("agent.database.created");
    return refresh();
}

Status Instance::drop_database(const model::DatabaseSpec& database, model::Term term) {
    HD_CHECK(check_database_action(term));
    for (const std::string_view reserved : kSystemDatabases) {
        if (database.name == reserved) {
            return Error{ErrorCode::invalid_argument,
                         fmt::format("database '{}' is the system's", database.name)};
        }
    }
    HD_TRY(auto session, connect(std::string(kMaintenanceDatabase)));
    HD_TRY(const pg::Rows present, session.query(kSelectIsTemplate, {database.name}));
    if (!present.rows.empty() && present.at(0, 0) == "t")
        HD_CHECK(change(session, no_template_sql(database.name), kDatabaseMax));
    const Status dropped = change(session, drop_database_sql(database.name), kDatabaseMax);
    if (!dropped.ok() && dropped.error().target == kObjectInUse) {
        Error error = dropped.error();
        error.hint =
            "End what uses it: prepared transactions (see pg_prepared_xacts) with ROLLBACK "
            "PREPARED "
            "or COMMIT PREPARED in that database, replication slots and subscriptions by dropping "
            "them.";
        return error;
    }
    HD_CHECK(dropped);
    HD_FAILPOINT("agent.database.dropped");
    return refresh();
}

Status Instance::remove(model::Term term) {
    if (const Status current = check_term(term); !current.ok()) {
        const std::lock_guard lock(mutex_);
        restore_stop_ = {};
        return current;
    }
    publish("stopping", "deleting the server");
    HD_FAILPOINT("agent.instance.before_delete");
    if (os::exists(paths_.state())) {
        state_.deleting = true;
        note_token_access();
        // On a full disk a copy must go without a word written.
        if (const Status saved = save(); !saved.ok() && !is_scratch()) return saved;
    }
    if (!postmaster_) {
        // Claimed and not begun, or half deleted: the folder knows whose it is.
        if (state_.os_user.empty())
            state_.os_user = os::read_file(paths_.folder + "/user", 64).value_or("");
        if (!os::ServerUsers::find(state_.os_user).ok()) state_.os_user.clear();
        HD_CHECK(use_directory({}));
    }
    const bool was_begun = member_ != nullptr;
    end_member();
    find_postmaster();
    if (was_begun) shut_down_unfenced();
    // What was committed until now is archived at its end: for a while it can be brought back.
    HD_CHECK(postmaster_->stop());
    if (const Status archived = archive_rest(); !archived.ok())
        log::error("a deleted server's last commits are not in the repository",
                   {{"server", state_.spec.server_id}, {"reason", archived.error().describe()}});
    if (!is_scratch()) HD_CHECK(note_gone());
    publish("absent", "deleting the server");
    const bool was_member = state_.is_member || state_.member_term > 0;
    if (was_member) HD_CHECK(remove_member());
    postmaster_->remove_shared_memory();
    HD_CHECK(os::remove_tree(paths_.data()));
    HD_FAILPOINT("agent.instance.half_deleted");
    HD_CHECK(os::remove_tree(paths_.socket_folder));
    if (const os::Cgroups* cgroups = machine_.cgroups(); cgroups != nullptr) {
        HD_CHECK(cgroups->remove(group_name()));
    }
    HD_CHECK(os::ServerUsers::remove(state_.os_user));
    return os::remove_tree(paths_.folder);
}

model::InstanceSpec Instance::spec() const {
    const std::lock_guard lock(mutex_);
    return base_.spec;
}

Status Instance::tend() {
    if (state_.deleting || !postmaster_) return ok_status();
    if (state_.observed_generation == 0) return ok_status();
    prune();
    let_pooler_in();
    if (state_.is_member) return tend_member();
    if (postmaster_->is_ready()) HD_CHECK(renew_client_rules());
    if (state_.is_replica && postmaster_->is_ready()) HD_CHECK(tend_replica());
    if (postmaster_->is_ready() || (!state_.spec.running && !postmaster_->is_running()))
        return refresh();
    if (!state_.spec.running) return stop();
    if (!postmaster_->is_running())
        log::warn("PostgreSQL is not running and is started", {{"server", state_.spec.server_id}});
    publish("starting", "PostgreSQL had ended and is started again");
    const Status started = start();
    if (!started.ok() && !postmaster_->is_ready()) {
        publish("failed", started.error().message);
        return started;
    }
    return refresh(started.ok() ? "" : started.error().message);
}

/// Removes log files that are too old or too many.
void Instance::prune() {
    const int days = core::log_retention_days(state_.spec.parameters);
    const Status pruned =
        prune_logs(paths_.log(), {.oldest = clock_.wall() - std::chrono::hours(24 * days)});
    if (!pruned.ok())
        log::warn("old logs cannot be removed", {{"reason", pruned.error().describe()}});
}

/// The list of log files, if it is offered. Sizes alone are news once a minute only: each report
/// that changes is stored.
void Instance::note_logs() {
    const bool is_offered = core::offers_logs(state_.spec.parameters);
    std::vector<model::LogFile> files;
    if (is_offered) {
        auto listed = list_logs(paths_.log());
        if (!listed.ok()) {
            log::warn("the logs cannot be listed", {{"reason", listed.error().describe()}});
            return;
        }
        files = std::move(*listed);
    }
    const Instant now = clock_.now();
    const auto same_name = [](const auto& a, const auto& b) { return a.name == b.name; };
    const std::lock_guard lock(mutex_);
    view_.log_folder = is_offered ? paths_.log() : "";
    const auto& known = view_.report.logs;
    const bool are_same =
        std::equal(known.begin(), known.end(), files.begin(), files.end(), same_name);
    if (are_same && now < logs_noted_ + kLogSizesEvery) return;
    view_.report.logs = std::move(files);
    logs_noted_ = now;
}

/// Reads what PostgreSQL says of itself and publishes it. `detail`: why it is not as asked for.
Status Instance::refresh(std::string_view detail) {
    note_logs();
    if (!postmaster_ || !postmaster_->is_running()) {
        publish(state_.spec.running ? "failed" : "stopped", detail);
        return ok_status();
    }
    auto session = connect(std::string(kMaintenanceDatabase));
    if (session.ok() && (is_primary() || state_.is_replica)) HD_CHECK(read_facts(*session));
    publish(postmaster_->is_ready() ? "running" : "starting", detail);
    return session.ok() ? ok_status() : Status(session.error());
}

Status Instance::read_facts(pg::Connection& session) {
    HD_TRY(const pg::Rows version, session.query("SHOW server_version"));
    state_.minor_version = split(version.at(0, 0), ' ').front();
    HD_TRY(const pg::Rows databases, session.query(kSelectDatabases));
    HD_TRY(const pg::Rows pending, session.query(kSelectPending));
    const std::lock_guard lock(mutex_);
    view_.report.databases.clear();
    for (const pg::Row& row : databases.rows) {
        view_.report.databases.push_back(
            {row[0].value_or(""), row[1].value_or(""), row[2].value_or("")});
    }
    view_.report.pending_restart.clear();
    for (const pg::Row& row : pending.rows)
        if (row[0] != kArchiveMode) view_.report.pending_restart.push_back(row[0].value_or(""));
    return ok_status();
}

}  // namespace howdah::agent
