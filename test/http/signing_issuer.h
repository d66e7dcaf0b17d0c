#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/text.h"
#include "http/issuer_keys.h"
#include "http/openssl_handles.h"

namespace howdah::http {

/// A key of an issuer that no test needs to be ours: signs with any algorithm, right or wrong.
class IssuerKey {
  public:
    static IssuerKey rsa(std::string id, unsigned bits = 2048) {
        return IssuerKey(std::move(id), Key(EVP_RSA_gen(bits)));
    }
    static IssuerKey ec(std::string id, const char* curve = "P-256") {
        return IssuerKey(std::move(id), Key(EVP_EC_gen(curve)));
    }

    bool is_rsa() const { return EVP_PKEY_get_base_id(key_.get()) == EVP_PKEY_RSA; }
    const std::string& id() const { return id_; }

    /// As an element of "keys" of a JWK set.
    nlohmann::json jwk() const {
        nlohmann::json jwk = {{"kid", id_}, {"use", "sig"}};
        if (is_rsa()) {
            jwk["kty"] = "RSA";
            jwk["n"] = base64url_encode(number("n"));
            jwk["e"] = base64url_encode(number("e"));
        } else {
            jwk["kty"] = "EC";
            jwk["crv"] = "P-256";
            jwk["x"] = base64url_encode(padded(number("qx")));
            jwk["y"] = base64url_encode(padded(number("qy")));
        }
        return jwk;
    }
    VerificationKey public_key() const {
        return parse_issuer_keys(nlohmann::json{{"keys", {jwk()}}}.dump()).value().keys.at(0);
    }

    /// "header.payload.signature" with what `algorithm` says; "none": an empty signature.
    std::string sign(const nlohmann::json& payload, const std::string& algorithm = "RS256",
                     nlohmann::json header = nlohmann::json::object()) const {
        if (!header.contains("kid")) header["kid"] = id_;
        header["alg"] = algorithm;
        const std::string input =
            base64url_encode(header.dump()) + "." + base64url_encode(payload.dump());
        return input + "." + base64url_encode(signature(input, algorithm));
    }

    /// Of PS256; a JWS has as many bytes as the digest.
    int salt_bytes = RSA_PSS_SALTLEN_DIGEST;

  private:
    IssuerKey(std::string id, Key key) : id_(std::move(id)), key_(std::move(key)) {}

    std::string number(const char* name) const {
        BIGNUM* raw = nullptr;
        EVP_PKEY_get_bn_param(key_.get(), name, &raw);
        const BigNumber owned(raw);
        std::string bytes(static_cast<std::size_t>(BN_num_bytes(raw)), '\0');
        BN_bn2bin(raw, reinterpret_cast<unsigned char*>(bytes.data()));
        return bytes;
    }
    static std::string padded(const std::string& number) {
        return std::string(32 - std::min<std::size_t>(32, number.size()), '\0') + number;
    }

    std::string signature(const std::string& input, const std::string& algorithm) const {
        if (algorithm == "none") return "";
        if (algorithm.starts_with("HS")) return hmac(input);
        const std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
        EVP_PKEY_CTX* options = nullptr;
        const auto* bytes = reinterpret_cast<const unsigned char*>(input.data());
        EVP_DigestSignInit(context.get(), &options, EVP_sha256(), nullptr, key_.get());
        if (algorithm == "PS256") {
            EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
            EVP_PKEY_CTX_set_rsa_pss_saltlen(options, salt_bytes);
        }
        std::size_t size = 0;
        EVP_DigestSign(context.get(), nullptr, &size, bytes, input.size());
        std::string made(size, '\0');
        EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(made.data()), &size, bytes,
                       input.size());
        made.resize(size);
        return is_rsa() ? made : raw_pair(made);
    }
    /// DER to the two numbers of a JWS.
    static std::string raw_pair(const std::string& der) {
        const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
        const std::unique_ptr<ECDSA_SIG, OpensslFree<ECDSA_SIG_free>> pair(
            d2i_ECDSA_SIG(nullptr, &bytes, static_cast<long>(der.size())));
        std::string raw(64, '\0');
        auto* out = reinterpret_cast<unsigned char*>(raw.data());
        BN_bn2binpad(ECDSA_SIG_get0_r(pair.get()), out, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(pair.get()), out + 32, 32);
        return raw;
    }
    /// What key confusion hopes for: the public key as the secret.
    std::string hmac(const std::string& input) const {
        const std::string secret = public_key().public_key_pem;
        unsigned char mac[EVP_MAX_MD_SIZE];
        unsigned size = 0;
        HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
             reinterpret_cast<const unsigned char*>(input.data()), input.size(), mac, &size);
        return {reinterpret_cast<const char*>(mac), size};
    }

    std::string id_;
    Key key_;
};

/// The document with these keys.
inline std::string key_set(const std::vector<nlohmann::json>& keys) {
    return nlohmann::json{{"keys", keys}}.dump();
}

}  // namespace howdah::http
