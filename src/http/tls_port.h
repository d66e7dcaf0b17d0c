#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "http/certificates.h"

namespace howdah::http {

/// A port on this machine's loopback where questions are answered over TLS: one question for each
/// connection, which is closed then. Every process of the machine can connect, so everything is
/// bounded, and nobody keeps the others out: if there are too many connections the oldest one goes.
///
/// run() is the work of one thread, and calls the handler there. REQUIRES: SIGPIPE is ignored.
class TlsPort {
  public:
    static constexpr std::size_t kConnectionsMax = 128;
    static constexpr std::size_t kQuestionBytesMax = 64 << 10;
    static constexpr Duration kConnectionMax = std::chrono::seconds(10);  ///< from first to last

    /// Gets what has been received so far. None: more is needed. Empty: there is no answer.
    using Handler = std::function<std::optional<std::string>(std::string_view received)>;

    /// Listens from now on. `port` 0: any. Errors: `conflict` if the port is somebody else's.
    static Result<TlsPort> listen(const Certificate& certificate, std::uint16_t port);
    TlsPort(TlsPort&&) noexcept;
    TlsPort& operator=(TlsPort&&) noexcept;
    ~TlsPort();

    std::uint16_t port() const;
    void run(std::stop_token stop, const Clock& clock, const Handler& handler);

  private:
    struct Listener;
    explicit TlsPort(std::unique_ptr<Listener> listener);

    std::unique_ptr<Listener> listener_;
};

}  // namespace howdah::http
