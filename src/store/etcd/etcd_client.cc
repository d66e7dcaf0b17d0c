#include "store/etcd/etcd_client.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "os/file.h"

namespace howdah::store {
namespace {

using model::etcd::Range;
using model::etcd::Refusal;
using model::etcd::Step;
using model::etcd::Txn;
using model::etcd::TxnAnswer;

constexpr int kHttpOk = 200;
constexpr int kHttpNotFound = 404;
constexpr std::size_t kPemBytesMax = 1 << 20;
constexpr std::string_view kNoSpace = "database space exceeded";
constexpr std::string_view kTooLarge = "request is too large";
constexpr std::string_view kTooManySteps = "too many operations";

// Codes of gRPC that etcd answers with before anything is done.
constexpr int kInvalidArgument = 3;
constexpr int kNotFound = 5;
constexpr int kPermissionDenied = 7;
constexpr int kResourceExhausted = 8;
constexpr int kOutOfRange = 11;
constexpr int kUnauthenticated = 16;

/// What etcd said no to, so that nothing happened; none if it may have happened all the same.
std::optional<Error> certain_refusal(int status, const Refusal& refusal,
                                     std::string_view endpoint) {
    const std::string what = fmt::format("etcd at {}: {}", endpoint, refusal.message);
    const auto says = [&](std::string_view text) {
        return refusal.message.find(text) != std::string::npos;
    };
    switch (refusal.code) {
        case kInvalidArgument:
            if (says(kTooLarge))
                return Error{ErrorCode::too_large, what, "", "start etcd with --max-request-bytes"};
            if (says(kTooManySteps))
                return Error{ErrorCode::too_large, what, "", "start etcd with --max-txn-ops"};
            return Error{ErrorCode::invalid_argument, what};
        case kNotFound:
            return Error{ErrorCode::not_found, what};
        case kPermissionDenied:
        case kUnauthenticated:
            return Error{ErrorCode::permission_denied, what};
        case kResourceExhausted:
            if (!says(kNoSpace)) return Error{ErrorCode::unavailable, what};
            return Error{ErrorCode::resource_exhausted, what, "",
                         "compact and defragment etcd, then disarm its alarm"};
        case kOutOfRange:
            return Error{ErrorCode::conflict, what};
        default:
            break;
    }
    if (status == kHttpNotFound)
        return Error{ErrorCode::not_supported,
                     fmt::format("what answers at {} is no etcd 3.4 or newer", endpoint)};
    return std::nullopt;
}

bool only_reads(const std::vector<Step>& steps) {
    return std::all_of(steps.begin(), steps.end(),
                       [](const Step& each) { return std::holds_alternative<Range>(each); });
}

Result<std::string> read_pem(const std::string& path) {
    if (path.empty()) return std::string();
    return os::read_file(path, kPemBytesMax);
}

}  // namespace

Result<std::unique_ptr<EtcdClient>> EtcdClient::open(const EtcdOptions& options,
                                                     const Clock& clock) {
    if (options.endpoints.empty() || options.endpoints.size() > EtcdOptions::kEndpointsMax)
        return Error{ErrorCode::invalid_argument,
                     fmt::format("{} addresses of etcd are outside 1 to {}",
                                 options.endpoints.size(), EtcdOptions::kEndpointsMax)};
    for (const std::string& each : options.endpoints) {
        if (!each.starts_with("https://") && !each.starts_with("http://"))
            return Error{
                ErrorCode::invalid_argument,
                fmt::format("the address of etcd '{}' does not begin with https://", each)};
    }
    if (options.prefix.size() < 2 || options.prefix.front() != '/' || options.prefix.back() != '/')
        return Error{ErrorCode::invalid_argument,
                     fmt::format("the prefix '{}' of keys is not /.../", options.prefix)};
    if (options.certificate_file.empty() != options.key_file.empty())
        return Error{ErrorCode::invalid_argument,
                     "a certificate for etcd and its key are given together or not at all"};
    http::ClientOptions tls{.body_bytes_max = kAnswerBytesMax};
    HD_TRY(tls.ca_pem, read_pem(options.ca_file));
    HD_TRY(tls.certificate_pem, read_pem(options.certificate_file));
    HD_TRY(std::string key, read_pem(options.key_file));
    tls.key_pem = Secret(std::move(key));
    return std::unique_ptr<EtcdClient>(new EtcdClient(options, std::move(tls), clock));
}

std::unique_ptr<http::Client> EtcdClient::borrow() {
    {
        const std::lock_guard lock(mutex_);
        if (!idle_.empty()) {
            auto client = std::move(idle_.back());
            idle_.pop_back();
            return client;
        }
    }
    return std::make_unique<http::Client>(tls_);
}

void EtcdClient::give_back(std::unique_ptr<http::Client> client) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kIdleMax) idle_.push_back(std::move(client));
}

void EtcdClient::prefer_another_than(std::size_t member) {
    std::size_t expected = member;
    preferred_.compare_exchange_strong(expected, (member + 1) % members());
}

/// What an answer means; one that is no "OK" is final only if nothing can have happened.
EtcdClient::Reply EtcdClient::judge(std::size_t member, int status, std::string body) {
    if (status == kHttpOk) {
        preferred_ = member;
        return {std::move(body), true};
    }
    const std::string& endpoint = options_.endpoints[member];
    const Refusal refusal = model::etcd::parse_refusal(body);
    if (auto certain = certain_refusal(status, refusal, endpoint)) return {*certain, true};
    return {Error{ErrorCode::timeout,
                  fmt::format("etcd at {} answered {}: {}", endpoint, status, refusal.message)}};
}

EtcdClient::Reply EtcdClient::ask_member(http::Client& client, std::size_t member,
                                         const http::Call& call) {
    auto answer = client.call(call);
    if (answer.ok()) return judge(member, answer->status, std::move(answer->body));
    // An address that is refused would be so again.
    const bool is_final = answer.error().code == ErrorCode::invalid_argument;
    return {answer.error(), is_final};
}

Result<std::string> EtcdClient::ask(const std::string& path, const std::string& body, Effect effect,
                                    Instant deadline) {
    auto client = borrow();
    const std::size_t count = options_.endpoints.size();
    const std::size_t first = preferred_;
    Reply reply{Error{ErrorCode::unavailable, "no member of etcd was asked in time"}};
    for (std::size_t i = 0; i < count && !reply.is_final; ++i) {
        const Duration left = deadline - clock_.now();
        if (left < std::chrono::milliseconds(1)) break;
        // Half of the time for each but the last, so that one that is lost costs no more.
        const Duration share = i + 1 < count ? left / 2 : left;
        const std::size_t member = (first + i) % count;
        reply = ask_member(*client, member,
                           {.method = "POST",
                            .url = options_.endpoints[member] + path,
                            .headers = {{"content-type", "application/json"}},
                            .body = body,
                            .timeout = effect == Effect::once ? left : share,
                            .connect_timeout = share});
        if (reply.is_final) break;
        prefer_another_than(member);
        // Whatever went wrong after it had gone out, it is not sent again.
        if (effect == Effect::once && reply.result.error().code != ErrorCode::unavailable)
            reply = {Error{ErrorCode::timeout, reply.result.error().message}, true};
    }
    give_back(std::move(client));
    if (!reply.is_final && reply.result.error().code == ErrorCode::timeout)
        return Error{ErrorCode::unavailable, reply.result.error().message};
    return std::move(reply.result);
}

Status EtcdClient::check_history(const TxnAnswer& answer, std::int64_t seen_before) {
    std::uint64_t cluster = 0;
    const bool is_same =
        cluster_.compare_exchange_strong(cluster, answer.cluster) || cluster == answer.cluster;
    if (!is_same || answer.revision < seen_before) has_lost_ = true;
    std::int64_t newest = newest_;
    while (newest < answer.revision && !newest_.compare_exchange_weak(newest, answer.revision)) {
    }
    if (!has_lost_) return ok_status();
    return Error{ErrorCode::corrupt,
                 is_same ? fmt::format("etcd went back: its revision is {} and was {}",
                                       answer.revision, seen_before)
                         : "a member of another etcd answers",
                 "", "find out what etcd has lost before this program is started again"};
}

Result<TxnAnswer> EtcdClient::txn(const Txn& txn, Instant deadline) {
    if (has_lost_)
        return Error{ErrorCode::corrupt, "etcd lost what it had acknowledged", "",
                     "find out what etcd has lost before this program is started again"};
    const bool reads = only_reads(txn.success) && only_reads(txn.failure);
    const std::int64_t seen_before = newest_;
    HD_TRY(const std::string text, ask("/v3/kv/txn", model::etcd::to_json(txn),
                                       reads ? Effect::repeatable : Effect::once, deadline));
    auto answer = model::etcd::parse_txn_answer(text, txn);
    if (!answer.ok()) {
        if (reads) return answer;
        return Error{ErrorCode::timeout,
                     fmt::format("{}; the change may have happened", answer.error().message)};
    }
    HD_CHECK(check_history(*answer, seen_before));
    return answer;
}

Result<std::int64_t> EtcdClient::grant_lease(std::int64_t seconds, Instant deadline) {
    HD_TRY(const std::string text, ask("/v3/lease/grant", model::etcd::lease_grant_json(seconds),
                                       Effect::repeatable, deadline));
    HD_TRY(const auto answer, model::etcd::parse_lease_grant(text));
    return answer.id;
}

Status EtcdClient::renew_lease(std::int64_t lease, Instant deadline) {
    HD_TRY(const std::string text, ask("/v3/lease/keepalive", model::etcd::lease_json(lease),
                                       Effect::repeatable, deadline));
    HD_TRY(const auto answer, model::etcd::parse_lease_renewal(text));
    if (answer.id == lease && answer.seconds > 0) return ok_status();
    return Error{ErrorCode::not_found, fmt::format("etcd knows no lease {}", lease)};
}

Status EtcdClient::revoke_lease(std::int64_t lease, Instant deadline) {
    HD_CHECK(ask("/v3/lease/revoke", model::etcd::lease_json(lease), Effect::once, deadline));
    return ok_status();
}

Result<EtcdClient::Stream> EtcdClient::watch(const std::string& key, const std::string& end,
                                             std::int64_t first,
                                             const std::set<std::size_t>& avoided,
                                             Instant deadline) {
    const std::size_t begin = preferred_;
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < members(); ++i) order.push_back((begin + i) % members());
    std::stable_partition(order.begin(), order.end(),
                          [&](std::size_t each) { return !avoided.contains(each); });
    Error last{ErrorCode::unavailable, "no member of etcd was asked in time"};
    for (const std::size_t member : order) {
        const Duration left = deadline - clock_.now();
        if (left < std::chrono::milliseconds(1)) break;
        const Duration share = member != order.back() ? left / 2 : left;
        auto client = std::make_unique<http::Client>(tls_);
        auto answer = client->begin({.method = "POST",
                                     .url = options_.endpoints[member] + "/v3/watch",
                                     .headers = {{"content-type", "application/json"}},
                                     .body = model::etcd::watch_json(key, end, first),
                                     .timeout = share,
                                     .connect_timeout = share});
        if (answer.ok() && answer->status == kHttpOk) return Stream{std::move(client), member};
        if (answer.ok()) {
            const Reply reply =
                judge(member, answer->status, client->more(share).value_or(std::string()));
            if (reply.is_final) return reply.result.error();
            last = reply.result.error();
        } else {
            if (answer.error().code == ErrorCode::invalid_argument) return answer.error();
            last = answer.error();
        }
        prefer_another_than(member);
    }
    last.code = ErrorCode::unavailable;
    return last;
}

Status EtcdClient::probe(std::size_t member, Instant deadline) {
    const Duration left = std::max<Duration>(deadline - clock_.now(), std::chrono::milliseconds(1));
    const Txn txn{.success = {Range{.key = options_.prefix, .keys_only = true}}};
    auto client = borrow();
    const Reply reply = ask_member(*client, member,
                                   {.method = "POST",
                                    .url = options_.endpoints[member] + "/v3/kv/txn",
                                    .headers = {{"content-type", "application/json"}},
                                    .body = model::etcd::to_json(txn),
                                    .timeout = left,
                                    .connect_timeout = left});
    give_back(std::move(client));
    if (reply.result.ok()) return ok_status();
    prefer_another_than(member);
    return reply.result.error();
}

void EtcdClient::compact_behind(std::int64_t revision, std::int64_t kept, Instant deadline) {
    std::int64_t next = compact_next_;
    if (revision < next || revision <= kept) return;
    if (!compact_next_.compare_exchange_strong(next, revision + kept / 2)) return;
    // Somebody else may have done it already, or it is done in a while: nobody depends on it.
    (void)ask("/v3/kv/compaction", model::etcd::compaction_json(revision - kept),
              Effect::repeatable, deadline)
        .ok();
}

}  // namespace howdah::store
