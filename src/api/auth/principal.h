#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"
#include "store/secret_box.h"
#include "store/store.h"

namespace howdah::api {

/// A service principal: an identity of a program, with secrets that are kept as salted hashes.
struct Principal {
    struct Credential {
        std::string id;
        std::string sealed_verifier;  ///< of pg::scram_verifier, sealed; see seal_verifier
        std::string created_at;
        std::string expires_at;  ///< empty: never
        std::string display_name = {};
    };
    std::string client_id;  ///< "appId", UUID
    std::string object_id;  ///< UUID
    std::string display_name;
    std::string tenant_id;
    std::string created_at;
    std::vector<Credential> credentials;
    /// An application that nobody has made a service principal for: it cannot log in yet.
    bool application_only = false;
};

std::string principal_to_text(const Principal& principal);
Result<Principal> principal_from_text(std::string_view text);

/// None if there is no such principal.
Result<std::optional<Principal>> find_principal(store::Store& store, std::string_view client_id);

/// At most so many principals are there.
inline constexpr std::size_t kPrincipalsMax = 1000;
Result<std::vector<Principal>> all_principals(store::Store& store);
Result<std::optional<Principal>> find_principal_by_object(store::Store& store,
                                                          std::string_view object_id);

/// The id of the unexpired credential of the principal that fits; "" if none does. Takes as long
/// without a principal as with one, so that an attacker does not learn which exist.
std::string fitting_credential(const std::optional<Principal>& principal, const Secret& secret,
                               std::string_view now, const store::SecretBox& secrets);
/// True if there is one.
bool secret_fits(const std::optional<Principal>& principal, const Secret& secret,
                 std::string_view now, const store::SecretBox& secrets);
/// Whether who logged in with this credential may still be logged in.
bool has_credential(const Principal& principal, std::string_view id, std::string_view now);
/// Not with a hyphen at its beginning: a command line would take it for an option.
Secret new_client_secret(IdSource& ids);
std::string seal_verifier(const store::SecretBox& secrets, std::string_view client_id,
                          const Secret& verifier);

}  // namespace howdah::api
