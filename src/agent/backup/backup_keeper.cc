#include "agent/backup/backup_keeper.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <iterator>
#include <list>
#include <set>
#include <system_error>
#include <thread>

#include "agent/backup/pgbackrest.h"
#include "agent/config/render.h"
#include "base/log.h"
#include "base/text.h"
#include "core/lsn.h"
#include "os/file.h"
#include "pg/connection.h"

namespace howdah::agent {

using core::backup::Backup;
using core::backup::Kind;
using core::backup::Policy;
using core::backup::Repository;

namespace {

constexpr Duration kBehindBackupMax = std::chrono::milliseconds(1100);
constexpr Duration kRunPoll = std::chrono::milliseconds(250);
/// Its commit record has a time that is later than this one. The session waits for no standby: the
/// record is only to be there.
constexpr std::string_view kBeat =
    "SELECT pg_catalog.floor(pg_catalog.date_part('epoch', pg_catalog.now()) * 1000)::int8 - 1, "
    "pg_catalog.txid_current()";
constexpr std::string_view kPosition = "SELECT pg_catalog.pg_current_wal_insert_lsn()";
constexpr std::string_view kOnlyAfterRestart =
    "WAL is kept from the next restart of the server on; until then there are no backups.";

std::string_view kind_text(Kind kind) { return kind == Kind::full ? "full" : "differential"; }

model::BackupEntry entry_of(const Backup& backup) {
    const bool is_on_demand = !backup.on_demand.empty();
    return {.name = is_on_demand ? backup.on_demand : "backup_" + backup.label,
            .kind = std::string(kind_text(backup.kind)),
            .on_demand = is_on_demand,
            .started_at = format_iso8601(backup.started),
            .completed_at = format_iso8601(backup.stopped),
            .bytes = backup.bytes,
            .repository_bytes = backup.repository_bytes};
}

core::backup::Failures failures_of(const model::KeptBackups& kept) {
    const auto last = parse_iso8601(kept.failed_at);
    return {kept.failures, last.ok() ? *last : Timestamp{}};
}

template <typename T>
void keep_newest(std::vector<T>& all, std::size_t most) {
    if (all.size() > most) all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(most));
}

/// What is known of broken pages; empty: nothing. The server goes on, and so do its backups.
std::string damage_text(const Repository& repository, const model::KeptBackups& kept) {
    const Backup* const broken = core::backup::broken(repository);
    if (broken == nullptr) return "";
    std::string pages = "unknown ones";
    for (const model::BackupDamage& each : kept.damages)
        if (each.label == broken->label) pages = each.pages;
    const Backup* const sound = core::backup::newest_sound(repository);
    return fmt::format(
        "Pages of the data have wrong checksums, the disk has damaged them: {} (the number behind "
        "the last / is a relfilenode of pg_class). {}",
        pages,
        sound == nullptr ? "No sound backup is left."
                         : fmt::format("The newest sound backup is of {}; restore from it what "
                                       "cannot be read any more.",
                                       format_iso8601(sound->stopped)));
}

/// Whether pgBackRest finds both in the same way. A server that is being made has no port yet, and
/// a restart may give it another one.
bool is_reached_alike(const BackupServer& a, const BackupServer& b) {
    return a.port == b.port && a.user == b.user && a.data == b.data &&
           a.socket_folder == b.socket_folder;
}

/// A session that waits for no standby.
Result<pg::Connection> session_of(const BackupServer& server) {
    HD_TRY(auto session, pg::Connection::open({.host = server.socket_folder,
                                               .port = server.port,
                                               .database = std::string(kMaintenanceDatabase),
                                               .user = std::string(kSuperuser),
                                               .application_name = "howdah-agent"}));
    HD_CHECK(session.execute("SET synchronous_commit = 'local'"));
    return session;
}

/// Before pgBackRest connects: servers of older versions lack its role.
Status make_backup_role(const BackupServer& server) {
    HD_TRY(auto session, session_of(server));
    return session.execute(backup_role_sql());
}

/// None: PostgreSQL was started without archive_mode.
Result<std::optional<model::WalMark>> make_mark(const BackupServer& server, bool closes) {
    HD_TRY(auto session, session_of(server));
    HD_TRY(const pg::Rows mode, session.query("SHOW archive_mode"));
    if (mode.at(0, 0) == "off") return std::optional<model::WalMark>();
    HD_TRY(const pg::Rows beat, session.query(kBeat));
    HD_TRY(const pg::Rows position, session.query(kPosition));
    HD_TRY(const auto ms, parse_integer(beat.at(0, 0), 0, INT64_MAX));
    HD_TRY(const core::Lsn end, core::parse_lsn(position.at(0, 0)));
    if (closes) HD_CHECK(session.query("SELECT pg_catalog.pg_switch_wal()"));
    return std::optional(
        model::WalMark{static_cast<std::int64_t>(end / core::backup::kSegmentBytes),
                       format_iso8601(Timestamp(std::chrono::milliseconds(ms)))});
}

}  // namespace

std::vector<std::string> waiting_for_archive(const std::string& data) {
    constexpr std::string_view kReady = ".ready";
    std::vector<std::string> names;
    for (std::string& each : os::list_folder(data + "/pg_wal/archive_status").value_or({})) {
        if (!each.ends_with(kReady)) continue;
        each.resize(each.size() - kReady.size());
        if (core::backup::is_archive_name(each)) names.push_back(std::move(each));
    }
    return names;
}

struct BackupKeeper::Charge {
    std::atomic<bool> is_beating = false;
    std::atomic<bool> is_looking = false;
    std::stop_source stop;

    std::mutex keep_mutex;  ///< of the file; taken before the other
    std::mutex mutex;       ///< guards the rest; nobody waits for a disk or a program with it
    BackupServer server;
    std::shared_ptr<const PgBackRest> pgbackrest;  ///< none: the key is not known yet
    BackupServer opened;                           ///< what `pgbackrest` was made for
    model::KeptBackups kept;
    std::optional<Repository> repository;  ///< as last read, with what was pushed since
    bool has_reloaded = false;             ///< `kept` has what other agents kept
    bool has_stanza = false;
    bool is_known = false;     ///< the repository was read; without a stanza there is nothing in it
    bool closes_next = false;  ///< the next heartbeat has its segment archived at once
    std::optional<bool> is_archiving;  ///< with archive_mode; none: it was not asked yet
    std::deque<BackupOrder> orders;    ///< the first is being carried out, or waits
    std::string look_trouble;
    std::string push_trouble;
    std::string activity;
    std::optional<model::BackupReport> report;
    Instant next_beat{};
    Instant next_look{};
};

std::vector<model::WalMark> thinned(std::vector<model::WalMark> marks, std::size_t most) {
    if (marks.size() <= most) return marks;
    constexpr std::size_t kHour = 13;  // "2026-11-23T04"
    const auto newest = marks.end() - static_cast<std::ptrdiff_t>(most / 2);
    std::vector<model::WalMark> few;
    for (auto each = marks.begin(); each != newest; ++each) {
        // The last of an hour tells what those before it do.
        const auto next = each + 1;
        if (next == newest || next->at.substr(0, kHour) != each->at.substr(0, kHour))
            few.push_back(std::move(*each));
    }
    if (few.size() > most / 2) few.erase(few.begin(), few.end() - static_cast<long>(most / 2));
    std::move(newest, marks.end(), std::back_inserter(few));
    return few;
}

BackupKeeper::BackupKeeper(Options options, const Clock& clock,
                           std::function<void(const std::string&)> changed)
    : options_(std::move(options)),
      notes_(options_.repository, options_.notes_folder, options_.program),
      clock_(clock),
      changed_(std::move(changed)) {}

BackupKeeper::~BackupKeeper() = default;

std::shared_ptr<BackupKeeper::Charge> BackupKeeper::find(const std::string& incarnation) const {
    const std::lock_guard lock(mutex_);
    const auto found = charges_.find(incarnation);
    return found == charges_.end() ? nullptr : found->second;
}

std::optional<model::BackupReport> BackupKeeper::report(const std::string& incarnation) const {
    const auto charge = find(incarnation);
    if (!charge) return std::nullopt;
    const std::lock_guard lock(charge->mutex);
    return charge->report;
}

// ---------------------------------------------------------------------------------------------
// Who is looked after

/// Those that are not among them any more are gone: what runs for them is broken off.
void BackupKeeper::take(const std::vector<BackupServer>& servers) {
    std::set<std::string> present;
    for (const BackupServer& each : servers) {
        present.insert(each.incarnation);
        auto charge = find(each.incarnation);
        if (!charge) charge = add(each);
        const std::lock_guard charge_lock(charge->mutex);
        const bool begins = each.is_primary && !charge->server.is_primary;
        charge->server = each;
        if (!begins) continue;
        // Another agent may have kept more meanwhile.
        charge->has_reloaded = false;
        charge->closes_next = true;
        charge->next_look = charge->next_beat = Instant{};
    }
    std::deque<BackupOrder> orphans;
    {
        const std::lock_guard lock(mutex_);
        std::erase_if(charges_, [&](const auto& each) {
            if (present.contains(each.first)) return false;
            const std::lock_guard charge_lock(each.second->mutex);
            each.second->stop.request_stop();
            std::move(each.second->orders.begin(), each.second->orders.end(),
                      std::back_inserter(orphans));
            each.second->orders.clear();
            return true;
        });
    }
    for (const BackupOrder& each : orphans)
        each.done(Error{ErrorCode::cancelled, "the server was deleted before this was done"});
}

/// What another agent has kept meanwhile: whoever becomes primary goes on with it. Without marks
/// the window is shorter until the next one. No heartbeat comes before, as it would be kept in
/// their place.
Status BackupKeeper::reload(Charge& charge) {
    std::string stanza;
    {
        const std::lock_guard lock(charge.mutex);
        if (charge.has_reloaded) return ok_status();
        stanza = charge.server.incarnation;
    }
    HD_TRY(model::KeptBackups kept, notes_.kept(stanza));
    const std::lock_guard lock(charge.mutex);
    charge.has_reloaded = true;
    const auto& marks = charge.kept.marks;
    const bool is_older =
        kept.marks.empty() || (!marks.empty() && marks.back().at >= kept.marks.back().at);
    if (is_older) return ok_status();
    charge.kept = std::move(kept);
    if (charge.repository) charge.repository->marks = marks_of(charge.kept);
    return ok_status();
}

std::shared_ptr<BackupKeeper::Charge> BackupKeeper::add(const BackupServer& server) {
    auto charge = std::make_shared<Charge>();
    charge->server.incarnation = server.incarnation;
    const std::lock_guard lock(mutex_);
    charges_[server.incarnation] = charge;
    return charge;
}

void BackupKeeper::run(const std::stop_token& stop,
                       const std::function<std::vector<BackupServer>()>& servers) {
    struct Visit {
        std::shared_ptr<Charge> charge;
        std::atomic<bool>* is_busy = nullptr;
        std::jthread thread;
    };
    std::list<Visit> visits;
    const auto begin = [&](const std::shared_ptr<Charge>& charge, std::atomic<bool>& is_busy,
                           void (BackupKeeper::*what)(Charge&)) {
        is_busy = true;
        try {
            visits.push_back({charge, &is_busy, std::jthread([this, charge, what, &is_busy] {
                                  (this->*what)(*charge);
                                  is_busy = false;
                              })});
        } catch (const std::system_error& problem) {
            is_busy = false;
            log::error("no thread is to be had", {{"reason", problem.what()}});
        }
    };
    const std::jthread attendant([this](const std::stop_token& end) { attend(end); });
    while (!stop.stop_requested()) {
        visits.remove_if([](const Visit& each) { return !each.is_busy->load(); });
        take(servers());
        Charges charges;
        {
            const std::lock_guard lock(mutex_);
            charges = charges_;
        }
        const Instant now = clock_.now();
        auto looks = std::count_if(charges.begin(), charges.end(),
                                   [](const auto& each) { return each.second->is_looking.load(); });
        for (const auto& [incarnation, charge] : charges) {
            const std::lock_guard lock(charge->mutex);
            const bool has_room = visits.size() < kVisitsMax;
            const bool may_beat = charge->server.is_primary && charge->has_reloaded;
            if (has_room && !charge->is_beating && may_beat && now >= charge->next_beat) {
                charge->next_beat = now + kBeatEvery;
                begin(charge, charge->is_beating, &BackupKeeper::beat);
            }
            const bool may_look = looks < kLooksMax && charge->server.has_own;
            if (may_look && !charge->is_looking && now >= charge->next_look) {
                charge->next_look = now + kLookEvery;
                ++looks;
                begin(charge, charge->is_looking, &BackupKeeper::look);
            }
        }
        std::this_thread::sleep_for(kRunPoll);
    }
    const std::lock_guard lock(mutex_);
    for (const auto& [incarnation, charge] : charges_) charge->stop.request_stop();
}

// ---------------------------------------------------------------------------------------------
// The heartbeat

void BackupKeeper::beat(Charge& charge) {
    bool closes = false;
    {
        const std::lock_guard lock(charge.mutex);
        // The first of a new primary: what can be restored is known again at once.
        closes = charge.has_stanza && std::exchange(charge.closes_next, false);
    }
    note_mark(charge, closes);
    // A repository that has gone is not noticed by a server with nothing to archive.
    if (!notes_.has_gone()) return;
    const std::lock_guard lock(charge.mutex);
    if (charge.has_stanza) charge.next_look = Instant{};
}

/// What waits for the repository and is no server's own.
void BackupKeeper::attend(const std::stop_token& stop) {
    Instant next_questions = clock_.now();
    Instant next_sweep = clock_.now() + kSweepEvery;
    while (!stop.stop_requested()) {
        const Instant now = clock_.now();
        if (now >= next_questions) {
            take_questions();
            mark_dropped();
            next_questions = clock_.now() + notes_.asks_every();
        }
        if (now >= next_sweep) {
            sweep();
            next_sweep = clock_.now() + kSweepEvery;
        }
        std::this_thread::sleep_for(kRunPoll);
    }
}

/// Whoever restores a server to a moment ago asks for it. That the repository does not answer is
/// for the server's own looks to say.
void BackupKeeper::take_questions() {
    for (const std::string& stanza : notes_.questions().value_or({})) {
        const auto charge = find(stanza);
        if (!charge) continue;
        {
            const std::lock_guard lock(charge->mutex);
            if (!charge->server.is_primary) continue;
        }
        if (!notes_.take_question(stanza).ok()) continue;
        const std::lock_guard lock(charge->mutex);
        charge->closes_next = true;
        charge->next_beat = Instant{};
    }
}

/// `closes`: its segment is archived now, and not when it is full or four minutes old.
void BackupKeeper::note_mark(Charge& charge, bool closes) {
    BackupServer server;
    {
        const std::lock_guard lock(charge.mutex);
        server = charge.server;
    }
    const auto mark = make_mark(server, closes);
    // A server that cannot be asked is another's matter.
    if (!mark.ok()) return;
    {
        const std::lock_guard lock(charge.mutex);
        // The first backup does not wait for the next look.
        if (*mark && !charge.is_archiving.value_or(false)) charge.next_look = Instant{};
        charge.is_archiving = mark->has_value();
        if (!*mark) return;
        auto& marks = charge.kept.marks;
        // A clock that went back tells nothing until it has caught up.
        const bool is_later = marks.empty() || ((*mark)->at > marks.back().at &&
                                                (*mark)->segment >= marks.back().segment);
        if (!is_later) return;
        marks.push_back(**mark);
        marks = thinned(std::move(marks), kMarksMax);
        if (charge.repository) charge.repository->marks = marks_of(charge.kept);
    }
    (void)keep(charge);
    publish(charge);
}

/// Without waiting for the disk: what gets lost makes the window shorter, for a while.
Status BackupKeeper::keep(Charge& charge) {
    const std::lock_guard keeping(charge.keep_mutex);
    std::string stanza;
    model::KeptBackups present;
    {
        const std::lock_guard lock(charge.mutex);
        stanza = charge.server.incarnation;
        present = charge.kept;
    }
    const Status kept = notes_.keep(stanza, present);
    if (!kept.ok())
        log::warn("what is known of backups cannot be written down",
                  {{"stanza", stanza}, {"reason", kept.error().describe()}});
    return kept;
}

// ---------------------------------------------------------------------------------------------
// Looking, backing up, letting go

void BackupKeeper::look(Charge& charge) {
    Status done = prepare(charge);
    if (done.ok()) done = read(charge);
    if (done.ok()) {
        const std::lock_guard lock(charge.mutex);
        charge.is_known = true;
    }
    if (done.ok()) done = back_up_if_due(charge);
    if (done.ok()) done = expire(charge);
    if (done.ok()) carry_out_orders(charge);
    {
        const std::lock_guard lock(charge.mutex);
        const bool was_well = charge.look_trouble.empty();
        charge.look_trouble = done.ok() ? "" : done.error().describe();
        // Who asked for a look meanwhile need not wait for that.
        if (!done.ok()) charge.next_look = std::min(charge.next_look, clock_.now() + kLookAgain);
        if (!done.ok() && was_well && !charge.stop.stop_requested())
            log::warn("the backups of a server are not as they should be",
                      {{"server", charge.server.server_id}, {"reason", charge.look_trouble}});
        charge.activity.clear();
    }
    publish(charge);
}

/// Its configuration, and its stanza in the repository. Like all that follows it waits for programs
/// and disks without the charge's mutex, which the agent's own threads take.
Status BackupKeeper::prepare(Charge& charge) {
    BackupServer server;
    std::shared_ptr<const PgBackRest> pgbackrest;
    bool is_archiving = false;
    {
        const std::lock_guard lock(charge.mutex);
        server = charge.server;
        if (is_reached_alike(server, charge.opened)) pgbackrest = charge.pgbackrest;
        is_archiving = charge.is_archiving == true;
    }
    if (!pgbackrest) HD_CHECK(notes_.configure());
    if (notes_.has_gone()) HD_CHECK(notes_.check(options_.used_path));
    HD_TRY(bool has_stanza, notes_.has_stanza(server.incarnation));
    if (!has_stanza) HD_CHECK(notes_.check(options_.used_path));
    HD_CHECK(reload(charge));
    if (!pgbackrest) {
        HD_TRY(pgbackrest, open(server));
        const std::lock_guard lock(charge.mutex);
        charge.pgbackrest = pgbackrest;
        charge.opened = server;
    }
    if (!has_stanza && server.is_primary && is_archiving) {
        HD_CHECK(make_backup_role(server));
        HD_CHECK(pgbackrest->create_stanza());
        has_stanza = true;
    }
    if (has_stanza) HD_CHECK(notes_.note_used(options_.used_path));
    if (has_stanza) HD_CHECK(pgbackrest->note_stanza());
    const std::lock_guard lock(charge.mutex);
    charge.has_stanza = has_stanza;
    return ok_status();
}

Result<std::shared_ptr<const PgBackRest>> BackupKeeper::open(const BackupServer& server) const {
    if (!os::exists(server.key_path))
        return Error{ErrorCode::unavailable, "the key of its backups comes with its next change",
                     "", "change anything of the server, a tag for instance"};
    HD_TRY(std::string key, os::read_file(server.key_path, 256));
    const bool is_own = server.user.uid == geteuid();
    auto made = std::make_shared<const PgBackRest>(
        PgBackRest::Options{.program = options_.program,
                            .stanza = server.incarnation,
                            .repository = options_.repository,
                            .key = Secret(std::move(key)),
                            .folder = server.folder,
                            .data = server.data,
                            .socket_folder = server.socket_folder,
                            .port = server.port,
                            .database = std::string(kMaintenanceDatabase),
                            .user = std::string(kBackupRole),
                            .processes = options_.processes,
                            .backup_nice = kBackupNice,
                            .reads_as = is_own ? std::nullopt : std::optional(server.user)});
    HD_CHECK(made->configure());
    return std::shared_ptr<const PgBackRest>(std::move(made));
}

Status BackupKeeper::read(Charge& charge) {
    std::shared_ptr<const PgBackRest> pgbackrest;
    {
        const std::lock_guard lock(charge.mutex);
        if (!charge.has_stanza) return ok_status();
        pgbackrest = charge.pgbackrest;
    }
    HD_TRY(Repository found, pgbackrest->list());
    const std::lock_guard lock(charge.mutex);
    found.marks = marks_of(charge.kept);
    charge.repository = std::move(found);
    return ok_status();
}

/// None: nothing is to be made now.
std::optional<Kind> BackupKeeper::due(Charge& charge) {
    std::string data;
    std::optional<Kind> kind;
    bool is_first = false;
    {
        const std::lock_guard lock(charge.mutex);
        const BackupServer& server = charge.server;
        if (!charge.repository || !server.is_primary) {
            // It begins as soon as the heartbeat has told that it archives.
            const bool begins =
                server.is_primary && !charge.repository && charge.is_archiving != false;
            if (begins) charge.next_look = clock_.now() + kRunPoll;
            return std::nullopt;
        }
        const Policy policy{.retention_days = server.retention_days};
        const core::backup::Failures failures = failures_of(charge.kept);
        const Timestamp now = clock_.wall();
        kind = core::backup::due(*charge.repository, policy, failures, now);
        // Another attempt is not left to the next look.
        const Duration pause = core::backup::retry_at(policy, failures) - now;
        if (failures.count > 0 && pause > Duration::zero())
            charge.next_look = std::min(charge.next_look, clock_.now() + pause);
        is_first = charge.repository->backups.empty();
        data = server.data;
    }
    // What is on its way may close a gap, and a backup would wait behind it.
    const bool waits = kind && !is_first && !waiting_for_archive(data).empty();
    if (kind && !waits) return kind;
    if (waits) look_again(charge);
    return std::nullopt;
}

void BackupKeeper::look_again(Charge& charge) {
    const std::lock_guard lock(charge.mutex);
    charge.next_look = std::min(charge.next_look, clock_.now() + kLookAgain);
}

Status BackupKeeper::back_up_if_due(Charge& charge) {
    const auto kind = due(charge);
    if (!kind) return ok_status();
    const std::unique_lock only_one(backup_mutex_, std::try_to_lock);
    if (!only_one.owns_lock()) {
        look_again(charge);
        return ok_status();
    }
    const Status made = back_up(charge, *kind, "");
    if (charge.stop.stop_requested()) return made;
    {
        const std::lock_guard lock(charge.mutex);
        charge.kept.failures = made.ok() ? 0 : charge.kept.failures + 1;
        charge.kept.failed_at = made.ok() ? "" : format_iso8601(clock_.wall());
    }
    (void)keep(charge);
    return made;
}

/// `name`: empty: by schedule. REQUIRES: backup_mutex_ is held.
Status BackupKeeper::back_up(Charge& charge, Kind kind, const std::string& name) {
    std::shared_ptr<const PgBackRest> pgbackrest;
    BackupServer server;
    {
        const std::lock_guard lock(charge.mutex);
        pgbackrest = charge.pgbackrest;
        server = charge.server;
        charge.activity = fmt::format("a {} backup is made", kind_text(kind));
    }
    publish(charge);
    HD_CHECK(make_backup_role(server));
    HD_TRY(const std::string damage, pgbackrest->back_up(kind, name, charge.stop.get_token()));
    log::info("a backup was made",
              {{"server", server.server_id}, {"kind", kind_text(kind)}, {"name", name}});
    HD_CHECK(read(charge));
    if (!damage.empty()) {
        log::error("pages of a server's data are damaged",
                   {{"server", server.server_id}, {"pages", damage}});
        const std::lock_guard lock(charge.mutex);
        charge.kept.damages.push_back({charge.repository->backups.back().label, damage});
        keep_newest(charge.kept.damages, kDamagesMax);
    }
    wait_behind_backup(charge);
    note_mark(charge, /*closes=*/true);
    return ok_status();
}

/// What a backup is good for is known only with a commit behind it, whose end is rounded up to a
/// second.
void BackupKeeper::wait_behind_backup(Charge& charge) const {
    std::optional<Timestamp> end;
    {
        const std::lock_guard lock(charge.mutex);
        if (!charge.repository->backups.empty()) end = charge.repository->backups.back().stopped;
    }
    if (!end) return;
    const Duration left = *end + std::chrono::milliseconds(1) - clock_.wall();
    std::this_thread::sleep_for(std::clamp(left, Duration::zero(), kBehindBackupMax));
}

// ---------------------------------------------------------------------------------------------
// On demand

void BackupKeeper::order(const std::string& incarnation, BackupOrder order) {
    Status refused = ok_status();
    if (const auto charge = find(incarnation); !charge) {
        refused = Error{ErrorCode::unavailable, "no backups are kept of this server here (yet)"};
    } else {
        const std::lock_guard lock(charge->mutex);
        if (charge->stop.stop_requested() || charge->orders.size() >= kOrdersMax) {
            refused = Error{ErrorCode::unavailable, "too much is to be done with its backups"};
        } else {
            charge->orders.push_back(std::move(order));
            charge->next_look = Instant{};
            return;
        }
    }
    order.done(refused);
}

/// One after the other; those that cannot be begun now wait for the next look.
void BackupKeeper::carry_out_orders(Charge& charge) {
    for (;;) {
        BackupOrder next;
        {
            const std::lock_guard lock(charge.mutex);
            if (charge.orders.empty()) return;
            next = charge.orders.front();
        }
        const std::optional<Status> result = carry_out(charge, next);
        // The agent offers it again after its restart; of a deleted server it was answered.
        if (charge.stop.stop_requested()) return;
        if (!result) return look_again(charge);
        {
            const std::lock_guard lock(charge.mutex);
            if (charge.orders.empty()) return;
            charge.orders.pop_front();
        }
        publish(charge);
        next.done(*result);
    }
}

/// None: not now. A backup on demand is a differential one, upon which no other is ever built, so
/// that it can be dropped at any time: it waits for the first of the schedule.
std::optional<Status> BackupKeeper::carry_out(Charge& charge, const BackupOrder& order) {
    std::shared_ptr<const PgBackRest> pgbackrest;
    std::string label;
    bool has_full = false;
    {
        const std::lock_guard lock(charge.mutex);
        // It would be carried out when nobody wants it any more: after another failover.
        if (charge.server.is_standby)
            return Error{ErrorCode::unavailable, "another host has the primary now"};
        if (!charge.repository || !charge.server.is_primary) return std::nullopt;
        pgbackrest = charge.pgbackrest;
        for (const Backup& each : charge.repository->backups) {
            if (each.on_demand == order.name) label = each.label;
            has_full = has_full || each.kind == Kind::full;
        }
    }
    if (order.is_drop) {
        if (label.empty()) return ok_status();
        const Status dropped = pgbackrest->expire({.labels = {label}});
        return dropped.ok() ? read(charge) : dropped;
    }
    if (!label.empty()) return ok_status();
    const std::unique_lock only_one(backup_mutex_, std::try_to_lock);
    if (!has_full || !only_one.owns_lock()) return std::nullopt;
    Status made = back_up(charge, Kind::differential, order.name);
    // One that an agent began before it was killed may still go on.
    if (!made.ok() && made.error().code == ErrorCode::conflict) return std::nullopt;
    return made;
}

Status BackupKeeper::expire(Charge& charge) {
    std::shared_ptr<const PgBackRest> pgbackrest;
    core::backup::Expiry old;
    {
        const std::lock_guard lock(charge.mutex);
        if (!charge.repository || !charge.server.is_primary) return ok_status();
        const Policy policy{.retention_days = charge.server.retention_days};
        old = core::backup::expired(*charge.repository, policy, clock_.wall());
        pgbackrest = charge.pgbackrest;
        const auto& ranges = charge.repository->wal.ranges();
        const bool has_old_wal =
            old.wal_before && std::any_of(ranges.begin(), ranges.end(), [&](const auto& each) {
                return !each.second.empty() && each.second.front().first < *old.wal_before;
            });
        if (old.labels.empty() && !(has_old_wal && old.kept.empty())) return ok_status();
    }
    HD_CHECK(pgbackrest->expire(old));
    return read(charge);
}

void BackupKeeper::publish(Charge& charge) {
    std::string incarnation;
    {
        const std::lock_guard lock(charge.mutex);
        model::BackupReport report{
            .is_unknown = !charge.is_known,
            .activity = charge.activity,
            .trouble = charge.look_trouble.empty() ? charge.push_trouble : charge.look_trouble};
        if (report.trouble.empty() && charge.server.is_primary && charge.is_archiving == false)
            report.trouble = kOnlyAfterRestart;
        if (report.trouble.empty() && charge.repository)
            report.trouble = damage_text(*charge.repository, charge.kept);
        report.trouble.resize(std::min(report.trouble.size(), kTroubleBytesMax));
        if (charge.repository) {
            for (const auto& each : core::backup::restorable(*charge.repository))
                report.restorable.push_back({format_iso8601(each.from), format_iso8601(each.to)});
            for (const Backup& each : charge.repository->backups)
                report.backups.push_back(entry_of(each));
        }
        report.proofs = charge.kept.proofs;
        keep_newest(report.restorable, kReportedMax);
        keep_newest(report.backups, kReportedMax);
        if (charge.report == report) return;
        charge.report = std::move(report);
        incarnation = charge.server.incarnation;
    }
    changed_(incarnation);
}

Status BackupKeeper::note_proof(const std::string& incarnation, model::SignedProof proof) {
    const auto charge = find(incarnation);
    if (!charge) return Error{ErrorCode::unavailable, "no backups are kept of this server here"};
    HD_CHECK(reload(*charge));
    {
        const std::lock_guard lock(charge->mutex);
        // Another agent keeps what is known of it, and would lose this.
        if (!charge->server.is_primary)
            return Error{ErrorCode::unavailable, "another host has the primary now"};
        auto& proofs = charge->kept.proofs;
        std::erase_if(proofs,
                      [&](const auto& each) { return each.proof.name == proof.proof.name; });
        proofs.push_back(std::move(proof));
        keep_newest(proofs, kProofsMax);
    }
    HD_CHECK(keep(*charge));
    publish(*charge);
    return ok_status();
}

bool BackupKeeper::has_proof(const std::string& incarnation, const std::string& name) {
    const auto charge = find(incarnation);
    if (!charge || !reload(*charge).ok()) return false;
    const std::lock_guard lock(charge->mutex);
    const auto& proofs = charge->kept.proofs;
    return std::any_of(proofs.begin(), proofs.end(),
                       [&](const model::SignedProof& each) { return each.proof.name == name; });
}

// ---------------------------------------------------------------------------------------------
// PostgreSQL's questions

ArchiveAnswer BackupKeeper::answer(const ArchiveQuestion& question) {
    const auto charge = find(question.server);
    if (!charge) return Error{ErrorCode::unavailable, "howdah-agent does not know this server yet"};
    {
        const std::lock_guard lock(charge->mutex);
        if (question.user != charge->server.user.uid)
            return Error{ErrorCode::permission_denied, "this is another server's archive"};
    }
    if (!question.is_push) return fetch(*charge, question.file);
    bool is_standby = false;
    {
        const std::lock_guard lock(charge->mutex);
        is_standby = charge->server.is_standby;
    }
    if (is_standby) {
        HD_CHECK(confirm(*charge, question.file));
        return std::string();
    }
    const Status pushed = push(*charge, question.file);
    bool is_news = false;
    {
        const std::lock_guard lock(charge->mutex);
        const std::string trouble =
            pushed.ok() ? "" : "WAL cannot be kept: " + pushed.error().describe();
        is_news = trouble != charge->push_trouble;
        charge->push_trouble = trouble;
    }
    if (is_news || pushed.ok()) publish(*charge);
    if (!pushed.ok()) return pushed.error();
    return std::string();
}

Status BackupKeeper::push(Charge& charge, const std::string& file) {
    std::shared_ptr<const PgBackRest> pgbackrest;
    std::string path;
    {
        const std::lock_guard lock(charge.mutex);
        if (!charge.has_stanza || !charge.pgbackrest)
            return Error{ErrorCode::unavailable, "its repository is not ready yet"};
        pgbackrest = charge.pgbackrest;
        path = charge.server.data + "/pg_wal/" + file;
    }
    HD_CHECK(pgbackrest->push(path));
    const auto segment = core::backup::parse_segment(file);
    const std::lock_guard lock(charge.mutex);
    if (segment.ok() && charge.repository) charge.repository->wal.add(*segment);
    // Another timeline has begun: what can be restored is another question.
    if (file.ends_with(".history")) charge.next_look = Instant{};
    return ok_status();
}

/// A standby keeps what it received until the repository has it, so that whoever is promoted can
/// archive what the old primary could not any more (RULES Backup 1). It pushes nothing itself: the
/// primary does at the same time.
Status BackupKeeper::confirm(Charge& charge, const std::string& file) {
    const auto segment = core::backup::parse_segment(file);
    const Instant deadline = clock_.now() + kConfirmMax;
    const bool may_wait = confirms_.try_acquire();
    Status done = Error{ErrorCode::unavailable, "its primary has not archived it yet"};
    for (;;) {
        std::shared_ptr<const PgBackRest> pgbackrest;
        {
            const std::lock_guard lock(charge.mutex);
            const bool is_known =
                segment.ok() && charge.repository && charge.repository->wal.has(*segment);
            if (is_known) done = ok_status();
            if (charge.server.is_standby && charge.has_stanza) pgbackrest = charge.pgbackrest;
            // It was looked for when the standby came, maybe before there was one.
            if (!pgbackrest)
                charge.next_look = std::min(charge.next_look, clock_.now() + kLookAgain);
        }
        if (done.ok() || !pgbackrest) break;
        if (may_wait) std::this_thread::sleep_for(kConfirmPoll);
        const auto has = pgbackrest->has(file);
        if (!has.ok()) done = has.error();
        if (has.ok() && *has) {
            done = ok_status();
            const std::lock_guard lock(charge.mutex);
            if (segment.ok() && charge.repository) charge.repository->wal.add(*segment);
        }
        if (done.ok() || !has.ok() || !may_wait || clock_.now() >= deadline) break;
    }
    if (may_wait) confirms_.release();
    return done;
}

ArchiveAnswer BackupKeeper::fetch(Charge& charge, const std::string& file) {
    std::shared_ptr<const PgBackRest> pgbackrest;
    std::string path;
    {
        const std::lock_guard lock(charge.mutex);
        const BackupServer& server = charge.server;
        pgbackrest = charge.pgbackrest;
        if (!server.restores_from.empty())
            pgbackrest = std::make_shared<const PgBackRest>(
                PgBackRest::Options{.program = options_.program,
                                    .stanza = server.restores_from,
                                    .folder = restore_folder(server.folder)});
        if (!pgbackrest) return Error{ErrorCode::unavailable, "its repository is not ready yet"};
        path = server.folder + "/fetched-" + file;
    }
    HD_TRY(const bool is_there, pgbackrest->fetch(file, path));
    if (!is_there) return Error{ErrorCode::not_found, "the archive does not have " + file};
    auto content = os::read_file(path, kSegmentBytesMax);
    (void)os::remove_tree(path);
    return content;
}

// ---------------------------------------------------------------------------------------------
// What deleted servers left

/// From now on its time runs. It may be a standby's, while the server goes on elsewhere.
void BackupKeeper::mark_dropped() const {
    for (const std::string& stanza : os::list_folder(options_.gone_folder).value_or({})) {
        Status marked = notes_.mark_dropped(stanza, clock_.wall());
        if (marked.ok()) marked = os::remove_tree(options_.gone_folder + "/" + stanza);
        if (!marked.ok()) {
            log::warn("a deleted server's backups cannot be marked yet",
                      {{"stanza", stanza}, {"reason", marked.error().describe()}});
            return;
        }
    }
}

/// A deleted server can be brought back for a while; then its backups go.
void BackupKeeper::sweep() const {
    const auto dropped = notes_.dropped();
    if (!dropped.ok()) return;
    for (const RepositoryNotes::Dropped& each : *dropped) {
        const bool is_used =
            std::any_of(options_.instance_folders.begin(), options_.instance_folders.end(),
                        [&](const auto& folder) { return os::exists(folder + "/" + each.stanza); });
        Status done = ok_status();
        if (is_used)
            done = notes_.unmark_dropped(each.stanza);
        else if (clock_.wall() - each.since >= kDroppedKeep)
            done = notes_.remove_stanza(each.stanza);
        if (!done.ok())
            log::warn("the backups of a deleted server cannot be let go",
                      {{"stanza", each.stanza}, {"reason", done.error().describe()}});
    }
}

}  // namespace howdah::agent
