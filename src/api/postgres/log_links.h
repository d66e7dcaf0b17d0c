#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "http/server.h"
#include "store/secret_box.h"

/// Links by which a log file can be downloaded without a token, as a shared access signature of
/// Azure Storage: whoever has the link may read this one file until the link expires. It is
/// https://HOST/serverlogs/<incarnation>/<file>?se=<expiry>&sp=r&sig=<signature>, and the
/// signature is sealed (store::SecretBox) for exactly what stands before it.
namespace howdah::api::postgres {

inline constexpr std::string_view kLogLinkPath = "/serverlogs/";
inline constexpr Duration kLogLinkLife = std::chrono::minutes(60);

/// What a link is good for.
struct LogLink {
    std::string server_key;   ///< lower-case id of the server
    std::string incarnation;  ///< of its life: a server made anew under the name has another
    std::string name;         ///< of the file
};

std::string log_link(const store::SecretBox& secrets, std::string_view base_url,
                     const LogLink& link, Timestamp now);

/// ErrorCode::permission_denied for a link that is not ours, was changed or has expired; the
/// message is for the log, not for whoever sent it.
Result<LogLink> check_log_link(const store::SecretBox& secrets, const http::Request& request,
                               Timestamp now);

/// "Range: bytes=FIRST-LAST" or "bytes=FIRST-". None for all other forms, which may be ignored (RFC
/// 9110, section 14.2).
struct ByteRange {
    std::int64_t first = 0;
    std::optional<std::int64_t> last;
};
std::optional<ByteRange> byte_range_of(std::string_view header);

}  // namespace howdah::api::postgres
