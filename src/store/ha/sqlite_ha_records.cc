#include <fcntl.h>
#include <fmt/core.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <mutex>
#include <thread>

#include "os/fd.h"
#include "store/ha/ha_records.h"
#include "store/ha/limits.h"
#include "store/sqlite/connection.h"

namespace howdah::store {
namespace {

/// "HdHA": tells the file from any other of SQLite.
constexpr std::int64_t kApplicationId = 0x48644841;
constexpr std::int64_t kVersion = 1;
constexpr int kOpenTries = 12;
constexpr std::chrono::milliseconds kOpenPause(5);

// Revisions come from one counter for all servers, so that a record that is removed and made again
// never has one that somebody may still have in mind.
constexpr const char* kSchema =
    "CREATE TABLE record (server TEXT PRIMARY KEY, revision INTEGER NOT NULL, "
    "  record BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE lease (agent TEXT PRIMARY KEY, counter INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE last (revision INTEGER NOT NULL);"
    "INSERT INTO last VALUES (0);";

constexpr std::string_view kGet = "SELECT revision, record FROM record WHERE server = ?1";
constexpr std::string_view kLeases = "SELECT agent, counter FROM lease";
constexpr std::string_view kLease = "SELECT counter FROM lease WHERE agent = ?1";
constexpr std::string_view kNext = "UPDATE last SET revision = revision + 1 RETURNING revision";
constexpr std::string_view kPut =
    "INSERT INTO record VALUES (?1, ?2, ?3) ON CONFLICT (server) DO UPDATE SET "
    "revision = excluded.revision, record = excluded.record";
constexpr std::string_view kRemove = "DELETE FROM record WHERE server = ?1";
// The first is more than any that an agent of this name, or of this path's file before it, can have
// come to: whoever remembers one never takes another for it.
constexpr std::string_view kRenew =
    "INSERT INTO lease VALUES (?1, CAST(strftime('%s', 'now') AS INTEGER) * 1000) "
    "ON CONFLICT (agent) DO UPDATE SET counter = counter + 1";
constexpr std::string_view kForget = "DELETE FROM lease WHERE agent = ?1";

/// SQLite does not tell other processes of a commit: whoever has changed a record writes a byte
/// into a file that the others watch.
class FileBell final : public HaRecords::Bell {
  public:
    explicit FileBell(const std::string& path) : inotify_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
        if (inotify_.valid()) (void)inotify_add_watch(inotify_.get(), path.c_str(), IN_MODIFY);
    }
    int fd() const override { return inotify_.get(); }
    void clear() override {
        alignas(inotify_event) char events[4096];
        while (::read(inotify_.get(), events, sizeof events) > 0) {
        }
    }

  private:
    os::Fd inotify_;
};

class SqliteHaRecords final : public HaRecords {
  public:
    SqliteHaRecords(Connection durable, Connection quick, std::string bell_path)
        : durable_(std::move(durable)),
          quick_(std::move(quick)),
          bell_path_(std::move(bell_path)),
          bell_(::open(bell_path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) {}

    std::unique_ptr<Bell> bell() override { return std::make_unique<FileBell>(bell_path_); }

    Result<Seen> read(std::string_view server) override;
    Result<std::int64_t> replace(std::string_view server, std::int64_t revision,
                                 std::string_view record,
                                 const std::optional<Lease>& silent) override;
    Status remove(std::string_view server, std::int64_t revision) override;
    Status renew(std::string_view agent) override;
    Status forget(std::string_view agent) override;

  private:
    Result<std::int64_t> revision_of(std::string_view server);
    Status expect(std::string_view server, std::int64_t revision);
    Status expect_silent(const Lease& lease);

    /// Lost is what was not read: the next look is only late.
    void ring() const { (void)!::pwrite(bell_.get(), "!", 1, 0); }

    std::mutex mutex_;
    Connection durable_;  ///< syncs at each commit; guarded by mutex_
    Connection quick_;    ///< does not; guarded by mutex_
    const std::string bell_path_;
    const os::Fd bell_;
};

Result<HaRecords::Seen> SqliteHaRecords::read(std::string_view server) {
    HD_CHECK(check_ha_name(server));
    const std::lock_guard lock(mutex_);
    HD_CHECK(durable_.execute("BEGIN"));
    const auto look = [&]() -> Result<Seen> {
        Seen seen;
        HD_TRY(Statement get, durable_.prepare(kGet));
        HD_TRY(const bool there, get.bind(1, server).step());
        if (there) {
            seen.revision = get.number(0);
            seen.record = get.text(1);
        }
        HD_TRY(Statement leases, durable_.prepare(kLeases));
        for (;;) {
            HD_TRY(const bool row, leases.step());
            if (!row) return seen;
            seen.leases[leases.text(0)] = leases.number(1);
        }
    };
    Result<Seen> seen = look();
    const Status ended = durable_.execute("COMMIT");
    if (seen.ok() && !ended.ok()) return ended.error();
    return seen;
}

Result<std::int64_t> SqliteHaRecords::revision_of(std::string_view server) {
    HD_TRY(Statement get, durable_.prepare(kGet));
    HD_TRY(const bool there, get.bind(1, server).step());
    return there ? get.number(0) : 0;
}

Status SqliteHaRecords::expect(std::string_view server, std::int64_t revision) {
    HD_TRY(const std::int64_t found, revision_of(server));
    if (found == revision) return ok_status();
    return other_ha_revision(server, found, revision);
}

Status SqliteHaRecords::expect_silent(const Lease& lease) {
    HD_TRY(Statement get, durable_.prepare(kLease));
    HD_TRY(const bool there, get.bind(1, lease.agent).step());
    if ((there ? get.number(0) : 0) == lease.counter) return ok_status();
    return lease_has_moved(lease.agent);
}

Result<std::int64_t> SqliteHaRecords::replace(std::string_view server, std::int64_t revision,
                                              std::string_view record,
                                              const std::optional<Lease>& silent) {
    HD_CHECK(check_ha_record(server, record));
    const std::lock_guard lock(mutex_);
    HD_TRY(auto transaction, WriteTransaction::begin(durable_));
    HD_CHECK(expect(server, revision));
    if (silent) HD_CHECK(expect_silent(*silent));
    std::int64_t next = 0;
    {
        HD_TRY(Statement count, durable_.prepare(kNext));
        HD_TRY(const bool row, count.step());
        if (!row) return Error{ErrorCode::corrupt, "the HA records have no counter"};
        next = count.number(0);
    }
    {
        HD_TRY(Statement put, durable_.prepare(kPut));
        HD_CHECK(put.bind(1, server).bind(2, next).bind(3, record).run());
    }
    HD_CHECK(transaction.commit());
    ring();
    return next;
}

Status SqliteHaRecords::remove(std::string_view server, std::int64_t revision) {
    HD_CHECK(check_ha_name(server));
    const std::lock_guard lock(mutex_);
    HD_TRY(auto transaction, WriteTransaction::begin(durable_));
    HD_CHECK(expect(server, revision));
    {
        HD_TRY(Statement gone, durable_.prepare(kRemove));
        HD_CHECK(gone.bind(1, server).run());
    }
    HD_CHECK(transaction.commit());
    ring();
    return ok_status();
}

Status SqliteHaRecords::renew(std::string_view agent) {
    HD_CHECK(check_ha_name(agent));
    const std::lock_guard lock(mutex_);
    HD_TRY(Statement counter, quick_.prepare(kRenew));
    return counter.bind(1, agent).run();
}

Status SqliteHaRecords::forget(std::string_view agent) {
    HD_CHECK(check_ha_name(agent));
    const std::lock_guard lock(mutex_);
    HD_TRY(Statement counter, quick_.prepare(kForget));
    return counter.bind(1, agent).run();
}

Result<Connection> open_connection(const std::string& path, const char* synchronous) {
    HD_TRY(Connection connection, Connection::open(path));
    sqlite3_busy_timeout(connection.raw(), HaRecords::kWaitMaxMs);
    HD_CHECK(connection.execute("PRAGMA journal_mode = WAL"));
    HD_CHECK(connection.execute(fmt::format("PRAGMA synchronous = {}", synchronous)));
    HD_CHECK(connection.execute("PRAGMA trusted_schema = OFF"));
    HD_CHECK(connection.execute("PRAGMA cache_size = -64"));
    HD_CHECK(connection.execute("PRAGMA journal_size_limit = 1048576"));
    return connection;
}

/// Several agents may come first at the same time.
Status make_tables(Connection& connection) {
    HD_TRY(auto transaction, WriteTransaction::begin(connection));
    HD_TRY(const std::int64_t tables,
           connection.query_number("SELECT count(*) FROM sqlite_schema"));
    if (tables > 0) return ok_status();
    HD_CHECK(connection.execute(kSchema));
    HD_CHECK(connection.execute(fmt::format("PRAGMA application_id = {}", kApplicationId)));
    HD_CHECK(connection.execute(fmt::format("PRAGMA user_version = {}", kVersion)));
    return transaction.commit();
}

/// A file that is in use is only read: whoever writes may keep it from being written for long.
Status prepare_file(Connection& connection) {
    HD_TRY(const std::int64_t tables,
           connection.query_number("SELECT count(*) FROM sqlite_schema"));
    if (tables == 0) HD_CHECK(make_tables(connection));
    HD_TRY(const std::int64_t application, connection.query_number("PRAGMA application_id"));
    HD_TRY(const std::int64_t version, connection.query_number("PRAGMA user_version"));
    if (application != kApplicationId)
        return Error{ErrorCode::corrupt, "the file of the HA records belongs to something else"};
    if (version > kVersion)
        return Error{
            ErrorCode::not_supported,
            fmt::format("the HA records have version {}, this program knows {}", version, kVersion),
            "", "use the newer howdah-agent"};
    return ok_status();
}

/// Makes the file, so that it is nobody else's from its first moment on. One that is there is not
/// touched: closing it would drop the locks that SQLite holds on it in this process.
Status make_file(const std::string& path) {
    const os::Fd file(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file.valid() || errno == EEXIST) return ok_status();
    return Error{ErrorCode::io, fmt::format("cannot make '{}': {}", path, strerror(errno)), "",
                 "check that its folder exists and can be written"};
}

Result<std::unique_ptr<HaRecords>> try_open(const std::string& path) {
    HD_CHECK(make_file(path));
    HD_TRY(Connection durable, open_connection(path, "FULL"));
    HD_CHECK(prepare_file(durable));
    HD_TRY(Connection quick, open_connection(path, "NORMAL"));
    return std::unique_ptr<HaRecords>(
        std::make_unique<SqliteHaRecords>(std::move(durable), std::move(quick), path + ".bell"));
}

}  // namespace

Result<std::unique_ptr<HaRecords>> open_ha_records(const std::string& path) {
    for (int attempt = 1;; ++attempt) {
        auto opened = try_open(path);
        // Two that make the same file a WAL file at once could wait for each other for ever, so
        // SQLite turns one away without waiting.
        const bool is_busy = !opened.ok() && opened.error().code == ErrorCode::unavailable;
        if (!is_busy || attempt == kOpenTries) return opened;
        std::this_thread::sleep_for(kOpenPause * attempt);
    }
}

}  // namespace howdah::store
