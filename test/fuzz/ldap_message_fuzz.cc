#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/token_login/ldap_message.h"
#include "agent/token_login/token_access.h"

// What any process of the machine can send to the port where PostgreSQL has tokens checked.

namespace {

using namespace howdah;

void require(bool holds) {
    if (!holds) std::abort();
}

/// Parts that were read lie within what was sent.
void require_inside(std::string_view part, std::string_view whole) {
    if (part.empty()) return;
    require(part.data() >= whole.data() &&
            part.data() + part.size() <= whole.data() + whole.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto read = agent::read_ldap_request(bytes);
    if (read.ok() && *read) {
        const agent::LdapRequest& request = **read;
        require(request.id >= 0);
        require_inside(request.name, bytes);
        require_inside(request.password, bytes);
        // More bytes behind it change nothing.
        const std::string longer = std::string(bytes) + "more";
        const auto again = agent::read_ldap_request(longer);
        require(again.ok() && *again && (*again)->name == request.name &&
                (*again)->password == request.password);
        require(!agent::ldap_bind_response(request.id, agent::LdapResult::success, bytes).empty());
    }
    // What is longer than a message may be is not waited for.
    if (read.ok() && !*read) require(size <= agent::kLdapMessageBytesMax);
    if (const auto name = agent::read_login_name(bytes)) {
        require_inside(name->role, bytes);
        require(std::string(agent::kLoginPrefix) + std::string(name->role) +
                    agent::login_suffix(name->incarnation) ==
                bytes);
    }
    return 0;
}
