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
};

/// The built-in certificate authority. `authority` must outlive it. Every certificate also holds
/// for `addresses`, for clients that connect without a name.
class AuthorityCertificates final : public CertificateSource {
  public:
    AuthorityCertificates(const http::CertificateAuthority& authority,
                          std::vector<std::string> addresses)
        : authority_(authority), addresses_(std::move(addresses)) {}
    Result<model::TlsMaterial> issue(const std::vector<std::string>& dns_names,
                                     Timestamp now) override;
    Result<Timestamp> end_of(const std::string& certificate_pem) override;

  private:
    const http::CertificateAuthority& authority_;
    const std::vector<std::string> addresses_;
};

}  // namespace howdah::control
