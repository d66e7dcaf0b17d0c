#include "store/sqlite/connection.h"

#include <fmt/core.h>
#include <sqlite3.h>

namespace howdah::store {
namespace {

/// How long a statement waits for another process that writes the same file.
constexpr int kBusyTimeoutMs = 5000;

}  // namespace

Error sqlite_error(sqlite3* database, int code, std::string_view what) {
    const std::string detail =
        database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code);
    const auto error = [&](ErrorCode our_code, std::string_view hint) {
        return Error{our_code, fmt::format("the store could not {}: {}", what, detail), "",
                     std::string(hint)};
    };
    switch (code & 0xff) {
        case SQLITE_FULL:
            return error(ErrorCode::resource_exhausted, "free space on the disk of the store");
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return error(ErrorCode::corrupt, "restore the store from a backup");
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return error(ErrorCode::unavailable, "stop other programs that use the store");
        case SQLITE_CANTOPEN:
        case SQLITE_PERM:
        case SQLITE_READONLY:
            return error(ErrorCode::io, "check that the folder exists and can be written");
        case SQLITE_IOERR:
            return error(ErrorCode::io, "check the disk of the store");
        default:
            return error(ErrorCode::internal, "");
    }
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement& Statement::bind(int index, std::string_view text) {
    // An empty view may have no address, which SQLite would take for NULL.
    sqlite3_bind_text64(statement_.get(), index, text.empty() ? "" : text.data(), text.size(),
                        SQLITE_STATIC, SQLITE_UTF8);
    return *this;
}

Statement& Statement::bind(int index, std::int64_t number) {
    sqlite3_bind_int64(statement_.get(), index, number);
    return *this;
}

Statement& Statement::bind_null(int index) {
    sqlite3_bind_null(statement_.get(), index);
    return *this;
}

Result<bool> Statement::step() {
    const int code = sqlite3_step(statement_.get());
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return sqlite_error(database_, code, "read or write");
}

Status Statement::run() {
    const ResetAtEnd reset_at_end(*this);
    for (;;) {
        HD_TRY(const bool row, step());
        if (!row) return {};
    }
}

void Statement::reset() {
    sqlite3_reset(statement_.get());
    sqlite3_clear_bindings(statement_.get());
}

std::string Statement::text(int column) const {
    const auto* bytes = sqlite3_column_text(statement_.get(), column);
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
    if (bytes == nullptr) return {};
    return {reinterpret_cast<const char*>(bytes), size};
}

std::optional<std::string> Statement::optional_text(int column) const {
    if (is_null(column)) return std::nullopt;
    return text(column);
}

std::int64_t Statement::number(int column) const {
    return sqlite3_column_int64(statement_.get(), column);
}

bool Statement::is_null(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

void Connection::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

Result<Connection> Connection::open(const std::string& path) {
    sqlite3* database = nullptr;
    const int code =
        sqlite3_open_v2(path.c_str(), &database,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    Connection connection(database);
    if (code != SQLITE_OK) return sqlite_error(database, code, fmt::format("open '{}'", path));
    sqlite3_extended_result_codes(database, 1);
    sqlite3_busy_timeout(database, kBusyTimeoutMs);
    return connection;
}

Result<Statement> Connection::prepare(std::string_view sql) {
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) return sqlite_error(database_.get(), code, "prepare a statement");
    return Statement(database_.get(), statement);
}

Status Connection::execute(const std::string& sql) {
    const int code = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return sqlite_error(database_.get(), code, "run a statement");
    return {};
}

Result<std::int64_t> Connection::query_number(std::string_view sql) {
    HD_TRY(Statement statement, prepare(sql));
    HD_TRY(const bool row, statement.step());
    return row ? statement.number(0) : 0;
}

Result<std::string> Connection::query_text(std::string_view sql) {
    HD_TRY(Statement statement, prepare(sql));
    HD_TRY(const bool row, statement.step());
    return row ? statement.text(0) : std::string();
}

bool Connection::in_transaction() const { return sqlite3_get_autocommit(database_.get()) == 0; }

Result<WriteTransaction> WriteTransaction::begin(Connection& connection) {
    HD_CHECK(connection.execute("BEGIN IMMEDIATE"));
    return WriteTransaction(connection);
}

WriteTransaction::~WriteTransaction() {
    if (connection_ == nullptr || !connection_->in_transaction()) return;
    // Nothing can be done about a failed rollback; SQLite rolls back when the file is next opened.
    (void)connection_->execute("ROLLBACK").ok();
}

Status WriteTransaction::commit() {
    const int code = sqlite3_exec(connection_->raw(), "COMMIT", nullptr, nullptr, nullptr);
    if (code == SQLITE_OK) return {};
    Error error = sqlite_error(connection_->raw(), code, "commit");
    // A failed write or sync leaves open what a crash would find in the write-ahead log.
    if ((code & 0xff) == SQLITE_IOERR) error.code = ErrorCode::timeout;
    return error;
}

}  // namespace howdah::store
