#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace howdah::store {

/// What SQLite's result code means to us: resource_exhausted (disk full), corrupt, unavailable
/// (busy beyond the wait), io. `what` says what was tried.
Error sqlite_error(sqlite3* database, int code, std::string_view what);

/// A prepared statement that is used again and again. Not thread-safe. Parameters are numbered
/// from 1 and columns from 0, as in SQLite. Text that is bound must live until the next reset().
class Statement {
  public:
    Statement(Statement&&) noexcept = default;
    Statement& operator=(Statement&&) noexcept = default;

    Statement& bind(int index, std::string_view text);
    Statement& bind(int index, std::int64_t number);
    Statement& bind_null(int index);
    /// True: there is a row.
    Result<bool> step();
    /// Runs a statement without rows to its end and resets it.
    Status run();
    /// Ends the statement's read and forgets what was bound.
    void reset();

    std::string text(int column) const;
    std::optional<std::string> optional_text(int column) const;
    std::int64_t number(int column) const;
    bool is_null(int column) const;

  private:
    friend class Connection;
    struct Finalize {
        void operator()(sqlite3_stmt* statement) const;
    };
    Statement(sqlite3* database, sqlite3_stmt* statement)
        : database_(database), statement_(statement) {}
    sqlite3* database_;
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// Resets a statement at the end of a scope, so that no read stays open.
class ResetAtEnd {
  public:
    explicit ResetAtEnd(Statement& statement) : statement_(statement) {}
    ~ResetAtEnd() { statement_.reset(); }
    ResetAtEnd(const ResetAtEnd&) = delete;
    ResetAtEnd& operator=(const ResetAtEnd&) = delete;

  private:
    Statement& statement_;
};

/// One connection to an SQLite file. Not thread-safe.
class Connection {
  public:
    static Result<Connection> open(const std::string& path);
    Connection(Connection&&) noexcept = default;
    Connection& operator=(Connection&&) noexcept = default;

    Result<Statement> prepare(std::string_view sql);
    /// Runs statements without parameters; their rows are dropped.
    Status execute(const std::string& sql);
    /// The first column of the first row of a query.
    Result<std::int64_t> query_number(std::string_view sql);
    Result<std::string> query_text(std::string_view sql);
    bool in_transaction() const;
    sqlite3* raw() const { return database_.get(); }

  private:
    struct Close {
        void operator()(sqlite3* database) const;
    };
    explicit Connection(sqlite3* database) : database_(database) {}
    std::unique_ptr<sqlite3, Close> database_;
};

/// A write transaction (BEGIN IMMEDIATE) that rolls back unless it was committed.
class WriteTransaction {
  public:
    static Result<WriteTransaction> begin(Connection& connection);
    WriteTransaction(WriteTransaction&& other) noexcept
        : connection_(std::exchange(other.connection_, nullptr)) {}
    WriteTransaction& operator=(WriteTransaction&&) = delete;
    ~WriteTransaction();
    /// ErrorCode::timeout (maybe_done) if it is not known whether the commit reached the disk.
    Status commit();

  private:
    explicit WriteTransaction(Connection& connection) : connection_(&connection) {}
    Connection* connection_;
};

}  // namespace howdah::store
