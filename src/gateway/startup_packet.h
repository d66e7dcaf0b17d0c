#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace howdah::gateway {

/// The first packet of a PostgreSQL connection has no type byte: a length, then a code that tells
/// what it is.
enum class FirstPacket {
    incomplete,
    ssl_request,
    gss_request,
    cancel_request,
    startup,
    direct_tls,  ///< a TLS record (PostgreSQL 17 and newer accept it without SSLRequest)
    malformed,
};

/// PostgreSQL's own bound (MAX_STARTUP_PACKET_LENGTH).
inline constexpr std::size_t kStartupPacketMax = 10000;
/// Bound on a cancel request's key: 4 bytes up to PostgreSQL 17, up to 256 since 18.
inline constexpr std::size_t kCancelKeyMax = 256;

struct FirstPacketFacts {
    FirstPacket kind = FirstPacket::incomplete;
    std::size_t length = 0;  ///< of the packet; what is behind it was sent ahead of our answer
    std::int32_t cancel_pid = 0;
    std::string_view sqlstate;  ///< of `malformed`
    std::string_view fault;     ///< of `malformed`
};

/// Looks at all bytes received so far. Never reads beyond them; any input is allowed.
FirstPacketFacts classify_first_packet(std::string_view bytes);

/// What PostgreSQL says first to a startup packet.
enum class FirstAnswer {
    incomplete,
    not_now,  ///< FATAL: it starts up, shuts down or recovers; another try may succeed
    other,    ///< anything else, which is the client's
};
/// Bound on an answer that is waited for until it is whole.
inline constexpr std::size_t kFirstAnswerMax = 8192;

/// Looks at all bytes received so far. Never reads beyond them; any input is allowed.
FirstAnswer classify_first_answer(std::string_view bytes);

/// The eight bytes that ask a server for TLS.
std::string_view ssl_request();

/// A FATAL ErrorResponse (protocol 3), as PostgreSQL sends before it closes a connection.
std::string error_response(std::string_view sqlstate, std::string_view message,
                           std::string_view hint);

}  // namespace howdah::gateway
