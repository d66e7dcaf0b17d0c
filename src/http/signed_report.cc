#include "http/signed_report.h"

#include <fmt/core.h>
#include <jwt.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "http/openssl_handles.h"

namespace howdah::http {
namespace {

constexpr std::size_t kReportBytesMax = 256 << 10;

using Token = std::unique_ptr<jwt_t, OpensslFree<jwt_free>>;
using Text = std::unique_ptr<char, OpensslFree<std::free>>;
using Store = std::unique_ptr<X509_STORE, OpensslFree<X509_STORE_free>>;
using Check = std::unique_ptr<X509_STORE_CTX, OpensslFree<X509_STORE_CTX_free>>;

Error refused(std::string_view why) {
    return {ErrorCode::unauthenticated, fmt::format("the report is not genuine: {}", why)};
}

const unsigned char* bytes(const std::string& text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

Result<std::string> der_of(X509* certificate) {
    unsigned char* raw = nullptr;
    const int size = i2d_X509(certificate, &raw);
    if (size <= 0) return openssl_error(ErrorCode::internal, "cannot write a certificate");
    std::string der(reinterpret_cast<const char*>(raw), static_cast<std::size_t>(size));
    OPENSSL_free(raw);
    return der;
}

Result<X509Certificate> certificate_of(jwt_t* token) {
    const Text chain(jwt_get_headers_json(token, "x5c"));
    const auto list = nlohmann::json::parse(chain ? chain.get() : "", nullptr, false);
    if (!list.is_array() || list.empty() || !list[0].is_string())
        return refused("it does not say who signed it");
    const auto der = base64_decode(list[0].get<std::string>());
    if (!der.ok()) return refused("its certificate cannot be read");
    const unsigned char* at = bytes(*der);
    X509Certificate certificate(d2i_X509(nullptr, &at, static_cast<long>(der->size())));
    if (certificate == nullptr) return refused("its certificate cannot be read");
    return certificate;
}

Status trust_all_of(X509_STORE* store, std::string_view authorities_pem) {
    const Bio bio = read_bio(authorities_pem);
    int count = 0;
    for (;; ++count) {
        const X509Certificate next(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
        if (next == nullptr) break;
        if (X509_STORE_add_cert(store, next.get()) != 1)
            return openssl_error(ErrorCode::internal, "cannot take an authority's certificate");
    }
    ERR_clear_error();
    if (count > 0) return ok_status();
    return Error{ErrorCode::invalid_argument, "there is no authority's certificate to check with"};
}

/// What PostgreSQL servers show to their clients signs no reports: customers may get at its key.
Status check_issuer(X509* certificate, std::string_view authorities_pem) {
    const Store store(X509_STORE_new());
    const Check check(X509_STORE_CTX_new());
    if (store == nullptr || check == nullptr)
        return openssl_error(ErrorCode::internal, "cannot check a certificate");
    HD_CHECK(trust_all_of(store.get(), authorities_pem));
    if (X509_STORE_CTX_init(check.get(), store.get(), certificate, nullptr) != 1 ||
        X509_STORE_CTX_set_purpose(check.get(), X509_PURPOSE_SSL_CLIENT) != 1)
        return openssl_error(ErrorCode::internal, "cannot check a certificate");
    X509_STORE_CTX_set_flags(check.get(), X509_V_FLAG_NO_CHECK_TIME);
    if (X509_verify_cert(check.get()) == 1) return ok_status();
    return refused(X509_verify_cert_error_string(X509_STORE_CTX_get_error(check.get())));
}

Result<std::string> public_key_of(X509* certificate) {
    const Bio bio(BIO_new(BIO_s_mem()));
    EVP_PKEY* const key = X509_get0_pubkey(certificate);
    if (bio == nullptr || key == nullptr || PEM_write_bio_PUBKEY(bio.get(), key) != 1)
        return refused("its certificate has no key");
    return bio_text(bio.get());
}

std::string name_of(X509* certificate) {
    std::array<char, 256> name{};
    const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                               name.data(), static_cast<int>(name.size()));
    return size <= 0 ? "" : std::string(name.data(), static_cast<std::size_t>(size));
}

/// Nobody has vouched for it yet.
Result<Token> look_at(const std::string& text) {
    jwt_t* raw = nullptr;
    if (text.size() > kReportBytesMax || jwt_decode(&raw, text.c_str(), nullptr, 0) != 0)
        return refused("it cannot be read");
    Token token(raw);
    const char* const algorithm = jwt_get_header(token.get(), "alg");
    if (algorithm == nullptr || std::string_view(algorithm) != "ES256")
        return refused("it is not signed with ES256");
    const Text critical(jwt_get_headers_json(token.get(), "crit"));
    if (critical != nullptr) return refused("it has critical header fields");
    return token;
}

}  // namespace

Result<std::string> sign_report(const std::string& json, const Secret& key_pem,
                                std::string_view certificate_pem) {
    HD_TRY(const X509Certificate certificate, certificate_from_pem(certificate_pem));
    HD_TRY(const std::string der, der_of(certificate.get()));
    const std::string header = nlohmann::json{{"x5c", {base64_encode(der)}}}.dump();
    jwt_t* raw = nullptr;
    if (jwt_new(&raw) != 0) return Error{ErrorCode::internal, "out of memory"};
    const Token token(raw);
    const std::string& key = key_pem.reveal();
    if (jwt_add_grants_json(token.get(), json.c_str()) != 0 ||
        jwt_add_headers_json(token.get(), header.c_str()) != 0 ||
        jwt_set_alg(token.get(), JWT_ALG_ES256, bytes(key), static_cast<int>(key.size())) != 0)
        return Error{ErrorCode::invalid_argument, "this is no report that can be signed"};
    const Text text(jwt_encode_str(token.get()));
    if (text == nullptr) return Error{ErrorCode::internal, "the report cannot be signed"};
    HD_TRY(const std::string public_key, public_key_of(certificate.get()));
    jwt_t* again = nullptr;
    const bool fits =
        jwt_decode(&again, text.get(), bytes(public_key), static_cast<int>(public_key.size())) == 0;
    const Token owned(again);
    if (!fits) return Error{ErrorCode::conflict, "the key is not that of the certificate"};
    return std::string(text.get());
}

Result<VerifiedReport> verify_report(std::string_view token, std::string_view authorities_pem) {
    const std::string text(trim(token));
    HD_TRY(const Token unverified, look_at(text));
    HD_TRY(const X509Certificate certificate, certificate_of(unverified.get()));
    HD_CHECK(check_issuer(certificate.get(), authorities_pem));
    HD_TRY(const std::string key, public_key_of(certificate.get()));
    jwt_t* raw = nullptr;
    if (jwt_decode(&raw, text.c_str(), bytes(key), static_cast<int>(key.size())) != 0)
        return refused("it was changed after it was signed");
    const Token verified(raw);
    const Text json(jwt_get_grants_json(verified.get(), nullptr));
    if (json == nullptr) return refused("it has no content");
    return VerifiedReport{json.get(), name_of(certificate.get())};
}

}  // namespace howdah::http
