#include "store/sqlite/sqlite_store.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <string.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <set>

#include "os/fd.h"
#include "store/common/lease_book.h"
#include "store/common/limits.h"
#include "store/common/watch_hub.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/schema.h"

namespace howdah::store {
namespace {

/// Changes of one revision that a history sequence has room for.
constexpr std::int64_t kSequencePerRevision = 1024;
/// Old history is removed once every so many revisions, in the transaction of a commit.
constexpr Revision kCompactEvery = 256;
constexpr std::int64_t kPageBytes = 4096;
constexpr Revision kUnknown = -1;
/// Beyond this size the check at opening takes too long; damage then shows at the first read.
constexpr std::int64_t kCheckedAtOpenBytesMax = 64 << 20;

constexpr std::string_view kGet = "SELECT key, value, created, modified FROM entry WHERE key = ?1";
constexpr std::string_view kList =
    "SELECT key, value, created, modified FROM entry WHERE key >= ?1 AND key < ?3 "
    "ORDER BY key LIMIT ?2";
constexpr std::string_view kListToEnd =
    "SELECT key, value, created, modified FROM entry WHERE key >= ?1 ORDER BY key LIMIT ?2";
constexpr std::string_view kStamp = "SELECT created, modified FROM entry WHERE key = ?1";
constexpr std::string_view kPut =
    "INSERT INTO entry (key, value, created, modified, lease) VALUES (?1, ?2, ?3, ?3, ?4) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified = excluded.modified, "
    "lease = excluded.lease RETURNING created";
constexpr std::string_view kRemove = "DELETE FROM entry WHERE key = ?1 RETURNING created";
constexpr std::string_view kRecord =
    "INSERT INTO history (sequence, key, value, created) VALUES (?1, ?2, ?3, ?4)";
constexpr std::string_view kNewest = "SELECT max(sequence) FROM history";
constexpr std::string_view kOldest = "SELECT min(sequence) FROM history";
constexpr std::string_view kHistory =
    "SELECT sequence, key, value, created FROM history WHERE sequence >= ?1 AND sequence < ?2 "
    "ORDER BY sequence";
constexpr std::string_view kCompact = "DELETE FROM history WHERE sequence < ?1";
constexpr std::string_view kLeased =
    "SELECT key FROM entry WHERE lease = ?1 AND lease <> 0 LIMIT ?2";
constexpr std::string_view kAddLease =
    "INSERT INTO lease (time_to_live_ms) VALUES (?1) RETURNING id";
constexpr std::string_view kRemoveLease = "DELETE FROM lease WHERE id = ?1";
constexpr std::string_view kLeases = "SELECT id, time_to_live_ms FROM lease";

Entry entry_of(const Statement& row) {
    return {row.text(0), row.text(1), row.number(2), row.number(3)};
}

/// The connection that writes, with its statements.
struct Writer {
    Connection connection;
    Statement stamp;
    Statement put;
    Statement remove;
    Statement record;
    Statement newest;
    Statement compact;
    Statement leased;
    Statement add_lease;
    Statement remove_lease;

    static Result<Writer> prepare(Connection connection) {
        HD_TRY(Statement stamp, connection.prepare(kStamp));
        HD_TRY(Statement put, connection.prepare(kPut));
        HD_TRY(Statement remove, connection.prepare(kRemove));
        HD_TRY(Statement record, connection.prepare(kRecord));
        HD_TRY(Statement newest, connection.prepare(kNewest));
        HD_TRY(Statement compact, connection.prepare(kCompact));
        HD_TRY(Statement leased, connection.prepare(kLeased));
        HD_TRY(Statement add_lease, connection.prepare(kAddLease));
        HD_TRY(Statement remove_lease, connection.prepare(kRemoveLease));
        return Writer{std::move(connection),  std::move(stamp),  std::move(put),
                      std::move(remove),      std::move(record), std::move(newest),
                      std::move(compact),     std::move(leased), std::move(add_lease),
                      std::move(remove_lease)};
    }
};

/// The connection that reads, with its statements.
struct Reader {
    Connection connection;
    Statement get;
    Statement list;
    Statement list_to_end;
    Statement oldest;
    Statement newest;
    Statement history;

    static Result<Reader> prepare(Connection connection) {
        HD_TRY(Statement get, connection.prepare(kGet));
        HD_TRY(Statement list, connection.prepare(kList));
        HD_TRY(Statement list_to_end, connection.prepare(kListToEnd));
        HD_TRY(Statement oldest, connection.prepare(kOldest));
        HD_TRY(Statement newest, connection.prepare(kNewest));
        HD_TRY(Statement history, connection.prepare(kHistory));
        return Reader{std::move(connection),  std::move(get),    std::move(list),
                      std::move(list_to_end), std::move(oldest), std::move(newest),
                      std::move(history)};
    }
};

Result<Revision> read_revision(Statement& newest) {
    const ResetAtEnd reset_at_end(newest);
    HD_TRY(const bool row, newest.step());
    return row ? newest.number(0) / kSequencePerRevision : 0;
}

class SqliteStore final : public Store, private HistorySource {
  public:
    SqliteStore(Writer writer, Reader reader, Revision revision, const Clock& clock,
                const SqliteOptions& options)
        : options_(options),
          writer_(std::move(writer)),
          reader_(std::move(reader)),
          newest_(revision),
          leases_(clock),
          hub_(*this, revision) {}

    /// Takes over the leases of an earlier process; each begins anew.
    Status load_leases();

    Result<std::optional<Entry>> get(std::string_view key) override;
    Result<std::vector<Entry>> list(std::string_view prefix, const ListOptions& options) override;
    Result<Revision> commit(const Transaction& transaction) override;
    Result<Revision> revision() override;
    Result<std::unique_ptr<Watch>> watch(std::string_view prefix, Revision after) override;
    Result<LeaseId> grant_lease(Duration time_to_live) override;
    Status keep_alive(LeaseId lease) override;
    Status revoke(LeaseId lease) override;

  private:
    struct Applied {
        Revision revision = 0;
        std::vector<std::string_view> keys;  ///< views into the changes
    };

    Result<Batch> history(std::string_view prefix, Revision after, Revision through) override;
    Status remove_due() override;
    Duration until_due(Duration longest) const override { return leases_.until_next(longest); }

    // REQUIRES of all below: writer_mutex_.
    Status check_conditions(const Transaction& transaction);
    Result<Applied> apply(const std::vector<Transaction::Change>& changes);
    /// Commits and tells the watchers.
    Status finish(WriteTransaction& sqlite, const Applied& applied);
    Result<std::optional<Revision>> write(const Transaction::Change& change, Revision revision);
    Result<bool> remove_some_keys_of(LeaseId lease);
    Status end_lease(LeaseId lease);

    // REQUIRES: reader_mutex_, and a read transaction.
    Result<Batch> read_history(std::string_view prefix, Revision after, Revision through);

    const SqliteOptions options_;
    std::mutex writer_mutex_;
    Writer writer_;
    std::mutex reader_mutex_;
    Reader reader_;
    /// Of the last commit, so that asking for it costs nothing; changes with writer_mutex_ held.
    std::atomic<Revision> newest_;
    LeaseBook leases_;
    WatchHub hub_;
};

Status SqliteStore::load_leases() {
    HD_TRY(Statement leases, writer_.connection.prepare(kLeases));
    for (;;) {
        HD_TRY(const bool row, leases.step());
        if (!row) return {};
        HD_CHECK(leases_.add(leases.number(0), std::chrono::milliseconds(leases.number(1))));
    }
}

Result<std::optional<Entry>> SqliteStore::get(std::string_view key) {
    HD_CHECK(remove_due());
    const std::lock_guard lock(reader_mutex_);
    const ResetAtEnd reset_at_end(reader_.get);
    HD_TRY(const bool row, reader_.get.bind(1, key).step());
    if (!row) return std::optional<Entry>();
    return std::optional<Entry>(entry_of(reader_.get));
}

Result<std::vector<Entry>> SqliteStore::list(std::string_view prefix, const ListOptions& options) {
    HD_CHECK(check_list(prefix, options));
    HD_CHECK(remove_due());
    // One lower bound, so that a later page costs no more than the first: the key that follows
    // `after` directly has one zero byte more.
    const std::string first =
        options.after >= prefix ? options.after + std::string(1, '\0') : std::string(prefix);
    const std::optional<std::string> end = prefix_end(prefix);
    const std::lock_guard lock(reader_mutex_);
    Statement& statement = end ? reader_.list : reader_.list_to_end;
    const ResetAtEnd reset_at_end(statement);
    statement.bind(1, first).bind(2, static_cast<std::int64_t>(options.limit));
    if (end) statement.bind(3, *end);
    std::vector<Entry> found;
    for (;;) {
        HD_TRY(const bool row, statement.step());
        if (!row) return found;
        found.push_back(entry_of(statement));
    }
}

Status SqliteStore::check_conditions(const Transaction& transaction) {
    for (const auto& condition : transaction.conditions()) {
        const ResetAtEnd reset_at_end(writer_.stamp);
        HD_TRY(const bool row, writer_.stamp.bind(1, condition.key).step());
        if ((row ? writer_.stamp.number(1) : 0) != condition.modified)
            return conflict_on(condition.key);
    }
    for (const auto& change : transaction.changes()) {
        if (change.lease != kNoLease && !leases_.is_alive(change.lease))
            return no_such_lease(change.lease);
    }
    return {};
}

/// The revision at which the key was created; none if there was nothing to remove.
Result<std::optional<Revision>> SqliteStore::write(const Transaction::Change& change,
                                                   Revision revision) {
    Statement& statement = change.value ? writer_.put : writer_.remove;
    const ResetAtEnd reset_at_end(statement);
    statement.bind(1, change.key);
    if (change.value) statement.bind(2, *change.value).bind(3, revision).bind(4, change.lease);
    HD_TRY(const bool row, statement.step());
    if (!row) return std::optional<Revision>();
    const Revision created = statement.number(0);
    HD_TRY([[maybe_unused]] const bool more, statement.step());
    return std::optional<Revision>(created);
}

Result<SqliteStore::Applied> SqliteStore::apply(const std::vector<Transaction::Change>& changes) {
    HD_TRY(const Revision before, read_revision(writer_.newest));
    Applied applied{before + 1, {}};
    std::int64_t sequence = applied.revision * kSequencePerRevision;
    for (const auto& change : changes) {
        HD_TRY(const auto created, write(change, applied.revision));
        if (!created) continue;  // removing what is not there changes nothing
        writer_.record.bind(1, sequence++).bind(2, change.key).bind(4, *created);
        if (change.value)
            writer_.record.bind(3, *change.value);
        else
            writer_.record.bind_null(3);
        HD_CHECK(writer_.record.run());
        applied.keys.push_back(change.key);
    }
    if (applied.keys.empty()) return Applied{before, {}};
    const auto kept = static_cast<Revision>(options_.history_revisions);
    if (applied.revision % kCompactEvery == 0 && applied.revision > kept) {
        const Revision oldest_kept = applied.revision - kept + 1;
        HD_CHECK(writer_.compact.bind(1, oldest_kept * kSequencePerRevision).run());
    }
    return applied;
}

Result<Revision> SqliteStore::commit(const Transaction& transaction) {
    HD_CHECK(check_transaction(transaction));
    HD_CHECK(remove_due());
    const std::lock_guard lock(writer_mutex_);
    HD_TRY(auto sqlite, WriteTransaction::begin(writer_.connection));
    HD_CHECK(check_conditions(transaction));
    HD_TRY(const Applied applied, apply(transaction.changes()));
    if (applied.keys.empty()) return applied.revision;
    HD_CHECK(finish(sqlite, applied));
    return applied.revision;
}

Result<Revision> SqliteStore::revision() {
    HD_CHECK(remove_due());
    const Revision known = newest_;
    if (known != kUnknown) return known;
    const std::lock_guard lock(reader_mutex_);
    return read_revision(reader_.newest);
}

Status SqliteStore::finish(WriteTransaction& sqlite, const Applied& applied) {
    const Status done = sqlite.commit();
    // What failed may have happened all the same: only the file knows then.
    newest_ = done.ok() ? applied.revision : kUnknown;
    HD_CHECK(done);
    hub_.publish(applied.revision, applied.keys);
    return ok_status();
}

Result<std::unique_ptr<Watch>> SqliteStore::watch(std::string_view prefix, Revision after) {
    return hub_.watch(prefix, after);
}

Result<HistorySource::Batch> SqliteStore::history(std::string_view prefix, Revision after,
                                                  Revision through) {
    const std::lock_guard lock(reader_mutex_);
    // One read transaction, so that the history cannot be compacted between two statements.
    HD_CHECK(reader_.connection.execute("BEGIN"));
    auto batch = read_history(prefix, after, through);
    const Status ended = reader_.connection.execute("COMMIT");
    if (batch.ok() && !ended.ok()) return ended.error();
    return batch;
}

Result<HistorySource::Batch> SqliteStore::read_history(std::string_view prefix, Revision after,
                                                       Revision through) {
    {
        const ResetAtEnd reset_at_end(reader_.oldest);
        HD_TRY(const bool row, reader_.oldest.step());
        const bool is_empty = !row || reader_.oldest.is_null(0);
        const Revision oldest = is_empty ? 1 : reader_.oldest.number(0) / kSequencePerRevision;
        if (after < oldest - 1) return history_gone(after, oldest - 1);
    }
    Batch batch;
    std::size_t bytes = 0;
    const ResetAtEnd reset_at_end(reader_.history);
    reader_.history.bind(1, (after + 1) * kSequencePerRevision)
        .bind(2, (through + 1) * kSequencePerRevision);
    for (;;) {
        HD_TRY(const bool row, reader_.history.step());
        if (!row) return batch;
        Event event{reader_.history.text(1), std::nullopt,
                    reader_.history.number(0) / kSequencePerRevision};
        if (!event.key.starts_with(prefix)) continue;
        const bool is_full = batch.events.size() + kTransactionChangesMax >= kWatchEventsMax ||
                             bytes >= kWatchBytesMax;
        if (is_full && batch.events.back().revision != event.revision) {
            batch.more = true;
            return batch;
        }
        if (auto value = reader_.history.optional_text(2)) {
            bytes += value->size();
            event.entry =
                Entry{event.key, std::move(*value), reader_.history.number(3), event.revision};
        }
        bytes += event.key.size();
        batch.events.push_back(std::move(event));
    }
}

Result<LeaseId> SqliteStore::grant_lease(Duration time_to_live) {
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(time_to_live);
    const std::lock_guard lock(writer_mutex_);
    HD_TRY(auto sqlite, WriteTransaction::begin(writer_.connection));
    LeaseId lease = kNoLease;
    {
        const ResetAtEnd reset_at_end(writer_.add_lease);
        HD_TRY([[maybe_unused]] const bool row,
               writer_.add_lease.bind(1, milliseconds.count()).step());
        lease = writer_.add_lease.number(0);
        HD_TRY([[maybe_unused]] const bool more, writer_.add_lease.step());
    }
    HD_CHECK(leases_.add(lease, time_to_live));
    if (const Status committed = sqlite.commit(); !committed.ok()) {
        leases_.erase(lease);
        return committed.error();
    }
    return lease;
}

Status SqliteStore::keep_alive(LeaseId lease) { return leases_.keep_alive(lease); }

Status SqliteStore::revoke(LeaseId lease) {
    HD_CHECK(remove_due());
    const std::lock_guard lock(writer_mutex_);
    if (!leases_.contains(lease)) return no_such_lease(lease);
    return end_lease(lease);
}

Status SqliteStore::remove_due() {
    if (!leases_.has_due()) return {};
    const std::lock_guard lock(writer_mutex_);
    for (const LeaseId lease : leases_.due()) HD_CHECK(end_lease(lease));
    return {};
}

/// True if there may be more. At most kTransactionChangesMax keys go at one revision.
Result<bool> SqliteStore::remove_some_keys_of(LeaseId lease) {
    HD_TRY(auto sqlite, WriteTransaction::begin(writer_.connection));
    Transaction removal;
    {
        const ResetAtEnd reset_at_end(writer_.leased);
        writer_.leased.bind(1, lease).bind(2, static_cast<std::int64_t>(kTransactionChangesMax));
        for (;;) {
            HD_TRY(const bool row, writer_.leased.step());
            if (!row) break;
            removal.remove(writer_.leased.text(0));
        }
    }
    const bool is_last = removal.changes().size() < kTransactionChangesMax;
    HD_TRY(const Applied applied, apply(removal.changes()));
    if (is_last) HD_CHECK(writer_.remove_lease.bind(1, lease).run());
    HD_CHECK(applied.keys.empty() ? sqlite.commit() : finish(sqlite, applied));
    return !is_last;
}

Status SqliteStore::end_lease(LeaseId lease) {
    for (;;) {
        HD_TRY(const bool more, remove_some_keys_of(lease));
        if (!more) break;
    }
    leases_.erase(lease);
    return {};
}

Status configure(Connection& connection, const SqliteOptions& options) {
    // A small page cache: the kernel's is enough, and every process of ours is to stay small.
    HD_CHECK(connection.execute("PRAGMA journal_mode = WAL"));
    HD_CHECK(connection.execute("PRAGMA synchronous = FULL"));
    HD_CHECK(connection.execute("PRAGMA foreign_keys = ON"));
    HD_CHECK(connection.execute("PRAGMA trusted_schema = OFF"));
    HD_CHECK(connection.execute("PRAGMA cache_size = -512"));
    HD_CHECK(connection.execute("PRAGMA temp_store = MEMORY"));
    HD_CHECK(connection.execute("PRAGMA journal_size_limit = 8388608"));
    return connection.execute(
        fmt::format("PRAGMA max_page_count = {}", options.file_bytes_max / kPageBytes));
}

Status check_whole(Connection& connection) {
    HD_TRY(const std::int64_t pages, connection.query_number("PRAGMA page_count"));
    if (pages * kPageBytes > kCheckedAtOpenBytesMax) return {};
    HD_TRY(const std::string verdict, connection.query_text("PRAGMA quick_check(1)"));
    if (verdict == "ok") return {};
    return Error{ErrorCode::corrupt, fmt::format("the store is damaged: {}", verdict), "",
                 "restore the store from a backup"};
}

/// SQLite gives its side files the mode of the main file, so that one is made first.
Status make_private_file(const std::string& path) {
    const os::Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (fd.valid()) return {};
    return Error{errno == ENOSPC ? ErrorCode::resource_exhausted : ErrorCode::io,
                 fmt::format("cannot open '{}': {}", path, strerrordesc_np(errno)), path,
                 "check that the folder exists and can be written"};
}

Result<std::unique_ptr<Store>> open_checked(const std::string& path, const Clock& clock,
                                            const SqliteOptions& options) {
    HD_CHECK(make_private_file(path));
    HD_TRY(Connection writing, Connection::open(path));
    HD_CHECK(configure(writing, options));
    HD_CHECK(check_whole(writing));
    HD_CHECK(migrate(writing, newest_schema_version()));
    HD_TRY(Connection reading, Connection::open(path));
    HD_CHECK(configure(reading, options));
    HD_TRY(Writer writer, Writer::prepare(std::move(writing)));
    HD_TRY(Reader reader, Reader::prepare(std::move(reading)));
    HD_TRY(const Revision revision, read_revision(writer.newest));
    auto store = std::make_unique<SqliteStore>(std::move(writer), std::move(reader), revision,
                                               clock, options);
    HD_CHECK(store->load_leases());
    return std::unique_ptr<Store>(std::move(store));
}

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite_store(const std::string& path, const Clock& clock,
                                                 const SqliteOptions& options) {
    auto store = open_checked(path, clock, options);
    if (!store.ok()) return store.error().in(path);
    return store;
}

}  // namespace howdah::store
