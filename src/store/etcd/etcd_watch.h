#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "store/etcd/etcd_client.h"
#include "store/store.h"

namespace howdah::store {

/// A watch on an etcd: one connection, on which etcd tells of changes. What nobody asks for stays
/// in the connection and in etcd, so a slow reader costs no memory here. When the connection ends,
/// or its member does not answer any more, another one is asked for what comes after the last
/// whole revision. `client` and `clock` must outlive it.
///
/// While no member answers, next() waits and returns nothing: reads say why.
class EtcdWatch final : public Watch {
  public:
    /// How long a member may say nothing before it is asked whether it lives. Failovers wait for
    /// what watches tell, and the member may be on the very machine that is lost.
    static constexpr Duration kQuietMax = std::chrono::milliseconds(500);
    static constexpr Duration kAnswerMax = std::chrono::milliseconds(500);
    static constexpr Duration kConnectMax = std::chrono::seconds(1);
    static constexpr Duration kRetryPause = std::chrono::milliseconds(100);

    /// Of the keys that begin with `root` + `prefix`; they are told without `root`. `after` counts
    /// as the store does (store_revision). `open_watches` is counted down at the end.
    EtcdWatch(EtcdClient& client, const Clock& clock, std::string root, std::string_view prefix,
              Revision after, std::atomic<int>& open_watches);
    ~EtcdWatch() override;

    /// Waits until etcd has begun to watch. Call once, before anything else.
    Status begin(Instant deadline);
    Result<std::vector<Event>> next(Duration timeout) override;
    void stop() override;

  private:
    Status connect(Instant deadline);
    void disconnect();
    Status receive(Instant deadline);
    Status take_line(std::string_view line);
    void take_event(model::etcd::Event event);
    std::vector<Event> take_batch();
    bool pause(Duration longest);
    bool is_stopped();

    EtcdClient& client_;
    const Clock& clock_;
    const std::string root_;
    const std::string key_;
    const std::string end_;
    std::atomic<int>& open_watches_;

    // Of the reader's thread.
    Revision position_;  ///< everything up to here has been returned or waits in ready_
    std::deque<Event> ready_;
    std::vector<Event> partial_;  ///< of a revision that is not complete
    std::string buffer_;          ///< of a line that is not complete
    std::size_t member_ = 0;
    std::set<std::size_t> lost_;  ///< members that failed since one was seen alive
    Instant heard_{};
    bool has_begun_ = false;

    std::mutex mutex_;
    std::condition_variable wake_;
    std::unique_ptr<http::Client> stream_;  ///< set and reset under mutex_, by the reader
    bool stopped_ = false;                  ///< guarded by mutex_
};

/// etcd calls the revision before the first change 1, the store 0. What does not exist is 0 in
/// both.
inline Revision store_revision(std::int64_t of_etcd) { return of_etcd > 0 ? of_etcd - 1 : 0; }
inline std::int64_t etcd_revision(Revision of_store) { return of_store > 0 ? of_store + 1 : 0; }

}  // namespace howdah::store
