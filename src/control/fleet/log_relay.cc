#include "control/fleet/log_relay.h"

#include <fmt/core.h>

#include <algorithm>

#include "os/file.h"

namespace howdah::control {

/// Bytes that the spools have on disk, or will have. Thread-safe.
struct LogRelay::Budget {
    /// False if there is no room.
    bool take(const std::string& incarnation, std::int64_t bytes) {
        const std::lock_guard lock(mutex);
        const bool fits = used + bytes <= kSpoolBytesMax &&
                          by_server[incarnation] + bytes <= kSpoolBytesPerServer;
        if (fits) by_server[incarnation] += bytes;
        if (fits) used += bytes;
        if (by_server[incarnation] == 0) by_server.erase(incarnation);
        return fits;
    }
    void give_back(const std::string& incarnation, std::int64_t bytes) {
        const std::lock_guard lock(mutex);
        used -= bytes;
        if ((by_server[incarnation] -= bytes) == 0) by_server.erase(incarnation);
    }

    std::mutex mutex;
    std::int64_t used = 0;                          ///< guarded by mutex
    std::map<std::string, std::int64_t> by_server;  ///< guarded by mutex; by incarnation
};

/// A part of a file, on disk without a name.
class LogRelay::Spool final : public http::BodySource {
  public:
    static Result<std::shared_ptr<Spool>> make(const std::string& folder, std::int64_t size,
                                               const std::string& incarnation,
                                               std::shared_ptr<Budget> budget) {
        HD_TRY(os::Fd fd, os::make_temporary_file(folder));
        if (!budget->take(incarnation, size))
            return Error{ErrorCode::too_many_requests, "too much of log files is being downloaded"};
        return std::make_shared<Spool>(std::move(fd), size, incarnation, std::move(budget));
    }
    /// REQUIRES: `size` was taken from the budget.
    Spool(os::Fd fd, std::int64_t size, std::string incarnation, std::shared_ptr<Budget> budget)
        : fd_(std::move(fd)),
          size_(size),
          incarnation_(std::move(incarnation)),
          budget_(std::move(budget)) {}
    Spool(const Spool&) = delete;
    Spool& operator=(const Spool&) = delete;
    ~Spool() override { budget_->give_back(incarnation_, size_); }

    Status write(std::int64_t offset, std::string_view piece) {
        return os::write_at(fd_, offset, piece);
    }
    std::int64_t size() const override { return size_; }
    Result<std::string> read(std::int64_t offset, std::size_t bytes_max) const override {
        return os::read_at(fd_, offset, bytes_max);
    }

  private:
    const os::Fd fd_;
    const std::int64_t size_;
    const std::string incarnation_;
    const std::shared_ptr<Budget> budget_;
};

LogRelay::LogRelay(const Clock& clock, IdSource& ids, std::string folder)
    : clock_(clock), ids_(ids), folder_(std::move(folder)), budget_(std::make_shared<Budget>()) {}

void LogRelay::fetch(LogWanted wanted, LogDone done) {
    {
        const std::lock_guard lock(mutex_);
        const auto of_server = std::count_if(
            transfers_.begin(), transfers_.end(),
            [&](const auto& each) { return each.second.wanted.incarnation == wanted.incarnation; });
        if (transfers_.size() < kTransfersMax &&
            of_server < static_cast<std::ptrdiff_t>(kTransfersPerServer)) {
            const Instant now = clock_.now();
            Transfer transfer{.wanted = std::move(wanted),
                              .done = std::move(done),
                              .begun = now,
                              .last_piece = now};
            transfers_.emplace(ids_.uuid(), std::move(transfer));
            return;
        }
    }
    done(Error{ErrorCode::too_many_requests, "too many log files are being downloaded"});
}

bool LogRelay::is_due_locked(const Transfer& transfer) const {
    if (!transfer.asked) return true;
    return clock_.now() >= std::max(*transfer.asked, transfer.last_piece) + kAskAgainAfter;
}

bool LogRelay::has_requests(const std::string& host) {
    const std::lock_guard lock(mutex_);
    return std::any_of(transfers_.begin(), transfers_.end(), [&](const auto& each) {
        return each.second.wanted.host == host && is_due_locked(each.second);
    });
}

std::vector<model::LogRequest> LogRelay::take_requests(const std::string& host) {
    std::vector<model::LogRequest> requests;
    const std::lock_guard lock(mutex_);
    for (auto& [id, transfer] : transfers_) {
        if (transfer.wanted.host != host || !is_due_locked(transfer)) continue;
        transfer.asked = clock_.now();
        requests.push_back({id, transfer.wanted.incarnation, transfer.wanted.name,
                            transfer.wanted.offset + transfer.received});
    }
    return requests;
}

/// What is to be sent, once it is known how large the file is.
Status LogRelay::begin_locked(Transfer& transfer, std::int64_t file_bytes) {
    const std::int64_t left = std::max<std::int64_t>(file_bytes - transfer.wanted.offset, 0);
    transfer.file_bytes = file_bytes;
    transfer.target = std::min(left, transfer.wanted.bytes.value_or(left));
    if (transfer.target > kPartBytesMax)
        return Error{ErrorCode::too_large,
                     fmt::format("the log file has {} bytes, and at most {} can be had at a time",
                                 file_bytes, kPartBytesMax),
                     "", "Ask for it in parts, with the header Range."};
    HD_TRY(transfer.spool,
           Spool::make(folder_, transfer.target, transfer.wanted.incarnation, budget_));
    return {};
}

model::LogReply LogRelay::take(const std::string& host, const std::string& id, std::int64_t offset,
                               std::int64_t file_bytes, std::string_view piece) {
    std::shared_ptr<Spool> spool;
    Status status;
    std::int64_t at = 0;
    {
        const std::lock_guard lock(mutex_);
        const auto found = transfers_.find(id);
        if (found == transfers_.end() || found->second.wanted.host != host) return {};
        Transfer& transfer = found->second;
        if (transfer.spool == nullptr) status = begin_locked(transfer, file_bytes);
        at = transfer.received;
        const bool is_next = offset == transfer.wanted.offset + at;
        if (status.ok() && (!is_next || transfer.is_busy))
            return {true, transfer.wanted.offset + at};
        piece = piece.substr(0, static_cast<std::size_t>(transfer.target - at));
        if (status.ok() && piece.empty() && at < transfer.target)
            status = Error{ErrorCode::unavailable, "the log file has become shorter"};
        transfer.is_busy = true;
        spool = transfer.spool;
    }
    if (status.ok()) status = spool->write(at, piece);
    if (!status.ok()) {
        end(id, status.error());
        return {};
    }
    LogPart part;
    {
        const std::lock_guard lock(mutex_);
        const auto found = transfers_.find(id);
        if (found == transfers_.end()) return {};
        Transfer& transfer = found->second;
        transfer.is_busy = false;
        transfer.last_piece = clock_.now();
        transfer.received += static_cast<std::int64_t>(piece.size());
        if (transfer.received < transfer.target)
            return {true, transfer.wanted.offset + transfer.received};
        part = {transfer.spool, transfer.file_bytes};
    }
    end(id, std::move(part));
    return {};
}

void LogRelay::take_failure(const std::string& host, const std::string& id, ErrorCode code) {
    {
        const std::lock_guard lock(mutex_);
        const auto found = transfers_.find(id);
        if (found == transfers_.end() || found->second.wanted.host != host) return;
    }
    if (code == ErrorCode::not_found)
        end(id, Error{code, "there is no such log file any more"});
    else
        end(id, Error{ErrorCode::unavailable, "the log file cannot be read at the moment"});
}

std::optional<LogRelay::Transfer> LogRelay::remove(const std::string& id) {
    const std::lock_guard lock(mutex_);
    auto node = transfers_.extract(id);
    if (node.empty()) return std::nullopt;
    return std::move(node.mapped());
}

/// Nothing if another thread was faster.
void LogRelay::end(const std::string& id, Result<LogPart> result) {
    const std::optional<Transfer> transfer = remove(id);
    if (transfer) transfer->done(std::move(result));
}

std::vector<std::string> LogRelay::step() {
    std::vector<std::string> overdue;
    std::vector<std::string> hosts;
    {
        const std::lock_guard lock(mutex_);
        const Instant now = clock_.now();
        for (const auto& [id, transfer] : transfers_) {
            if (now > transfer.last_piece + kQuietMax || now > transfer.begun + kWholeMax)
                overdue.push_back(id);
            else if (is_due_locked(transfer))
                hosts.push_back(transfer.wanted.host);
        }
    }
    for (const std::string& id : overdue)
        end(id,
            Error{ErrorCode::unavailable, "the machine that has the log file does not send it"});
    return hosts;
}

}  // namespace howdah::control
