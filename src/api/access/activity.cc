#include "api/access/activity.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/router.h"
#include "base/log.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api {
namespace {

constexpr std::size_t kTextBytesMax = 1024;

std::string subscription_of(const Call& call) {
    for (const auto& [name, value] : call.parameters)
        if (name == "subscriptionId") return value;
    return "";
}

/// The id at the end of the header's address, if a long-running operation was begun.
std::string operation_of(const http::Response& response) {
    for (const char* name : {"azure-asyncoperation", "location"}) {
        const auto header = response.headers.find(name);
        if (header == response.headers.end()) continue;
        const std::string path = header->second.substr(0, header->second.find('?'));
        return path.substr(path.rfind('/') + 1);
    }
    return "";
}

}  // namespace

bool is_change(const Call& call) {
    const std::string& method = call.request.method;
    return method != "GET" && method != "HEAD" && call.route->needs == Needs::role;
}

model::ActivityEvent Activity::event_of(const Call& call, std::string status) const {
    model::ActivityEvent event;
    event.id = context_.ids.uuid();
    event.time = call.now();
    event.subscription = subscription_of(call);
    event.correlation_id = call.correlation_id;
    event.operation_name = call.requirement.action;
    event.operation_id = call.request_id;
    event.resource_id = call.requirement.resource.substr(0, kTextBytesMax);
    event.caller = call.caller.shown();
    event.caller_object_id = call.caller.object_id;
    event.status = std::move(status);
    event.http_method = call.request.method;
    event.client_address = call.request.client_address;
    event.client_request_id = call.client_request_id;
    return event;
}

Status Activity::write(const model::ActivityEvent& event, bool is_refusal) {
    store::Transaction txn;
    txn.put(store::keys::activity(event.time, event.id), model::to_json(event));
    if (is_refusal) txn.put(store::keys::refusal(event.time, event.id), "");
    HD_CHECK(context_.store.commit(txn));
    return ok_status();
}

Status Activity::begin(Call& call) {
    if (!budget_.take_change(call.caller.object_id))
        return Error{
            ErrorCode::too_many_requests,
            fmt::format("the client '{}' has made too many changes at once", call.caller.app_id),
            "",
            fmt::format("make at most {} changes a second", ActivityBudget::kChanges.per_second)};
    HD_CHECK(write(event_of(call, "Started"), /*is_refusal=*/false));
    call.has_activity = true;
    return ok_status();
}

void Activity::end(const Call& call, const http::Response& response, std::string_view code,
                   std::string_view message) {
    const bool is_refusal = !call.has_activity;
    if (is_refusal && !budget_.take_refusal(call.caller.object_id)) return;
    const bool failed = response.status >= 400;
    const bool later = response.status == 202;
    model::ActivityEvent event = event_of(call, failed  ? "Failed"
                                                : later ? "Accepted"
                                                        : "Succeeded");
    if (const std::string id = operation_of(response); !id.empty()) event.operation_id = id;
    event.http_status = response.status;
    event.error_code = code;
    event.message = message.substr(0, kTextBytesMax);
    const Status written = write(event, is_refusal);
    if (!written.ok())
        log::error(
            "an event of the activity log could not be written",
            {{"correlation_id", call.correlation_id}, {"reason", written.error().describe()}});
}

}  // namespace howdah::api
