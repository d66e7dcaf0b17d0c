#include "agent/prover.h"

#include <fmt/core.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "agent/backup/copy_check.h"
#include "agent/instance.h"
#include "base/log.h"
#include "base/text.h"
#include "core/plan/drills.h"
#include "http/signed_report.h"
#include "model/json.h"
#include "os/file.h"

namespace howdah::agent {
namespace {

constexpr std::string_view kBrokenOff = "the server is deleted, or this took too long";
constexpr std::size_t kKeyBytesMax = 256;
constexpr std::size_t kPemBytesMax = 1 << 16;
constexpr std::int64_t kScratchMemoryMb = 2048;
/// Beside the data: WAL that is replayed, and room for the machine.
constexpr std::int64_t kSpareBytes = std::int64_t{3} << 30;

std::int64_t ms_between(Instant from, Instant to) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(to - from).count();
}

/// Of pgBackRest's restore (its error.yaml): checksum, file-invalid, format, file-missing,
/// backup-set-invalid, crypto, json-format. All else is about the machine, or a repository that is
/// away; whose list of backups could be read before.
constexpr std::string_view kDamageCodes[] = {"[026]", "[028]", "[029]", "[055]",
                                             "[075]", "[095]", "[099]"};

/// Whether it is the backups' fault. Else there is no proof, and the next one is soon.
bool speaks_of_backups(const Error& error) {
    const std::string text = error.describe();
    const auto says = [&](std::string_view words) { return text.find(words) != std::string::npos; };
    // What is left of the last: the repository went away while PostgreSQL asked for WAL.
    if (says("No space left") || says("could not restore file")) return false;
    if (says("pgBackRest's restore failed: "))
        return std::any_of(std::begin(kDamageCodes), std::end(kDamageCodes), says);
    return error.code == ErrorCode::corrupt || says("PostgreSQL could not recover");
}

std::string reason_of(const model::Proof& proof) {
    if (!proof.damages.empty() && !proof.different.empty())
        return "what came back is damaged, and not what was there";
    if (!proof.damages.empty()) return "what came back is damaged";
    if (!proof.different.empty()) return "what came back is not what was there";
    return "";
}

SumsSource source_of(const BackupServer& server) {
    return {.socket_folder = server.socket_folder, .port = server.port};
}

}  // namespace

model::InstanceSpec scratch_spec(const model::InstanceSpec& server, const std::string& scratch,
                                 const std::string& time, const std::string& key) {
    model::InstanceSpec spec = server;
    spec.incarnation = scratch;
    spec.generation = 1;
    spec.restart_sequence = 0;
    spec.running = true;
    spec.restore = model::RestoreSpec{.source_id = server.server_id,
                                      .source_incarnation = server.incarnation,
                                      .time = time,
                                      .key = key};
    spec.backup = {};
    // Nobody logs in, and no gateway leads there.
    spec.administrator_login.clear();
    spec.administrator_verifier.clear();
    spec.password_logins = false;
    spec.token_logins = false;
    spec.token_administrators.clear();
    spec.host_names.clear();
    spec.port = 0;
    spec.public_access = false;
    spec.firewall_rules.clear();
    spec.member_hosts.clear();
    spec.is_founder = false;
    // A copy must not begin the jobs of the server, nor take what is meant for its subscriptions.
    std::erase_if(spec.parameters,
                  [](const auto& each) { return each.first.starts_with("pgbouncer."); });
    for (const char* each : {"shared_buffers", "work_mem", "maintenance_work_mem", "temp_buffers",
                             "max_connections", "huge_pages", "min_wal_size"})
        spec.parameters.erase(each);
    spec.memory_mb = std::min(spec.memory_mb, kScratchMemoryMb);
    spec.parameters["max_wal_size"] = "1024";
    spec.parameters["shared_preload_libraries"] = "";
    spec.parameters["max_logical_replication_workers"] = "0";
    spec.parameters["autovacuum"] = "off";
    return spec;
}

Prover::Prover(const Machine& machine, PreparedPool& pool, Options options, const Clock& clock,
               IdSource& ids, BackupKeeper& keeper)
    : machine_(machine),
      pool_(pool),
      options_(std::move(options)),
      clock_(clock),
      ids_(ids),
      keeper_(keeper) {}

Prover::~Prover() = default;

// ---------------------------------------------------------------------------------------------
// Orders

void Prover::order(ProofOrder order) {
    {
        const std::lock_guard lock(mutex_);
        const bool waits = std::any_of(orders_.begin(), orders_.end(), [&](const auto& each) {
            return each.server.incarnation == order.server.incarnation;
        });
        if (!waits && orders_.size() < kOrdersMax) {
            orders_.push_back(std::move(order));
            return;
        }
    }
    order.done(Error{ErrorCode::unavailable, "too many proofs wait on this machine", "",
                     "try again later"});
}

std::vector<ProofOrder> Prover::forget(const std::string& incarnation) {
    const std::lock_guard lock(mutex_);
    const auto is_its = [&](const ProofOrder& each) {
        return each.server.incarnation == incarnation;
    };
    std::vector<ProofOrder> gone;
    for (ProofOrder& each : orders_)
        if (is_its(each)) gone.push_back(each);
    std::erase_if(orders_, is_its);
    if (current_ == incarnation) break_off_locked();
    return gone;
}

void Prover::break_off_locked() {
    stop_.request_stop();
    if (scratch_) scratch_->break_off();
}

std::optional<BackupServer> Prover::scratch() const {
    const std::lock_guard lock(mutex_);
    return scratch_ ? scratch_->view().backups : std::nullopt;
}

/// Whoever has broken it off a moment ago saw none.
void Prover::set_scratch(std::shared_ptr<Instance> scratch) {
    const std::lock_guard lock(mutex_);
    scratch_ = std::move(scratch);
    if (scratch_ && stop_.stop_requested()) scratch_->break_off();
}

std::optional<ProofOrder> Prover::begin_next() {
    const std::lock_guard lock(mutex_);
    if (orders_.empty()) return std::nullopt;
    ProofOrder order = std::move(orders_.front());
    orders_.pop_front();
    begin_locked(order);
    return order;
}

void Prover::begin_locked(const ProofOrder& order) {
    current_ = order.server.incarnation;
    stop_ = {};
}

void Prover::run(const std::stop_token& stop,
                 const std::function<std::optional<ProofOrder>()>& due) {
    remove_leftovers();
    Instant next_due = clock_.now() + kDueEvery;
    while (!stop.stop_requested()) {
        auto order = begin_next();
        if (!order && clock_.now() >= next_due) {
            next_due = clock_.now() + kDueEvery;
            remove_leftovers();
            order = due();
            if (order) {
                order->name = core::drill_name(clock_.wall());
                const std::lock_guard lock(mutex_);
                begin_locked(*order);
            }
        }
        if (order)
            carry_out(*order, stop);
        else
            std::this_thread::sleep_for(kPoll);
    }
}

void Prover::carry_out(const ProofOrder& order, const std::stop_token& stop) {
    std::stop_token own;
    {
        const std::lock_guard lock(mutex_);
        own = stop_.get_token();
    }
    Status done = ok_status();
    {
        const std::stop_callback passed_on(stop, [this] {
            const std::lock_guard lock(mutex_);
            break_off_locked();
        });
        // Others of the machine want their turn.
        const std::jthread watch([this, end = clock_.now() + kProofMax](std::stop_token over) {
            while (!over.stop_requested() && clock_.now() < end) std::this_thread::sleep_for(kPoll);
            if (over.stop_requested()) return;
            const std::lock_guard lock(mutex_);
            break_off_locked();
        });
        done = prove(order, own);
    }
    {
        const std::lock_guard lock(mutex_);
        current_.clear();
    }
    if (!done.ok())
        log::warn("backups could not be tried",
                  {{"server", order.server.server_id}, {"reason", done.error().describe()}});
    // The agent offers it again after its restart.
    if (!stop.stop_requested()) order.done(done);
}

void Prover::remove_leftovers() const {
    const std::string folder = machine_.layout().instances();
    for (const std::string& name : os::list_folder(folder).value_or({})) {
        if (!name.starts_with(kScratchPrefix)) continue;
        Instance scratch(machine_, pool_, nullptr, clock_, name, [] {});
        (void)scratch.load();
        const Status removed = scratch.remove(1);
        if (!removed.ok())
            log::error("what was left of a proof cannot be removed",
                       {{"folder", fmt::format("{}/{}", folder, name)},
                        {"reason", removed.error().describe()}});
    }
}

// ---------------------------------------------------------------------------------------------
// One proof

Status Prover::prove(const ProofOrder& order, const std::stop_token& stop) {
    if (keeper_.has_proof(order.server.incarnation, order.name)) return ok_status();
    HD_TRY(const std::string key, os::read_file(order.server.key_path, kKeyBytesMax));
    HD_TRY(const os::FileLock turn, wait_for_turn(stop));
    model::Proof proof;
    Status done = ok_status();
    // What was killed in the copy looks like a loss: it is tried once more before it counts.
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        proof = {.name = order.name,
                 .server_id = order.server.server_id,
                 .incarnation = order.server.incarnation,
                 .host = machine_.options().host_name,
                 .host_id = machine_.options().host_id,
                 .started_at = format_iso8601(clock_.wall())};
        log::info("backups are tried", {{"server", proof.server_id}, {"proof", proof.name}});
        done = restore_and_check(order, key, stop, proof);
        if (stop.stop_requested()) return Error{ErrorCode::cancelled, std::string(kBrokenOff)};
        if (!done.ok() && !speaks_of_backups(done.error())) return done;
        proof.reason = done.ok() ? reason_of(proof) : done.error().describe();
        if (proof.reason.empty()) break;
    }
    proof.reason.resize(std::min(proof.reason.size(), kTextBytesMax));
    proof.outcome = std::string(core::backup::outcome_of(proof));
    proof.ended_at = format_iso8601(clock_.wall());
    log::info("backups were tried",
              {{"server", proof.server_id}, {"proof", proof.name}, {"reason", proof.reason}});
    auto token = signed_text(proof);
    if (!token.ok()) log::error("a proof cannot be signed", {{"reason", token.error().describe()}});
    return keeper_.note_proof(order.server.incarnation, {proof, token.value_or("")});
}

/// The agents of a home share the machine's disk.
Result<os::FileLock> Prover::wait_for_turn(const std::stop_token& stop) const {
    while (!stop.stop_requested()) {
        auto lock = os::FileLock::try_lock(machine_.layout().prover_lock());
        if (lock.ok() || lock.error().code != ErrorCode::conflict) return lock;
        std::this_thread::sleep_for(kPoll);
    }
    return Error{ErrorCode::cancelled, std::string(kBrokenOff)};
}

Status Prover::restore_and_check(const ProofOrder& order, const std::string& key,
                                 const std::stop_token& stop, model::Proof& proof) {
    TableSums before;
    HD_CHECK(check_space(order.server));
    HD_TRY(const std::string since, read_now(source_of(order.server)));
    if (order.time.empty()) {
        HD_TRY(before, read_table_sums(source_of(order.server), SumsLimits(), stop));
    }
    proof.tables = static_cast<std::int64_t>(before.tables.size()) + before.beyond;
    proof.time = order.time.empty() ? format_iso8601(clock_.wall()) : order.time;
    const std::string name = std::string(kScratchPrefix) + ids_.uuid().substr(0, 8);
    const auto scratch = std::make_shared<Instance>(machine_, pool_, nullptr, clock_, name, [] {});
    set_scratch(scratch);
    const Instant begin = clock_.now();
    Status done = scratch->ensure(scratch_spec(order.spec, name, proof.time, key), 1);
    proof.restore_ms = ms_between(begin, clock_.now());
    const InstancePaths paths = instance_paths(machine_.layout(), name);
    proof.backup = os::read_file(paths.backup() + "/restored", kKeyBytesMax).value_or("");
    if (done.ok()) {
        const auto port = static_cast<int>(scratch->view().report.backend_port);
        const SumsSource copy{.socket_folder = paths.socket_folder, .port = port};
        const Instant checked = clock_.now();
        done = check(order, before, since, copy, stop, proof);
        proof.check_ms = ms_between(checked, clock_.now());
    }
    set_scratch(nullptr);
    const Status removed = scratch->remove(1);
    if (!removed.ok())
        log::error("the scratch instance of a proof cannot be removed",
                   {{"instance", name}, {"reason", removed.error().describe()}});
    return done;
}

Status Prover::check(const ProofOrder& order, const TableSums& before, const std::string& since,
                     const SumsSource& copy, const std::stop_token& stop, model::Proof& proof) {
    HD_TRY(const CopyFindings found,
           check_copy(copy, kRelationMax, SystemClock().now() + kCheckMax, stop));
    proof.damages = found.damages;
    proof.indexes = found.indexes;
    proof.unchecked = found.unchecked;
    // What was read there is read here, however large it is and however long it takes.
    HD_TRY(const TableSums restored, read_same_tables(copy, before, kCheckMax, stop));
    proof.databases = restored.databases;
    if (before.tables.empty()) return ok_status();
    const auto compared_now = [&] {
        return core::backup::compare(before.tables, restored.tables,
                                     changes(order, before, since, proof.time, stop));
    };
    auto compared = compared_now();
    if (!compared.different.empty()) {
        // An idle session tells what it has written within a minute.
        wait_until_counted(proof.time, stop);
        compared = compared_now();
    }
    proof.same = compared.same;
    proof.same_rows = compared.same_rows;
    proof.changed = compared.changed;
    proof.unread = compared.unread + before.beyond;
    compared.different.resize(std::min(compared.different.size(), kListedMax));
    for (std::string& each : compared.different)
        each.resize(std::min(each.size(), kListedBytesMax));
    proof.different = std::move(compared.different);
    return ok_status();
}

/// A copy that fills the disk would stop every server of the machine.
Status Prover::check_space(const BackupServer& server) const {
    HD_TRY(std::int64_t bytes, read_bytes(source_of(server)));
    // What was dropped today is in the backup still.
    const auto report = keeper_.report(server.incarnation);
    for (const auto& each : report ? report->backups : std::vector<model::BackupEntry>())
        bytes = std::max(bytes, each.bytes);
    HD_TRY(const os::DiskSpace space, os::disk_space(machine_.layout().instances()));
    const std::int64_t needed = bytes + bytes / 4 + kSpareBytes;
    if (space.free_bytes >= needed) return ok_status();
    return Error{
        ErrorCode::resource_exhausted,
        fmt::format("a copy of the server needs {:.1f} GB of disk, {:.1f} GB are free",
                    static_cast<double>(needed) / 1e9, static_cast<double>(space.free_bytes) / 1e9),
        "", "make room on the machine's disk"};
}

void Prover::wait_until_counted(const std::string& time, const std::stop_token& stop) const {
    const auto from = parse_iso8601(time);
    if (!from.ok()) return;
    while (clock_.wall() - *from < kCountedWithin && !stop.stop_requested())
        std::this_thread::sleep_for(kPoll);
}

/// Empty: the server cannot be asked, or a transaction is open for so long that nothing is certain.
core::backup::TableChanges Prover::changes(const ProofOrder& order, const TableSums& before,
                                           const std::string& since, const std::string& until,
                                           const std::stop_token& stop) const {
    const Instant deadline = clock_.now() + kCountedMax;
    do {
        const auto counted =
            read_table_changes(source_of(order.server), before, since, until, stop);
        if (!counted.ok()) return {};
        if (*counted) return **counted;
        std::this_thread::sleep_for(kPoll);
    } while (clock_.now() < deadline && !stop.stop_requested());
    return {};
}

/// A renewal writes one file after the other.
Result<std::string> Prover::signed_text(const model::Proof& proof) const {
    Result<std::string> text = Error{ErrorCode::internal, "not tried"};
    for (int attempt = 0; attempt < kSignAttempts && !text.ok(); ++attempt) {
        if (attempt > 0) std::this_thread::sleep_for(kPoll);
        HD_TRY(std::string key, os::read_file(options_.key_path, kPemBytesMax));
        const Secret secret(std::move(key));
        HD_TRY(const std::string certificate,
               os::read_file(options_.certificate_path, kPemBytesMax));
        text = http::sign_report(model::to_json(proof), secret, certificate);
    }
    return text;
}

}  // namespace howdah::agent
