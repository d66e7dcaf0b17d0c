#include "http/peer.h"

#include <gnutls/x509.h>

#include <cstdlib>
#include <memory>
#include <type_traits>

namespace howdah::http {

namespace {

struct CertificateFree {
    void operator()(gnutls_x509_crt_t certificate) const { gnutls_x509_crt_deinit(certificate); }
};
using PeerCertificate = std::unique_ptr<std::remove_pointer_t<gnutls_x509_crt_t>, CertificateFree>;

int verify(gnutls_session_t session) {
    std::string purpose = GNUTLS_KP_TLS_WWW_CLIENT;
    gnutls_typed_vdata_st wanted{};
    wanted.type = GNUTLS_DT_KEY_PURPOSE_OID;
    wanted.data = reinterpret_cast<unsigned char*>(purpose.data());
    unsigned problems = 0;
    const int result = gnutls_certificate_verify_peers(session, &wanted, 1, &problems);
    return result == GNUTLS_E_SUCCESS && problems == 0 ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

}  // namespace

void require_client_certificate(gnutls_session_t session) {
    gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
    gnutls_session_set_verify_function(session, verify);
}

std::string peer_common_name(gnutls_session_t session) {
    unsigned count = 0;
    const gnutls_datum_t* chain = gnutls_certificate_get_peers(session, &count);
    gnutls_x509_crt_t raw = nullptr;
    if (chain == nullptr || count == 0 || gnutls_x509_crt_init(&raw) != GNUTLS_E_SUCCESS) return {};
    const PeerCertificate certificate(raw);
    if (gnutls_x509_crt_import(certificate.get(), chain, GNUTLS_X509_FMT_DER) != GNUTLS_E_SUCCESS) {
        return {};
    }
    char name[256] = {};
    std::size_t size = sizeof name;
    if (gnutls_x509_crt_get_dn_by_oid(certificate.get(), GNUTLS_OID_X520_COMMON_NAME, 0, 0, name,
                                      &size) != GNUTLS_E_SUCCESS) {
        return {};
    }
    return std::string(name, size);
}

}  // namespace howdah::http
