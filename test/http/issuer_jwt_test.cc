#include "http/issuer_jwt.h"

#include <gtest/gtest.h>

#include "http/signing_issuer.h"

namespace howdah::http {
namespace {

using Json = nlohmann::json;
using std::chrono::hours;
using std::chrono::seconds;

const IssuerKey& rsa() {
    static const IssuerKey key = IssuerKey::rsa("rsa-1");
    return key;
}
const IssuerKey& other_rsa() {
    static const IssuerKey key = IssuerKey::rsa("rsa-2");
    return key;
}
const IssuerKey& ec() {
    static const IssuerKey key = IssuerKey::ec("ec-1");
    return key;
}

class IssuerJwt : public testing::Test {
  protected:
    Json claims() const {
        return {{"iss", "https://a.example"},
                {"aud", "api://howdah"},
                {"sub", "s-1"},
                {"exp", at(hours(1))},
                {"iat", at(seconds(0))}};
    }
    Json with(const char* name, const Json& value) const {
        Json all = claims();
        all[name] = value;
        return all;
    }
    Json without(const char* name) const {
        Json all = claims();
        all.erase(name);
        return all;
    }
    long at(std::chrono::seconds from_now) const {
        return std::chrono::floor<seconds>(clock.wall() + from_now).time_since_epoch().count();
    }
    Result<IssuerClaims> verify(std::string_view token) const {
        return verify_issuer_jwt(token, keys, options, clock.wall());
    }
    /// "" if it is good.
    std::string refusal(std::string_view token) const {
        const auto result = verify(token);
        if (result.ok()) return "";
        EXPECT_EQ(result.error().code, ErrorCode::unauthenticated) << result.error().message;
        return result.error().message;
    }
    std::string refusal_of(const Json& payload) const { return refusal(rsa().sign(payload)); }

    FakeClock clock;
    std::vector<VerificationKey> keys = {rsa().public_key(), other_rsa().public_key(),
                                         ec().public_key()};
    IssuerVerifyOptions options{.issuer = "https://a.example",
                                .audiences = {"api://other", "api://howdah"}};
};

TEST_F(IssuerJwt, a_token_with_little_in_it_is_enough) {
    const auto read = verify(rsa().sign(claims()));
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->issuer, "https://a.example");
    EXPECT_EQ(read->audience, "api://howdah");
    EXPECT_EQ(read->subject, "s-1");
    EXPECT_EQ(read->name, "");
    EXPECT_EQ(read->expires_at - read->not_before, hours(1));
    EXPECT_EQ(refusal_of(without("iat")), "");
}

TEST_F(IssuerJwt, every_algorithm_is_taken_with_its_own_type_of_key_only) {
    EXPECT_EQ(refusal(rsa().sign(claims(), "RS256")), "");
    EXPECT_EQ(refusal(rsa().sign(claims(), "PS256")), "");
    EXPECT_EQ(refusal(ec().sign(claims(), "ES256")), "");
    EXPECT_NE(refusal(ec().sign(claims(), "RS256")), "");
    EXPECT_NE(refusal(rsa().sign(claims(), "ES256")), "");
    EXPECT_NE(refusal(ec().sign(claims(), "PS256")), "");
}

TEST_F(IssuerJwt, the_algorithm_of_the_key_binds) {
    Json jwk = rsa().jwk();
    jwk["alg"] = "PS256";
    keys = parse_issuer_keys(key_set({jwk})).value().keys;
    EXPECT_EQ(refusal(rsa().sign(claims(), "PS256")), "");
    EXPECT_NE(refusal(rsa().sign(claims(), "RS256")), "");
}

TEST_F(IssuerJwt, none_and_hmac_are_refused_whatever_they_are_signed_with) {
    for (const char* each : {"none", "None", "nOnE", "", "HS256", "HS384", "HS512", "RS384",
                             "RS512", "ES384", "PS512", "rs256", "RS256 ", "EdDSA"})
        EXPECT_NE(refusal(rsa().sign(claims(), each)), "") << each;
    // These are signed as ES256.
    for (const char* each : {"ES384", "ES512", "es256", "EdDSA", ""})
        EXPECT_NE(refusal(ec().sign(claims(), each)), "") << each;
    // Signed as RS256, called otherwise.
    const std::string good = rsa().sign(claims());
    for (const char* each : {"none", "HS256", "PS256"}) {
        const std::string header = Json{{"alg", each}, {"kid", "rsa-1"}}.dump();
        EXPECT_NE(refusal(base64url_encode(header) + good.substr(good.find('.'))), "") << each;
    }
}

TEST_F(IssuerJwt, the_key_is_the_one_that_is_named) {
    EXPECT_NE(refusal(rsa().sign(claims(), "RS256", {{"kid", "rsa-2"}})), "");
    EXPECT_NE(refusal(rsa().sign(claims(), "RS256", {{"kid", "rsa-9"}})), "");
    EXPECT_NE(refusal(rsa().sign(claims(), "RS256", {{"kid", 1}})), "");
    EXPECT_NE(refusal(rsa().sign(claims(), "RS256", {{"kid", nullptr}})), "");
    keys.clear();
    EXPECT_NE(refusal(rsa().sign(claims())), "");
}

TEST_F(IssuerJwt, a_key_inside_the_token_means_nothing) {
    const IssuerKey own = IssuerKey::rsa("rsa-1");
    EXPECT_NE(refusal(own.sign(claims(), "RS256", {{"jwk", own.jwk()}})), "");
    EXPECT_NE(refusal(own.sign(claims(), "RS256", {{"jku", "https://evil.example/k"}})), "");
}

TEST_F(IssuerJwt, what_would_change_the_meaning_of_the_header_is_refused) {
    EXPECT_NE(refusal(rsa().sign(claims(), "RS256", {{"crit", {"b64"}}, {"b64", false}})), "");
    EXPECT_NE(refusal(rsa().sign(claims(), "RS256", {{"crit", {"exp"}}})), "");
    EXPECT_NE(refusal(rsa().sign(claims(), "RS256", {{"crit", Json::array()}})), "");
    EXPECT_NE(refusal(rsa().sign(claims(), "RS256", {{"b64", false}})), "");
    EXPECT_NE(refusal(rsa().sign(claims(), "RS256", {{"zip", "DEF"}})), "");
    for (const char* good : {"JWT", "jwt", "at+jwt", "application/at+jwt"})
        EXPECT_EQ(refusal(rsa().sign(claims(), "RS256", {{"typ", good}})), "") << good;
    for (const char* bad : {"logout+jwt", "secevent+jwt", "dpop+jwt", "application/", ""})
        EXPECT_NE(refusal(rsa().sign(claims(), "RS256", {{"typ", bad}})), "") << bad;
    EXPECT_NE(refusal(rsa().sign(claims(), "RS256", {{"typ", 1}})), "");
}

TEST_F(IssuerJwt, the_issuer_is_compared_letter_by_letter) {
    for (const char* bad : {"https://a.example/", "https://A.example", "https://b.example", ""})
        EXPECT_NE(refusal_of(with("iss", bad)), "") << bad;
    EXPECT_NE(refusal_of(with("iss", {"https://a.example"})), "");
    EXPECT_NE(refusal_of(without("iss")), "");
    options.issuer = "";
    EXPECT_NE(refusal_of(with("iss", "")), "");
}

TEST_F(IssuerJwt, one_of_many_audiences_is_enough_and_none_is_not) {
    EXPECT_EQ(refusal_of(with("aud", {"x", "api://howdah"})), "");
    EXPECT_EQ(refusal_of(with("aud", {"api://other"})), "");
    for (const Json& bad :
         {Json("api://howdah/"), Json("API://howdah"), Json("api://howda"), Json(""), Json::array(),
          Json({"x", "y"}), Json({1, "api://howdah"}), Json(nullptr), Json({{"api://howdah", 1}}),
          Json({{"api://howdah"}}), Json(7)})
        EXPECT_NE(refusal_of(with("aud", bad)), "") << bad.dump();
    EXPECT_NE(refusal_of(without("aud")), "");
    options.audiences.clear();
    EXPECT_NE(refusal_of(claims()), "");
    EXPECT_NE(refusal_of(with("aud", "")), "");
}

TEST_F(IssuerJwt, times_are_kept_with_a_minute_of_leeway) {
    EXPECT_EQ(refusal_of(with("exp", at(seconds(-59)))), "");
    EXPECT_EQ(verify(rsa().sign(with("exp", at(seconds(-61))))).error().code,
              ErrorCode::token_expired);
    EXPECT_EQ(refusal_of(with("nbf", at(seconds(59)))), "");
    EXPECT_NE(refusal_of(with("nbf", at(seconds(62)))), "");
    EXPECT_NE(refusal_of(with("iat", at(seconds(62)))), "");
    EXPECT_EQ(refusal_of(with("exp", static_cast<double>(at(hours(1))) + 0.5)), "");
    EXPECT_NE(refusal_of(without("exp")), "");
    for (const char* name : {"exp", "nbf", "iat"})
        for (const Json& bad : {Json("1"), Json(-1), Json(1e300), Json(nullptr), Json(true),
                                Json::array({1}), Json(UINT64_MAX)})
            EXPECT_NE(refusal_of(with(name, bad)), "") << name << bad.dump();
}

TEST_F(IssuerJwt, the_subject_is_oid_if_there_is_one_and_it_never_falls_back) {
    EXPECT_EQ(verify(rsa().sign(with("oid", "o-1"))).value().subject, "o-1");
    for (const Json& bad : {Json(""), Json(7), Json(nullptr), Json(std::string(256, 's')),
                            Json("a\nb"), Json(std::string("a\0b", 3))})
        EXPECT_NE(refusal_of(with("oid", bad)), "") << bad.dump();
    EXPECT_NE(refusal_of(without("sub")), "");
    options.subject_claim = "sub";
    EXPECT_EQ(verify(rsa().sign(with("oid", "o-1"))).value().subject, "s-1");
    options.subject_claim = "employee";
    EXPECT_NE(refusal_of(claims()), "");
    EXPECT_EQ(verify(rsa().sign(with("employee", "e-1"))).value().subject, "e-1");
}

TEST_F(IssuerJwt, the_tenant_is_checked_where_one_is_configured) {
    EXPECT_EQ(refusal_of(with("tid", "t-1")), "");
    options.tenant = "t-2";
    EXPECT_EQ(refusal_of(with("tid", "t-2")), "");
    EXPECT_NE(refusal_of(with("tid", "t-1")), "");
    EXPECT_NE(refusal_of(with("tid", {"t-2"})), "");
    EXPECT_NE(refusal_of(claims()), "");
}

TEST_F(IssuerJwt, a_token_that_is_bound_to_a_key_is_refused) {
    EXPECT_NE(refusal_of(with("cnf", {{"jkt", "x"}})), "");
    EXPECT_NE(refusal_of(with("cnf", nullptr)), "");
}

TEST_F(IssuerJwt, a_readable_name_is_found_where_there_is_one) {
    Json all = with("azp", "client");
    EXPECT_EQ(verify(rsa().sign(all)).value().name, "client");
    all["name"] = "Alice";
    EXPECT_EQ(verify(rsa().sign(all)).value().name, "Alice");
    all["preferred_username"] = "";
    EXPECT_EQ(verify(rsa().sign(all)).value().name, "Alice");
    all["preferred_username"] = "alice@example.org";
    EXPECT_EQ(verify(rsa().sign(all)).value().name, "alice@example.org");
}

TEST_F(IssuerJwt, a_change_of_any_part_is_noticed) {
    for (const std::string& token :
         {rsa().sign(claims()), rsa().sign(claims(), "PS256"), ec().sign(claims(), "ES256")}) {
        const std::string good = token.substr(token.rfind('.') + 1);
        for (std::size_t i = 0; i < token.size(); ++i) {
            std::string changed = token;
            changed[i] = changed[i] == 'A' ? 'B' : 'A';
            const std::string signature = changed.substr(changed.rfind('.') + 1);
            // The unused bits of the last letter carry nothing.
            const auto decoded = base64url_decode(signature);
            if (i + 1 == token.size() && decoded.ok() && *decoded == base64url_decode(good).value())
                continue;
            EXPECT_FALSE(verify(changed).ok()) << "position " << i;
            EXPECT_FALSE(verify(token.substr(0, i)).ok()) << "cut at " << i;
        }
    }
}

TEST_F(IssuerJwt, signatures_of_odd_forms_are_refused) {
    const std::string token = ec().sign(claims(), "ES256");
    const std::string input = token.substr(0, token.rfind('.') + 1);
    for (const std::string& signature :
         {std::string(64, '\0'), std::string(64, '\xff'), std::string(63, 'a'),
          std::string(65, 'a'), std::string(1, '\0'), std::string(5000, 'a')})
        EXPECT_NE(refusal(input + base64url_encode(signature)), "");
    IssuerKey salted = IssuerKey::rsa("salted");
    keys = {salted.public_key()};
    EXPECT_EQ(refusal(salted.sign(claims(), "PS256")), "");
    salted.salt_bytes = 0;
    EXPECT_NE(refusal(salted.sign(claims(), "PS256")), "");
    keys = {rsa().public_key()};
    const std::string of_rsa = rsa().sign(claims());
    EXPECT_NE(
        refusal(of_rsa.substr(0, of_rsa.rfind('.') + 1) + base64url_encode(std::string(256, '\0'))),
        "");
}

TEST_F(IssuerJwt, garbage_is_refused_and_names_no_issuer) {
    for (const char* text : {"", ".", "..", "a.b.c", "e30.e30.e30", "W10.W10.W10", "!.!.!",
                             "e30.e30.", "bnVsbA.bnVsbA.bnVsbA"}) {
        EXPECT_NE(refusal(text), "") << text;
        EXPECT_FALSE(look_at_jwt(text)) << text;
    }
    EXPECT_NE(refusal(std::string(1 << 20, 'A')), "");
    EXPECT_NE(refusal_of(with("x", std::string(9000, 'x'))), "");
    EXPECT_EQ(look_at_jwt(rsa().sign(claims()))->issuer, "https://a.example");
    EXPECT_EQ(look_at_jwt(rsa().sign(claims()))->key_id, "rsa-1");
}

}  // namespace
}  // namespace howdah::http
