#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "http/certificates.h"
#include "http/server.h"
#include "model/records.h"
#include "store/etcd/etcd_options.h"
#include "store/secret_box.h"
#include "store/store.h"

namespace howdah::control {

/// How a new machine becomes one of this Howdah's. Whoever may do so invites it and gets a ticket,
/// a secret word that is good once and for an hour; howdah-host on the machine sends its token to
/// the API's address, verified by the authority that the ticket names, and gets the certificate
/// that its agent shows from then on. Thread-safe.
class Joining {
  public:
    static constexpr std::chrono::minutes kValidFor{60};
    static constexpr const char* kPath = "/howdah/v1/join";             ///< of the API's address
    static constexpr const char* kRenewPath = "/agent/v1/certificate";  ///< of the fleet's
    static constexpr std::size_t kOpenMax = 100;  ///< invitations that nobody has used

    struct Options {
        std::string api_url;
        std::string agent_url;
        store::EtcdOptions etcd;  ///< no endpoints: there is this machine alone, nobody may join
    };
    /// All but the options are borrowed.
    Joining(Options options, store::Store& store, const store::SecretBox& secrets,
            const http::CertificateAuthority& authority, const Clock& clock, IdSource& ids);

    struct Invitation {
        std::string ticket;  ///< model::JoinTicket as one word
        std::string expires_at;
    };
    /// invalid_state: this Howdah is not made for several machines. too_many_requests beyond the
    /// bound.
    Result<Invitation> invite(const std::string& name, const std::string& zone);

    /// What agents of no name yet ask at the address of the API.
    static bool takes(const http::Request& request);
    http::Response handle(const http::Request& request);

    /// What an agent asks at the fleet's door before its certificate ends.
    static bool renews(const http::Request& request);
    http::Response renew(const http::Request& request);

    /// permission_denied for a token that is none, was used or has expired.
    Result<model::JoinedHost> join(std::string_view token);

  private:
    Status remove_expired(std::size_t& left);
    Result<model::AgentCertificate> certify(const std::string& host);
    Status add_etcd(model::JoinedHost& joined) const;

    const Options options_;
    store::Store& store_;
    const store::SecretBox& secrets_;
    const http::CertificateAuthority& authority_;
    const Clock& clock_;
    IdSource& ids_;
};

}  // namespace howdah::control
