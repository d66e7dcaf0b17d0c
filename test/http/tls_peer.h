#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http/certificates.h"

namespace howdah::http {

/// A TLS client for tests that says exactly what it is told, well formed or not.
class TlsPeer {
  public:
    struct Options {
        std::uint16_t port = 0;
        std::string ca_pem;
        Certificate certificate = {};  ///< shown to the server if not empty
        bool only_tls_1_1 = false;
    };

    /// Null when the handshake fails.
    static std::unique_ptr<TlsPeer> connect(const Options& options);
    virtual ~TlsPeer() = default;

    /// False when the connection is broken.
    virtual bool send(std::string_view bytes) = 0;
    /// Waits up to `patience` for more: some bytes, or "" at the end of the stream or when nothing
    /// came (then ended() tells which).
    virtual std::string receive(std::chrono::milliseconds patience) = 0;
    virtual bool ended() const = 0;

    /// One whole answer with Content-Length, or what came before the connection ended.
    std::string receive_answer(bool head = false);
    /// True if the server ends the connection within `patience`.
    bool is_cut_within(std::chrono::milliseconds patience);

  private:
    std::string buffered_;
};

/// Resident memory of this process.
std::size_t resident_bytes();
/// Lets this process open as many files as it may.
void raise_file_limit();

}  // namespace howdah::http
