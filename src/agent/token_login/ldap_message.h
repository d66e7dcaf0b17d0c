#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

/// As much of LDAP (RFC 4511) as PostgreSQL speaks to have a password checked: one simple bind.
/// Pure. What is received comes from any process of the machine.
namespace howdah::agent {

inline constexpr std::size_t kLdapMessageBytesMax = 64 << 10;

/// Result codes of RFC 4511, appendix A.
enum class LdapResult : std::uint8_t {
    success = 0,
    protocol_error = 2,
    auth_method_not_supported = 7,
    invalid_credentials = 49,
    unwilling_to_perform = 53,
};

/// A request. Borrows from the bytes it was read from.
struct LdapRequest {
    enum class Kind { simple_bind, other_bind, unbind, other };
    std::int32_t id = 0;
    Kind kind = Kind::other;
    std::int32_t version = 0;   ///< of a bind
    std::string_view name;      ///< of a simple bind
    std::string_view password;  ///< likewise
};

/// The first message in `bytes`. None: it is not all there yet. Errors: malformed; longer than
/// kLdapMessageBytesMax, which the first bytes tell.
Result<std::optional<LdapRequest>> read_ldap_request(std::string_view bytes);

/// The answer to a bind. `diagnostic` is a text for the log of whoever asked.
std::string ldap_bind_response(std::int32_t id, LdapResult result, std::string_view diagnostic);

}  // namespace howdah::agent
