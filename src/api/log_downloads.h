#pragma once

#include <functional>

#include "base/clock.h"
#include "base/id.h"
#include "control/fleet/log_relay.h"
#include "http/server.h"
#include "store/secret_box.h"
#include "store/store.h"

namespace howdah::api {

/// Answers the links to log files that capturedLogs.listByServer gives out. No token is needed: the
/// link is the right to read one file, again and again, until it expires, its server is deleted
/// (also if there is a new one of the same name) or log downloads are switched off. Whatever is
/// wrong with a link, the answer is the same 403; the log says what it was, without the signature.
///
/// Answers come from other threads, when the machine that has the file has sent it; nobody is held
/// up meanwhile. Thread-safe. Borrowed references must outlive it.
class LogDownloads {
  public:
    using Fetch = std::function<void(control::LogWanted wanted, control::LogDone done)>;
    using Reply = std::function<void(http::Response)>;

    LogDownloads(store::Store& store, const store::SecretBox& secrets, const Clock& clock,
                 IdSource& ids, Fetch fetch);

    /// Whether a request is for it.
    static bool takes(const http::Request& request);
    /// `reply` is called once, on any thread.
    void handle(const http::Request& request, Reply reply);

  private:
    /// The machine that has the file; permission_denied if the link is good for nothing any more.
    Result<control::LogWanted> resolve(const http::Request& request);

    store::Store& store_;
    const store::SecretBox& secrets_;
    const Clock& clock_;
    IdSource& ids_;
    const Fetch fetch_;
};

}  // namespace howdah::api
