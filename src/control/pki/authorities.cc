#include "control/pki/authorities.h"

#include "model/records.h"

namespace howdah::control {

std::string Authorities::for_users() const {
    return control_plane.certificate_pem() + servers.certificate_pem();
}

Result<http::CertificateAuthority> make_control_plane_authority(Timestamp now) {
    return http::CertificateAuthority::create("Howdah CA", now);
}

Result<http::CertificateAuthority> make_server_authority(Timestamp now) {
    return http::CertificateAuthority::create("Howdah servers CA", now, {.names_only = true});
}

http::CertificateRequest howdahd_certificate(const std::vector<std::string>& addresses) {
    const std::string name(model::kControlPlaneName);
    http::CertificateRequest request{.common_name = name,
                                     .dns_names = {"localhost", name},
                                     .ip_addresses = {"127.0.0.1", "::1"}};
    for (const std::string& each : addresses)
        if (!each.empty()) request.ip_addresses.push_back(each);
    return request;
}

http::CertificateRequest agent_certificate(const std::string& host_id) {
    return {.common_name = host_id, .client = true};
}

}  // namespace howdah::control
