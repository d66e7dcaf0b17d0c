#include "http/jwt.h"

#include <fmt/core.h>
#include <jwt.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "http/openssl_handles.h"

namespace howdah::http {

namespace {

constexpr std::size_t kTokenBytesMax = 8 << 10;
constexpr unsigned kKeyBits = 2048;
constexpr std::size_t kKeyIdMax = 128;
/// 9999-12-31T23:59:59Z: beyond it no date can be written.
constexpr long kLatestSecond = 253402300799;

using Token = std::unique_ptr<jwt_t, OpensslFree<jwt_free>>;
using Text = std::unique_ptr<char, OpensslFree<std::free>>;

/// The claims that Claims has fields for; every other text claim is `extra`.
constexpr std::string_view kNamedClaims[] = {"iss", "aud", "sub", "oid", "appid",
                                             "tid", "iat", "nbf", "exp"};

Error refused(std::string_view why) {
    return {ErrorCode::unauthenticated, fmt::format("the access token is invalid: {}", why)};
}

const unsigned char* bytes(const std::string& text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

bool is_key_id(std::string_view id) {
    return !id.empty() && id.size() <= kKeyIdMax && std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '.' || c == '_';
    });
}

long seconds_of(Timestamp time) {
    return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

/// Three parts of base64url letters: what libjwt's own decoder is lax about.
Status check_form(std::string_view token) {
    if (token.empty() || token.size() > kTokenBytesMax) return refused("its length is wrong");
    const std::vector<std::string> parts = split(token, '.');
    if (parts.size() != 3) return refused("it does not have three parts");
    for (const std::string& part : parts) {
        if (part.empty() || !base64url_decode(part).ok()) return refused("a part is not base64url");
    }
    return ok_status();
}

/// Reads the header, which nobody has vouched for yet, only to choose the key.
Result<const SigningKey*> choose_key(const std::string& token,
                                     const std::vector<SigningKey>& keys) {
    jwt_t* raw = nullptr;
    if (jwt_decode(&raw, token.c_str(), nullptr, 0) != 0) return refused("it cannot be read");
    const Token unverified(raw);
    const char* algorithm = jwt_get_header(unverified.get(), "alg");
    if (algorithm == nullptr || std::string_view(algorithm) != "RS256") {
        return refused("it is not signed with RS256");
    }
    const Text critical(jwt_get_headers_json(unverified.get(), "crit"));
    if (critical != nullptr) return refused("it has critical header fields");
    const char* id = jwt_get_header(unverified.get(), "kid");
    const auto key = std::find_if(keys.begin(), keys.end(), [&](const SigningKey& each) {
        return id != nullptr && each.id == id;
    });
    if (key == keys.end()) return refused("its key is not known");
    return &*key;
}

Result<std::string> text_claim(const nlohmann::json& all, const char* name) {
    const auto found = all.find(name);
    if (found == all.end() || !found->is_string()) {
        return refused(fmt::format("it has no usable claim '{}'", name));
    }
    return found->get<std::string>();
}

Result<Timestamp> time_claim(const nlohmann::json& all, const char* name) {
    const auto found = all.find(name);
    // Whole numbers only: libjwt would read every other type as 0.
    if (found == all.end() || !found->is_number_integer() || *found < 0 || *found > kLatestSecond) {
        return refused(fmt::format("it has no usable claim '{}'", name));
    }
    return Timestamp(std::chrono::seconds(found->get<long>()));
}

Result<Claims> read_claims(jwt_t* token) {
    const Text json(jwt_get_grants_json(token, nullptr));
    if (json == nullptr) return refused("its claims cannot be read");
    const auto all = nlohmann::json::parse(json.get(), nullptr, false);
    if (!all.is_object()) return refused("its claims cannot be read");
    Claims claims;
    HD_TRY(claims.issuer, text_claim(all, "iss"));
    HD_TRY(claims.audience, text_claim(all, "aud"));
    HD_TRY(claims.subject, text_claim(all, "sub"));
    HD_TRY(claims.app_id, text_claim(all, "appid"));
    HD_TRY(claims.tenant, text_claim(all, "tid"));
    HD_TRY(claims.issued_at, time_claim(all, "iat"));
    HD_TRY(claims.not_before, time_claim(all, "nbf"));
    HD_TRY(claims.expires_at, time_claim(all, "exp"));
    for (const auto& [name, value] : all.items()) {
        const bool named = std::find(std::begin(kNamedClaims), std::end(kNamedClaims), name) !=
                           std::end(kNamedClaims);
        if (!named && value.is_string()) claims.extra.emplace(name, value.get<std::string>());
    }
    return claims;
}

std::string_view without_slashes(std::string_view audience) {
    while (audience.ends_with('/')) audience.remove_suffix(1);
    return audience;
}

Status check_claims(const Claims& claims, const VerifyOptions& options, Timestamp now) {
    if (claims.expires_at + options.leeway <= now) {
        return Error{
            ErrorCode::token_expired,
            fmt::format("the access token expired at {}", format_iso8601(claims.expires_at)),
            {},
            "Log in again."};
    }
    if (claims.not_before - options.leeway > now) return refused("it is not valid yet");
    if (!options.issuer.empty() && claims.issuer != options.issuer) {
        return refused("its issuer is not trusted");
    }
    const bool known = std::any_of(
        options.audiences.begin(), options.audiences.end(), [&](const std::string& each) {
            return without_slashes(each) == without_slashes(claims.audience);
        });
    if (!known) return refused("it was issued for another audience");
    return ok_status();
}

Status add_grants(jwt_t* token, const Claims& claims) {
    int problems = 0;
    const auto add = [&](const char* name, const std::string& value) {
        problems |= jwt_add_grant(token, name, value.c_str());
    };
    add("iss", claims.issuer);
    add("aud", claims.audience);
    add("sub", claims.subject);
    add("oid", claims.subject);
    add("appid", claims.app_id);
    add("tid", claims.tenant);
    problems |= jwt_add_grant_int(token, "iat", seconds_of(claims.issued_at));
    problems |= jwt_add_grant_int(token, "nbf", seconds_of(claims.not_before));
    problems |= jwt_add_grant_int(token, "exp", seconds_of(claims.expires_at));
    for (const auto& [name, value] : claims.extra) add(name.c_str(), value);
    if (problems != 0) return Error{ErrorCode::invalid_argument, "a claim cannot be written"};
    return ok_status();
}

Result<std::string> public_number(const SigningKey& key, const char* parameter) {
    const Bio bio = read_bio(key.public_key_pem);
    const Key parsed(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
    BIGNUM* raw = nullptr;
    if (parsed == nullptr || EVP_PKEY_get_bn_param(parsed.get(), parameter, &raw) != 1) {
        return openssl_error(ErrorCode::corrupt, fmt::format("cannot read the key '{}'", key.id));
    }
    const BigNumber number(raw);
    std::string big_endian(static_cast<std::size_t>(BN_num_bytes(number.get())), '\0');
    BN_bn2bin(number.get(), reinterpret_cast<unsigned char*>(big_endian.data()));
    return base64url_encode(big_endian);
}

}  // namespace

Result<SigningKey> SigningKey::generate(std::string id) {
    if (!is_key_id(id)) {
        return Error{ErrorCode::invalid_argument, fmt::format("'{}' cannot be a key id", id)};
    }
    const Key key(EVP_RSA_gen(kKeyBits));
    const Bio bio(BIO_new(BIO_s_mem()));
    if (key == nullptr || bio == nullptr || PEM_write_bio_PUBKEY(bio.get(), key.get()) != 1) {
        return openssl_error(ErrorCode::internal, "cannot generate a signing key");
    }
    SigningKey result;
    result.id = std::move(id);
    result.public_key_pem = bio_text(bio.get());
    HD_TRY(result.private_key_pem, key_to_pem(key.get()));
    return result;
}

Result<std::string> sign_jwt(const Claims& claims, const SigningKey& key) {
    jwt_t* raw = nullptr;
    HD_ASSERT(jwt_new(&raw) == 0, "out of memory");
    const Token token(raw);
    HD_CHECK(add_grants(token.get(), claims));
    const std::string& pem = key.private_key_pem.reveal();
    if (jwt_set_alg(token.get(), JWT_ALG_RS256, bytes(pem), static_cast<int>(pem.size())) != 0 ||
        jwt_add_header(token.get(), "kid", key.id.c_str()) != 0) {
        return Error{ErrorCode::internal, fmt::format("cannot sign with the key '{}'", key.id)};
    }
    const Text text(jwt_encode_str(token.get()));
    if (text == nullptr) {
        return Error{ErrorCode::internal, fmt::format("cannot sign with the key '{}'", key.id)};
    }
    std::string signed_token(text.get());
    if (signed_token.size() > kTokenBytesMax) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("a token of {} bytes; the limit is {}", signed_token.size(),
                                 kTokenBytesMax)};
    }
    return signed_token;
}

Result<Claims> verify_jwt(std::string_view token, const std::vector<SigningKey>& keys,
                          const VerifyOptions& options, Timestamp now) {
    HD_CHECK(check_form(token));
    const std::string text(token);
    HD_TRY(const SigningKey* const key, choose_key(text, keys));
    jwt_t* raw = nullptr;
    const std::string& pem = key->public_key_pem;
    if (jwt_decode(&raw, text.c_str(), bytes(pem), static_cast<int>(pem.size())) != 0) {
        return refused("its signature is wrong");
    }
    const Token verified(raw);
    if (jwt_get_alg(verified.get()) != JWT_ALG_RS256) return refused("it is not signed with RS256");
    HD_TRY(Claims claims, read_claims(verified.get()));
    HD_CHECK(check_claims(claims, options, now));
    return claims;
}

Result<std::string> jwk_set(const std::vector<SigningKey>& keys) {
    nlohmann::ordered_json set = nlohmann::ordered_json::array();
    for (const SigningKey& key : keys) {
        HD_TRY(const std::string modulus, public_number(key, OSSL_PKEY_PARAM_RSA_N));
        HD_TRY(const std::string exponent, public_number(key, OSSL_PKEY_PARAM_RSA_E));
        set.push_back({{"kty", "RSA"},
                       {"use", "sig"},
                       {"alg", "RS256"},
                       {"kid", key.id},
                       {"n", modulus},
                       {"e", exponent}});
    }
    return nlohmann::ordered_json{{"keys", std::move(set)}}.dump(
        -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace howdah::http
