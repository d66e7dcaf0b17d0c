#include "http/issuer_keys.h"

#include <fmt/core.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "http/openssl_handles.h"

namespace howdah::http {
namespace {

using Json = nlohmann::json;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, OpensslFree<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, OpensslFree<OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, OpensslFree<EVP_PKEY_CTX_free>>;

constexpr std::size_t kKeyIdBytesMax = 256;
constexpr std::size_t kCoordinateBytes = 32;
constexpr int kRsaBitsMin = 2048;
/// Larger ones only cost time.
constexpr int kRsaBitsMax = 8192;
constexpr int kExponentBitsMax = 32;
constexpr std::string_view kP256 = "prime256v1";

Error unusable(std::string_view why) { return {ErrorCode::corrupt, std::string(why)}; }

std::string text_of(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// Base64url of a number or a coordinate. An error if it is not there.
Result<std::string> bytes_of(const Json& object, const char* name) {
    const std::string text = text_of(object, name);
    auto bytes = base64url_decode(text);
    if (text.empty() || !bytes.ok() || bytes->empty())
        return unusable(fmt::format("its '{}' is not base64url", name));
    return bytes;
}

Result<Key> key_from(const char* type, OSSL_PARAM_BLD* builder) {
    const Params params(OSSL_PARAM_BLD_to_param(builder));
    const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    EVP_PKEY* raw = nullptr;
    if (params == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &raw, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
        return openssl_error(ErrorCode::corrupt, "its numbers are no public key");
    return Key(raw);
}

BigNumber number_of(const std::string& bytes) {
    return BigNumber(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                               static_cast<int>(bytes.size()), nullptr));
}

Result<Key> rsa_key(const Json& jwk) {
    HD_TRY(const std::string modulus, bytes_of(jwk, "n"));
    HD_TRY(const std::string exponent, bytes_of(jwk, "e"));
    if (modulus.size() > kRsaBitsMax / 8 + 1 || exponent.size() > kExponentBitsMax / 8 + 1)
        return unusable("its numbers are too large");
    const BigNumber n = number_of(modulus);
    const BigNumber e = number_of(exponent);
    const ParamBuilder builder(OSSL_PARAM_BLD_new());
    HD_ASSERT(n != nullptr && e != nullptr && builder != nullptr, "out of memory");
    if (OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
        return openssl_error(ErrorCode::corrupt, "its numbers are no public key");
    return key_from("RSA", builder.get());
}

Result<Key> ec_key(const Json& jwk) {
    if (text_of(jwk, "crv") != "P-256") return unusable("its curve is not P-256");
    HD_TRY(const std::string x, bytes_of(jwk, "x"));
    HD_TRY(const std::string y, bytes_of(jwk, "y"));
    if (x.size() != kCoordinateBytes || y.size() != kCoordinateBytes)
        return unusable("its coordinates have the wrong length");
    const std::string point = '\x04' + x + y;
    const ParamBuilder builder(OSSL_PARAM_BLD_new());
    HD_ASSERT(builder != nullptr, "out of memory");
    if (OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, kP256.data(),
                                        kP256.size()) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                         point.size()) != 1)
        return openssl_error(ErrorCode::corrupt, "its numbers are no public key");
    return key_from("EC", builder.get());
}

/// What a weak key would make easy to forge, or costly to check.
Status check_rsa(EVP_PKEY* key) {
    const int bits = EVP_PKEY_get_bits(key);
    if (bits < kRsaBitsMin || bits > kRsaBitsMax)
        return unusable(
            fmt::format("it has {} bits; {} to {} are taken", bits, kRsaBitsMin, kRsaBitsMax));
    BIGNUM* raw_n = nullptr;
    BIGNUM* raw_e = nullptr;
    const bool read = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &raw_n) == 1 &&
                      EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &raw_e) == 1;
    const BigNumber n(raw_n);
    const BigNumber e(raw_e);
    if (!read || BN_is_odd(n.get()) == 0) return unusable("its modulus is even");
    // With the exponent 1 every message would be its own signature.
    if (BN_is_odd(e.get()) == 0 || BN_is_one(e.get()) == 1 ||
        BN_num_bits(e.get()) > kExponentBitsMax)
        return unusable("its exponent is not taken");
    return ok_status();
}

Status check_ec(EVP_PKEY* key) {
    char group[64] = {};
    std::size_t size = 0;
    const KeyContext context(EVP_PKEY_CTX_new(key, nullptr));
    if (EVP_PKEY_get_group_name(key, group, sizeof group, &size) != 1 ||
        std::string_view(group) != kP256)
        return unusable("its curve is not P-256");
    if (context == nullptr || EVP_PKEY_public_check(context.get()) != 1)
        return openssl_error(ErrorCode::corrupt, "its point is not on the curve");
    return ok_status();
}

Status check_algorithm(EVP_PKEY* key, std::string_view algorithm) {
    const bool is_rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
    const bool fits = algorithm.empty() || (is_rsa ? algorithm == "RS256" || algorithm == "PS256"
                                                   : algorithm == "ES256");
    if (fits) return ok_status();
    return unusable(fmt::format("its algorithm is '{}'", algorithm.substr(0, 32)));
}

Status check_key(EVP_PKEY* key, std::string_view algorithm) {
    switch (EVP_PKEY_get_base_id(key)) {
        case EVP_PKEY_RSA:
            HD_CHECK(check_rsa(key));
            break;
        case EVP_PKEY_EC:
            HD_CHECK(check_ec(key));
            break;
        default:
            return unusable("its type is not taken");
    }
    return check_algorithm(key, algorithm);
}

Status check_id(std::string_view id) {
    const bool good = !id.empty() && id.size() <= kKeyIdBytesMax &&
                      std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c < 127; });
    if (good) return ok_status();
    return unusable("its 'kid' is not taken");
}

/// Whether it may be used to verify signatures, by what it says of itself.
Status check_purpose(const Json& jwk) {
    const auto use = jwk.find("use");
    if (use != jwk.end() && *use != "sig") return unusable("it is not for signatures");
    const auto operations = jwk.find("key_ops");
    if (operations != jwk.end() &&
        (!operations->is_array() ||
         std::find(operations->begin(), operations->end(), "verify") == operations->end()))
        return unusable("it is not for verifying");
    // Who publishes a private key lets everybody sign with it.
    if (jwk.contains("d") || jwk.contains("p") || jwk.contains("k"))
        return unusable("it is not a public key");
    const auto algorithm = jwk.find("alg");
    if (algorithm != jwk.end() && !algorithm->is_string()) return unusable("its 'alg' is no text");
    return ok_status();
}

Result<VerificationKey> read_key(const Json& jwk) {
    VerificationKey key{text_of(jwk, "kid"), text_of(jwk, "alg"), {}};
    HD_CHECK(check_id(key.id));
    HD_CHECK(check_purpose(jwk));
    const std::string type = text_of(jwk, "kty");
    if (type != "RSA" && type != "EC") return unusable("its type is not taken");
    HD_TRY(const Key parsed, type == "RSA" ? rsa_key(jwk) : ec_key(jwk));
    HD_CHECK(check_key(parsed.get(), key.algorithm));
    const Bio bio(BIO_new(BIO_s_mem()));
    if (bio == nullptr || PEM_write_bio_PUBKEY(bio.get(), parsed.get()) != 1)
        return openssl_error(ErrorCode::internal, "it cannot be written");
    key.public_key_pem = bio_text(bio.get());
    return key;
}

/// Letters that stand in a URL as they are.
bool is_url_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~:/[]%+=,;&!$'()*?").find(c) != std::string_view::npos;
}

std::string_view host_of(std::string_view authority) {
    if (authority.starts_with('[')) return authority.substr(0, authority.find(']') + 1);
    return authority.substr(0, authority.find(':'));
}

Status check_url(std::string_view url, bool may_have_query) {
    const auto refuse = [](std::string_view why) {
        return Error{ErrorCode::invalid_argument, std::string(why)};
    };
    if (url.size() > kIssuerUrlBytesMax) return refuse("it is too long");
    if (!std::all_of(url.begin(), url.end(), is_url_letter) ||
        (!may_have_query && url.find('?') != std::string_view::npos))
        return refuse("it has a user, a query, a fragment or a letter that no issuer may have");
    const bool is_https = url.starts_with("https://");
    if (!is_https && !url.starts_with("http://")) return refuse("it does not begin with https://");
    const std::string_view rest = url.substr(is_https ? 8 : 7);
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
    const std::string_view host = host_of(authority);
    if (host.empty()) return refuse("it has no host");
    if (!is_https && host != "127.0.0.1" && host != "[::1]" && host != "localhost")
        return refuse("it begins with http://, and its host is not this machine");
    const std::string_view port = authority.substr(host.size());
    if (!port.empty() && (port[0] != ':' || !parse_integer(port.substr(1), 1, 65535).ok()))
        return refuse("its port is not a number from 1 to 65535");
    return ok_status();
}

}  // namespace

Result<IssuerKeySet> parse_issuer_keys(std::string_view json) {
    if (json.size() > kIssuerDocumentBytesMax)
        return Error{ErrorCode::too_large, "the key set is too long"};
    const Json all = Json::parse(json, nullptr, /*allow_exceptions=*/false);
    const auto keys = all.is_object() ? all.find("keys") : all.end();
    if (!all.is_object() || keys == all.end() || !keys->is_array())
        return Error{ErrorCode::corrupt, "the key set is not a JSON object with a list 'keys'"};
    if (keys->size() > kIssuerKeysMax)
        return Error{ErrorCode::too_large, fmt::format("the key set has {} keys; at most {} are "
                                                       "taken",
                                                       keys->size(), kIssuerKeysMax)};
    IssuerKeySet set;
    for (const Json& each : *keys) {
        if (!each.is_object())
            return Error{ErrorCode::corrupt, "the key set has an element that is no object"};
        auto key = read_key(each);
        if (key.ok() && std::any_of(set.keys.begin(), set.keys.end(),
                                    [&](const VerificationKey& one) { return one.id == key->id; }))
            key = unusable("another key has the same 'kid'");
        if (key.ok())
            set.keys.push_back(std::move(*key));
        else
            set.ignored.push_back(
                fmt::format("'{}': {}", text_of(each, "kid").substr(0, 64), key.error().message));
    }
    return set;
}

Status check_issuer_key(const VerificationKey& key) {
    HD_CHECK(check_id(key.id));
    const Bio bio = read_bio(key.public_key_pem);
    const Key parsed(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
    if (parsed == nullptr) return openssl_error(ErrorCode::corrupt, "it is no public key");
    return check_key(parsed.get(), key.algorithm);
}

Result<std::string> parse_issuer_discovery(std::string_view json, std::string_view issuer) {
    const auto refuse = [](std::string why) {
        return Error{ErrorCode::corrupt, "the discovery document " + std::move(why)};
    };
    if (json.size() > kIssuerDocumentBytesMax)
        return Error{ErrorCode::too_large, "the discovery document is too long"};
    const Json all = Json::parse(json, nullptr, /*allow_exceptions=*/false);
    if (!all.is_object()) return refuse("is not a JSON object");
    const std::string named = text_of(all, "issuer");
    if (named != issuer)
        return refuse(fmt::format("is of the issuer '{}'", named.substr(0, kIssuerUrlBytesMax)));
    const std::string keys = text_of(all, "jwks_uri");
    const Status address = check_url(keys, /*may_have_query=*/true);
    if (!address.ok())
        return refuse(
            fmt::format("has a 'jwks_uri' that is not taken: {}", address.error().message));
    // Otherwise an issuer far away could make this machine ask itself.
    if (issuer.starts_with("https://") && !keys.starts_with("https://"))
        return refuse("has a 'jwks_uri' that does not begin with https://");
    return keys;
}

Status check_issuer_url(std::string_view url) { return check_url(url, /*may_have_query=*/false); }

std::string discovery_url(std::string_view issuer) {
    while (issuer.ends_with('/')) issuer.remove_suffix(1);
    return std::string(issuer) + "/.well-known/openid-configuration";
}

}  // namespace howdah::http
