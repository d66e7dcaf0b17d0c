#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace howdah::http {

/// Frees an OpenSSL object with its own function.
template <auto kFree>
struct OpensslFree {
    template <typename T>
    void operator()(T* object) const {
        kFree(object);
    }
};

using Bio = std::unique_ptr<BIO, OpensslFree<BIO_free_all>>;
using BigNumber = std::unique_ptr<BIGNUM, OpensslFree<BN_free>>;
using Key = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;
using X509Certificate = std::unique_ptr<X509, OpensslFree<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, OpensslFree<X509_EXTENSION_free>>;
using AlternativeNames = std::unique_ptr<GENERAL_NAMES, OpensslFree<GENERAL_NAMES_free>>;

/// "what: the oldest OpenSSL error of this thread"; empties the thread's error queue.
Error openssl_error(ErrorCode code, std::string_view what);

/// A BIO that reads `text`, which must outlive it.
Bio read_bio(std::string_view text);
/// What was written into a memory BIO.
std::string bio_text(BIO* bio);

Result<Key> key_from_pem(const Secret& pem);
/// PKCS #8, not encrypted.
Result<Secret> key_to_pem(EVP_PKEY* key);
Result<X509Certificate> certificate_from_pem(std::string_view pem);

}  // namespace howdah::http
