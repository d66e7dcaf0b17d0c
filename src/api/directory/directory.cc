#include <fmt/core.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "api/access/access_store.h"
#include "api/access/owners.h"
#include "api/auth/principal.h"
#include "api/directory/handlers.h"
#include "api/filter.h"
#include "api/retry.h"
#include "base/id.h"
#include "base/text.h"
#include "pg/scram.h"
#include "store/keys.h"

namespace howdah::api::directory {
namespace {

constexpr std::size_t kNameBytesMax = 120;
constexpr std::size_t kCredentialsMax = 10;
constexpr std::size_t kSaltBytes = 16;
// A client's clock may be ahead of ours.
constexpr auto kClockSkew = std::chrono::minutes(5);
constexpr std::size_t kIdsMax = 1000;
constexpr std::string_view kAudiences[] = {"AzureADMyOrg"};
constexpr const char* kNotSupported[] = {"api",
                                         "appRoles",
                                         "identifierUris",
                                         "isFallbackPublicClient",
                                         "keyCredentials",
                                         "optionalClaims",
                                         "passwordCredentials",
                                         "publicClient",
                                         "requiredResourceAccess",
                                         "spa",
                                         "web"};
// As Graph gives a secret without an end.
constexpr auto kSecretLifetime = std::chrono::hours(2 * 365 * 24);

Json credentials_json(const Principal& principal) {
    Json all = Json::array();
    for (const Principal::Credential& each : principal.credentials) {
        Json credential = {{"keyId", each.id},
                           {"displayName", each.display_name},
                           {"startDateTime", each.created_at},
                           {"endDateTime", nullptr},
                           {"hint", nullptr},
                           {"secretText", nullptr}};
        if (!each.expires_at.empty()) credential["endDateTime"] = each.expires_at;
        all.push_back(std::move(credential));
    }
    return all;
}

Json application_json(const Principal& principal) {
    return {{"@odata.type", "#microsoft.graph.application"},
            {"id", principal.client_id},
            {"appId", principal.client_id},
            {"displayName", principal.display_name},
            {"createdDateTime", principal.created_at},
            {"signInAudience", "AzureADMyOrg"},
            {"identifierUris", Json::array()},
            {"keyCredentials", Json::array()},
            {"passwordCredentials", credentials_json(principal)}};
}

Json service_principal_json(const Principal& principal) {
    return {{"@odata.type", "#microsoft.graph.servicePrincipal"},
            {"id", principal.object_id},
            {"appId", principal.client_id},
            {"appDisplayName", principal.display_name},
            {"displayName", principal.display_name},
            {"appOwnerOrganizationId", principal.tenant_id},
            {"accountEnabled", true},
            {"servicePrincipalType", "Application"},
            {"servicePrincipalNames", Json::array({principal.client_id})},
            {"createdDateTime", principal.created_at},
            {"keyCredentials", Json::array()},
            // One record here: a secret of the application is one of its service principal.
            {"passwordCredentials", credentials_json(principal)}};
}

Error object_not_found(const std::string& id) {
    return {ErrorCode::object_not_found,
            fmt::format("resource '{}' does not exist or one of its queried reference-property "
                        "objects are not present",
                        id.substr(0, 64)),
            id.substr(0, 64)};
}

/// By the id in the path: an application's, or a service principal's.
Result<Principal> find(const Call& call) {
    const std::string& id = call.parameter("objectId");
    HD_TRY(auto principal, find_principal(call.context.store, to_lower(id)));
    if (!principal) {
        HD_TRY(principal, find_principal_by_object(call.context.store, id));
    }
    if (!principal) return object_not_found(id);
    return std::move(*principal);
}

/// Reads the identity, applies and writes; again when somebody else was faster. `apply` may run
/// several times. REQUIRES: kAccessTurnstile is passed.
Result<Principal> change(const Call& call, const std::string& client_id,
                         const std::function<Status(Principal&)>& apply) {
    store::Store& store = call.context.store;
    const std::string key = store::keys::principal(client_id);
    return until_not_overtaken("the application", [&](bool& overtaken) -> Result<Principal> {
        HD_TRY(const auto entry, store.get(key));
        if (!entry) return object_not_found(client_id);
        HD_TRY(Principal principal, principal_from_text(entry->value));
        HD_CHECK(apply(principal));
        store::Transaction txn;
        txn.expect(key, entry->modified);
        txn.put(key, principal_to_text(principal));
        HD_CHECK(commit_unless_overtaken(store, txn, overtaken));
        return principal;
    });
}

struct Wanted {
    std::string app_id;
    std::string name;
    std::string name_prefix;
};

/// The filters that az sends.
Result<Wanted> read_filter(const Call& call) {
    std::string text = call.request.query_value("$filter").value_or("");
    constexpr std::string_view kNames = "servicePrincipalNames/any(c:c eq '";
    constexpr std::string_view kPrefix = "startswith(displayName,'";
    Wanted wanted;
    const auto between = [&](std::string_view begin) {
        return text.substr(begin.size(), text.size() - begin.size() - 2);
    };
    if (text.starts_with(kNames) && text.ends_with("')")) {
        wanted.app_id = between(kNames);
    } else if (text.starts_with(kPrefix) && text.ends_with("')")) {
        wanted.name_prefix = between(kPrefix);
    } else {
        HD_TRY(const auto terms, parse_filter(text));
        for (const FilterTerm& term : terms) {
            if (term.op == "eq" && term.name == "appid")
                wanted.app_id = term.value;
            else if (term.op == "eq" && term.name == "displayname")
                wanted.name = term.value;
            else
                return unknown_filter(text, "appId eq 'id' and displayName eq 'name'");
        }
    }
    return wanted;
}

Answer list(Call& call, bool of_applications) {
    HD_TRY(const Wanted wanted, read_filter(call));
    HD_TRY(const auto all, all_principals(call.context.store));
    Json values = Json::array();
    for (const Principal& each : all) {
        if (!of_applications && each.application_only) continue;
        if (!wanted.app_id.empty() && !iequals(wanted.app_id, each.client_id)) continue;
        if (!wanted.name.empty() && !iequals(wanted.name, each.display_name)) continue;
        if (!to_lower(each.display_name).starts_with(to_lower(wanted.name_prefix))) continue;
        values.push_back(of_applications ? application_json(each) : service_principal_json(each));
    }
    return json_answer(200, {{"value", std::move(values)}});
}

Result<std::string> read_display_name(const Call& call) {
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    const std::string name = body.text("displayName").value_or("");
    (void)body.one_of("signInAudience", kAudiences);
    // az sends some of them with nothing in them.
    for (const char* each : kNotSupported) {
        const auto field = json.find(each);
        if (field != json.end() && (field->empty() || *field == false))
            body.read_only(each);
        else
            body.not_supported(each, "applications with this are");
    }
    body.finish();
    if (problem) return *problem;
    if (name.empty() || name.size() > kNameBytesMax)
        return Error{
            ErrorCode::invalid_request,
            fmt::format("an application needs a displayName of 1 to {} bytes", kNameBytesMax),
            "displayName"};
    return name;
}

struct PasswordBody {
    std::string display_name;
    std::string begin;
    std::string end;
};

Result<PasswordBody> read_password_body(const Call& call) {
    HD_TRY(const Json json, parse_body(call.request.body));
    PasswordBody out;
    const Timestamp now = call.context.clock.wall();
    out.begin = call.now();
    out.end = format_iso8601(now + kSecretLifetime);
    if (json.is_null()) return out;
    Reader::Problem problem;
    Reader body(json, "", problem);
    std::string begin;
    std::string end;
    if (std::optional<Reader> password = body.object("passwordCredential")) {
        out.display_name = password->text("displayName").value_or("");
        begin = password->text("startDateTime").value_or("");
        end = password->text("endDateTime").value_or("");
        password->finish();
    }
    body.finish();
    if (problem) return *problem;
    if (out.display_name.size() > kNameBytesMax)
        return Error{ErrorCode::invalid_request, "the displayName is too long",
                     "passwordCredential.displayName"};
    if (!begin.empty()) {
        const auto time = parse_iso8601(begin);
        if (!time.ok() || *time > now + kClockSkew)
            return Error{ErrorCode::not_supported,
                         fmt::format("'{}' is no time at which a secret can begin to hold",
                                     begin.substr(0, 64)),
                         "passwordCredential.startDateTime",
                         "leave it out: the secret holds at once"};
    }
    if (end.empty()) return out;
    const auto time = parse_iso8601(end);
    if (!time.ok() || *time <= now)
        return Error{ErrorCode::invalid_request,
                     fmt::format("'{}' is no time to come", end.substr(0, 64)),
                     "passwordCredential.endDateTime", "write it as 2027-01-31T12:00:00Z"};
    out.end = format_iso8601(*time);
    return out;
}

/// Whoever changes an identity passes here.
Result<Turnstile::Pass> enter(const Call& call) {
    return call.services.turnstile.enter(kAccessTurnstile);
}

/// With everything it may do, in transactions of a bounded size. The identity goes last, so that a
/// deletion that was cut short can be asked for again.
Answer remove(Call& call) {
    HD_TRY(const Turnstile::Pass pass, enter(call));
    HD_TRY(const Principal principal, find(call));
    HD_CHECK(check_owner_remains(call, {.principal = &principal}));
    store::Store& store = call.context.store;
    for (const std::string& prefix : {store::keys::assignments_of(principal.object_id),
                                      store::keys::sessions_of(principal.client_id)}) {
        for (;;) {
            HD_TRY(const auto entries, store.list(prefix, {.limit = 100}));
            if (entries.empty()) break;
            store::Transaction some;
            for (const store::Entry& entry : entries) some.remove(entry.key);
            HD_CHECK(store.commit(some));
        }
    }
    store::Transaction txn;
    txn.remove(store::keys::principal(principal.client_id));
    HD_CHECK(store.commit(txn));
    return empty_answer(204);
}

}  // namespace

Answer list_applications(Call& call) { return list(call, true); }
Answer list_service_principals(Call& call) { return list(call, false); }

Answer get_application(Call& call) {
    HD_TRY(const Principal principal, find(call));
    return json_answer(200, application_json(principal));
}

Answer get_service_principal(Call& call) {
    HD_TRY(const Principal principal, find(call));
    if (principal.application_only) return object_not_found(call.parameter("objectId"));
    return json_answer(200, service_principal_json(principal));
}

Answer create_application(Call& call) {
    HD_TRY(const std::string name, read_display_name(call));
    HD_TRY(const Turnstile::Pass pass, enter(call));
    HD_TRY(const auto all, all_principals(call.context.store));
    // One place is kept for the administrator, see reset_administrator.
    if (all.size() >= kPrincipalsMax - 1)
        return Error{ErrorCode::quota_exceeded,
                     fmt::format("there are {} applications, which is the most", all.size())};
    Principal principal;
    principal.client_id = call.context.ids.uuid();
    principal.object_id = call.context.ids.uuid();
    principal.display_name = name;
    principal.tenant_id = call.context.tenant_id;
    principal.created_at = call.now();
    principal.application_only = true;
    const std::string key = store::keys::principal(principal.client_id);
    store::Transaction txn;
    txn.expect_absent(key);
    txn.put(key, principal_to_text(principal));
    HD_CHECK(call.context.store.commit(txn));
    return json_answer(201, application_json(principal));
}

/// az does this instead of making a second application of a name (`az ad sp create-for-rbac`).
Answer update_application(Call& call) {
    HD_TRY(const std::string name, read_display_name(call));
    HD_TRY(const Turnstile::Pass pass, enter(call));
    HD_TRY(const Principal found, find(call));
    HD_CHECK(change(call, found.client_id, [&](Principal& principal) -> Status {
        principal.display_name = name;
        return ok_status();
    }));
    return empty_answer(204);
}

Answer delete_application(Call& call) { return remove(call); }

Answer create_service_principal(Call& call) {
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    const std::string app_id = to_lower(body.text("appId").value_or(""));
    const bool enabled = body.boolean("accountEnabled").value_or(true);
    body.finish();
    if (problem) return *problem;
    if (!enabled)
        return Error{ErrorCode::not_supported, "service principals cannot be disabled",
                     "accountEnabled", "delete it, or take its roles away"};
    if (!is_uuid(app_id)) return object_not_found(app_id);
    HD_TRY(const Turnstile::Pass pass, enter(call));
    HD_TRY(const Principal made, change(call, app_id, [&](Principal& principal) -> Status {
               if (!principal.application_only)
                   return Error{ErrorCode::conflict,
                                fmt::format("the service principal of '{}' exists already", app_id),
                                "appId"};
               principal.application_only = false;
               return ok_status();
           }));
    return json_answer(201, service_principal_json(made));
}

/// One record here, so the application goes with it.
Answer delete_service_principal(Call& call) { return remove(call); }

Answer add_password(Call& call) {
    HD_TRY(const PasswordBody body, read_password_body(call));
    IdSource& ids = call.context.ids;
    const Secret secret = new_client_secret(ids);
    HD_TRY(const std::string verifier, pg::scram_verifier(secret, ids.random_bytes(kSaltBytes)));
    HD_TRY(const Turnstile::Pass pass, enter(call));
    HD_TRY(const Principal found, find(call));
    const Principal::Credential added{
        ids.uuid(), seal_verifier(call.context.secrets, found.client_id, Secret(verifier)),
        body.begin, body.end, body.display_name};
    HD_CHECK(change(call, found.client_id, [&](Principal& principal) -> Status {
        if (principal.credentials.size() >= kCredentialsMax)
            return Error{
                ErrorCode::quota_exceeded,
                fmt::format("the application has {} secrets, which is the most", kCredentialsMax),
                "", "remove one first"};
        principal.credentials.push_back(added);
        return ok_status();
    }));
    Answer answer = json_answer(200, {{"keyId", added.id},
                                      {"displayName", body.display_name},
                                      {"startDateTime", body.begin},
                                      {"endDateTime", body.end},
                                      {"hint", nullptr},
                                      {"secretText", secret.reveal()}});
    answer->headers["cache-control"] = "no-store";
    return answer;
}

Answer remove_password(Call& call) {
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    const std::string id = to_lower(body.text("keyId").value_or(""));
    body.finish();
    if (problem) return *problem;
    HD_TRY(const Turnstile::Pass pass, enter(call));
    HD_TRY(const Principal found, find(call));
    HD_CHECK(change(call, found.client_id, [&](Principal& principal) -> Status {
        const Principal before = principal;
        std::erase_if(principal.credentials, [&](const auto& each) { return each.id == id; });
        if (principal.credentials.size() == before.credentials.size())
            return Error{
                ErrorCode::invalid_request,
                fmt::format("no password credential found with keyId '{}'", id.substr(0, 64)),
                "keyId"};
        return check_owner_remains(call, {.principal = &before, .credential_id = id});
    }));
    return empty_answer(204);
}

Answer get_me(Call& call) {
    const Caller& caller = call.caller;
    Json body = {{"@odata.type", "#microsoft.graph.user"},
                 {"id", caller.object_id},
                 {"displayName", caller.name},
                 {"userPrincipalName", caller.app_id}};
    if (caller.is_foreign()) {
        const std::size_t space = caller.name.find(' ');
        body["displayName"] = body["userPrincipalName"] = caller.name.substr(space + 1);
        body["identities"] =
            Json::array({{{"signInType", "federated"}, {"issuer", caller.name.substr(0, space)}}});
    }
    return json_answer(200, body);
}

Answer get_by_ids(Call& call) {
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    const auto ids = body.text_list("ids", kIdsMax).value_or(std::vector<std::string>());
    (void)body.text_list("types", kIdsMax);
    body.finish();
    if (problem) return *problem;
    HD_TRY(const auto all, all_principals(call.context.store));
    Json values = Json::array();
    for (const Principal& each : all)
        for (const std::string& id : ids)
            if (iequals(id, each.object_id)) values.push_back(service_principal_json(each));
    return json_answer(200, {{"value", std::move(values)}});
}

}  // namespace howdah::api::directory
