#include "api/deployments/runner.h"

#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>

#include "api/deployments/inner_calls.h"
#include "api/deployments/view.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/text.h"
#include "http/client.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api::deployments {
namespace {

constexpr std::string_view kRunning = "/running-deployment";
constexpr Duration kRoundPause = std::chrono::milliseconds(100);
constexpr Duration kIdlePause = std::chrono::seconds(5);
constexpr std::size_t kPreparedMax = 16;
// What a record may grow by while it runs: see kRecordBytesMax.
constexpr std::size_t kStepErrorBytesMax = 2048;
constexpr std::size_t kDetailsMax = 20;
constexpr Duration kTurnMax = std::chrono::milliseconds(500);
constexpr std::string_view kManagerVersion = "2021-04-01";

bool passes(int status) { return status == 429 || status == 503 || status == 504; }

/// The error of a step as it is kept: without secrets, and without its details if it is too long.
std::string kept_error(const templates::Template& parsed, Json error) {
    constexpr std::size_t kMessageBytesMax = 1024;
    Error plain{ErrorCode::internal, error.value("message", ""), error.value("target", "")};
    plain = templates::without_secrets(parsed, std::move(plain));
    error["message"] = plain.message.substr(0, kMessageBytesMax);
    if (error.contains("target")) error["target"] = plain.target;
    std::string text = to_text(error);
    if (text.size() <= kStepErrorBytesMax) return text;
    return to_text(
        {{"code", error.value("code", "").substr(0, 128)}, {"message", error["message"]}});
}

Json failed_error(const model::Deployment& deployment) {
    Json details = Json::array();
    for (const model::DeploymentStep& each : deployment.steps) {
        if (each.state != "Failed" || details.size() >= kDetailsMax) continue;
        Json detail = Json::parse(each.error, nullptr, /*allow_exceptions=*/false);
        if (!detail.is_object()) continue;
        if (!detail.contains("target")) detail["target"] = each.id;
        details.push_back(std::move(detail));
    }
    return {{"code", "DeploymentFailed"},
            {"target", where_of(deployment).id()},
            {"message",
             "At least one resource deployment operation failed. Please list deployment operations "
             "for details. Please see https://aka.ms/arm-deployment-operations for usage details."},
            {"details", std::move(details)}};
}

model::ActivityEvent event_of(const model::Deployment& deployment) {
    model::ActivityEvent event;
    event.id = deployment.operation_id;
    event.time = deployment.ended_at;
    event.subscription = deployment.subscription;
    event.correlation_id = deployment.correlation_id;
    event.operation_name = "Microsoft.Resources/deployments/write";
    event.operation_id = deployment.operation_id;
    event.resource_id = where_of(deployment).id();
    event.caller = on_behalf_of(deployment).caller.shown();
    event.caller_object_id = deployment.caller_object_id;
    event.status = deployment.state == "Succeeded" ? "Succeeded" : "Failed";
    if (deployment.state != "Succeeded") event.error_code = "Deployment" + deployment.state;
    return event;
}

/// The path and query of the header that says how to follow a request.
std::string follow_path(const http::Response& response, const std::string& base_url) {
    const auto header = response.headers.find("azure-asyncoperation");
    if (header == response.headers.end() || !header->second.starts_with(base_url)) return "";
    return header->second.substr(base_url.size());
}

}  // namespace

/// One deployment in one round.
struct Runner::Work {
    model::Deployment next;  ///< as it is to be saved
    store::Revision modified = 0;
    std::string before;  ///< as it was read
    std::string running_key;
    std::shared_ptr<const Prepared> prepared = nullptr;
    OnBehalf who = {};
    int starts_left = kStartsPerRound;

    void fail(const Json& error) {
        next.state = "Failed";
        next.error = to_text(error);
    }
    bool any(std::string_view state) const {
        return std::any_of(next.steps.begin(), next.steps.end(),
                           [&](const auto& each) { return each.state == state; });
    }
};

std::string Runner::now() const { return format_iso8601(context_.clock.wall()); }

void Runner::run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        const auto revision = context_.store.revision();
        bool is_busy = true;
        if (auto left = advance_all(); left.ok())
            is_busy = *left;
        else
            log::error("deployments cannot go on", {{"reason", left.error().describe()}});
        auto watch = revision.ok() ? context_.store.watch(kRunning, *revision)
                                   : Result<std::unique_ptr<store::Watch>>(revision.error());
        if (!watch.ok()) {
            log::error("deployments cannot be watched", {{"reason", watch.error().describe()}});
            std::mutex mutex;
            std::unique_lock lock(mutex);
            std::condition_variable_any().wait_for(lock, stop, kIdlePause, [] { return false; });
            continue;
        }
        const std::stop_callback wake(stop, [&] { (*watch)->stop(); });
        if (!stop.stop_requested()) (void)(*watch)->next(is_busy ? kRoundPause : kIdlePause);
    }
}

Result<bool> Runner::advance_all() {
    HD_TRY(const auto running, context_.store.list(kRunning));
    for (const store::Entry& each : running) {
        const Status status = advance(each.key);
        // Somebody else has changed it: the next round reads it anew.
        if (!status.ok() && status.error().code != ErrorCode::conflict)
            log::error("a deployment cannot go on",
                       {{"deployment", each.key.substr(kRunning.size())},
                        {"reason", status.error().describe()}});
    }
    return !running.empty();
}

Result<std::shared_ptr<const Prepared>> Runner::prepared(const model::Deployment& deployment) {
    const auto found = prepared_.find(deployment.operation_id);
    if (found != prepared_.end()) return found->second;
    const Where where = where_of(deployment);
    HD_TRY(const auto entry,
           context_.store.get(store::keys::deployment_template(where.scope(), where.name)));
    if (!entry)
        return Error{ErrorCode::corrupt, fmt::format("the template of {} is gone", where.id())};
    HD_TRY(const Material material, unseal_material(context_.secrets, deployment, entry->value));
    HD_TRY(auto made, prepare(material));
    const auto& planned = made.plan.resources;
    const bool agrees =
        std::equal(planned.begin(), planned.end(), deployment.steps.begin(), deployment.steps.end(),
                   [](const auto& plan, const auto& step) { return plan.id == step.id; });
    if (!agrees)
        return Error{ErrorCode::corrupt,
                     fmt::format("{} was planned otherwise by an earlier version", where.id()), "",
                     "deploy the template again"};
    if (prepared_.size() >= kPreparedMax) prepared_.erase(prepared_.begin());
    auto shared = std::make_shared<const Prepared>(std::move(made));
    prepared_[deployment.operation_id] = shared;
    return shared;
}

Status Runner::advance(const std::string& running_key) {
    const std::string key = "/deployment" + running_key.substr(kRunning.size());
    HD_TRY(const auto entry, context_.store.get(key));
    if (!entry) {
        store::Transaction gone;
        gone.expect_absent(key).remove(running_key);
        HD_CHECK(context_.store.commit(gone));
        return ok_status();
    }
    HD_TRY(auto record, model::from_json<model::Deployment>(entry->value));
    Work work{std::move(record), entry->modified, entry->value, running_key};
    work.who = on_behalf_of(work.next);
    const auto begun = parse_iso8601(work.next.started_at);
    const bool too_long =
        begun.ok() && context_.clock.wall() - *begun >
                          std::chrono::duration_cast<std::chrono::milliseconds>(kTimeMax);
    if (has_ended(work.next)) return save(work);
    if (work.next.cancelling || too_long) cancel_nested(work);
    if (work.next.cancelling) {
        work.next.state = "Canceled";
    } else if (too_long) {
        work.fail({{"code", "DeploymentTimedOut"},
                   {"message", "The deployment did not come to an end within 24 hours."}});
    } else if (auto made = prepared(work.next); made.ok()) {
        work.prepared = *made;
        progress(work);
    } else if (retry_class(made.error().code) == RetryClass::later &&
               made.error().code != ErrorCode::internal) {
        return made.error();
    } else {
        work.fail(error_json(made.error()));
    }
    return save(work);
}

void Runner::cancel_nested(const Work& work) {
    for (const model::DeploymentStep& each : work.next.steps)
        if (each.state == "Running" && iequals(each.type, "Microsoft.Resources/deployments"))
            (void)api_.send(work.who, "POST", each.id + "/cancel", std::string(kManagerVersion),
                            "");
}

void Runner::progress(Work& work) {
    work.next.state = "Running";
    for (model::DeploymentStep& each : work.next.steps)
        if (each.state == "Running") follow(work, each);
    // What was settled may let the next one begin, which may be settled at once.
    const Instant end = context_.clock.now() + kTurnMax;
    for (bool moved = true; moved && work.starts_left > 0;) {
        moved = false;
        for (std::size_t i = 0; i < work.next.steps.size() && work.starts_left > 0; ++i) {
            if (work.next.steps[i].state != "Pending") continue;
            if (context_.clock.now() >= end) work.starts_left = 0;  // others have their turn
            if (work.starts_left == 0) break;
            moved = start(work, i) || moved;
        }
    }
    const bool may_go_on = work.any("Pending") && (!work.any("Failed") || work.starts_left == 0);
    if (!work.any("Running") && !may_go_on) finish(work);
}

/// True if it is no longer pending.
bool Runner::start(Work& work, std::size_t index) {
    const templates::PlannedResource& resource = work.prepared->plan.resources[index];
    model::DeploymentStep& step = work.next.steps[index];
    for (const std::size_t other : resource.depends_on) {
        const std::string& state = work.next.steps[other].state;
        if (state != "Succeeded" && state != "Skipped") return false;
    }
    if (!resource.condition || resource.existing) {
        step.state = resource.condition ? "Succeeded" : "Skipped";
        return true;
    }
    --work.starts_left;
    const auto source = reference_source(api_, work.who, work.prepared->plan);
    const auto body =
        templates::complete(work.prepared->parsed, work.prepared->plan, index, source);
    if (!body.ok() && passes(http_status(body.error().code)) && ++step.attempts < kAttemptsMax)
        return false;
    if (!body.ok()) {
        step.state = "Failed";
        step.started_at = step.ended_at = now();
        step.http_status = http_status(body.error().code);
        step.error = kept_error(work.prepared->parsed, error_json(body.error()));
        return true;
    }
    put(work, step, resource.api_version, to_text(*body));
    return step.state != "Pending";
}

void Runner::put(Work& work, model::DeploymentStep& step, const std::string& api_version,
                 std::string body) {
    const http::Response response =
        api_.send(work.who, "PUT", step.id, api_version, std::move(body));
    HD_FAILPOINT("howdahd.deployment.after_step");
    if (step.started_at.empty()) step.started_at = now();
    if (passes(response.status) && ++step.attempts < kAttemptsMax) return;
    step.http_status = response.status;
    if (response.status >= 400) {
        step.state = "Failed";
        step.error = kept_error(work.prepared->parsed, error_of(response));
    } else {
        step.follow = follow_path(response, context_.base_url);
        step.state = step.follow.empty() ? "Succeeded" : "Running";
    }
    if (step.state != "Running") step.ended_at = now();
}

void Runner::follow(Work& work, model::DeploymentStep& step) {
    const std::size_t mark = step.follow.find("?api-version=");
    const auto path = http::url_decode(step.follow.substr(0, mark));
    const std::string version =
        mark == std::string::npos ? "" : step.follow.substr(mark + std::strlen("?api-version="));
    const http::Response response =
        api_.send(work.who, "GET", path.ok() ? *path : step.follow, version, "");
    if (passes(response.status) || response.status == 500) return;
    const Json body = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
    const std::string status =
        response.status < 400 && body.is_object() ? body.value("status", "") : "Failed";
    if (status == "Succeeded") {
        step.state = "Succeeded";
    } else if (status == "Failed" || status == "Canceled") {
        step.state = "Failed";
        step.http_status = response.status < 400 ? 409 : response.status;
        step.error = kept_error(work.prepared->parsed, error_of(response));
    } else {
        return;
    }
    step.ended_at = now();
}

/// Nothing runs and nothing can begin.
void Runner::finish(Work& work) {
    if (work.any("Failed") || work.any("Pending")) return work.fail(failed_error(work.next));
    const auto source = reference_source(api_, work.who, work.prepared->plan);
    const auto outputs = templates::outputs(work.prepared->parsed, work.prepared->plan, source);
    if (!outputs.ok()) return work.fail(error_json(outputs.error()));
    std::string text = to_text(*outputs);
    if (text.size() > kOutputBytesMax)
        return work.fail(
            {{"code", "DeploymentOutputTooLarge"},
             {"message", fmt::format("The outputs are larger than {} bytes.", kOutputBytesMax)}});
    work.next.outputs = std::move(text);
    work.next.state = "Succeeded";
}

/// Nobody needs them any more, and there may be passwords among them. The template stays for
/// exportTemplate.
Status Runner::forget_parameters(const Work& work, store::Transaction& txn) {
    const Where where = where_of(work.next);
    const std::string key = store::keys::deployment_template(where.scope(), where.name);
    HD_TRY(const auto entry, context_.store.get(key));
    if (!entry) return ok_status();
    auto material = unseal_material(context_.secrets, work.next, entry->value);
    if (!material.ok()) {
        txn.remove(key);
        return ok_status();
    }
    material->parameters = Json::object();
    HD_TRY(auto sealed, seal_material(context_.secrets, work.next, *material));
    txn.put(key, std::move(sealed));
    return ok_status();
}

Status Runner::save(Work& work) {
    const bool ends = work.next.state == "Succeeded" || work.next.state == "Failed" ||
                      work.next.state == "Canceled";
    if (ends && work.next.ended_at.empty()) work.next.ended_at = now();
    std::string text = model::to_json(work.next);
    if (text == work.before && !ends) return ok_status();
    work.next.changed_at = ends ? work.next.ended_at : now();
    text = model::to_json(work.next);
    const Where where = where_of(work.next);
    store::Transaction txn;
    txn.expect(where.key(), work.modified).put(where.key(), text);
    if (ends) {
        prepared_.erase(work.next.operation_id);
        txn.remove(work.running_key);
        HD_CHECK(forget_parameters(work, txn));
        txn.put(store::keys::activity(work.next.ended_at, work.next.operation_id),
                model::to_json(event_of(work.next)));
    }
    HD_FAILPOINT("howdahd.deployment.before_commit");
    HD_CHECK(context_.store.commit(txn));
    if (ends)
        log::info("deployment ended", {{"deployment", where.id()},
                                       {"state", work.next.state},
                                       {"correlation_id", work.next.correlation_id}});
    return ok_status();
}

}  // namespace howdah::api::deployments
