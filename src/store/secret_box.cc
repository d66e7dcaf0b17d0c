#include "store/secret_box.h"

#include <fmt/core.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <memory>

#include "base/text.h"
#include "os/file.h"

// A sealed text is "v1:" + base64(nonce[12] ciphertext[n] tag[16]).

namespace howdah::store {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kSecretBytesMax = 1 << 20;
constexpr std::string_view kVersion = "v1:";

struct FreeContext {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

Error damaged(std::string_view name) {
    return Error{ErrorCode::corrupt, fmt::format("the sealed text '{}' cannot be opened", name), "",
                 "check that the master key is the one it was sealed with"};
}

std::string hmac(std::string_view key, std::string_view text) {
    std::string out(EVP_MAX_MD_SIZE, '\0');
    unsigned length = 0;
    const unsigned char* made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                                     bytes_of(text), text.size(), bytes_of(out), &length);
    HD_ASSERT(made != nullptr, "HMAC-SHA-256 is always there");
    out.resize(length);
    return out;
}

Result<std::string> decode_hex_key(const std::string& path, std::string_view text) {
    const Error bad{ErrorCode::corrupt, fmt::format("'{}' is not a master key", path), "",
                    "restore the file from a backup; it holds 64 hexadecimal digits"};
    text = trim(text);
    if (text.size() != 2 * kKeyBytes) return bad;
    std::string key;
    for (std::size_t i = 0; i < text.size(); i += 2) {
        int byte = 0;
        for (const char digit : text.substr(i, 2)) {
            byte *= 16;
            if (digit >= '0' && digit <= '9')
                byte += digit - '0';
            else if (digit >= 'a' && digit <= 'f')
                byte += digit - 'a' + 10;
            else
                return bad;
        }
        key.push_back(static_cast<char>(byte));
    }
    return key;
}

}  // namespace

Result<SecretBox> SecretBox::open(const std::string& key_path, bool create, IdSource& ids) {
    if (create && !os::exists(key_path)) {
        const Secret hex(hex_encode(ids.random_bytes(kKeyBytes)));
        HD_CHECK(os::write_file_atomic(key_path, hex.reveal() + "\n", 0600));
    }
    if (!create && !os::exists(key_path))
        return Error{ErrorCode::not_found, fmt::format("the master key '{}' is missing", key_path),
                     "", "restore the file from a backup; without it no secret can be read"};
    HD_TRY(std::string read, os::read_file(key_path, 4096));
    const Secret text(std::move(read));
    HD_TRY(std::string key, decode_hex_key(key_path, text.reveal()));
    return SecretBox(Secret(std::move(key)), ids);
}

SecretBox SecretBox::with_key(std::string key, IdSource& ids) {
    HD_ASSERT(key.size() == kKeyBytes, "a master key has 32 bytes");
    return {Secret(std::move(key)), ids};
}

std::string SecretBox::seal(std::string_view name, const Secret& secret) const {
    const std::string& plain = secret.reveal();
    HD_ASSERT(plain.size() <= kSecretBytesMax, "a secret is at most 1 MiB");
    const std::string nonce = ids_->random_bytes(kNonceBytes);
    std::string cipher(plain.size(), '\0');
    std::string tag(kTagBytes, '\0');
    const Context context(EVP_CIPHER_CTX_new());
    int length = 0;
    const bool sealed =
        context != nullptr &&
        EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key_.reveal()),
                           bytes_of(nonce)) == 1 &&
        EVP_EncryptUpdate(context.get(), nullptr, &length, bytes_of(name),
                          static_cast<int>(name.size())) == 1 &&
        EVP_EncryptUpdate(context.get(), bytes_of(cipher), &length, bytes_of(plain),
                          static_cast<int>(plain.size())) == 1 &&
        EVP_EncryptFinal_ex(context.get(), bytes_of(tag), &length) == 1 &&
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, tag.data()) == 1;
    HD_ASSERT(sealed, "AES-256-GCM is always there");
    return std::string(kVersion) + base64_encode(nonce + cipher + tag);
}

Result<Secret> SecretBox::unseal(std::string_view name, std::string_view sealed) const {
    if (!sealed.starts_with(kVersion) || sealed.size() > 2 * kSecretBytesMax) return damaged(name);
    auto decoded = base64_decode(sealed.substr(kVersion.size()));
    if (!decoded.ok() || decoded->size() < kNonceBytes + kTagBytes) return damaged(name);
    const std::string_view all = *decoded;
    const std::string_view nonce = all.substr(0, kNonceBytes);
    const std::string_view cipher = all.substr(kNonceBytes, all.size() - kNonceBytes - kTagBytes);
    std::string tag(all.substr(all.size() - kTagBytes));
    std::string plain(cipher.size(), '\0');
    const Context context(EVP_CIPHER_CTX_new());
    int length = 0;
    unsigned char none[16];
    const bool opened =
        context != nullptr &&
        EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key_.reveal()),
                           bytes_of(nonce)) == 1 &&
        EVP_DecryptUpdate(context.get(), nullptr, &length, bytes_of(name),
                          static_cast<int>(name.size())) == 1 &&
        EVP_DecryptUpdate(context.get(), bytes_of(plain), &length, bytes_of(cipher),
                          static_cast<int>(cipher.size())) == 1 &&
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) == 1 &&
        EVP_DecryptFinal_ex(context.get(), none, &length) == 1;
    if (!opened) return damaged(name);
    return Secret(std::move(plain));
}

std::string SecretBox::fingerprint(std::string_view name, const Secret& secret) const {
    // A key of its own, as the master key itself is one of AES.
    const Secret key(hmac(key_.reveal(), "howdah fingerprint"));
    const std::string name_hash = hmac(key.reveal(), name);
    return hex_encode(hmac(key.reveal(), name_hash + secret.reveal()));
}

}  // namespace howdah::store
