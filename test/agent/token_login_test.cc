#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/token_login/ldap_message.h"
#include "agent/token_login/token_access.h"
#include "base/text.h"
#include "core/access/token_role.h"
#include "http/jwt.h"

namespace howdah::agent {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kIncarnation = "11111111-2222-3333-4444-555555555555";

std::string element(unsigned char tag, const std::string& content) {
    std::string out(1, static_cast<char>(tag));
    if (content.size() < 128) {
        out += static_cast<char>(content.size());
    } else {
        out += '\x82';
        out += static_cast<char>(content.size() >> 8U);
        out += static_cast<char>(content.size() & 0xffU);
    }
    return out + content;
}

std::string bind_request(const std::string& name, const std::string& password) {
    return element(0x30, element(2, "\x01") + element(0x60, element(2, "\x03") + element(4, name) +
                                                                element(0x80, password)));
}

TEST(ldap_message, a_simple_bind_is_read_as_libldap_writes_it) {
    const std::string password(3000, 'p');
    const std::string bytes = bind_request("cn=ada,ou=x", password);
    const auto read = read_ldap_request(bytes);
    ASSERT_TRUE(read.ok() && *read);
    EXPECT_EQ((*read)->kind, LdapRequest::Kind::simple_bind);
    EXPECT_EQ((*read)->id, 1);
    EXPECT_EQ((*read)->version, 3);
    EXPECT_EQ((*read)->name, "cn=ada,ou=x");
    EXPECT_EQ((*read)->password, password);
}

TEST(ldap_message, what_is_cut_off_is_waited_for_and_never_read) {
    const std::string bytes = bind_request("cn=ada", "secret");
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const auto read = read_ldap_request(std::string_view(bytes).substr(0, size));
        ASSERT_TRUE(read.ok()) << size;
        EXPECT_FALSE(read->has_value()) << size;
    }
}

TEST(ldap_message, every_changed_byte_is_read_or_refused_and_never_anothers_memory) {
    const std::string bytes = bind_request("cn=ada", "secret");
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        for (int value = 0; value < 256; ++value) {
            std::string changed = bytes;
            changed[at] = static_cast<char>(value);
            const auto read = read_ldap_request(changed);
            if (!read.ok() || !*read) continue;
            for (const std::string_view part : {(*read)->name, (*read)->password}) {
                if (part.empty()) continue;
                EXPECT_GE(part.data(), changed.data());
                EXPECT_LE(part.data() + part.size(), changed.data() + changed.size());
            }
        }
    }
}

TEST(ldap_message, rubbish_is_refused_at_its_first_bytes) {
    const std::string inside = element(2, "\x01") + element(0x60, "");
    for (const std::string& bytes :
         {std::string("GET / HTTP/1.1"), std::string("\x30\x80", 2),
          std::string("\x30\x85", 2) + "x", std::string("\x30\x84\xff\xff\xff\xff", 6),
          std::string("\x30\x83\x01\x00\x00", 5), element(0x30, ""), element(0x30, element(2, "")),
          element(0x30, inside), element(0x30, element(2, "\xff") + element(0x42, "")),
          element(0x30, element(2, std::string(5, '\x01')) + element(0x42, "")),
          element(0x30, element(2, "\x01") + element(0x42, "x")),
          element(0x30, element(2, "\x01") + element(0x42, "") + element(4, "x")),
          element(0x30, element(2, "\x01") + element(0x1f, ""))}) {
        EXPECT_FALSE(read_ldap_request(bytes).ok()) << hex_encode(bytes);
    }
    std::string trailing = bind_request("cn=ada", "x");
    trailing[1] = static_cast<char>(trailing[1] + 1);
    trailing += 'x';
    EXPECT_FALSE(read_ldap_request(trailing).ok());
}

TEST(ldap_message, other_requests_are_told_apart) {
    const auto kind = [](const std::string& operation) {
        const std::string bytes = element(0x30, element(2, "\x07") + operation);
        const auto read = read_ldap_request(bytes);
        return read.ok() && *read ? (*read)->kind : LdapRequest::Kind::simple_bind;
    };
    EXPECT_EQ(kind(element(0x42, "")), LdapRequest::Kind::unbind);
    EXPECT_EQ(kind(element(0x63, "a search")), LdapRequest::Kind::other);
    EXPECT_EQ(kind(element(0x60, element(2, "\x03") + element(4, "") + element(0xa3, "sasl"))),
              LdapRequest::Kind::other_bind);
    EXPECT_EQ(kind(element(0x42, "") + element(0xa0, "")), LdapRequest::Kind::unbind);
}

TEST(ldap_message, answers_have_the_bytes_that_rfc_4511_asks_for) {
    EXPECT_EQ(hex_encode(ldap_bind_response(1, LdapResult::success, "")),
              "300c02010161070a010004000400");
    EXPECT_EQ(hex_encode(ldap_bind_response(200, LdapResult::invalid_credentials, "no")),
              "300f020200c861090a013104000402"
              "6e6f");
    EXPECT_LT(ldap_bind_response(1, LdapResult::success, std::string(5000, 'x')).size(), 300U);
}

TEST(login_name, holds_role_and_server_whatever_the_role_is_called) {
    for (const std::string& role :
         std::initializer_list<std::string>{"ada", "a,ou=b", "cn=x", "ada@example.org", ",ou="}) {
        const std::string name = std::string(kLoginPrefix) + role + login_suffix(kIncarnation);
        const auto read = read_login_name(name);
        ASSERT_TRUE(read) << name;
        EXPECT_EQ(read->role, role);
        EXPECT_EQ(read->incarnation, kIncarnation);
    }
    for (const std::string& name :
         {std::string(), std::string("cn="), "cn=" + login_suffix(kIncarnation),
          "CN=ada" + login_suffix(kIncarnation), "ada" + login_suffix(kIncarnation),
          "cn=ada" + login_suffix(kIncarnation) + " ", "cn=ada,OU=" + std::string(kIncarnation),
          std::string("cn=ada,ou=") + std::string(36, 'x')}) {
        EXPECT_FALSE(read_login_name(name)) << name;
    }
}

TEST(token_role, is_what_pg_hba_can_write) {
    for (const char* good : {"ada", "ada@example.org", "Ada Lovelace", "ада", "all", "+x", "a,b#c"})
        EXPECT_TRUE(core::is_token_role(good)) << good;
    EXPECT_TRUE(core::is_token_role(std::string(63, 'x')));
    for (const char* bad : {"", "/.*", "a\"b", "a\\b", "a\nb", "a\x7f", " a", "a "})
        EXPECT_FALSE(core::is_token_role(bad)) << bad;
    EXPECT_FALSE(core::is_token_role(std::string(64, 'x')));
    EXPECT_FALSE(core::is_token_role(std::string("a\0b", 3)));
}

class TokenLogin : public testing::Test {
  protected:
    static constexpr Timestamp kNow{std::chrono::seconds(1'800'000'000)};

    TokenLogin() : key(http::SigningKey::generate("key-1").value()) {
        trust = {"1", "https://authority/v2.0", "tenant", {{key.id, key.public_key_pem}}};
        access.enabled = true;
        access.administrators = {{"", "ada-id", "ada", "User", "tenant"},
                                 {"", "bob-id", "bob", "ServicePrincipal", "tenant"}};
        claims.issuer = trust.issuer;
        claims.audience = core::kDatabaseAudience;
        claims.subject = "ada-id";
        claims.app_id = "app";
        claims.tenant = "tenant";
        claims.issued_at = claims.not_before = kNow - std::chrono::minutes(5);
        claims.expires_at = kNow + std::chrono::minutes(5);
    }
    Status login(std::string_view role) const {
        return check_token_login(trust, access, role, http::sign_jwt(claims, key).value(), kNow);
    }
    std::string why(std::string_view role = "ada") const {
        const Status status = login(role);
        return status.ok() ? "let in" : status.error().message;
    }

    http::SigningKey key;
    model::TokenTrust trust;
    TokenAccess access;
    http::Claims claims;
};

TEST_F(TokenLogin, opens_ones_own_role_and_no_other) {
    EXPECT_TRUE(login("ada").ok()) << why();
    EXPECT_THAT(why("bob"), HasSubstr("another principal"));
    EXPECT_THAT(why("Ada"), HasSubstr("belongs to no"));
    EXPECT_THAT(why("howdah"), HasSubstr("belongs to no"));
    EXPECT_THAT(why(""), HasSubstr("belongs to no"));
}

TEST_F(TokenLogin, nobody_is_let_in_where_tokens_are_not_taken_or_no_key_is_known) {
    access.enabled = false;
    EXPECT_THAT(why(), HasSubstr("takes no access tokens"));
    access.enabled = true;
    const model::TokenTrust before = trust;
    trust.keys.clear();
    EXPECT_THAT(why(), HasSubstr("no keys"));
    trust = {};
    EXPECT_THAT(why(), HasSubstr("no keys"));
    trust = before;
    EXPECT_EQ(why(), "let in");
}

TEST_F(TokenLogin, each_claim_is_looked_at) {
    const http::Claims good = claims;
    const auto refused = [&](auto change, const char* words) {
        claims = good;
        change();
        EXPECT_THAT(why(), HasSubstr(words));
    };
    refused([&] { claims.audience = "https://management.azure.com"; }, "audience");
    refused([&] { claims.issuer = "https://elsewhere/v2.0"; }, "issuer");
    refused([&] { claims.tenant = "other"; }, "tenant");
    refused([&] { claims.subject = "mallory-id"; }, "another principal");
    refused([&] { claims.expires_at = kNow - std::chrono::minutes(2); }, "expired");
    refused([&] { claims.not_before = kNow + std::chrono::minutes(2); }, "not valid yet");
}

TEST_F(TokenLogin, a_key_that_is_not_known_signs_nothing) {
    key = http::SigningKey::generate("key-1").value();
    EXPECT_THAT(why(), HasSubstr("signature"));
    key = http::SigningKey::generate("key-2").value();
    EXPECT_THAT(why(), HasSubstr("key is not known"));
}

TEST_F(TokenLogin, no_refusal_holds_a_part_of_the_token) {
    const std::string token = http::sign_jwt(claims, key).value();
    for (const std::string_view role : {"bob", "nobody"}) {
        const Status status = check_token_login(trust, access, role, token, kNow);
        for (const std::string& part : split(token, '.'))
            EXPECT_EQ(status.error().describe().find(part), std::string::npos);
    }
}

}  // namespace
}  // namespace howdah::agent
