#include "http/openssl_handles.h"

#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <limits>

namespace howdah::http {

namespace {

/// Without it OpenSSL would ask for the pass phrase of an encrypted key on the terminal.
int no_pass_phrase(char*, int, int, void*) { return -1; }

}  // namespace

Error openssl_error(ErrorCode code, std::string_view what) {
    const unsigned long number = ERR_get_error();
    ERR_clear_error();
    const char* reason = number == 0 ? nullptr : ERR_reason_error_string(number);
    return {code, fmt::format("{}: {}", what, reason == nullptr ? "unknown reason" : reason)};
}

Bio read_bio(std::string_view text) {
    HD_ASSERT(text.size() <= std::size_t{std::numeric_limits<int>::max()}, "a PEM text of 2 GiB");
    Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    HD_ASSERT(bio != nullptr, "out of memory");
    return bio;
}

std::string bio_text(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return size <= 0 ? std::string() : std::string(data, static_cast<std::size_t>(size));
}

Result<Key> key_from_pem(const Secret& pem) {
    const Bio bio = read_bio(pem.reveal());
    Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_pass_phrase, nullptr));
    if (key == nullptr) return openssl_error(ErrorCode::corrupt, "cannot read the private key");
    return key;
}

Result<Secret> key_to_pem(EVP_PKEY* key) {
    const Bio bio(BIO_new(BIO_s_secmem()));
    if (bio == nullptr ||
        PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
        return openssl_error(ErrorCode::internal, "cannot write a private key");
    }
    return Secret(bio_text(bio.get()));
}

Result<X509Certificate> certificate_from_pem(std::string_view pem) {
    const Bio bio = read_bio(pem);
    X509Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, no_pass_phrase, nullptr));
    if (certificate == nullptr) {
        return openssl_error(ErrorCode::corrupt, "cannot read the certificate");
    }
    return certificate;
}

}  // namespace howdah::http
