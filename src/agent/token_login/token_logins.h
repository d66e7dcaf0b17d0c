#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "agent/layout.h"
#include "agent/token_login/token_access.h"
#include "base/clock.h"
#include "base/result.h"
#include "http/tls_port.h"
#include "model/records.h"

namespace howdah::agent {

/// Where the PostgreSQL servers of this machine ask whether an access token is right: pg_hba.conf
/// sends the password of token administrators by LDAP over TLS to a port on loopback, and the
/// answer is decided here, without the control plane (adr/0010).
///
/// The certificate is made anew at every start and its key is in memory alone; PostgreSQL's
/// environment names the file of the authority. So whoever takes the port while the agent is down
/// is not believed and gets no token. Thread-safe.
class TokenLogins {
  public:
    /// Tells the access of an incarnation; none: there is no such instance here.
    using Lookup = std::function<std::optional<TokenAccess>(const std::string& incarnation)>;

    /// Takes the port it had before, if that is free, and what was kept of the keys.
    static Result<TokenLogins> open(const Layout& layout, const Clock& clock);
    TokenLogins(TokenLogins&& other) noexcept;

    std::uint16_t port() const { return port_.port(); }
    /// Of the keys that are in force; empty: none were ever heard of.
    std::string trust_version() const;
    /// New keys, in force at once; an error says that they will not be after a restart.
    Status trust(const model::TokenTrust& trust);

    void run(std::stop_token stop, const Lookup& lookup);
    /// The answer to what a server has sent so far; as http::TlsPort::Handler.
    std::optional<std::string> answer(std::string_view received, const Lookup& lookup) const;

  private:
    TokenLogins(const Layout& layout, const Clock& clock, http::TlsPort port)
        : layout_(layout), clock_(clock), port_(std::move(port)) {}

    const Layout layout_;
    const Clock& clock_;
    http::TlsPort port_;
    mutable std::mutex mutex_;
    model::TokenTrust trust_;  ///< guarded by mutex_
};

}  // namespace howdah::agent
