#include <fmt/core.h>

#include <thread>
#include <utility>

#include "agent/instance.h"
#include "base/log.h"

// A server whose data comes from another one's backups. Each step can be broken off and is begun
// again: the copy as a whole, the recovery where PostgreSQL goes on by itself.

namespace howdah::agent {
namespace {

constexpr Duration kRecoveryMax = std::chrono::hours(3 * 24);
/// The heartbeat and the forced segment of an idle server come within five (RULES, Backup 3).
constexpr Duration kArchivedMax = std::chrono::minutes(6);
constexpr Duration kArchivedPoll = std::chrono::milliseconds(500);
constexpr Duration kRecoveryPoll = std::chrono::milliseconds(100);
/// How long a deletion waits for a repository that takes nothing, and in all.
constexpr Duration kRestPauseMax = std::chrono::minutes(1);
constexpr Duration kRestMax = std::chrono::hours(1);
constexpr std::size_t kLogBytesMax = 8U << 20;

/// The message of the last line of the newest log that says why PostgreSQL ended; empty: none does.
std::string last_fatal(const std::string& log_folder) {
    const auto names = os::list_folder(log_folder);
    if (!names.ok()) return "";
    // The names are in the order of time.
    std::string newest;
    for (const std::string& each : *names)
        if (each.starts_with("postgresql-") && !each.ends_with(".log")) newest = each;
    const std::string text = os::read_file(log_folder + "/" + newest, kLogBytesMax).value_or("");
    const std::size_t fatal = text.rfind("\"FATAL\"");
    constexpr std::string_view kMessage = "\"message\":\"";
    const std::size_t begin = fatal == std::string::npos ? fatal : text.find(kMessage, fatal);
    if (begin == std::string::npos) return "";
    const std::size_t at = begin + kMessage.size();
    return text.substr(at, text.find('"', at) - at);
}

RepositoryNotes notes_of(const Machine& machine) {
    return {machine.options().repository, machine.layout().repository_notes()};
}

}  // namespace

/// Only before the server is there for the first time: the spec goes on saying where it came from.
/// A standby is copied from its primary, and never restored, also when it has become the primary.
bool Instance::wants_restore() const {
    const bool is_copy = !state_.spec.member_hosts.empty() && !state_.spec.is_founder;
    const bool is_new = state_.observed_generation == 0 && !state_.is_member;
    return state_.spec.restore && is_new && !is_copy && !state_.is_restored;
}

void Instance::break_off() {
    const std::lock_guard lock(mutex_);
    restore_stop_.request_stop();
}

std::stop_token Instance::restore_stop() const {
    const std::lock_guard lock(mutex_);
    return restore_stop_.get_token();
}

Status Instance::check_wanted() const {
    if (!restore_stop().stop_requested()) return ok_status();
    return Error{ErrorCode::cancelled, "the server is to be deleted"};
}

Status Instance::restore() {
    HD_CHECK(restore_data());
    if (follows()) {
        HD_CHECK(mark_replica());
        (void)note_upstream();
    }
    HD_CHECK(recover());
    if (follows()) {
        state_.is_restored = true;
        return save();
    }
    // It is started again without what was only for the recovery.
    HD_CHECK(postmaster_->stop());
    state_.is_restored = true;
    HD_CHECK(save());
    (void)os::remove_tree(restore_folder(paths_.backup()));
    return write_configuration();
}

Result<PgBackRest> Instance::source_of_restore() const {
    if (!machine_.keeps_backups())
        return Error{ErrorCode::not_supported, "no backups are kept on this machine"};
    HD_CHECK(notes_of(machine_).configure());
    PgBackRest source({.program = std::string(kPgBackRest),
                       .stanza = state_.spec.restore->source_incarnation,
                       .repository = machine_.options().repository,
                       .key = Secret(restore_key_),
                       .folder = restore_folder(paths_.backup()),
                       .data = paths_.data(),
                       .socket_folder = paths_.socket_folder,
                       .port = static_cast<int>(state_.backend_port),
                       .user = std::string(kSuperuser),
                       .backup_nice = is_scratch() ? kScratchNice : 0});
    HD_CHECK(os::make_folders(paths_.backup(), 0700));
    HD_CHECK(source.configure());
    return source;
}

/// Everything that the repository of a deleted server has.
Result<core::backup::Backup> Instance::newest_backup(const PgBackRest& source) const {
    HD_TRY(auto repository, source.list());
    HD_TRY(const auto kept, notes_of(machine_).kept(state_.spec.restore->source_incarnation));
    repository.marks = marks_of(kept);
    // Marks do not matter to a recovery without a target, but a gap does.
    const auto* const at_the_end = core::backup::backup_for_the_end(repository);
    if (at_the_end != nullptr) return *at_the_end;
    HD_TRY(const auto* newest, core::backup::backup_before(repository, clock_.wall()));
    return *newest;
}

/// For a read replica: a server that was made a moment ago is about to have one.
Result<core::backup::Backup> Instance::first_backup(const PgBackRest& source) const {
    const Instant deadline = clock_.now() + kArchivedMax;
    for (;;) {
        HD_CHECK(check_wanted());
        auto newest = newest_backup(source);
        if (newest.ok() || clock_.now() >= deadline) return newest;
        std::this_thread::sleep_for(kArchivedPoll);
    }
}

/// The newest one from which the time can be reached. A time of a moment ago is waited for: whoever
/// has the source is asked to have its WAL archived.
Result<core::backup::Backup> Instance::backup_to_restore(const PgBackRest& source,
                                                         Timestamp target) const {
    const RepositoryNotes notes = notes_of(machine_);
    const std::string& stanza = state_.spec.restore->source_incarnation;
    const Instant deadline = clock_.now() + kArchivedMax;
    bool is_asked = false;
    for (;;) {
        HD_CHECK(check_wanted());
        HD_TRY(auto repository, source.list());
        HD_TRY(const auto kept, notes.kept(stanza));
        repository.marks = marks_of(kept);
        const auto found = core::backup::backup_for(repository, target);
        if (found.ok()) return **found;
        const auto spans = core::backup::restorable(repository);
        if (!spans.empty() && spans.back().to >= target) return found.error();
        // Marks may be lost; PostgreSQL finds out whether the time is reached.
        if (clock_.now() >= deadline) {
            HD_TRY(const auto* before, core::backup::backup_before(repository, target));
            return *before;
        }
        if (!std::exchange(is_asked, true)) HD_CHECK(notes.ask_for_mark(stanza));
        std::this_thread::sleep_for(kArchivedPoll);
    }
}

/// What was broken off is begun anew: a mark beside the data says that it is whole, and of which
/// backup.
Status Instance::restore_data() {
    const std::string mark = paths_.backup() + "/restored";
    if (os::exists(mark)) return ok_status();
    HD_TRY(const PgBackRest source, source_of_restore());
    const std::string& time = state_.spec.restore->time;
    std::optional<Timestamp> target;
    if (!time.empty()) {
        HD_TRY(target, parse_iso8601(time));
    }
    HD_TRY(const core::backup::Backup backup, target      ? backup_to_restore(source, *target)
                                              : follows() ? first_backup(source)
                                                          : newest_backup(source));
    HD_CHECK(postmaster_->stop());
    HD_CHECK(os::remove_tree(paths_.data()));
    HD_CHECK(os::make_folders(paths_.data(), 0700));
    log::info("a server is restored", {{"server", state_.spec.server_id},
                                       {"source", state_.spec.restore->source_id},
                                       {"backup", backup.label},
                                       {"time", time}});
    publish("preparing",
            fmt::format("restoring {:.1f} GB from the backup of {}",
                        static_cast<double>(backup.bytes) / 1e9, format_iso8601(backup.stopped)));
    const Status restored = source.restore(backup.label, target, paths_.data(), "", restore_stop());
    if (!restored.ok()) {
        Error error = restored.error().in("the backup " + backup.label);
        error.hint = "ask for a time before " + format_iso8601(backup.started) +
                     ", or behind the end of a newer backup";
        return error;
    }
    HD_TRY(const auto user, os::ServerUsers::find(state_.os_user));
    if (user) HD_CHECK(os::change_owner_tree(paths_.data(), user->uid, user->gid));
    HD_CHECK(os::sync_tree(paths_.data()));
    return os::write_file_atomic(mark, backup.label);
}

/// PostgreSQL replays what was committed up to the time, and begins a timeline of its own.
Status Instance::recover() {
    publish("preparing",
            state_.spec.restore->time.empty()
                ? "replaying what was committed"
                : fmt::format("replaying what was committed until {}", state_.spec.restore->time));
    HD_CHECK(write_configuration());
    const Instant deadline = clock_.now() + kRecoveryMax;
    Status started = postmaster_->start(restore_stop());
    while (!started.ok() && started.error().code == ErrorCode::timeout &&
           postmaster_->is_running() && clock_.now() < deadline) {
        HD_CHECK(check_wanted());
        std::this_thread::sleep_for(kRecoveryPoll);
        if (postmaster_->is_ready()) return ok_status();
    }
    if (started.ok() || postmaster_->is_running()) return started;
    const std::string why = last_fatal(paths_.log());
    if (why.empty()) return started;
    return Error{ErrorCode::postgres, "PostgreSQL could not recover: " + why};
}

// ---------------------------------------------------------------------------------------------
// What a deleted server leaves

/// PostgreSQL's archiver gives up when it is ended, and was maybe killed: what it has left is what
/// the server is to be brought back with.
Status Instance::archive_rest() const {
    const std::string status_folder = paths_.data() + "/pg_wal/archive_status/";
    std::vector<std::string> left = waiting_for_archive(paths_.data());
    if (!machine_.keeps_backups() || left.empty()) return ok_status();
    const PgBackRest own(
        {.program = std::string(kPgBackRest), .stanza = incarnation_, .folder = paths_.backup()});
    // A server without a backup cannot be brought back.
    if (!os::exists(own.stanza_note_path())) return ok_status();
    const Instant last = clock_.now() + kRestMax;
    Instant give_up = clock_.now() + kRestPauseMax;
    while (!left.empty()) {
        const Status pushed = own.push(paths_.data() + "/pg_wal/" + left.front());
        if (pushed.ok()) {
            HD_CHECK(os::remove_tree(status_folder + left.front() + ".ready"));
            left.erase(left.begin());
            give_up = clock_.now() + kRestPauseMax;
            continue;
        }
        if (clock_.now() >= std::min(give_up, last))
            return pushed.error().in(fmt::format("{} segments of WAL are left", left.size()));
        std::this_thread::sleep_for(kArchivedPoll);
    }
    return ok_status();
}

/// The keeper marks it in the repository, so that its time runs: also if this agent is killed now.
Status Instance::note_gone() const {
    if (!os::exists(paths_.backup())) return ok_status();
    HD_CHECK(os::make_folders(machine_.layout().gone(), 0700));
    return os::write_file_atomic(machine_.layout().gone() + "/" + incarnation_, "");
}

}  // namespace howdah::agent
