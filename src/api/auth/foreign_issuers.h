#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "api/auth/trusted_issuer.h"
#include "api/auth/verified_tokens.h"
#include "api/inner_api.h"
#include "base/clock.h"
#include "base/result.h"
#include "http/issuer_keys.h"
#include "store/store.h"

namespace howdah::api {

/// How often an issuer's keys are fetched when all is well.
inline constexpr Duration kIssuerKeysPeriod = std::chrono::hours(1);
/// How long the last good keys are used while the issuer cannot be asked: longer than an outage
/// should last, and no longer than a key that the issuer has withdrawn should be believed.
inline constexpr std::chrono::milliseconds kIssuerKeysAgeMax = std::chrono::hours(24);
/// A token with a key that is not known makes the keys be fetched at most this often.
inline constexpr Duration kUnknownKeyPause = std::chrono::seconds(30);
/// After a failure: this long, then twice as long each time.
inline constexpr Duration kIssuerRetryMin = std::chrono::seconds(5);
inline constexpr Duration kIssuerRetryMax = std::chrono::minutes(5);
/// For each of the two documents.
inline constexpr Duration kIssuerTimeout = std::chrono::seconds(10);
/// How far ahead the time of a fetch may be before a clock that was set back is suspected.
inline constexpr std::chrono::milliseconds kIssuerClockLeeway = std::chrono::minutes(5);

/// The issuers of tokens that are trusted besides Howdah's own authority, and their keys
/// (adr/0009).
///
/// Threads: authenticate() never waits for an issuer; run(), one thread for each issuer, fetches.
/// Thread-safe. Borrowed references must outlive it.
class ForeignIssuers {
  public:
    /// The body of a successful GET. Bounded in time and bytes, without redirects.
    using Fetch = std::function<Result<std::string>(const std::string& url)>;

    /// Reads the keys that were kept, and forgets those of issuers that are not trusted any more.
    static Result<std::unique_ptr<ForeignIssuers>> open(std::vector<TrustedIssuer> issuers,
                                                        store::Store& store, const Clock& clock);

    std::size_t count() const { return states_.size(); }
    /// Whether it is still one of these who vouched for a foreign identity.
    bool trusts(const Caller& caller) const;
    /// Who sent the token. None if it names no issuer of these: then it may be one of Howdah's
    /// own. Errors: unauthenticated (the reason is for the log), token_expired.
    std::optional<Result<Caller>> authenticate(std::string_view token);

    /// Fetches the keys of one issuer if that is due. Returns when to look again.
    Instant step(std::size_t index, const Fetch& fetch);
    /// Does so until it is told to stop. One thread for each index below count().
    void run(std::size_t index, const std::stop_token& stop);

  private:
    /// The keys at one moment. Immutable.
    struct Keys {
        std::vector<http::VerificationKey> keys;
        Timestamp fetched_at;
    };
    struct State {
        TrustedIssuer issuer;
        std::mutex mutex;
        std::condition_variable_any changed;
        std::shared_ptr<const Keys> keys;  ///< null: none; this and all below guarded by mutex
        bool is_wanted = false;            ///< a token has a key that is not known
        std::optional<Instant> tried_at;
        bool succeeded = false;
        int failures = 0;
    };
    /// Who a good token speaks for, as long as the keys are those it was checked with.
    struct Known {
        Caller caller;
        std::shared_ptr<const Keys> keys;
        Timestamp not_before;
        Timestamp expires_at;
    };

    ForeignIssuers(store::Store& store, const Clock& clock) : store_(store), clock_(clock) {}
    Status load(State& state);
    Status forget_others();
    Status keep(const State& state, const Keys& keys);
    State* find(std::string_view url);
    static Instant due_at(const State& state);
    static void want_keys(State& state);
    Result<Keys> fetch_keys(const TrustedIssuer& issuer, const Fetch& fetch) const;
    /// The keys, unless they are too old.
    std::shared_ptr<const Keys> usable_keys(State& state, Timestamp now);
    Result<Caller> check(State& state, std::string_view token, const std::string& key_id,
                         Timestamp now);

    store::Store& store_;
    const Clock& clock_;
    std::vector<std::unique_ptr<State>> states_;
    TokenCache<Known> verified_;
};

}  // namespace howdah::api
