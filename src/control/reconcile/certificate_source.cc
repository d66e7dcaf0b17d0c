#include "control/reconcile/certificate_source.h"

#include <fmt/core.h>

#include "base/assert.h"
#include "base/text.h"

namespace howdah::control {

Result<model::TlsMaterial> AuthorityCertificates::issue(const std::vector<std::string>& dns_names,
                                                        Timestamp now) {
    HD_ASSERT(!dns_names.empty(), "a server has a name");
    http::CertificateRequest request;
    request.common_name = dns_names.front();
    request.dns_names = dns_names;
    for (const std::string& name : dns_names) {
        if (!iequals(name, model::kControlPlaneName) && !iequals(name, "localhost")) continue;
        return Error{ErrorCode::invalid_argument,
                     fmt::format("no server can have the name '{}'", name)};
    }
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

Result<bool> AuthorityCertificates::is_current(const std::string& certificate_pem) {
    return authority_.has_issued(certificate_pem);
}

}  // namespace howdah::control
