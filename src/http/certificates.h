#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"

namespace howdah::http {

struct Certificate {
    std::string certificate_pem;
    Secret key_pem;
};

struct CertificateRequest {
    std::string common_name;
    std::vector<std::string> dns_names;
    std::vector<std::string> ip_addresses;
    bool client = false;  ///< for a client to show; no server may use it, and the other way round
    /// For both: each member of an etcd is a client of the others, and of itself.
    bool server_and_client = false;
    std::chrono::days valid_for{825};
};

struct AuthorityOptions {
    /// What it issues holds for names, never for an IP address (a name constraint, RFC 5280
    /// 4.2.1.10): a certificate of it that has an address is refused by every client.
    bool names_only = false;
};

/// A built-in certificate authority. Keys are ECDSA P-256 with SHA-256, so that channel binding
/// works with every client (RULES, Gateway 10). Immutable after construction; thread-safe.
class CertificateAuthority {
  public:
    static Result<CertificateAuthority> create(std::string_view common_name, Timestamp now,
                                               const AuthorityOptions& options = {});
    /// From the PEM texts of an earlier create().
    static Result<CertificateAuthority> load(std::string certificate_pem, Secret key_pem);

    /// A certificate valid from an hour before `now` (clocks differ).
    Result<Certificate> issue(const CertificateRequest& request, Timestamp now) const;
    /// Whether the first certificate of a PEM text names this authority and its key as the issuer.
    /// Tells one's own authorities apart; it does not check the signature.
    Result<bool> has_issued(std::string_view pem) const;
    const std::string& certificate_pem() const { return certificate_pem_; }
    const Secret& key_pem() const { return key_pem_; }

  private:
    std::string certificate_pem_;
    Secret key_pem_;
};

/// When the first certificate in a PEM text ends.
Result<Timestamp> certificate_end(std::string_view pem);

}  // namespace howdah::http
