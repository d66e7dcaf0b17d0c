#include "api/access/activity.h"

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

bool Activity::is_within_bound() {
    const std::string hour = format_iso8601(context_.clock.wall()).substr(0, 13);
    const std::lock_guard lock(mutex_);
    if (hour != hour_) {
        hour_ = hour;
        written_ = 0;
    }
    if (++written_ == kEventsPerHourMax + 1)
        log::warn("the activity log takes no more events in this hour",
                  {{"events", kEventsPerHourMax}});
    return written_ <= kEventsPerHourMax;
}

model::ActivityEvent Activity::event_of(const Call& call, std::string status) const {
    model::ActivityEvent event;
    event.id = context_.ids.uuid();
    event.time = call.now();
    event.subscription = subscription_of(call);
    event.correlation_id = call.correlation_id;
    event.operation_name = call.requirement.action;
    event.operation_id = call.request_id;
    event.resource_id = call.request.path.substr(0, kTextBytesMax);
    event.caller = call.caller.shown();
    event.caller_object_id = call.caller.object_id;
    event.status = std::move(status);
    event.http_method = call.request.method;
    event.client_address = call.request.client_address;
    event.client_request_id = call.client_request_id;
    return event;
}

Status Activity::write(const model::ActivityEvent& event) {
    if (!is_within_bound()) return ok_status();
    store::Transaction txn;
    txn.put(store::keys::activity(event.time, event.id), model::to_json(event));
    HD_CHECK(context_.store.commit(txn));
    return ok_status();
}

Status Activity::begin(const Call& call) { return write(event_of(call, "Started")); }

void Activity::end(const Call& call, const http::Response& response, std::string_view code,
                   std::string_view message) {
    const bool failed = response.status >= 400;
    const bool later = response.status == 202;
    model::ActivityEvent event = event_of(call, failed  ? "Failed"
                                                : later ? "Accepted"
                                                        : "Succeeded");
    if (const std::string id = operation_of(response); !id.empty()) event.operation_id = id;
    event.http_status = response.status;
    event.error_code = code;
    event.message = message.substr(0, kTextBytesMax);
    const Status written = write(event);
    if (!written.ok())
        log::error(
            "an event of the activity log could not be written",
            {{"correlation_id", call.correlation_id}, {"reason", written.error().describe()}});
}

}  // namespace howdah::api
