#include <CLI/CLI.hpp>
#include <iostream>

#include "base/text.h"
#include "cli/device_login.h"
#include "cli/session.h"
#include "os/file.h"

// howdah login, logout, account: who is logged in, where.

namespace howdah::cli {
namespace {

constexpr std::string_view kSubscriptionsVersion = "2021-01-01";
constexpr std::size_t kCredentialsBytesMax = 64 << 10;
/// 9999-12-31T23:59:59Z.
constexpr long long kLatestSecond = 253402300799;

constexpr Column kSubscriptionColumns[] = {{"Name", "name"},
                                           {"SubscriptionId", "id"},
                                           {"TenantId", "tenantId"},
                                           {"State", "state"},
                                           {"IsDefault", "isDefault"}};

struct LoginOptions {
    bool service_principal = false;
    std::string user;
    std::string password;
    std::string password_file;
    bool password_stdin = false;
    std::string token_file;
    bool token_stdin = false;
    std::string tenant;
    std::string api;
    std::string authority;
    std::string ca_file;
    std::string credentials;
};

std::string without_slash(std::string url) {
    while (url.ends_with('/')) url.pop_back();
    return url;
}

/// The subscriptions, in the form of `az account list`.
Result<Json> subscriptions(Arm& arm) {
    HD_TRY(const Json all, arm.list("/subscriptions", kSubscriptionsVersion));
    Json shown = Json::array();
    const bool is_person = arm.profile().client_secret.empty();
    for (const Json& each : all) {
        const std::string id = text_at(each, "subscriptionId");
        shown.push_back({{"cloudName", "Howdah"},
                         {"id", id},
                         {"isDefault", id == arm.profile().subscription_id},
                         {"name", text_at(each, "displayName")},
                         {"state", text_at(each, "state")},
                         {"tenantId", text_at(each, "tenantId")},
                         {"user",
                          {{"name", arm.profile().client_id},
                           {"type", is_person ? "user" : "servicePrincipal"}}}});
    }
    return shown;
}

Result<std::string> read_file_option(const std::string& option, const std::string& path) {
    auto text = os::read_file(path, kCredentialsBytesMax);
    if (text.ok()) return text;
    return usage_error(option, text.error().message, "name a file that can be read");
}

Result<Profile> profile_from_file(const std::string& path) {
    HD_TRY(const std::string text, read_file_option("--credentials", path));
    const auto json = parse_json(text, path);
    if (!json.ok()) return usage_error("--credentials", json.error().message);
    Profile profile{without_slash(text_at(*json, "api_url")),
                    without_slash(text_at(*json, "authority")),
                    text_at(*json, "tenant_id"),
                    text_at(*json, "subscription_id"),
                    text_at(*json, "client_id"),
                    Secret(text_at(*json, "client_secret")),
                    {},
                    {},
                    text_at(*json, "api_name")};
    if (profile.api_url.empty() || profile.client_id.empty() || profile.client_secret.empty()) {
        return usage_error("--credentials",
                           path + " does not hold api_url, client_id and client_secret",
                           "use the file bootstrap-credentials.json that howdahd wrote");
    }
    if (const std::string ca = text_at(*json, "ca_path"); !ca.empty()) {
        HD_TRY(profile.ca_pem, read_file_option("--credentials", ca));
    }
    if (const std::string ca = text_at(*json, "api_ca_path"); !ca.empty()) {
        HD_TRY(profile.api_ca_pem, read_file_option("--credentials", ca));
    }
    return profile;
}

Result<Secret> ask_password(World& world, const LoginOptions& options) {
    if (!options.password.empty()) return Secret(options.password);
    if (!options.password_file.empty()) {
        return read_secret_file(world, "--password-file", options.password_file);
    }
    if (options.password_stdin) return read_secret_file(world, "--password-stdin", "-");
    if (world.in_is_terminal) return world.ask_secret("Client secret: ");
    return usage_error("--password", "there is no client secret, and nobody can be asked",
                       "use --password-stdin or --password-file");
}

bool has_token(const LoginOptions& options) {
    return options.token_stdin || !options.token_file.empty();
}

/// Where somebody logs in by device code or with a token: at the address given, else where they
/// were logged in last.
Result<Profile> profile_for_device_code(Session& session, const LoginOptions& options) {
    Profile profile;
    profile.api_url =
        without_slash(options.api.empty() ? session.world.variable("HOWDAH_API_URL") : options.api);
    if (profile.api_url.empty()) {
        const auto last = session.profiles.load();
        if (!last.ok())
            return usage_error("--api-url", "the address of the API is not given",
                               "add --api-url https://HOST:PORT, or set HOWDAH_API_URL; or use "
                               "--credentials FILE");
        profile = *last;
        profile.client_secret = profile.refresh_token = Secret();
    }
    if (!options.tenant.empty()) profile.tenant_id = options.tenant;
    return profile;
}

/// When a token ends, by its own word: only to say so in time.
Result<Timestamp> end_of(const Secret& token) {
    const std::vector<std::string> parts = split(token.reveal(), '.');
    if (parts.size() == 3) {
        const auto payload = base64url_decode(parts[1]);
        const auto json = payload.ok() ? parse_json(*payload, "the token") : Result<Json>(Json());
        const auto end = json.ok() ? parse_integer(text_at(*json, "exp"), 1, kLatestSecond)
                                   : Result<long long>(0);
        if (end.ok() && *end > 0) return Timestamp(std::chrono::seconds(*end));
    }
    return usage_error("--access-token-file", "what it holds is no access token with an end",
                       "give the token alone, as its issuer made it");
}

/// With a token that another issuer gave: nothing here can get the next one.
Result<Token> log_in_by_token(Session& session, const LoginOptions& options, Profile& profile) {
    HD_TRY(Secret text,
           options.token_stdin
               ? read_secret_file(session.world, "--access-token-stdin", "-")
               : read_secret_file(session.world, "--access-token-file", options.token_file));
    HD_TRY(const Timestamp end, end_of(text));
    Token token{std::move(text), end};
    Arm arm(session.world, session.profiles, profile);
    arm.use(token);
    HD_TRY(const Json me, arm.get("/v1.0/me", kGraphVersion));
    profile.client_id = text_at(me, "userPrincipalName");
    // What a file of credentials or an earlier login brought is somebody else's.
    profile.client_secret = profile.refresh_token = Secret();
    return token;
}

Result<Token> first_token(Session& session, const LoginOptions& options, bool by_device_code,
                          Profile& profile) {
    if (has_token(options)) return log_in_by_token(session, options, profile);
    if (by_device_code) return log_in_by_device_code(session, profile);
    return Arm(session.world, session.profiles, profile).new_token();
}

Result<Profile> profile_from_options(World& world, const LoginOptions& options) {
    if (options.user.empty()) {
        return usage_error("--username", "it is not said who logs in",
                           "use --credentials FILE, or --service-principal --username CLIENT-ID "
                           "--tenant TENANT --api-url URL");
    }
    Profile profile;
    profile.api_url =
        without_slash(options.api.empty() ? world.variable("HOWDAH_API_URL") : options.api);
    if (profile.api_url.empty()) {
        return usage_error("--api-url", "the address of the API is not given",
                           "add --api-url https://HOST:PORT, or set HOWDAH_API_URL");
    }
    if (options.tenant.empty()) {
        return usage_error("--tenant", "the tenant is not given", "add --tenant TENANT-ID");
    }
    profile.tenant_id = options.tenant;
    profile.client_id = options.user;
    HD_TRY(profile.client_secret, ask_password(world, options));
    return profile;
}

Result<Profile> profile_of(Session& session, const LoginOptions& options, bool by_device_code) {
    if (!options.credentials.empty()) return profile_from_file(options.credentials);
    if (by_device_code || has_token(options)) return profile_for_device_code(session, options);
    return profile_from_options(session.world, options);
}

Result<Output> login(Session& session, const LoginOptions& options) {
    session.doing("log", "logging", "in");
    const bool by_device_code = !has_token(options) && options.credentials.empty() &&
                                options.user.empty() && !options.service_principal;
    HD_TRY(Profile profile, profile_of(session, options, by_device_code));
    if (!options.ca_file.empty()) {
        HD_TRY(profile.ca_pem, read_file_option("--ca-file", options.ca_file));
        profile.api_ca_pem.clear();
    }
    // Who names other authorities or another place for tokens knows by what name they are reached.
    if (!options.ca_file.empty() || !options.authority.empty()) profile.api_name.clear();
    if (!options.authority.empty()) profile.authority = without_slash(options.authority);
    if (profile.authority.empty()) profile.authority = profile.api_url;
    if (!session.common.subscription.empty()) {
        profile.subscription_id = session.common.subscription;
    }
    // The token is tried before anything is kept: a failed login leaves an earlier one alone.
    HD_TRY(const Token token, first_token(session, options, by_device_code, profile));
    HD_CHECK(session.profiles.save(profile));
    HD_CHECK(session.profiles.save_token(token));
    Arm arm(session.world, session.profiles, profile);
    HD_TRY(Json all, subscriptions(arm));
    if (all.empty()) {
        return Error{ErrorCode::permission_denied,
                     "this principal sees no subscription",
                     {},
                     "ask an administrator for a role in one; howdah ad signed-in-user show "
                     "prints the object id for it"};
    }
    if (profile.subscription_id.empty()) {
        profile.subscription_id = text_at(all[0], "id");
        all[0]["isDefault"] = true;
        HD_CHECK(session.profiles.save(profile));
        HD_CHECK(session.profiles.save_token(token));
    }
    return Output{std::move(all), kSubscriptionColumns};
}

Result<Output> logout(Session& session) {
    session.doing("log", "logging", "out");
    HD_CHECK(session.profiles.clear());
    return Output{};
}

Result<Output> list(Session& session) {
    session.doing("list", "listing", "subscriptions");
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(Json all, subscriptions(*arm));
    return Output{std::move(all), kSubscriptionColumns};
}

Result<Output> show(Session& session) {
    session.doing("show", "showing", "the account");
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const Json all, subscriptions(*arm));
    for (const Json& each : all) {
        if (text_at(each, "id") == arm->profile().subscription_id) {
            return Output{each, kSubscriptionColumns};
        }
    }
    return Error{ErrorCode::not_found,
                 "the subscription " + arm->profile().subscription_id + " is not there",
                 {},
                 "run: howdah account list, then howdah account set --subscription ID"};
}

Result<Output> set(Session& session) {
    session.doing("choose", "choosing", "the subscription");
    const std::string wanted = session.common.subscription;
    if (wanted.empty()) return usage_error("--subscription", "the subscription is not given");
    HD_TRY(Profile profile, session.profiles.load());
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const Json all, subscriptions(*arm));
    for (const Json& each : all) {
        if (!iequals(text_at(each, "id"), wanted) && text_at(each, "name") != wanted) continue;
        profile.subscription_id = text_at(each, "id");
        HD_CHECK(session.profiles.save(profile));
        return Output{};
    }
    return Error{ErrorCode::not_found,
                 "there is no subscription '" + wanted + "'",
                 {},
                 "run: howdah account list"};
}

/// The names that az has for what tokens are for, as far as there is something here.
constexpr std::string_view kArmType = "arm";
constexpr std::string_view kDatabaseType = "oss-rdbms";
constexpr std::string_view kDatabaseResource = "https://ossrdbms-aad.database.windows.net";

Result<Output> access_token(Session& session, const std::string& type) {
    session.doing("get", "getting", "an access token");
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const Token token, type == kDatabaseType
                                  ? arm->new_token_for(std::string(kDatabaseResource))
                                  : arm->token());
    static constexpr Column kColumns[] = {{"AccessToken", "accessToken"},
                                          {"ExpiresOn", "expiresOn"}};
    return Output{{{"accessToken", token.text.reveal()},
                   {"expiresOn", format_iso8601(token.expires_at)},
                   {"subscription", arm->profile().subscription_id},
                   {"tenant", arm->profile().tenant_id},
                   {"tokenType", "Bearer"}},
                  kColumns};
}

void add_login(Commands& commands) {
    auto options = std::make_shared<LoginOptions>();
    CLI::App& app = commands.verb(commands.root, "login",
                                  "Log in; without options by a code that is entered on a page",
                                  [options](Session& session) { return login(session, *options); });
    app.add_option("--credentials", options->credentials,
                   "File with address and secret, as howdahd writes it at its first start");
    app.add_flag("--service-principal", options->service_principal,
                 "Log in as a service principal, with --username");
    app.add_option("-u,--username", options->user, "Client id");
    app.add_option("-p,--password", options->password,
                   "Client secret; better --password-stdin or --password-file: arguments can be "
                   "seen by other users");
    app.add_option("--password-file", options->password_file, "File with the client secret");
    app.add_flag("--password-stdin", options->password_stdin,
                 "Read the client secret from standard input");
    app.add_option("--access-token-file", options->token_file,
                   "File with an access token that a trusted issuer gave");
    app.add_flag("--access-token-stdin", options->token_stdin,
                 "Read such a token from standard input");
    app.add_option("-t,--tenant", options->tenant, "Tenant id");
    app.add_option("--api-url", options->api, "Address of the API (or HOWDAH_API_URL)");
    app.add_option("--authority", options->authority,
                   "Address of the token service, if it is not that of the API");
    app.add_option("--ca-file", options->ca_file,
                   "Certificate authority of the API, if it is not one of the system's");
}

}  // namespace

void add_account(Commands& commands) {
    add_login(commands);
    commands.verb(commands.root, "logout", "Forget who is logged in", logout);
    CLI::App& noun = commands.noun("account", "Who is logged in, and the subscriptions");
    commands.verb(noun, "show", "Show the subscription that commands act on", show);
    commands.verb(noun, "list", "List the subscriptions", list);
    commands.verb(noun, "set", "Choose the subscription (--subscription) for later commands", set);
    const auto type = std::make_shared<std::string>(kArmType);
    CLI::App& token =
        commands.verb(noun, "get-access-token", "Print a token for the API, or for PostgreSQL",
                      [type](Session& session) { return access_token(session, *type); });
    token
        .add_option("--resource-type", *type,
                    "arm: for the API; oss-rdbms: the password of a Microsoft Entra administrator")
        ->check(CLI::IsMember({std::string(kArmType), std::string(kDatabaseType)}))
        ->capture_default_str();
}

}  // namespace howdah::cli
