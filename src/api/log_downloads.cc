#include "api/log_downloads.h"

#include <fmt/core.h>

#include "api/call.h"
#include "api/postgres/log_links.h"
#include "base/log.h"
#include "core/sizing/parameters.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api {
namespace {

constexpr std::size_t kLoggedBytesMax = 160;

http::Response with_headers(http::Response response, const std::string& request_id) {
    response.headers["x-ms-request-id"] = request_id;
    response.headers["cache-control"] = "no-store";
    response.headers["x-content-type-options"] = "nosniff";
    response.headers["strict-transport-security"] = "max-age=31536000; includeSubDomains";
    if (response.status == 503 || response.status == 429) response.headers["retry-after"] = "2";
    return response;
}

/// The same for every link that is not good, so that it tells nothing.
http::Response refusal() {
    return error_answer({ErrorCode::permission_denied,
                         "the server failed to authenticate the request: the link is not valid or "
                         "has expired"});
}

/// The whole file, or the range that was asked for.
http::Response part_answer(const control::LogPart& part,
                           const std::optional<postgres::ByteRange>& range) {
    http::Response response;
    response.headers["content-type"] = "application/octet-stream";
    response.headers["accept-ranges"] = "bytes";
    response.headers["content-disposition"] = "attachment";
    if (range && range->first >= part.file_bytes) {
        response.status = 416;
        response.headers["content-range"] = fmt::format("bytes */{}", part.file_bytes);
        return response;
    }
    response.source = part.body;
    if (!range) return response;
    response.status = 206;
    response.headers["content-range"] = fmt::format(
        "bytes {}-{}/{}", range->first, range->first + part.body->size() - 1, part.file_bytes);
    return response;
}

}  // namespace

LogDownloads::LogDownloads(store::Store& store, const store::SecretBox& secrets, const Clock& clock,
                           IdSource& ids, Fetch fetch)
    : store_(store), secrets_(secrets), clock_(clock), ids_(ids), fetch_(std::move(fetch)) {}

bool LogDownloads::takes(const http::Request& request) {
    return request.path.starts_with(postgres::kLogLinkPath);
}

Result<control::LogWanted> LogDownloads::resolve(const http::Request& request) {
    HD_TRY(const postgres::LogLink link,
           postgres::check_log_link(secrets_, request, clock_.wall()));
    const auto refused = [](std::string_view why) {
        return Error{ErrorCode::permission_denied, std::string(why)};
    };
    HD_TRY(const auto entry, store_.get("/server" + link.server_key));
    if (!entry) return refused("the server is gone");
    HD_TRY(const auto spec, model::from_json<model::ServerSpec>(entry->value));
    if (spec.incarnation != link.incarnation) return refused("the server is another one");
    if (spec.deleting) return refused("the server is being deleted");
    if (!core::offers_logs(spec.parameters)) return refused("downloads are switched off");
    HD_TRY(const auto status_entry, store_.get(store::keys::status(link.server_key)));
    const auto status = status_entry ? model::from_json<model::ServerStatus>(status_entry->value)
                                     : Result<model::ServerStatus>(model::ServerStatus());
    HD_CHECK(status);
    if (status->host.empty() || status->incarnation != link.incarnation)
        return Error{ErrorCode::unavailable, "the server is not placed on a machine yet"};
    return control::LogWanted{
        .host = status->host, .incarnation = link.incarnation, .name = link.name};
}

void LogDownloads::handle(const http::Request& request, Reply reply) {
    const std::string request_id = ids_.uuid();
    const std::string path = request.path.substr(0, kLoggedBytesMax);
    // The query has the signature and is never logged.
    const auto fail = [request_id, path, address = request.client_address](const Error& error) {
        log::warn("log download refused", {{"path", path},
                                           {"address", address},
                                           {"reason", error.describe()},
                                           {"request_id", request_id}});
        const bool is_refused = error.code == ErrorCode::permission_denied;
        return with_headers(is_refused ? refusal() : error_answer(error), request_id);
    };
    if (request.method != "GET") {
        http::Response response =
            fail({ErrorCode::method_not_allowed, "a log file can only be read"});
        response.headers["allow"] = "GET";
        return reply(std::move(response));
    }
    auto wanted = resolve(request);
    if (!wanted.ok()) return reply(fail(wanted.error()));
    const auto range = postgres::byte_range_of(request.header("range"));
    if (range) {
        wanted->offset = range->first;
        if (range->last) wanted->bytes = *range->last - range->first + 1;
    }
    fetch_(std::move(*wanted), [=, reply = std::move(reply),
                                address = request.client_address](Result<control::LogPart> part) {
        if (!part.ok()) return reply(fail(part.error()));
        http::Response response = with_headers(part_answer(*part, range), request_id);
        log::info("log downloaded", {{"path", path},
                                     {"address", address},
                                     {"status", response.status},
                                     {"request_id", request_id}});
        reply(std::move(response));
    });
}

}  // namespace howdah::api
