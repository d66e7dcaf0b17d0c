#include "http/certificates.h"

#include <fmt/core.h>
#include <openssl/pem.h>

#include <algorithm>
#include <ctime>

#include "http/openssl_handles.h"

namespace howdah::http {

namespace {

constexpr std::chrono::days kAuthorityValidity{3653};
/// Clocks differ: a certificate must be good on a machine that is a little behind.
constexpr std::chrono::hours kBackdate{1};
/// ub-common-name of RFC 5280.
constexpr std::size_t kCommonNameMax = 64;
constexpr int kSerialBits = 127;
constexpr const char* kNoAddresses =
    "critical,excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0";

struct Extensions {
    X509* issuer;
    X509* subject;
};

Status add_extension(const Extensions& context, int nid, const std::string& value) {
    X509V3_CTX v3{};
    X509V3_set_ctx(&v3, context.issuer, context.subject, nullptr, nullptr, 0);
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &v3, nid, value.c_str()));
    if (extension == nullptr || X509_add_ext(context.subject, extension.get(), -1) != 1) {
        return openssl_error(ErrorCode::internal,
                             fmt::format("cannot add {} to a certificate", OBJ_nid2sn(nid)));
    }
    return ok_status();
}

Status set_validity(X509* certificate, Timestamp from, Timestamp until) {
    const auto seconds = [](Timestamp time) {
        return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
    };
    if (ASN1_TIME_set(X509_getm_notBefore(certificate), seconds(from)) == nullptr ||
        ASN1_TIME_set(X509_getm_notAfter(certificate), seconds(until)) == nullptr) {
        return openssl_error(ErrorCode::internal, "cannot set a certificate's validity");
    }
    return ok_status();
}

Status set_serial(X509* certificate) {
    const BigNumber serial(BN_new());
    if (serial == nullptr ||
        BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) != 1 ||
        BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate)) == nullptr) {
        return openssl_error(ErrorCode::internal, "cannot make a serial number");
    }
    return ok_status();
}

/// A version 3 certificate with everything but issuer, extensions and signature.
Result<X509Certificate> begin_certificate(std::string_view common_name, EVP_PKEY* key) {
    X509Certificate certificate(X509_new());
    if (certificate == nullptr || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
        X509_set_pubkey(certificate.get(), key) != 1) {
        return openssl_error(ErrorCode::internal, "cannot begin a certificate");
    }
    HD_CHECK(set_serial(certificate.get()));
    const std::string name(common_name);
    if (X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate.get()), NID_commonName,
                                   MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(name.c_str()),
                                   static_cast<int>(name.size()), -1, 0) != 1) {
        return openssl_error(ErrorCode::invalid_argument,
                             fmt::format("'{}' cannot be a common name", name));
    }
    return certificate;
}

Result<std::string> sign_to_pem(X509* certificate, EVP_PKEY* authority_key) {
    const Bio bio(BIO_new(BIO_s_mem()));
    if (bio == nullptr || X509_sign(certificate, authority_key, EVP_sha256()) == 0 ||
        PEM_write_bio_X509(bio.get(), certificate) != 1) {
        return openssl_error(ErrorCode::internal, "cannot sign a certificate");
    }
    return bio_text(bio.get());
}

Result<Key> generate_key() {
    Key key(EVP_EC_gen("P-256"));
    if (key == nullptr) return openssl_error(ErrorCode::internal, "cannot generate a key");
    return key;
}

bool is_dns_name(std::string_view name) {
    return !name.empty() && name.size() <= 253 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '.' || c == '_' || c == '*';
    });
}

Status push_name(GENERAL_NAMES* names, int type, ASN1_STRING* value) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    if (value == nullptr || name == nullptr) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return openssl_error(ErrorCode::internal, "cannot make an alternative name");
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) == 0) {
        GENERAL_NAME_free(name);
        return openssl_error(ErrorCode::internal, "cannot add an alternative name");
    }
    return ok_status();
}

Status add_alternative_names(X509* certificate, const CertificateRequest& request) {
    if (request.dns_names.empty() && request.ip_addresses.empty()) return ok_status();
    const AlternativeNames names(GENERAL_NAMES_new());
    HD_ASSERT(names != nullptr, "out of memory");
    for (const std::string& dns : request.dns_names) {
        if (!is_dns_name(dns)) {
            return Error{ErrorCode::invalid_argument, fmt::format("'{}' is not a host name", dns)};
        }
        ASN1_STRING* value = ASN1_IA5STRING_new();
        if (value != nullptr) ASN1_STRING_set(value, dns.data(), static_cast<int>(dns.size()));
        HD_CHECK(push_name(names.get(), GEN_DNS, value));
    }
    for (const std::string& ip : request.ip_addresses) {
        ASN1_STRING* value = a2i_IPADDRESS(ip.c_str());
        if (value == nullptr) {
            return Error{ErrorCode::invalid_argument, fmt::format("'{}' is not an IP address", ip)};
        }
        HD_CHECK(push_name(names.get(), GEN_IPADD, value));
    }
    if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) !=
        1) {
        return openssl_error(ErrorCode::internal, "cannot add alternative names");
    }
    return ok_status();
}

Result<Timestamp> end_of(const X509* certificate) {
    std::tm broken_down{};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &broken_down) != 1) {
        return openssl_error(ErrorCode::corrupt, "cannot read the end of a certificate");
    }
    return Timestamp(std::chrono::seconds(timegm(&broken_down)));
}

}  // namespace

Result<CertificateAuthority> CertificateAuthority::create(std::string_view common_name,
                                                          Timestamp now,
                                                          const AuthorityOptions& options) {
    HD_TRY(const Key key, generate_key());
    HD_TRY(const X509Certificate certificate, begin_certificate(common_name, key.get()));
    X509* const x509 = certificate.get();
    HD_CHECK(set_validity(x509, now - kBackdate, now + kAuthorityValidity));
    if (X509_set_issuer_name(x509, X509_get_subject_name(x509)) != 1) {
        return openssl_error(ErrorCode::internal, "cannot name the authority");
    }
    const Extensions context{.issuer = x509, .subject = x509};
    HD_CHECK(add_extension(context, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
    HD_CHECK(add_extension(context, NID_key_usage, "critical,keyCertSign,cRLSign"));
    if (options.names_only) HD_CHECK(add_extension(context, NID_name_constraints, kNoAddresses));
    HD_CHECK(add_extension(context, NID_subject_key_identifier, "hash"));
    CertificateAuthority authority;
    HD_TRY(authority.certificate_pem_, sign_to_pem(x509, key.get()));
    HD_TRY(authority.key_pem_, key_to_pem(key.get()));
    return authority;
}

Result<CertificateAuthority> CertificateAuthority::load(std::string certificate_pem,
                                                        Secret key_pem) {
    HD_TRY(const Key key, key_from_pem(key_pem));
    HD_TRY(const X509Certificate certificate, certificate_from_pem(certificate_pem));
    if (X509_check_private_key(certificate.get(), key.get()) != 1) {
        return openssl_error(ErrorCode::corrupt, "the authority's key is not its certificate's");
    }
    if (X509_check_ca(certificate.get()) != 1) {
        return Error{ErrorCode::corrupt, "the certificate is not an authority's"};
    }
    CertificateAuthority authority;
    authority.certificate_pem_ = std::move(certificate_pem);
    authority.key_pem_ = std::move(key_pem);
    return authority;
}

Result<Certificate> CertificateAuthority::issue(const CertificateRequest& request,
                                                Timestamp now) const {
    std::string_view common_name = request.common_name;
    if (common_name.size() > kCommonNameMax) {
        // A client is known by its name, so that must not be cut; a server by dns_names.
        if (request.client) {
            return Error{ErrorCode::invalid_argument,
                         fmt::format("the client name '{}' is longer than {} bytes", common_name,
                                     kCommonNameMax)};
        }
        common_name = common_name.substr(0, kCommonNameMax);
    }
    HD_TRY(const Key authority_key, key_from_pem(key_pem_));
    HD_TRY(const X509Certificate authority, certificate_from_pem(certificate_pem_));
    HD_TRY(const Timestamp authority_end, end_of(authority.get()));
    HD_TRY(const Key key, generate_key());
    HD_TRY(const X509Certificate certificate, begin_certificate(common_name, key.get()));
    X509* const x509 = certificate.get();
    HD_CHECK(set_validity(x509, now - kBackdate,
                          std::min(Timestamp(now + request.valid_for), authority_end)));
    if (X509_set_issuer_name(x509, X509_get_subject_name(authority.get())) != 1) {
        return openssl_error(ErrorCode::internal, "cannot name the issuer");
    }
    const Extensions context{.issuer = authority.get(), .subject = x509};
    HD_CHECK(add_extension(context, NID_basic_constraints, "critical,CA:FALSE"));
    HD_CHECK(add_extension(context, NID_key_usage, "critical,digitalSignature"));
    const char* const usage = request.server_and_client ? "serverAuth,clientAuth"
                              : request.client          ? "clientAuth"
                                                        : "serverAuth";
    HD_CHECK(add_extension(context, NID_ext_key_usage, usage));
    HD_CHECK(add_extension(context, NID_subject_key_identifier, "hash"));
    HD_CHECK(add_extension(context, NID_authority_key_identifier, "keyid:always"));
    HD_CHECK(add_alternative_names(x509, request));
    Certificate issued;
    HD_TRY(issued.certificate_pem, sign_to_pem(x509, authority_key.get()));
    HD_TRY(issued.key_pem, key_to_pem(key.get()));
    return issued;
}

Result<bool> CertificateAuthority::has_issued(std::string_view pem) const {
    HD_TRY(const X509Certificate authority, certificate_from_pem(certificate_pem_));
    HD_TRY(const X509Certificate certificate, certificate_from_pem(pem));
    return X509_check_issued(authority.get(), certificate.get()) == X509_V_OK;
}

Result<Timestamp> certificate_end(std::string_view pem) {
    HD_TRY(const X509Certificate certificate, certificate_from_pem(pem));
    return end_of(certificate.get());
}

}  // namespace howdah::http
