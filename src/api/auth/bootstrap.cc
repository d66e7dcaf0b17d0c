#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "api/access/access_store.h"
#include "api/api.h"
#include "api/auth/principal.h"
#include "api/auth/record_json.h"
#include "base/text.h"
#include "model/json.h"
#include "model/records.h"
#include "pg/scram.h"
#include "store/keys.h"

namespace howdah::api {
namespace {

// {"tenant_id","subscription_id","client_id"}: what the first start made.
constexpr std::string_view kIdentityKey = "/meta/identity";
constexpr std::string_view kFirstSecretName = "bootstrap-credentials";
constexpr std::size_t kSaltBytes = 16;

using Json = RecordJson;

struct Identity {
    std::string tenant_id;
    std::string subscription_id;
    std::string client_id;
};

/// Everything of the first start in one transaction, so that a crash leaves all of it or nothing.
Status create(store::Store& store, const store::SecretBox& secrets, const Clock& clock,
              IdSource& ids, const BootstrapOptions& options) {
    const Identity identity{ids.uuid(), ids.uuid(), ids.uuid()};
    const std::string now = format_iso8601(clock.wall());
    const Secret secret = new_client_secret(ids);
    HD_TRY(const std::string verifier, pg::scram_verifier(secret, ids.random_bytes(kSaltBytes)));
    const std::string sealed = seal_verifier(secrets, identity.client_id, Secret(verifier));
    HD_TRY(const SigningKeys::First key, SigningKeys::make_first(secrets, clock.wall(), ids));

    model::Subscription subscription{identity.subscription_id, options.subscription_name,
                                     identity.tenant_id};
    Principal principal{identity.client_id, ids.uuid(), options.principal_name,
                        identity.tenant_id, now,        {{ids.uuid(), sealed, now, ""}}};
    const std::string secret_key = store::keys::secret(kFirstSecretName);

    store::Transaction txn;
    txn.expect_absent(std::string(kIdentityKey));
    txn.put(std::string(kIdentityKey), record_text({{"tenant_id", identity.tenant_id},
                                                    {"subscription_id", identity.subscription_id},
                                                    {"client_id", identity.client_id}}));
    txn.put(store::keys::subscription(identity.subscription_id), model::to_json(subscription));
    txn.put(store::keys::principal(identity.client_id), principal_to_text(principal));
    txn.put(key.key, key.value);
    txn.put(secret_key, secrets.seal(secret_key, secret));
    HD_CHECK(store.commit(txn));
    return ok_status();
}

Result<Identity> identity_of(const store::Entry& entry) {
    const Json record = Json::parse(entry.value, nullptr, /*allow_exceptions=*/false);
    if (!record.is_object())
        return Error{ErrorCode::corrupt, "the identity of this installation is not readable"};
    return Identity{text_of(record, "tenant_id"), text_of(record, "subscription_id"),
                    text_of(record, "client_id")};
}

/// Whether the principal is Owner of everything.
Result<bool> is_owner(store::Store& store, std::string_view object_id) {
    HD_TRY(const auto assignments, all_assignments(store));
    for (const model::RoleAssignment& each : assignments)
        if (each.scope == "/" && each.role_id == core::access::kOwnerRole &&
            each.principal_id == object_id)
            return true;
    return false;
}

}  // namespace

Result<Bootstrap> bootstrap(store::Store& store, const store::SecretBox& secrets,
                            const Clock& clock, IdSource& ids, const BootstrapOptions& options) {
    HD_TRY(auto entry, store.get(kIdentityKey));
    if (!entry) {
        HD_CHECK(create(store, secrets, clock, ids, options));
        HD_TRY(entry, store.get(kIdentityKey));
    }
    if (!entry) return Error{ErrorCode::corrupt, "the identity of this installation is missing"};
    HD_TRY(const Identity identity, identity_of(*entry));
    Bootstrap result;
    result.tenant_id = identity.tenant_id;
    result.subscription_id = identity.subscription_id;
    result.client_id = identity.client_id;
    HD_TRY(const auto principal, find_principal(store, result.client_id));
    if (principal)
        HD_CHECK(give_first_owner(store, principal->object_id, principal->client_id,
                                  format_iso8601(clock.wall()), ids));
    const std::string secret_key = store::keys::secret(kFirstSecretName);
    HD_TRY(const auto sealed, store.get(secret_key));
    if (sealed) {
        HD_TRY(Secret secret, secrets.unseal(secret_key, sealed->value));
        result.client_secret = std::move(secret);
    }
    return result;
}

Status bootstrap_delivered(store::Store& store) {
    store::Transaction txn;
    txn.remove(store::keys::secret(kFirstSecretName));
    HD_CHECK(store.commit(txn));
    return ok_status();
}

Status reset_administrator(store::Store& store, const store::SecretBox& secrets, const Clock& clock,
                           IdSource& ids, const BootstrapOptions& options) {
    HD_TRY(const auto entry, store.get(kIdentityKey));
    if (!entry) return Error{ErrorCode::corrupt, "the identity of this installation is missing"};
    HD_TRY(const Identity identity, identity_of(*entry));
    const std::string now = format_iso8601(clock.wall());
    const Secret secret = new_client_secret(ids);
    HD_TRY(const std::string verifier, pg::scram_verifier(secret, ids.random_bytes(kSaltBytes)));
    HD_TRY(const auto before, find_principal(store, identity.client_id));
    Principal principal = before.value_or(Principal{
        identity.client_id, ids.uuid(), options.principal_name, identity.tenant_id, now, {}});
    principal.application_only = false;
    principal.credentials = {
        {ids.uuid(), seal_verifier(secrets, identity.client_id, Secret(verifier)), now, ""}};
    const std::string secret_key = store::keys::secret(kFirstSecretName);
    store::Transaction txn;
    txn.put(store::keys::principal(identity.client_id), principal_to_text(principal));
    txn.put(secret_key, secrets.seal(secret_key, secret));
    HD_TRY(const bool owns, is_owner(store, principal.object_id));
    if (!owns) {
        const auto assignment =
            owner_assignment(principal.object_id, principal.client_id, now, ids);
        txn.put(store::keys::assignment(principal.object_id, assignment.id),
                model::to_json(assignment));
    }
    HD_CHECK(store.commit(txn));
    return ok_status();
}

}  // namespace howdah::api
