#include "pg/connection.h"

#include <errno.h>
#include <fmt/core.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/text.h"

namespace howdah::pg {
namespace {

/// The server gives a statement up this much after we do.
constexpr auto kServerGrace = std::chrono::milliseconds(500);
constexpr std::size_t kMessageBytesMax = 2048;
constexpr auto kStopLook = std::chrono::milliseconds(100);

struct FreeResult {
    void operator()(PGresult* result) const { PQclear(result); }
};
using ResultHandle = std::unique_ptr<PGresult, FreeResult>;

struct FreeConnection {
    void operator()(PGconn* connection) const { PQfinish(connection); }
};
using Handle = std::unique_ptr<PGconn, FreeConnection>;

/// Verifiers never leave in an error text, whatever the server quotes.
std::string redact(std::string text) {
    constexpr std::string_view kMark = "SCRAM-SHA-256$";
    for (std::size_t at = text.find(kMark); at != std::string::npos; at = text.find(kMark, at)) {
        std::size_t end = at;
        while (end < text.size() && !std::isspace(static_cast<unsigned char>(text[end])) &&
               text[end] != '\'' && text[end] != '"')
            ++end;
        text.replace(at, end - at, "***");
    }
    if (text.size() > kMessageBytesMax) text.resize(kMessageBytesMax);
    return text;
}

std::string first_line(const char* text) {
    const std::string_view whole = trim(text == nullptr ? "" : text);
    return redact(std::string(whole.substr(0, whole.find('\n'))));
}

/// False when the deadline passed first.
bool wait_for(int socket, short events, Instant end) {
    const SystemClock clock;
    while (true) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - clock.now()).count();
        pollfd polled{socket, events, 0};
        const int count =
            poll(&polled, 1, static_cast<int>(std::clamp<long long>(left, 0, 3'600'000)));
        if (count > 0) return true;
        if (clock.now() >= end) return false;
    }
}

long long to_milliseconds(Duration duration) {
    return std::max<long long>(
        1, std::chrono::ceil<std::chrono::milliseconds>(duration + kServerGrace).count());
}

}  // namespace

const std::string& Rows::at(std::size_t row, std::size_t column) const {
    HD_ASSERT(row < rows.size() && column < rows[row].size(), "no such row or column");
    HD_ASSERT(rows[row][column].has_value(), "the value is NULL");
    return *rows[row][column];
}

struct Connection::State {
    Handle handle;
    long long statement_timeout_ms = 0;  ///< what the session has now

    Error lost() {
        const std::string message = first_line(PQerrorMessage(handle.get()));
        handle.reset();
        return {ErrorCode::timeout, "the connection to PostgreSQL broke: " + message};
    }

    Error late() {
        handle.reset();
        return {ErrorCode::timeout, "PostgreSQL did not answer in time"};
    }

    Error refused(const PGresult* result) {
        const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        const char* text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        const char* detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
        const char* hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
        std::string message = text == nullptr ? PQresultErrorMessage(result) : text;
        if (detail != nullptr) message += fmt::format(" ({})", detail);
        Error error{ErrorCode::postgres, redact(message), state == nullptr ? "" : state,
                    hint == nullptr ? "" : redact(hint)};
        if (PQstatus(handle.get()) == CONNECTION_BAD) handle.reset();
        return error;
    }

    /// False when the deadline passed first.
    bool wait_for_answer(Instant end, Instant slow_at, WhenSlow& slow) {
        const int socket = PQsocket(handle.get());
        if (slow.look && slow_at < end) {
            if (wait_for(socket, POLLIN, slow_at)) return true;
            std::exchange(slow.look, nullptr)();
        }
        if (!slow.stop.stop_possible()) return wait_for(socket, POLLIN, end);
        while (!slow.stop.stop_requested()) {
            const Instant now = SystemClock().now();
            if (wait_for(socket, POLLIN, std::min(end, now + kStopLook))) return true;
            if (now >= end) break;
        }
        return false;
    }

    /// Waits for everything that the statement sent yields; the last result is returned.
    Result<ResultHandle> finish(Instant end, WhenSlow slow = {}) {
        const Instant slow_at = SystemClock().now() + slow.after;
        PGconn* connection = handle.get();
        const int socket = PQsocket(connection);
        for (int unsent = PQflush(connection); unsent != 0; unsent = PQflush(connection)) {
            if (unsent < 0) return lost();
            if (!wait_for(socket, POLLIN | POLLOUT, end)) return late();
            if (PQconsumeInput(connection) == 0) return lost();
        }
        ResultHandle last;
        std::optional<Error> failure;
        while (true) {
            while (PQisBusy(connection) != 0) {
                if (!wait_for_answer(end, slow_at, slow)) return late();
                if (PQconsumeInput(connection) == 0) return lost();
            }
            ResultHandle next(PQgetResult(connection));
            if (!next) break;
            const ExecStatusType status = PQresultStatus(next.get());
            if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
                handle.reset();
                return Error{ErrorCode::not_supported, "COPY is not for this kind of session"};
            }
            if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
                status != PGRES_EMPTY_QUERY) {
                if (!failure) failure = refused(next.get());
                if (!handle) return *failure;
            }
            last = std::move(next);
        }
        if (failure) return *failure;
        return last;
    }

    /// The first answer to COPY; none: it failed, and finish() tells why.
    Result<bool> begin_copy(Instant end, WhenSlow& slow) {
        PGconn* connection = handle.get();
        for (int unsent = PQflush(connection); unsent != 0; unsent = PQflush(connection)) {
            if (unsent < 0) return lost();
            if (!wait_for(PQsocket(connection), POLLIN | POLLOUT, end)) return late();
            if (PQconsumeInput(connection) == 0) return lost();
        }
        while (PQisBusy(connection) != 0) {
            if (!wait_for_answer(end, end, slow)) return late();
            if (PQconsumeInput(connection) == 0) return lost();
        }
        const ResultHandle first(PQgetResult(connection));
        if (!first) return lost();
        if (PQresultStatus(first.get()) == PGRES_COPY_OUT) return true;
        Error error = refused(first.get());
        if (handle) (void)finish(end);
        return error;
    }

    Status copy_lines(const std::function<void(std::string_view)>& line, Instant end,
                      WhenSlow& slow) {
        PGconn* connection = handle.get();
        for (;;) {
            char* raw = nullptr;
            const int size = PQgetCopyData(connection, &raw, 1);
            if (size == -1) break;
            if (size < -1) return lost();
            if (size == 0) {
                if (!wait_for_answer(end, end, slow)) return late();
                if (PQconsumeInput(connection) == 0) return lost();
                continue;
            }
            std::string_view text(raw, static_cast<std::size_t>(size));
            if (text.ends_with('\n')) text.remove_suffix(1);
            line(text);
            PQfreemem(raw);
            if (SystemClock().now() >= end || slow.stop.stop_requested()) return late();
        }
        const auto done = finish(end);
        return done.ok() ? ok_status() : Status(done.error());
    }

    /// The server ends a statement by itself soon after we would stop waiting, so that closing the
    /// session leaves nothing running.
    Status set_timeout(Duration timeout, Instant end) {
        const long long wanted = to_milliseconds(timeout);
        if (wanted == statement_timeout_ms) return {};
        const std::string sql = fmt::format("SET statement_timeout = {}", wanted);
        if (PQsendQuery(handle.get(), sql.c_str()) == 0) return lost();
        auto done = finish(end);
        if (!done.ok()) return done.error();
        statement_timeout_ms = wanted;
        return {};
    }

    Status check_usable() const {
        if (handle) return {};
        return Error{ErrorCode::unavailable, "the session with PostgreSQL is closed"};
    }
};

Connection::Connection(std::unique_ptr<State> state) : state_(std::move(state)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

Result<Connection> Connection::open(const ConnectOptions& options) {
    const Instant end = SystemClock().now() + options.timeout;
    const std::string port = std::to_string(options.port);
    const bool local = !options.host.empty() && options.host.front() == '/';
    // In the packet that begins the session: it outranks what the role has.
    const std::string server_options =
        options.lock_timeout == Duration::zero()
            ? ""
            : fmt::format(
                  "-c lock_timeout={}",
                  std::chrono::ceil<std::chrono::milliseconds>(options.lock_timeout).count());
    std::vector<std::pair<const char*, const char*>> settings = {
        {"host", options.host.c_str()},
        {"port", port.c_str()},
        {"dbname", options.database.c_str()},
        {"user", options.user.c_str()},
        {"password", options.password.reveal().c_str()},
        {"sslmode", local ? "disable" : options.ssl_mode.c_str()},
        {"gssencmode", "disable"},
        {"application_name", options.application_name.c_str()},
        {"client_encoding", "UTF8"},
        {"options", server_options.c_str()},
        // Nothing of the account that runs this process must have an influence.
        {"passfile", "/nonexistent"},
        {"sslcert", "/nonexistent"},
        {"sslkey", "/nonexistent"},
    };
    if (!options.ssl_root_certificate.empty())
        settings.emplace_back("sslrootcert", options.ssl_root_certificate.c_str());
    std::vector<const char*> keywords, values;
    for (const auto& [keyword, value] : settings) {
        keywords.push_back(keyword);
        values.push_back(value);
    }
    keywords.push_back(nullptr);
    values.push_back(nullptr);
    auto state = std::make_unique<State>();
    state->handle.reset(PQconnectStartParams(keywords.data(), values.data(), 0));
    PGconn* connection = state->handle.get();
    if (connection == nullptr) return Error{ErrorCode::resource_exhausted, "out of memory"};
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    while (next != PGRES_POLLING_OK) {
        if (next == PGRES_POLLING_FAILED || PQstatus(connection) == CONNECTION_BAD)
            return Error{ErrorCode::unavailable, first_line(PQerrorMessage(connection))};
        const short events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (!wait_for(PQsocket(connection), events, end))
            return Error{ErrorCode::unavailable,
                         "PostgreSQL did not answer the connection in time"};
        next = PQconnectPoll(connection);
    }
    if (PQsetnonblocking(connection, 1) != 0) return state->lost();
    PQsetNoticeProcessor(
        connection, [](void*, const char*) {}, nullptr);
    return Connection(std::move(state));
}

Result<Rows> Connection::query(std::string_view sql, const std::vector<Value>& parameters,
                               Duration timeout, WhenSlow slow) {
    HD_CHECK(state_->check_usable());
    const Instant end = SystemClock().now() + timeout;
    HD_CHECK(state_->set_timeout(timeout, end));
    std::vector<const char*> values;
    for (const Value& each : parameters) values.push_back(each ? each->c_str() : nullptr);
    if (PQsendQueryParams(state_->handle.get(), std::string(sql).c_str(),
                          static_cast<int>(values.size()), nullptr, values.data(), nullptr, nullptr,
                          0) == 0)
        return state_->lost();
    HD_TRY(const ResultHandle result, state_->finish(end, std::move(slow)));
    Rows rows;
    if (!result) return rows;
    const int columns = PQnfields(result.get());
    for (int column = 0; column < columns; ++column)
        rows.columns.emplace_back(PQfname(result.get(), column));
    for (int row = 0; row < PQntuples(result.get()); ++row) {
        Row& values_of_row = rows.rows.emplace_back();
        for (int column = 0; column < columns; ++column) {
            if (PQgetisnull(result.get(), row, column) != 0) {
                values_of_row.emplace_back();
            } else {
                values_of_row.emplace_back(
                    std::string(PQgetvalue(result.get(), row, column),
                                static_cast<std::size_t>(PQgetlength(result.get(), row, column))));
            }
        }
    }
    return rows;
}

Status Connection::execute(std::string_view sql, Duration timeout, WhenSlow slow) {
    HD_CHECK(state_->check_usable());
    const Instant end = SystemClock().now() + timeout;
    HD_CHECK(state_->set_timeout(timeout, end));
    if (PQsendQuery(state_->handle.get(), std::string(sql).c_str()) == 0) return state_->lost();
    const auto done = state_->finish(end, std::move(slow));
    if (!done.ok()) return done.error();
    return {};
}

Status Connection::copy_out(std::string_view sql, const std::function<void(std::string_view)>& line,
                            Duration timeout, std::stop_token stop) {
    HD_CHECK(state_->check_usable());
    const Instant end = SystemClock().now() + timeout;
    HD_CHECK(state_->set_timeout(timeout, end));
    if (PQsendQuery(state_->handle.get(), std::string(sql).c_str()) == 0) return state_->lost();
    WhenSlow slow{.stop = std::move(stop)};
    const auto begun = state_->begin_copy(end, slow);
    if (!begun.ok()) return begun.error();
    return state_->copy_lines(line, end, slow);
}

int Connection::backend_pid() const {
    return state_->handle ? PQbackendPID(state_->handle.get()) : 0;
}

bool Connection::is_broken() const {
    return !state_->handle || PQstatus(state_->handle.get()) == CONNECTION_BAD;
}

}  // namespace howdah::pg
