#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"

namespace howdah::pg {

struct ConnectOptions {
    std::string host;  ///< address or the folder of a unix socket
    int port = 5432;
    std::string database = "postgres";
    std::string user;
    Secret password;
    std::string ssl_mode = "disable";
    std::string ssl_root_certificate;  ///< path
    std::string application_name = "howdah";
    Duration timeout = std::chrono::seconds(5);
    /// A statement that waits longer than this for a lock fails with SQLSTATE 55P03, whatever the
    /// role and the database have set; zero: as they have set it.
    Duration lock_timeout = Duration::zero();
};

/// A text value or NULL.
using Value = std::optional<std::string>;
using Row = std::vector<Value>;

struct Rows {
    std::vector<std::string> columns;
    std::vector<Row> rows;
    /// REQUIRES: the value is there and not NULL.
    const std::string& at(std::size_t row, std::size_t column) const;
};

/// What is called, once, when a statement takes longer than `after`; the statement goes on. When a
/// stop is requested it is given up within 0.1 s, with `timeout`.
struct WhenSlow {
    Duration after = Duration::zero();
    std::function<void()> look;  ///< not with this session; none: nothing is called
    std::stop_token stop = {};
};

/// One session with a PostgreSQL server (libpq). Not thread-safe. Every call has a deadline; after
/// a timeout the session is closed, and statement_timeout ends the statement on the server. Errors:
/// `unavailable` (no connection), `timeout` (maybe_done), `postgres` with target = SQLSTATE and the
/// server's message. Passwords and verifiers are never in an error text.
class Connection {
  public:
    static Result<Connection> open(const ConnectOptions& options);
    Connection(Connection&&) noexcept;
    Connection& operator=(Connection&&) noexcept;
    ~Connection();

    Result<Rows> query(std::string_view sql, const std::vector<Value>& parameters = {},
                       Duration timeout = std::chrono::seconds(30), WhenSlow slow = {});
    /// Several statements in one message, without parameters; the last one's rows are dropped.
    Status execute(std::string_view sql, Duration timeout = std::chrono::seconds(30),
                   WhenSlow slow = {});
    /// Runs one "COPY ... TO STDOUT" and hands each line on, without its end. Given up within 0.1 s
    /// of a stop, like WhenSlow's.
    Status copy_out(std::string_view sql, const std::function<void(std::string_view)>& line,
                    Duration timeout, std::stop_token stop = {});
    int backend_pid() const;  ///< 0: the session is closed
    bool is_broken() const;

  private:
    struct State;
    explicit Connection(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// "name" with doubled quotes.
std::string quote_identifier(std::string_view name);
/// 'text' or E'text' with everything escaped; safe whatever standard_conforming_strings says.
std::string quote_literal(std::string_view text);

}  // namespace howdah::pg
