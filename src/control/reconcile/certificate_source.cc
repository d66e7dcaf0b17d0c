#include "control/reconcile/certificate_source.h"

#include "base/assert.h"

namespace howdah::control {

Result<model::TlsMaterial> AuthorityCertificates::issue(const std::vector<std::string>& dns_names,
                                                        Timestamp now) {
    HD_ASSERT(!dns_names.empty(), "a server has a name");
    http::CertificateRequest request;
    request.common_name = dns_names.front();
    request.dns_names = dns_names;
    request.ip_addresses = addresses_;
    HD_TRY(const http::Certificate issued, authority_.issue(request, now));
    model::TlsMaterial material;
    material.certificate_pem = issued.certificate_pem + authority_.certificate_pem();
    material.key_pem = issued.key_pem.reveal();
    material.ca_pem = authority_.certificate_pem();
    return material;
}

Result<Timestamp> AuthorityCertificates::end_of(const std::string& certificate_pem) {
    return http::certificate_end(certificate_pem);
}

}  // namespace howdah::control
