#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/client.h"
#include "model/etcd_messages.h"
#include "store/etcd/etcd_options.h"

namespace howdah::store {

/// Asks one of several members of an etcd, and goes on with another when it does not answer.
/// Connections are kept between calls. Thread-safe; calls do not wait for each other.
///
/// Errors of a transaction that changes something: `timeout` (maybe_done) once it may have been
/// sent; all others but `corrupt` mean that nothing happened. It is never sent twice. What only
/// reads is asked of every member that there is time for, and is `unavailable` then; reads are
/// linearizable.
///
/// `corrupt`, and then for ever, if the answers show another cluster than before, or a revision
/// before one that was seen: that etcd has lost what it had acknowledged.
class EtcdClient {
  public:
    static constexpr std::size_t kIdleMax = 8;  ///< more connections are closed after use
    static constexpr std::size_t kAnswerBytesMax = 64 << 20;

    /// Connects to nobody yet. invalid_argument for what cannot be addresses; io for a file that
    /// cannot be read. `clock` must outlive it.
    static Result<std::unique_ptr<EtcdClient>> open(const EtcdOptions& options, const Clock& clock);

    Result<model::etcd::TxnAnswer> txn(const model::etcd::Txn& txn, Instant deadline);
    /// Those of a lease may be sent twice, but for revoke_lease; not_found for one that has ended.
    Result<std::int64_t> grant_lease(std::int64_t seconds, Instant deadline);
    Status renew_lease(std::int64_t lease, Instant deadline);
    Status revoke_lease(std::int64_t lease, Instant deadline);

    /// Changes of the keys from `key` up to `end`, as lines of JSON that come without end.
    struct Stream {
        std::unique_ptr<http::Client> client;  ///< its answer has begun
        std::size_t member = 0;
    };
    /// Those of `avoided` are asked after all others.
    Result<Stream> watch(const std::string& key, const std::string& end, std::int64_t first,
                         const std::set<std::size_t>& avoided, Instant deadline);
    /// Whether a member answers, and is of a majority: one that hangs or is cut off keeps its
    /// connections open and says nothing. If not, others are asked first from now on.
    Status probe(std::size_t member, Instant deadline);
    std::size_t members() const { return options_.endpoints.size(); }
    /// Lets etcd forget the history before a revision; once for every `kept / 2` revisions, whoever
    /// of its users asks. A failure does not matter: it is asked again.
    void compact_behind(std::int64_t revision, std::int64_t kept, Instant deadline);

  private:
    enum class Effect { repeatable, once };
    struct Reply {
        Result<std::string> result;
        bool is_final = false;  ///< to ask another member would change nothing
    };
    EtcdClient(EtcdOptions options, http::ClientOptions tls, const Clock& clock)
        : options_(std::move(options)), tls_(std::move(tls)), clock_(clock) {}

    Result<std::string> ask(const std::string& path, const std::string& body, Effect effect,
                            Instant deadline);
    Reply ask_member(http::Client& client, std::size_t member, const http::Call& call);
    Reply judge(std::size_t member, int status, std::string body);
    /// Unless somebody else has found a better one meanwhile.
    void prefer_another_than(std::size_t member);
    Status check_history(const model::etcd::TxnAnswer& answer, std::int64_t seen_before);
    std::unique_ptr<http::Client> borrow();
    void give_back(std::unique_ptr<http::Client> client);

    const EtcdOptions options_;
    const http::ClientOptions tls_;
    const Clock& clock_;
    std::atomic<std::size_t> preferred_{0};
    std::atomic<std::uint64_t> cluster_{0};
    std::atomic<std::int64_t> newest_{0};  ///< revision that was seen
    std::atomic<bool> has_lost_{false};
    std::atomic<std::int64_t> compact_next_{0};
    std::mutex mutex_;
    std::vector<std::unique_ptr<http::Client>> idle_;  ///< guarded by mutex_
};

}  // namespace howdah::store
