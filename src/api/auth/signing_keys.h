#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "http/jwt.h"
#include "store/secret_box.h"
#include "store/store.h"

namespace howdah::api {

/// How long a key signs before another one takes its place.
inline constexpr Duration kSigningKeyPeriod = std::chrono::hours(24 * 30);
/// How long a key is shown before it signs. Clients keep the key set for a day or so.
inline constexpr Duration kSigningKeyNotice = std::chrono::hours(24 * 2);
/// How long a key still verifies after another one signs: a token's life and what clocks differ.
inline constexpr Duration kSigningKeyAfterlife = std::chrono::hours(2);
inline constexpr std::size_t kSigningKeysMax = 8;

struct KeyDates {
    std::string id;
    Timestamp signs_from;
};

/// What is due. Pure, so that time is an argument.
struct KeyRotation {
    bool make_one = false;  ///< it signs from `signs_from` on
    Timestamp signs_from;
    std::vector<std::string> remove;  ///< ids

    bool empty() const { return !make_one && remove.empty(); }
};

/// Which key signs at `now`: the one that began last. If all begin later (a clock was set back),
/// the one that begins first. REQUIRES: there is a key.
std::size_t signer_at(const std::vector<KeyDates>& keys, Timestamp now);
/// GUARANTEES: the key that signs is never removed, nor one whose tokens may still be valid; there
/// is a new key in time, at least kSigningKeyNotice before it signs; never more than
/// kSigningKeysMax keys.
KeyRotation plan_rotation(const std::vector<KeyDates>& keys, Timestamp now);

/// The keys at one moment. Immutable.
struct KeySet {
    std::vector<http::SigningKey> keys;  ///< all verify
    std::vector<KeyDates> dates;         ///< of the key at the same place

    const http::SigningKey& signer(Timestamp now) const { return keys[signer_at(dates, now)]; }
};

/// The keys that sign access tokens: in the store as one sealed record, replaced while howdahd
/// runs. Thread-safe; `rotate` alone may block for long (it makes a key), without holding what
/// `current` needs.
class SigningKeys {
  public:
    /// Reads the keys. Errors: corrupt if there are none. References are borrowed.
    static Result<std::unique_ptr<SigningKeys>> open(store::Store& store,
                                                     const store::SecretBox& secrets,
                                                     const Clock& clock, IdSource& ids);

    std::shared_ptr<const KeySet> current() const;
    /// Does what plan_rotation says is due; cheap when nothing is. A failure leaves the keys as
    /// they were, and may be tried again.
    Status rotate();

    /// The sealed record of a store's first key, and where it goes.
    struct First {
        std::string key;
        std::string value;
    };
    static Result<First> make_first(const store::SecretBox& secrets, Timestamp now, IdSource& ids);

  private:
    SigningKeys(store::Store& store, const store::SecretBox& secrets, const Clock& clock,
                IdSource& ids)
        : store_(store), secrets_(secrets), clock_(clock), ids_(ids) {}
    Result<store::Revision> load();

    store::Store& store_;
    const store::SecretBox& secrets_;
    const Clock& clock_;
    IdSource& ids_;
    mutable std::mutex mutex_;
    std::shared_ptr<const KeySet> current_;  ///< guarded by mutex_
};

}  // namespace howdah::api
