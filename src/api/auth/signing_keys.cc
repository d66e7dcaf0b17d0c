#include "api/auth/signing_keys.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/auth/record_json.h"
#include "base/assert.h"
#include "base/log.h"
#include "store/keys.h"

// The record is {"keys":[{"id","private","public","signs_from"}]}, sealed. The record of an older
// Howdah is one key without a date, {"id","private","public"}: it is replaced as soon as may be.

namespace howdah::api {
namespace {

constexpr std::string_view kRecordName = "token-signing-key";

using Json = RecordJson;

std::string record_key() { return store::keys::secret(kRecordName); }

std::string seal(const store::SecretBox& secrets, const KeySet& set) {
    Json keys = Json::array();
    for (std::size_t i = 0; i < set.keys.size(); ++i)
        keys.push_back({{"id", set.keys[i].id},
                        {"private", set.keys[i].private_key_pem.reveal()},
                        {"public", set.keys[i].public_key_pem},
                        {"signs_from", format_iso8601(set.dates[i].signs_from)}});
    const Json record = {{"keys", std::move(keys)}};
    const Secret text(record_text(record));
    return secrets.seal(record_key(), text);
}

Result<KeySet> unseal(const store::SecretBox& secrets, std::string_view sealed) {
    const Error damaged{ErrorCode::corrupt, "the keys that sign tokens are not readable"};
    HD_TRY(const Secret text, secrets.unseal(record_key(), sealed));
    const Json record = Json::parse(text.reveal(), nullptr, /*allow_exceptions=*/false);
    if (!record.is_object()) return damaged;
    const auto list = record.find("keys");
    const Json keys = list == record.end() ? Json::array({record}) : *list;
    if (!keys.is_array()) return damaged;
    KeySet set;
    for (const Json& each : keys) {
        if (!each.is_object()) return damaged;
        http::SigningKey key{text_of(each, "id"), Secret(text_of(each, "private")),
                             text_of(each, "public")};
        if (key.id.empty() || key.private_key_pem.empty()) return damaged;
        Timestamp signs_from{};
        if (const std::string date = text_of(each, "signs_from"); !date.empty()) {
            HD_TRY(signs_from, parse_iso8601(date));
        }
        set.dates.push_back({key.id, signs_from});
        set.keys.push_back(std::move(key));
    }
    if (set.keys.empty()) return damaged;
    return set;
}

void add(KeySet& set, http::SigningKey key, Timestamp signs_from) {
    set.dates.push_back({key.id, signs_from});
    set.keys.push_back(std::move(key));
}

KeySet without(const KeySet& set, const std::vector<std::string>& removed) {
    KeySet rest;
    for (std::size_t i = 0; i < set.keys.size(); ++i)
        if (std::find(removed.begin(), removed.end(), set.keys[i].id) == removed.end())
            add(rest, set.keys[i], set.dates[i].signs_from);
    return rest;
}

std::chrono::milliseconds milliseconds(Duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration);
}

}  // namespace

std::size_t signer_at(const std::vector<KeyDates>& keys, Timestamp now) {
    HD_ASSERT(!keys.empty(), "there is always a key that signs");
    std::size_t best = 0;
    for (std::size_t i = 1; i < keys.size(); ++i) {
        const Timestamp known = keys[best].signs_from;
        const Timestamp other = keys[i].signs_from;
        const bool known_has_begun = known <= now;
        const bool other_has_begun = other <= now;
        const bool is_better = known_has_begun ? other_has_begun && other > known : other < known;
        if (is_better) best = i;
    }
    return best;
}

KeyRotation plan_rotation(const std::vector<KeyDates>& keys, Timestamp now) {
    KeyRotation plan;
    const KeyDates& signer = keys[signer_at(keys, now)];
    // No key is made to sign later than that: it is from a time when the clock was ahead.
    const Timestamp latest = now + 2 * milliseconds(kSigningKeyNotice);
    Timestamp newest{};
    for (const KeyDates& each : keys)
        if (each.signs_from <= latest) newest = std::max(newest, each.signs_from);
    for (const KeyDates& each : keys) {
        if (each.id == signer.id) continue;
        bool is_over = each.signs_from > latest;
        for (const KeyDates& next : keys)
            if (next.signs_from > each.signs_from &&
                next.signs_from + milliseconds(kSigningKeyAfterlife) <= now)
                is_over = true;
        if (is_over) plan.remove.push_back(each.id);
    }
    const bool is_due =
        newest + milliseconds(kSigningKeyPeriod) - milliseconds(kSigningKeyNotice) <= now;
    if (is_due && keys.size() - plan.remove.size() < kSigningKeysMax) {
        plan.make_one = true;
        plan.signs_from = now + milliseconds(kSigningKeyNotice);
    }
    return plan;
}

Result<SigningKeys::First> SigningKeys::make_first(const store::SecretBox& secrets, Timestamp now,
                                                   IdSource& ids) {
    HD_TRY(http::SigningKey key, http::SigningKey::generate(ids.uuid()));
    KeySet set;
    add(set, std::move(key), now);
    return First{record_key(), seal(secrets, set)};
}

Result<std::unique_ptr<SigningKeys>> SigningKeys::open(store::Store& store,
                                                       const store::SecretBox& secrets,
                                                       const Clock& clock, IdSource& ids) {
    std::unique_ptr<SigningKeys> keys(new SigningKeys(store, secrets, clock, ids));
    HD_CHECK(keys->load());
    return keys;
}

Result<store::Revision> SigningKeys::load() {
    HD_TRY(const auto entry, store_.get(record_key()));
    if (!entry) return Error{ErrorCode::corrupt, "the store has no key that signs tokens"};
    HD_TRY(KeySet set, unseal(secrets_, entry->value));
    auto loaded = std::make_shared<const KeySet>(std::move(set));
    const std::lock_guard lock(mutex_);
    current_ = std::move(loaded);
    return entry->modified;
}

std::shared_ptr<const KeySet> SigningKeys::current() const {
    const std::lock_guard lock(mutex_);
    return current_;
}

Status SigningKeys::rotate() {
    if (plan_rotation(current()->dates, clock_.wall()).empty()) return ok_status();
    HD_TRY(const store::Revision revision, load());
    const auto before = current();
    const KeyRotation plan = plan_rotation(before->dates, clock_.wall());
    if (plan.empty()) return ok_status();
    KeySet after = without(*before, plan.remove);
    if (plan.make_one) {
        HD_TRY(http::SigningKey key, http::SigningKey::generate(ids_.uuid()));
        log::info("a new key will sign tokens",
                  {{"key", key.id}, {"from", format_iso8601(plan.signs_from)}});
        add(after, std::move(key), plan.signs_from);
    }
    store::Transaction txn;
    txn.expect(record_key(), revision);
    txn.put(record_key(), seal(secrets_, after));
    HD_CHECK(store_.commit(txn));
    for (const std::string& id : plan.remove)
        log::info("an old key of tokens was removed", {{"key", id}});
    auto replaced = std::make_shared<const KeySet>(std::move(after));
    const std::lock_guard lock(mutex_);
    current_ = std::move(replaced);
    return ok_status();
}

}  // namespace howdah::api
