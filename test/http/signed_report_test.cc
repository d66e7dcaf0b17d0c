#include "http/signed_report.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "http/certificates.h"

namespace howdah::http {
namespace {

constexpr const char* kReport = R"({"outcome":"proved","tables":3,"different":["a: b"]})";

struct Signer {
    CertificateAuthority authority =
        CertificateAuthority::create("Howdah", SystemClock().wall()).value();
    Certificate own = authority
                          .issue({.common_name = "host-1", .dns_names = {"host-1"}, .client = true},
                                 SystemClock().wall())
                          .value();
    std::string sign(const std::string& json) const {
        return sign_report(json, own.key_pem, own.certificate_pem).value();
    }
};

TEST(signed_report, tells_what_was_signed_and_by_whom) {
    const Signer signer;
    const auto report =
        verify_report(signer.sign(kReport) + "\n", signer.authority.certificate_pem());
    ASSERT_TRUE(report.ok()) << report.error().describe();
    EXPECT_EQ(report->signer, "host-1");
    EXPECT_NE(report->json.find("\"proved\""), std::string::npos);
    EXPECT_NE(report->json.find("[\"a: b\"]"), std::string::npos);
}

TEST(signed_report, outlives_its_certificate) {
    const Timestamp long_ago = SystemClock().wall() - std::chrono::hours(24 * 2000);
    const auto authority = CertificateAuthority::create("Howdah", long_ago).value();
    const auto own =
        authority
            .issue({.common_name = "host-1", .client = true, .valid_for = std::chrono::days(10)},
                   long_ago)
            .value();
    const auto token = sign_report(kReport, own.key_pem, own.certificate_pem).value();
    EXPECT_TRUE(verify_report(token, authority.certificate_pem()).ok());
}

TEST(signed_report, one_of_several_authorities_will_do_but_no_servers_certificate) {
    const Signer signer;
    const Signer other;
    const std::string both = other.authority.certificate_pem() + signer.authority.certificate_pem();
    EXPECT_TRUE(verify_report(signer.sign(kReport), both).ok());
    const auto server =
        signer.authority.issue({.common_name = "db", .dns_names = {"db"}}, SystemClock().wall())
            .value();
    const auto forged = sign_report(kReport, server.key_pem, server.certificate_pem).value();
    EXPECT_FALSE(verify_report(forged, both).ok());
    EXPECT_FALSE(verify_report(signer.sign(kReport), "no certificate").ok());
}

TEST(signed_report, of_another_authority_is_refused) {
    const Signer signer;
    const Signer other;
    EXPECT_FALSE(verify_report(signer.sign(kReport), other.authority.certificate_pem()).ok());
}

TEST(signed_report, the_key_must_be_the_certificates) {
    const Signer signer;
    const Signer other;
    const auto report = sign_report(kReport, other.own.key_pem, signer.own.certificate_pem);
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().code, ErrorCode::conflict);
}

TEST(signed_report, that_was_changed_is_refused) {
    const Signer signer;
    const Signer other;
    const std::string authority = signer.authority.certificate_pem();
    const auto parts = split(signer.sign(kReport), '.');
    const auto others = split(other.sign(kReport), '.');
    const std::string forged = base64url_encode(R"({"outcome":"proved","tables":4})");
    const std::string none = base64url_encode(R"({"alg":"none"})");
    const std::string hmac = base64url_encode(R"({"alg":"HS256"})");
    for (const std::string& bad :
         {parts[0] + "." + forged + "." + parts[2], parts[0] + "." + parts[1] + ".",
          parts[0] + "." + parts[1] + "." + others[2], others[0] + "." + parts[1] + "." + parts[2],
          none + "." + parts[1] + ".", hmac + "." + parts[1] + "." + parts[2],
          parts[0] + "." + parts[1], std::string("..."), std::string(), std::string("{}"),
          std::string(300 << 10, 'a')}) {
        const auto report = verify_report(bad, authority);
        ASSERT_FALSE(report.ok()) << bad.substr(0, 100);
        EXPECT_EQ(report.error().code, ErrorCode::unauthenticated);
    }
}

}  // namespace
}  // namespace howdah::http
