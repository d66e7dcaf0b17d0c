#include "http/issuer_keys.h"

#include <gtest/gtest.h>

#include "http/signing_issuer.h"

namespace howdah::http {
namespace {

using Json = nlohmann::json;

const IssuerKey& rsa() {
    static const IssuerKey key = IssuerKey::rsa("rsa-1");
    return key;
}
const IssuerKey& ec() {
    static const IssuerKey key = IssuerKey::ec("ec-1");
    return key;
}

/// Why the one key of a set is ignored; "" if it is taken.
std::string why_ignored(const Json& jwk) {
    const auto set = parse_issuer_keys(key_set({jwk}));
    EXPECT_TRUE(set.ok()) << set.error().message;
    if (!set.ok()) return "error";
    EXPECT_EQ(set->keys.size() + set->ignored.size(), 1U);
    return set->ignored.empty() ? "" : set->ignored[0];
}

Json changed(Json jwk, const char* name, const Json& value) {
    jwk[name] = value;
    return jwk;
}

TEST(issuer_keys, rsa_and_p256_keys_are_taken) {
    const auto set = parse_issuer_keys(key_set({rsa().jwk(), ec().jwk()}));
    ASSERT_TRUE(set.ok()) << set.error().message;
    ASSERT_EQ(set->keys.size(), 2U) << set->ignored.at(0);
    EXPECT_EQ(set->keys[0].id, "rsa-1");
    EXPECT_EQ(set->keys[1].id, "ec-1");
    for (const VerificationKey& each : set->keys) EXPECT_TRUE(check_issuer_key(each).ok());
}

TEST(issuer_keys, an_algorithm_that_does_not_fit_its_key_makes_it_useless) {
    EXPECT_EQ(why_ignored(changed(rsa().jwk(), "alg", "PS256")), "");
    EXPECT_EQ(why_ignored(changed(ec().jwk(), "alg", "ES256")), "");
    for (const char* each : {"ES256", "HS256", "none", "RSA-OAEP", "RS512", "rs256"})
        EXPECT_NE(why_ignored(changed(rsa().jwk(), "alg", each)), "") << each;
    for (const char* each : {"RS256", "ES384", "HS256"})
        EXPECT_NE(why_ignored(changed(ec().jwk(), "alg", each)), "") << each;
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "alg", 256)), "");
}

TEST(issuer_keys, keys_for_anything_but_verifying_are_ignored) {
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "use", "enc")), "");
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "use", 7)), "");
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "key_ops", {"encrypt"})), "");
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "key_ops", "verify")), "");
    EXPECT_EQ(why_ignored(changed(rsa().jwk(), "key_ops", {"verify"})), "");
    Json silent = rsa().jwk();
    silent.erase("use");
    EXPECT_EQ(why_ignored(silent), "");
}

TEST(issuer_keys, a_private_or_symmetric_key_is_ignored) {
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "d", "AQAB")), "");
    EXPECT_NE(why_ignored({{"kid", "a"}, {"kty", "oct"}, {"k", "c2VjcmV0"}}), "");
    EXPECT_NE(why_ignored({{"kid", "a"}, {"kty", "OKP"}, {"crv", "Ed25519"}, {"x", "AAAA"}}), "");
}

TEST(issuer_keys, weak_and_costly_rsa_keys_are_ignored) {
    EXPECT_NE(why_ignored(IssuerKey::rsa("short", 1024).jwk()), "");
    // With the exponent 1 every message is its own signature.
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "e", "AQ")), "");
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "e", "Ag")), "");
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "e", "AA")), "");
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "e", base64url_encode(std::string(64, '\x7f')))),
              "");
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "n", base64url_encode(std::string(2048, '\x7f')))),
              "");
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "n", base64url_encode(std::string(256, '\xfe')))),
              "");
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "n", "")), "");
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "n", "not base64!")), "");
}

TEST(issuer_keys, points_that_are_not_on_the_curve_are_ignored) {
    EXPECT_NE(why_ignored(changed(ec().jwk(), "y", ec().jwk()["x"])), "");
    EXPECT_NE(why_ignored(changed(ec().jwk(), "crv", "P-384")), "");
    EXPECT_NE(why_ignored(changed(ec().jwk(), "x", "AAAA")), "");
    EXPECT_NE(why_ignored(changed(ec().jwk(), "x", base64url_encode(std::string(32, '\0')))), "");
}

TEST(issuer_keys, keys_without_an_id_are_ignored_and_ids_stand_once) {
    Json nameless = rsa().jwk();
    nameless.erase("kid");
    EXPECT_NE(why_ignored(nameless), "");
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "kid", "")), "");
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "kid", "a b")), "");
    EXPECT_NE(why_ignored(changed(rsa().jwk(), "kid", std::string(300, 'k'))), "");
    const auto twice =
        parse_issuer_keys(key_set({rsa().jwk(), changed(ec().jwk(), "kid", "rsa-1")}));
    ASSERT_TRUE(twice.ok());
    ASSERT_EQ(twice->keys.size(), 1U);
    EXPECT_EQ(twice->keys[0], rsa().public_key());
}

TEST(issuer_keys, a_set_is_bounded) {
    EXPECT_EQ(
        parse_issuer_keys(key_set(std::vector<Json>(kIssuerKeysMax + 1, rsa().jwk()))).error().code,
        ErrorCode::too_large);
    EXPECT_EQ(parse_issuer_keys(std::string(kIssuerDocumentBytesMax + 1, ' ')).error().code,
              ErrorCode::too_large);
    EXPECT_TRUE(parse_issuer_keys(key_set({})).ok());
}

TEST(issuer_keys, what_is_no_key_set_is_an_error) {
    for (const char* text : {"", "[]", "null", "{}", R"({"keys":{}})", R"({"keys":[1]})",
                             R"({"keys":"x"})", "<html>", "{\"keys\":[", "{\"keys\":[{}]}x"})
        EXPECT_FALSE(parse_issuer_keys(text).ok()) << text;
    EXPECT_FALSE(parse_issuer_keys(std::string(200'000, '[')).ok());
    EXPECT_FALSE(parse_issuer_keys("{\"keys\":" + std::string(100'000, '[') +
                                   std::string(100'000, ']') + "}")
                     .ok());
}

TEST(issuer_keys, a_kept_key_that_was_changed_is_found_out) {
    VerificationKey key = rsa().public_key();
    key.algorithm = "ES256";
    EXPECT_FALSE(check_issuer_key(key).ok());
    key = rsa().public_key();
    key.public_key_pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    EXPECT_FALSE(check_issuer_key(key).ok());
}

TEST(issuer_discovery, the_document_has_to_be_of_the_very_issuer) {
    const auto document = [](const std::string& issuer, const std::string& keys) {
        return Json{{"issuer", issuer}, {"jwks_uri", keys}}.dump();
    };
    const std::string here = "https://a.example/x";
    EXPECT_EQ(parse_issuer_discovery(document(here, "https://keys.example/k?v=1"), here).value(),
              "https://keys.example/k?v=1");
    for (const char* other : {"https://a.example/x/", "https://a.example/X", "https://b.example/x",
                              "http://a.example/x", "https://a.example/{tenantid}", ""})
        EXPECT_FALSE(parse_issuer_discovery(document(other, "https://a.example/k"), here).ok())
            << other;
    EXPECT_FALSE(parse_issuer_discovery("[]", here).ok());
    EXPECT_FALSE(parse_issuer_discovery("{\"issuer\":7}", here).ok());
    EXPECT_FALSE(parse_issuer_discovery(Json{{"issuer", here}}.dump(), here).ok());
}

TEST(issuer_discovery, an_issuer_far_away_cannot_make_this_machine_ask_itself) {
    const auto document = [](const std::string& issuer, const std::string& keys) {
        return parse_issuer_discovery(Json{{"issuer", issuer}, {"jwks_uri", keys}}.dump(), issuer)
            .ok();
    };
    EXPECT_FALSE(document("https://a.example", "http://127.0.0.1/k"));
    EXPECT_FALSE(document("https://a.example", "http://a.example/k"));
    EXPECT_FALSE(document("https://a.example", "file:///etc/passwd"));
    EXPECT_FALSE(document("https://a.example", "https://u:p@a.example/k"));
    EXPECT_FALSE(document("https://a.example", "https://a.example/k\r\nx: y"));
    EXPECT_FALSE(document("https://a.example", "https://a.example/k#f"));
    EXPECT_TRUE(document("http://127.0.0.1:99", "http://127.0.0.1:99/k"));
    EXPECT_FALSE(document("http://127.0.0.1:99", "http://a.example/k"));
}

TEST(issuer_discovery, an_issuers_address_is_https_or_this_machine) {
    for (const char* good :
         {"https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111/v2.0",
          "https://sts.windows.net/11111111-1111-1111-1111-111111111111/",
          "https://kc.example.org:8443/realms/prod", "http://127.0.0.1:8080/realms/x",
          "http://localhost:1", "http://[::1]:80/x", "https://accounts.google.com"})
        EXPECT_TRUE(check_issuer_url(good).ok()) << good;
    for (const char* bad : {"",
                            "https://",
                            "https:///x",
                            "http://example.org",
                            "http://localhost.example.org",
                            "http://127.0.0.1.example.org",
                            "http://127.0.0.2",
                            "http://127.0.0.1@example.org",
                            "https://user@example.org",
                            "https://example.org/?x=1",
                            "https://example.org/#x",
                            "https://example.org/a b",
                            "https://example.org:0",
                            "https://example.org:x",
                            "https://example.org:99999",
                            "ftp://example.org",
                            "HTTPS://example.org",
                            "example.org",
                            "http://[::1]x",
                            "https://example.org/\n",
                            "https://example.org\\x"})
        EXPECT_FALSE(check_issuer_url(bad).ok()) << bad;
    EXPECT_FALSE(check_issuer_url("https://a/" + std::string(kIssuerUrlBytesMax, 'x')).ok());
}

TEST(issuer_discovery, the_address_of_the_document_has_one_slash) {
    EXPECT_EQ(discovery_url("https://a/b"), "https://a/b/.well-known/openid-configuration");
    EXPECT_EQ(discovery_url("https://a/b/"), "https://a/b/.well-known/openid-configuration");
}

}  // namespace
}  // namespace howdah::http
