#include "http/certificates.h"

#include <gtest/gtest.h>
#include <openssl/x509_vfy.h>

#include <set>

#include "base/text.h"
#include "http/openssl_handles.h"

namespace howdah::http {
namespace {

using std::chrono::days;
using std::chrono::hours;

using Store = std::unique_ptr<X509_STORE, OpensslFree<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, OpensslFree<X509_STORE_CTX_free>>;

struct Check {
    std::string purpose = "sslserver";
    std::string host = {};
    std::string ip = {};
    Timestamp at;
};

/// What `openssl verify -x509_strict -CAfile ... -purpose ... -verify_hostname ...` does.
std::string verify(const std::string& certificate_pem, const std::string& ca_pem,
                   const Check& check) {
    const Store store(X509_STORE_new());
    const X509Certificate authority = certificate_from_pem(ca_pem).value();
    const X509Certificate certificate = certificate_from_pem(certificate_pem).value();
    X509_STORE_add_cert(store.get(), authority.get());
    const StoreContext context(X509_STORE_CTX_new());
    X509_STORE_CTX_init(context.get(), store.get(), certificate.get(), nullptr);
    X509_STORE_CTX_set_purpose(context.get(), check.purpose == "sslclient"
                                                  ? X509_PURPOSE_SSL_CLIENT
                                                  : X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM* const parameters = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set_time(
        parameters, std::chrono::floor<std::chrono::seconds>(check.at).time_since_epoch().count());
    if (!check.host.empty()) X509_VERIFY_PARAM_set1_host(parameters, check.host.c_str(), 0);
    if (!check.ip.empty()) X509_VERIFY_PARAM_set1_ip_asc(parameters, check.ip.c_str());
    if (X509_verify_cert(context.get()) == 1) return "ok";
    return X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

class Certificates : public testing::Test {
  protected:
    Certificates()
        : now(clock.wall()), authority(CertificateAuthority::create("Test CA", now).value()) {}

    FakeClock clock;
    Timestamp now;
    CertificateAuthority authority;
};

TEST_F(Certificates, a_server_certificate_passes_a_strict_chain_check_for_its_names) {
    const Certificate issued = authority
                                   .issue({.common_name = "pg1",
                                           .dns_names = {"pg1.example", "*.pg1.example"},
                                           .ip_addresses = {"127.0.0.1", "::1"}},
                                          now)
                                   .value();
    const std::string& pem = issued.certificate_pem;
    const std::string& ca = authority.certificate_pem();
    EXPECT_EQ(verify(pem, ca, {.host = "pg1.example", .at = now}), "ok");
    EXPECT_EQ(verify(pem, ca, {.host = "ro.pg1.example", .at = now}), "ok");
    EXPECT_EQ(verify(pem, ca, {.ip = "127.0.0.1", .at = now}), "ok");
    EXPECT_EQ(verify(pem, ca, {.ip = "::1", .at = now}), "ok");
    EXPECT_NE(verify(pem, ca, {.host = "pg2.example", .at = now}), "ok");
    EXPECT_NE(verify(pem, ca, {.ip = "127.0.0.2", .at = now}), "ok");
}

TEST_F(Certificates, one_for_servers_is_no_good_for_clients_nor_the_other_way_round) {
    const Certificate server = authority.issue({.common_name = "s"}, now).value();
    const Certificate client = authority.issue({.common_name = "c", .client = true}, now).value();
    const std::string& ca = authority.certificate_pem();
    EXPECT_EQ(verify(server.certificate_pem, ca, {.at = now}), "ok");
    EXPECT_NE(verify(server.certificate_pem, ca, {.purpose = "sslclient", .at = now}), "ok");
    EXPECT_EQ(verify(client.certificate_pem, ca, {.purpose = "sslclient", .at = now}), "ok");
    EXPECT_NE(verify(client.certificate_pem, ca, {.at = now}), "ok");
}

TEST_F(Certificates, an_authority_for_names_vouches_for_no_address) {
    const auto names =
        CertificateAuthority::create("Names only", now, {.names_only = true}).value();
    const auto check = [&](const CertificateRequest& request, const Check& what) {
        return verify(names.issue(request, now).value().certificate_pem, names.certificate_pem(),
                      what);
    };
    const CertificateRequest plain{.common_name = "pg1", .dns_names = {"pg1.example"}};
    EXPECT_EQ(check(plain, {.host = "pg1.example", .at = now}), "ok");
    for (const char* ip : {"127.0.0.1", "192.0.2.7", "::1", "2001:db8::1"}) {
        CertificateRequest greedy = plain;
        greedy.ip_addresses = {ip};
        EXPECT_NE(check(greedy, {.ip = ip, .at = now}), "ok") << ip;
        EXPECT_NE(check(greedy, {.host = "pg1.example", .at = now}), "ok") << ip;
    }
    const auto loaded =
        CertificateAuthority::load(names.certificate_pem(), names.key_pem()).value();
    const Certificate issued = loaded.issue(plain, now).value();
    EXPECT_EQ(
        verify(issued.certificate_pem, names.certificate_pem(), {.host = "pg1.example", .at = now}),
        "ok");
}

TEST_F(Certificates, an_authority_knows_what_it_has_issued) {
    const auto same_name = CertificateAuthority::create("Test CA", now).value();
    const Certificate issued = authority.issue({.common_name = "s"}, now).value();
    EXPECT_TRUE(authority.has_issued(issued.certificate_pem).value());
    EXPECT_TRUE(authority.has_issued(issued.certificate_pem + same_name.certificate_pem()).value())
        << "the first one counts";
    EXPECT_FALSE(same_name.has_issued(issued.certificate_pem).value());
    EXPECT_EQ(authority.has_issued("garbage").error().code, ErrorCode::corrupt);
}

TEST_F(Certificates, a_certificate_holds_from_an_hour_ago_until_its_end) {
    const Certificate issued =
        authority.issue({.common_name = "s", .valid_for = days(30)}, now).value();
    const auto at = [&](Timestamp when) {
        return verify(issued.certificate_pem, authority.certificate_pem(), {.at = when});
    };
    EXPECT_EQ(at(now - std::chrono::minutes(59)), "ok");
    EXPECT_NE(at(now - std::chrono::minutes(61)), "ok");
    EXPECT_EQ(at(now + days(30) - hours(1)), "ok");
    EXPECT_NE(at(now + days(30) + hours(1)), "ok");
    EXPECT_EQ(certificate_end(issued.certificate_pem).value(),
              std::chrono::floor<std::chrono::seconds>(now) + days(30));
}

TEST_F(Certificates, no_certificate_outlives_its_authority) {
    const Certificate issued =
        authority.issue({.common_name = "s", .valid_for = days(36500)}, now).value();
    EXPECT_EQ(certificate_end(issued.certificate_pem).value(),
              certificate_end(authority.certificate_pem()).value());
}

TEST_F(Certificates, another_authority_of_the_same_name_vouches_for_nothing) {
    const auto other = CertificateAuthority::create("Test CA", now).value();
    const Certificate issued = authority.issue({.common_name = "s"}, now).value();
    EXPECT_NE(verify(issued.certificate_pem, other.certificate_pem(), {.at = now}), "ok");
}

TEST_F(Certificates, a_loaded_authority_issues_like_the_one_that_was_made) {
    const auto loaded =
        CertificateAuthority::load(authority.certificate_pem(), authority.key_pem());
    ASSERT_TRUE(loaded.ok());
    const Certificate issued = loaded->issue({.common_name = "s"}, now).value();
    EXPECT_EQ(verify(issued.certificate_pem, authority.certificate_pem(), {.at = now}), "ok");
}

TEST_F(Certificates, an_authority_with_the_wrong_key_or_no_authority_is_not_loaded) {
    const auto other = CertificateAuthority::create("Other", now).value();
    const Certificate leaf = authority.issue({.common_name = "s"}, now).value();
    const auto code = [](const Result<CertificateAuthority>& result) {
        return result.ok() ? ErrorCode::internal : result.error().code;
    };
    EXPECT_EQ(code(CertificateAuthority::load(authority.certificate_pem(), other.key_pem())),
              ErrorCode::corrupt);
    EXPECT_EQ(code(CertificateAuthority::load(leaf.certificate_pem, leaf.key_pem)),
              ErrorCode::corrupt);
    EXPECT_EQ(code(CertificateAuthority::load("", Secret(""))), ErrorCode::corrupt);
    EXPECT_EQ(certificate_end("garbage").error().code, ErrorCode::corrupt);
}

TEST_F(Certificates, keys_are_p_256_and_signatures_sha_256) {
    const Certificate issued = authority.issue({.common_name = "s"}, now).value();
    for (const std::string& pem : {issued.certificate_pem, authority.certificate_pem()}) {
        const X509Certificate certificate = certificate_from_pem(pem).value();
        EXPECT_EQ(X509_get_signature_nid(certificate.get()), NID_ecdsa_with_SHA256);
        char group[32] = {};
        EVP_PKEY_get_group_name(X509_get0_pubkey(certificate.get()), group, sizeof group, nullptr);
        EXPECT_STREQ(group, "prime256v1");
    }
}

TEST_F(Certificates, every_certificate_has_a_serial_number_of_its_own) {
    std::set<std::string> serials;
    for (int i = 0; i < 20; ++i) {
        const Certificate issued = authority.issue({.common_name = "s"}, now).value();
        const X509Certificate certificate = certificate_from_pem(issued.certificate_pem).value();
        const BigNumber serial(
            ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate.get()), nullptr));
        EXPECT_GT(BN_num_bits(serial.get()), 64);
        std::string bytes(static_cast<std::size_t>(BN_num_bytes(serial.get())), '\0');
        BN_bn2bin(serial.get(), reinterpret_cast<unsigned char*>(bytes.data()));
        serials.insert(bytes);
    }
    EXPECT_EQ(serials.size(), 20U);
}

TEST_F(Certificates, a_long_server_name_is_cut_and_a_long_client_name_refused) {
    const std::string name(100, 'n');
    EXPECT_TRUE(authority.issue({.common_name = name, .dns_names = {"a.example"}}, now).ok());
    EXPECT_EQ(authority.issue({.common_name = name, .client = true}, now).error().code,
              ErrorCode::invalid_argument);
}

TEST_F(Certificates, names_that_are_none_are_refused) {
    for (const std::string& name :
         {std::string(), std::string("a,DNS:evil.example"), std::string("a\0b", 3),
          std::string("a b"), std::string("\xc3\xa4.example"), std::string(254, 'a')}) {
        EXPECT_EQ(authority.issue({.common_name = "s", .dns_names = {name}}, now).error().code,
                  ErrorCode::invalid_argument);
    }
    for (const char* ip : {"", "256.0.0.1", "1.2.3", "host", "1.2.3.4/24"}) {
        EXPECT_EQ(authority.issue({.common_name = "s", .ip_addresses = {ip}}, now).error().code,
                  ErrorCode::invalid_argument)
            << ip;
    }
}

}  // namespace
}  // namespace howdah::http
