#include "store/etcd/etcd_watch.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>

#include "store/common/limits.h"

namespace howdah::store {
namespace {

using model::etcd::WatchMessage;

constexpr std::size_t kLineBytesMax = EtcdClient::kAnswerBytesMax;

bool is_transient(const Error& error) {
    return error.code == ErrorCode::unavailable || error.code == ErrorCode::timeout;
}

}  // namespace

EtcdWatch::EtcdWatch(EtcdClient& client, const Clock& clock, std::string root,
                     std::string_view prefix, Revision after, std::atomic<int>& open_watches)
    : client_(client),
      clock_(clock),
      root_(std::move(root)),
      key_(root_ + std::string(prefix)),
      end_(prefix_end(key_).value_or(std::string())),
      open_watches_(open_watches),
      position_(std::max<Revision>(after, 0)) {}

EtcdWatch::~EtcdWatch() { --open_watches_; }

bool EtcdWatch::is_stopped() {
    const std::lock_guard lock(mutex_);
    return stopped_;
}

void EtcdWatch::stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    if (stream_) stream_->cancel();
    wake_.notify_all();
}

/// False if it is stopped meanwhile.
bool EtcdWatch::pause(Duration longest) {
    std::unique_lock lock(mutex_);
    return !wake_.wait_for(lock, longest, [&] { return stopped_; });
}

Status EtcdWatch::connect(Instant deadline) {
    // store_revision(first) is the one after position_, also for position 0.
    const std::int64_t first = position_ + 2;
    if (lost_.size() >= client_.members()) lost_.clear();
    HD_TRY(auto stream, client_.watch(key_, end_, first, lost_, deadline));
    const std::lock_guard lock(mutex_);
    stream_ = std::move(stream.client);
    if (stopped_) stream_->cancel();
    member_ = stream.member;
    heard_ = clock_.now();
    return ok_status();
}

/// What was not whole is told anew on the next connection.
void EtcdWatch::disconnect() {
    buffer_.clear();
    partial_.clear();
    const std::lock_guard lock(mutex_);
    stream_.reset();
}

Status EtcdWatch::begin(Instant deadline) {
    HD_CHECK(connect(deadline));
    while (!has_begun_) {
        if (clock_.now() >= deadline)
            return Error{ErrorCode::unavailable, "etcd did not begin a watch in time"};
        const Status received = receive(deadline);
        if (received.ok()) continue;
        disconnect();
        // next() asks again, and says that the history is gone.
        if (received.error().code == ErrorCode::conflict) return ok_status();
        return received;
    }
    return ok_status();
}

void EtcdWatch::take_event(model::etcd::Event event) {
    model::etcd::KeyValue& entry = event.entry;
    const Revision revision = store_revision(entry.modified);
    // Never told twice, whatever a new connection begins with.
    if (revision <= position_) return;
    Event told{entry.key.substr(root_.size()), std::nullopt, revision};
    if (!event.is_deletion)
        told.entry =
            Entry{told.key, std::move(entry.value), store_revision(entry.created), revision};
    partial_.push_back(std::move(told));
}

Status EtcdWatch::take_line(std::string_view line) {
    HD_TRY(WatchMessage message, model::etcd::parse_watch_message(line, key_, end_));
    has_begun_ = has_begun_ || message.created;
    if (message.compacted > 0) return history_gone(position_, store_revision(message.compacted));
    if (message.cancelled)
        return Error{ErrorCode::unavailable, fmt::format("etcd ended a watch: {}", message.reason)};
    for (auto& each : message.events) take_event(std::move(each));
    if (partial_.empty()) return ok_status();
    // A fragment may end within a revision: its last one waits for the rest.
    const Revision last = partial_.back().revision;
    const auto whole = message.is_fragment
                           ? std::find_if(partial_.begin(), partial_.end(),
                                          [&](const Event& each) { return each.revision == last; })
                           : partial_.end();
    if (whole != partial_.begin()) position_ = std::prev(whole)->revision;
    std::move(partial_.begin(), whole, std::back_inserter(ready_));
    partial_.erase(partial_.begin(), whole);
    return ok_status();
}

/// Reads once from the connection, and asks whether its member lives if there was nothing for long.
Status EtcdWatch::receive(Instant deadline) {
    const Instant now = clock_.now();
    const Duration wait = std::min<Duration>(deadline - now, heard_ + kQuietMax - now);
    HD_TRY(const std::string text, stream_->more(std::max(wait, Duration::zero())));
    if (text.empty()) {
        if (clock_.now() < heard_ + kQuietMax) return ok_status();
        // A watch begins also on a member that is cut off. While the others elect a leader they
        // fail as well, so what all requests prefer would soon be that member again.
        lost_.insert(member_);
        HD_CHECK(client_.probe(member_, clock_.now() + kAnswerMax));
        lost_.clear();
        heard_ = clock_.now();
        return ok_status();
    }
    heard_ = clock_.now();
    // What was there before holds no end of a line.
    std::size_t end = buffer_.size();
    buffer_ += text;
    std::size_t begin = 0;
    for (end = buffer_.find('\n', end); end != std::string::npos; end = buffer_.find('\n', begin)) {
        HD_CHECK(take_line(std::string_view(buffer_).substr(begin, end - begin)));
        begin = end + 1;
    }
    buffer_.erase(0, begin);
    if (buffer_.size() > kLineBytesMax)
        return Error{ErrorCode::too_large, "etcd tells of changes that are too large"};
    return ok_status();
}

std::vector<Event> EtcdWatch::take_batch() {
    std::vector<Event> batch;
    std::size_t bytes = 0;
    while (!ready_.empty()) {
        const bool is_next = batch.empty() || batch.back().revision != ready_.front().revision;
        if (is_next && (batch.size() >= kWatchEventsMax || bytes >= kWatchBytesMax)) break;
        bytes += ready_.front().key.size();
        if (ready_.front().entry) bytes += ready_.front().entry->value.size();
        batch.push_back(std::move(ready_.front()));
        ready_.pop_front();
    }
    return batch;
}

Result<std::vector<Event>> EtcdWatch::next(Duration timeout) {
    const Instant deadline =
        clock_.now() + std::clamp<Duration>(timeout, Duration::zero(), std::chrono::hours(24));
    for (;;) {
        if (is_stopped()) return std::vector<Event>{};
        if (!ready_.empty()) return take_batch();
        const bool is_connected = stream_ != nullptr;
        const Instant now = clock_.now();
        const Status done =
            is_connected ? receive(deadline) : connect(std::min(deadline, now + kConnectMax));
        if (!done.ok()) {
            disconnect();
            if (is_stopped()) return std::vector<Event>{};
            // What has arrived before is handed out first; the rest is asked for again.
            if (!ready_.empty()) continue;
            if (!is_transient(done.error())) return done.error();
            // A connection that has ended is made anew at once, one that cannot be made is not.
            const Duration left = deadline - clock_.now();
            if (!is_connected && left > Duration::zero() && !pause(std::min(left, kRetryPause)))
                return std::vector<Event>{};
        }
        if (ready_.empty() && clock_.now() >= deadline) return std::vector<Event>{};
    }
}

}  // namespace howdah::store
