#include "api/auth/foreign_issuers.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/auth/record_json.h"
#include "base/log.h"
#include "http/client.h"
#include "http/issuer_jwt.h"
#include "model/foreign_identity.h"
#include "store/keys.h"

// A record /issuer-keys/{id} is {"issuer","fetched_at","keys":[{"id","algorithm","pem"}]}.

namespace howdah::api {
namespace {

using Json = RecordJson;

constexpr const char* kPrefix = "/issuer-keys/";
constexpr std::size_t kNameBytesMax = 128;
/// Doubling goes no further.
constexpr int kFailuresCounted = 16;
constexpr std::string_view kReplacement = "?";
/// How long a thread sleeps at most before it looks at the clock again.
constexpr Duration kLookPause = std::chrono::minutes(1);

std::string record_key(const TrustedIssuer& issuer) {
    return store::keys::issuer_keys(model::foreign_object_id(issuer.url, ""));
}

Error no_keys(std::string_view why) {
    return {ErrorCode::unauthenticated, fmt::format("the access token is invalid: {}", why)};
}

std::string text_of_keys(const std::string& issuer, Timestamp fetched_at,
                         const std::vector<http::VerificationKey>& keys) {
    Json list = Json::array();
    for (const http::VerificationKey& each : keys)
        list.push_back(
            {{"id", each.id}, {"algorithm", each.algorithm}, {"pem", each.public_key_pem}});
    return record_text(
        {{"issuer", issuer}, {"fetched_at", format_iso8601(fetched_at)}, {"keys", list}});
}

/// Whether the letters that begin at `at` would change how the rest of a line looks: controls, and
/// what turns its direction or cannot be seen. `at` is moved behind them.
bool is_hidden_letter(std::string_view text, std::size_t& at) {
    const auto byte = [&](std::size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
    };
    const unsigned first = byte(at);
    if (first < 0x20 || first == 0x7f) {
        ++at;
        return true;
    }
    if (first == 0xc2 && byte(at + 1) < 0xa0) {  // U+0080 to U+009F
        at += 2;
        return true;
    }
    if (first == 0xe2 && (byte(at + 1) == 0x80 || byte(at + 1) == 0x81)) {
        const unsigned last = byte(at + 2);
        const bool is_general = byte(at + 1) == 0x80 &&
                                ((last >= 0x8b && last <= 0x8f) || (last >= 0xa8 && last <= 0xae));
        if (is_general || (byte(at + 1) == 0x81 && last >= 0xa0 && last <= 0xaf)) {
            at += 3;
            return true;
        }
    }
    return false;
}

/// What an issuer calls somebody, fit for a line of a log and a table.
std::string shown_name(const http::IssuerClaims& claims) {
    const std::string_view given = claims.name.empty() ? claims.subject : claims.name;
    std::string name;
    for (std::size_t at = 0; at < given.size() && name.size() < kNameBytesMax;) {
        if (is_hidden_letter(given, at))
            name += kReplacement;
        else
            name += given[at++];
    }
    // Not in the middle of a letter.
    while (name.size() >= kNameBytesMax && (static_cast<unsigned char>(name.back()) & 0x80) != 0)
        name.pop_back();
    return name;
}

Caller caller_of(const http::IssuerClaims& claims) {
    const std::string id = model::foreign_object_id(claims.issuer, claims.subject);
    // An issuer's address has no space: nobody can look like somebody of another issuer.
    return {id, id, fmt::format("{} {}", claims.issuer, shown_name(claims))};
}

Result<std::string> get(http::Client& client, const std::string& url) {
    HD_TRY(http::Response response, client.call({.url = url,
                                                 .headers = {{"accept", "application/json"}},
                                                 .timeout = kIssuerTimeout}));
    if (response.status == 200) return std::move(response.body);
    const bool redirects = response.status >= 300 && response.status < 400;
    return Error{ErrorCode::unavailable,
                 fmt::format("GET {} was answered with {}{}", url, response.status,
                             redirects ? "; redirects are not followed" : "")};
}

}  // namespace

Result<std::unique_ptr<ForeignIssuers>> ForeignIssuers::open(std::vector<TrustedIssuer> issuers,
                                                             store::Store& store,
                                                             const Clock& clock) {
    std::unique_ptr<ForeignIssuers> all(new ForeignIssuers(store, clock));
    for (TrustedIssuer& each : issuers) {
        auto state = std::make_unique<State>();
        state->issuer = std::move(each);
        const Status loaded = all->load(*state);
        // They are fetched anew in any case.
        if (!loaded.ok())
            log::warn("the keys of an issuer that were kept are not usable",
                      {{"issuer", state->issuer.url}, {"reason", loaded.error().describe()}});
        all->states_.push_back(std::move(state));
    }
    HD_CHECK(all->forget_others());
    return all;
}

Status ForeignIssuers::load(State& state) {
    HD_TRY(const auto entry, store_.get(record_key(state.issuer)));
    if (!entry) return ok_status();
    const Error corrupt{ErrorCode::corrupt, "the record is not in its form"};
    const Json record = Json::parse(entry->value, nullptr, /*allow_exceptions=*/false);
    if (!record.is_object() || text_of(record, "issuer") != state.issuer.url) return corrupt;
    Keys kept;
    HD_TRY(kept.fetched_at, parse_iso8601(text_of(record, "fetched_at")));
    const auto list = record.find("keys");
    if (list == record.end() || !list->is_array() || list->size() > http::kIssuerKeysMax)
        return corrupt;
    for (const Json& each : *list) {
        if (!each.is_object()) return corrupt;
        http::VerificationKey key{text_of(each, "id"), text_of(each, "algorithm"),
                                  text_of(each, "pem")};
        HD_CHECK(http::check_issuer_key(key));
        kept.keys.push_back(std::move(key));
    }
    state.keys = std::make_shared<const Keys>(std::move(kept));
    return ok_status();
}

Status ForeignIssuers::forget_others() {
    HD_TRY(const auto entries, store_.list(kPrefix));
    for (const store::Entry& entry : entries) {
        const bool is_trusted = std::any_of(states_.begin(), states_.end(), [&](const auto& each) {
            return record_key(each->issuer) == entry.key;
        });
        if (is_trusted) continue;
        store::Transaction txn;
        txn.remove(entry.key);
        HD_CHECK(store_.commit(txn));
        const Json record = Json::parse(entry.value, nullptr, /*allow_exceptions=*/false);
        log::info("an issuer of tokens is not trusted any more",
                  {{"issuer", record.is_object() ? text_of(record, "issuer") : ""}});
    }
    return ok_status();
}

Status ForeignIssuers::keep(const State& state, const Keys& keys) {
    store::Transaction txn;
    txn.put(record_key(state.issuer), text_of_keys(state.issuer.url, keys.fetched_at, keys.keys));
    HD_CHECK(store_.commit(txn));
    return ok_status();
}

ForeignIssuers::State* ForeignIssuers::find(std::string_view url) {
    for (const auto& each : states_)
        if (each->issuer.url == url) return each.get();
    return nullptr;
}

bool ForeignIssuers::trusts(const Caller& caller) const {
    return std::any_of(states_.begin(), states_.end(), [&](const auto& each) {
        return caller.name.starts_with(each->issuer.url + " ");
    });
}

std::shared_ptr<const ForeignIssuers::Keys> ForeignIssuers::usable_keys(State& state,
                                                                        Timestamp now) {
    const std::lock_guard lock(state.mutex);
    if (state.keys == nullptr) return nullptr;
    // In milliseconds: the record may name the year 9999, 292 years are all that nanoseconds hold.
    const std::chrono::milliseconds age = now - state.keys->fetched_at;
    if (age > kIssuerKeysAgeMax || age < -kIssuerClockLeeway) return nullptr;
    return state.keys;
}

std::optional<Result<Caller>> ForeignIssuers::authenticate(std::string_view token) {
    const Timestamp now = clock_.wall();
    if (states_.empty()) return std::nullopt;
    const auto unverified = http::look_at_jwt(token);
    if (!unverified) return std::nullopt;
    State* const state = find(unverified->issuer);
    if (state == nullptr) return std::nullopt;
    return check(*state, token, unverified->key_id, now);
}

void ForeignIssuers::want_keys(State& state) {
    {
        const std::lock_guard lock(state.mutex);
        state.is_wanted = true;
    }
    state.changed.notify_all();
}

Result<Caller> ForeignIssuers::check(State& state, std::string_view token,
                                     const std::string& key_id, Timestamp now) {
    const auto keys = usable_keys(state, now);
    if (keys == nullptr) {
        want_keys(state);
        return no_keys("the keys of its issuer are not known, or too old");
    }
    const auto known = verified_.find(token, now);
    if (known && known->keys == keys) return known->caller;
    const bool has_key =
        std::any_of(keys->keys.begin(), keys->keys.end(),
                    [&](const http::VerificationKey& each) { return each.id == key_id; });
    if (!has_key) {
        want_keys(state);
        return no_keys("its key is not known");
    }
    HD_TRY(const http::IssuerClaims claims,
           http::verify_issuer_jwt(token, keys->keys,
                                   {.issuer = state.issuer.url,
                                    .audiences = state.issuer.audiences,
                                    .subject_claim = state.issuer.subject_claim,
                                    .tenant = state.issuer.tenant},
                                   now));
    Caller caller = caller_of(claims);
    verified_.add(token, {caller, keys, claims.not_before, claims.expires_at});
    return caller;
}

Instant ForeignIssuers::due_at(const State& state) {
    if (!state.tried_at) return Instant{};
    if (!state.succeeded) {
        const int doubled = std::min(state.failures - 1, kFailuresCounted);
        return *state.tried_at + std::min(kIssuerRetryMin * (1 << doubled), kIssuerRetryMax);
    }
    return *state.tried_at + (state.is_wanted ? kUnknownKeyPause : kIssuerKeysPeriod);
}

Result<ForeignIssuers::Keys> ForeignIssuers::fetch_keys(const TrustedIssuer& issuer,
                                                        const Fetch& fetch) const {
    HD_TRY(const std::string discovery, fetch(http::discovery_url(issuer.url)));
    HD_TRY(const std::string where, http::parse_issuer_discovery(discovery, issuer.url));
    HD_TRY(const std::string text, fetch(where));
    HD_TRY(http::IssuerKeySet set, http::parse_issuer_keys(text));
    if (set.keys.empty())
        log::warn("an issuer has no key that verifies tokens", {{"issuer", issuer.url}});
    for (const std::string& why : set.ignored)
        log::debug("a key of an issuer is ignored", {{"issuer", issuer.url}, {"key", why}});
    return Keys{std::move(set.keys), clock_.wall()};
}

Instant ForeignIssuers::step(std::size_t index, const Fetch& fetch) {
    State& state = *states_[index];
    {
        const std::lock_guard lock(state.mutex);
        if (const Instant due = due_at(state); due > clock_.now()) return due;
        state.is_wanted = false;
    }
    auto fetched = fetch_keys(state.issuer, fetch);
    if (fetched.ok()) {
        const Status kept = keep(state, *fetched);
        if (!kept.ok())
            log::error("the keys of an issuer cannot be kept",
                       {{"issuer", state.issuer.url}, {"reason", kept.error().describe()}});
    } else {
        log::warn("the keys of an issuer cannot be fetched",
                  {{"issuer", state.issuer.url}, {"reason", fetched.error().describe()}});
    }
    const std::lock_guard lock(state.mutex);
    state.tried_at = clock_.now();
    state.succeeded = fetched.ok();
    state.failures = fetched.ok() ? 0 : std::min(state.failures + 1, kFailuresCounted);
    if (fetched.ok()) {
        if (state.keys == nullptr || state.keys->keys != fetched->keys)
            log::info("the keys of an issuer are new",
                      {{"issuer", state.issuer.url}, {"keys", fetched->keys.size()}});
        state.keys = std::make_shared<const Keys>(std::move(*fetched));
    }
    return due_at(state);
}

void ForeignIssuers::run(std::size_t index, const std::stop_token& stop) {
    State& state = *states_[index];
    http::Client client(
        {.ca_pem = state.issuer.ca_pem, .body_bytes_max = http::kIssuerDocumentBytesMax});
    const std::stop_callback cancel(stop, [&] { client.cancel(); });
    const Fetch fetch = [&](const std::string& url) { return get(client, url); };
    while (!stop.stop_requested()) {
        static_cast<void>(step(index, fetch));
        std::unique_lock lock(state.mutex);
        const Duration pause =
            std::clamp(due_at(state) - clock_.now(), Duration::zero(), kLookPause);
        // A wish that comes while it sleeps may make the next fetch due earlier.
        const bool was_wanted = state.is_wanted;
        state.changed.wait_for(lock, stop, pause, [&] { return state.is_wanted != was_wanted; });
    }
}

}  // namespace howdah::api
