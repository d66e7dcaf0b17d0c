#include "agent/token_login/token_logins.h"

#include <fmt/core.h>

#include "agent/token_login/ldap_message.h"
#include "base/log.h"
#include "base/text.h"
#include "http/certificates.h"
#include "model/json.h"
#include "os/file.h"

namespace howdah::agent {
namespace {

/// Below the ports that the kernel gives to outgoing connections (see find_free_port of an
/// instance), and not those of instances.
constexpr std::uint16_t kFirstPort = 19300;
constexpr std::uint16_t kPortTries = 600;
constexpr std::size_t kFileBytesMax = 1 << 20;
constexpr std::string_view kAddress = "127.0.0.1";
constexpr std::string_view kAuthorityName = "Howdah token logins of one machine";

Result<http::TlsPort> listen(const http::Certificate& certificate, std::int64_t last_port) {
    if (last_port != 0) {
        auto same = http::TlsPort::listen(certificate, static_cast<std::uint16_t>(last_port));
        if (same.ok()) return same;
        log::warn("the port of token logins is somebody else's; another one is taken",
                  {{"port", last_port}, {"reason", same.error().describe()}});
    }
    for (std::uint16_t i = 0; i < kPortTries; ++i) {
        auto port = http::TlsPort::listen(certificate, static_cast<std::uint16_t>(kFirstPort + i));
        if (port.ok() || port.error().code != ErrorCode::conflict) return port;
    }
    return Error{ErrorCode::resource_exhausted, "no free port for token logins"};
}

}  // namespace

TokenLogins::TokenLogins(TokenLogins&& other) noexcept
    : layout_(other.layout_),
      clock_(other.clock_),
      port_(std::move(other.port_)),
      trust_(std::move(other.trust_)) {}

Result<TokenLogins> TokenLogins::open(const Layout& layout, const Clock& clock) {
    HD_CHECK(os::make_folders(layout.root(), 0711));
    HD_TRY(const auto authority, http::CertificateAuthority::create(kAuthorityName, clock.wall()));
    HD_TRY(const auto certificate,
           authority.issue({.common_name = "howdah-agent", .ip_addresses = {std::string(kAddress)}},
                           clock.wall()));
    const auto known = os::read_file(layout.token_port(), 16);
    const auto last = parse_integer(trim(known.value_or("")), 1, 65535);
    HD_TRY(http::TlsPort port, listen(certificate, last.ok() ? *last : 0));
    if (!last.ok() || *last != port.port())
        HD_CHECK(os::write_file_atomic(layout.token_port(), fmt::format("{}\n", port.port())));
    // Nobody but us has the port now, so that nobody else's certificate is believed in between.
    constexpr mode_t kReadable = 0644;  // the servers have users of their own
    HD_CHECK(
        os::write_file_atomic(layout.token_authority(), authority.certificate_pem(), kReadable));
    TokenLogins logins(layout, clock, std::move(port));
    const auto kept = os::read_file(layout.token_trust(), kFileBytesMax);
    if (kept.ok()) {
        auto trust = model::from_json<model::TokenTrust>(*kept);
        if (trust.ok()) {
            logins.trust_ = std::move(*trust);
        } else {
            log::warn("the kept keys of tokens cannot be read",
                      {{"reason", trust.error().describe()}});
        }
    }
    return logins;
}

std::string TokenLogins::trust_version() const {
    const std::lock_guard lock(mutex_);
    return trust_.version;
}

Status TokenLogins::trust(const model::TokenTrust& trust) {
    {
        const std::lock_guard lock(mutex_);
        if (trust == trust_) return ok_status();
        trust_ = trust;
    }
    log::info("the keys of tokens are others now", {{"keys", trust.keys.size()}});
    return os::write_file_atomic(layout_.token_trust(), model::to_json(trust));
}

void TokenLogins::run(std::stop_token stop, const Lookup& lookup) {
    port_.run(std::move(stop), clock_,
              [&](std::string_view received) { return answer(received, lookup); });
}

std::optional<std::string> TokenLogins::answer(std::string_view received,
                                               const Lookup& lookup) const {
    const auto read = read_ldap_request(received);
    if (!read.ok()) return "";
    if (!*read) return std::nullopt;
    const LdapRequest& request = **read;
    switch (request.kind) {
        case LdapRequest::Kind::unbind:
        case LdapRequest::Kind::other:
            return "";
        case LdapRequest::Kind::other_bind:
            return ldap_bind_response(request.id, LdapResult::auth_method_not_supported, "");
        case LdapRequest::Kind::simple_bind:
            break;
    }
    if (request.version != 3) return ldap_bind_response(request.id, LdapResult::protocol_error, "");
    const auto name = read_login_name(request.name);
    const auto access = name ? lookup(std::string(name->incarnation)) : std::nullopt;
    model::TokenTrust trust;
    {
        const std::lock_guard lock(mutex_);
        trust = trust_;
    }
    const Status allowed =
        check_token_login(trust, access.value_or(TokenAccess{}),
                          name ? name->role : std::string_view(), request.password, clock_.wall());
    if (allowed.ok()) return ldap_bind_response(request.id, LdapResult::success, "");
    return ldap_bind_response(request.id, LdapResult::invalid_credentials, allowed.error().message);
}

}  // namespace howdah::agent
