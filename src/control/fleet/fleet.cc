#include "control/fleet/fleet.h"

#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>

#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/text.h"
#include "control/reconcile/records.h"
#include "core/ha/failover_timeline.h"
#include "core/plan/members_plan.h"
#include "core/plan/server_plan.h"
#include "model/json.h"
#include "model/resource_id.h"
#include "store/keys.h"

namespace howdah::control {
namespace {

namespace keys = store::keys;

constexpr Duration kRound = std::chrono::milliseconds(250);
constexpr Duration kSilenceCheckEvery = std::chrono::seconds(1);
constexpr int kConflictsMax = 8;
constexpr std::size_t kResultsPerCommit = 64;
constexpr std::size_t kIdBytesMax = 256;
constexpr std::size_t kPathBytesMax = 4096;  // as the kernel's
constexpr std::size_t kWarnedMax = 1000;
constexpr std::string_view kOrphan = "orphan";

std::string problem_json(const Error& error) {
    return model::to_json(
        model::Failure{std::string(to_string(error.code)), error.message, error.hint});
}

/// What goes into store keys has to be harmless there.
Status check_id(std::string_view id, const char* what) {
    const bool is_good =
        !id.empty() && id.size() <= kIdBytesMax && std::all_of(id.begin(), id.end(), [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '-' || c == '_' || c == '.';
        });
    if (is_good) return {};
    return Error{ErrorCode::invalid_argument,
                 fmt::format("'{}' is not {}", id.substr(0, 64), what)};
}

Status check_server_id(const std::string& id) {
    const auto parsed = model::ResourceId::parse(id);
    if (parsed.ok() && parsed->key() == id && parsed->segments.size() == 1) return {};
    return Error{ErrorCode::invalid_argument,
                 fmt::format("'{}' is not a server's id in lower case", id.substr(0, 128))};
}

/// They are kept for long, so that they must be small.
Status check_failovers(const model::InstanceReport& report) {
    const auto is_short = [](const std::string& text) {
        return text.size() <= Fleet::kFailoverTextMax;
    };
    const auto is_small = [&](const model::FailoverStep& each) {
        return is_short(each.kind) && is_short(each.rule) && is_short(each.text) &&
               is_short(each.position);
    };
    bool is_good = report.failovers.size() <= Fleet::kFailoversMax;
    for (const model::FailoverPart& each : report.failovers)
        is_good = is_good && each.term > 0 && each.steps.size() <= Fleet::kFailoverStepsMax &&
                  is_short(each.old_primary) && is_short(each.new_primary) &&
                  is_short(each.received) && is_short(each.switched_at) &&
                  each.kept_at.size() <= kPathBytesMax &&
                  std::all_of(each.steps.begin(), each.steps.end(), is_small);
    if (is_good) return {};
    return Error{ErrorCode::too_large, "what is told of failovers is too large"};
}

Status check_backups(const model::InstanceReport& report) {
    if (!report.backups) return {};
    const model::BackupReport& told = *report.backups;
    const auto is_short = [](const std::string& text) {
        return text.size() <= Fleet::kBackupTextMax;
    };
    const auto is_small = [&](const model::SignedProof& each) {
        const model::Proof& proof = each.proof;
        return each.token.size() <= Fleet::kProofBytesMax && is_short(proof.name) &&
               is_short(proof.outcome) && is_short(proof.reason) && is_short(proof.time) &&
               is_short(proof.backup) && proof.different.size() <= Fleet::kProofsMax &&
               proof.damages.size() <= Fleet::kProofsMax &&
               std::all_of(proof.different.begin(), proof.different.end(), is_short) &&
               std::all_of(proof.damages.begin(), proof.damages.end(), is_short);
    };
    const bool is_good =
        told.proofs.size() <= Fleet::kProofsMax &&
        std::all_of(told.proofs.begin(), told.proofs.end(), is_small) &&
        told.backups.size() <= Fleet::kBackupsMax && is_short(told.activity) &&
        told.restorable.size() <= Fleet::kBackupsMax && is_short(told.trouble) &&
        std::all_of(told.restorable.begin(), told.restorable.end(),
                    [&](const auto& each) { return is_short(each.from) && is_short(each.to); }) &&
        std::all_of(told.backups.begin(), told.backups.end(), [&](const auto& each) {
            return is_short(each.name) && is_short(each.kind) && is_short(each.started_at) &&
                   is_short(each.completed_at);
        });
    if (is_good) return {};
    return Error{ErrorCode::too_large, "what is told of backups is too large"};
}

/// Of one life of a server: neither stored nor ever another. Who has the master key can read the
/// repository of a server that was deleted.
std::string backup_key(const store::SecretBox& secrets, const std::string& incarnation) {
    return secrets.fingerprint("the backups of a server", Secret(incarnation));
}

/// Of the role that a server's read replicas stream as.
std::string replica_password(const store::SecretBox& secrets, const std::string& incarnation) {
    return secrets.fingerprint("the read replicas of a server", Secret(incarnation));
}

Result<model::PollRequest> decode(const std::string& peer_name, std::string_view body) {
    auto request = model::from_json<model::PollRequest>(body);
    if (!request.ok()) {
        Error error = request.error();
        error.code = ErrorCode::invalid_request;
        return error;
    }
    HD_CHECK(check_id(request->host, "a host's id"));
    if (request->host != peer_name) {
        return Error{ErrorCode::permission_denied,
                     fmt::format("the certificate of '{}' does not speak for host '{}'", peer_name,
                                 request->host)};
    }
    if (request->reports.size() > Fleet::kReportsMax ||
        request->results.size() > Fleet::kReportsMax) {
        return Error{ErrorCode::too_large,
                     fmt::format("a poll has at most {} reports and results", Fleet::kReportsMax)};
    }
    for (const auto& each : request->reports) {
        HD_CHECK(check_server_id(each.server_id));
        if (each.logs.size() > Fleet::kLogsMax) {
            return Error{ErrorCode::too_large,
                         fmt::format("a report has at most {} log files", Fleet::kLogsMax)};
        }
        HD_CHECK(check_failovers(each));
        HD_CHECK(check_backups(each));
    }
    for (const auto& each : request->results) {
        HD_CHECK(check_server_id(each.server_id));
        HD_CHECK(check_id(each.action_id, "an action's id"));
    }
    return request;
}

}  // namespace

Fleet::Fleet(store::Store& store, const Clock& clock, const store::SecretBox& secrets,
             LogRelay* logs, TrustSource trust)
    : store_(store), clock_(clock), secrets_(secrets), logs_(logs), trust_(std::move(trust)) {}

Fleet::~Fleet() = default;

// ---------------------------------------------------------------------------------------------
// A poll

void Fleet::handle(http::Request request, http::Responder responder) {
    // std::function wants what it holds to be copyable.
    auto shared = std::make_shared<http::Responder>(std::move(responder));
    if (request.method != "POST") {
        shared->send({405, {}, problem_json({ErrorCode::method_not_allowed, "only POST"})});
        return;
    }
    const Reply reply = [shared](int status, std::string body) {
        shared->send({status, {}, std::move(body)});
    };
    if (request.path == "/agent/v1/logs") return take_log(request, reply);
    poll(request.peer_name, request.body, reply);
}

void Fleet::poll(const std::string& peer_name, std::string_view body, Reply reply) {
    const auto fail = [&](const Error& error) {
        log::warn("refused a poll", {{"peer", peer_name}, {"error", error.describe()}});
        reply(http_status(error.code), problem_json(error));
    };
    const auto request = decode(peer_name, body);
    if (!request.ok()) return fail(request.error());
    const auto is_known = hear(request->host);
    if (!is_known.ok()) return fail(is_known.error());
    auto stored = take(*request);
    if (!stored.ok()) return fail(stored.error());
    if (stored->changed) HD_FAILPOINT("howdahd.fleet.after_report");

    const bool wants_report = !*is_known && !request->host_report;
    auto trust = trust_for(*request);
    if (request->wait_ms > 0 && !stored->changed && stored->acknowledged.empty() && !wants_report &&
        !trust)
        return park(*request, std::move(reply));
    std::vector<model::Action> actions;
    if (!is_waiting(request->host)) {
        auto read = actions_for(request->host, {request->running.begin(), request->running.end()});
        if (!read.ok()) return fail(read.error());
        actions = std::move(*read);
    }
    auto logs =
        is_waiting(request->host) ? std::vector<model::LogRequest>() : log_requests(request->host);
    answer(reply, {std::move(actions), std::move(stored->acknowledged), wants_report,
                   std::move(logs), std::move(trust)});
}

/// None: the agent has it. Keys are shown long before they sign, so a parked poll is not woken.
std::optional<model::TokenTrust> Fleet::trust_for(const model::PollRequest& request) const {
    if (!trust_) return std::nullopt;
    model::TokenTrust trust = trust_();
    if (trust.version == request.token_trust) return std::nullopt;
    return trust;
}

/// True if another poll of this host waits for actions: only that one gets them, so that an agent
/// that tells on one connection and asks on another gets each action once.
bool Fleet::is_waiting(const std::string& host) {
    const std::lock_guard lock(mutex_);
    return hosts_[host].parked.has_value();
}

void Fleet::answer(const Reply& reply, const model::PollResponse& response) {
    if (!response.actions.empty()) HD_FAILPOINT("howdahd.fleet.before_send");
    reply(200, model::to_json(response));
}

Status Fleet::load() {
    {
        const std::lock_guard lock(mutex_);
        if (is_loaded_) return {};
    }
    std::map<std::string, Host> hosts;
    // After a start every host has its time to be heard of.
    HD_CHECK(for_each(store_, "/host/", [&](const store::Entry& each) -> Status {
        hosts[each.key.substr(std::string_view("/host/").size())] = {clock_.now(), false, true};
        return {};
    }));
    HD_CHECK(for_each(store_, "/silent/", [&](const store::Entry& each) -> Status {
        hosts[each.key.substr(std::string_view("/silent/").size())].is_silent = true;
        return {};
    }));
    const std::lock_guard lock(mutex_);
    if (!is_loaded_) hosts_.merge(hosts);
    is_loaded_ = true;
    return {};
}

/// Notes that the host lives. True if the store has its report.
Result<bool> Fleet::hear(const std::string& host) {
    HD_CHECK(load());
    bool was_silent = false;
    {
        const std::lock_guard lock(mutex_);
        if (!hosts_.contains(host) && hosts_.size() >= kHostsMax) {
            return Error{ErrorCode::resource_exhausted,
                         fmt::format("there are {} hosts already", hosts_.size())};
        }
        hosts_[host].last_heard = clock_.now();
        was_silent = hosts_[host].is_silent;
    }
    if (was_silent) HD_CHECK(store_.commit(store::Transaction().remove(keys::silent(host))));
    const std::lock_guard lock(mutex_);
    if (was_silent) {
        hosts_[host].is_silent = false;
        log::info("host is back", {{"host", host}});
    }
    return hosts_[host].is_known;
}

// ---------------------------------------------------------------------------------------------
// What an agent tells

Result<Fleet::Stored> Fleet::take(const model::PollRequest& request) {
    Stored stored;
    if (request.host_report) {
        HD_TRY(const bool changed, take_host_report(request.host, *request.host_report));
        stored.changed |= changed;
    }
    // By server and incarnation: an older life of a server may be reported beside the newer.
    using Life = std::pair<std::string, std::string>;
    std::map<Life, News> news;
    const auto take_part = [&](const Life& life) -> Status {
        HD_TRY(const bool changed, take_news(request.host, life.first, news[life]));
        stored.changed |= changed;
        news.erase(life);
        return {};
    };
    // Whose word it is, the certificate says.
    for (model::InstanceReport each : request.reports) {
        each.host = request.host;
        news[{each.server_id, each.incarnation}].report = each;
    }
    for (model::ActionResult each : request.results) {
        const Life life{each.server_id, each.incarnation};
        each.host = request.host;
        news[life].results.push_back(each);
        if (news[life].results.size() == kResultsPerCommit) HD_CHECK(take_part(life));
    }
    while (!news.empty()) HD_CHECK(take_part(Life(news.begin()->first)));
    for (const auto& each : request.results) stored.acknowledged.push_back(each.action_id);
    return stored;
}

Result<bool> Fleet::take_host_report(const std::string& host, const model::HostReport& report) {
    if (report.host != host) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("host '{}' reports for host '{}'", host, report.host)};
    }
    const std::string text = model::to_json(report);
    HD_TRY(const auto before, store_.get(keys::host(host)));
    const bool changed = !before || before->value != text;
    if (changed) HD_CHECK(store_.commit(store::Transaction().put(keys::host(host), text)));
    const std::lock_guard lock(mutex_);
    hosts_[host].is_known = true;
    return changed;
}

/// Report and results of one server, in one transaction that expects the server to be the one
/// they are about: nothing is written about a server that was deleted meanwhile.
Result<bool> Fleet::take_news(const std::string& host, const std::string& server_key,
                              const News& news) {
    const std::string key = "/server" + server_key;
    for (int attempt = 0; attempt < kConflictsMax; ++attempt) {
        HD_TRY(const auto spec, read_record<model::ServerSpec>(store_, key));
        HD_TRY(const auto status,
               read_record<model::ServerStatus>(store_, keys::status(server_key)));
        const auto hosts =
            status.record ? core::hosts_with_instances(*status.record) : std::vector<std::string>();
        const bool is_ours =
            spec.record && std::find(hosts.begin(), hosts.end(), host) != hosts.end();
        const auto is_current = [&](const std::string& incarnation) {
            return is_ours && spec.record->incarnation == incarnation;
        };
        store::Transaction transaction;
        transaction.expect(key, spec.modified);
        bool has_failovers = false;
        if (news.report && is_current(news.report->incarnation)) {
            model::InstanceReport facts = *news.report;
            facts.failovers.clear();
            const std::string text = model::to_json(facts);
            HD_TRY(has_failovers, add_failovers(transaction, server_key, *news.report));
            const std::string report = keys::report(server_key, host);
            HD_TRY(const auto before, store_.get(report));
            if (!before || before->value != text) transaction.put(report, text);
        }
        for (const model::ActionResult& each : news.results) {
            if (!is_current(each.incarnation)) continue;
            const std::string result = keys::result(server_key, each.action_id);
            const auto is_same = [&](const auto& change) { return change.key == result; };
            if (std::any_of(transaction.changes().begin(), transaction.changes().end(), is_same))
                continue;
            const std::string text = model::to_json(each);
            HD_TRY(const auto before, store_.get(result));
            if (!before || before->value != text) transaction.put(result, text);
        }
        HD_TRY(const bool orphans_changed, take_orphan(host, server_key, news));
        if (transaction.empty()) return orphans_changed;
        const auto committed = store_.commit(transaction);
        if (committed.ok()) {
            if (has_failovers) HD_CHECK(trim_failovers(server_key));
            return true;
        }
        if (committed.error().code != ErrorCode::conflict) return committed.error();
    }
    return Error{ErrorCode::unavailable,
                 fmt::format("server '{}' changes too often to take its report", server_key)};
}

/// What this host knows of each failover, beside what others know. True if any of it is news.
Result<bool> Fleet::add_failovers(store::Transaction& transaction, const std::string& server_key,
                                  const model::InstanceReport& report) {
    bool has_news = false;
    for (model::FailoverPart part : report.failovers) {
        part.host = report.host;
        const std::string key = keys::failover(server_key, part.term);
        HD_TRY(auto before, read_record<model::FailoverRecord>(store_, key));
        model::FailoverRecord record{.term = part.term, .incarnation = report.incarnation};
        const bool is_same_life = before.record && before.record->incarnation == report.incarnation;
        if (is_same_life) record = *before.record;
        core::ha::merge_part(record, std::move(part));
        std::string text = model::to_json(record);
        if (is_same_life && text == model::to_json(*before.record)) continue;
        transaction.expect(key, before.modified);
        transaction.put(key, std::move(text));
        has_news = true;
    }
    return has_news;
}

Status Fleet::trim_failovers(const std::string& server_key) {
    const std::string prefix = keys::failovers_of(server_key);
    HD_TRY(const auto kept, store_.list(prefix));
    if (kept.size() <= kFailoversKeptMax) return {};
    store::Transaction transaction;
    // Terms are in order, the oldest first.
    for (std::size_t i = 0; i < kept.size() - kFailoversKeptMax; ++i)
        if (transaction.changes().size() < store::kTransactionChangesMax / 2)
            transaction.remove(kept[i].key);
    const auto committed = store_.commit(transaction);
    return committed.ok() ? ok_status() : Status(committed.error());
}

/// Instances whose server is gone: deleted if it is known that the server was deleted.
Result<bool> Fleet::take_orphan(const std::string& host, const std::string& server_key,
                                const News& news) {
    bool changed = false;
    for (const model::ActionResult& each : news.results) {
        if (!each.action_id.ends_with(kOrphan)) continue;
        HD_CHECK(store_.commit(store::Transaction().remove(keys::action(host, each.action_id))));
        changed = true;
    }
    if (!news.report || news.report->state == "absent") return changed;
    const model::InstanceReport& report = *news.report;
    if (const Status good = check_id(report.incarnation, "an incarnation"); !good.ok())
        return changed;
    HD_TRY(const auto spec, read_record<model::ServerSpec>(store_, "/server" + server_key));
    if (spec.record && spec.record->incarnation == report.incarnation) return changed;
    HD_TRY(const auto gone, store_.get(keys::gone(report.incarnation)));
    if (!gone) {
        const std::lock_guard lock(mutex_);
        if (warned_.size() < kWarnedMax && warned_.insert(report.incarnation).second) {
            log::warn(
                "host has an instance of an unknown server; it is left alone",
                {{"host", host}, {"server", server_key}, {"incarnation", report.incarnation}});
        }
        return changed;
    }
    model::Action action;
    action.id = core::action_id(report.incarnation, report.observed_generation,
                                model::ActionKind::delete_instance, std::string(kOrphan), 0);
    action.host = host;
    action.server_id = server_key;
    action.incarnation = report.incarnation;
    action.kind = model::ActionKind::delete_instance;
    action.term = report.term;
    action.generation = report.observed_generation + 1;
    const std::string key = keys::action(host, action.id);
    const auto put =
        store_.commit(store::Transaction().expect_absent(key).put(key, model::to_json(action)));
    if (!put.ok() && put.error().code != ErrorCode::conflict) return put.error();
    return changed || put.ok();
}

// ---------------------------------------------------------------------------------------------
// What an agent gets

Result<std::vector<model::Action>> Fleet::actions_for(const std::string& host,
                                                      const std::set<std::string>& running) {
    std::vector<model::Action> actions;
    HD_CHECK(for_each(store_, keys::actions_of(host), [&](const store::Entry& each) -> Status {
        if (actions.size() >= kActionsPerAnswer) return {};
        const std::string id = each.key.substr(keys::actions_of(host).size());
        if (running.contains(id)) return {};
        HD_TRY(auto action, model::from_json<model::Action>(each.value));
        // Done already; the reconciler is about to take it away.
        HD_TRY(const auto result, store_.get(keys::result(action.server_id, id)));
        if (result) return {};
        HD_TRY(const bool is_good, unseal(action));
        if (is_good) actions.push_back(std::move(action));
        return {};
    }));
    return actions;
}

/// Fills in the secrets, which the store has only sealed. False if that cannot be: the action has
/// a result then, a failure.
Result<bool> Fleet::unseal(model::Action& action) {
    if (!action.instance) return true;
    // A server without password logins may have no password.
    const std::string& sealed_verifier = action.instance->administrator_verifier;
    const auto verifier =
        sealed_verifier.empty()
            ? Result<Secret>(Secret())
            : secrets_.unseal(keys::seal_name_of_verifier(action.server_id), sealed_verifier);
    if (!verifier.ok()) {
        HD_CHECK(refuse(action, verifier.error()));
        return false;
    }
    const std::string tls_key = keys::server_tls(action.server_id);
    HD_TRY(const auto sealed, store_.get(tls_key));
    const auto tls =
        sealed ? secrets_.unseal(tls_key, sealed->value)
               : Result<Secret>(Error{ErrorCode::internal, "the server has no certificate"});
    if (!tls.ok()) {
        HD_CHECK(refuse(action, tls.error()));
        return false;
    }
    HD_TRY(action.instance->tls, model::from_json<model::TlsMaterial>(tls->reveal()));
    action.instance->administrator_verifier = verifier->reveal();
    action.instance->backup.key = backup_key(secrets_, action.incarnation);
    action.instance->replica_password = replica_password(secrets_, action.incarnation);
    if (auto& restore = action.instance->restore) {
        restore->key = backup_key(secrets_, restore->source_incarnation);
        if (restore->follows)
            restore->password = replica_password(secrets_, restore->source_incarnation);
    }
    return true;
}

Status Fleet::refuse(const model::Action& action, const Error& error) {
    log::error("cannot send an action", {{"action", action.id}, {"error", error.describe()}});
    model::ActionResult result{action.id,   action.server_id,  action.incarnation,
                               action.kind, action.generation, model::Failure{}};
    result.host = action.host;
    result.failure = model::Failure{std::string(to_string(error.code)), error.message, error.hint};
    const std::string key = keys::result(action.server_id, action.id);
    const auto put =
        store_.commit(store::Transaction().expect_absent(key).put(key, model::to_json(result)));
    if (!put.ok() && put.error().code != ErrorCode::conflict) return put.error();
    return {};
}

void Fleet::park(const model::PollRequest& request, Reply reply) {
    const auto wait = std::min<Duration>(
        kWaitMax, std::chrono::milliseconds(std::min<std::int64_t>(request.wait_ms, 1'000'000)));
    std::optional<Parked> older;
    {
        const std::lock_guard lock(mutex_);
        Host& host = hosts_[request.host];
        older = std::move(host.parked);
        host.parked = Parked{next_ticket_++,
                             {request.running.begin(), request.running.end()},
                             clock_.now() + wait,
                             std::move(reply)};
    }
    // The agent has begun anew: nobody waits for the older answer.
    if (older) answer(older->reply, {});
    // An action may have come between the agent's last answer and now.
    wake(request.host);
}

/// Answers the parked poll of a host if there is something for it.
void Fleet::wake(const std::string& host) {
    std::uint64_t ticket = 0;
    std::set<std::string> running;
    {
        const std::lock_guard lock(mutex_);
        const auto found = hosts_.find(host);
        if (found == hosts_.end() || !found->second.parked) return;
        ticket = found->second.parked->ticket;
        running = found->second.parked->running;
    }
    auto actions = actions_for(host, running);
    if (!actions.ok()) {
        log::warn("cannot read actions", {{"host", host}, {"error", actions.error().describe()}});
        return;
    }
    if (actions->empty() && !has_log_requests(host)) return;
    std::optional<Parked> parked;
    {
        const std::lock_guard lock(mutex_);
        Host& at = hosts_[host];
        if (!at.parked || at.parked->ticket != ticket) return;
        parked = std::move(at.parked);
        at.parked.reset();
        at.last_heard = clock_.now();
    }
    answer(parked->reply, {std::move(*actions), {}, false, log_requests(host), {}});
}

// ---------------------------------------------------------------------------------------------
// Log files

void Fleet::fetch_log(LogWanted wanted, LogDone done) {
    HD_ASSERT(logs_ != nullptr, "a fleet that is asked for logs needs a relay");
    const std::string host = wanted.host;
    logs_->fetch(std::move(wanted), std::move(done));
    wake(host);
}

bool Fleet::has_log_requests(const std::string& host) {
    return logs_ != nullptr && logs_->has_requests(host);
}

std::vector<model::LogRequest> Fleet::log_requests(const std::string& host) {
    return logs_ == nullptr ? std::vector<model::LogRequest>() : logs_->take_requests(host);
}

/// POST /agent/v1/logs?id=ID&offset=N&bytes=N with the piece as body, or ?id=ID&failure=CODE. What
/// a certificate may send is what its own host was asked for.
void Fleet::take_log(const http::Request& request, const Reply& reply) {
    model::LogReply wanted;
    const std::string id = request.query_value("id").value_or("");
    const auto failure = request.query_value("failure");
    const auto number = [&](std::string_view name) {
        return parse_integer(request.query_value(name).value_or(""), 0, INT64_MAX);
    };
    if (logs_ != nullptr && failure) {
        logs_->take_failure(request.peer_name, id, error_code_from(*failure));
    } else if (logs_ != nullptr) {
        const auto offset = number("offset");
        const auto bytes = number("bytes");
        if (!offset.ok() || !bytes.ok())
            return reply(400, problem_json({ErrorCode::invalid_request,
                                            "a piece needs the numbers 'offset' and 'bytes'"}));
        wanted = logs_->take(request.peer_name, id, *offset, *bytes, request.body);
    }
    reply(200, model::to_json(wanted));
}

// ---------------------------------------------------------------------------------------------
// The loop

void Fleet::run(std::stop_token stop) {
    std::mutex pausing;
    std::condition_variable_any never;
    while (!stop.stop_requested()) {
        const Status stepped = [&]() -> Status {
            if (watch_ == nullptr) return step(Duration::zero());
            const std::stop_callback wake_up(stop, [watch = watch_] { watch->stop(); });
            return step(kRound);
        }();
        if (stepped.ok()) continue;
        log::warn("cannot serve the fleet", {{"error", stepped.error().describe()}});
        std::unique_lock lock(pausing);
        never.wait_for(lock, stop, std::chrono::seconds(1), [] { return false; });
    }
}

Status Fleet::step(Duration timeout) {
    HD_CHECK(load());
    std::set<std::string> to_wake;
    if (watch_ == nullptr) {
        HD_TRY(const store::Revision now, store_.revision());
        HD_TRY(watch_, store_.watch("/action/", now));
        // What was parked before the watch began may have missed something.
        const std::lock_guard lock(mutex_);
        for (const auto& [host, state] : hosts_) to_wake.insert(host);
    }
    auto events = watch_->next(timeout);
    if (!events.ok()) {
        watch_.reset();
        return events.error().code == ErrorCode::conflict ? Status() : events.error();
    }
    for (const store::Event& each : *events) {
        if (!each.entry) continue;
        const std::string rest = each.key.substr(std::string_view("/action/").size());
        to_wake.insert(rest.substr(0, rest.find('/')));
    }
    for (const std::string& host : to_wake) wake(host);
    end_overdue_polls();
    if (logs_ != nullptr) {
        for (const std::string& host : logs_->step()) wake(host);
    }
    return notice_silence();
}

void Fleet::end_overdue_polls() {
    std::vector<Parked> overdue;
    {
        const std::lock_guard lock(mutex_);
        const Instant now = clock_.now();
        for (auto& [host, state] : hosts_) {
            if (!state.parked || state.parked->deadline > now) continue;
            overdue.push_back(std::move(*state.parked));
            state.parked.reset();
            state.last_heard = now;
        }
    }
    for (const Parked& each : overdue) answer(each.reply, {});
}

Status Fleet::notice_silence() {
    const Instant now = clock_.now();
    if (now < next_silence_check_) return {};
    next_silence_check_ = now + kSilenceCheckEvery;
    std::vector<std::string> silent;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [host, state] : hosts_) {
            if (!state.is_silent && state.is_known && !state.parked &&
                now - state.last_heard > kSilentAfter)
                silent.push_back(host);
        }
    }
    for (const std::string& host : silent) {
        HD_CHECK(store_.commit(
            store::Transaction().put(keys::silent(host), format_iso8601(clock_.wall()))));
        log::warn("host is not heard of", {{"host", host}});
        const std::lock_guard lock(mutex_);
        hosts_[host].is_silent = true;
    }
    return {};
}

}  // namespace howdah::control
