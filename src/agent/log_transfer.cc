#include "agent/log_transfer.h"

#include <fmt/core.h>

#include "agent/server_logs.h"
#include "base/log.h"
#include "model/json.h"

namespace howdah::agent {
namespace {

constexpr Duration kPieceTimeout = std::chrono::seconds(10);

Result<model::LogReply> post(http::Client& client, const std::string& url, std::string body) {
    HD_TRY(const http::Response response,
           client.call({.method = "POST",
                        .url = url,
                        .headers = {{"content-type", "application/octet-stream"}},
                        .body = std::move(body),
                        .timeout = kPieceTimeout}));
    if (response.status != 200) {
        return Error{ErrorCode::unavailable,
                     fmt::format("the control plane answers {}: {}", response.status,
                                 response.body.substr(0, 300))};
    }
    return model::from_json<model::LogReply>(response.body);
}

std::string link(const std::string& url, const std::string& request_id) {
    return fmt::format("{}/agent/v1/logs?id={}", url, http::url_encode(request_id));
}

}  // namespace

Result<LogTransfer> LogTransfer::open(const std::string& folder, const model::LogRequest& request) {
    if (!is_log_name(request.name) || request.offset < 0)
        return Error{ErrorCode::not_found, "there is no such log file"};
    HD_TRY(os::PlainFile file, os::open_plain_file(folder, request.name));
    return LogTransfer(request, std::move(file));
}

Result<bool> LogTransfer::send_piece(http::Client& client, const std::string& url,
                                     std::size_t bytes_max) {
    HD_TRY(std::string piece, os::read_at(file_.fd, request_.offset, bytes_max));
    HD_TRY(const model::LogReply reply,
           post(client,
                fmt::format("{}&offset={}&bytes={}", link(url, request_.id), request_.offset,
                            file_.bytes),
                std::move(piece)));
    if (!reply.wanted || reply.offset < 0) return false;
    request_.offset = reply.offset;
    return true;
}

void report_failure(http::Client& client, const std::string& url, const std::string& request_id,
                    const Error& error) {
    const auto reply = post(
        client, fmt::format("{}&failure={}", link(url, request_id), to_string(error.code)), "");
    if (!reply.ok())
        log::warn("the failure of a log file could not be sent",
                  {{"reason", reply.error().describe()}});
}

}  // namespace howdah::agent
