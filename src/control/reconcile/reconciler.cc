#include "control/reconcile/reconciler.h"

#include <algorithm>
#include <condition_variable>

#include "base/log.h"
#include "control/reconcile/access_removal.h"
#include "control/reconcile/records.h"
#include "core/plan/members_plan.h"
#include "model/json.h"
#include "store/keys.h"

// Keys of the queue: "s" + a server's id, "g" + a group's id, "sweep".

namespace howdah::control {
namespace {

constexpr std::string_view kSweep = "sweep";
constexpr Duration kFeedTimeout = std::chrono::seconds(5);
constexpr Duration kGoneSweepEvery = std::chrono::hours(1);
constexpr Duration kActivityTrimEvery = std::chrono::hours(1);

/// "/server/a/b" with family "/server" -> "/a/b"; empty if it is of another family.
std::string id_after(std::string_view key, std::string_view family) {
    if (!key.starts_with(family) || key.size() <= family.size() || key[family.size()] != '/')
        return {};
    return std::string(key.substr(family.size()));
}

/// "/a/b|host" -> "/a/b", of reports, failovers and drills.
std::string without_tail(const std::string& id) { return id.substr(0, id.find('|')); }

std::string without_last(const std::string& id) { return id.substr(0, id.rfind('/')); }

bool is_server_id(const std::string& id) { return id.find("/providers/") != std::string::npos; }

std::string group_of(const std::string& server_id) {
    return server_id.substr(0, server_id.find("/providers/"));
}

}  // namespace

Reconciler::Reconciler(store::Store& store, const Clock& clock, IdSource& ids,
                       const store::SecretBox& secrets, CertificateSource& certificates,
                       ReconcilerOptions options)
    : store_(store),
      clock_(clock),
      options_(std::move(options)),
      hosts_(store),
      servers_(store, clock, secrets, certificates, hosts_, options_),
      groups_(store, clock),
      operations_(store, clock, ids),
      drills_(store, clock, ids, operations_),
      queue_(clock) {}

Reconciler::~Reconciler() = default;

// ---------------------------------------------------------------------------------------------
// What to work on

void Reconciler::watch(std::stop_token stop) {
    std::mutex pausing;
    std::condition_variable_any never;
    while (!stop.stop_requested()) {
        const Status fed = [&]() -> Status {
            if (watch_ == nullptr) return feed(Duration::zero());
            const std::stop_callback wake(stop, [watch = watch_] { watch->stop(); });
            return feed(kFeedTimeout);
        }();
        if (fed.ok()) continue;
        log::warn("cannot watch the store", {{"error", fed.error().describe()}});
        std::unique_lock lock(pausing);
        never.wait_for(lock, stop, std::chrono::seconds(1), [] { return false; });
    }
}

Status Reconciler::feed(Duration timeout) {
    if (watch_ == nullptr || clock_.now() >= next_listing_) HD_CHECK(list_everything());
    auto events = watch_->next(timeout);
    if (!events.ok()) {
        watch_.reset();
        // The history is gone: the listing sees what the events would have told.
        if (events.error().code == ErrorCode::conflict) return list_everything();
        return events.error();
    }
    for (const store::Event& each : *events) take_event(each);
    return {};
}

Status Reconciler::list_everything() {
    if (watch_ == nullptr) {
        HD_TRY(const store::Revision now, store_.revision());
        HD_TRY(watch_, store_.watch("/", now));
    }
    hosts_.invalidate();
    const auto queue_all = [&](std::string_view family, bool has_tail) {
        return for_each(store_, std::string(family) + "/", [&](const store::Entry& each) -> Status {
            std::string id = id_after(each.key, family);
            if (has_tail) id = without_last(id);
            id = without_tail(id);
            queue_.add((is_server_id(id) ? "s" : "g") + id);
            return {};
        });
    };
    HD_CHECK(queue_all("/server", false));
    HD_CHECK(queue_all("/status", false));
    HD_CHECK(queue_all("/report", false));
    HD_CHECK(queue_all("/failover", false));
    HD_CHECK(queue_all("/drill", false));
    HD_CHECK(queue_all("/drill-schedule", false));
    HD_CHECK(queue_all("/group", false));
    HD_CHECK(queue_all("/pending", true));
    HD_CHECK(queue_all("/result", true));
    queue_.add(std::string(kSweep));
    next_listing_ = clock_.now() + options_.resync_every;
    return {};
}

void Reconciler::take_event(const store::Event& event) {
    if (const std::string id = id_after(event.key, "/server"); !id.empty()) {
        queue_.add("s" + id);
        if (!event.entry) queue_.add("g" + group_of(id));
        return;
    }
    if (const std::string host = id_after(event.key, "/host"); !host.empty()) {
        hosts_.invalidate();
        const std::lock_guard lock(mutex_);
        for (const std::string& each : waiting_for_host_) queue_.add(each);
        return;
    }
    if (const std::string host = id_after(event.key, "/silent"); !host.empty()) {
        hosts_.invalidate();
        if (const Status queued = queue_servers_of_host(host.substr(1)); !queued.ok())
            next_listing_ = Instant{};
        return;
    }
    if (!event.entry) return;  // consumed by ourselves
    for (const char* family : {"/report", "/failover", "/drill", "/drill-schedule"}) {
        const std::string id = id_after(event.key, family);
        if (!id.empty()) queue_.add("s" + without_tail(id));
    }
    if (const std::string id = id_after(event.key, "/group"); !id.empty()) queue_.add("g" + id);
    for (const char* family : {"/pending", "/result"}) {
        const std::string id = without_last(id_after(event.key, family));
        if (!id.empty()) queue_.add((is_server_id(id) ? "s" : "g") + id);
    }
}

Status Reconciler::queue_servers_of_host(const std::string& host) {
    return for_each(store_, "/status/", [&](const store::Entry& each) -> Status {
        HD_TRY(const auto status, model::from_json<model::ServerStatus>(each.value));
        const std::vector<std::string> hosts = core::hosts_with_instances(status);
        if (std::find(hosts.begin(), hosts.end(), host) != hosts.end())
            queue_.add("s" + id_after(each.key, "/status"));
        return {};
    });
}

// ---------------------------------------------------------------------------------------------
// Working

void Reconciler::work(std::stop_token stop) {
    while (const auto key = queue_.take(stop)) {
        process(*key);
        queue_.done(*key);
    }
}

bool Reconciler::work_one() {
    const auto key = queue_.try_take();
    if (!key) return false;
    process(*key);
    queue_.done(*key);
    return true;
}

Result<StepOutcome> Reconciler::sweep() {
    HD_TRY(const std::size_t removed, operations_.sweep());
    if (clock_.now() >= next_gone_sweep_) {
        HD_CHECK(sweep_gone());
        HD_CHECK(sweep_dropped());
        HD_CHECK(sweep_access(store_));
        next_gone_sweep_ = clock_.now() + kGoneSweepEvery;
    }
    HD_TRY(const std::size_t events, operations_.sweep_activity());
    bool has_more = removed == Operations::kSweepMax || events == Operations::kSweepMax;
    if (clock_.now() >= next_activity_trim_) {
        HD_TRY(const std::size_t trimmed, operations_.trim_activity());
        if (trimmed == Operations::kTrimMax)
            has_more = true;
        else
            next_activity_trim_ = clock_.now() + kActivityTrimEvery;
    }
    return StepOutcome{has_more ? Duration::zero() : kSweepEvery, false};
}

Status Reconciler::sweep_gone() {
    const std::string oldest_kept = format_iso8601(clock_.wall() - kGoneRetention);
    return for_each(store_, "/gone/", [&](const store::Entry& each) -> Status {
        if (each.value >= oldest_kept) return {};
        HD_CHECK(store_.commit(store::Transaction().remove(each.key)));
        return {};
    });
}

/// As long as agents keep their backups.
Status Reconciler::sweep_dropped() {
    const std::string oldest_kept = format_iso8601(clock_.wall() - kDroppedRetention);
    return for_each(store_, "/dropped/", [&](const store::Entry& each) -> Status {
        const auto dropped = model::from_json<model::DroppedServer>(each.value);
        if (dropped.ok() && dropped->dropped_at >= oldest_kept) return {};
        // Its name may have been used and deleted once more.
        const auto removed =
            store_.commit(store::Transaction().expect(each.key, each.modified).remove(each.key));
        if (!removed.ok() && removed.error().code != ErrorCode::conflict) return removed.error();
        return {};
    });
}

Result<StepOutcome> Reconciler::step(const std::string& key) {
    if (key == kSweep) return sweep();
    return key.front() == 's' ? step_server(key.substr(1)) : groups_.run(key.substr(1));
}

/// Its drills come after it: they follow operations that the server's own step ends.
Result<StepOutcome> Reconciler::step_server(const std::string& server_key) {
    HD_TRY(StepOutcome outcome, servers_.run(server_key));
    HD_TRY(const auto pause, drills_.run(server_key));
    if (pause && (!outcome.ask_again || *pause < *outcome.ask_again)) outcome.ask_again = pause;
    return outcome;
}

void Reconciler::process(const std::string& key) {
    const auto outcome = step(key);
    if (!outcome.ok()) return after_error(key, outcome.error());
    {
        const std::lock_guard lock(mutex_);
        error_pauses_.erase(key);
        if (outcome->waits_for_host)
            waiting_for_host_.insert(key);
        else
            waiting_for_host_.erase(key);
    }
    if (outcome->ask_again) queue_.add_after(key, *outcome->ask_again);
}

void Reconciler::after_error(const std::string& key, const Error& error) {
    Duration pause{};
    {
        const std::lock_guard lock(mutex_);
        Duration& last = error_pauses_[key];
        last = std::clamp(last * 2, kErrorPauseMin, kErrorPauseMax);
        pause = last;
    }
    // Somebody else changed the same records: that is no trouble, only a repetition.
    if (error.code != ErrorCode::conflict)
        log::warn("cannot reconcile", {{"key", key}, {"error", error.describe()}});
    queue_.add_after(key, pause);
}

}  // namespace howdah::control
