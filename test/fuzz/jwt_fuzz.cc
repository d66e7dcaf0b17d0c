#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "http/client.h"
#include "http/jwt.h"

// Access tokens, form bodies and percent-encoded paths: what arrives before anybody is known.

namespace {

using namespace howdah;

struct Keys {
    std::vector<http::SigningKey> all;
    Keys() { all.push_back(http::SigningKey::generate("key-1").value()); }
};

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Keys keys;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const Timestamp now{std::chrono::seconds(1'767'225'600)};
    // Nobody but us has the private key, so nothing may pass.
    require(!http::verify_jwt(text, keys.all, {.audiences = {"https://api"}}, now).ok());

    const auto decoded = http::url_decode(text);
    if (decoded.ok()) {
        require(decoded->size() <= size);
        require(http::url_decode(http::url_encode(*decoded)).value() == *decoded);
    }
    const auto form = http::parse_form(text);
    if (form.ok()) require(form->size() <= 100);
    return 0;
}
