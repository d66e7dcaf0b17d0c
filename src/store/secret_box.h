#pragma once

#include <string>
#include <string_view>

#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"

namespace howdah::store {

/// Encrypts what is secret before it goes into the store: AES-256-GCM with a random nonce under a
/// master key that lives in a file beside the store, never in it. `name` (the store key, or what
/// the secret is for) is authenticated too, so that a sealed text cannot be moved to another
/// place. Sealed texts are "v1:<base64>". Thread-safe.
class SecretBox {
  public:
    /// Reads the key file (mode 0600, 32 bytes hex), or makes it if `create` and it is absent.
    static Result<SecretBox> open(const std::string& key_path, bool create, IdSource& ids);
    static SecretBox with_key(std::string key, IdSource& ids);  ///< 32 bytes; for tests

    std::string seal(std::string_view name, const Secret& secret) const;
    /// ErrorCode::corrupt if it was changed, belongs to another name or to another master key.
    Result<Secret> unseal(std::string_view name, std::string_view sealed) const;

    /// What is kept of a random secret that only has to be recognised again: a keyed one-way
    /// fingerprint, 64 hexadecimal digits. Other names give other fingerprints.
    std::string fingerprint(std::string_view name, const Secret& secret) const;

  private:
    SecretBox(Secret key, IdSource& ids) : key_(std::move(key)), ids_(&ids) {}
    Secret key_;
    IdSource* ids_;
};

}  // namespace howdah::store
