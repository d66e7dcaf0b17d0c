#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/certificates.h"
#include "model/records.h"

namespace howdah::control {

/// Where the certificates of servers come from. Thread-safe.
class CertificateSource {
  public:
    virtual ~CertificateSource() = default;
    virtual Result<model::TlsMaterial> issue(const std::vector<std::string>& dns_names,
                                             Timestamp now) = 0;
    /// When the first certificate of a PEM text ends.
    virtual Result<Timestamp> end_of(const std::string& certificate_pem) = 0;
    /// Whether it is one of those that are issued now: of the authority that is in force.
    virtual Result<bool> is_current(const std::string& certificate_pem) = 0;
};

/// The built-in authority of servers, which must outlive it. A certificate holds for the server's
/// names: an address is shared by all servers of a machine, and would prove nothing.
class AuthorityCertificates final : public CertificateSource {
  public:
    explicit AuthorityCertificates(const http::CertificateAuthority& authority)
        : authority_(authority) {}
    /// ErrorCode::invalid_argument for a name of the control plane.
    Result<model::TlsMaterial> issue(const std::vector<std::string>& dns_names,
                                     Timestamp now) override;
    Result<Timestamp> end_of(const std::string& certificate_pem) override;
    Result<bool> is_current(const std::string& certificate_pem) override;

  private:
    const http::CertificateAuthority& authority_;
};

}  // namespace howdah::control
