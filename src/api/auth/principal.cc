#include "api/auth/principal.h"

#include <nlohmann/json.hpp>

#include "api/auth/record_json.h"
#include "base/id.h"
#include "base/text.h"
#include "pg/scram.h"
#include "store/keys.h"

namespace howdah::api {
namespace {

using Json = RecordJson;

/// Fits no secret; makes the work of checking a secret the same for an unknown client.
constexpr std::string_view kNobodysVerifier =
    "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

constexpr std::size_t kSecretBytes = 30;

std::string seal_name(std::string_view client_id) { return "principal:" + std::string(client_id); }

}  // namespace

Secret new_client_secret(IdSource& ids) {
    std::string secret = base64url_encode(ids.random_bytes(kSecretBytes));
    if (secret.front() == '-') secret.front() = '_';
    return Secret(std::move(secret));
}

std::string seal_verifier(const store::SecretBox& secrets, std::string_view client_id,
                          const Secret& verifier) {
    return secrets.seal(seal_name(client_id), verifier);
}

std::string principal_to_text(const Principal& principal) {
    Json credentials = Json::array();
    for (const Principal::Credential& each : principal.credentials)
        credentials.push_back({{"id", each.id},
                               {"sealed_verifier", each.sealed_verifier},
                               {"created_at", each.created_at},
                               {"expires_at", each.expires_at},
                               {"display_name", each.display_name}});
    const Json record = {{"client_id", principal.client_id},
                         {"object_id", principal.object_id},
                         {"display_name", principal.display_name},
                         {"tenant_id", principal.tenant_id},
                         {"created_at", principal.created_at},
                         {"credentials", credentials},
                         {"application_only", principal.application_only}};
    return record_text(record);
}

Result<Principal> principal_from_text(std::string_view text) {
    const Json record = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!record.is_object()) return Error{ErrorCode::corrupt, "a principal's record is not JSON"};
    Principal principal{text_of(record, "client_id"),    text_of(record, "object_id"),
                        text_of(record, "display_name"), text_of(record, "tenant_id"),
                        text_of(record, "created_at"),   {}};
    const auto only = record.find("application_only");
    principal.application_only = only != record.end() && *only == true;
    const auto credentials = record.find("credentials");
    if (credentials != record.end() && credentials->is_array()) {
        for (const Json& each : *credentials) {
            if (!each.is_object()) continue;
            principal.credentials.push_back(
                {text_of(each, "id"), text_of(each, "sealed_verifier"), text_of(each, "created_at"),
                 text_of(each, "expires_at"), text_of(each, "display_name")});
        }
    }
    return principal;
}

Result<std::optional<Principal>> find_principal(store::Store& store, std::string_view client_id) {
    if (!is_uuid(client_id)) return std::optional<Principal>();
    HD_TRY(const auto entry, store.get(store::keys::principal(client_id)));
    if (!entry) return std::optional<Principal>();
    HD_TRY(Principal principal, principal_from_text(entry->value));
    return std::optional<Principal>(std::move(principal));
}

Result<std::vector<Principal>> all_principals(store::Store& store) {
    HD_TRY(const auto entries, store.list("/principal/", {.limit = kPrincipalsMax}));
    std::vector<Principal> principals;
    for (const store::Entry& entry : entries) {
        HD_TRY(Principal principal, principal_from_text(entry.value));
        principals.push_back(std::move(principal));
    }
    return principals;
}

Result<std::optional<Principal>> find_principal_by_object(store::Store& store,
                                                          std::string_view object_id) {
    HD_TRY(const auto all, all_principals(store));
    for (const Principal& each : all)
        if (iequals(each.object_id, object_id)) return std::optional(each);
    return std::optional<Principal>();
}

std::string fitting_credential(const std::optional<Principal>& principal, const Secret& secret,
                               std::string_view now, const store::SecretBox& secrets) {
    if (!principal || principal->credentials.empty() || principal->application_only) {
        (void)pg::scram_matches(secret, kNobodysVerifier);
        return "";
    }
    std::string fitting;
    for (const Principal::Credential& each : principal->credentials) {
        const bool expired = !each.expires_at.empty() && each.expires_at <= now;
        const auto verifier = secrets.unseal(seal_name(principal->client_id), each.sealed_verifier);
        if (!verifier.ok()) continue;
        if (pg::scram_matches(secret, verifier->reveal()) && !expired) fitting = each.id;
    }
    return fitting;
}

bool secret_fits(const std::optional<Principal>& principal, const Secret& secret,
                 std::string_view now, const store::SecretBox& secrets) {
    return !fitting_credential(principal, secret, now, secrets).empty();
}

bool has_credential(const Principal& principal, std::string_view id, std::string_view now) {
    if (principal.application_only) return false;
    for (const Principal::Credential& each : principal.credentials)
        if (each.id == id) return each.expires_at.empty() || each.expires_at > now;
    return false;
}

}  // namespace howdah::api
