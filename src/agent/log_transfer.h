#pragma once

#include <string>

#include "base/result.h"
#include "http/client.h"
#include "model/records.h"
#include "os/file.h"

namespace howdah::agent {

/// One log file on its way to the control plane. The file stays open meanwhile, so that it may be
/// removed under it. Used by one thread.
class LogTransfer {
  public:
    /// not_found for whatever is not a plain log file of this very folder.
    static Result<LogTransfer> open(const std::string& folder, const model::LogRequest& request);

    const std::string& id() const { return request_.id; }
    /// Sends the next piece. True: more of it is wanted.
    Result<bool> send_piece(http::Client& client, const std::string& url, std::size_t bytes_max);

  private:
    LogTransfer(model::LogRequest request, os::PlainFile file)
        : request_(std::move(request)), file_(std::move(file)) {}

    model::LogRequest request_;
    os::PlainFile file_;
};

/// Tells the control plane that a request cannot be served. It is asked again if that is not heard.
void report_failure(http::Client& client, const std::string& url, const std::string& request_id,
                    const Error& error);

}  // namespace howdah::agent
