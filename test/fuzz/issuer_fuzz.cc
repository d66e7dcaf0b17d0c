#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "api/auth/trusted_issuer.h"
#include "http/issuer_jwt.h"
#include "http/issuer_keys.h"
#include "http/jwt.h"

// What another issuer of tokens publishes, tokens that claim to be of one, and the file that names
// it.

namespace {

using namespace howdah;

constexpr const char* kIssuer = "https://a.example";

void require(bool holds) {
    if (!holds) std::abort();
}

std::vector<http::VerificationKey> make_keys() {
    const auto key = http::SigningKey::generate("key-1").value();
    return {{"key-1", "", key.public_key_pem}};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::vector<http::VerificationKey> keys = make_keys();
    const std::string_view text(reinterpret_cast<const char*>(data), size);

    const auto set = http::parse_issuer_keys(text);
    if (set.ok()) {
        require(set->keys.size() + set->ignored.size() <= http::kIssuerKeysMax);
        for (const http::VerificationKey& each : set->keys)
            require(http::check_issuer_key(each).ok());
    }
    const auto where = http::parse_issuer_discovery(text, kIssuer);
    // An issuer far away never leads back to this machine by http.
    if (where.ok()) require(where->starts_with("https://") && where->find('@') == where->npos);
    if (http::check_issuer_url(text).ok())
        require(text.find_first_of(" \n\r@#?") == text.npos && text.starts_with("http"));

    const auto sections = api::parse_issuer_file(text);
    if (sections.ok()) {
        const auto issuers = api::trusted_issuers(*sections, "https://127.0.0.1:8443");
        require(!issuers.ok() || issuers->size() == sections->size());
        for (const api::TrustedIssuer& each : issuers.value_or({}))
            require(http::check_issuer_url(each.url).ok() && !each.audiences.empty());
    }

    const Timestamp now{std::chrono::seconds(1'767'225'600)};
    (void)http::look_at_jwt(text);
    // Nobody but us has the private key, so nothing may pass.
    require(
        !http::verify_issuer_jwt(text, keys, {.issuer = kIssuer, .audiences = {"api"}}, now).ok());
    http::VerificationKey kept{"key", "", std::string(text)};
    (void)http::check_issuer_key(kept);
    return 0;
}
