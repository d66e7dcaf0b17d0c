#include "http/issuer_jwt.h"

#include <fmt/core.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "http/openssl_handles.h"

namespace howdah::http {
namespace {

using Json = nlohmann::json;
using Digest = std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>>;
using EcSignature = std::unique_ptr<ECDSA_SIG, OpensslFree<ECDSA_SIG_free>>;

constexpr std::size_t kTokenBytesMax = 8 << 10;
constexpr std::size_t kSubjectBytesMax = 255;
constexpr std::size_t kCoordinateBytes = 32;
constexpr double kLatestSecond = 253402300799;  ///< 9999-12-31T23:59:59Z
/// In the order in which they are looked for.
constexpr const char* kNameClaims[] = {
    "preferred_username", "upn", "name", "app_displayname", "azp", "appid", "client_id"};

Error refused(std::string_view why) {
    return {ErrorCode::unauthenticated, fmt::format("the access token is invalid: {}", why)};
}

struct Parts {
    Json header;
    Json payload;
    std::string_view signed_text;
    std::string signature;
};

Result<Parts> take_apart(std::string_view token) {
    if (token.empty() || token.size() > kTokenBytesMax) return refused("its length is wrong");
    const std::vector<std::string> encoded = split(token, '.');
    if (encoded.size() != 3) return refused("it does not have three parts");
    std::vector<std::string> decoded;
    for (const std::string& each : encoded) {
        auto bytes = base64url_decode(each);
        if (each.empty() || !bytes.ok()) return refused("a part is not base64url");
        decoded.push_back(std::move(*bytes));
    }
    Parts parts{Json::parse(decoded[0], nullptr, false), Json::parse(decoded[1], nullptr, false),
                token.substr(0, token.rfind('.')), std::move(decoded[2])};
    if (!parts.header.is_object() || !parts.payload.is_object())
        return refused("a part is not a JSON object");
    return parts;
}

Result<std::string> text_claim(const Json& all, const char* name) {
    const auto found = all.find(name);
    if (found == all.end() || !found->is_string())
        return refused(fmt::format("it has no usable '{}'", name));
    return found->get<std::string>();
}

/// Of all issuers none needs these, and each would change what the signature means.
Status check_header(const Json& header) {
    if (header.contains("crit")) return refused("it has critical header fields");
    if (header.contains("b64") || header.contains("zip"))
        return refused("its payload is not in the usual form");
    if (!header.contains("typ")) return ok_status();
    HD_TRY(const std::string given, text_claim(header, "typ"));
    std::string type = to_lower(given);
    if (type.starts_with("application/")) type.erase(0, 12);
    if (type == "jwt" || type == "at+jwt") return ok_status();
    return refused("it is not an access token by its type");
}

Result<const VerificationKey*> choose_key(const Json& header,
                                          const std::vector<VerificationKey>& keys) {
    HD_TRY(const std::string id, text_claim(header, "kid"));
    const auto key = std::find_if(keys.begin(), keys.end(),
                                  [&](const VerificationKey& each) { return each.id == id; });
    if (key == keys.end()) return refused("its key is not known");
    return &*key;
}

/// The two numbers of a JWS (RFC 7518, 3.4) as OpenSSL wants them.
Result<std::string> der_of(const std::string& signature) {
    if (signature.size() != 2 * kCoordinateBytes) return refused("its signature is wrong");
    const auto* bytes = reinterpret_cast<const unsigned char*>(signature.data());
    const EcSignature pair(ECDSA_SIG_new());
    BigNumber r(BN_bin2bn(bytes, kCoordinateBytes, nullptr));
    BigNumber s(BN_bin2bn(bytes + kCoordinateBytes, kCoordinateBytes, nullptr));
    HD_ASSERT(pair != nullptr && r != nullptr && s != nullptr, "out of memory");
    HD_ASSERT(ECDSA_SIG_set0(pair.get(), r.release(), s.release()) == 1, "numbers were given");
    unsigned char* raw = nullptr;
    const int size = i2d_ECDSA_SIG(pair.get(), &raw);
    HD_ASSERT(size > 0, "out of memory");
    std::string der(reinterpret_cast<const char*>(raw), static_cast<std::size_t>(size));
    OPENSSL_free(raw);
    return der;
}

Status check_signature(const Parts& parts, const VerificationKey& key) {
    HD_TRY(const std::string algorithm, text_claim(parts.header, "alg"));
    const bool is_for_rsa = algorithm == "RS256" || algorithm == "PS256";
    if (!is_for_rsa && algorithm != "ES256") return refused("its algorithm is not taken");
    const Bio bio = read_bio(key.public_key_pem);
    const Key parsed(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
    if (parsed == nullptr)
        return openssl_error(ErrorCode::corrupt, fmt::format("cannot read the key '{}'", key.id));
    const int type = EVP_PKEY_get_base_id(parsed.get());
    if (type != (is_for_rsa ? EVP_PKEY_RSA : EVP_PKEY_EC) ||
        (!key.algorithm.empty() && key.algorithm != algorithm))
        return refused("its algorithm is not that of its key");
    std::string signature = parts.signature;
    if (!is_for_rsa) {
        HD_TRY(signature, der_of(parts.signature));
    }
    const Digest digest(EVP_MD_CTX_new());
    EVP_PKEY_CTX* context = nullptr;  // belongs to the digest
    bool ready = digest != nullptr && EVP_DigestVerifyInit(digest.get(), &context, EVP_sha256(),
                                                           nullptr, parsed.get()) == 1;
    if (algorithm == "PS256")
        ready = ready && EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
                EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
    if (!ready) return openssl_error(ErrorCode::internal, "cannot check a signature");
    const auto bytes = [](std::string_view text) {
        return reinterpret_cast<const unsigned char*>(text.data());
    };
    const int good = EVP_DigestVerify(digest.get(), bytes(signature), signature.size(),
                                      bytes(parts.signed_text), parts.signed_text.size());
    if (good == 1) return ok_status();
    // Empties OpenSSL's queue, so that what stands in it is not taken for another's failure.
    (void)openssl_error(ErrorCode::internal, "");
    return refused("its signature is wrong");
}

/// RFC 7519, 2: a number of seconds, which may have a fraction.
Result<Timestamp> time_claim(const Json& all, const char* name) {
    const auto found = all.find(name);
    if (found == all.end() || !found->is_number())
        return refused(fmt::format("it has no usable claim '{}'", name));
    const auto seconds = found->get<double>();
    if (!(seconds >= 0 && seconds <= kLatestSecond))
        return refused(fmt::format("it has no usable claim '{}'", name));
    return Timestamp(std::chrono::seconds(static_cast<long long>(std::floor(seconds))));
}

Result<std::string> audience_of(const Json& all, const std::vector<std::string>& accepted) {
    const auto found = all.find("aud");
    if (found == all.end()) return refused("it has no usable claim 'aud'");
    const Json one = found->is_array() ? *found : Json::array({*found});
    for (const Json& each : one) {
        if (!each.is_string()) return refused("it has no usable claim 'aud'");
        const auto text = each.get<std::string>();
        if (std::find(accepted.begin(), accepted.end(), text) != accepted.end()) return text;
    }
    return refused("it was issued for another audience");
}

Result<std::string> subject_of(const Json& all, const std::string& wanted) {
    const std::string claim = !wanted.empty() ? wanted : all.contains("oid") ? "oid" : "sub";
    HD_TRY(std::string subject, text_claim(all, claim.c_str()));
    const bool good = !subject.empty() && subject.size() <= kSubjectBytesMax &&
                      std::none_of(subject.begin(), subject.end(), [](char c) {
                          return static_cast<unsigned char>(c) < ' ' || c == 127;
                      });
    if (!good) return refused(fmt::format("it has no usable claim '{}'", claim));
    return subject;
}

std::string name_of(const Json& all) {
    for (const char* each : kNameClaims) {
        const auto found = all.find(each);
        if (found != all.end() && found->is_string() && !found->get<std::string>().empty())
            return found->get<std::string>();
    }
    return "";
}

Status check_times(const Json& all, IssuerClaims& claims, std::chrono::seconds leeway,
                   Timestamp now) {
    HD_TRY(claims.expires_at, time_claim(all, "exp"));
    if (claims.expires_at + leeway <= now)
        return Error{
            ErrorCode::token_expired,
            fmt::format("the access token expired at {}", format_iso8601(claims.expires_at)),
            {},
            "ask the issuer for a new one"};
    for (const char* each : {"nbf", "iat"}) {
        if (!all.contains(each)) continue;
        HD_TRY(const Timestamp from, time_claim(all, each));
        if (from - leeway > now) return refused("it is not valid yet");
        claims.not_before = std::max(claims.not_before, from);
    }
    return ok_status();
}

Result<IssuerClaims> read_claims(const Json& all, const IssuerVerifyOptions& options,
                                 Timestamp now) {
    IssuerClaims claims;
    HD_TRY(claims.issuer, text_claim(all, "iss"));
    if (claims.issuer != options.issuer || options.issuer.empty())
        return refused("its issuer is not the one that its key belongs to");
    HD_CHECK(check_times(all, claims, options.leeway, now));
    HD_TRY(claims.audience, audience_of(all, options.audiences));
    // Who sends it would have to prove that he has a key, and there is no way to do that here.
    if (all.contains("cnf")) return refused("it is bound to a key of its sender");
    if (!options.tenant.empty()) {
        HD_TRY(const std::string tenant, text_claim(all, "tid"));
        if (tenant != options.tenant) return refused("it is of another tenant");
    }
    HD_TRY(claims.subject, subject_of(all, options.subject_claim));
    claims.name = name_of(all);
    return claims;
}

}  // namespace

std::optional<UnverifiedToken> look_at_jwt(std::string_view token) {
    const auto parts = take_apart(token);
    if (!parts.ok()) return std::nullopt;
    const auto issuer = text_claim(parts->payload, "iss");
    const auto key = text_claim(parts->header, "kid");
    if (!issuer.ok() || !key.ok()) return std::nullopt;
    return UnverifiedToken{*issuer, *key};
}

Result<IssuerClaims> verify_issuer_jwt(std::string_view token,
                                       const std::vector<VerificationKey>& keys,
                                       const IssuerVerifyOptions& options, Timestamp now) {
    HD_TRY(const Parts parts, take_apart(token));
    HD_CHECK(check_header(parts.header));
    HD_TRY(const VerificationKey* const key, choose_key(parts.header, keys));
    HD_CHECK(check_signature(parts, *key));
    return read_claims(parts.payload, options, now);
}

}  // namespace howdah::http
