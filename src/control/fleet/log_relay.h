#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "http/server.h"
#include "model/records.h"

namespace howdah::control {

/// A part of a log file that somebody wants to have.
struct LogWanted {
    std::string host;  ///< whose agent has it
    std::string incarnation;
    std::string name;
    std::int64_t offset = 0;
    std::optional<std::int64_t> bytes;  ///< none: up to the end
};

struct LogPart {
    std::shared_ptr<const http::BodySource> body;
    std::int64_t file_bytes = 0;  ///< of the whole file when the transfer began
};
/// Called once, on any thread. Errors: not_found; too_large, too_many_requests for the bounds;
/// unavailable when the agent does not send.
using LogDone = std::function<void(Result<LogPart>)>;

/// Brings parts of log files from agents, which cannot be connected to, to whoever wants them:
/// fetch() keeps the request until the agent's poll takes it; the agent sends piece after piece to
/// take(), which collects them in a file without a name; when all of it is there, `done` is called.
/// Memory holds one piece of each connection; files hold kSpoolBytesMax together, including those
/// that are still being read, and those of one server kSpoolBytesPerServer. An agent that breaks
/// off is asked again from where it stood.
///
/// It makes no threads; step() is to be called several times a second. Thread-safe.
class LogRelay {
  public:
    static constexpr std::size_t kTransfersMax = 32;
    static constexpr std::size_t kTransfersPerServer = 4;
    static constexpr std::int64_t kPartBytesMax = 256LL << 20;
    static constexpr std::int64_t kSpoolBytesMax = 1LL << 30;
    static constexpr std::int64_t kSpoolBytesPerServer = kSpoolBytesMax / 2;
    static constexpr Duration kAskAgainAfter = std::chrono::seconds(5);
    static constexpr Duration kQuietMax = std::chrono::seconds(20);  ///< without a piece
    static constexpr Duration kWholeMax = std::chrono::minutes(5);

    /// `folder`: where the files without names are.
    LogRelay(const Clock& clock, IdSource& ids, std::string folder);

    void fetch(LogWanted wanted, LogDone done);

    bool has_requests(const std::string& host);
    /// What the agent of a host is to be asked for now; each is asked for again after
    /// kAskAgainAfter without a piece.
    std::vector<model::LogRequest> take_requests(const std::string& host);

    /// A piece of a file from an agent, which has `file_bytes` when it is opened.
    model::LogReply take(const std::string& host, const std::string& id, std::int64_t offset,
                         std::int64_t file_bytes, std::string_view piece);
    void take_failure(const std::string& host, const std::string& id, ErrorCode code);

    /// Ends what takes too long; the hosts that have something to be asked for.
    std::vector<std::string> step();

  private:
    struct Budget;
    class Spool;
    struct Transfer {
        LogWanted wanted;
        LogDone done;
        Instant begun{};
        Instant last_piece{};
        std::optional<Instant> asked;
        bool is_busy = false;         ///< a piece is being written
        std::int64_t file_bytes = 0;  ///< when the first piece came
        std::int64_t target = 0;      ///< bytes that make the part whole
        std::int64_t received = 0;
        std::shared_ptr<Spool> spool;  ///< from the first piece on
    };

    bool is_due_locked(const Transfer& transfer) const;
    Status begin_locked(Transfer& transfer, std::int64_t file_bytes);
    std::optional<Transfer> remove(const std::string& id);
    void end(const std::string& id, Result<LogPart> result);

    const Clock& clock_;
    IdSource& ids_;
    const std::string folder_;
    const std::shared_ptr<Budget> budget_;
    std::mutex mutex_;
    std::map<std::string, Transfer> transfers_;  ///< guarded by mutex_; by request id
};

}  // namespace howdah::control
