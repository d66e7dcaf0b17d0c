#pragma once

#include <microhttpd.h>

#include <mutex>
#include <optional>
#include <utility>

#include "http/server.h"

namespace howdah::http {

/// One request whose connection is suspended until somebody answers. Thread-safe.
///
/// A suspended connection cannot end by itself, so `connection` is good until the one call of
/// answer() that wakes it, and is never touched after that.
class Responder::Pending {
  public:
    explicit Pending(MHD_Connection* connection) : connection_(connection) {}

    /// Only the first answer counts.
    void answer(Response response) {
        const std::lock_guard lock(mutex_);
        if (answered_) return;
        answered_ = true;
        response_ = std::move(response);
        MHD_resume_connection(connection_);
    }

    /// The answer, once it is there; then nothing.
    std::optional<Response> take() {
        const std::lock_guard lock(mutex_);
        return std::exchange(response_, std::nullopt);
    }

  private:
    std::mutex mutex_;
    MHD_Connection* const connection_;
    bool answered_ = false;
    std::optional<Response> response_;
};

}  // namespace howdah::http
