#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "base/id.h"
#include "base/text.h"
#include "cli/directory_names.h"
#include "cli/roles.h"
#include "cli/session.h"
#include "http/issuer_keys.h"
#include "model/foreign_identity.h"

// howdah ad sp: identities of programs. A client secret is shown once, where az shows it: in the
// answer of create-for-rbac and credential reset. howdah ad signed-in-user: who one is oneself;
// howdah ad issuer-object-id: the id of somebody whom another issuer vouches for.

namespace howdah::cli {
namespace {

constexpr const char* kApplications = "/v1.0/applications";
constexpr const char* kServicePrincipals = "/v1.0/servicePrincipals";
constexpr int kYearsMax = 100;
constexpr Column kColumns[] = {{"DisplayName", "displayName"},
                               {"AppId", "appId"},
                               {"Id", "id"},
                               {"CreatedDateTime", "createdDateTime"}};
constexpr Column kSecretColumns[] = {{"AppId", "appId"},
                                     {"DisplayName", "displayName"},
                                     {"Password", "password"},
                                     {"Tenant", "tenant"}};

constexpr Column kUserColumns[] = {
    {"Id", "id"}, {"UserPrincipalName", "userPrincipalName"}, {"Issuer", "issuer"}};

struct IdentityOptions {
    std::string issuer;
    std::string subject;
};

struct SpOptions {
    std::string id;
    std::string display_name;
    std::string filter;
    std::string role;
    std::vector<std::string> scopes;
    std::string end_date;
    int years = 0;
    bool all = false;
    bool append = false;
};

std::string below(const char* collection, const std::string& id) {
    return fmt::format("{}/{}", collection, http::url_encode(id));
}

Result<Json> password_body(Session& session, const SpOptions& options) {
    Json credential = Json::object();
    if (!options.display_name.empty()) credential["displayName"] = options.display_name;
    if (!options.end_date.empty()) {
        const auto end = parse_iso8601(options.end_date);
        if (!end.ok())
            return usage_error("--end-date", fmt::format("'{}' is no time", options.end_date),
                               "write it as 2027-01-31T12:00:00Z");
        credential["endDateTime"] = format_iso8601(*end);
    } else if (options.years > 0) {
        if (options.years > kYearsMax)
            return usage_error("--years", fmt::format("{} years are too many", options.years));
        credential["endDateTime"] = format_iso8601(session.world.clock.wall() +
                                                   std::chrono::hours(24 * 365) * options.years);
    }
    return Json{{"passwordCredential", std::move(credential)}};
}

Output secret_output(Session& session, const Arm& arm, const Json& application,
                     const Json& credential) {
    session.note(
        "the output has a client secret that is shown only now; keep it where others cannot read "
        "it");
    return Output{{{"appId", text_at(application, "appId")},
                   {"displayName", text_at(application, "displayName")},
                   {"password", text_at(credential, "secretText")},
                   {"tenant", arm.profile().tenant_id}},
                  kSecretColumns};
}

/// What is created after the application; a failure leaves the application to be taken back.
Result<Json> complete(Session& session, Arm& arm, const SpOptions& options, const Json& application,
                      const std::vector<std::pair<std::string, Json>>& roles) {
    HD_TRY(const Json principal,
           arm.post(kServicePrincipals, {{"appId", text_at(application, "appId")}}, kGraphVersion));
    for (const auto& [scope, role] : roles)
        HD_CHECK(
            assign_role(session, role, {.scope = scope, .principal_id = text_at(principal, "id")}));
    SpOptions of_secret = options;
    of_secret.display_name = "rbac";
    HD_TRY(const Json body, password_body(session, of_secret));
    return arm.post(below(kApplications, text_at(application, "id")) + "/addPassword", body,
                    kGraphVersion);
}

Result<Output> create_for_rbac(Session& session, const SpOptions& options) {
    session.doing("create", "creating", "service principal " + options.display_name);
    HD_TRY(Arm* const arm, session.arm());
    if (options.role.empty() != options.scopes.empty())
        return usage_error(options.role.empty() ? "--role" : "--scopes",
                           "a role and the scopes where it holds belong together",
                           "give both --role and --scopes, or none of them");
    // What can be wrong is looked at before anything is made.
    std::vector<std::pair<std::string, Json>> roles;
    for (const std::string& scope : options.scopes) {
        HD_TRY(Json role, find_role(*arm, scope, options.role));
        roles.emplace_back(scope, std::move(role));
    }
    HD_CHECK(password_body(session, options));
    const std::string name =
        options.display_name.empty()
            ? "howdah-cli-" + format_iso8601(session.world.clock.wall()).substr(0, 19)
            : options.display_name;
    HD_TRY(
        const Json known,
        arm->list(graph_list(kApplications, "displayName eq " + filter_text(name)), kGraphVersion));
    if (!known.empty())
        return Error{ErrorCode::conflict, fmt::format("there is an application '{}' already", name),
                     "",
                     fmt::format("make a new secret with: howdah ad sp credential reset --id {}",
                                 text_at(known[0], "appId"))};
    HD_TRY(const Json application,
           arm->post(kApplications, {{"displayName", name}}, kGraphVersion));
    const auto credential = complete(session, *arm, options, application, roles);
    if (!credential.ok()) {
        static_cast<void>(arm->begin("DELETE", below(kApplications, text_at(application, "id")),
                                     Json(), kGraphVersion));
        return credential.error();
    }
    return secret_output(session, *arm, application, *credential);
}

Result<Output> list(Session& session, const SpOptions& options) {
    session.doing("list", "listing", "service principals");
    HD_TRY(Arm* const arm, session.arm());
    std::string filter = options.filter;
    if (filter.empty() && !options.display_name.empty())
        filter = fmt::format("startswith(displayName,{})", filter_text(options.display_name));
    HD_TRY(Json all, arm->list(graph_list(kServicePrincipals, filter), kGraphVersion));
    return Output{std::move(all), kColumns};
}

Result<Output> show(Session& session, const SpOptions& options) {
    session.doing("show", "showing", "service principal " + options.id);
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(Json principal, find_service_principal(*arm, "--id", options.id));
    return Output{std::move(principal), kColumns};
}

Result<Output> remove(Session& session, const SpOptions& options) {
    session.doing("delete", "deleting", "service principal " + options.id);
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const Json principal, find_service_principal(*arm, "--id", options.id));
    HD_CHECK(arm->begin("DELETE", below(kServicePrincipals, text_at(principal, "id")), Json(),
                        kGraphVersion));
    return Output{};
}

/// The new secret first: whoever fails in between still has one that is good.
Result<Output> reset(Session& session, const SpOptions& options) {
    session.doing("reset", "resetting", "the credentials of service principal " + options.id);
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const Json principal, find_service_principal(*arm, "--id", options.id));
    const std::string path = below(kApplications, text_at(principal, "appId"));
    HD_TRY(const Json application, arm->get(path, kGraphVersion));
    HD_TRY(const Json body, password_body(session, options));
    HD_TRY(const Json credential, arm->post(path + "/addPassword", body, kGraphVersion));
    if (!options.append) {
        for (const Json& each : at(application, "passwordCredentials"))
            HD_CHECK(arm->post(path + "/removePassword", {{"keyId", text_at(each, "keyId")}},
                               kGraphVersion));
    }
    return secret_output(session, *arm, application, credential);
}

Result<Output> signed_in_user(Session& session) {
    session.doing("show", "showing", "who is logged in");
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(Json me, arm->get("/v1.0/me", kGraphVersion));
    me["issuer"] = "";
    for (const Json& each : at(me, "identities")) me["issuer"] = text_at(each, "issuer");
    return Output{std::move(me), kUserColumns};
}

/// Asks nobody: the id follows from both texts alone.
Result<Output> issuer_object_id(Session& session, const IdentityOptions& options) {
    session.doing("compute", "computing", "an object id");
    const Status usable = http::check_issuer_url(options.issuer);
    if (!usable.ok())
        return usage_error(
            "--issuer",
            fmt::format("'{}' is no issuer: {}", options.issuer, usable.error().message),
            "copy \"iss\" from a token, with its slash at the end if it has one");
    if (options.subject.empty())
        return usage_error("--subject", "it is empty",
                           "copy \"oid\" from a token of Entra ID, else \"sub\"");
    return Output{{{"id", model::foreign_object_id(options.issuer, options.subject)},
                   {"userPrincipalName", options.subject},
                   {"issuer", options.issuer}},
                  kUserColumns};
}

void add_identities(Commands& commands, CLI::App& ad) {
    commands.verb(commands.noun(ad, "signed-in-user", "Who is logged in"), "show",
                  "Show the own object id, name and issuer", signed_in_user);
    auto options = std::make_shared<IdentityOptions>();
    CLI::App& verb = commands.verb(
        ad, "issuer-object-id", "Print the object id of somebody of another issuer, for roles",
        [options](Session& session) { return issuer_object_id(session, *options); });
    verb.add_option("--issuer", options->issuer, "\"iss\" of the tokens")->required();
    verb.add_option("--subject", options->subject,
                    "\"oid\" of the tokens if they have it, else \"sub\"")
        ->required();
}

}  // namespace

std::string graph_list(const std::string& what, const std::string& filter) {
    return filter.empty() ? what : what + "?$filter=" + http::url_encode(filter);
}

std::string filter_text(const std::string& text) {
    std::string quoted = "'";
    for (const char c : text) quoted += c == '\'' ? std::string("''") : std::string(1, c);
    return quoted + "'";
}

Result<Json> find_service_principal(Arm& arm, const std::string& option, const std::string& who) {
    const Error absent{ErrorCode::not_found, fmt::format("there is no service principal '{}'", who),
                       "", "see who there is with: howdah ad sp list"};
    if (is_uuid(who)) {
        auto found = arm.get(below(kServicePrincipals, who), kGraphVersion);
        if (!found.ok() && found.error().code == ErrorCode::not_found) return absent;
        return found;
    }
    HD_TRY(const Json named,
           arm.list(graph_list(kServicePrincipals, "displayName eq " + filter_text(who)),
                    kGraphVersion));
    if (named.empty()) return absent;
    if (named.size() > 1)
        return usage_error(option, fmt::format("there are {} named '{}'", named.size(), who),
                           "use the application id");
    return named[0];
}

void add_directory(Commands& commands) {
    CLI::App& ad = commands.noun("ad", "Who may log in");
    add_identities(commands, ad);
    CLI::App& sp = commands.noun(ad, "sp", "Service principals: identities of programs");
    CLI::App& credential = commands.noun(sp, "credential", "Client secrets");
    auto options = std::make_shared<SpOptions>();
    const auto verb = [&](CLI::App& noun, const char* name, const char* about,
                          auto action) -> CLI::App& {
        return commands.verb(noun, name, about, [options, action](Session& session) {
            return action(session, *options);
        });
    };
    const auto lifetime = [&](CLI::App& app) {
        app.add_option("--years", options->years, "The secret holds so many years (2)");
        app.add_option("--end-date", options->end_date, "Or until then: 2027-01-31T12:00:00Z");
    };
    const auto id = [&](CLI::App& app) {
        app.add_option("--id", options->id, "Application id, object id or display name")
            ->required();
    };
    CLI::App& create =
        verb(sp, "create-for-rbac", "Create one with a client secret, shown once", create_for_rbac);
    create.add_option("-n,--name,--display-name", options->display_name, "Display name");
    create.add_option("--role", options->role, "Role that it gets, by name or id");
    create.add_option("--scopes", options->scopes, "Where the role holds, one or more ids");
    lifetime(create);
    CLI::App& list_verb = verb(sp, "list", "List them", list);
    list_verb.add_option("--display-name", options->display_name, "The beginning of the name");
    list_verb.add_option("--filter", options->filter, "An OData filter");
    list_verb.add_flag("--all", options->all, "All of them (always so)");
    id(verb(sp, "show", "Show one", show));
    id(verb(sp, "delete", "Delete one with its application and its roles", remove));
    CLI::App& reset_verb =
        verb(credential, "reset", "Make a new client secret, shown once; the old ones end", reset);
    id(reset_verb);
    reset_verb.add_option("--display-name", options->display_name, "Name of the secret");
    reset_verb.add_flag("--append", options->append, "Keep the old ones");
    lifetime(reset_verb);
}

}  // namespace howdah::cli
