#include "http/jwt.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "http/openssl_handles.h"

namespace howdah::http {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

const SigningKey& key() {
    static const SigningKey made = SigningKey::generate("key-1").value();
    return made;
}

const SigningKey& other_key() {
    static const SigningKey made = SigningKey::generate("key-2").value();
    return made;
}

class Jwt : public testing::Test {
  protected:
    Claims claims() const {
        const Timestamp now = clock.wall();
        return {.issuer = "https://issuer",
                .audience = "https://api/",
                .subject = "the-subject",
                .app_id = "the-app",
                .tenant = "the-tenant",
                .issued_at = now,
                .not_before = now,
                .expires_at = now + hours(1),
                .extra = {{"role", "owner"}}};
    }
    std::string good_token() const { return sign_jwt(claims(), key()).value(); }
    Result<Claims> verify(std::string_view token) const {
        return verify_jwt(
            token, {key(), other_key()},
            {.audiences = {"https://other", "https://api"}, .issuer = "https://issuer"},
            clock.wall());
    }
    ErrorCode refusal(std::string_view token) const {
        const auto result = verify(token);
        return result.ok() ? ErrorCode::internal : result.error().code;
    }
    /// A token with any header and payload, signed by `sign` over "header.payload".
    static std::string forge(const std::string& header, const std::string& payload,
                             const std::function<std::string(const std::string&)>& sign) {
        const std::string input = base64url_encode(header) + "." + base64url_encode(payload);
        return input + "." + base64url_encode(sign(input));
    }
    std::string payload() const { return base64url_decode(split(good_token(), '.')[1]).value(); }
    static std::string rs256(const std::string& input) {
        const Key parsed = key_from_pem(key().private_key_pem).value();
        const std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
        std::size_t size = 0;
        const auto* bytes = reinterpret_cast<const unsigned char*>(input.data());
        EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, parsed.get());
        EVP_DigestSign(context.get(), nullptr, &size, bytes, input.size());
        std::string signature(size, '\0');
        EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                       bytes, input.size());
        return signature;
    }

    FakeClock clock;
};

TEST_F(Jwt, a_signed_token_gives_its_claims_back) {
    const auto read = verify(good_token());
    ASSERT_TRUE(read.ok()) << read.error().describe();
    EXPECT_EQ(read->issuer, "https://issuer");
    EXPECT_EQ(read->audience, "https://api/");
    EXPECT_EQ(read->subject, "the-subject");
    EXPECT_EQ(read->app_id, "the-app");
    EXPECT_EQ(read->tenant, "the-tenant");
    EXPECT_EQ(read->issued_at, std::chrono::floor<seconds>(clock.wall()));
    EXPECT_EQ(read->expires_at - read->not_before, hours(1));
    EXPECT_EQ(read->extra.at("role"), "owner");
    EXPECT_EQ(read->extra.size(), 1U);
}

TEST_F(Jwt, the_header_names_algorithm_and_key) {
    const auto header = nlohmann::json::parse(base64url_decode(split(good_token(), '.')[0]).value(),
                                              nullptr, false);
    EXPECT_EQ(header.value("alg", ""), "RS256");
    EXPECT_EQ(header.value("kid", ""), "key-1");
    EXPECT_EQ(header.value("typ", ""), "JWT");
}

TEST_F(Jwt, an_expired_token_says_so_only_after_the_leeway) {
    const std::string token = good_token();
    clock.advance(hours(1) + seconds(59));
    EXPECT_TRUE(verify(token).ok());
    clock.advance(seconds(2));
    EXPECT_EQ(refusal(token), ErrorCode::token_expired);
}

TEST_F(Jwt, a_token_of_the_future_is_refused) {
    Claims later = claims();
    later.not_before += seconds(62);
    const std::string token = sign_jwt(later, key()).value();
    EXPECT_EQ(refusal(token), ErrorCode::unauthenticated);
    clock.advance(seconds(2));
    EXPECT_TRUE(verify(token).ok());
}

TEST_F(Jwt, the_forged_token_of_these_tests_is_good_when_signed_right) {
    EXPECT_TRUE(
        verify(forge(R"({"alg":"RS256","typ":"JWT","kid":"key-1"})", payload(), rs256)).ok());
}

TEST_F(Jwt, algorithm_none_is_refused) {
    const auto nothing = [](const std::string&) { return std::string(); };
    for (const char* alg : {"none", "None", "NONE", "nOnE", ""}) {
        const std::string header = std::string(R"({"alg":")") + alg + R"(","kid":"key-1"})";
        EXPECT_EQ(refusal(forge(header, payload(), nothing)), ErrorCode::unauthenticated) << alg;
        EXPECT_EQ(refusal(forge(header, payload(), rs256)), ErrorCode::unauthenticated) << alg;
    }
    EXPECT_EQ(refusal(forge(R"({"kid":"key-1"})", payload(), rs256)), ErrorCode::unauthenticated);
}

TEST_F(Jwt, the_public_key_as_an_hmac_secret_is_refused) {
    const auto hmac = [](const std::string& input) {
        const std::string& secret = key().public_key_pem;
        unsigned char mac[EVP_MAX_MD_SIZE];
        unsigned size = 0;
        HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
             reinterpret_cast<const unsigned char*>(input.data()), input.size(), mac, &size);
        return std::string(reinterpret_cast<const char*>(mac), size);
    };
    EXPECT_EQ(refusal(forge(R"({"alg":"HS256","kid":"key-1"})", payload(), hmac)),
              ErrorCode::unauthenticated);
    EXPECT_EQ(refusal(forge(R"({"alg":"RS256","kid":"key-1"})", payload(), hmac)),
              ErrorCode::unauthenticated);
}

TEST_F(Jwt, every_other_algorithm_is_refused) {
    for (const char* alg : {"RS384", "RS512", "ES256", "PS256", "HS512", "rs256", "RS256 "}) {
        const std::string header = std::string(R"({"alg":")") + alg + R"(","kid":"key-1"})";
        EXPECT_EQ(refusal(forge(header, payload(), rs256)), ErrorCode::unauthenticated) << alg;
    }
}

TEST_F(Jwt, a_token_of_an_unknown_key_is_refused) {
    EXPECT_EQ(refusal(forge(R"({"alg":"RS256","kid":"key-9"})", payload(), rs256)),
              ErrorCode::unauthenticated);
    EXPECT_EQ(refusal(forge(R"({"alg":"RS256"})", payload(), rs256)), ErrorCode::unauthenticated);
    EXPECT_EQ(refusal(forge(R"({"alg":"RS256","kid":7})", payload(), rs256)),
              ErrorCode::unauthenticated);
}

TEST_F(Jwt, a_token_signed_by_another_key_than_it_names_is_refused) {
    EXPECT_EQ(refusal(forge(R"({"alg":"RS256","kid":"key-2"})", payload(), rs256)),
              ErrorCode::unauthenticated);
}

TEST_F(Jwt, critical_header_fields_are_refused) {
    EXPECT_EQ(refusal(forge(R"({"alg":"RS256","kid":"key-1","crit":["b64"],"b64":false})",
                            payload(), rs256)),
              ErrorCode::unauthenticated);
}

TEST_F(Jwt, another_audience_or_issuer_is_refused) {
    Claims wrong = claims();
    wrong.audience = "https://api.evil";
    EXPECT_EQ(refusal(sign_jwt(wrong, key()).value()), ErrorCode::unauthenticated);
    wrong = claims();
    wrong.issuer = "https://issuer/";
    EXPECT_EQ(refusal(sign_jwt(wrong, key()).value()), ErrorCode::unauthenticated);
}

TEST_F(Jwt, a_change_of_any_part_is_noticed) {
    const std::string token = good_token();
    for (std::size_t i = 0; i < token.size(); ++i) {
        std::string changed = token;
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        // The unused bits of a part's last letter carry nothing; every other letter counts.
        if (base64url_decode(changed.substr(changed.rfind('.') + 1)).ok() &&
            base64url_decode(changed.substr(changed.rfind('.') + 1)).value() ==
                base64url_decode(token.substr(token.rfind('.') + 1)).value() &&
            i > token.rfind('.')) {
            continue;
        }
        EXPECT_EQ(refusal(changed), ErrorCode::unauthenticated) << "position " << i;
    }
}

TEST_F(Jwt, a_token_cut_anywhere_is_refused) {
    const std::string token = good_token();
    for (std::size_t i = 0; i < token.size(); ++i) {
        EXPECT_EQ(refusal(std::string_view(token).substr(0, i)), ErrorCode::unauthenticated);
    }
}

TEST_F(Jwt, missing_or_wrongly_typed_claims_are_refused) {
    auto all = nlohmann::json::parse(payload(), nullptr, false);
    for (const char* name : {"iss", "aud", "sub", "appid", "tid", "iat", "nbf", "exp"}) {
        auto less = all;
        less.erase(name);
        EXPECT_EQ(refusal(forge(R"({"alg":"RS256","kid":"key-1"})", less.dump(), rs256)),
                  ErrorCode::unauthenticated)
            << name;
        less[name] = nlohmann::json::array({"https://api"});
        EXPECT_EQ(refusal(forge(R"({"alg":"RS256","kid":"key-1"})", less.dump(), rs256)),
                  ErrorCode::unauthenticated)
            << name;
    }
    for (const char* value : {"-1", "9223372036854775807", "1e300", "99999999999999999999999"}) {
        std::string text = all.dump();
        const std::string exp = "\"exp\":" + all["exp"].dump();
        text.replace(text.find(exp), exp.size(), std::string("\"exp\":") + value);
        EXPECT_EQ(refusal(forge(R"({"alg":"RS256","kid":"key-1"})", text, rs256)),
                  ErrorCode::unauthenticated)
            << value;
    }
}

TEST_F(Jwt, a_megabyte_of_token_is_refused) {
    EXPECT_EQ(refusal(std::string(1 << 20, 'A')), ErrorCode::unauthenticated);
    const std::string part(350'000, 'A');
    EXPECT_EQ(refusal(part + "." + part + "." + part), ErrorCode::unauthenticated);
    Claims large = claims();
    large.extra["more"] = std::string(9000, 'x');
    EXPECT_EQ(sign_jwt(large, key()).error().code, ErrorCode::invalid_argument);
}

TEST_F(Jwt, garbage_is_refused) {
    for (const char* text : {"", ".", "..", "...", "a.b.c", "e30.e30.e30", "!.!.!", "e30.e30.",
                             "W10.W10.W10", "bnVsbA.bnVsbA.bnVsbA"}) {
        EXPECT_EQ(refusal(text), ErrorCode::unauthenticated) << text;
    }
    EXPECT_EQ(refusal(std::string_view("e30.e30\0.e30", 12)), ErrorCode::unauthenticated);
}

TEST_F(Jwt, the_key_set_holds_the_public_numbers_of_every_key) {
    const auto set = nlohmann::json::parse(jwk_set({key(), other_key()}).value(), nullptr, false);
    ASSERT_EQ(set["keys"].size(), 2U);
    const auto& first = set["keys"][0];
    EXPECT_EQ(first["kty"], "RSA");
    EXPECT_EQ(first["alg"], "RS256");
    EXPECT_EQ(first["use"], "sig");
    EXPECT_EQ(first["kid"], "key-1");
    EXPECT_EQ(first["e"], "AQAB");
    EXPECT_EQ(base64url_decode(first["n"].get<std::string>()).value().size(), 256U);
    EXPECT_NE(first["n"], set["keys"][1]["n"]);
    EXPECT_FALSE(first.contains("d"));
}

TEST_F(Jwt, a_key_id_that_would_need_escaping_is_refused) {
    EXPECT_FALSE(SigningKey::generate("a\"b").ok());
    EXPECT_FALSE(SigningKey::generate("").ok());
}

}  // namespace
}  // namespace howdah::http
