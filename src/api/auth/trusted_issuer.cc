#include "api/auth/trusted_issuer.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"
#include "http/issuer_keys.h"

namespace howdah::api {
namespace {

constexpr std::string_view kNames[] = {"issuer", "audiences", "ca-file", "subject-claim", "tenant"};
constexpr std::size_t kNameBytesMax = 64;
constexpr std::size_t kValueBytesMax = 512;

Error refused(const IssuerSection& section, std::string_view what, std::string_view why,
              std::string_view what_to_do) {
    return {ErrorCode::invalid_argument,
            fmt::format("the trusted issuer [{}] is not usable: {} {}",
                        section.name.substr(0, kNameBytesMax), what, why),
            std::string(what), std::string(what_to_do)};
}

bool is_plain(std::string_view text) {
    return !text.empty() && text.size() <= kValueBytesMax &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
}

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= kNameBytesMax &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_';
           });
}

/// The only value of this name; "" if there is none.
Result<std::string> one_value(const IssuerSection& section, const std::string& name) {
    const auto found = section.values.find(name);
    if (found == section.values.end()) return std::string();
    if (found->second.size() != 1)
        return refused(section, name, "is not one text", "write one text in quotes");
    const std::string& value = found->second.front();
    if (!is_plain(value))
        return refused(section, name, "is empty, too long, or has a space or a special letter",
                       "write it as the issuer does, or leave the line out");
    return value;
}

Status check_names(const IssuerSection& section) {
    if (!is_name(section.name))
        return refused(section, "its name", "has other letters than a-z, 0-9, - and _",
                       "give the section a short name, like [keycloak]");
    for (const auto& [name, values] : section.values)
        if (std::find(std::begin(kNames), std::end(kNames), name) == std::end(kNames))
            return refused(section, name.substr(0, kNameBytesMax), "is not known",
                           "use issuer, audiences, ca-file, subject-claim and tenant");
    return ok_status();
}

Status read_url(const IssuerSection& section, std::string_view own_url, TrustedIssuer& issuer) {
    constexpr std::string_view kHint =
        "copy the value of \"issuer\" from the issuer's /.well-known/openid-configuration";
    HD_TRY(issuer.url, one_value(section, "issuer"));
    if (issuer.url.empty()) return refused(section, "issuer", "is not given", kHint);
    const Status usable = http::check_issuer_url(issuer.url);
    if (!usable.ok())
        return refused(section, "issuer",
                       fmt::format("'{}' is not taken: {}", issuer.url, usable.error().message),
                       kHint);
    if (issuer.url == own_url || issuer.url.starts_with(std::string(own_url) + "/"))
        return refused(section, "issuer", fmt::format("'{}' is Howdah itself", issuer.url),
                       "remove the section: Howdah's own tokens are always taken");
    return ok_status();
}

Status read_audiences(const IssuerSection& section, TrustedIssuer& issuer) {
    constexpr std::string_view kHint =
        "name what the issuer writes into \"aud\" of tokens for Howdah, like "
        "audiences = [\"api://howdah\"]";
    const auto found = section.values.find("audiences");
    // Without one, tokens made for any other program would open this API.
    if (found == section.values.end() || found->second.empty())
        return refused(section, "audiences", "is not given", kHint);
    if (found->second.size() > kAudiencesMax)
        return refused(section, "audiences",
                       fmt::format("has more than {} elements", kAudiencesMax), kHint);
    for (const std::string& each : found->second)
        if (!is_plain(each))
            return refused(section, "audiences",
                           "has an element that is empty, too long, or has a special letter",
                           kHint);
    issuer.audiences = found->second;
    return ok_status();
}

Status read_ca(const IssuerSection& section, TrustedIssuer& issuer) {
    if (section.values.find("ca-file") == section.values.end()) return ok_status();
    HD_TRY(const std::string path, one_value(section, "ca-file"));
    if (section.ca_pem.find("-----BEGIN CERTIFICATE-----") == std::string::npos)
        return refused(section, "ca-file", fmt::format("'{}' holds no certificate", path),
                       "name a PEM file with the certificate authority of the issuer's HTTPS");
    issuer.ca_pem = section.ca_pem;
    return ok_status();
}

}  // namespace

Result<std::vector<TrustedIssuer>> trusted_issuers(const std::vector<IssuerSection>& sections,
                                                   std::string_view own_url) {
    std::vector<TrustedIssuer> all;
    for (const IssuerSection& section : sections) {
        HD_CHECK(check_names(section));
        if (all.size() == kTrustedIssuersMax)
            return refused(section, "it",
                           fmt::format("is one too many: at most {} are taken", kTrustedIssuersMax),
                           "remove issuers that are not needed");
        TrustedIssuer issuer{.name = section.name};
        HD_CHECK(read_url(section, own_url, issuer));
        HD_CHECK(read_audiences(section, issuer));
        HD_CHECK(read_ca(section, issuer));
        HD_TRY(issuer.subject_claim, one_value(section, "subject-claim"));
        HD_TRY(issuer.tenant, one_value(section, "tenant"));
        for (const TrustedIssuer& each : all) {
            if (each.url == issuer.url)
                return refused(section, "issuer", fmt::format("'{}' stands there twice", each.url),
                               "put all audiences into one section");
            if (each.name == issuer.name)
                return refused(section, "its name", "stands there twice", "join the sections");
        }
        all.push_back(std::move(issuer));
    }
    return all;
}

}  // namespace howdah::api
