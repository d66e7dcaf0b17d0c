#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace howdah::gateway {

/// The alert descriptions (RFC 8446, section 6) that the gateway sends.
enum class TlsAlert : std::uint8_t {
    unexpected_message = 10,
    record_overflow = 22,
    illegal_parameter = 47,
    access_denied = 49,
    decode_error = 50,
    protocol_version = 70,
    unrecognized_name = 112,
    no_application_protocol = 120,
};

/// A fatal alert as a clear TLS record, fit as the answer to a ClientHello.
std::string alert_record(TlsAlert alert);

/// Reads a TLS ClientHello from a growing buffer, only to learn the server's name (SNI). The hello
/// may be spread over any number of records and arrive in any pieces; the work is linear in the
/// bytes. Bytes behind the hello are not looked at. A plain value, not thread-safe.
class ClientHelloReader {
  public:
    /// Bound on the raw bytes of a hello, record headers included.
    static constexpr std::size_t kBytesMax = 64 * 1024;

    enum class State { incomplete, complete, malformed };

    /// REQUIRES: `bytes` is all that was received so far; it begins with what earlier calls saw.
    State advance(std::string_view bytes);

    State state() const { return state_; }
    /// After `complete`: the host name in lower case without a final dot; empty if none was sent.
    const std::string& server_name() const { return server_name_; }
    /// After `malformed`.
    TlsAlert alert() const { return alert_; }
    std::string_view fault() const { return fault_; }

  private:
    State fail(TlsAlert alert, std::string_view fault);
    State take_record(std::string_view record);
    State parse_message();

    State state_ = State::incomplete;
    std::size_t position_ = 0;  ///< of the first record header not yet consumed
    std::string message_;       ///< the handshake bytes of the records consumed
    std::string server_name_;
    TlsAlert alert_ = TlsAlert::decode_error;
    std::string_view fault_;
};

}  // namespace howdah::gateway
