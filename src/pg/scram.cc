#include "pg/scram.h"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"

// RFC 5802: SaltedPassword = PBKDF2(password, salt, i), StoredKey = H(HMAC(SaltedPassword,
// "Client Key")), ServerKey = HMAC(SaltedPassword, "Server Key").

namespace howdah::pg {
namespace {

constexpr std::string_view kPrefix = "SCRAM-SHA-256$";
constexpr int kIterationsMin = 1;
constexpr int kIterationsMax = 10'000'000;
constexpr std::size_t kPasswordBytesMax = 1024;

using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

const unsigned char* bytes(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

std::string_view view(const Digest& digest) {
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Digest keyed_hash(const Digest& key, std::string_view text) {
    Digest out{};
    unsigned length = 0;
    const auto* done = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes(text),
                            text.size(), out.data(), &length);
    HD_ASSERT(done != nullptr && length == out.size(), "HMAC-SHA-256 is always there");
    return out;
}

struct Parts {
    int iterations = 0;
    std::string salt;
    std::string stored_key;
    std::string server_key;
};

std::optional<Parts> take_apart(std::string_view verifier) {
    if (verifier.substr(0, kPrefix.size()) != kPrefix) return std::nullopt;
    const auto halves = split(verifier.substr(kPrefix.size()), '$');
    if (halves.size() != 2) return std::nullopt;
    const auto first = split(halves[0], ':');
    const auto second = split(halves[1], ':');
    if (first.size() != 2 || second.size() != 2) return std::nullopt;
    const auto iterations = parse_integer(first[0], kIterationsMin, kIterationsMax);
    const auto salt = base64_decode(first[1]);
    const auto stored_key = base64_decode(second[0]);
    const auto server_key = base64_decode(second[1]);
    if (!iterations.ok() || !salt.ok() || salt->empty() || !stored_key.ok() || !server_key.ok() ||
        stored_key->size() != SHA256_DIGEST_LENGTH || server_key->size() != SHA256_DIGEST_LENGTH) {
        return std::nullopt;
    }
    return Parts{static_cast<int>(*iterations), *salt, *stored_key, *server_key};
}

}  // namespace

Secret derived_password(const Secret& key, std::string_view purpose) {
    Digest hashed{};
    SHA256(bytes(key.reveal()), key.reveal().size(), hashed.data());
    return Secret(base64_encode(view(keyed_hash(hashed, purpose))));
}

Result<std::string> scram_verifier(const Secret& password, std::string_view salt, int iterations) {
    const std::string& text = password.reveal();
    if (text.empty() || text.size() > kPasswordBytesMax)
        return Error{ErrorCode::invalid_argument,
                     fmt::format("the password must have 1 to {} characters", kPasswordBytesMax)};
    if (std::any_of(text.begin(), text.end(), [](char c) { return c < 0x20 || c > 0x7e; }))
        return Error{ErrorCode::invalid_argument,
                     "the password has characters that are not printable ASCII"};
    if (salt.empty() || iterations < kIterationsMin || iterations > kIterationsMax)
        return Error{ErrorCode::invalid_argument, "the salt or the iteration count is not valid"};
    Digest salted{};
    const int done = PKCS5_PBKDF2_HMAC(text.data(), static_cast<int>(text.size()), bytes(salt),
                                       static_cast<int>(salt.size()), iterations, EVP_sha256(),
                                       static_cast<int>(salted.size()), salted.data());
    HD_ASSERT(done == 1, "PBKDF2 with SHA-256 is always there");
    const Digest client_key = keyed_hash(salted, "Client Key");
    Digest stored_key{};
    SHA256(client_key.data(), client_key.size(), stored_key.data());
    const Digest server_key = keyed_hash(salted, "Server Key");
    OPENSSL_cleanse(salted.data(), salted.size());
    return fmt::format("{}{}:{}${}:{}", kPrefix, iterations, base64_encode(salt),
                       base64_encode(view(stored_key)), base64_encode(view(server_key)));
}

bool scram_matches(const Secret& password, std::string_view verifier) {
    const auto parts = take_apart(verifier);
    if (!parts) return false;
    const auto own = scram_verifier(password, parts->salt, parts->iterations);
    if (!own.ok()) return false;
    const auto own_parts = take_apart(*own);
    HD_ASSERT(own_parts.has_value(), "a verifier of our own has the right shape");
    return CRYPTO_memcmp(own_parts->stored_key.data(), parts->stored_key.data(),
                         SHA256_DIGEST_LENGTH) == 0;
}

bool is_scram_verifier(std::string_view text) { return take_apart(text).has_value(); }

}  // namespace howdah::pg
