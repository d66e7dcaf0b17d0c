#include "api/auth/sessions.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "api/auth/principal.h"
#include "api/auth/record_json.h"
#include "base/log.h"
#include "base/text.h"
#include "store/keys.h"

// A refresh token is "<client id>.<session id>.<secret>". The record of a session:
// {"app_id","credential_id","created_at","used_at","current","next","next_at",
//  "retired":[{"print","at"}]}

namespace howdah::api {
namespace {

constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kTokenBytesMax = 256;
constexpr int kTriesMax = 4;

using Json = RecordJson;

Error refused() { return {ErrorCode::unauthenticated, "the refresh token is not valid"}; }

std::chrono::milliseconds milliseconds(Duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration);
}

}  // namespace

struct Sessions::Record {
    struct Retired {
        std::string print;
        Timestamp at;
    };
    std::string app_id;
    std::string credential_id;
    Timestamp created_at;
    Timestamp used_at;
    std::string current;
    std::string next;  ///< given out, not seen yet; may be empty
    Timestamp next_at;
    std::vector<Retired> retired;

    void retire(std::string print, Timestamp at) {
        if (print.empty()) return;
        if (retired.size() >= kRetiredMax) retired.erase(retired.begin());
        retired.push_back({std::move(print), at});
    }
};

struct Sessions::Parts {
    std::string client_id;
    std::string session_id;
    Secret secret;
};

std::string Sessions::to_text(const Record& record) {
    Json retired = Json::array();
    for (const Record::Retired& each : record.retired)
        retired.push_back({{"print", each.print}, {"at", format_iso8601(each.at)}});
    const Json json = {{"app_id", record.app_id},
                       {"credential_id", record.credential_id},
                       {"created_at", format_iso8601(record.created_at)},
                       {"used_at", format_iso8601(record.used_at)},
                       {"current", record.current},
                       {"next", record.next},
                       {"next_at", format_iso8601(record.next_at)},
                       {"retired", std::move(retired)}};
    return record_text(json);
}

Result<Sessions::Record> Sessions::from_text(std::string_view text) {
    const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return Error{ErrorCode::corrupt, "a login's record is not JSON"};
    Record record;
    record.app_id = text_of(json, "app_id");
    record.credential_id = text_of(json, "credential_id");
    HD_TRY(record.created_at, parse_iso8601(text_of(json, "created_at")));
    HD_TRY(record.used_at, parse_iso8601(text_of(json, "used_at")));
    record.current = text_of(json, "current");
    record.next = text_of(json, "next");
    HD_TRY(record.next_at, parse_iso8601(text_of(json, "next_at")));
    const auto retired = json.find("retired");
    if (retired != json.end() && retired->is_array()) {
        for (const Json& each : *retired) {
            if (!each.is_object()) continue;
            HD_TRY(const Timestamp at, parse_iso8601(text_of(each, "at")));
            record.retired.push_back({text_of(each, "print"), at});
        }
    }
    return record;
}

std::string Sessions::print(std::string_view session_id, const Secret& secret) const {
    return secrets_.fingerprint("session:" + std::string(session_id), secret);
}

Secret Sessions::new_secret() const {
    return Secret(base64url_encode(ids_.random_bytes(kSecretBytes)));
}

Status Sessions::make_room(std::string_view client_id) {
    HD_TRY(const auto entries, store_.list(store::keys::sessions_of(client_id)));
    if (entries.size() < kPerPrincipalMax) return ok_status();
    std::vector<std::pair<Timestamp, std::string>> by_use;
    for (const store::Entry& entry : entries) {
        const auto record = from_text(entry.value);
        by_use.emplace_back(record.ok() ? record->used_at : Timestamp(), entry.key);
    }
    std::sort(by_use.begin(), by_use.end());
    store::Transaction txn;
    const std::size_t over = by_use.size() - kPerPrincipalMax + 1;
    for (std::size_t i = 0; i < std::min(over, store::kTransactionChangesMax); ++i)
        txn.remove(by_use[i].second);
    HD_CHECK(store_.commit(txn));
    return ok_status();
}

Result<Secret> Sessions::begin(const Identity& identity, std::string_view app_id) {
    HD_CHECK(make_room(identity.client_id));
    const std::string id = ids_.uuid();
    const Secret secret = new_secret();
    Record record;
    record.app_id = app_id;
    record.credential_id = identity.credential_id;
    record.created_at = record.used_at = record.next_at = clock_.wall();
    record.current = print(id, secret);
    const std::string key = store::keys::session(identity.client_id, id);
    store::Transaction txn;
    txn.expect_absent(key);
    txn.put(key, to_text(record));
    HD_CHECK(store_.commit(txn));
    return Secret(identity.client_id + "." + id + "." + secret.reveal());
}

Result<Identity> Sessions::still_valid(const Record& record, std::string_view client_id) {
    const Timestamp now = clock_.wall();
    if (record.used_at + milliseconds(kIdle) <= now) return refused();
    if (record.created_at + milliseconds(kLifetime) <= now) return refused();
    HD_TRY(const auto principal, find_principal(store_, client_id));
    if (!principal || !has_credential(*principal, record.credential_id, format_iso8601(now)))
        return refused();
    return Identity{principal->client_id, principal->object_id, principal->display_name,
                    record.credential_id};
}

/// None: somebody changed the record in between.
Result<std::optional<Sessions::Used>> Sessions::try_use(const Parts& parts,
                                                        std::string_view app_id) {
    const std::string key = store::keys::session(parts.client_id, parts.session_id);
    HD_TRY(const auto entry, store_.get(key));
    if (!entry) return refused();
    HD_TRY(Record record, from_text(entry->value));
    const std::string shown = print(parts.session_id, parts.secret);
    const Timestamp now = clock_.wall();
    const auto retired =
        std::find_if(record.retired.begin(), record.retired.end(),
                     [&](const Record::Retired& each) { return each.print == shown; });
    const bool is_current = shown == record.current;
    const bool is_next = !record.next.empty() && shown == record.next;
    const bool is_retired = retired != record.retired.end();
    if (!iequals(record.app_id, app_id) || (!is_current && !is_next && !is_retired))
        return refused();
    store::Transaction txn;
    txn.expect(key, entry->modified);
    const auto identity = still_valid(record, parts.client_id);
    const bool is_late = is_retired && retired->at + milliseconds(kGrace) <= now;
    if (is_late || !identity.ok()) {
        if (!identity.ok() && identity.error().code != ErrorCode::unauthenticated)
            return identity.error();
        if (is_late)
            log::warn("a refresh token was used again, its login ends",
                      {{"client", parts.client_id}, {"session", parts.session_id}});
        txn.remove(key);
        const auto removed = store_.commit(txn);
        if (!removed.ok() && removed.error().code != ErrorCode::conflict) return removed.error();
        return refused();
    }
    const bool was_just_given = !record.next.empty() && record.next_at + milliseconds(kGrace) > now;
    if (is_retired || (is_current && was_just_given))
        return std::optional<Used>(Used{*identity, std::nullopt});
    record.retire(is_next ? record.current : record.next, now);
    record.current = shown;
    const Secret next = new_secret();
    record.next = print(parts.session_id, next);
    record.next_at = record.used_at = now;
    txn.put(key, to_text(record));
    const auto committed = store_.commit(txn);
    if (!committed.ok() && committed.error().code == ErrorCode::conflict)
        return std::optional<Used>();
    if (!committed.ok()) return committed.error();
    return std::optional<Used>(
        Used{*identity, Secret(parts.client_id + "." + parts.session_id + "." + next.reveal())});
}

Result<Sessions::Used> Sessions::use(const Secret& token, std::string_view app_id) {
    if (token.reveal().size() > kTokenBytesMax) return refused();
    const std::vector<std::string> texts = split(token.reveal(), '.');
    if (texts.size() != 3 || !is_uuid(texts[0]) || !is_uuid(texts[1])) return refused();
    const Parts parts{to_lower(texts[0]), to_lower(texts[1]), Secret(texts[2])};
    for (int i = 0; i < kTriesMax; ++i) {
        HD_TRY(auto used, try_use(parts, app_id));
        if (used) return std::move(*used);
    }
    return Error{ErrorCode::unavailable, "the login is used by many at once"};
}

}  // namespace howdah::api
