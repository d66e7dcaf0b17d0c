#include "agent/ha/member_postgres.h"

#include <fmt/core.h>
#include <signal.h>

#include <algorithm>

#include "base/log.h"
#include "base/text.h"

namespace howdah::agent {
namespace {

using core::format_lsn;
using core::Lsn;
using core::parse_lsn;
using core::ha::Postgres;

/// CASE keeps the functions of one role from being asked in the other.
constexpr std::string_view kLook =
    "SELECT r, "
    "CASE WHEN r THEN greatest(coalesce(pg_catalog.pg_last_wal_receive_lsn(), '0/0'), "
    "coalesce(pg_catalog.pg_last_wal_replay_lsn(), '0/0')) "
    "ELSE pg_catalog.pg_current_wal_insert_lsn() END, "
    "CASE WHEN r THEN '0/0' ELSE pg_catalog.pg_current_wal_flush_lsn() END, "
    "CASE WHEN r THEN pg_catalog.pg_is_wal_replay_paused() ELSE false END, "
    "coalesce((SELECT pid FROM pg_catalog.pg_stat_wal_receiver), 0), "
    "pg_catalog.current_setting('synchronous_standby_names') "
    "FROM pg_catalog.pg_is_in_recovery() AS r";
/// Others that stream under such a name are impostors (RULES HA 15).
constexpr std::string_view kSenders =
    "SELECT application_name, coalesce(flush_lsn, '0/0'), sync_priority > 0 "
    "FROM pg_catalog.pg_stat_replication WHERE state = 'streaming' AND usename = $1";
constexpr std::string_view kEnd = "SELECT pg_catalog.pg_current_wal_insert_lsn()";
constexpr std::string_view kNewData = "/data.new";
constexpr std::string_view kOldData = "/data.old";
constexpr std::string_view kHistory = ".history";

std::string conf_line(std::string_view name, std::string_view value) {
    std::string quoted;
    for (const char c : value)
        quoted += c == '\'' || c == '\\' ? std::string(2, c) : std::string(1, c);
    return fmt::format("{} = '{}'\n", name, quoted);
}

/// A value of a connection string.
std::string conninfo_quote(std::string_view value) {
    std::string quoted = "'";
    for (const char c : value) {
        if (c == '\'' || c == '\\') quoted += '\\';
        quoted += c;
    }
    return quoted + "'";
}

std::optional<std::int64_t> history_number(std::string_view name) {
    if (name.size() != 8 + kHistory.size() || !name.ends_with(kHistory)) return std::nullopt;
    const auto lsn = parse_lsn("0/" + std::string(name.substr(0, 8)));
    return lsn.ok() ? std::optional(static_cast<std::int64_t>(*lsn)) : std::nullopt;
}

/// pg_basebackup marks what it received as archived. Whether it is, the repository says (RULES
/// Backup 1).
Status offer_for_archive(const std::string& data) {
    constexpr std::string_view kDone = ".done";
    const std::string folder = data + "/pg_wal/archive_status/";
    HD_TRY(const auto names, os::list_folder(folder));
    for (const std::string& name : names) {
        if (!name.ends_with(kDone)) continue;
        const std::string segment = name.substr(0, name.size() - kDone.size());
        HD_CHECK(os::rename_synced(folder + name, folder + segment + ".ready"));
    }
    return ok_status();
}

}  // namespace

std::string replication_conninfo(const MemberAddress& address, std::string_view role,
                                 const std::string& pass_file) {
    return fmt::format(
        "host={} port={} user={} passfile={} sslmode=require connect_timeout=2 "
        "keepalives_idle=2 keepalives_interval=1 keepalives_count=3 tcp_user_timeout=5000",
        address.host, address.port, role, conninfo_quote(pass_file));
}

std::string ha_conf(const HaSettings& settings) {
    // Nothing that only a restart changes: joining and leaving do without. hot_standby and
    // recovery_target_timeline have what is needed by default.
    std::string text = "# Written by howdah-agent; changes are lost.\n";
    // A crash that PostgreSQL recovers from by itself would show what no standby has yet.
    text += conf_line("restart_after_crash", "off");
    text += conf_line("synchronous_standby_names", synchronous_names(settings.sync_names));
    text += conf_line("restore_command", "");
    text += conf_line("max_standby_streaming_delay", "1s");
    text += conf_line("wal_receiver_status_interval", "1s");
    // A standby that is to be promoted just as its stream ends sleeps for as long first.
    text += conf_line("wal_retrieve_retry_interval", "20ms");
    text += conf_line("wal_sender_timeout", "5s");
    text += conf_line("wal_receiver_timeout", "5s");
    text += conf_line("wal_keep_size", "512MB");
    std::string from;
    if (settings.upstream) {
        from =
            replication_conninfo(settings.upstream->address, kReplicationRole, settings.pass_file) +
            " application_name=" + conninfo_quote(replication_name(settings.self));
    }
    text += conf_line("primary_conninfo", from);
    return text;
}

// ---------------------------------------------------------------------------------------------
// Looking

MemberPostgres::Facts MemberPostgres::look() {
    Facts facts;
    if (!os::exists(paths().data() + "/PG_VERSION")) return facts;
    if (!postmaster_.is_running()) (void)postmaster_.adopt();
    if (!postmaster_.is_running()) {
        session_.reset();
        facts.postgres = Postgres::stopped;
        return facts;
    }
    facts.run = *postmaster_.id();
    facts.postgres = Postgres::starting;
    const std::string state = postmaster_.state();
    facts.is_ready = state == "ready";
    facts.is_stopping = state == "stopping";
    if (!facts.is_ready) return facts;
    if (session_ && (session_->is_broken() || !(session_run_ == facts.run))) session_.reset();
    if (!session_) {
        auto opened = pg::Connection::open({.host = paths().socket_folder,
                                            .port = options_.port,
                                            .database = std::string(kMaintenanceDatabase),
                                            .user = std::string(kSuperuser),
                                            .application_name = "howdah-ha",
                                            .timeout = kLookMax});
        if (opened.ok()) {
            session_ = std::move(*opened);
            session_run_ = facts.run;
        }
    }
    facts.answers = !is_stopped_by_signal() && session_ && ask(facts);
    // Without an answer nobody knows which of the two it is; what was known last is for the caller.
    return facts;
}

bool MemberPostgres::ask(Facts& facts) {
    const auto rows = session_->query(kLook, {}, kLookMax);
    if (!rows.ok()) return false;
    const auto end = parse_lsn(rows->at(0, 1));
    const auto flushed = parse_lsn(rows->at(0, 2));
    if (!end.ok() || !flushed.ok()) return false;
    const bool recovers = rows->at(0, 0) == "t";
    facts.postgres = recovers ? Postgres::standby : Postgres::primary;
    facts.end = *end;
    facts.flushed = *flushed;
    facts.replay_is_paused = rows->at(0, 3) == "t";
    facts.receiver_pid = static_cast<int>(parse_integer(rows->at(0, 4), 0, 1 << 30).value_or(0));
    facts.sync_names = rows->at(0, 5);
    if (recovers) return true;
    const auto senders = session_->query(kSenders, {std::string(kReplicationRole)}, kLookMax);
    if (!senders.ok()) return false;
    for (std::size_t i = 0; i < senders->rows.size(); ++i) {
        const auto id = member_of(senders->at(i, 0));
        const auto at = parse_lsn(senders->at(i, 1));
        if (id && at.ok()) facts.senders.push_back({*id, *at, senders->at(i, 2) == "t"});
    }
    return true;
}

/// Sessions that are open go on while a stopped postmaster lets nobody in.
bool MemberPostgres::is_stopped_by_signal() const {
    const auto text = os::read_file(fmt::format("/proc/{}/stat", postmaster_.id()->pid), 4096);
    if (!text.ok()) return false;
    // "pid (name) S ...": the name may hold anything.
    const std::size_t name_end = text->rfind(')');
    return name_end != std::string::npos && name_end + 2 < text->size() &&
           (*text)[name_end + 2] == 'T';
}

// ---------------------------------------------------------------------------------------------
// Acting

std::optional<os::Owner> MemberPostgres::data_owner() const {
    const auto& user = options_.postmaster.user;
    return user ? std::optional(os::Owner{user->uid, user->gid}) : std::nullopt;
}

/// Synced: what must not be lost is whom commits wait for.
Status MemberPostgres::write_conf(const HaSettings& settings) {
    const std::string path = paths().config() + "/" + std::string(kHaConf);
    const std::string text = ha_conf(settings);
    const auto present = os::read_file(path);
    if (present.ok() && *present == text) return ok_status();
    return options_.config_owner ? os::write_file_atomic(path, text, 0640, *options_.config_owner)
                                 : os::write_file_atomic(path, text, 0600);
}

Status MemberPostgres::mark_standby() {
    const std::string path = paths().data() + "/standby.signal";
    if (os::exists(path)) return ok_status();
    const auto owner = data_owner();
    return owner ? os::write_file_atomic(path, "", 0600, *owner)
                 : os::write_file_atomic(path, "", 0600);
}

Status MemberPostgres::start(const HaSettings& settings, bool as_primary) {
    session_.reset();
    HD_CHECK(postmaster_.kill());
    HD_CHECK(write_conf(settings));
    HD_CHECK(as_primary ? os::remove_tree(paths().data() + "/standby.signal") : mark_standby());
    (void)os::remove_tree(paths().start_log());
    return postmaster_.launch();
}

Status MemberPostgres::configure(const HaSettings& settings) {
    HD_CHECK(write_conf(settings));
    return postmaster_.reload();
}

/// pg_ctl and pg_promote() do the same, and then look only every 100 ms.
Status MemberPostgres::promote() {
    HD_CHECK(os::replace_file(paths().data() + "/promote", "", 0600, data_owner()));
    return postmaster_.signal(SIGUSR1);
}

Status MemberPostgres::end_receiver(int pid) {
    if (!session_) return Error{ErrorCode::unavailable, "PostgreSQL does not answer"};
    const auto ended = session_->query("SELECT pg_catalog.pg_terminate_backend($1)",
                                       {std::to_string(pid)}, kLookMax);
    return ended.ok() ? ok_status() : Status(ended.error());
}

Status MemberPostgres::stop_now() {
    session_.reset();
    return postmaster_.kill();
}

Status MemberPostgres::begin_clean_stop() {
    session_.reset();
    return postmaster_.signal(SIGINT);
}

Result<Lsn> MemberPostgres::prove_wait(std::stop_token stop) const {
    HD_TRY(auto session, postmaster_.connect(std::string(kMaintenanceDatabase), options_.port));
    HD_CHECK(session.execute("CHECKPOINT", kCheckpointMax, {.stop = std::move(stop)}));
    HD_TRY(const pg::Rows rows, session.query(kEnd));
    return parse_lsn(rows.at(0, 0));
}

Status MemberPostgres::clone(const MemberAddress& from, bool was_primary,
                             std::stop_token stop) const {
    const std::string& folder = paths().folder;
    const std::string fresh = folder + std::string(kNewData);
    HD_CHECK(os::remove_tree(fresh));
    HD_CHECK(os::make_folders(fresh, 0700));
    if (const auto owner = data_owner()) HD_CHECK(os::change_owner(fresh, *owner));
    HD_TRY(const os::Finished copied,
           os::run({.arguments = {options_.programs + "/pg_basebackup", "--pgdata=" + fresh,
                                  "--dbname=" + replication_conninfo(from, kReplicationRole,
                                                                     options_.pass_file),
                                  "--wal-method=stream", "--checkpoint=fast", "--no-password"},
                    .folder = folder,
                    .user = options_.postmaster.user,
                    .timeout = kCloneMax,
                    .stop = std::move(stop)}));
    if (!copied.succeeded())
        return Error{ErrorCode::postgres, "copying the primary failed: " + copied.describe()};
    HD_CHECK(offer_for_archive(fresh));
    const std::string old = folder + std::string(kOldData);
    if (os::exists(old) && !was_primary) {
        HD_CHECK(os::remove_tree(paths().data()));
    } else {
        HD_CHECK(os::remove_tree(old));
        if (os::exists(paths().data())) HD_CHECK(os::rename_synced(paths().data(), old));
    }
    return os::rename_synced(fresh, paths().data());
}

std::string MemberPostgres::old_folder() const { return paths().folder + std::string(kOldData); }

bool MemberPostgres::has_old() const { return os::exists(paths().folder + std::string(kOldData)); }

Status MemberPostgres::remove_old() const {
    return os::remove_tree(paths().folder + std::string(kOldData));
}

// ---------------------------------------------------------------------------------------------
// What the directory tells

/// pg_waldump ends with an error where the WAL ends; what it counted until there stands before.
std::optional<std::int64_t> MemberPostgres::bytes_since(std::int64_t timeline, Lsn from,
                                                        std::stop_token stop) const {
    const auto shown = os::run(
        {.arguments = {options_.programs + "/pg_waldump", "--path=" + paths().data() + "/pg_wal",
                       fmt::format("--timeline={}", timeline), "--start=" + format_lsn(from),
                       "--stats"},
         .environment = {"LC_ALL=C"},
         .user = options_.postmaster.user,
         .timeout = kWalDumpMax,
         .stop = std::move(stop)});
    if (!shown.ok()) return std::nullopt;
    return wal_bytes_counted(shown->output, shown->error_output, from);
}

std::int64_t MemberPostgres::newest_timeline() const {
    std::int64_t newest = 0;
    for (const std::string& name : os::list_folder(paths().data() + "/pg_wal").value_or({}))
        newest = std::max(newest, history_number(name).value_or(0));
    return newest;
}

Result<HistoryLine> MemberPostgres::newest_switch() const {
    const std::int64_t newest = newest_timeline();
    if (newest == 0) return HistoryLine{};
    HD_TRY(const std::string text,
           os::read_file(fmt::format("{}/pg_wal/{:08X}{}", paths().data(), newest, kHistory)));
    HD_TRY(HistoryLine line, last_history_line(text));
    line.timeline = newest;
    return line;
}

std::optional<Lsn> MemberPostgres::shutdown_checkpoint() const {
    const auto shown =
        os::run({.arguments = {options_.programs + "/pg_controldata", paths().data()},
                 .environment = {"LC_ALL=C"},
                 .user = options_.postmaster.user});
    if (!shown.ok() || !shown->succeeded()) return std::nullopt;
    std::string state;
    std::optional<Lsn> at;
    for (const std::string& line : split(shown->output, '\n')) {
        const std::size_t colon = line.find(':');
        if (colon == std::string::npos) continue;
        const std::string_view name = std::string_view(line).substr(0, colon);
        const std::string_view value = trim(std::string_view(line).substr(colon + 1));
        if (name == "Database cluster state") state = value;
        if (name == "Latest checkpoint location") {
            const auto lsn = parse_lsn(value);
            if (lsn.ok()) at = *lsn;
        }
    }
    // A standby's clean end is "shut down in recovery", which says nothing of its own WAL.
    return state == "shut down" ? at : std::nullopt;
}

}  // namespace howdah::agent
